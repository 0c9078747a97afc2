"""Claims that a difference lies in a region: above 0, below 0, or within a margin.

A claim is shown if the interval of the difference lies in the region, and shown to be false if it lies outside; each of
the two is wrong in at most 5 % of the cases. The interval leaves out 5 % at either end (Schuirmann 1987: two one-sided
tests), divided for the claims of its family. A side that was selected as the best of k has the luck of the best, also
on test tweets: it can only be overrated. So the end that this luck can move past the truth is divided by k, and the
other end is not. Equality is shown to be false by the interval that leaves out half as much, since it has two outsides.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from sentiment.statistics.estimate import Estimate, StudentEvidence
from sentiment.statistics.families import correct_for_multiple_tests

Outcome = Literal["shown", "shown to be false", "open"]
K = TypeVar("K")


class Ruling(NamedTuple):
    """The outcome of a claim, and the difference with the interval that would show it."""

    outcome: Outcome
    difference: Estimate


@dataclass(frozen=True)
class RegionClaim:
    """That a difference lies between two bounds, one of which may be infinite.

    Attributes:
        selected: from how many configurations each of its two sides was selected.
    """

    evidence: StudentEvidence
    low: float
    high: float
    selected: tuple[int, int] = (1, 1)

    @property
    def outsides(self) -> int:
        """How many of the region's two ends are bounds beyond which the claim is false."""
        return sum(map(math.isfinite, (self.low, self.high)))

    @property
    def p(self) -> float:
        """The p-value of the nearer one of the two outcomes, shown and shown to be false, for all selections."""
        distances = (self.evidence.value - self.low, self.high - self.evidence.value)
        inside = []
        outside = []
        for distance, ours, theirs in zip(distances, self.selected, reversed(self.selected), strict=True):
            if math.isfinite(distance):
                inside.append(ours * self.evidence.p_beyond(distance))
                outside.append(theirs * self.evidence.p_beyond(-distance, self.outsides))
        return min(max(inside), self.outsides * min(outside), 1.0)

    def decided(self, alpha: float, q: float | None = None) -> Ruling:
        """The outcome by the interval that leaves out `alpha` at either end, divided for selections.

        Args:
            q: the p-value that is adjusted for the family.
        """
        level = 1 - sum(alpha / selected for selected in self.selected)
        inner = self._interval(alpha, ends=1)
        outer = self._interval(alpha, ends=self.outsides)
        outcome: Outcome = "open"
        if inner and self.low < inner[0] and inner[1] < self.high:
            outcome = "shown"
        elif outer and (outer[1] < self.low or outer[0] > self.high):
            outcome = "shown to be false"
        low, high = inner or (None, None)
        return Ruling(outcome, Estimate(self.evidence.value, low, high, self.evidence.n, level, self.evidence.p, q))

    def _interval(self, alpha: float, ends: int) -> tuple[float, float] | None:
        """The interval of which each end, divided for its selection, leaves out a part of `alpha`.

        Args:
            ends: into how many parts it is divided, see `StudentEvidence.interval`.
        """
        bounds = [self.evidence.interval(1 - 2 * alpha / ends / selected, ends) for selected in self.selected]
        if bounds[0] is None or bounds[1] is None:
            return None
        return bounds[0][0], bounds[1][1]


def decide(family: Mapping[K, RegionClaim]) -> dict[K, Ruling]:
    """The outcomes of claims that were stated together; one between sides that do not vary is open."""
    tested = {key: claim.p for key, claim in family.items() if claim.evidence.test}
    adjusted, level = correct_for_multiple_tests([*tested.values()])
    q_values = dict(zip(tested, adjusted, strict=True))
    return {key: claim.decided(1 - level, q_values.get(key)) for key, claim in family.items()}
