"""Confidence intervals and significance tests of accuracies and their differences. Shares are fractions of 1."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from sentiment.metrics import ClassIndices, Flags
from sentiment.paired import ALPHA, PairedCounts, correct_for_multiple_tests, paired_difference
from sentiment.runs.power import POWER as POWER  # for `report.render`, which may not import `sentiment.runs`
from sentiment.runs.power import smallest_difference
from sentiment.runs.records import Metrics
from sentiment.runs.seed_variance import between_seeds, critical_difference

# The confidence level of intervals.
LEVEL = 0.95
# The metric by which predictors are compared: the share of tweets that are right, or its mean over the classes.
Metric = Literal["accuracy", "macro_recall"]
METRIC_NAMES: dict[Metric, str] = {"accuracy": "accuracy", "macro_recall": "macro recall"}

# One truth value for each tweet, of shape (n,).
# One number for each tweet, of shape (n,), or for each seed and tweet, of shape (seeds, n).
Values = npt.NDArray[np.float64]
# A variance component and its degrees of freedom.
Component = tuple[float, float]
_FLOATING_POINT_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A point estimate from `n` observations; its confidence bounds are None where the variance is unknown."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Difference(Estimate):
    """A difference, with the p-value of the hypothesis that it is zero.

    Attributes:
        p: None where the hypothesis cannot be tested.
        q: the adjusted p-value. It is None before correction, and then the difference never counts as significant.
        components: the components of its variance, of which that over tweets is the last.
        limit: the largest possible absolute value: 1 for shares, None for values without a bound.
        level: the confidence level of the interval.
        is_conditional: whether it is conditional on the trained models: nothing is known of other seeds.
        counts: for two classifiers without seeds: the tweets that only one gets right; by class for macro recall.
    """

    p: float | None = None
    q: float | None = None
    components: tuple[Component, ...] = ()
    limit: float | None = None
    is_conditional: bool = False
    counts: tuple[PairedCounts, ...] = ()
    level: float = LEVEL

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant."""
        return self.q is not None and self.q < ALPHA

    @property
    def reversed(self) -> Self:
        """The second side minus the first."""
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
    def detectable(self) -> float | None:
        """The smallest difference that is detected with the power `POWER`; None without `p`."""
        if self.p is None:
            return None
        seeds: Sequence[Component] = self.components[:-1]
        if self.counts:
            discordant = ((pair.only_first + pair.only_second + 1) / (pair.n + 2) ** 2 for pair in self.counts)
            tweet_variance = sum(discordant) / len(self.counts) ** 2
            tweets = len(self.counts) ** 2 / sum(1 / pair.n for pair in self.counts)
        else:
            tweets = self.n
            tweet_variance = self.components[-1][0]
        seed_variance = sum(variance for variance, _ in seeds)
        _, freedom = max(seeds, default=(0.0, 1.0))  # the degrees of freedom of the largest component
        return smallest_difference(seed_variance, freedom, tweet_variance * tweets, tweets, self.level)

    def with_level(self, level: float) -> Self:
        """A copy with the interval at another confidence level; unchanged if the variance is unknown."""
        if self.counts:
            result = paired_difference(self.counts, level)
            return replace(self, low=result.low, high=result.high, level=level)
        if not self.components:
            return self
        half_width = math.sqrt(_squared_distance(self.components, 1 - level))
        limit = math.inf if self.limit is None else self.limit
        low = max(self.value - half_width, -limit)
        return replace(self, low=low, high=min(self.value + half_width, limit), level=level)


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
    return _mean_of_shares([wilson(round(recall * size), size) for recall, size in recalls if size])


def _mean_of_shares(shares: Sequence[Estimate]) -> Estimate:
    """The mean of shares of independent samples: the distances to their bounds add as squares (Zou & Donner 2008)."""
    k = len(shares)
    value = sum(share.value for share in shares) / k
    below = math.hypot(*(share.value - (share.low or 0.0) for share in shares)) / k
    above = math.hypot(*((share.high or 0.0) - share.value for share in shares)) / k
    return Estimate(value, value - below, value + above, sum(share.n for share in shares))


def kappa(first: ClassIndices, second: ClassIndices) -> float:
    """Cohen's kappa of two classifications of the same tweets (Cohen 1960); 0 if the expected agreement is 1."""
    classes = np.unique(np.concatenate([first, second]))
    expected = sum((first == label).mean() * (second == label).mean() for label in classes)
    if expected == 1:
        return 0.0
    observed = (first == second).mean()
    return float((observed - expected) / (1 - expected))


def paired(first: Flags, second: Flags, classes: ClassIndices | None = None) -> Difference:
    """The difference of two classifiers without seeds, see `sentiment.paired`.

    `first` and `second` say which tweets each classifier gets right; `classes` is as in `Side`.
    """
    only_first = by_class(first & ~second, classes)
    only_second = by_class(second & ~first, classes)
    counts = tuple(
        PairedCounts(int(firsts.sum()), int(seconds.sum()), firsts.size)
        for firsts, seconds in zip(only_first, only_second, strict=True)
    )
    result = paired_difference(counts, LEVEL)
    return Difference(result.difference, result.low, result.high, len(first), result.p, counts=counts)


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


@dataclass(frozen=True)
class SeedVariance:
    """The variance of a score between seeds of one configuration, pooled over configurations."""

    variance: float
    freedom: int


def pooled_variance(configurations: Iterable[Sequence[float]]) -> SeedVariance | None:
    """The pooled variance between seeds, given the scores of each configuration's seeds; None if none has several."""
    replicated = [np.asarray(scores, np.float64) for scores in configurations if len(scores) > 1]
    freedom = sum(len(scores) - 1 for scores in replicated)
    if not freedom:
        return None
    squares = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in replicated)
    return SeedVariance(squares / freedom, freedom)


def by_class(scores: npt.NDArray[Any], classes: ClassIndices | None) -> list[npt.NDArray[Any]]:
    """The scores, of shape (..., tweets), of the tweets of each class; all of them without `classes`."""
    if classes is None:
        return [scores]
    return [scores[..., classes == label] for label in np.unique(classes)]


@dataclass(frozen=True)
class Side:
    """One side of a comparison. Its score is the mean over its configurations of the means over their seeds.

    Attributes:
        configurations: one array of shape (seeds, tweets) per configuration: whether each seed has each tweet right,
            or another score.
        has_seeds: whether the result depends on a random seed: not that of a linear baseline.
        classes: the class of each tweet, of shape (tweets,), if a seed is scored by its macro recall, the mean over
            classes of the means over their tweets; None if it is scored by the mean over all tweets.
    """

    configurations: Sequence[Values | Flags]
    has_seeds: bool = True
    classes: ClassIndices | None = None

    @property
    def tweet_scores(self) -> Values:
        """Its score on each tweet, of shape (tweets,)."""
        means = [scores.mean(axis=0) for scores in self.configurations]
        return np.asarray(np.mean(means, axis=0), np.float64)

    def seed_scores(self, configuration: Values | Flags) -> Values:
        """The score of each seed of one of its configurations, of shape (seeds,)."""
        means = [scores.mean(axis=1) for scores in by_class(configuration, self.classes)]
        return np.asarray(np.mean(means, axis=0), np.float64)


# Two sides on the same tweets, and the pooled variance between seeds of configurations like theirs. If that is not
# known and both sides have several configurations, these are matched by their positions.
Pair = tuple[Side, Side, SeedVariance | None]


def compare(pairs: Iterable[Pair], hypotheses: int = 0, limit: float | None = 1.0) -> list[Difference]:
    """Test the difference first - second of each pair for new seeds and new tweets.

    Seeds and tweets are two crossed random factors (analysis of variance). The variance of a difference is V_seeds +
    V_tweets - V_interaction, since both of the first two contain that of the interaction. The variance between seeds is
    the pooled one, or a configuration's own where that is larger, see `_between_seeds`. The difference is compared with
    its standard error times the mean of Student's quantiles of the components' degrees of freedom, weighted by the
    components (Cochran & Cox 1950), so that few seeds with nearly equal scores do not make a difference significant.
    If no configuration has several seeds, the variance between matched configurations takes the place of that between
    seeds. Without those, two trained models are compared, and the result holds for these two alone: by `paired`, or by
    a paired t test of scores other than correctness.

    Args:
        pairs: all comparisons of one family.
        hypotheses: see `corrected`.
        limit: see `Difference`.
    """
    return corrected([difference(*pair, limit) for pair in pairs], hypotheses)


def score_of(side: Side, seed_variance: SeedVariance | None) -> Estimate:
    """The score of a side with one configuration, with its confidence interval over seeds and tweets."""
    correct = side.configurations[0]
    seeds, n = correct.shape
    if not side.has_seeds or (seed_variance is None and seeds == 1):
        return _mean_of_shares([wilson(int(right.sum()), right.size) for right in by_class(correct[0], side.classes)])
    zero = Side([np.zeros((1, n), np.bool_)], has_seeds=False, classes=side.classes)
    result = difference(side, zero, seed_variance)
    if result.low is None or result.high is None:
        return Estimate(result.value, None, None, n)
    return Estimate(result.value, max(result.low, 0.0), min(result.high, 1.0), n)


def difference(first: Side, second: Side, seed_variance: SeedVariance | None, limit: float | None = 1.0) -> Difference:
    """One uncorrected comparison, see `compare`."""
    sides = [side for side in (first, second) if side.has_seeds]
    if sides and seed_variance is None and len(first.configurations) == len(second.configurations) > 1:
        matched = zip(first.configurations, second.configurations, strict=True)
        gaps = np.array([scores.mean(axis=0) - others.mean(axis=0) for scores, others in matched])
        sides = [Side([gaps], classes=first.classes)]
        seed_variance = pooled_variance([sides[0].seed_scores(gaps).tolist()])
    is_conditional = bool(sides) and seed_variance is None
    components: list[Component] = []
    if sides and seed_variance is not None:
        components = _seed_components(sides, seed_variance)
    elif first.configurations[0].dtype == second.configurations[0].dtype == np.bool_:
        result = paired(first.configurations[0][0], second.configurations[0][0], first.classes)
        return replace(result, is_conditional=is_conditional)
    by_tweet = by_class(first.tweet_scores - second.tweet_scores, first.classes)
    n = sum(len(gaps) for gaps in by_tweet)
    value = float(np.mean([gaps.mean() for gaps in by_tweet]))
    tweet_variance = sum(_variance_of_mean(gaps) for gaps in by_tweet) / len(by_tweet) ** 2
    tweet_variance = max(tweet_variance - sum(map(_interaction, sides)), 0.0)
    components.append((tweet_variance, n - len(by_tweet)))
    result = Difference(value, None, None, n, limit=limit, is_conditional=is_conditional)
    if sum(variance for variance, _ in components) <= _FLOATING_POINT_TOLERANCE**2:
        return result
    return replace(result, p=_p_value(value, components), components=tuple(components)).with_level(LEVEL)


def _variance_of_mean(values: Values) -> float:
    """The variance of the mean of independent values; 0 of a single value, whose variance is unknown."""
    n = len(values)
    return float(values.var(ddof=1)) / n if n > 1 else 0.0


def _seed_components(sides: Sequence[Side], seed_variance: SeedVariance) -> list[Component]:
    """The variance between the seeds of each configuration, as it enters the score of the difference."""
    components = []
    for side in sides:
        for scores in side.configurations:
            variance, freedom = _between_seeds(side.seed_scores(scores), seed_variance)
            components.append((variance / (len(scores) * len(side.configurations) ** 2), freedom))
    return components


def _between_seeds(scores: Values, pooled: SeedVariance) -> Component:
    """The variance between the seeds of one configuration, given their scores, see `between_seeds`."""
    freedom = len(scores) - 1
    if freedom == 0:
        return pooled.variance, pooled.freedom
    variance, freedom_used = between_seeds(scores.var(ddof=1), freedom, pooled.variance, pooled.freedom)
    return float(variance), int(freedom_used)


def _interaction(side: Side) -> float:
    """The part of the variance between seeds that is their interaction with tweets; that over tweets holds it too."""
    variance = 0.0
    for scores in side.configurations:
        classes = by_class(scores, side.classes)
        squares = sum(_interaction_mean_square(class_scores) / class_scores.size for class_scores in classes)
        variance += squares / len(classes) ** 2
    return variance / len(side.configurations) ** 2


def _interaction_mean_square(scores: Values | Flags) -> float:
    """The residual mean square of a two-way layout of shape (rows, columns); 0 if there is one row or one column."""
    rows, columns = scores.shape
    if rows < 2 or columns < 2:
        return 0.0
    row_means = scores.mean(axis=1)[:, None]
    column_means = scores.mean(axis=0)[None, :]
    residuals = scores - row_means - column_means + scores.mean()
    return float(np.square(residuals).sum() / ((rows - 1) * (columns - 1)))


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


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether the values are positive numbers that span a factor of 8 or more, such as learning rates."""
    return are_numbers(values) and min(values) > 0 and max(values) / min(values) >= 8
