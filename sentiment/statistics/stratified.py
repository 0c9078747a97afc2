"""Scores of models and their differences by a stratified sample: tweets on which the models differ, and others.

Tweets that all models label alike say nothing about which one is better, so most labels are spent on the others
(Sawade, Landwehr and Scheffer 2012). How many tweets the models differ on is known without labels. Each stratum is a
random sample without replacement, and its labels stand for all of its tweets (Cochran 1977, Sampling Techniques,
chapters 5 and 6). Scores are fractions of 1. Does not import torch.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.errors import UsageError
from sentiment.statistics import LEVEL
from sentiment.statistics.metrics import ClassIndices, Flags
from sentiment.statistics.paired import PairedDifference, score_interval
from sentiment.statistics.wilson import wilson_bounds

Array = npt.NDArray[np.float64]

# A class with fewer labels has no recall: its intervals would be too narrow.
MIN_LABELS_OF_CLASS = 10


class ScoreEstimate(NamedTuple):
    """An estimated score with its 95 % confidence interval."""

    value: float
    low: float
    high: float


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

    def accuracy(self, right: Flags) -> ScoreEstimate:
        """The share of the table's tweets that a model has right, with an interval like Wilson's (1927).

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
        # As if so many tweets were drawn at random.
        worth = shrunk_mean * (1 - shrunk_mean) / variance if variance else math.inf
        low, high = wilson_bounds(value, worth)
        return ScoreEstimate(value, float(low), float(high))

    def macro_recall(self, right: Flags) -> float:
        """The mean over classes of the share of a class's tweets that a model has right.

        Raises:
            UsageError: a class has too few labels.
        """
        return self._mean_of_class_ratios(right.astype(np.float64))[0]

    def accuracy_difference(self, first: Flags, second: Flags, level: float = LEVEL) -> PairedDifference:
        """The accuracy of one model less that of another one.

        Only tweets on which the models differ can make a difference. Of these, the difference has the interval of Tango
        (1998) for as many tweets as would say as much if they were drawn with replacement.

        Args:
            first, second: (n,), which of the labelled tweets each model has right.
            level: the confidence level of the interval, between 0 and 1.
        """
        size = self.sizes[0]
        differing = self.strata == 0
        n = int(differing.sum())
        only_first = int((first & ~second & differing).sum())
        only_second = int((second & ~first & differing).sum())
        share = size / sum(self.sizes)
        if n == size:  # all are labelled, and nothing is uncertain
            value = (only_first - only_second) / sum(self.sizes)
            return PairedDifference(value, value, value, float(value == 0), level)
        worth = (size - 1) / (size - n)
        pair = score_interval(only_first * worth, only_second * worth, n * worth, level)
        return PairedDifference(share * pair.difference, share * pair.low, share * pair.high, pair.p, level)

    def recall_difference(self, first: Flags, second: Flags, level: float = LEVEL) -> PairedDifference:
        """The macro recall of one model less that of another one, with an interval by linearisation.

        Args: as in `accuracy_difference`.

        Raises:
            UsageError: a class has too few labels.
        """
        from scipy.special import stdtr, stdtrit

        value, variances = self._mean_of_class_ratios(first.astype(np.float64) - second.astype(np.float64))
        error = math.sqrt(sum(variance for variance, _ in variances))
        if error == 0:
            return PairedDifference(value, value, value, float(value == 0), level)
        # Satterthwaite (1946).
        freedom = error**4 / sum(variance**2 / freedom for variance, freedom in variances)
        # The true difference is a matter of whole tweets, so nothing is surer than half a tweet.
        margin = 0.5 / sum(self.sizes) - float(stdtrit(freedom, (1 - level) / 2)) * error
        p = 2 * float(stdtr(freedom, min(0.5 / sum(self.sizes) - abs(value), 0.0) / error))
        return PairedDifference(value, value - margin, value + margin, p, level)

    def _by_stratum(self, values: npt.NDArray[np.generic]) -> Iterator[tuple[int, Array]]:
        """The size of each stratum that has tweets, and the values of its labelled ones."""
        for stratum, size in enumerate(self.sizes):
            if size:
                yield size, values[self.strata == stratum].astype(np.float64)

    def _mean_of_class_ratios(self, values: Array) -> tuple[float, list[tuple[float, int]]]:
        """The mean over classes of the means over their tweets, and the variance from each stratum with its freedom.

        The number of a class's tweets is estimated as well, so that each of these means is a ratio of two totals, whose
        variance is found by linearisation.
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
        variances = []
        for size, parts in self._by_stratum(influence):
            n = len(parts)
            if n > 1:
                variances.append((size**2 * (1 - n / size) * float(parts.var(ddof=1)) / n, n - 1))
        return mean, variances
