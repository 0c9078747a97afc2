"""Estimates with their confidence intervals, and the evidence that an estimated difference rests on.

Shares are fractions of 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from sentiment.statistics import ALPHA, LEVEL
from sentiment.statistics.wilson import wilson_bounds


@dataclass(frozen=True)
class Estimate:
    """A score, a share, or the difference of two, with its confidence interval.

    Attributes:
        low, high: the confidence bounds; None where the variance is unknown.
        n: the number of observations; a fraction if it is estimated itself.
        level: the confidence level.
        p: the p-value of a difference of 0; None where that cannot be tested, and of a score.
        q: the adjusted p-value. It is None before correction, and then the difference never counts as significant.
        is_conditional: whether it is conditional on the trained models: nothing is known of other seeds.
    """

    value: float
    low: float | None
    high: float | None
    n: float
    level: float = LEVEL
    p: float | None = None
    q: float | None = None
    is_conditional: bool = False

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant."""
        return self.q is not None and self.q < ALPHA

    @property
    def is_better(self) -> bool:
        """Whether the first side is significantly better."""
        return self.is_significant and self.value > 0

    @property
    def is_worse(self) -> bool:
        """Whether the first side is significantly worse."""
        return self.is_significant and self.value < 0

    @property
    def reversed(self) -> Self:
        """The second side minus the first."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return replace(self, value=-self.value, low=low, high=high)


@dataclass(frozen=True)
class StandardError:
    """A standard error above 0, with the degrees of freedom of Student's distribution that it has."""

    error: float
    freedom: float

    def p(self, distance: float) -> float:
        """The two-sided p-value of an estimate so far from the value that is tested."""
        from scipy.special import stdtr

        return 2 * float(stdtr(self.freedom, -abs(distance) / self.error))

    def margin(self, alpha: float) -> float:
        """The distance from an estimate to each bound of the interval that leaves out `alpha` at both ends together."""
        from scipy.special import stdtrit

        return -self.error * float(stdtrit(self.freedom, alpha / 2))


@dataclass(frozen=True)
class StudentEvidence:
    """A difference with its standard error, see `designs`.

    A claim must pass two tests (an intersection-union test, Berger 1982). The first uses what other configurations tell
    of the variance, and is corrected for the number of claims. The gate uses the variance of the compared
    configurations alone, and is not corrected: a configuration that varies much more than the others is one.

    Attributes:
        n: the number of tweets.
        test: None where nothing varies.
        gate: None if there is no such test besides.
        is_share: whether the difference is one of shares, at most 1; else it has no bound.
    """

    value: float
    n: float
    test: StandardError | None
    gate: StandardError | None = None
    is_share: bool = True
    is_conditional: ClassVar[bool] = False

    @property
    def p(self) -> float | None:
        """That of the first test if the gate lets the claim pass, else the larger one."""
        return self._p(abs(self.value), ALPHA)

    @property
    def least_p(self) -> float:
        """That of the gate: no correction makes the claim surer."""
        return self.gate.p(self.value) if self.gate else 0.0

    def interval(self, level: float, ends: int = 2) -> tuple[float, float] | None:
        """The interval that agrees with the tests; None where nothing varies.

        Args:
            ends: of how many ends the probability to leave out the truth is limited together. It is one if the claim
                is that the difference lies beyond a bound, or beyond each of two.
        """
        if self.test is None:
            return None
        margin = self.test.margin(1 - level)
        if self.gate:
            margin = max(margin, self.gate.margin(max(2 * ALPHA / ends, 1 - level)))
        limit = 1.0 if self.is_share else math.inf
        return max(self.value - margin, -limit), min(self.value + margin, limit)

    def p_beyond(self, distance: float, ends: int = 1) -> float:
        """The one-sided p-value of the claim that the difference lies beyond a bound.

        Args:
            distance: how far its estimate lies beyond the bound; negative if it does not.
            ends: as in `interval`.
        """
        p = self._p(abs(distance), 2 * ALPHA / ends)
        if p is None:
            return 1.0
        return p / 2 if distance > 0 else 1 - p / 2

    def _p(self, distance: float, gate_alpha: float) -> float | None:
        """The two-sided p-value of an estimate so far from the value that is tested."""
        if self.test is None:
            return None
        p = self.test.p(distance)
        of_gate = self.gate.p(distance) if self.gate else 0.0
        return p if of_gate < gate_alpha else max(p, of_gate)


def share_estimate(right: int, n: int) -> Estimate:
    """The share `right / n`."""
    low, high = wilson_bounds(right / n, n)
    return Estimate(right / n, float(low), float(high), n)


def mean_of_shares(shares: Sequence[Estimate]) -> Estimate:
    """The mean of shares of independent samples: the distances to their bounds add as squares (Zou & Donner 2008)."""
    k = len(shares)
    value = sum(share.value for share in shares) / k
    below = math.hypot(*(share.value - (share.low or 0.0) for share in shares)) / k
    above = math.hypot(*((share.high or 0.0) - share.value for share in shares)) / k
    return Estimate(value, value - below, value + above, sum(share.n for share in shares))
