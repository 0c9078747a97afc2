"""How much a score varies between seeds, where each configuration has only a few.

The variance of a configuration's few seeds is moderated by those of the others (Smyth 2004, Statistical Applications in
Genetics and Molecular Biology 3:3): the others count like `prior` further degrees of freedom, the more, the more alike
the configurations are. Two rules are stricter than Smyth's. The prior variance is the arithmetic mean, not the smaller
geometric one; and a configuration's own variance counts where it is larger than the moderated one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# A smaller variance counts as this part of the pooled one: that of equal scores is 0, which has no logarithm.
_SMALLEST = 1e-5
# Logarithms of variances that vary by so little more than by chance tell of no difference between configurations.
_LEAST_EXCESS = 1e-3


class Component(NamedTuple):
    """A variance that is estimated, with the degrees of freedom of its estimate."""

    variance: float
    freedom: float


def variance_of(scores: Sequence[float]) -> Component:
    """The variance of at least two scores."""
    return Component(float(np.var(scores, ddof=1)), len(scores) - 1)


@dataclass(frozen=True)
class SeedSpread:
    """How the scores of several configurations vary between their seeds.

    Attributes:
        pooled: the mean variance of a single seed's score, weighted by degrees of freedom.
        prior: how many degrees of freedom the pooled variance adds to that of a configuration; infinite if the
            configurations vary alike, None if only one of them has several seeds.
    """

    pooled: Component
    prior: float | None = None

    def own(self, scores: Sequence[float]) -> Component:
        """The variance of a configuration by the scores of its seeds alone; of a single seed, the pooled one."""
        return variance_of(scores) if len(scores) > 1 else self.pooled

    def moderated(self, scores: Sequence[float]) -> Component:
        """The variance of a configuration by the scores of its seeds and by those of the others."""
        if self.prior is None:
            return self.own(scores)
        if len(scores) < 2:
            return Component(self.pooled.variance, self.prior)
        own, freedom = variance_of(scores)
        if math.isinf(self.prior):
            return Component(max(own, self.pooled.variance), self.prior)
        total = self.prior + freedom
        moderated = (self.prior * self.pooled.variance + freedom * own) / total
        return Component(max(own, moderated), total)


def seed_spread(configurations: Iterable[Sequence[float]]) -> SeedSpread | None:
    """How scores vary, given those of each configuration's seeds; None if no configuration has several seeds."""
    replicated = [variance_of(scores) for scores in configurations if len(scores) > 1]
    if not replicated:
        return None
    variances, freedoms = np.array(replicated).T
    pooled = Component(float(np.average(variances, weights=freedoms)), int(freedoms.sum()))
    if len(replicated) < 2:
        return SeedSpread(pooled)
    return SeedSpread(pooled, _prior_freedom(variances, freedoms, pooled.variance))


def spread_of_gaps(gaps: npt.NDArray[np.float64]) -> SeedSpread | None:
    """How the differences vary between matched pairs, given those of one value of a setting with each other value.

    The residual mean square of a two-way layout of values and configurations: all differences have the one value in
    common.

    Args:
        gaps: of shape (configurations, other values).

    Returns:
        None if there are fewer than two configurations or other values, so that nothing is known besides a
        difference's own pairs.
    """
    pairs, others = gaps.shape
    if pairs < 2 or others < 2:
        return None
    of_values = np.column_stack([np.zeros(pairs), gaps])
    residuals = of_values - of_values.mean(axis=0) - of_values.mean(axis=1, keepdims=True) + of_values.mean()
    freedom = (pairs - 1) * others
    return SeedSpread(Component(2 * float(np.square(residuals).sum()) / freedom, freedom), math.inf)


def _prior_freedom(variances: np.ndarray, freedoms: np.ndarray, pooled: float) -> float:
    """By how much the logarithms of the variances vary more than by chance (Smyth 2004, section 6.2)."""
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    if not pooled:
        return math.inf
    logarithms = np.log(np.maximum(variances, _SMALLEST * pooled)) - digamma(freedoms / 2) + np.log(freedoms / 2)
    excess = float(logarithms.var(ddof=1) - polygamma(1, freedoms / 2).mean())
    if excess <= _LEAST_EXCESS:
        return math.inf
    return 2 * float(brentq(lambda half: polygamma(1, half) - excess, 1e-2, 1e4))
