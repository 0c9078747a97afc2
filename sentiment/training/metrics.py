"""Metrics of probabilities against labels, with intervals, and the verdict on overfitting."""

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
