"""The difference of two classifiers that label the same tweets: the only tests and intervals for pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

# The root search starts this far from the observed difference, where the score statistic may be 0 / 0.
_NEAR = 1e-9


class PairedCounts(NamedTuple):
    """On how many of `n` tweets only the first, and only the second, of two classifiers is right.

    The number of all tweets may be an estimate, and so a fraction.
    """

    only_first: int
    only_second: int
    n: float


def total_counts(classes: Sequence[PairedCounts]) -> PairedCounts:
    """The counts of the tweets of all classes together, from those of each class."""
    only_first = sum(pair.only_first for pair in classes)
    only_second = sum(pair.only_second for pair in classes)
    n = sum(pair.n for pair in classes)
    return PairedCounts(only_first, only_second, n)


@dataclass(frozen=True)
class PairedEvidence:
    """The accuracy or the macro recall of the first classifier less that of the second, on the same tweets.

    Accuracy: the p-value is the larger of the mid-p McNemar test's (Fagerland, Lydersen & Laake 2013) and the score
    test's. The interval is the score interval of Tango (1998), extended to 0 where the test is not significant at this
    level: the mid-p test alone does not always agree with it. Without a discordant tweet the interval says how far
    apart the two may still be.

    Macro recall, the mean over classes of the share of tweets that are right: the classes' tweets are independent
    samples. Half a tweet is added to each of the four cells of each class's table (Agresti and Min 2005), so that the
    variance is above 0 even if both classifiers are right on the same tweets. In classes of very few tweets the half
    tweets weigh much, and the interval is extended to the difference.

    Attributes:
        classes: the counts of each class, with at least one tweet each; for accuracy those of all tweets together.
        is_conditional: whether other seeds of the two may differ, of which nothing is known.
    """

    classes: tuple[PairedCounts, ...]
    is_conditional: bool = False
    least_p: ClassVar[float] = 0.0

    @property
    def value(self) -> float:
        return sum((pair.only_first - pair.only_second) / pair.n for pair in self.classes) / len(self.classes)

    @property
    def n(self) -> float:
        return total_counts(self.classes).n

    @property
    def p(self) -> float:
        from scipy.special import ndtr

        if len(self.classes) == 1:
            only_first, only_second, _ = self.classes[0]
            return max(_mid_p(only_first, only_second), _score_p(only_first, only_second))
        centre, error = self._recalls
        return 2 * float(ndtr(-abs(centre) / error))

    def interval(self, level: float) -> tuple[float, float]:
        """The interval at a level, which excludes 0 exactly where the p-value is below 1 - level."""
        from scipy.special import ndtri

        if len(self.classes) == 1:
            only_first, only_second, n = self.classes[0]
            low = _lower_bound(only_first, only_second, n, level)
            high = -_lower_bound(only_second, only_first, n, level)
            return (low, high) if self.p < 1 - level else (min(low, 0.0), max(high, 0.0))
        centre, error = self._recalls
        margin = -float(ndtri((1 - level) / 2)) * error
        return max(min(centre - margin, self.value), -1.0), min(max(centre + margin, self.value), 1.0)

    @property
    def _recalls(self) -> tuple[float, float]:
        """The difference in macro recall with half a tweet more in each cell, and its standard error."""
        centre = 0.0
        variance = 0.0
        for only_first, only_second, n in self.classes:
            first = (only_first + 0.5) / (n + 2)
            second = (only_second + 0.5) / (n + 2)
            centre += (first - second) / len(self.classes)
            variance += (first + second - (first - second) ** 2) / (n + 2) / len(self.classes) ** 2
        return centre, math.sqrt(variance)


def _mid_p(only_first: int, only_second: int) -> float:
    """The binomial test on the discordant tweets, counting half of the observed table's probability."""
    from scipy.special import bdtr

    discordant = only_first + only_second
    fewer = min(only_first, only_second)
    at_most = float(bdtr(fewer, discordant, 0.5))
    below = float(bdtr(fewer - 1, discordant, 0.5)) if fewer else 0.0
    return at_most + below


def _score_p(only_first: float, only_second: float) -> float:
    from scipy.special import ndtr

    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return 2 * float(ndtr(-abs(only_first - only_second) / math.sqrt(discordant)))


def _lower_bound(only_first: float, only_second: float, n: float, level: float) -> float:
    """The difference below the observed one whose score statistic equals the normal quantile."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    surplus = only_first - only_second
    if surplus == -n:
        return -1.0
    quantile = -float(ndtri((1 - level) / 2))

    def excess(difference: float) -> float:
        error = math.sqrt(_score_variance(only_first, only_second, n, difference))
        return surplus - n * difference - quantile * error

    return float(brentq(excess, -1.0, surplus / n - _NEAR, xtol=1e-12))


def _score_variance(only_first: float, only_second: float, n: float, difference: float) -> float:
    """The variance of `only_first - only_second` where the true difference is `difference`.

    The share of tweets that only the second classifier has right is estimated by maximum likelihood under that
    difference: the larger root of 2n x² + linear x - only_second * product = 0 (Tango 1998).
    """
    product = difference * (1 - difference)
    linear = (2 * n - only_first + only_second) * difference - (only_first + only_second)
    discriminant = max(linear**2 + 8 * n * only_second * product, 0.0)
    share_second = (math.sqrt(discriminant) - linear) / (4 * n)
    return max(n * (2 * share_second + product), 0.0)
