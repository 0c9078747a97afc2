"""How sure a number is: intervals and tests, all of them from scipy. Shares are fractions, intervals are of 95 %.

Knows nothing of runs or of output, so that every package of the report may import it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.records import Metrics

LEVEL = 0.95
# Below this p-value a difference counts as shown.
ALPHA = 0.05

# One truth value for each tweet, of shape (n,).
Flags = npt.NDArray[np.bool_]
_RESAMPLES = 2000
# Sums and quotients of equal floating-point values differ by no more than this.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, from `n` observations; the bounds are None where the spread is unknown."""

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval; None without one."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Difference(Estimate):
    """A difference, with the p-value of the hypothesis that it is zero; None where that cannot be tested."""

    p: float | None = None


@dataclass(frozen=True)
class McNemar(Difference):
    """The difference in accuracy of two classifiers on the same `n` tweets.

    `only_first` and `only_second` count the tweets that just one of the two classifies correctly.
    """

    only_first: int = 0
    only_second: int = 0


def wilson(right: int, n: int) -> Estimate:
    """The share `right / n` with Wilson's score interval (Wilson 1927)."""
    from scipy.stats import binomtest

    bounds = binomtest(right, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(right / n, float(bounds.low), float(bounds.high), n)


def measured_accuracy(metrics: Metrics) -> Estimate:
    """The accuracy that a run recorded, with its Wilson interval."""
    return Estimate(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high, metrics.n)


def mcnemar(first: Flags, second: Flags) -> McNemar:
    """The exact McNemar test (McNemar 1947): a binomial test on the tweets that just one classifier has right.

    `first` and `second` are the tweets that each has right. The interval follows from Clopper and Pearson's for the
    first one's share of the discordant tweets, so that it agrees with the test.
    """
    from scipy.stats import binomtest

    n, only_first, only_second = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    if not discordant:
        return McNemar(0.0, 0.0, 0.0, n, 1.0)
    test = binomtest(only_first, discordant)
    bounds = test.proportion_ci(LEVEL, method="exact")
    low, high = ((2 * float(bound) - 1) * discordant / n for bound in (bounds.low, bounds.high))
    return McNemar((only_first - only_second) / n, low, high, n, float(test.pvalue), only_first, only_second)


def false_discovery_control(p_values: Sequence[float]) -> list[float]:
    """q-values by Benjamini and Hochberg (1995), in the order of `p_values`."""
    from scipy.stats import false_discovery_control as adjust

    return [float(q) for q in adjust(p_values)] if p_values else []


def mean(values: Sequence[float]) -> Estimate:
    """The mean with Student's interval; without bounds if there is one value only or all values are equal."""
    from scipy import stats

    centre, n = float(np.mean(values)), len(values)
    if n < 2:
        return Estimate(centre, None, None, n)
    error = float(stats.sem(values))
    if error <= _ROUNDING:
        return Estimate(centre, None, None, n)
    low, high = stats.t.interval(LEVEL, n - 1, loc=centre, scale=error)
    return Estimate(centre, float(low), float(high), n)


def deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def paired_difference(differences: Sequence[float]) -> Difference:
    """Mean of differences between pairs, with Student's interval and the p-value of the paired t-test."""
    from scipy import stats

    of_mean = mean(differences)
    if of_mean.low is None:
        return Difference(of_mean.value, None, None, of_mean.n)
    p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return Difference(of_mean.value, of_mean.low, of_mean.high, of_mean.n, p)


def f1_difference(labels: Flags, first: Flags, second: Flags) -> Difference:
    """F1 of the positive class for two classifiers' answers, first less second, with a percentile bootstrap interval.

    F1 depends only on how many tweets fall into each of the eight cells of label, first and second answer. Drawing
    tweets with replacement draws these counts from a multinomial distribution, so that this is the same bootstrap, in
    milliseconds for any number of tweets.
    """
    cells = np.bincount(4 * labels.astype(int) + 2 * first.astype(int) + second.astype(int), minlength=8)
    drawn = np.random.default_rng(0).multinomial(len(labels), cells / len(labels), _RESAMPLES)
    low, high = np.quantile(_f1_gap(drawn), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Difference(float(_f1_gap(cells[None])[0]), float(low), float(high), len(labels))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Difference:
    """Spearman's rank correlation, with Fisher's interval on the ranks, and its p-value."""
    from scipy.stats import pearsonr, rankdata

    result = pearsonr(rankdata(x), rankdata(y))
    bounds = result.confidence_interval(LEVEL)
    return Difference(float(result.statistic), float(bounds.low), float(bounds.high), len(x), float(result.pvalue))


def is_shown(difference: Difference, q: float | None = None) -> bool:
    """Whether a difference counts as shown; `q` is its p-value adjusted for the number of comparisons."""
    p = difference.p if q is None else q
    return p is not None and not math.isnan(p) and p < ALPHA


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether the values are positive numbers that span so much that their ratios matter, as of learning rates."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) and min(numbers) > 0 and max(numbers) / min(numbers) >= 8


def _f1_gap(cells: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """F1 of the first answers less that of the second; `cells` counts (draws, 8) in the order label, first, second."""
    counts = cells.reshape(-1, 2, 2, 2)
    return _f1(counts.sum(axis=3)) - _f1(counts.sum(axis=2))


def _f1(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """F1 of the positive class; `counts` is (draws, label, answer)."""
    hits = counts[:, 1, 1]
    either = 2 * hits + counts[:, 0, 1] + counts[:, 1, 0]
    return np.asarray(2 * hits / np.maximum(either, 1), np.float64)
