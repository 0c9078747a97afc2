"""The variance between seeds, and how large a difference is significant: for the report, and for power before a run."""

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

# A configuration's variance between seeds counts as larger than that of others if the p of the F test is below this.
_F_TEST_ALPHA = 0.25


def between_seeds(
    own: npt.ArrayLike, freedom: int, pooled: npt.ArrayLike, pooled_freedom: int
) -> tuple[Numbers, npt.NDArray[Any]]:
    """The variance between the seeds of configurations, and its degrees of freedom.

    The larger one of a configuration's own variance and the pooled one counts. It has the pooled degrees of freedom
    unless the configuration spreads more than the others: of many configurations one is the most variable, and its
    variance is known from its own seeds alone.

    Args:
        own: the variance between each configuration's seeds, of any shape; `freedom`: their number less one.
        pooled: that of all configurations together, which broadcasts to `own`; it includes `own`.
    """
    from scipy.special import fdtrc

    own = np.asarray(own, np.float64)
    pooled = np.asarray(pooled, np.float64)
    variance = np.maximum(own, pooled)
    other_freedom = pooled_freedom - freedom
    if other_freedom < 1:
        return variance, np.full(variance.shape, freedom)
    of_others = (pooled * pooled_freedom - own * freedom) / other_freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        p = fdtrc(freedom, other_freedom, own / of_others)
    spreads_more = (of_others <= 0) | (p < _F_TEST_ALPHA)
    return variance, np.where(spreads_more, freedom, pooled_freedom)


def critical_difference(variances: npt.ArrayLike, quantiles: npt.ArrayLike) -> Numbers:
    """The smallest difference that is significant, given the components of its variance (Cochran & Cox 1950).

    Args:
        variances: of the components, (components, ...); their sum is above 0.
        quantiles: the two-sided quantile of Student's t for the degrees of freedom of each, which broadcasts to them.
    """
    components = np.asarray(variances, np.float64)
    weighted = components * np.asarray(quantiles, np.float64)
    return np.asarray(weighted.sum(axis=0) / np.sqrt(components.sum(axis=0)))
