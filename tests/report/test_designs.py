"""Each design of a comparison refuses sides that are not its own, and its intervals and tests never disagree.

The oracle judges what it says of sides that are its own.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report.designs import (
    Design,
    Folds,
    Matched,
    NotComparableError,
    Seeds,
    SeedVariance,
    Side,
    TwoModels,
)
from report.statistics import Difference, VarianceEvidence, corrected
from sentiment.paired import ALPHA


def test_each_design_refuses_what_does_not_fit_it() -> None:
    rng = np.random.default_rng(0)
    one, two, seeds = (rng.random((number, 200)) < 0.8 for number in (1, 1, 2))
    in_folds = Side([one], folds=np.arange(200) % 3)
    wrong: list[tuple[Design, Side, Side]] = [
        (TwoModels(), Side([seeds]), Side([one])),
        (TwoModels(), Side([one, two]), Side([one, two])),
        (TwoModels(), in_folds, Side([two])),
        (Seeds(SeedVariance(0.01, 2)), Side([one], has_seeds=False), Side([two], has_seeds=False)),
        (Seeds(SeedVariance(0.01, 2)), in_folds, Side([two])),
        (TwoModels(), Side([one], are_shares=False), Side([two], are_shares=False)),
        (Seeds(SeedVariance(0.01, 2)), Side([seeds]), Side([one[:, :1]])),
        (Seeds(SeedVariance(0.01, 2)), Side([seeds], classes=np.arange(200) % 2), Side([seeds])),
        (TwoModels(), Side([one]), Side([two[:, :1]])),
        (TwoModels(), Side([one], classes=np.arange(200) % 2), Side([two], classes=np.arange(200) % 3)),
        (Matched(), Side([one]), Side([two])),
        (Matched(), Side([one, two]), Side([one])),
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


def _difference(of: tuple[str, float, int]) -> Difference:
    kind, value, n = of
    if kind == "student":
        return Difference.of(VarianceEvidence(value, ((0.01, n),), (0.0, 99)), n)
    first = np.arange(100) < 50 + round(20 * value)
    return TwoModels().difference(*(Side([flags[None]]) for flags in (first, np.arange(100) >= 50 - n)))


_KINDS = st.sampled_from(["student", "paired"])


@settings(max_examples=40)
@given(st.lists(st.tuples(_KINDS, st.floats(-0.9, 0.9), st.integers(2, 30)), min_size=1, max_size=8))
def test_corrected_interval_excludes_zero_just_where_the_adjusted_p_is_below_the_level(of: list[Any]) -> None:
    for one in corrected([_difference(one) for one in of]):
        if abs((one.q or 0) - ALPHA) > 1e-9:
            assert ((one.low or 0) > 0 or (one.high or 0) < 0) == one.is_significant


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_no_interval_of_a_share_leaves_0_to_100_per_cent(values: list[float]) -> None:
    right = np.array([[value < share for share in np.linspace(0, 1, 9)] for value in values])
    side = Side([right])
    difference = Seeds(SeedVariance(0.1, 2)).difference(side, side.nothing)
    assert difference.low is None or (difference.low >= -1 and (difference.high or 0) <= 1)
