"""Mistakes in groups: what every run has wrong, what runs disagree about, and what has a negating word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.compare.answers import Matcher
from report.compare.datasets import Dataset, has_negation
from report.read.predictions import Scores
from report.statistics import Values
from sentiment.runs.records import THRESHOLD
from sentiment.runs.run_dir import Results

# With fewer runs it means little that all of them are wrong.
_ENOUGH_RUNS = 4
# A share of runs from here to its complement counts as disagreement.
_DISPUTED = 0.35

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mistakes:
    """Places of test tweets that the recommended run has wrong, those that it is most sure of first."""

    share_right: Values
    """Of all runs that were tested on a tweet, how many have it right; NaN where none was."""
    runs: int
    every_run: Places
    """Wrong in all runs: the label may be wrong."""
    disputed: Places
    """About half of the runs have it right: often irony, or two feelings at once."""
    negated: Places
    """With a negating word."""
    others: Places


def group_mistakes(dataset: Dataset, scores: Scores, texts: Sequence[str], results: Results) -> Mistakes:
    """The mistakes of a run, each in the first group that it belongs to."""
    share = _share_right(dataset, scores, results)
    runs = len(dataset.comparisons)
    wrong = np.flatnonzero(~scores.right(scores.model))
    wrong = wrong[np.argsort(-np.abs(scores.model[wrong] - THRESHOLD), kind="stable")]
    by_all = (share[wrong] == 0) & (runs >= _ENOUGH_RUNS)
    by_half = ~by_all & (share[wrong] >= _DISPUTED) & (share[wrong] <= 1 - _DISPUTED)
    negation = np.array([has_negation(texts[int(place)]) for place in wrong], bool)
    negated = ~by_all & ~by_half & negation
    rest = ~by_all & ~by_half & ~negated
    return Mistakes(share, runs, wrong[by_all], wrong[by_half], wrong[negated], wrong[rest])


def _share_right(dataset: Dataset, scores: Scores, results: Results) -> Values:
    """Of each tweet of `scores`, the share of runs that have it right."""
    matcher = Matcher(results)
    right, known = np.zeros(len(scores.rows)), np.zeros(len(scores.rows))
    for comparison in dataset.comparisons.values():
        common = matcher.common(scores, comparison.answered)
        if common:
            right[common.first] += comparison.answered.right()[common.second]
            known[common.first] += 1
    return np.asarray(np.where(known > 0, right / np.maximum(known, 1), np.nan), np.float64)
