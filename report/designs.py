"""How two sides are compared: a class for each design of an experiment, which refuses what does not fit it.

Each gives the difference first - second. What it says of two trained models is for new tweets alone; of configurations
over seeds, of matched configurations or training sets, of configurations drawn at random, and of the folds of a
cross-validation, it is for new seeds, configurations or training sets as well.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from report.statistics import (
    Component,
    Difference,
    Estimate,
    PairedEvidence,
    VarianceEvidence,
    mean_of_shares,
    wilson,
)
from sentiment.metrics import ClassIndices, Flags
from sentiment.paired import PairedCounts
from sentiment.runs.power import between_seeds

# One number for each tweet, of shape (n,), or for each seed and tweet, of shape (seeds, n).
Values = npt.NDArray[np.float64]


# Relative to a variance, more than the rounding error of its computation.
_ROUNDING = 1e-12

NO_SEEDS = "no configuration has several seeds, and nothing is known of other seeds"


class NotComparableError(ValueError):
    """The sides are not those of the design."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison. Its score is the mean over its configurations of the means over their seeds.

    Attributes:
        configurations: one array of shape (seeds, tweets) per configuration: whether each seed has each tweet right,
            or another value of each tweet.
        has_seeds: whether the result depends on a random seed: not that of a linear baseline.
        classes: the class of each tweet, of shape (tweets,), if a seed is scored by its macro recall, the mean over
            classes of the means over their tweets; None if it is scored by the mean over all tweets.
        folds: the fold in which each tweet was tested, of shape (tweets,); only for cross-validated runs.
        are_shares: whether the score is a share of 1.
    """

    configurations: Sequence[Values | Flags]
    has_seeds: bool = True
    classes: ClassIndices | None = None
    folds: npt.NDArray[np.signedinteger[Any]] | None = None
    are_shares: bool = True

    @property
    def tweet_scores(self) -> Values:
        """Its score on each tweet, of shape (tweets,)."""
        means = [scores.mean(axis=0) for scores in self.configurations]
        return np.asarray(np.mean(means, axis=0), np.float64)

    def seed_scores(self, configuration: Values | Flags) -> Values:
        """The score of each seed of one of its configurations, of shape (seeds,)."""
        means = [scores.mean(axis=1) for scores in by_class(configuration, self.classes)]
        return np.asarray(np.mean(means, axis=0), np.float64)

    def gaps(self, other: "Side") -> list[Values]:
        """By class, its score minus that of another side on each tweet.

        Raises:
            NotComparableError: the sides are not on the same tweets.
        """
        if self.tweet_scores.shape != other.tweet_scores.shape or np.any(self.classes != other.classes):
            raise NotComparableError("the sides are not on the same tweets")
        return by_class(self.tweet_scores - other.tweet_scores, self.classes)

    def require_one_model(self) -> None:
        """Refuse a side of several models or folds, or of other values than whether tweets are right.

        Raises:
            NotComparableError: it is such a side.
        """
        if not self.is_single or not self.are_shares or self.folds is not None:
            raise NotComparableError("a side is not a single trained model that is right or wrong")

    @property
    def is_single(self) -> bool:
        """Whether it is a single trained model."""
        return [len(scores) for scores in self.configurations] == [1]

    @property
    def nothing(self) -> "Side":
        """A side without seeds that has every tweet wrong."""
        zeros = [np.zeros((1, scores.shape[1]), np.bool_) for scores in self.configurations]
        return replace(self, configurations=zeros, has_seeds=False)


class Design(ABC):
    """How sides are compared."""

    @abstractmethod
    def difference(self, first: Side, second: Side) -> Difference:
        """The uncorrected difference first - second.

        Raises:
            NotComparableError: the sides are not those of the design.
        """

    def score(self, side: Side) -> Estimate:
        """The score of one side, between 0 and 1, with its interval.

        Raises:
            NotComparableError: the side is not one of the design.
        """
        result = self.difference(side, side.nothing)
        if result.low is None or result.high is None:
            return result
        return replace(result, low=max(result.low, 0.0), high=min(result.high, 1.0))


@dataclass(frozen=True)
class TwoModels(Design):
    """Two trained models, by the tweets that only one of them has right: nothing is said of other seeds."""

    def difference(self, first: Side, second: Side) -> Difference:
        first.require_one_model()
        second.require_one_model()
        gaps = first.gaps(second)
        counts = [PairedCounts(int((gap > 0).sum()), int((gap < 0).sum()), gap.size) for gap in gaps]
        has_seeds = first.has_seeds or second.has_seeds
        return Difference.of(PairedEvidence(tuple(counts)), sum(map(len, gaps)), is_conditional=has_seeds)

    def score(self, side: Side) -> Estimate:
        side.require_one_model()
        right = by_class(side.tweet_scores, side.classes)
        return mean_of_shares([wilson(int(flags.sum()), flags.size) for flags in right])


@dataclass(frozen=True)
class SeedVariance:
    """The variance of a score between seeds of one configuration, pooled over configurations."""

    variance: float
    freedom: int


@dataclass(frozen=True)
class Seeds(Design):
    """Configurations over seeds, one with another or with a predictor without seeds.

    Seeds and tweets are two crossed random factors (analysis of variance). The variance of a difference is V_seeds +
    V_tweets - V_interaction, since both of the first two contain that of the interaction. The variance between seeds is
    the pooled one, or a configuration's own where that is larger, see `_between_seeds`. Of several configurations a
    side, the mean is compared.

    Attributes:
        pooled: over configurations like those that are compared.
    """

    pooled: SeedVariance

    def difference(self, first: Side, second: Side) -> Difference:
        sides = [side for side in (first, second) if side.has_seeds]
        if not sides or any(side.folds is not None for side in sides):
            raise NotComparableError("neither side depends on seeds, or the folds of one side depend on training sets")
        components = [component for side in sides for component in self._components(side)]
        return _difference(first, second, components, sum(map(_interaction, sides)))

    def _components(self, side: Side) -> list[Component]:
        """The variance between the seeds of each configuration, as it enters the score of the difference."""
        components = []
        for scores in side.configurations:
            variance, freedom = _between_seeds(side.seed_scores(scores), self.pooled)
            components.append((variance / (len(scores) * len(side.configurations) ** 2), freedom))
        return components


@dataclass(frozen=True)
class Matched(Design):
    """Configurations, or models on the same training sets, that are matched by position and tested on the same tweets.

    They, and tweets, are two crossed random factors, as in `Seeds`. Seeds within them are averaged: the variance
    between configurations or training sets contains theirs.
    """

    def difference(self, first: Side, second: Side) -> Difference:
        number = len(first.configurations)
        if number != len(second.configurations) or number < 2:
            raise NotComparableError(f"{number} and {len(second.configurations)} are not several matched pairs")
        pairs = zip(first.configurations, second.configurations, strict=True)
        gaps = np.array([scores.mean(axis=0) - others.mean(axis=0) for scores, others in pairs])
        rows = replace(first, configurations=[gaps])
        variance = float(rows.seed_scores(gaps).var(ddof=1)) / number
        return _difference(first, second, [(variance, number - 1)], _interaction(rows))


@dataclass(frozen=True)
class Drawn(Design):
    """Configurations that were drawn at random on each side, and are not matched, such as the trials of a search.

    They, and tweets, are two crossed random factors, as in `Matched`.
    """

    def difference(self, first: Side, second: Side) -> Difference:
        components = []
        contained = 0.0
        for side in (first, second):
            number = len(side.configurations)
            if number < 2:
                raise NotComparableError("a side is not several configurations")
            rows = replace(side, configurations=[np.stack([scores.mean(axis=0) for scores in side.configurations])])
            variance = float(rows.seed_scores(rows.configurations[0]).var(ddof=1)) / number
            components.append((variance, number - 1))
            contained += _interaction(rows)
        return _difference(first, second, components, contained)


@dataclass(frozen=True)
class Folds(Design):
    """Cross-validated runs, one with another or with a predictor that was not trained in folds.

    Training sets are the random factor, and each tweet is tested in one fold. So the variance between folds contains
    that of seeds and of tweets; the latter alone counts where it is larger, so that folds that are equal by chance are
    not sure of themselves. A fold's part in the score is by its tweets of each class.
    """

    def difference(self, first: Side, second: Side) -> Difference:
        known = [side.folds for side in (first, second) if side.folds is not None]
        if not known or not np.array_equal(known[0], known[-1]):
            raise NotComparableError("the tweets of the two sides were not tested in the same folds")
        names, fold_of = np.unique(known[0], return_inverse=True)
        if len(names) < 2:
            raise NotComparableError("all tweets were tested in one fold")
        parts = np.zeros(len(names))
        gaps = first.gaps(second)
        for class_gaps, class_folds in zip(gaps, by_class(fold_of, first.classes), strict=True):
            deviations = (class_gaps - class_gaps.mean()) / len(class_gaps) / len(gaps)
            parts += np.bincount(class_folds, deviations, minlength=len(names))
        freedom = len(names) - 1
        variance = float(np.square(parts).sum()) * len(names) / freedom
        return _difference(first, second, [(variance, freedom)], variance)


def _difference(first: Side, second: Side, replicates: Sequence[Component], contained: float) -> Difference:
    """A difference with its two kinds of variance.

    Args:
        replicates: the components over seeds, configurations or folds.
        contained: how much of the variance over tweets is in them already, and is not counted twice.
    """
    by_tweet = first.gaps(second)
    sizes = [len(gaps) for gaps in by_tweet]
    value = float(np.mean([gaps.mean() for gaps in by_tweet]))
    tweet_variance = sum(_variance_of_mean(gaps) for gaps in by_tweet) / len(by_tweet) ** 2
    remaining = tweet_variance - contained
    if remaining < _ROUNDING * tweet_variance:  # of equal variances, a rounding error would remain
        remaining = 0.0
    tweets = remaining, sum(sizes) - len(sizes)
    return Difference.of(VarianceEvidence(value, tuple(replicates), tweets, first.are_shares), sum(sizes))


def _variance_of_mean(values: Values) -> float:
    """The variance of the mean of independent values; 0 of a single value, whose variance is unknown."""
    n = len(values)
    return float(values.var(ddof=1)) / n if n > 1 else 0.0


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


def _between_seeds(scores: Values, pooled: SeedVariance) -> Component:
    """The variance between the seeds of one configuration, given their scores, see `between_seeds`."""
    own_freedom = len(scores) - 1
    if own_freedom == 0:
        return pooled.variance, pooled.freedom
    variance, freedom = between_seeds(scores.var(ddof=1), own_freedom, pooled.variance, pooled.freedom)
    return float(variance), int(freedom)


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
