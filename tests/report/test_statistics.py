"""Intervals and tests against examples that others have published, or against the slow way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from report import statistics
from report.analysis.search.trials import importances

# Hours of sleep gained with one drug against the other (Student 1908).
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
# Sorted p-values of the example in Benjamini and Hochberg (1995), of which four stay at 5 %.
FIFTEEN = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528]
FIFTEEN += [0.759, 1.0]


def _flags(*counts: tuple[bool, bool, int]) -> tuple[statistics.Flags, statistics.Flags]:
    rows = [(first, second) for first, second, count in counts for _ in range(count)]
    return tuple(np.array(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def test_wilson_interval_is_newcombes() -> None:
    estimate = statistics.wilson(81, 263)
    assert (estimate.low, estimate.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_mcnemar_on_agrestis_approval_ratings() -> None:
    before, after = _flags((True, True, 794), (True, False, 150), (False, True, 86), (False, False, 570))
    test = statistics.mcnemar(after, before)
    assert test.value == pytest.approx(-0.04)
    assert (test.low, test.high) == pytest.approx((-0.06, -0.02), abs=0.002)
    assert test.p is not None
    assert test.p == pytest.approx(3.7e-5, rel=0.1)
    assert (test.only_first, test.only_second, test.n) == (86, 150, 1600)


def test_mcnemar_without_any_disagreement_shows_nothing() -> None:
    same = np.array([True, False, True])
    test = statistics.mcnemar(same, same)
    assert (test.value, test.low, test.high, test.p) == (0.0, 0.0, 0.0, 1.0)


def test_interval_of_mcnemar_excludes_zero_just_where_the_test_rejects() -> None:
    for only_first in range(21):
        test = statistics.mcnemar(*_flags((True, False, only_first), (False, True, 20 - only_first), (True, True, 9)))
        assert test.p is not None
        assert test.low is not None
        assert test.high is not None
        assert (test.low > 0 or test.high < 0) == (test.p < 0.05), only_first


def test_false_discovery_control_keeps_the_four_of_benjamini_and_hochberg() -> None:
    adjusted = statistics.false_discovery_control(FIFTEEN)
    assert [q < 0.05 for q in adjusted] == [True] * 4 + [False] * 11
    assert statistics.false_discovery_control([]) == []


def test_paired_difference_is_students() -> None:
    difference = statistics.paired_difference(SLEEP)
    assert difference.value == pytest.approx(1.58)
    assert (difference.low, difference.high) == pytest.approx((0.70, 2.46), abs=0.005)
    assert difference.p == pytest.approx(0.00283, abs=5e-6)
    assert statistics.is_shown(difference)
    assert not statistics.is_shown(difference, q=0.06)


def test_crossed_difference_is_the_analysis_of_variance_worked_out_by_hand() -> None:
    first = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])  # two seeds, four tweets
    second = np.array([[1.0, 0.0, 1.0, 1.0]])
    # Tweets: differences of means 0, 1/2, -1/2, -1, whose mean is -1/4 and whose variance is 5/12.
    of_tweets = 5 / 12 / 4
    # Seeds: the mean square between them is 4 * 1/8 = 1/2 and the residual one 1/6, over 2 * 4.
    of_seeds = (1 / 2 - 1 / 6) / 8
    found = statistics.crossed_difference(first, second)
    assert found.value == -0.25
    assert found.error == pytest.approx(math.sqrt(of_tweets + of_seeds))
    assert found.freedom == pytest.approx(147 / 37)  # Satterthwaite: (7/48)^2 / ((5/48)^2 / 3 + (2/48)^2 / 1)
    turned = statistics.crossed_difference(second, first)
    assert (turned.value, turned.error, turned.freedom) == pytest.approx((0.25, found.error, found.freedom))


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.1, 0.1]], ids=["one value", "equal values"])
def test_without_spread_there_is_neither_interval_nor_verdict(values: list[float]) -> None:
    difference = statistics.paired_difference(values)
    assert (difference.value, difference.low, difference.high, difference.p) == (pytest.approx(0.1), None, None, None)
    assert not statistics.is_shown(difference)


def test_rank_correlation_of_intelligence_and_television() -> None:
    intelligence = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    correlation = statistics.rank_correlation(intelligence, hours)
    assert correlation.value == pytest.approx(-29 / 165)
    assert correlation.p == pytest.approx(0.638434, abs=1e-6)  # by Fisher's transformation, as the interval
    assert correlation.low is not None
    assert correlation.low < -29 / 165 < 0 < (correlation.high or 0)


def test_bootstrap_of_f1_from_counts_is_the_bootstrap_of_tweets() -> None:
    rng = np.random.default_rng(3)
    labels = rng.random(400) < 0.5
    first, second = (labels ^ (rng.random(400) < error) for error in (0.15, 0.25))

    def gap(y: statistics.Flags, p: statistics.Flags, q: statistics.Flags) -> float:
        return float(f1_score(y, p) - f1_score(y, q))

    found = statistics.f1_difference(labels, first, second)
    slow = bootstrap(
        (labels, first, second), gap, paired=True, vectorized=False, n_resamples=500, method="percentile", rng=rng
    ).confidence_interval
    assert found.value == pytest.approx(gap(labels, first, second))
    assert (found.low, found.high) == pytest.approx((slow.low, slow.high), abs=0.012)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_mean_lies_within_its_interval(values: list[float]) -> None:
    estimate = statistics.mean(values)
    assert estimate.low is None or estimate.low <= estimate.value <= (estimate.high or 0)


@pytest.mark.slow
def test_importance_finds_the_shares_of_a_known_variance() -> None:
    rng = np.random.default_rng(1)
    settings = [{"a": float(rng.random()), "b": float(rng.random()), "c": bool(rng.random() < 0.5)} for _ in range(120)]
    shares = importances(settings, [3 * one["a"] + one["b"] for one in settings])  # variances 9 : 1 : 0
    assert list(shares)[:2] == ["a", "b"]
    assert shares["a"].value == pytest.approx(0.9, abs=0.07)
    assert shares["c"].value < 0.02
    assert all((share.low or 0) <= (share.high or 0) for share in shares.values())
