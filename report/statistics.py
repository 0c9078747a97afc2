"""Confidence intervals and significance tests of accuracies and their differences. Shares are fractions of 1."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np

from sentiment.paired import ALPHA, PairedCounts, correct_for_multiple_tests, paired_difference
from sentiment.paired import format_level as format_level  # `report.render` writes levels, and may not import it there
from sentiment.runs.power import critical_difference
from sentiment.runs.records import Metrics

# The confidence level of intervals.
LEVEL = 0.95
# The metric by which predictors are compared: the share of tweets that are right, or its mean over the classes.
Metric = Literal["accuracy", "macro_recall"]
METRIC_NAMES: dict[Metric, str] = {"accuracy": "accuracy", "macro_recall": "macro recall"}

# A variance component and its degrees of freedom.
Component = tuple[float, float]
_FLOATING_POINT_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A point estimate from `n` observations.

    Attributes:
        low, high: the confidence bounds; None where the variance is unknown.
        level: their confidence level.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    level: float = field(default=LEVEL, kw_only=True)


@dataclass(frozen=True)
class PairedEvidence:
    """Two trained models, or predictors without seeds: on how many tweets only one is right, see `sentiment.paired`.

    Attributes:
        classes: by class for macro recall; of all tweets for accuracy.
    """

    classes: tuple[PairedCounts, ...]

    @property
    def value(self) -> float:
        return paired_difference(self.classes).difference

    @property
    def p(self) -> float:
        return paired_difference(self.classes).p

    def interval(self, level: float) -> tuple[float, float]:
        result = paired_difference(self.classes, level)
        return result.low, result.high


@dataclass(frozen=True)
class VarianceEvidence:
    """The components of a difference's variance.

    The difference is compared with its standard error times the mean of Student's quantiles of the components' degrees
    of freedom, weighted by the components (Cochran & Cox 1950), so that few seeds with nearly equal scores do not make
    it significant.

    Attributes:
        replicates: over seeds, matched configurations or folds.
        tweets: over tweets, as far as it is not in `replicates`.
        is_share: whether the difference is one of shares, at most 1; else it has no bound.
    """

    value: float
    replicates: tuple[Component, ...]
    tweets: Component
    is_share: bool = True

    @property
    def components(self) -> tuple[Component, ...]:
        return (*self.replicates, self.tweets)

    @property
    def variance(self) -> float:
        return sum(variance for variance, _ in self.components)

    @property
    def is_known(self) -> bool:
        """Whether anything varies."""
        return self.variance > _FLOATING_POINT_TOLERANCE**2

    @property
    def p(self) -> float | None:
        return _p_value(self.value, self.components) if self.is_known else None

    def interval(self, level: float) -> tuple[float, float] | None:
        if not self.is_known:
            return None
        half_width = math.sqrt(_squared_distance(self.components, 1 - level))
        limit = 1.0 if self.is_share else math.inf
        return max(self.value - half_width, -limit), min(self.value + half_width, limit)

    def p_above(self, bound: float) -> float:
        """The one-sided p-value of the hypothesis that the difference is at most `bound`."""
        p = _p_value(self.value - bound, self.components) / 2
        return p if self.value > bound else 1 - p


# What a design says about a difference before it is corrected, see `report.designs`: both classes have its value, its
# p-value, and its interval at any level.
Evidence = PairedEvidence | VarianceEvidence


@dataclass(frozen=True)
class Difference(Estimate):
    """A difference, with the p-value of the hypothesis that it is zero.

    Attributes:
        p: None where the hypothesis cannot be tested.
        q: the adjusted p-value. It is None before correction, and then the difference never counts as significant.
        is_conditional: whether it is conditional on the trained models: nothing is known of other seeds.
    """

    evidence: Evidence = field(kw_only=True)
    p: float | None = None
    q: float | None = None
    is_conditional: bool = False

    @classmethod
    def of(cls, evidence: Evidence, n: int, is_conditional: bool = False) -> Self:
        """An uncorrected difference on `n` tweets."""
        unknown = cls(evidence.value, None, None, n, evidence.p, is_conditional=is_conditional, evidence=evidence)
        return unknown.with_level(LEVEL)

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant."""
        return self.q is not None and self.q < ALPHA

    @property
    def reversed(self) -> Self:
        """The second side minus the first; its evidence is that of the first minus the second."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return replace(self, value=-self.value, low=low, high=high)

    @property
    def is_better(self) -> bool:
        """Whether the first side is significantly better."""
        return self.is_significant and self.value > 0

    @property
    def is_worse(self) -> bool:
        """Whether the first side is significantly worse."""
        return self.is_significant and self.value < 0

    @property
    def farthest(self) -> float | None:
        """How far apart the two sides may be at most, by the interval; None if it is unknown."""
        return None if self.low is None or self.high is None else max(abs(self.low), abs(self.high))

    def with_level(self, level: float) -> Self:
        """A copy with the interval at another confidence level, without bounds if the variance is unknown."""
        interval = self.evidence.interval(level)
        if interval is None:
            return replace(self, level=level)
        return replace(self, low=interval[0], high=interval[1], level=level)


def wilson(right: int, n: int) -> Estimate:
    """The share `right / n` with Wilson's score interval (Wilson 1927)."""
    from scipy.stats import binomtest

    bounds = binomtest(right, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(right / n, float(bounds.low), float(bounds.high), n)


def estimate_of(metrics: Metrics, metric: Metric = "accuracy") -> Estimate:
    """The recorded accuracy or macro recall, with its confidence interval over tweets."""
    if metric == "accuracy":
        return Estimate(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high, metrics.n)
    recalls = zip(metrics.recall, metrics.sizes, strict=True)
    return mean_of_shares([wilson(round(recall * size), size) for recall, size in recalls if size])


def mean_of_shares(shares: Sequence[Estimate]) -> Estimate:
    """The mean of shares of independent samples: the distances to their bounds add as squares (Zou & Donner 2008)."""
    k = len(shares)
    value = sum(share.value for share in shares) / k
    below = math.hypot(*(share.value - (share.low or 0.0) for share in shares)) / k
    above = math.hypot(*((share.high or 0.0) - share.value for share in shares)) / k
    return Estimate(value, value - below, value + above, sum(share.n for share in shares))


def corrected(differences: Sequence[Difference], hypotheses: int = 0) -> list[Difference]:
    """Correct a family of differences, see `sentiment.paired.correct_for_multiple_tests`.

    Args:
        hypotheses: their number m, if it is larger than that of the differences that can be tested. If the first side
            was selected as the best of k, each of the k * (k - 1) / 2 pairs could have been compared, and all of them
            count: a side whose seeds were lucky when it was selected is lucky on test tweets too.
    """
    p_values = [difference.p for difference in differences if difference.p is not None]
    adjusted, level = correct_for_multiple_tests(p_values, hypotheses)
    remaining = iter(adjusted)
    q_values = [None if difference.p is None else next(remaining) for difference in differences]
    return [replace(difference.with_level(level), q=q) for difference, q in zip(differences, q_values, strict=True)]


def _squared_distance(components: Sequence[Component], alpha: float) -> float:
    """The square of the smallest difference that is significant at the level `alpha` (Cochran & Cox 1950)."""
    from scipy.special import stdtrit

    variances, freedoms = np.transpose([component for component in components if component[0] > 0])
    return float(critical_difference(variances, stdtrit(freedoms, alpha / 2)) ** 2)


def _p_value(value: float, components: Sequence[Component]) -> float:
    """The level at which a difference is just significant, by bisection on its logarithm."""
    log_low = math.log(1e-300)
    log_high = 0.0
    while log_high - log_low > _FLOATING_POINT_TOLERANCE:
        middle = (log_low + log_high) / 2
        if _squared_distance(components, math.exp(middle)) > value**2:
            log_low = middle
        else:
            log_high = middle
    return math.exp(log_high)


def are_numbers(values: Iterable[Any]) -> bool:
    """Whether all values are numbers; truth values are none."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def sort_key(value: Any) -> tuple[int, float, str]:
    """What values of a setting are sorted by: None first, then numbers by size, then texts."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), str(value)
    return 2, 0.0, str(value)


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether the values are positive numbers that span a factor of 8 or more, such as learning rates."""
    return are_numbers(values) and min(values) > 0 and max(values) / min(values) >= 8
