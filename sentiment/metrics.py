"""Metrics of predicted probabilities on labelled tweets: the only place that computes them. Does not import torch."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.runs.records import THRESHOLD, Metrics

# One label for each tweet, 0 or 1 (or False and True), of shape (n,).
Labels = npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]


def measure(labels: Labels, probabilities: npt.NDArray[np.float64], threshold: float = THRESHOLD) -> Metrics:
    """Metrics of probabilities of the positive class, (n,), at a decision threshold.

    The interval of the accuracy is Wilson's (1927).
    """
    from scipy.stats import binomtest
    from sklearn.metrics import log_loss, precision_recall_fscore_support

    predicted = probabilities >= threshold
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


def neutral_remark(metrics: Metrics, neutral: int) -> str:
    """What a score leaves out, and what it would be otherwise.

    Args:
        metrics: of the tweets that a predictor answered with a class.
        neutral: the number of tweets that it answered with a label that is none of the classes.
    """
    share = metrics.right / (metrics.n + neutral)
    return (
        f"{metrics.accuracy:.1%} right of the {metrics.n:,} tweets that it answers with a class; {share:.1%} if its "
        f"{neutral:,} other answers count as wrong"
    )
