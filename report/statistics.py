"""How sure a number is: intervals and tests, all of them from scipy. Shares are fractions, intervals are of 95 %."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from sentiment.runs.records import Metrics

LEVEL = 0.95
# Below this p-value a difference counts as shown.
ALPHA = 0.05

# One truth value for each tweet, of shape (n,).
Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
# Sums and quotients of equal floating-point values differ by no more than this.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, from `n` observations; the bounds are None where the spread is unknown."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Difference(Estimate):
    """A difference, with the p-value of the hypothesis that it is zero.

    Attributes:
        p: None where that cannot be tested.
        q: the p-value adjusted for all claims that a reader sees together; None until it is, and then nothing is shown.
        parts: the parts of its variance, each with its degrees of freedom.
        limit: what the difference cannot exceed in either direction: 1 where it is one of shares.
        of_these_models: whether it holds for these trained models alone: one seed each says nothing of other seeds.
        discordant: of two classifiers that are compared exactly, how many tweets just the first has right, and just
            the second.
    """

    p: float | None = None
    q: float | None = None
    parts: tuple[tuple[float, float], ...] = ()
    limit: float | None = None
    of_these_models: bool = False
    discordant: tuple[int, int] = (0, 0)

    @property
    def is_shown(self) -> bool:
        return self.q is not None and self.q < ALPHA

    def at(self, level: float) -> Self:
        """The same with the interval of another level; as it is where its variance is not known."""
        if n := sum(self.discordant):
            low, high = _interval(self.discordant[0], n, level, "exact")  # Clopper and Pearson's
            return replace(self, low=(2 * low - 1) * n / self.n, high=(2 * high - 1) * n / self.n)
        if not self.parts:
            return self
        half = math.sqrt(_squared_distance(self.parts, 1 - level))
        most = math.inf if self.limit is None else self.limit
        return replace(self, low=max(self.value - half, -most), high=min(self.value + half, most))


def _interval(k: int, n: int, level: float, method: Literal["exact", "wilson"]) -> tuple[float, float]:
    from scipy.stats import binomtest

    bounds = binomtest(k, n).proportion_ci(level, method=method)
    return float(bounds.low), float(bounds.high)


def wilson(right: int, n: int) -> Estimate:
    """The share `right / n` with Wilson's score interval (Wilson 1927)."""
    return Estimate(right / n, *_interval(right, n, LEVEL, "wilson"), n)


def measured_accuracy(metrics: Metrics) -> Estimate:
    """The accuracy that a run recorded, with its Wilson interval."""
    return Estimate(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high, metrics.n)


def kappa(first: Flags, second: Flags) -> float:
    """How far two agree beyond chance (Cohen 1960); 0 where chance alone would make them agree on everything."""
    by_chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    return float(((first == second).mean() - by_chance) / (1 - by_chance)) if by_chance < 1 else 0.0


def mcnemar(first: Flags, second: Flags) -> Difference:
    """The exact McNemar test (McNemar 1947): a binomial test on the tweets that just one classifier has right.

    `first` and `second` are the tweets that each has right. The interval follows from Clopper and Pearson's for the
    first one's share of the discordant tweets, so that it agrees with the test; without such tweets there is none.
    """
    from scipy.stats import binomtest

    n, only_first, only_second = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    value = (only_first - only_second) / n
    return Difference(value, None, None, n, p, discordant=(only_first, only_second)).at(LEVEL)


def corrected(differences: Sequence[Difference], family: int | None = None) -> list[Difference]:
    """Differences that are looked at together, with intervals and p-values that never disagree.

    The p-values are adjusted by Benjamini and Hochberg (1995), the intervals have the level 1 - R * ALPHA / m, where R
    of m differences are shown (Benjamini and Yekutieli 2005: at most 5 % of the intervals of what is shown miss the
    truth, on average). So an interval excludes zero just where the adjusted p is below ALPHA.

    Args:
        family: the number m of differences that might have been looked at; None is those that can be tested. Where one
            side is the best of k, each of the k * (k - 1) / 2 pairs might have been: seeds that were lucky when they
            were chosen are lucky on test tweets too.
    """
    from scipy.stats import false_discovery_control

    tested = [one.p for one in differences if one.p is not None]
    m = max(family or 0, len(tested), 1)
    adjusted = iter(false_discovery_control([*tested, *[1.0] * (m - len(tested))]))
    q_values = [None if one.p is None else float(next(adjusted)) for one in differences]
    shown = sum(q is not None and q < ALPHA for q in q_values)
    level = 1 - max(shown, 1) * ALPHA / m
    return [replace(one.at(level), q=q) for one, q in zip(differences, q_values, strict=True)]


@dataclass(frozen=True)
class Spread:
    """How much seeds of one configuration differ: the variance of a score between them, pooled over configurations."""

    variance: float
    freedom: int


def spread_of(configurations: Iterable[Sequence[float]]) -> Spread | None:
    """The variance between seeds, given the scores of each configuration's seeds; None if none has several."""
    several = [np.asarray(scores, np.float64) for scores in configurations if len(scores) > 1]
    freedom = sum(len(scores) - 1 for scores in several)
    if not freedom:
        return None
    return Spread(sum(float(((scores - scores.mean()) ** 2).sum()) for scores in several) / freedom, freedom)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what it scores is the mean over its configurations of the mean over their seeds.

    Attributes:
        configurations: of each configuration whether each seed has each tweet right, or another score; of shape
            (seeds, tweets).
        is_trained: whether other seeds would say something else: not of a linear baseline.
    """

    configurations: Sequence[Values | Flags]
    is_trained: bool = True

    @property
    def by_tweet(self) -> Values:
        """Its score on each tweet, of shape (tweets,)."""
        return np.asarray(np.mean([one.mean(axis=0) for one in self.configurations], axis=0), np.float64)


# Two sides on the same tweets, and how much seeds of configurations like theirs differ. Where both sides have several
# configurations and no spread is known, the first of one side is matched with the first of the other, and so on.
Pair = tuple[Side, Side, Spread | None]


def compare(pairs: Iterable[Pair], family: int | None = None, limit: float | None = 1.0) -> list[Difference]:
    """First side less second side of each pair, for other seeds and other tweets: the one test behind every claim.

    Seeds and tweets are both drawn at random, and crossed. The variance of a difference is that between seeds plus that
    over tweets as far as it is not between seeds already (analysis of variance with two random factors). The variance
    between seeds is the pooled one, or a configuration's own where that is larger. Each part counts with the quantile
    of its own degrees of freedom (Banerjee 1960), so that few seeds whose scores are equal by chance don't make a
    difference sure. Without several seeds of any configuration, that between matched configurations takes its place;
    without those, two trained models are compared by the exact McNemar test, for these two alone.

    Args:
        pairs: all that a reader sees together.
        family, limit: as of `corrected` and `Difference`.
    """
    return corrected([difference(*pair, limit) for pair in pairs], family)


def score_of(side: Side, spread: Spread | None) -> Estimate:
    """The share of tweets that a side has right, with its interval for other seeds and other tweets."""
    right = side.configurations[0]
    if not side.is_trained or (spread is None and right.size == right.shape[1]):
        return wilson(int(right[0].sum()), right.shape[1])
    nothing = Side([np.zeros((1, right.shape[1]), np.bool_)], is_trained=False)
    (found,) = compare([(side, nothing, spread)])
    if found.low is None or found.high is None:
        return Estimate(found.value, None, None, found.n)
    return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0), found.n)


def difference(first: Side, second: Side, spread: Spread | None, limit: float | None = 1.0) -> Difference:
    """As of `compare`, not yet corrected."""
    trained = [side for side in (first, second) if side.is_trained]
    if spread is not None and trained:
        seeds = [_between_seeds(side, spread) for side in trained]
        of_seeds, shared, freedom = sum(one for one, _ in seeds), sum(rest for _, rest in seeds), spread.freedom
    elif trained and len(first.configurations) == len(second.configurations) > 1:
        matched = zip(first.configurations, second.configurations, strict=True)
        gaps = np.array([one.mean(axis=0) - other.mean(axis=0) for one, other in matched])
        of_seeds, freedom = float(gaps.mean(axis=1).var(ddof=1)) / len(gaps), len(gaps) - 1
        shared = _residual(gaps) / gaps.size
    else:
        return _of_two_models(first, second, limit)
    by_tweet = first.by_tweet - second.by_tweet
    n, value = len(by_tweet), float(by_tweet.mean())
    of_tweets = max(float(by_tweet.var(ddof=1)) / n - shared, 0.0) if n > 1 else 0.0
    parts = ((of_seeds, freedom), (of_tweets, n - 1))
    if of_seeds + of_tweets <= _ROUNDING**2:
        return Difference(value, None, None, n, limit=limit)
    return Difference(value, None, None, n, _p_value(value, parts), parts=parts, limit=limit).at(LEVEL)


def _of_two_models(first: Side, second: Side, limit: float | None) -> Difference:
    """What one model has more than another, on other tweets; the exact test where each is right or wrong."""
    of_these = first.is_trained or second.is_trained
    one, other = first.configurations[0][0], second.configurations[0][0]
    if one.dtype == other.dtype == np.bool_:
        return replace(mcnemar(one, other), of_these_models=of_these)
    gaps, n = one - other, len(one)
    parts = ((float(gaps.var(ddof=1)) / n, n - 1.0),) if n > 1 and np.ptp(gaps) > _ROUNDING else ()
    p = _p_value(float(gaps.mean()), parts) if parts else None
    return Difference(float(gaps.mean()), None, None, n, p, None, parts, limit, of_these).at(LEVEL)


def _between_seeds(side: Side, spread: Spread) -> tuple[float, float]:
    """The variance of a side's score between seeds, and how much of it is chance: other mistakes on single tweets."""
    variance = chance = 0.0
    for right in side.configurations:
        share = 1 / (len(right) * len(side.configurations) ** 2)
        own = float(right.mean(axis=1).var(ddof=1)) if len(right) > 1 else 0.0
        variance += max(own, spread.variance) * share
        chance += _residual(right) * share / right.shape[1]
    return variance, chance


def _residual(right: Values | Flags) -> float:
    """Mean square of what neither the row nor the column explains; 0 where there is one row or column only."""
    rows, columns = right.shape
    if rows < 2 or columns < 2:
        return 0.0
    rest = right - right.mean(axis=1)[:, None] - right.mean(axis=0)[None, :] + right.mean()
    return float(np.square(rest).sum() / ((rows - 1) * (columns - 1)))


def _squared_distance(parts: Iterable[tuple[float, float]], alpha: float) -> float:
    """How far from zero, squared, a difference has to be at this level."""
    from scipy.special import stdtrit

    return float(sum(stdtrit(freedom, alpha / 2) ** 2 * part for part, freedom in parts if part > 0))


def _p_value(value: float, parts: Sequence[tuple[float, float]]) -> float:
    """The level at which a difference just counts as shown, found by halving its logarithm's interval."""
    low, high = math.log(1e-300), 0.0
    while high - low > _ROUNDING:
        middle = (low + high) / 2
        if _squared_distance(parts, math.exp(middle)) > value**2:
            low = middle
        else:
            high = middle
    return math.exp(high)


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether the values are positive numbers that span so much that their ratios matter, as of learning rates."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) and min(numbers) > 0 and max(numbers) / min(numbers) >= 8
