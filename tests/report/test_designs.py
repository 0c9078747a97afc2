"""Each design of a comparison refuses sides that are not its own, and its intervals and tests never disagree.

The oracle judges what it says of sides that are its own.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.statistics import ALPHA
from sentiment.statistics.designs import Design, Drawn, Folds, Matched, NotComparableError, Seeds, Side, TwoModels
from sentiment.statistics.estimate import StandardError, StudentEvidence
from sentiment.statistics.families import Evidence, corrected
from sentiment.statistics.seeds import Component, SeedSpread, seed_spread, spread_of_gaps

_SPREAD = SeedSpread(Component(0.01, 2), 3.0)


def test_each_design_refuses_what_does_not_fit_it() -> None:
    rng = np.random.default_rng(0)
    one, two, seeds = (rng.random((number, 200)) < 0.8 for number in (1, 1, 2))
    in_folds = Side([one], folds=np.arange(200) % 3)
    wrong: list[tuple[Design, Side, Side]] = [
        (TwoModels(), Side([seeds]), Side([one])),
        (TwoModels(), Side([one, two]), Side([one, two])),
        (TwoModels(), in_folds, Side([two])),
        (Seeds(_SPREAD), Side([one], has_seeds=False), Side([two], has_seeds=False)),
        (Seeds(_SPREAD), in_folds, Side([two])),
        (TwoModels(), Side([one], are_shares=False), Side([two], are_shares=False)),
        (Seeds(_SPREAD), Side([seeds]), Side([one[:, :1]])),
        (Seeds(_SPREAD), Side([seeds], classes=np.arange(200) % 2), Side([seeds])),
        (TwoModels(), Side([one]), Side([two[:, :1]])),
        (TwoModels(), Side([one], classes=np.arange(200) % 2), Side([two], classes=np.arange(200) % 3)),
        (Matched(), Side([one]), Side([two])),
        (Matched(), Side([one, two]), Side([one])),
        (Drawn(), Side([one, two]), Side([one])),
        (Folds(), Side([one]), Side([two])),
        (Folds(), in_folds, Side([two], folds=np.arange(200) % 4)),
    ]
    for design, first, second in wrong:
        with pytest.raises(NotComparableError):
            design.difference(first, second)


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True), (False, False)])
def test_comparison_of_single_runs_tells_nothing_of_other_seeds(first: bool, second: bool) -> None:
    flags = np.random.default_rng(0).random((2, 1, 200)) < 0.8
    difference = TwoModels().difference(Side([flags[0]], has_seeds=first), Side([flags[1]], has_seeds=second))
    assert difference.is_conditional == (first or second)


def _difference(of: tuple[str, float, int]) -> Evidence:
    kind, value, n = of
    if kind == "student":
        return StudentEvidence(value, n, StandardError(0.1, 3 * n), StandardError(0.12, n))
    first = np.arange(100) < 50 + round(20 * value)
    return TwoModels().difference(*(Side([flags[None]]) for flags in (first, np.arange(100) >= 50 - n)))


_KINDS = st.sampled_from(["student", "paired"])


@settings(max_examples=40)
@given(st.lists(st.tuples(_KINDS, st.floats(-0.9, 0.9), st.integers(2, 30)), min_size=1, max_size=8))
def test_corrected_interval_excludes_zero_just_where_the_adjusted_p_is_below_the_level(of: list[Any]) -> None:
    for one in corrected([_difference(one) for one in of]):
        if abs((one.q or 0) - ALPHA) > 1e-9:
            assert ((one.low or 0) > 0 or (one.high or 0) < 0) == one.is_significant


def _answers(share: float, rng: np.random.Generator, *shape: int) -> npt.NDArray[np.bool_]:
    return rng.random(shape) < share


@pytest.mark.slow
@pytest.mark.parametrize("few", [1, 2, 3, 5, 10, 50])
def test_few_tweets_of_a_class_decide_nothing(few: int) -> None:
    """Sides that differ by chance on a class of few tweets; both are equally good."""
    rng = np.random.default_rng(few)
    classes = np.repeat([0, 1, 2], [150, 100, few])
    wrong: dict[str, int] = {}
    worlds = 150
    for _ in range(worlds):
        certain = _answers(0.9, rng, len(classes))
        # Whatever the seed, each side has another tenth of the tweets wrong.
        first, second = (np.stack([certain & _answers(0.9, rng, len(classes))] * 4) for _ in range(2))
        spread = SeedSpread(Component(1e-9, 20), 20.0)
        in_folds = {"classes": classes, "folds": rng.integers(0, 3, len(classes))}
        differences = {
            "seeds": Seeds(spread).difference(Side([first], classes=classes), Side([second], classes=classes)),
            "matched": Matched().difference(*(Side([side[:1]] * 3, classes=classes) for side in (first, second))),
            "drawn": Drawn().difference(*(Side([side[:1]] * 3, classes=classes) for side in (first, second))),
            "folds": Folds().difference(Side([first], **in_folds), Side([second], **in_folds)),
        }
        for name, difference in differences.items():
            wrong[name] = wrong.get(name, 0) + (difference.p is not None and difference.p < ALPHA)
    # Of 150 worlds so many are exceeded by chance in one of a thousand tests.
    assert max(wrong.values()) <= 16, wrong


@given(
    st.lists(st.lists(st.floats(0.5, 0.9), min_size=1, max_size=5), min_size=2, max_size=6),
    st.floats(-0.3, 0.3),
    st.floats(0.9, 0.999),
    st.sampled_from([1, 2]),
)
def test_interval_excludes_a_value_just_where_the_test_rejects_it(
    scores: list[list[float]], value: float, level: float, ends: int
) -> None:
    spread = seed_spread(scores)
    if spread is None:
        return
    errors = [variance_of(scores[0]) for variance_of in (spread.moderated, spread.own)]
    test, gate = (StandardError(max(part.variance, 1e-6) ** 0.5, part.freedom) for part in errors)
    evidence = StudentEvidence(value, 100, test, gate, is_share=False)
    interval = evidence.interval(level, ends)
    p = 2 * evidence.p_beyond(abs(value), ends)
    gate_alpha = 2 * ALPHA / ends
    if min(abs(p - (1 - level)), abs(gate.p(value) - gate_alpha)) > 1e-9:
        excludes = interval[0] > 0 or interval[1] < 0
        assert excludes == (p < 1 - level)


def test_matched_pairs_tell_how_differences_vary_whatever_settings_and_values_do() -> None:
    rng = np.random.default_rng(0)
    chance = rng.normal(0, 0.01, (2000, 3, 4))  # studies, configurations, values
    scores = chance + rng.normal(0, 1, (2000, 3, 1)) + rng.normal(0, 1, (2000, 1, 4))
    spreads = [spread_of_gaps(of_study[:, :1] - of_study[:, 1:]) for of_study in scores]
    variances = [spread.pooled.variance for spread in spreads if spread]
    assert np.mean(variances) == pytest.approx(2 * 0.01**2, rel=0.05)
