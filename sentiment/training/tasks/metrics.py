"""Metrics of probabilities against labels, with intervals, and the verdict on overfitting."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.records import THRESHOLD, Metrics, Overfit

Probabilities = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer[Any]]


def measure(labels: Labels, probabilities: Probabilities) -> Metrics:
    """Metrics of probabilities of the positive class at the decision threshold.

    Args:
        labels: 0 and 1, shape (n,).
        probabilities: shape (n,).
    """
    from scipy.stats import binomtest
    from sklearn.metrics import log_loss, precision_recall_fscore_support

    predicted = probabilities >= THRESHOLD
    right = int((predicted == (labels == 1)).sum())
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="binary", zero_division=0)
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    return Metrics(
        n=len(labels),
        loss=float(log_loss(labels, probabilities, labels=[0, 1])),
        accuracy=right / len(labels),
        accuracy_low=float(interval.low),
        accuracy_high=float(interval.high),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
    )


@dataclass(frozen=True)
class PairedDifference:
    """How much more accurate one classifier is than another on the same tweets."""

    value: float
    low: float
    high: float
    """The 95 % interval; it follows from Clopper and Pearson's for the tweets that one alone has right."""
    p: float
    """Of the exact McNemar test (McNemar 1947)."""


def paired_difference(labels: Labels, first: Probabilities, second: Probabilities) -> PairedDifference:
    """The accuracy of the first probabilities less that of the second; all of shape (n,)."""
    from scipy.stats import binomtest

    rights = [(probabilities >= THRESHOLD) == (labels == 1) for probabilities in (first, second)]
    gained, lost = int((rights[0] & ~rights[1]).sum()), int((rights[1] & ~rights[0]).sum())
    if not (discordant := gained + lost):
        return PairedDifference(0.0, 0.0, 0.0, 1.0)
    test = binomtest(gained, discordant)
    bounds = test.proportion_ci(method="exact")
    low, high = ((2 * float(bound) - 1) * discordant / len(labels) for bound in (bounds.low, bounds.high))
    return PairedDifference((gained - lost) / len(labels), low, high, float(test.pvalue))


def judge_overfit(train_accuracy: float, validation_accuracy: float, largest_gap: float) -> Overfit:
    """Whether training accuracy exceeds validation accuracy too much; both are fractions, at the best epoch.

    Args:
        largest_gap: by how much training accuracy may be higher.
    """
    gap = train_accuracy - validation_accuracy
    return Overfit(
        overfits=gap > largest_gap,
        rule=f"training accuracy exceeds validation accuracy by more than {largest_gap:g} at the best epoch",
        train_accuracy=train_accuracy,
        validation_accuracy=validation_accuracy,
        gap=gap,
    )
