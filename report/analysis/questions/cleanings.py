"""Ways of cleaning compared tweet by tweet: on those tweets that are left under both."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from report import statistics
from report.analysis.comparison.datasets import Configuration, configuration
from report.analysis.measures.common_tweets import Matcher
from report.analysis.questions.effects import comparable, varying
from report.read.load import CompletedRun, Grid, read_each
from report.read.predictions import Scores, read_scores
from report.statistics import Difference, McNemar
from sentiment.run_dir import Results

_TEXT, _DATA = "data.text.", "data."

# The settings of cleaning that vary in a grid, by dotted name, in a fixed order.
Cleaning = tuple[tuple[str, Any], ...]


class Obstacle(Enum):
    """Why two ways of cleaning cannot be compared tweet by tweet."""

    NO_COMMON_SEED = auto()
    FILE_CHANGED = auto()
    NO_CORPUS = auto()
    NO_COMMON_TWEET = auto()


@dataclass(frozen=True)
class ComparedClassifier:
    """A net, or the linear baseline, under several ways of cleaning."""

    configuration: Configuration
    """The net, or one that was trained on the same tweets as the baseline, under any of the cleanings."""
    is_baseline: bool

    def probabilities(self, scores: Scores) -> npt.NDArray[np.float64]:
        """The probabilities of positive sentiment, of shape (n,)."""
        return scores.baseline if self.is_baseline else scores.model


@dataclass(frozen=True)
class CleaningPair:
    """Two ways of cleaning that differ in one setting, under one classifier."""

    classifier: ComparedClassifier
    first: Cleaning
    second: Cleaning


@dataclass(frozen=True)
class CleaningGap:
    """What one way of cleaning is worth against another."""

    pair: CleaningPair
    gap: Difference
    """Accuracy under the first less that under the second, on the tweets that both have; for a net the mean over seeds.

    A single classifier is tested by McNemar's exact test. With several seeds, each tweet counts with the share of them
    that have it right, and the test is the paired t-test over tweets. (The mean of the seeds' probabilities would be
    another classifier: averaging helps nets the more, the less they agree, and can reverse a difference.)
    """
    by_seed: list[McNemar]
    """The same for each seed that the net has under both; empty for the baseline, which has none."""
    only_first: int
    """Test tweets that only the first has."""
    only_second: int
    q: float | None = None
    """p-value of the gap, adjusted for the number of pairs within the grid."""
    seeds_shown: int = 0
    """In how many seeds a difference is shown, p-values adjusted for the number of all seeds' tests."""


@dataclass(frozen=True)
class CleaningComparison:
    """The ways of cleaning that a grid tries, pair by pair."""

    gaps: list[CleaningGap]
    refused: list[tuple[Obstacle, CleaningPair]]
    """The pairs that cannot be compared."""
    problems: list[str]
    """Predictions that cannot be read, by name."""


def compare_cleanings(grid: Grid, results: Results) -> CleaningComparison:
    """Compare all pairs of cleanings that differ in one setting, for each net and for the baseline."""
    runs = comparable(grid.completed)
    names = [name for name in varying(runs) if name.startswith(_TEXT)]
    gaps: list[CleaningGap] = []
    refused: list[tuple[Obstacle, CleaningPair]] = []
    problems: list[str] = []
    matcher = Matcher(results)
    for classifier, by_cleaning in _classifiers(runs, names):
        scores = {}
        for cleaning, of_cleaning in by_cleaning.items():
            scores[cleaning], unreadable = _read(of_cleaning, classifier.is_baseline)
            problems += unreadable
        for first, second in combinations(by_cleaning, 2):
            if sum(a != b for a, b in zip(first, second, strict=True)) != 1:
                continue
            pair = CleaningPair(classifier, first, second)
            found = _compare(pair, scores[first], scores[second], matcher)
            if isinstance(found, CleaningGap):
                gaps.append(found)
            else:
                refused.append((found, pair))
    return CleaningComparison(_adjusted(gaps), refused, problems)


def _read(runs: list[CompletedRun], is_baseline: bool) -> tuple[dict[int, Scores], list[str]]:
    """Scores on test tweets by seed, and what cannot be read; the baseline has no seed, and any run shows it."""
    found, problems = read_each(runs, lambda run: read_scores(run, "test"))
    by_seed = {run.config.seed: found[run.run_id] for run in runs if run.run_id in found}
    return ({0: next(iter(by_seed.values()))} if is_baseline and by_seed else by_seed), problems


def _adjusted(gaps: list[CleaningGap]) -> list[CleaningGap]:
    together, q_values = statistics.corrected([one.gap for one in gaps])
    _, adjusted = statistics.corrected([seed for one in gaps for seed in one.by_seed])
    of_seeds = iter(adjusted)
    return [
        replace(one, gap=gap, q=q, seeds_shown=sum(statistics.is_shown(seed, next(of_seeds)) for seed in one.by_seed))
        for one, gap, q in zip(gaps, together, q_values, strict=True)
    ]


def _classifiers(
    runs: list[CompletedRun], names: list[str]
) -> Iterator[tuple[ComparedClassifier, dict[Cleaning, list[CompletedRun]]]]:
    """The nets, whose runs differ by cleaning and seed alone, with their runs by cleaning; then the baselines.

    Args:
        names: the settings of cleaning that vary.
    """
    nets: dict[Any, dict[Cleaning, list[CompletedRun]]] = defaultdict(lambda: defaultdict(list))
    baselines: dict[Any, dict[Cleaning, list[CompletedRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        cleaning = tuple((name, run.settings.get(name)) for name in names)
        others = [(name, value) for name, value in run.settings.items() if name not in (*names, "seed")]
        nets[frozenset(others)][cleaning].append(run)
        baselines[frozenset(one for one in others if one[0].startswith(_DATA))][cleaning].append(run)
    others_vary = set(varying(runs)) - set(names)
    data_varies = {name for name in others_vary if name.startswith(_DATA)}
    for groups, distinguishing in ((nets, others_vary), (baselines, data_varies)):
        for by_cleaning in groups.values():
            example = configuration(next(iter(by_cleaning.values())), distinguishing)
            yield ComparedClassifier(example, groups is baselines), by_cleaning


def _compare(
    pair: CleaningPair, first: dict[int, Scores], second: dict[int, Scores], matcher: Matcher
) -> CleaningGap | Obstacle:
    """The difference between two ways of cleaning, or why it cannot be told.

    Args:
        first: scores under the first cleaning, by seed.
        second: the same under the second.
    """
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return Obstacle.NO_COMMON_SEED
    if any(len({one[seed].corpus for seed in seeds}) > 1 for one in (first, second)):
        return Obstacle.FILE_CHANGED
    common = matcher.common(first[seeds[0]], second[seeds[0]])
    if common is None:
        return Obstacle.NO_CORPUS
    if not common.n:
        return Obstacle.NO_COMMON_TWEET
    classifier = pair.classifier
    right = [
        [one[seed].right(classifier.probabilities(one[seed]))[places] for seed in seeds]
        for one, places in ((first, common.first), (second, common.second))
    ]
    by_seed = [statistics.mcnemar(*of_seed) for of_seed in zip(*right, strict=True)]
    shares = [np.mean(one, axis=0) for one in right]
    gap = by_seed[0] if len(seeds) == 1 else statistics.paired_difference(shares[0] - shares[1], 1.0)
    by_seed = [] if classifier.is_baseline else by_seed
    return CleaningGap(pair, gap, by_seed, common.only_first, common.only_second)
