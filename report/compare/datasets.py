"""Runs on the same tweets, which alone can be compared; and what several seeds of one configuration say together."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from report.compare.answers import Answered, Answers, Matcher, against_baseline, answered
from report.read.load import CompletedRun, read_each
from report.read.predictions import read_scores
from report.statistics import Difference, Estimate, Flags, wilson
from sentiment.config import RunConfig
from sentiment.runs.records import THRESHOLD, Part
from sentiment.runs.run_dir import Results

_GROUPS = 10
_SUREST = 1e-7
# Bounds of the groups of tweets by length, in tokens.
_LENGTHS = ((1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))
# Negation as it is typed, with and without apostrophe.
_NEGATION = re.compile(
    r"\b(no|not|nor|never|none|nobody|nothing|nowhere|neither|without|cannot|\w+n['\u2019]t|(?:ca|wo|do|is|did|does|was|could|"
    r"would|should|have|has|are|were)nt)\b",
    re.IGNORECASE,
)

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Groups of equally many tweets with similar scores: the mean probability, and the share that is positive."""

    predicted: list[float]
    observed: list[Estimate]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of the two, weighted by tweets (Naeini et al. 2015)."""
        pairs = zip(self.predicted, self.observed, strict=True)
        distances = [abs(predicted - share.value) for predicted, share in pairs]
        return float(np.average(distances, weights=[share.n for share in self.observed]))


def calibrate(labels: Flags, scores: Values) -> Calibration:
    """Ten groups of tweets by score, with Wilson's interval for the share of positive ones."""
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, _GROUPS) if len(group)]
    predicted = [float(scores[group].mean()) for group in groups]
    return Calibration(predicted, [wilson(int(labels[group].sum()), len(group)) for group in groups])


def log_loss(labels: Flags, scores: Values) -> float:
    """Mean binary cross-entropy in nats; of scores that were stored in 32 bits none is surer than these can tell."""
    right = np.where(labels, scores, 1 - scores)
    return float(-np.log(np.maximum(right, _SUREST)).mean())


def calibration_points(labels: Flags, scores: Values) -> list[tuple[float, float, int]]:
    """The same groups without intervals: mean probability, share of positive tweets, and number of tweets."""
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, _GROUPS) if len(group)]
    return [(float(scores[group].mean()), float(labels[group].mean()), len(group)) for group in groups]


def confusion(labels: Flags, answers: Flags) -> npt.NDArray[np.int64]:
    """Numbers of tweets by (label, answer), of shape (2, 2), negative first."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(labels, answers, labels=[False, True]), np.int64)


def length_groups(lengths: npt.NDArray[np.int64]) -> list[tuple[tuple[int, int | None], Flags]]:
    """Tweets by their number of tokens: the bounds of each group that has members, and which tweets those are."""
    groups = [((low, high), (lengths >= low) & (lengths <= (high or np.inf))) for low, high in _LENGTHS]
    return [(bounds, members) for bounds, members in groups if members.any()]


def has_negation(text: str) -> bool:
    """Whether a tweet has a negating word."""
    return bool(_NEGATION.search(text))


def negation_groups(texts: Sequence[str]) -> list[tuple[bool, Flags]]:
    """Tweets with a negating word (True) and without one (False): each group that has members, and which these are."""
    negated = np.array([has_negation(text) for text in texts])
    return [(is_negated, members) for is_negated, members in ((True, negated), (False, ~negated)) if members.any()]


def accuracy_by_group(right: Flags, groups: Sequence[Flags]) -> list[Estimate]:
    """The share of each group's tweets that is classified correctly, with Wilson's interval."""
    return [wilson(int(right[members].sum()), int(members.sum())) for members in groups]


# How tweets are cleaned, which are trained on and which further ones tested on changes nothing in the test part.
_NOT_OF_TESTING = ("text", "vocabulary", "extra_train", "train_rows", "tests")

LEXICON_AUTHORS = ("vader", "sample")
"""Data sets of Hutto & Gilbert (2014)."""


@dataclass(frozen=True)
class Configuration:
    """Runs that differ by their seed alone."""

    runs: list[CompletedRun]
    distinguishing: dict[str, Any]
    """The settings by dotted name that tell it from the others that it stands beside."""

    @property
    def config(self) -> RunConfig:
        """The configuration with one of its seeds."""
        return self.runs[0].config

    @property
    def is_random(self) -> bool:
        """Whether its ELMo vectors are random numbers."""
        return any(run.is_random for run in self.runs)

    def mean(self, part: Part, metric: str) -> float | None:
        """A metric's mean over seeds; None if there is no such part."""
        values = self.values(part, metric)
        return sum(values) / len(values) if values else None

    def values(self, part: Part, metric: str) -> list[float]:
        """A metric's value for each seed."""
        return [getattr(run.result.metrics[part], metric) for run in self.runs if part in run.result.metrics]

    @property
    def chosen(self) -> CompletedRun:
        """The seed that does best on validation tweets."""
        return max(self.runs, key=lambda run: run.result.metrics["validation"].f1)


@dataclass(frozen=True)
class Comparison:
    """A run on its test tweets."""

    answered: Answered
    confusion: list[int]
    """Numbers of tweets by label and answer: negative called negative, negative called positive, and so on."""
    calibration: list[tuple[float, float, int]]
    """Of groups with similar probabilities: their mean, the share of positive tweets, and the number of tweets."""


@dataclass(frozen=True)
class Dataset:
    """The completed runs on one set of tweets."""

    source: str
    """The source's name, or the name of a table's file."""
    max_rows: int | None
    """How many rows were used at most; None if all were."""
    folds: int | None
    """In how many folds the runs were tested on all of it; None if on one test part."""
    is_sentiment140: bool
    """Whether it is all of Sentiment140."""
    from_lexicon_authors: bool
    """Whether the authors of VADER's lexicon collected the tweets, and the results know that lexicon."""
    runs: list[CompletedRun]
    """Each once, even if several grids have it."""
    configurations: list[Configuration]
    """Best mean validation F1 first; those of random numbers are not among the best, and come last."""
    comparisons: dict[str, Comparison]
    """By run id, for each run whose predictions can be read."""
    against_baseline: list[Difference | None]
    """Of each configuration, in their order, its test accuracy less the linear baseline's, corrected for all of them;
    None if no predictions can be read."""
    answers: Answers
    """What its runs and baselines answer to each test tweet."""
    problems: list[str]
    """Predictions that cannot be read, by name."""

    @property
    def best(self) -> Configuration | None:
        """The configuration that is recommended."""
        return best_of(self.configurations)


def best_of(configurations: Iterable[Configuration]) -> Configuration | None:
    """The configuration with the best mean validation F1, of those with several seeds if there are any.

    A single seed is partly luck, most of all the best of many in a search; random numbers never win.

    Args:
        configurations: the best mean validation F1 first.
    """
    usable = [one for one in configurations if not one.is_random]
    return next((one for one in usable if len(one.runs) > 1), usable[0] if usable else None)


def datasets_of(runs: Iterable[CompletedRun], results: Results) -> list[Dataset]:
    """The sets of tweets that runs were completed on, the one with most runs first."""
    found = [_dataset(group, results) for group in group_by_tweets(runs)]
    return sorted(found, key=lambda one: (-len(one.runs), one.source, one.max_rows or 0))


def group_by_tweets(runs: Iterable[CompletedRun]) -> list[list[CompletedRun]]:
    """Runs that were tested on the same tweets, each of them once."""
    groups: dict[str, dict[str, CompletedRun]] = defaultdict(dict)
    for run in runs:
        groups[_tweets(run.config)].setdefault(run.run_id, run)
    return [list(group.values()) for group in groups.values()]


def configurations_of(runs: Sequence[CompletedRun]) -> list[Configuration]:
    """Runs by their configuration, best mean validation F1 first and those of random numbers last."""
    groups: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        groups[run.config.model_copy(update={"seed": 0}).fingerprint()].append(run)
    varying = _varying(runs)
    found = [configuration(group, varying) for group in groups.values()]
    return sorted(found, key=lambda one: (one.is_random, -(one.mean("validation", "f1") or 0.0), _tie_break(one)))


def configuration(runs: list[CompletedRun], varying: Iterable[str]) -> Configuration:
    """Runs that differ by their seed alone, with those of the settings `varying` that say something about them."""
    example = runs[0]
    chosen = set(varying)
    settings = {name: value for name, value in example.parameters.items() if name in chosen}
    return Configuration(runs, {name: value for name, value in settings.items() if _says_something(example, name)})


def _dataset(runs: list[CompletedRun], results: Results) -> Dataset:
    data = runs[0].config.data
    comparisons, problems = read_each(runs, _compare)
    comparisons = _sharing_rows(comparisons)
    configurations = configurations_of(runs)
    answers = Answers({run_id: one.answered for run_id, one in comparisons.items()}, Matcher(results))
    return Dataset(
        source=PurePath(data.source).name,
        max_rows=data.max_rows,
        folds=len(runs[0].folds) or None,
        is_sentiment140=not data.max_rows and all(run.read_sentiment140 for run in runs),
        from_lexicon_authors=data.source in LEXICON_AUTHORS and any(run.result.lexicon for run in runs),
        runs=runs,
        configurations=configurations,
        comparisons=comparisons,
        against_baseline=against_baseline([one.runs for one in configurations], answers),
        answers=answers,
        problems=problems,
    )


def _compare(run: CompletedRun) -> Comparison | None:
    scores = read_scores(run, "test")
    if scores is None:
        return None
    return Comparison(
        answered=answered(scores),
        confusion=np.bincount(2 * scores.labels + (scores.model >= THRESHOLD), minlength=4).tolist(),
        calibration=calibration_points(scores.labels, scores.model),
    )


def _sharing_rows(comparisons: dict[str, Comparison]) -> dict[str, Comparison]:
    """The same, with one array of places for all runs on the same tweets."""
    kept: dict[str, npt.NDArray[np.int64]] = {}
    for one in comparisons.values():
        kept.setdefault(one.answered.corpus, one.answered.rows)
    return {
        run_id: replace(one, answered=replace(one.answered, rows=kept[one.answered.corpus]))
        if np.array_equal(kept[one.answered.corpus], one.answered.rows)
        else one
        for run_id, one in comparisons.items()
    }


def _tweets(config: RunConfig) -> str:
    """What decides which tweets a run is tested on."""
    return str({name: value for name, value in config.data.model_dump().items() if name not in _NOT_OF_TESTING})


def _varying(runs: Iterable[CompletedRun]) -> set[str]:
    """The grids' parameters in which these runs differ: a value that all share tells none from another."""
    names = {name for run in runs for name in run.parameters}
    return {name for name in names if len({run.settings.get(name) for run in runs}) > 1}


def _says_something(run: CompletedRun, name: str) -> bool:
    """Whether a parameter describes this model: `none` does not, nor does anything about attention it does not pay."""
    if name.startswith("model.attention."):
        return run.config.model.pooling == "attention"
    return bool(run.parameters[name] != "none")


def _tie_break(one: Configuration) -> tuple[str, list[str]]:
    """What orders configurations with equal scores: the readable part of the id, then the settings."""
    return one.runs[0].run_id.rpartition("-")[0], [str(value) for value in one.distinguishing.values()]
