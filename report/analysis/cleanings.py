"""Ways of cleaning compared tweet by tweet: on those tweets that are left under both."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from report.analysis import statistics
from report.analysis.common_tweets import Matcher
from report.analysis.datasets import configuration_name
from report.analysis.effects import comparable, varying
from report.analysis.statistics import Difference, McNemar
from report.analysis.tweet_metrics import Values
from report.read.load import CompletedRun, Grid
from report.read.predictions import Scores, read_scores
from report.render import wording
from sentiment.errors import RunDirError
from sentiment.run_dir import Results

_TEXT, _DATA = "data.text.", "data."

# The values of those settings of cleaning that vary in a grid.
_Cleaning = tuple[Any, ...]


@dataclass(frozen=True)
class Pair:
    """Two ways of cleaning that differ in one setting, under one model."""

    model: str
    first: str
    second: str
    gap: Difference
    """Accuracy under the first less that under the second, on the tweets that both have; for a net the mean over seeds.

    A single classifier is tested by McNemar's exact test. With several seeds a tweet counts with the share of them that
    have it right, and the test is the paired t-test over tweets. (The mean of the seeds' probabilities would be another
    classifier: averaging helps nets the more, the less they agree, and can turn a difference round.)
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
class _Model:
    """A net, or the baseline, under several ways of cleaning."""

    name: str
    is_baseline: bool
    runs: dict[_Cleaning, list[CompletedRun]]

    def read(self, cleaning: _Cleaning, problems: list[str]) -> dict[int, Scores]:
        """What it says of test tweets, by seed; the baseline has none, and any run that can be read shows it."""
        found: dict[int, Scores] = {}
        for run in self.runs[cleaning]:
            try:
                scores = read_scores(run, "test")
            except RunDirError as error:
                problems.append(str(error))
                continue
            if scores and self.is_baseline:
                return {0: scores}
            if scores:
                found[run.config.seed] = scores
        return found

    def probabilities(self, scores: Scores) -> Values:
        """Of positive sentiment."""
        return scores.baseline if self.is_baseline else scores.model


def compare_cleanings(grid: Grid, results: Results, problems: list[str]) -> tuple[list[Pair], dict[str, list[str]]]:
    """All pairs that can be compared, and by the reason those that can't; unreadable files are added to `problems`."""
    runs = comparable(grid.completed)
    names = [name for name in varying(runs) if name.startswith(_TEXT)]
    pairs: list[Pair] = []
    refused: dict[str, list[str]] = defaultdict(list)
    matcher = Matcher(results)
    for model in _models(runs, names):
        scores = {cleaning: model.read(cleaning, problems) for cleaning in model.runs}
        for first, second in combinations(model.runs, 2):
            if sum(a != b for a, b in zip(first, second, strict=True)) != 1:
                continue
            words = (_in_words(names, first), _in_words(names, second))
            found = _compare(model, words, scores[first], scores[second], matcher)
            if isinstance(found, Pair):
                pairs.append(found)
            else:
                refused[found].append(f"{words[0]} with {words[1]} ({model.name})")
    return _adjusted(pairs), refused


def _adjusted(pairs: list[Pair]) -> list[Pair]:
    q_values = statistics.false_discovery_control([_p(pair.gap) for pair in pairs])
    of_seeds = iter(statistics.false_discovery_control([_p(gap) for pair in pairs for gap in pair.by_seed]))
    return [
        replace(pair, q=q, seeds_shown=sum(statistics.is_shown(gap, next(of_seeds)) for gap in pair.by_seed))
        for pair, q in zip(pairs, q_values, strict=True)
    ]


def _p(gap: Difference) -> float:
    """One where nothing differs, so that there is nothing to test."""
    return 1.0 if gap.p is None else gap.p


def _models(runs: list[CompletedRun], names: list[str]) -> Iterator[_Model]:
    """Runs that differ by cleaning and seed alone, by what else they are; then the baselines."""
    nets: dict[Any, dict[_Cleaning, list[CompletedRun]]] = defaultdict(lambda: defaultdict(list))
    baselines: dict[Any, dict[_Cleaning, list[CompletedRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        cleaning = tuple(run.settings.get(name) for name in names)
        others = [(name, value) for name, value in run.settings.items() if name not in (*names, "seed")]
        nets[frozenset(others)][cleaning].append(run)
        baselines[frozenset(one for one in others if one[0].startswith(_DATA))][cleaning].append(run)
    others_vary = set(varying(runs)) - set(names)
    for of_net in nets.values():
        yield _Model(configuration_name(_any_run(of_net), others_vary), False, of_net)
    for of_baseline in baselines.values():
        settings = _any_run(of_baseline).settings
        data = [wording.setting(name, settings.get(name)) for name in sorted(others_vary) if name.startswith(_DATA)]
        yield _Model(", ".join(["linear baseline", *data]), True, of_baseline)


def _any_run(runs: dict[_Cleaning, list[CompletedRun]]) -> CompletedRun:
    return next(iter(runs.values()))[0]


def _compare(
    model: _Model, names: tuple[str, str], first: dict[int, Scores], second: dict[int, Scores], matcher: Matcher
) -> Pair | str:
    """The pair, or why there is none."""
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return "there is no seed with readable predictions under both"
    if any(len({one[seed].corpus for seed in seeds}) > 1 for one in (first, second)):
        return "seeds were trained on different states of the file of tweets"
    common = matcher.common(first[seeds[0]], second[seeds[0]])
    if common is None:
        return "the prepared tweets, by which they would be matched, are not on this machine"
    if not common.n:
        return "they have no test tweet in common"
    right = [
        [one[seed].right(model.probabilities(one[seed]))[places] for seed in seeds]
        for one, places in ((first, common.first), (second, common.second))
    ]
    by_seed = [statistics.mcnemar(*of_seed) for of_seed in zip(*right, strict=True)]
    shares = [np.mean(one, axis=0) for one in right]
    gap = by_seed[0] if len(seeds) == 1 else statistics.paired_difference(shares[0] - shares[1])
    return Pair(model.name, *names, gap, [] if model.is_baseline else by_seed, common.only_first, common.only_second)


def _in_words(names: list[str], cleaning: _Cleaning) -> str:
    return ", ".join(wording.setting(name, value) for name, value in zip(names, cleaning, strict=True))
