"""How two sides are compared: a class for each design of an experiment, which refuses what does not fit it.

Each gives the difference first - second. What it says of two trained models is for new tweets alone; of configurations
over seeds, of matched configurations, of configurations drawn at random, and of the folds of a cross-validation, it is
for new seeds, configurations or training sets as well: these and the tweets are two crossed random factors, whose
variances have few degrees of freedom and many. Their sum has those of Satterthwaite (1946). They are too many where a
variance of a few seeds is too small by chance; so it is stretched by the quantile that it exceeds three times in four,
wherever it is not known from other configurations as well.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.statistics.estimate import (
    Estimate,
    StandardError,
    StudentEvidence,
    mean_of_shares,
    share_estimate,
)
from sentiment.statistics.families import Evidence, estimated
from sentiment.statistics.metrics import ClassIndices, Flags
from sentiment.statistics.paired import PairedCounts, PairedEvidence
from sentiment.statistics.seeds import Component, SeedSpread, variance_of

# One number for each tweet, of shape (n,), or for each seed and tweet, of shape (seeds, n).
Values = npt.NDArray[np.float64]

NO_SEEDS = "no configuration has several seeds, and nothing is known of other seeds"
# The probability that a variance is so small by chance that it is stretched too little.
_SMALL_BY_CHANCE = 0.25


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
        is_single = [len(scores) for scores in self.configurations] == [1]
        if not is_single or not self.are_shares or self.folds is not None:
            raise NotComparableError("a side is not a single trained model that is right or wrong")

    @property
    def nothing(self) -> "Side":
        """A side without seeds that has every tweet wrong."""
        zeros = [np.zeros((1, scores.shape[1]), np.bool_) for scores in self.configurations]
        return replace(self, configurations=zeros, has_seeds=False)


class Design(ABC):
    """How sides are compared."""

    @abstractmethod
    def difference(self, first: Side, second: Side) -> Evidence:
        """What is known of the difference first - second.

        Raises:
            NotComparableError: the sides are not those of the design.
        """

    def score(self, side: Side) -> Estimate:
        """The score of one side, between 0 and 1, with its interval.

        Raises:
            NotComparableError: the side is not one of the design.
        """
        result = estimated(self.difference(side, side.nothing))
        if result.low is None or result.high is None:
            return result
        return replace(result, low=max(result.low, 0.0), high=min(result.high, 1.0))


@dataclass(frozen=True)
class TwoModels(Design):
    """Two trained models, by the tweets that only one of them has right: nothing is said of other seeds."""

    def difference(self, first: Side, second: Side) -> PairedEvidence:
        first.require_one_model()
        second.require_one_model()
        gaps = first.gaps(second)
        counts = [PairedCounts(int((gap > 0).sum()), int((gap < 0).sum()), gap.size) for gap in gaps]
        return PairedEvidence(tuple(counts), is_conditional=first.has_seeds or second.has_seeds)

    def score(self, side: Side) -> Estimate:
        side.require_one_model()
        right = by_class(side.tweet_scores, side.classes)
        return mean_of_shares([share_estimate(int(flags.sum()), flags.size) for flags in right])


@dataclass(frozen=True)
class Seeds(Design):
    """Configurations over seeds, one with another or with a predictor without seeds; of several a side, the mean.

    One configuration's few seeds tell little of their variance, so that it is moderated by the others' (see `seeds`);
    its own seeds alone must let a claim pass. Groups of configurations, where neither side is a single one, have enough
    seeds together: there each configuration counts with its own variance.

    Attributes:
        spread: of configurations like those that are compared.
    """

    spread: SeedSpread

    def difference(self, first: Side, second: Side) -> StudentEvidence:
        sides = [side for side in (first, second) if side.has_seeds]
        if not sides or any(side.folds is not None for side in sides):
            raise NotComparableError("neither side depends on seeds, or the folds of one side depend on training sets")
        tweets = _over_tweets(first, second)
        interactions = [part for side in sides for part in _interactions(side)]
        own = [part for side in sides for part in _over_seeds(side, self.spread.own)]
        if min(len(first.configurations), len(second.configurations)) > 1:
            return _difference(first, second, _standard_error(tweets, own, interactions))
        gate = _standard_error(tweets, own, interactions, is_stretched=True)
        if self.spread.prior is None:
            return _difference(first, second, gate)
        test = _moderated_error(sides, self.spread, tweets, interactions)
        return _difference(first, second, test, gate)


def _moderated_error(
    sides: Sequence[Side], spread: SeedSpread, tweets: Component, interactions: Sequence[float]
) -> StandardError | None:
    """The standard error by what other configurations, or pairs, tell of the variance."""
    moderated = [part for side in sides for part in _over_seeds(side, spread.moderated)]
    return _standard_error(tweets, moderated, interactions, spread.pooled.freedom)


def _over_seeds(side: Side, variance_by: Callable[[Sequence[float]], Component]) -> list[Component]:
    """The variance between the seeds of each configuration, as it enters the score of the side."""
    components = []
    for scores in side.configurations:
        seeds = side.seed_scores(scores)
        variance, freedom = variance_by(seeds.tolist())
        components.append(Component(variance / (len(seeds) * len(side.configurations) ** 2), freedom))
    return components


@dataclass(frozen=True)
class Matched(Design):
    """Configurations, or models on the same training sets, that are matched by position and tested on the same tweets.

    Seeds within them are averaged: the variance between configurations or training sets contains theirs. That of a few
    pairs is moderated by that of pairs like them, as that of a few seeds is in `Seeds`.

    Attributes:
        spread: how the differences of pairs vary; None if nothing is known of others.
        overlap: whether each is trained on all folds but one. Training sets that overlap differ too little, and the
            group jackknife corrects that: by (folds - 1)² times their variance (Shao & Tu 1995, The Jackknife and
            Bootstrap).
    """

    spread: SeedSpread | None = None
    overlap: bool = False

    def difference(self, first: Side, second: Side) -> StudentEvidence:
        number = len(first.configurations)
        if number != len(second.configurations) or number < 2:
            raise NotComparableError(f"{number} and {len(second.configurations)} are not several matched pairs")
        pairs = zip(first.configurations, second.configurations, strict=True)
        gaps = np.array([scores.mean(axis=0) - others.mean(axis=0) for scores, others in pairs])
        matched = replace(first, configurations=[gaps])
        (between,) = _over_seeds(matched, variance_of)
        if self.overlap:
            between = Component(between.variance * (number - 1) ** 2, between.freedom)
        interactions = _interactions(matched)
        tweets = _over_tweets(first, second)
        own = _standard_error(tweets, [between], interactions, is_stretched=True)
        if self.spread is None:
            return _difference(first, second, own)
        return _difference(first, second, _moderated_error([matched], self.spread, tweets, interactions), own)


@dataclass(frozen=True)
class Drawn(Design):
    """Configurations that were drawn at random on each side, and are not matched, such as the trials of a search."""

    def difference(self, first: Side, second: Side) -> StudentEvidence:
        components: list[Component] = []
        interactions: list[float] = []
        for side in (first, second):
            if len(side.configurations) < 2:
                raise NotComparableError("a side is not several configurations")
            rows = np.stack([scores.mean(axis=0) for scores in side.configurations])
            drawn = replace(side, configurations=[rows])
            components += _over_seeds(drawn, variance_of)
            interactions += _interactions(drawn)
        tweets = _over_tweets(first, second)
        return _difference(first, second, _standard_error(tweets, components, interactions, is_stretched=True))


@dataclass(frozen=True)
class Folds(Design):
    """Cross-validated runs, one with another or with a predictor that was not trained in folds.

    Training sets are the random factor, and each tweet is tested in one fold. So the variance between folds contains
    that of seeds and of tweets; the latter alone counts where it is larger, so that folds that are equal by chance are
    not sure of themselves. A fold's part in the score is by its tweets of each class.
    """

    def difference(self, first: Side, second: Side) -> StudentEvidence:
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
        between = Component(float(np.square(parts).sum()) * len(names) / freedom, freedom)
        tweets = _over_tweets(first, second)
        contained = min(between.variance, tweets.variance)
        return _difference(first, second, _standard_error(tweets, [between], [contained], is_stretched=True))


def _difference(
    first: Side, second: Side, test: StandardError | None, gate: StandardError | None = None
) -> StudentEvidence:
    by_tweet = first.gaps(second)
    value = float(np.mean([gaps.mean() for gaps in by_tweet]))
    return StudentEvidence(value, sum(map(len, by_tweet)), test, gate, first.are_shares)


def _over_tweets(first: Side, second: Side) -> Component:
    """The variance of a difference over tweets.

    Half a tweet is added to each of the four cells of each class's table, as in `paired.PairedEvidence`. There the
    difference shrinks as well; here it does not, and the variance is as much larger. So a class of few tweets, on
    which the sides differ alike by chance, is not sure of itself.
    """
    by_tweet = first.gaps(second)
    variance = 0.0
    for gaps in by_tweet:
        n = len(gaps)
        if first.are_shares:
            variance += float(np.square(gaps).sum() + 1 - gaps.sum() ** 2 / (n + 2)) / n**2
        elif n > 1:
            variance += float(gaps.var(ddof=1)) / n
    freedom = sum(map(len, by_tweet)) - len(by_tweet)
    return Component(variance / len(by_tweet) ** 2, max(freedom, 1))


def _standard_error(
    tweets: Component,
    replicates: Sequence[Component],
    interactions: Sequence[float],
    most_freedom: float = math.inf,
    is_stretched: bool = False,
) -> StandardError | None:
    """The standard error of a difference; None if nothing varies.

    Args:
        tweets: the variance over tweets.
        replicates: the variances between seeds, configurations or training sets.
        interactions: how much of each is chance on single tweets, which is in the variance over tweets too.
        most_freedom: of all `replicates` together, whose estimates have the pooled variance in common.
        is_stretched: whether the degrees of freedom are those of stretched variances.
    """
    besides = sum(max(part.variance - of_it, 0.0) for part, of_it in zip(replicates, interactions, strict=True))
    variance = tweets.variance + besides
    if not variance:
        return None
    remaining = max(tweets.variance - sum(interactions), 0.0)
    weighed = [_stretched(part) for part in replicates] if is_stretched else replicates
    between = sum(part.variance for part in weighed)
    uncertainty = max(sum(part.variance**2 / part.freedom for part in weighed), between**2 / most_freedom)
    uncertainty += remaining**2 / tweets.freedom
    whole = max(variance, between + remaining)
    return StandardError(math.sqrt(variance), whole**2 / uncertainty if uncertainty else math.inf)


def _stretched(part: Component) -> Component:
    """A variance multiplied by its expectation over a low quantile of it."""
    from scipy.special import chdtri

    quantile = float(chdtri(part.freedom, 1 - _SMALL_BY_CHANCE))
    return Component(part.variance * part.freedom / quantile, part.freedom)


def by_class(scores: npt.NDArray[Any], classes: ClassIndices | None) -> list[npt.NDArray[Any]]:
    """The scores, of shape (..., tweets), of the tweets of each class; all of them without `classes`."""
    if classes is None:
        return [scores]
    return [scores[..., classes == label] for label in np.unique(classes)]


def _interactions(side: Side) -> list[float]:
    """Of each configuration, the part of its variance between seeds that is their interaction with tweets.

    The variance over tweets holds it too.
    """
    parts = []
    for scores in side.configurations:
        classes = by_class(scores, side.classes)
        squares = sum(_interaction_mean_square(class_scores) / class_scores.size for class_scores in classes)
        parts.append(squares / (len(classes) * len(side.configurations)) ** 2)
    return parts


def _interaction_mean_square(scores: Values | Flags) -> float:
    """The residual mean square of a two-way layout of shape (rows, columns); 0 if there is one row or one column."""
    rows, columns = scores.shape
    if rows < 2 or columns < 2:
        return 0.0
    row_means = scores.mean(axis=1)[:, None]
    column_means = scores.mean(axis=0)[None, :]
    residuals = scores - row_means - column_means + scores.mean()
    return float(np.square(residuals).sum() / ((rows - 1) * (columns - 1)))
