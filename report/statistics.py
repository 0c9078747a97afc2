"""How sure a number is: intervals and tests, all of them from scipy. Shares are fractions, intervals are of 95 %.

Knows nothing of runs or of output, so that every package of the report may import it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from sentiment.records import Metrics

LEVEL = 0.95
# Below this p-value a difference counts as shown.
ALPHA = 0.05

# One truth value for each tweet, of shape (n,).
Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
_RESAMPLES = 2000
# Sums and quotients of equal floating-point values differ by no more than this.
_ROUNDING = 1e-12
_ALMOST_ONE = 1 - 1e-12


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
    error: float | None = None
    """The standard error of a difference that is tested by Student's t; None for others."""
    freedom: float | None = None
    """Degrees of freedom of that test."""
    limit: float | None = None
    """What the difference cannot exceed in either direction: 1 where it is one of shares."""

    def at(self, level: float) -> Self:
        """The same with the interval of another level; as it is where the interval does not come from Student's t."""
        from scipy import stats

        if self.error is None or self.freedom is None:
            return self
        low, high = stats.t.interval(level, self.freedom, loc=self.value, scale=self.error)
        most = math.inf if self.limit is None else self.limit
        return replace(self, low=max(float(low), -most), high=min(float(high), most))


D = TypeVar("D", bound=Difference)


@dataclass(frozen=True)
class McNemar(Difference):
    """The difference in accuracy of two classifiers on the same `n` tweets.

    `only_first` and `only_second` count the tweets that just one of the two classifies correctly.
    """

    only_first: int = 0
    only_second: int = 0

    def at(self, level: float) -> Self:
        """The same with the interval of another level."""
        from scipy.stats import binomtest

        discordant = self.only_first + self.only_second
        if not discordant:
            return self
        bounds = binomtest(self.only_first, discordant).proportion_ci(level, method="exact")
        low, high = ((2 * float(bound) - 1) * discordant / self.n for bound in (bounds.low, bounds.high))
        return replace(self, low=low, high=high)


@dataclass(frozen=True)
class Correlation(Difference):
    """A correlation, with interval and test by Fisher's transformation, so that they agree."""

    def at(self, level: float) -> Self:
        """The same with the interval of another level."""
        from scipy.stats import norm

        if self.n <= 3 or math.isnan(self.value):
            return self
        centre = math.atanh(max(min(self.value, _ALMOST_ONE), -_ALMOST_ONE))
        half = float(norm.ppf((1 + level) / 2)) / math.sqrt(self.n - 3)
        return replace(self, low=math.tanh(centre - half), high=math.tanh(centre + half))


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
    p = float(binomtest(only_first, discordant).pvalue)
    value = (only_first - only_second) / n
    return McNemar(value, None, None, n, p, only_first=only_first, only_second=only_second).at(LEVEL)


def false_discovery_control(p_values: Sequence[float]) -> list[float]:
    """q-values by Benjamini and Hochberg (1995), in the order of `p_values`."""
    from scipy.stats import false_discovery_control as adjust

    return [float(q) for q in adjust(p_values)] if p_values else []


def corrected(differences: Sequence[D]) -> tuple[list[D], list[float | None]]:
    """Differences that are looked at together: with intervals and p-values that never disagree.

    The p-values are adjusted by Benjamini and Hochberg (1995), the intervals have the level 1 - R * ALPHA / m, where R
    of m differences are shown (Benjamini and Yekutieli 2005: at most 5 % of the intervals of what is shown miss the
    truth, on average). So an interval excludes zero just where the adjusted p is below ALPHA.

    Returns:
        The differences with these intervals, and the adjusted p-values; None for those that cannot be tested.
    """
    tested = [one.p for one in differences if one.p is not None and not math.isnan(one.p)]
    adjusted = iter(false_discovery_control(tested))
    q_values = [None if one.p is None or math.isnan(one.p) else next(adjusted) for one in differences]
    shown = sum(q is not None and q < ALPHA for q in q_values)
    level = 1 - max(shown, 1) * ALPHA / max(len(tested), 1)
    return [one.at(level) for one in differences], q_values


def crossed_difference(first: Values, second: Values) -> Difference:
    """Mean accuracy of one configuration's seeds less another's, on the same tweets, for other seeds and other tweets.

    Seeds and tweets are both drawn at random, and crossed. The variance of the difference is that over tweets, of the
    difference between the two means over seeds, and for each side with several seeds that between seeds beyond what
    tweets explain (analysis of variance with two random factors); degrees of freedom by Satterthwaite (1946). One seed
    alone says nothing of others: then the interval is for these trained models.

    Args:
        first: which tweets each seed has right (1) or not (0), of shape (seeds, tweets).
        second: the same of the other configuration; shape (1, tweets) for a baseline that knows no seed.
    """
    from scipy import stats

    n = first.shape[1]
    by_tweet = first.mean(axis=0) - second.mean(axis=0)
    parts = [(float(by_tweet.var(ddof=1)) / n, n - 1)]
    parts += [(_between_seeds(side), len(side) - 1) for side in (first, second) if len(side) > 1]
    variance, value = sum(part for part, _ in parts), float(by_tweet.mean())
    if variance <= _ROUNDING**2:
        return Difference(value, None, None, n)
    freedom = variance**2 / sum(part**2 / of_part for part, of_part in parts)
    error = math.sqrt(variance)
    p = float(2 * stats.t.sf(abs(value) / error, freedom))
    return Difference(value, None, None, n, p, error, freedom, 1.0).at(LEVEL)


def _between_seeds(right: Values) -> float:
    """The part of the variance of a mean over seeds (seeds, tweets) that comes from seeds and not from tweets."""
    seeds, n = right.shape
    of_seeds, of_tweets = right.mean(axis=1), right.mean(axis=0)
    between = float(n * of_seeds.var(ddof=1))
    rest = right - of_seeds[:, None] - of_tweets[None, :] + right.mean()
    residual = float((rest**2).sum()) / ((seeds - 1) * (n - 1))
    return float(max(between - residual, 0.0) / (seeds * n))


def mean_share(values: Sequence[float]) -> Estimate:
    """The mean of shares with Student's interval, as far as that lies between 0 and 1."""
    found = mean(values)
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


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


def paired_difference(differences: Sequence[float], limit: float | None = None) -> Difference:
    """Mean of differences between pairs, with Student's interval and the p-value of the paired t-test.

    Args:
        limit: what the mean cannot exceed in either direction: 1 for shares.
    """
    from scipy import stats

    of_mean = mean(differences)
    if of_mean.low is None:
        return Difference(of_mean.value, None, None, of_mean.n)
    p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    error = float(stats.sem(differences))
    return Difference(of_mean.value, None, None, of_mean.n, p, error, of_mean.n - 1, limit).at(LEVEL)


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


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Spearman's rank correlation, with Fisher's interval on the ranks, and its p-value."""
    from scipy.stats import norm, spearmanr

    value, n = float(spearmanr(x, y).statistic), len(x)
    distance = abs(math.atanh(max(min(value, _ALMOST_ONE), -_ALMOST_ONE))) * math.sqrt(max(n - 3, 0))
    return Correlation(value, None, None, n, float(2 * norm.sf(distance))).at(LEVEL)


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
