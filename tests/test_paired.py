"""The interval and the test of two classifiers on the same tweets, against exact sums over all outcomes."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import scipy

from sentiment.statistics.estimate import Estimate
from sentiment.statistics.families import corrected, estimated
from sentiment.statistics.paired import PairedCounts, PairedEvidence
from sentiment.statistics.words import MINUS, pair_sentence

LEVELS = (0.95, 0.99, 0.995, 0.999)
# Tweets, the true difference, and the share of tweets that only the worse classifier has right.
WORLDS = list(product((50, 105, 333, 1_000, 10_000), (0.0, 0.02, 0.08, 0.2), (0.0, 0.01, 0.1)))


@cache
def compare(only_first: int, only_second: int, n: int, level: float = 0.95) -> Estimate:
    """The difference in accuracy of two classifiers."""
    return estimated(PairedEvidence((PairedCounts(only_first, only_second, n),)), level)


def compare_recall(classes: Iterable[tuple[int, int, int]], level: float = 0.95) -> Estimate:
    """The difference in macro recall of two classifiers."""
    return estimated(PairedEvidence(tuple(PairedCounts(*counts) for counts in classes)), level)


def _first_from(bound: str, difference: float, discordant: int, n: int) -> int:
    """The fewest tweets of the first classifier with which a bound exceeds a difference: bounds grow with them."""
    first, last = 0, discordant + 1
    while first < last:
        middle = (first + last) // 2
        if getattr(compare(middle, discordant - middle, n), bound) > difference + 1e-9:
            last = middle
        else:
            first = middle + 1
    return first


def coverage(n: int, difference: float, other_way: float) -> float:
    """How often the 95 % interval holds the true difference: exact but for at most 48 numbers of discordant tweets."""
    share = difference + 2 * other_way
    if share == 0:
        return 1.0
    numbers = np.arange(*scipy.stats.binom.interval(1 - 1e-9, n, share) + np.array([0, 1]), dtype=int)
    covered = 0.0
    for group in np.array_split(numbers, min(48, len(numbers))):
        discordant = int(group[len(group) // 2])
        too_low = _first_from("low", difference, discordant, n)
        enough = _first_from("high", difference - 2e-9, discordant, n)
        right = scipy.stats.binom.cdf([enough - 1, too_low - 1], discordant, (difference + other_way) / share)
        covered += scipy.stats.binom.pmf(group, n, share).sum() * (right[1] - right[0])
    return float(covered)


@pytest.mark.more
def test_coverage_is_near_95_percent_wherever_discordant_tweets_are_expected() -> None:
    coverages = {world: coverage(*world) for world in WORLDS}
    assert {world: share for world, share in coverages.items() if share < 0.93} == {}
    enough = [share for (n, gap, other), share in coverages.items() if n * (gap + 2 * other) >= 10]
    assert len(enough) > 40
    assert max(enough) < 0.98
    assert np.mean(enough) == pytest.approx(0.952, abs=0.004)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 7, 60, 333])
def test_interval_excludes_zero_exactly_where_the_test_is_significant(n: int) -> None:
    for only_first in range(min(n, 40) + 1):
        for only_second in range(min(n - only_first, 40) + 1):
            for level in LEVELS:
                result = compare(only_first, only_second, n, level)
                assert -1 <= result.low <= result.value <= result.high <= 1
                assert (result.low > 0 or result.high < 0) == (result.p < 1 - level)


@pytest.mark.parametrize(("n", "one_way"), [(60, 0.1), (105, 0.05), (40, 0.3)])
@pytest.mark.parametrize("level", LEVELS)
def test_equally_accurate_classifiers_seldom_differ_significantly(n: int, one_way: float, level: float) -> None:
    false = 0.0
    for discordant in range(n + 1):
        firsts = np.arange(discordant + 1)
        p = np.array([compare(first, discordant - first, n).p for first in firsts.tolist()])
        false += (
            scipy.stats.binom.pmf(discordant, n, 2 * one_way)
            * scipy.stats.binom.pmf(firsts, discordant, 0.5)[p < 1 - level].sum()
        )
    assert false < 1.02 * (1 - level)


@pytest.mark.parametrize(
    ("only_first", "only_second", "n", "low", "high"),
    [
        (0, 0, 105, -0.035, 0.035),
        (4, 0, 105, 0.0, 0.094),
        (19, 0, 105, 0.119, 0.265),
        (105, 0, 105, 0.929, 1.0),
        (52, 52, 104, -0.189, 0.189),
        (150, 86, 1600, 0.021, 0.059),
    ],
    ids=["no discordant tweet", "few", "all one-sided", "nothing else", "balanced", "Agresti's approval ratings"],
)
def test_interval_of_known_tables(only_first: int, only_second: int, n: int, low: float, high: float) -> None:
    result = compare(only_first, only_second, n)
    assert (result.low, result.high) == pytest.approx((low, high), abs=6e-4)
    turned = compare(only_second, only_first, n)
    assert turned == result.reversed


def test_several_pairs_are_corrected_together() -> None:
    pair = PairedCounts(12, 2, 100)
    pairs = [pair, PairedCounts(0, 0, 100), PairedCounts(3, 3, 100)]
    first, second, third = corrected([PairedEvidence((one,)) for one in pairs])
    alone = compare(*pair)
    assert first.q == pytest.approx(3 * alone.p)
    assert (second.q, third.q) == (1.0, 1.0)
    assert first.high - first.low > alone.high - alone.low
    assert first.level == pytest.approx(1 - 0.05 / 3)
    assert "(98.3 % CI " in pair_sentence("Anna", "Ben", first, "accuracy")


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ((19, 0), "better than Ben: +18.1 points of F1 on 105 tweets (95 % CI +11.9 to +26.5; adjusted p < 0.001)"),
        ((0, 19), "worse than Ben: -18.1 points of F1 on 105 tweets (95 % CI -26.5 to -11.9; adjusted p < 0.001)"),
        ((1, 4), "different from Ben: -2.9 points of F1 on 105 tweets (95 % CI -8.6 to +1.9; adjusted p = 0.22)"),
        ((0, 0), "different from Ben: 0.0 points of F1 on 105 tweets (95 % CI -3.5 to +3.5; adjusted p = 1.00)"),
    ],
    ids=["better", "worse", "open", "the same"],
)
def test_sentence_on_a_pair_says_what_the_first_is_and_by_how_much(pair: tuple[int, int], said: str) -> None:
    (difference,) = corrected([PairedEvidence((PairedCounts(*pair, 105),))])
    sentence = pair_sentence("the network", "Ben", difference, "F1")
    is_open = "not " if said.startswith("different") else ""
    assert sentence.replace(MINUS, "-") == f"The network is {is_open}significantly {said}."
    assert " of F1 on 1 tweet (" in pair_sentence("Ann", "Ben", replace(difference, n=1.0), "F1")
    conditional = replace(difference, is_conditional=True)
    assert pair_sentence("Ben", "the network", conditional, "F1").endswith("; for these trained models alone).")


# The classes' tweets, and for each class the shares of tweets that only the first and only the second has right.
RECALL_WORLDS: list[tuple[tuple[int, ...], list[tuple[float, float]]]] = [
    ((107, 160, 66), [(0.1, 0.1), (0.1, 0.1), (0.1, 0.1)]),
    ((107, 160, 66), [(0.25, 0.05), (0.02, 0.08), (0.12, 0.1)]),
    ((266, 34, 33), [(0.03, 0.03), (0.3, 0.1), (0.05, 0.25)]),
    ((3200, 4800, 2000), [(0.03, 0.01), (0.02, 0.02), (0.1, 0.02)]),
    ((160, 173), [(0.05, 0.02), (0.1, 0.04)]),
    ((66, 67, 66, 67, 67), [(0.1, 0.05)] * 5),
]


@pytest.mark.parametrize(("sizes", "shares"), RECALL_WORLDS)
def test_interval_of_macro_recall_holds_the_truth(sizes: tuple[int, ...], shares: list[tuple[float, float]]) -> None:
    generator = np.random.default_rng(0)
    true = np.mean([first - second for first, second in shares])
    draws = 4_000
    of_classes = []
    for n, (first, second) in zip(sizes, shares, strict=True):
        of_classes.append(generator.multinomial(n, [first, second, 1 - first - second], draws))
    covered = 0
    for draw in range(draws):
        counts = [(*cells[draw, :2].tolist(), n) for cells, n in zip(of_classes, sizes, strict=True)]
        result = compare_recall(counts)
        covered += result.low <= true <= result.high
        assert (result.low > 0 or result.high < 0) == (result.p < 0.05)
    assert 0.935 < covered / draws < 0.985


def test_interval_of_macro_recall_holds_the_difference_and_excludes_zero_where_it_is_significant() -> None:
    cells = [(first, second, n) for n in (1, 2, 3) for first in range(n + 1) for second in range(n + 1 - first)]
    cells += [(0, 0, 90), (0, 81, 90), (9, 30, 90)]
    for classes, level in product(product(cells, repeat=2), LEVELS):
        result = compare_recall(classes, level)
        assert -1 <= result.low <= result.value <= result.high <= 1
        assert (result.p < 1 - level) == (result.low > 0 or result.high < 0)
