"""What each parameter of a grid does: means with the others averaged out, and differences between matched runs."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from report import statistics
from report.analysis.comparison.answers import Answers, compared, spread_between
from report.read.load import CompletedRun
from report.statistics import Difference, Estimate


def test_accuracy(run: CompletedRun) -> float:
    """The score by which settings are compared."""
    return run.result.metrics["test"].accuracy


def seconds_per_epoch(run: CompletedRun) -> float:
    """The time by which settings are compared."""
    return run.result.seconds_per_epoch


@dataclass(frozen=True)
class Level:
    """One value of a parameter, all others averaged out."""

    value: Any
    is_random: bool
    """Whether all runs with it read random numbers in place of ELMo."""
    validation_f1: float
    """Mean over runs: what the best value is chosen by."""
    score: Estimate
    """Test accuracy, with Student's interval over runs."""
    seconds: float
    """Mean per epoch."""


@dataclass(frozen=True)
class Contrast:
    """The best value against another, over runs that differ in nothing else but their seeds."""

    best: Level
    other: Level
    runs: tuple[int, int]
    """How many of each are compared."""
    score: Difference | None
    """Test accuracy with the best value less that with the other, on the tweets that all these runs have; corrected for
    all pairs of values in the grid. None if predictions can't be read, or the tweets can't be matched."""
    time_ratio: float
    """Seconds per epoch, best by other (geometric mean)."""


@dataclass(frozen=True)
class Effect:
    """What one parameter does."""

    parameter: str
    """Its dotted name."""
    levels: list[Level]
    contrasts: list[Contrast]


_NO_QUESTIONS = {"seed", "data.folds", "data.fold"}


@dataclass(frozen=True)
class Matched:
    """The runs that differ in one parameter, and in nothing else but their seeds."""

    first: list[CompletedRun]
    second: list[CompletedRun]


def effects_of(runs: list[CompletedRun], answers: Answers) -> list[Effect]:
    """The effect of every setting that varies among `runs`; those on random numbers are left out."""
    runs = comparable(runs)
    found = {parameter: levels for parameter in varying(runs) if (levels := _levels(runs, parameter))}
    contrasts = [
        (parameter, best, other, matched)
        for parameter, levels in found.items()
        for best in [max(levels, key=lambda level: level.validation_f1)]
        for other in levels
        if other is not best and (matched := matched_runs(runs, parameter, best.value, other.value))
    ]
    spread = spread_between(seeds_together(runs))
    pairs = (
        answers.pair([one.first for one in matched], [one.second for one in matched], spread)
        for _, _, _, matched in contrasts
    )
    scores = compared(pairs, sum(statistics.pairs_of(len(levels)) for levels in found.values()))
    effects: dict[str, list[Contrast]] = {parameter: [] for parameter in found}
    for (parameter, best, other, matched), score in zip(contrasts, scores, strict=True):
        many = (sum(len(one.first) for one in matched), sum(len(one.second) for one in matched))
        effects[parameter].append(Contrast(best, other, many, score, _time_ratio(matched)))
    return [Effect(parameter, found[parameter], effects[parameter]) for parameter in found]


def seeds_together(runs: Iterable[CompletedRun]) -> list[list[CompletedRun]]:
    """Runs that differ by their seed alone, together."""
    groups: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        groups[run.config.model_copy(update={"seed": 0}).fingerprint()].append(run)
    return list(groups.values())


def comparable(runs: list[CompletedRun]) -> list[CompletedRun]:
    """The runs without those whose ELMo vectors are random numbers, unless all are of that kind."""
    return [run for run in runs if not run.is_random] or runs


def varying(runs: Iterable[CompletedRun]) -> list[str]:
    """Names of the settings that differ between runs in which they do something, in the order of the schema.

    The seed is none, and neither are folds: they say which tweets are tested, not what the model is.
    """
    used = [(run.settings, run.config.unused_fields()) for run in runs]
    names = dict.fromkeys(name for settings, _ in used for name in settings if name not in _NO_QUESTIONS)
    return [
        name
        for name in names
        if len({settings.get(name) for settings, unused in used if not name.startswith(unused)}) > 1
    ]


def matched_runs(runs: Sequence[CompletedRun], parameter: str, first: Any, second: Any) -> list[Matched]:
    """The runs with one value of a parameter, and those with another that differ in nothing else but their seeds.

    Settings that do nothing with one of the values can't be equal on both sides: runs that differ in those are taken
    together.

    Args:
        parameter: its dotted name.
    """
    sides = [[run for run in runs if run.settings.get(parameter) == value] for value in (first, second)]
    ignored = set.union(*(_unused_by_all(side) for side in sides))
    firsts, seconds = (_by_others(side, parameter, ignored) for side in sides)
    return [Matched(of_first, seconds[others]) for others, of_first in firsts.items() if others in seconds]


def _by_others(runs: list[CompletedRun], parameter: str, ignored: set[str]) -> dict[Any, list[CompletedRun]]:
    """Runs by their other settings but the seed.

    Args:
        ignored: how the names of settings begin that are no part of the key; nor are those that do nothing in a run.
    """
    found: dict[Any, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        unused = (*ignored, *run.config.unused_fields())
        others = [one for one in run.settings.items() if one[0] not in (parameter, "seed")]
        found[frozenset(one for one in others if not one[0].startswith(unused))].append(run)
    return found


def _unused_by_all(runs: list[CompletedRun]) -> set[str]:
    return set.intersection(*(set(run.config.unused_fields()) for run in runs)) if runs else set()


def _levels(runs: list[CompletedRun], parameter: str) -> list[Level]:
    groups: dict[Any, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        if not parameter.startswith(run.config.unused_fields()):
            groups[run.settings.get(parameter)].append(run)
    return [_level(value, groups[value]) for value in sorted(groups, key=_order)]


def _order(value: Any) -> tuple[int, float, str]:
    is_number = isinstance(value, int | float)
    return (0 if value is None else 1 if is_number else 2, float(value) if is_number else 0.0, str(value))


def _level(value: Any, runs: list[CompletedRun]) -> Level:
    return Level(
        value=value,
        is_random=all(run.is_random for run in runs),
        validation_f1=fmean(run.result.metrics["validation"].f1 for run in runs),
        score=statistics.mean_share([test_accuracy(run) for run in runs]),
        seconds=fmean(seconds_per_epoch(run) for run in runs),
    )


def _time_ratio(matched: list[Matched]) -> float:
    sides = [
        [fmean(math.log(max(seconds_per_epoch(run), 1e-9)) for run in side) for side in (one.first, one.second)]
        for one in matched
    ]
    return math.exp(fmean(first - second for first, second in sides))
