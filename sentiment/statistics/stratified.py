"""Scores of models and their differences by a stratified sample: tweets on which the models differ, and others.

Tweets that all models label alike say nothing about which one is better, so most labels are spent on the others
(Sawade, Landwehr and Scheffer 2012). How many tweets the models differ on is known without labels. The labels of each
stratum are a random sample of its tweets, and stand for all of them. A model is chosen for tweets to come, so the table
counts as a random sample itself: what is sampled in two phases is uncertain by both (Cochran 1977, Sampling Techniques,
chapter 12). Where all tweets are labelled, each interval is that of a simple random sample. Scores are fractions of 1.
Does not import torch.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sentiment.errors import UsageError
from sentiment.statistics.estimate import Estimate, StandardError
from sentiment.statistics.metrics import ClassIndices, Flags
from sentiment.statistics.paired import PairedCounts, PairedEvidence
from sentiment.statistics.wilson import wilson_bounds

Array = npt.NDArray[np.float64]

# A class with fewer labels has no recall: its intervals would be too narrow.
MIN_LABELS_OF_CLASS = 10


@dataclass(frozen=True)
class RecallEvidence:
    """A difference in macro recall by linearisation.

    It is never surer than that of a random sample, which is uncertain also where a model has all labelled tweets of a
    class right.

    Attributes:
        simple: that of a random sample.
    """

    value: float
    linearised: StandardError
    simple: PairedEvidence
    least_p: ClassVar[float] = 0.0
    is_conditional: ClassVar[bool] = False

    @property
    def n(self) -> float:
        return self.simple.n

    @property
    def p(self) -> float:
        return max(self.linearised.p(self.value), self.simple.p)

    def interval(self, level: float) -> tuple[float, float]:
        margin = self.linearised.margin(1 - level)
        low, high = self.simple.interval(level)
        return min(self.value - margin, low), max(self.value + margin, high)


@dataclass(frozen=True)
class StratifiedSample:
    """The labelled tweets of a table.

    Attributes:
        labels: (n,), their classes.
        strata: (n,), 0 for a tweet on which the models differ, else 1.
        sizes: the number of the table's tweets in each stratum, labelled or not.
    """

    labels: ClassIndices
    strata: ClassIndices
    sizes: tuple[int, int]

    @property
    def weights(self) -> Array:
        """How many tweets of the table each labelled tweet stands for, (n,)."""
        counts = np.bincount(self.strata, minlength=2)
        return np.array(self.sizes, np.float64)[self.strata] / counts[self.strata]

    def classes_with_few_labels(self) -> dict[int, int]:
        """The number of labels of each class that has some, but fewer than its recall needs."""
        classes, counts = np.unique(self.labels, return_counts=True)
        numbers = zip(classes.tolist(), counts.tolist(), strict=True)
        return {label: count for label, count in numbers if count < MIN_LABELS_OF_CLASS}

    def accuracy(self, right: Flags) -> Estimate:
        """The share of tweets like the table's that a model has right, with an interval like Wilson's (1927).

        Args:
            right: (n,), which of the labelled tweets it has right.
        """
        total = sum(self.sizes)
        shrunk_mean = 0.0
        variance = 0.0
        for size, values in self._by_stratum(right):
            shrunk = (values.sum() + 1) / (len(values) + 2)  # else the variance is 0 if all are right
            shrunk_mean += size / total * shrunk
            variance += (size / total) ** 2 * (1 - len(values) / size) * shrunk * (1 - shrunk) / len(values)
        value = float(np.average(right, weights=self.weights))
        variance += shrunk_mean * (1 - shrunk_mean) / total  # the table's tweets are a sample as well
        worth = shrunk_mean * (1 - shrunk_mean) / variance  # as if so many were drawn at random
        low, high = wilson_bounds(value, worth)
        return Estimate(value, float(low), float(high), worth)

    def macro_recall(self, right: Flags) -> float:
        """The mean over classes of the share of a class's tweets that a model has right.

        Raises:
            UsageError: a class has too few labels.
        """
        return self._mean_of_class_ratios(right.astype(np.float64))[0]

    def accuracy_difference(self, first: Flags, second: Flags) -> PairedEvidence:
        """The accuracy of one model less that of another one, for tweets like the table's.

        Only tweets on which the models differ can make a difference. If n of the D differing ones among N tweets are
        labelled, they are those of a random sample of n N / D tweets, in which nothing else needs a label. Its interval
        is a little too wide where the difference is large, since D / N is known better than from such a sample.

        Args:
            first, second: (n,), which of the labelled tweets each model has right.
        """
        return PairedEvidence((_counts(first, second, sum(self.sizes) / self._weight_where_different),))

    def recall_difference(self, first: Flags, second: Flags) -> PairedEvidence | RecallEvidence:
        """The macro recall of one model less that of another one, for tweets like the table's.

        The interval is by linearisation, since also the number of a class's tweets is estimated; it is never narrower
        than that of the random sample that `accuracy_difference` describes.

        Args: as in `accuracy_difference`.

        Raises:
            UsageError: a class has too few labels.
        """
        value, variances = self._mean_of_class_ratios(first.astype(np.float64) - second.astype(np.float64))
        simple = self._recall_difference_of_random_sample(first, second)
        error = math.sqrt(sum(variance for variance, _ in variances))
        if error == 0:
            return simple
        # Satterthwaite (1946).
        freedom = error**4 / sum(variance**2 / freedom for variance, freedom in variances)
        return RecallEvidence(value, StandardError(error, freedom), simple)

    @property
    def _weight_where_different(self) -> float:
        """How many tweets each label stands for where the models differ; 1 if they differ nowhere."""
        weights = self.weights[self.strata == 0]
        return float(weights[0]) if len(weights) else 1.0

    def _recall_difference_of_random_sample(self, first: Flags, second: Flags) -> PairedEvidence:
        """As `recall_difference`, but as if the number of each class's tweets in the table were known."""
        weights = self.weights / self._weight_where_different
        counts = []
        for label in np.unique(self.labels):
            of_class = self.labels == label
            counts.append(_counts(first[of_class], second[of_class], float(weights[of_class].sum())))
        return PairedEvidence(tuple(counts))

    def _by_stratum(self, values: npt.NDArray[np.generic]) -> Iterator[tuple[int, Array]]:
        """The size of each stratum that has tweets, and the values of its labelled ones."""
        for stratum, size in enumerate(self.sizes):
            if size:
                yield size, values[self.strata == stratum].astype(np.float64)

    def _mean_of_class_ratios(self, values: Array) -> tuple[float, list[tuple[float, int]]]:
        """The mean over classes of the means over their tweets, and its variances, each with its degrees of freedom.

        The first one is that of the table as a sample of all such tweets, the others are those of the labelled tweets
        as a sample of each stratum. The number of a class's tweets is estimated as well, so that each of these means is
        a ratio of two totals, whose variance is found by linearisation.
        """
        few = self.classes_with_few_labels()
        if few:
            raise UsageError(f"a class has {min(few.values())} labels; its recall needs {MIN_LABELS_OF_CLASS}")
        classes = np.unique(self.labels)
        weights = self.weights
        mean = 0.0
        influence = np.zeros(len(self.labels))  # of each labelled tweet on the mean
        for label in classes:
            of_class = self.labels == label
            tweets = weights[of_class].sum()
            ratio = float((weights * values)[of_class].sum() / tweets)
            mean += ratio / len(classes)
            influence += np.where(of_class, values - ratio, 0.0) / tweets / len(classes)
        n = len(self.labels)
        spread = float(np.average(influence**2, weights=weights)) * n / (n - 1)  # the mean influence is 0
        variances = [(sum(self.sizes) * spread, n - 1)]
        for size, parts in self._by_stratum(influence):
            labelled = len(parts)
            if labelled > 1:
                variance = float(parts.var(ddof=1)) / labelled
                variances.append((size**2 * (1 - labelled / size) * variance, labelled - 1))
        return mean, variances


def _counts(first: Flags, second: Flags, n: float) -> PairedCounts:
    return PairedCounts(int((first & ~second).sum()), int((second & ~first).sum()), n)
