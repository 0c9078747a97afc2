"""The difference of two classifiers that label the same tweets: the only tests and intervals for pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sentiment.statistics.families import correct_for_multiple_tests

# The root search starts this far from the observed difference, where the score statistic may be 0 / 0.
_NEAR = 1e-9


@dataclass(frozen=True)
class PairedDifference:
    """The accuracy or the macro recall of the first classifier less that of the second, as fractions of 1.

    Attributes:
        low, high: the confidence interval. Of a single comparison it excludes 0 exactly where `p` is below 1 - level;
            corrected by `correct_for_multiple_tests`, exactly where `p` is below ALPHA.
        p: the two-sided p-value of the hypothesis that there is no difference.
        level: the confidence level of the interval, between 0 and 1.
    """

    difference: float
    low: float
    high: float
    p: float
    level: float = 0.95


def accuracy_difference(only_first: int, only_second: int, n: float, level: float = 0.95) -> PairedDifference:
    """Compare two classifiers on the same `n` tweets.

    The p-value is the larger of the mid-p McNemar test's (Fagerland, Lydersen & Laake 2013) and the score test's. The
    interval is the score interval of Tango (1998), extended to 0 where the test is not significant at this level: the
    mid-p test alone does not always agree with it. Without a discordant tweet the interval says how far apart the two
    may still be.

    Args:
        only_first: how many tweets only the first classifier has right.
        only_second: how many tweets only the second classifier has right.
        n: how many tweets both have labelled; at least one, perhaps a fraction more.
        level: the confidence level of the interval, between 0 and 1.
    """
    by_score = score_interval(only_first, only_second, n, level)
    p = max(_mid_p(only_first, only_second), by_score.p)
    if p < 1 - level:
        return replace(by_score, p=p)
    return replace(by_score, p=p, low=min(by_score.low, 0.0), high=max(by_score.high, 0.0))


def score_interval(only_first: float, only_second: float, n: float, level: float) -> PairedDifference:
    """The interval of Tango (1998), with the p-value of the score test; numbers of tweets may be fractions."""
    low = _lower_bound(only_first, only_second, n, level)
    high = -_lower_bound(only_second, only_first, n, level)
    p = _score_p(only_first, only_second)
    return PairedDifference((only_first - only_second) / n, low, high, p, level)


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


def macro_recall_difference(classes: Sequence[PairedCounts], level: float = 0.95) -> PairedDifference:
    """Compare two classifiers by macro recall, the mean over classes of the share of tweets that are right.

    The classes' tweets are independent samples. Half a tweet is added to each of the four cells of each class's table
    (Agresti and Min 2005), so that the variance is above 0 even if both classifiers are right on the same tweets. In
    classes of very few tweets the half tweets weigh much, and the interval is extended to the difference.

    Args:
        classes: the counts of each class, with at least one tweet each.
        level: the confidence level of the interval, between 0 and 1.
    """
    from scipy.special import ndtr, ndtri

    centre = 0.0
    variance = 0.0
    for only_first, only_second, n in classes:
        first = (only_first + 0.5) / (n + 2)
        second = (only_second + 0.5) / (n + 2)
        centre += (first - second) / len(classes)
        variance += (first + second - (first - second) ** 2) / (n + 2) / len(classes) ** 2
    error = math.sqrt(variance)
    margin = -float(ndtri((1 - level) / 2)) * error
    difference = sum((pair.only_first - pair.only_second) / pair.n for pair in classes) / len(classes)
    low = max(min(centre - margin, difference), -1.0)
    high = min(max(centre + margin, difference), 1.0)
    p = 2 * float(ndtr(-abs(centre) / error))
    return PairedDifference(difference, low, high, p, level)


def paired_difference(classes: Sequence[PairedCounts], level: float = 0.95) -> PairedDifference:
    """The difference in macro recall from the counts of each class; in accuracy, if all tweets are one class."""
    return accuracy_difference(*classes[0], level) if len(classes) == 1 else macro_recall_difference(classes, level)


def compare_pairs(pairs: Sequence[Sequence[PairedCounts]]) -> list[PairedDifference]:
    """Compare several pairs of classifiers, corrected as by `correct_for_multiple_tests`.

    Args:
        pairs: the counts of each pair, as `paired_difference` takes them.
    """
    adjusted, level = correct_for_multiple_tests([paired_difference(classes).p for classes in pairs])
    return [replace(paired_difference(classes, level), p=p) for classes, p in zip(pairs, adjusted, strict=True)]


def comparison_sentence(first: str, second: str, pair: PairedCounts, result: PairedDifference) -> str:
    """One sentence, without a full stop, on the comparison of two classifiers, given by name."""
    if pair.only_first == pair.only_second == 0:
        bound = f"a difference of up to {100 * result.high:.1f} points either way cannot be excluded"
        return f"{first} and {second} classify the same tweets correctly; {bound}"
    points = 100 * abs(result.difference)
    if pair.only_first == pair.only_second:
        verdict = f"has as many of these {pair.n:,} tweets right as {second}"
    else:
        comparative = "more" if pair.only_first > pair.only_second else "fewer"
        verdict = f"has {points:.1f} points {comparative} of these {pair.n:,} tweets right than {second}"
    tweets = "tweet" if pair.only_first == 1 else "tweets"
    only_first = f"{pair.only_first:,} {tweets} only {first} has right"
    only_second = f"{pair.only_second:,} only {second}" if pair.only_second else f"none only {second}"
    return f"{first} {verdict} {interval_and_p(result)}: {only_first}, {only_second}"


def recall_sentence(first: str, second: str, result: PairedDifference) -> str:
    """The difference in macro recall of two classifiers, given by name: one sentence, without a full stop."""
    points = signed_points(result.difference)
    return f"the macro recall of {first} less that of {second}: {points} points {interval_and_p(result)}"


def interval_and_p(result: PairedDifference) -> str:
    """The interval of a difference in points, and its p-value, in brackets."""
    interval = f"{signed_points(result.low)} to {signed_points(result.high)}"
    return f"({format_level(result.level)} % interval {interval}; p {format_p(result.p)})"


def signed_points(share: float) -> str:
    """A difference of shares in points, with its sign and one decimal."""
    text = f"{100 * share:+.1f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\u2212")


def format_level(level: float) -> str:
    """A confidence level in per cent, with two digits of what it leaves out: `95`, `98.9` or `99.952`."""
    left_out = 100 * (1 - level)
    decimals = max(1 - math.floor(math.log10(left_out)), 1)
    return f"{100 - left_out:.{decimals}f}".rstrip("0").rstrip(".")


def format_p(p: float) -> str:
    """A p-value with one or two digits, such as `.00001`, `.042` or `1`; below .00001 only the bound."""
    if p < 1e-5:
        return "< .00001"
    digits = 1 if p < 1e-3 else 2
    decimals = digits - 1 - math.floor(math.log10(p))
    text = f"{p:.{decimals}f}".rstrip("0").rstrip(".")
    return text.removeprefix("0")


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
