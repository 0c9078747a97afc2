"""Runs on the same tweets, which alone can be compared; and what several seeds of one configuration say together."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

from report.analysis import statistics
from report.read.load import RANDOM_MARK, CompletedRun, Study
from report.read.predictions import Comparison, compare
from report.render import wording
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.records import Part

# How tweets are cleaned changes what a model sees of them, not which tweets it is tested on.
_CLEANING = ("text", "vocabulary")


@dataclass(frozen=True)
class Configuration:
    """Runs that differ by their seed alone."""

    name: str
    runs: list[CompletedRun]

    @property
    def is_random(self) -> bool:
        """Whether its ELMo vectors are random numbers."""
        return any(run.is_random for run in self.runs)

    def mean(self, part: Part, metric: str) -> float | None:
        """Over seeds; None if there is no such part."""
        values = self.values(part, metric)
        return sum(values) / len(values) if values else None

    def values(self, part: Part, metric: str) -> list[float]:
        """One for each seed."""
        return [getattr(run.result.metrics[part], metric) for run in self.runs if part in run.result.metrics]

    @property
    def chosen(self) -> CompletedRun:
        """Its seed that does best on validation tweets."""
        return max(self.runs, key=lambda run: run.result.metrics["validation"].f1)


@dataclass(frozen=True)
class Dataset:
    """The completed runs on one set of tweets."""

    name: str
    is_sentiment140: bool
    runs: list[CompletedRun]
    """Each once, even if several grids have it."""
    problems: list[str] = field(default_factory=list)
    """The study's: what cannot be read is added to them."""

    @cached_property
    def configurations(self) -> list[Configuration]:
        """Best mean validation F1 first; those of random numbers are not among the best, and come last."""
        groups: dict[str, list[CompletedRun]] = defaultdict(list)
        for run in self.runs:
            groups[run.config.model_copy(update={"seed": 0}).fingerprint()].append(run)
        varying = _varying(self.runs)
        found = [Configuration(configuration_name(runs[0], varying), runs) for runs in groups.values()]
        return sorted(found, key=lambda one: (one.is_random, -(one.mean("validation", "f1") or 0.0), one.name))

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """Of each run whose predictions can be read, by its id; the others are named among the problems."""
        found: dict[str, Comparison] = {}
        for run in self.runs:
            try:
                comparison = compare(run)
            except RunDirError as error:
                self.problems.append(str(error))
            else:
                if comparison:
                    found[run.run_id] = comparison
        return found

    @cached_property
    def adjusted(self) -> dict[str, float]:
        """p-value of each run against the baseline, adjusted for the number of runs (Benjamini and Hochberg)."""
        p_values = [one.baseline.p or 0.0 for one in self.comparisons.values()]
        return dict(zip(self.comparisons, statistics.false_discovery_control(p_values), strict=True))


def datasets(study: Study) -> list[Dataset]:
    """The sets of tweets that runs were completed on, the one with most runs first."""
    groups: dict[str, dict[str, CompletedRun]] = defaultdict(dict)
    for run in study.runs:
        if run.completed:
            groups[_tweets(run.completed.config)].setdefault(run.run_id, run.completed)
    found = [_dataset(list(runs.values()), study.problems) for runs in groups.values()]
    return sorted(found, key=lambda one: (-len(one.runs), one.name))


def _dataset(runs: list[CompletedRun], problems: list[str]) -> Dataset:
    data = runs[0].config.data
    source = PurePath(data.source).name
    limited = f", at most {data.max_rows:,} rows" if data.max_rows else ""
    return Dataset(source + limited, "sentiment140" in source.lower() and not data.max_rows, runs, problems)


def _tweets(config: RunConfig) -> str:
    """What decides which tweets a run is tested on."""
    return str({name: value for name, value in config.data.model_dump().items() if name not in _CLEANING})


def _varying(runs: list[CompletedRun]) -> set[str]:
    """Parameters of grids in which these runs differ: what is the same in all tells none from another."""
    names = {name for run in runs for name in run.parameters}
    return {name for name in names if len({run.settings.get(name) for run in runs}) > 1}


def configuration_name(run: CompletedRun, varying: set[str]) -> str:
    """The model in words, with those of the settings `varying` that tell it from the others."""
    extra = [
        wording.setting(name, value)
        for name, value in run.parameters.items()
        if name in varying and name not in wording.IN_MODEL_NAME and _is_of_interest(run, name, value)
    ]
    mark = f" [{RANDOM_MARK}]" if run.is_random else ""
    return ", ".join([wording.model_name(run.config), *extra]) + mark


def _is_of_interest(run: CompletedRun, name: str, value: Any) -> bool:
    """Whether a parameter says something of this model, and not of one that it is not."""
    if name.startswith("model.attention."):
        return run.config.model.pooling == "attention"
    return bool(value != "none")
