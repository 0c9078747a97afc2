"""Each design of a comparison refuses sides that are not its own; the oracle judges what it says of those that are."""

import numpy as np
import pytest

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
)


def test_each_design_refuses_what_does_not_fit_it() -> None:
    rng = np.random.default_rng(0)
    one, two, seeds = (rng.random((number, 200)) < 0.8 for number in (1, 1, 2))
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
