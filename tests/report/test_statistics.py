"""Intervals and tests against examples that others have published, or against the slow way."""

import math
from typing import Any

import numpy as np
import pytest
import scipy

from report import statistics
from report.designs import (
    Design,
    Folds,
    Matched,
    NotComparableError,
    Seeds,
    SeedVariance,
    Side,
    TwoModels,
    TwoModelsByValue,
    pooled_variance,
)
from report.questions.search import importances
from report.statistics import Difference, PairedEvidence, VarianceEvidence, corrected
from sentiment.metrics import ClassIndices, Flags
from sentiment.paired import PairedCounts, paired_difference

# Sorted p-values of the example in Benjamini and Hochberg (1995), of which four stay at 5 %.
FIFTEEN = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528]
FIFTEEN += [0.759, 1.0]


def _flags(*counts: tuple[bool, bool, int]) -> tuple[Flags, Flags]:
    rows = [(first, second) for first, second, count in counts for _ in range(count)]
    return tuple(np.array(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def _paired(first: Flags, second: Flags) -> Difference:
    return TwoModels().difference(Side([first[None]]), Side([second[None]]))


def _compare(design: Design, first: Side, second: Side) -> Difference:
    (difference,) = corrected([design.difference(first, second)])
    return difference


def _components(difference: Difference) -> Any:
    assert isinstance(difference.evidence, VarianceEvidence)
    return difference.evidence.components


def test_wilson_interval_is_newcombes() -> None:
    estimate = statistics.wilson(81, 263)
    assert (estimate.low, estimate.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_paired_difference_on_agrestis_approval_ratings() -> None:
    before, after = _flags((True, True, 794), (True, False, 150), (False, True, 86), (False, False, 570))
    test = _paired(after, before)
    assert test.value == pytest.approx(-0.04)
    assert (test.low, test.high) == pytest.approx((-0.059, -0.0214), abs=1e-4)  # Tango 1998
    assert test.evidence == PairedEvidence((PairedCounts(86, 150, 1600),))


def test_models_that_are_right_on_the_same_tweets_may_still_differ_on_others() -> None:
    same = _paired(*_flags((True, True, 80), (False, False, 25)))
    assert (same.value, same.p) == (0.0, 1.0)
    assert (same.low, same.high) == pytest.approx((-0.0353, 0.0353), abs=1e-4)


@pytest.mark.parametrize("family", [1, 10, 50])
def test_corrected_interval_of_a_pair_excludes_zero_exactly_where_its_adjusted_p_is_significant(family: int) -> None:
    tables = [(first, second) for first in range(24) for second in range(24)]
    pairs = [_flags((True, False, first), (False, True, second), (True, True, 60)) for first, second in tables]
    for pair in pairs:
        (difference,) = corrected([_paired(*pair)], family)
        assert ((difference.low or 0) > 0 or (difference.high or 0) < 0) == difference.is_significant


def test_correction_keeps_the_four_of_benjamini_and_hochberg() -> None:
    evidence = VarianceEvidence(0.1, (), (0.0, 1), 9)
    found = corrected([Difference(0.1, None, None, 9, p, evidence=evidence) for p in FIFTEEN])
    assert [one.is_significant for one in found] == [True] * 4 + [False] * 11
    assert corrected([]) == []


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _seeds(rng: np.random.Generator, seeds: int, share: float) -> Flags:
    return rng.random((seeds, 200)) < share


def test_comparison_is_the_analysis_of_variance_worked_out_by_hand() -> None:
    first = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)  # two seeds, four tweets
    second = np.array([[1, 0, 1, 1]], bool)
    design = Seeds(SeedVariance(1 / 8, 1))
    # Seeds: the variance between them is 1/8, over 2. Tweets: differences of means 0, 1/2, -1/2, -1, whose variance is
    # 5/12, over 4, less the residual mean square 1/6 over 2 * 4, which is in the part of seeds already.
    parts = [(1 / 16, 1), (5 / 48 - 1 / 48, 3)]
    for turned in (False, True):
        sides = [Side([first]), Side([second], has_seeds=False)]
        found = _compare(design, *(reversed(sides) if turned else sides))
        assert found.value == (0.25 if turned else -0.25)
        total = sum(part for part, _ in parts)
        half = sum(scipy.stats.t.ppf(0.975, freedom) * part for part, freedom in parts) / math.sqrt(total)
        assert _components(found) == tuple(map(pytest.approx, parts))
        assert found.high == min(found.value + half, 1.0)
        weighted = sum(scipy.stats.t.isf((found.p or 0) / 2, freedom) * part for part, freedom in parts)
        assert weighted == pytest.approx(0.25 * math.sqrt(total))


def test_macro_recall_is_compared_class_by_class_as_worked_out_by_hand() -> None:
    # Two seeds; two tweets of a class, four of another.
    first = np.array([[1, 0, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]], bool)
    second = np.array([[1, 1, 0, 1, 1, 0]], bool)
    classes = np.array([0, 0, 1, 1, 1, 1])
    design = Seeds(SeedVariance(0.0, 1))
    found = _compare(design, Side([first], classes=classes), Side([second], False, classes))
    # Recalls 1/2 and 3/4, then 1 and 1/4, against 1 and 1/2.
    assert found.value == pytest.approx(0.625 - 0.75)
    # Gaps by tweet 0, -1/2 and 1, -1/2, -1/2, 0: variances 1/8 over 2 and 1/2 over 4, and those of residuals, 1/4 over
    # 2 * 2 and 1/6 over 2 * 4; all over four, the square of the number of classes.
    tweets = (1 / 16 + 1 / 8 - 1 / 16 - 1 / 48) / 4
    assert _components(found) == ((0.0, 1), (pytest.approx(tweets), 4))


@pytest.mark.parametrize("classes", [np.zeros(200, int), np.repeat([0, 1, 2], [150, 40, 10])])
def test_single_trained_models_have_the_macro_recall_difference_of_their_counts(
    rng: np.random.Generator, classes: ClassIndices
) -> None:
    first, second = _seeds(rng, 1, 0.9), _seeds(rng, 1, 0.7)
    found = _compare(TwoModels(), Side([first], classes=classes), Side([second], classes=classes))
    counts, recalls = [], []
    for label in np.unique(classes):
        right, other = first[0, classes == label], second[0, classes == label]
        counts.append(PairedCounts(int((right & ~other).sum()), int((other & ~right).sum()), len(right)))
        recalls.append(right.mean())
    expected = paired_difference(counts)
    assert (found.value, found.low, found.high) == (expected.difference, expected.low, expected.high)
    score = TwoModels().score(Side([first], classes=classes))
    assert score.value == pytest.approx(np.mean(recalls))
    assert (score.low or 1) < score.value < (score.high or 0)


def test_seeds_that_are_equal_by_chance_take_the_variance_of_the_others(rng: np.random.Generator) -> None:
    equal, baseline = np.repeat(_seeds(rng, 1, 0.8), 2, axis=0), Side([_seeds(rng, 1, 0.7)], has_seeds=False)
    seed_variance = pooled_variance([[0.8, 0.8], [0.7, 0.8], [0.75, 0.85]])
    assert seed_variance == SeedVariance(pytest.approx(0.01 / 3), 3)
    found = _compare(Seeds(seed_variance), Side([equal]), baseline)
    assert _components(found)[0] == (pytest.approx(0.01 / 3 / 2), 3)


@pytest.mark.parametrize(("ratio", "freedom"), [(1.3, 6), (3, 1), (9, 1)])
def test_seeds_that_differ_more_than_the_others_keep_their_own_variance(
    rng: np.random.Generator, ratio: float, freedom: int
) -> None:
    unlike = np.stack([rng.random(200) < 0.9, rng.random(200) < 0.6])
    own = float(unlike.mean(axis=1).var(ddof=1))
    pooled = SeedVariance((own + 5 * own / ratio) / 6, 6)  # of the others: own / ratio
    found = _compare(Seeds(pooled), Side([unlike]), Side([unlike]))
    assert _components(found)[:2] == ((pytest.approx(own / 2), freedom),) * 2


def test_one_seed_takes_the_variance_of_configurations_that_have_several(rng: np.random.Generator) -> None:
    sides = Side([_seeds(rng, 1, 0.9)]), Side([_seeds(rng, 1, 0.6)])
    known = _compare(Seeds(SeedVariance(0.01, 3)), *sides)
    assert _components(known)[:2] == ((pytest.approx(0.01), 3),) * 2
    assert (known.is_significant, known.is_conditional) == (False, False)


def test_single_trained_models_are_compared_exactly_and_for_themselves_alone(rng: np.random.Generator) -> None:
    first, second = _seeds(rng, 1, 0.9), _seeds(rng, 1, 0.6)
    found = _compare(TwoModels(), Side([first]), Side([second]))
    assert (found.is_significant, found.is_conditional) == (True, True)
    baselines = [Side([one], has_seeds=False) for one in (first, second)]
    assert not _compare(TwoModels(), *baselines).is_conditional


def test_without_seeds_matched_configurations_take_their_place(rng: np.random.Generator) -> None:
    firsts, seconds = ([_seeds(rng, 1, share) for _ in range(4)] for share in (0.8, 0.7))
    found = _compare(Matched(), Side(firsts), Side(seconds))
    gaps = [first.mean() - second.mean() for first, second in zip(firsts, seconds, strict=True)]
    assert _components(found)[0] == (pytest.approx(np.var(gaps, ddof=1) / 4), 3)
    assert found.value == pytest.approx(np.mean(gaps))


def test_a_score_without_tweets_is_tested_between_seeds_as_by_student() -> None:
    first, second = (np.array(values)[:, None] for values in ([3.0, 4.0, 8.0], [5.0, 9.0, 9.0]))
    seed_variance = pooled_variance([first[:, 0].tolist(), second[:, 0].tolist()])
    assert seed_variance is not None
    sides = [Side([values], are_shares=False) for values in (first, second)]
    found = _compare(Seeds(seed_variance), *sides)
    expected = scipy.stats.ttest_ind(first[:, 0], second[:, 0])  # variances 7 and 16/3
    low, high = expected.confidence_interval()
    assert found.value == pytest.approx(-8 / 3)
    assert (found.p, found.low, found.high) != (None, None, None)
    assert _components(found) == ((pytest.approx(7 / 3), 4), (pytest.approx((7 + 16 / 3) / 2 / 3), 4), (0.0, 0))
    assert (found.low or 0) < low < high < (found.high or 0)


@pytest.mark.parametrize("values", [[[0.1]], [[0.1], [0.1]]], ids=["one value", "equal values"])
def test_without_spread_there_is_neither_interval_nor_verdict(values: list[list[float]]) -> None:
    sides = Side([np.array(values)], are_shares=False), Side([np.zeros((1, 1))], has_seeds=False)
    seed_variance = pooled_variance([[one for (one,) in values]])
    found = _compare(Seeds(seed_variance) if seed_variance else TwoModelsByValue(), *sides)
    assert (found.value, found.low, found.high, found.p) == (pytest.approx(0.1), None, None, None)
    assert not found.is_significant


def test_a_family_counts_claims_that_might_have_been_made(rng: np.random.Generator) -> None:
    found = [_paired(_seeds(rng, 1, 0.75)[0], _seeds(rng, 1, 0.7)[0]) for _ in range(3)]
    alone, among = corrected(found), corrected(found, hypotheses=30)
    for one, other in zip(alone, among, strict=True):
        assert other.q == pytest.approx(min(10 * (one.q or 0), 1.0))
        assert (other.high or 0) - (other.low or 0) > (one.high or 0) - (one.low or 0)


def test_score_of_one_seed_is_wilsons_and_of_several_is_for_others(rng: np.random.Generator) -> None:
    one, several = _seeds(rng, 1, 0.8), _seeds(rng, 3, 0.8)
    of_one, wilson = TwoModels().score(Side([one])), statistics.wilson(int(one.sum()), 200)
    assert (of_one.value, of_one.low, of_one.high) == pytest.approx((wilson.value, wilson.low, wilson.high))
    found = Seeds(SeedVariance(0.01, 6)).score(Side([several]))
    assert found.value == pytest.approx(several.mean())
    assert 1.0 >= (found.high or 2) > found.value + 0.1


FOLDS = np.array([1, 1, 1, 2, 2, 2, 3, 3])


def test_folds_are_the_random_factor_of_a_cross_validation_as_worked_out_by_hand() -> None:
    first = np.array([[1, 1, 0, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1, 0, 1]], bool)  # two seeds, three folds
    second = np.array([[1, 0, 0, 1, 1, 0, 1, 0]], bool)
    found = _compare(Folds(), Side([first], folds=FOLDS), Side([second], False, folds=FOLDS))
    # Gaps by tweet 0, 1, 1/2; 0, 0, 1; -1, 1, whose mean is 5/16. Each fold's part in the mean, less the mean:
    assert found.value == 5 / 16
    parts = np.array([1.5 - 15 / 16, 1 - 15 / 16, -10 / 16]) / 8
    expected = (np.square(parts).sum() * 3 / 2, 2)
    of_tweets = np.var([0, 1, 0.5, 0, 0, 1, -1, 1], ddof=1) / 8
    assert _components(found) == (pytest.approx(expected), pytest.approx((of_tweets - expected[0], 7)))
    alone = Folds().difference(Side([second], False), Side([first], folds=FOLDS))  # what was not trained in folds
    assert alone.value == -found.value


def test_rare_class_may_be_missing_in_a_fold() -> None:
    classes = np.array([0, 0, 1, 0, 0, 1, 0, 0])
    first, second = np.arange(8) % 3 > 0, np.arange(8) % 2 > 0
    found = Folds().difference(*(Side([one[None]], classes=classes, folds=FOLDS) for one in (first, second)))
    recalls = [(first[classes == label].mean() - second[classes == label].mean()) for label in (0, 1)]
    assert found.value == pytest.approx(np.mean(recalls))
    assert found.p is not None


def test_each_design_refuses_what_does_not_fit_it(rng: np.random.Generator) -> None:
    one, two, seeds = (_seeds(rng, number, 0.8) for number in (1, 1, 2))
    in_folds = Side([one], folds=np.arange(200) % 3)
    wrong: list[tuple[Design, Side, Side]] = [
        (TwoModels(), Side([seeds]), Side([one])),
        (TwoModels(), Side([one, two]), Side([one, two])),
        (TwoModels(), in_folds, Side([two])),
        (TwoModelsByValue(), Side([seeds]), Side([one])),
        (Seeds(SeedVariance(0.01, 2)), Side([one], has_seeds=False), Side([two], has_seeds=False)),
        (Seeds(SeedVariance(0.01, 2)), in_folds, Side([two])),
        (TwoModels(), Side([one], are_shares=False), Side([two], are_shares=False)),
        (Seeds(SeedVariance(0.01, 2)), Side([seeds]), Side([one[:, :1]])),
        (Seeds(SeedVariance(0.01, 2)), Side([seeds], classes=np.arange(200) % 2), Side([seeds])),
        (Matched(), Side([one]), Side([two])),
        (Matched(), Side([one, two]), Side([one])),
        (Folds(), Side([one]), Side([two])),
        (Folds(), in_folds, Side([two], folds=np.arange(200) % 4)),
    ]
    for design, first, second in wrong:
        with pytest.raises(NotComparableError):
            design.difference(first, second)


@pytest.mark.slow
def test_importance_finds_the_shares_of_a_known_variance() -> None:
    rng = np.random.default_rng(1)
    settings = [{"a": float(rng.random()), "b": float(rng.random()), "c": bool(rng.random() < 0.5)} for _ in range(120)]
    shares = importances(settings, [3 * one["a"] + one["b"] for one in settings])  # variances 9 : 1 : 0
    assert list(shares)[:2] == ["a", "b"]
    assert shares["a"].value == pytest.approx(0.9, abs=0.07)
    assert shares["c"].value < 0.02
    assert all((share.low or 0) <= (share.high or 0) for share in shares.values())
