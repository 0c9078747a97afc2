"""The difference in accuracy of two classifiers that label the same tweets: the only test and interval for pairs."""

import math
from dataclasses import dataclass

# The root search starts this far from the observed difference, where the score statistic may be 0 / 0.
_NEAR = 1e-9


@dataclass(frozen=True)
class AccuracyDifference:
    """The share of tweets that the first classifier has right less that of the second, as fractions of 1.

    Attributes:
        low, high: the confidence interval; it excludes 0 exactly where `p` is below 1 - level.
        p: the two-sided p-value of the hypothesis that both are equally accurate.
    """

    difference: float
    low: float
    high: float
    p: float


def accuracy_difference(only_first: int, only_second: int, n: int, level: float = 0.95) -> AccuracyDifference:
    """Compare two classifiers on the same `n` tweets.

    The p-value is the larger of the mid-p McNemar test's (Fagerland, Lydersen & Laake 2013) and the score test's. The
    interval is the score interval of Tango (1998), extended to 0 where the test is not significant at this level:
    neither test alone agrees with Tango's interval at all levels. Without a discordant tweet the interval says how far
    apart the two may still be.

    Args:
        only_first: how many tweets only the first classifier has right.
        only_second: how many tweets only the second classifier has right.
        n: how many tweets both have labelled; at least one.
        level: the confidence level of the interval, between 0 and 1.
    """
    p = max(_mid_p(only_first, only_second), _score_p(only_first, only_second))
    low = _lower_bound(only_first, only_second, n, level)
    high = -_lower_bound(only_second, only_first, n, level)
    if p >= 1 - level:
        low = min(low, 0.0)
        high = max(high, 0.0)
    return AccuracyDifference((only_first - only_second) / n, low, high, p)


def _mid_p(only_first: int, only_second: int) -> float:
    """The binomial test on the discordant tweets, counting half of the observed table's probability."""
    from scipy.special import bdtr

    discordant = only_first + only_second
    fewer = min(only_first, only_second)
    at_most = float(bdtr(fewer, discordant, 0.5))
    below = float(bdtr(fewer - 1, discordant, 0.5)) if fewer else 0.0
    return at_most + below


def _score_p(only_first: int, only_second: int) -> float:
    from scipy.special import ndtr

    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return 2 * float(ndtr(-abs(only_first - only_second) / math.sqrt(discordant)))


def _lower_bound(only_first: int, only_second: int, n: int, level: float) -> float:
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


def _score_variance(only_first: int, only_second: int, n: int, difference: float) -> float:
    """The variance of `only_first - only_second` where the true difference is `difference`.

    The share of tweets that only the second classifier has right is estimated by maximum likelihood under that
    difference: the larger root of 2n x² + linear x - only_second * product = 0 (Tango 1998).
    """
    product = difference * (1 - difference)
    linear = (2 * n - only_first + only_second) * difference - (only_first + only_second)
    discriminant = max(linear**2 + 8 * n * only_second * product, 0.0)
    share_second = (math.sqrt(discriminant) - linear) / (4 * n)
    return max(n * (2 * share_second + product), 0.0)
