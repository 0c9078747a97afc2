"""Metrics of predicted probabilities on labelled tweets. Does not import torch."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.runs.records import DEFAULT_THRESHOLD, Metrics
from sentiment.statistics.estimate import Estimate, mean_of_shares, share_estimate
from sentiment.statistics.wilson import wilson_bounds

# The metric by which predictors are compared: the share of tweets that are right, or its mean over the classes.
Metric = Literal["accuracy", "macro_recall"]
METRIC_NAMES: dict[Metric, str] = {"accuracy": "accuracy", "macro_recall": "macro recall"}


def metric_named(*names: str) -> Metric:
    """The first of some metrics of a log by which predictors can be compared; accuracy if none of them is."""
    plain = [name.removeprefix("validation/") for name in names]
    return next((metric for name in plain for metric in METRIC_NAMES if metric == name), "accuracy")


def metric_of_most(metrics: Iterable[Metric]) -> Metric:
    """The metric of most runs; accuracy if as many have either."""
    by_name = Counter(metrics)
    return "macro_recall" if by_name["macro_recall"] > by_name["accuracy"] else "accuracy"


# The class of each tweet, by its index among the ordered classes, of shape (n,).
ClassIndices = npt.NDArray[np.integer[Any]]
UNLABELLED = -1  # in place of a class: the tweet has no label
Flags = npt.NDArray[np.bool_]
# Of shape (n, classes); each row has the sum 1, or, where a predictor's answer is none of the classes, the sum 0.
Probabilities = npt.NDArray[np.float64]
# The predicted class of a tweet whose answer is none of the classes; it equals no label.
NO_CLASS = -1

CALIBRATION_BINS = 10


def with_first_class(others: npt.NDArray[np.floating[Any]]) -> Probabilities:
    """All probabilities, (n, classes), from those of all classes but the first, (n, classes - 1)."""
    columns = np.asarray(others, np.float64)
    columns = columns / np.maximum(
        columns.sum(axis=1, keepdims=True), 1
    )  # stored ones may exceed 1 by a rounding error
    first = np.maximum(1 - columns.sum(axis=1, keepdims=True), 0)
    return np.concatenate([first, columns], axis=1)


def predicted_classes(probabilities: Probabilities, threshold: float = DEFAULT_THRESHOLD) -> npt.NDArray[np.int64]:
    """The index of the most probable class, (n,); of two classes, the second one if it has at least the threshold.

    NO_CLASS where no class has a probability: in rows of 0 or NaN.
    """
    if probabilities.shape[1] == 2:
        classes = np.asarray(probabilities[:, 1] >= threshold, np.int64)
    else:
        classes = probabilities.argmax(axis=1)
    return np.where(probabilities.sum(axis=1) > 0, classes, NO_CLASS)


def measure(labels: ClassIndices, probabilities: Probabilities, threshold: float = DEFAULT_THRESHOLD) -> Metrics:
    """Metrics of probabilities of classes, (n, classes), at a decision threshold (of two classes only).

    The interval of the accuracy is Wilson's (1927). An answer that is none of the classes is wrong; the loss is that of
    the other answers, of which there is at least one.
    """
    from sklearn.metrics import log_loss, precision_recall_fscore_support

    classes = range(probabilities.shape[1])
    predicted = predicted_classes(probabilities, threshold)
    right = int((predicted == labels).sum())
    names_class = predicted != NO_CLASS
    precision, recall, _, sizes = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    low, high = wilson_bounds(right / len(labels), len(labels))
    return Metrics(
        n=len(labels),
        loss=float(log_loss(labels[names_class], probabilities[names_class], labels=classes)),
        accuracy=right / len(labels),
        accuracy_low=float(low),
        accuracy_high=float(high),
        sizes=sizes.tolist(),
        precision=precision.tolist(),
        recall=recall.tolist(),
    )


class CalibrationBin(NamedTuple):
    """The mean probability of the predicted class on some tweets, how many of them are right, and their number."""

    confidence: float
    right: int
    n: int


def calibration_bins(right: npt.NDArray[np.bool_], confidences: npt.NDArray[np.float64]) -> list[CalibrationBin]:
    """Bins of equal size, from the least probable predictions to the most probable ones; both arrays are (n,).

    Equally probable predictions are in one bin, which may be larger, so that the order of tweets changes nothing.
    """
    ranks = np.searchsorted(np.sort(confidences), confidences)
    numbers = ranks * CALIBRATION_BINS // max(len(ranks), 1)
    bins = [numbers == number for number in np.unique(numbers)]
    return [CalibrationBin(float(confidences[rows].mean()), int(right[rows].sum()), int(rows.sum())) for rows in bins]


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean distance of confidence and accuracy over all tweets."""
    distance = sum(abs(confidence * n - right) for confidence, right, n in bins)
    return distance / sum(n for _, _, n in bins)


def other_answers_remark(metrics: Metrics, other_answers: int) -> str:
    """A phrase that says how many answers are none of the classes, and the accuracy without them.

    Args:
        metrics: of all tweets that a predictor answered.
        other_answers: the number of tweets that it answered with none of the classes.
    """
    number = metrics.n - other_answers
    share = metrics.right / number
    count = "its 1 other answer counts" if other_answers == 1 else f"its {other_answers:,} other answers count"
    return f"{count} as wrong; {share:.1%} right of the {number:,} tweets that it answers with a class"


def kappa(first: ClassIndices, second: ClassIndices) -> float:
    """Cohen's kappa of two classifications of the same tweets (Cohen 1960); 0 if the expected agreement is 1."""
    classes = np.unique(np.concatenate([first, second]))
    expected = sum((first == label).mean() * (second == label).mean() for label in classes)
    if expected == 1:
        return 0.0
    observed = (first == second).mean()
    return float((observed - expected) / (1 - expected))


def estimate_of(metrics: Metrics, metric: Metric = "accuracy") -> Estimate:
    """The recorded accuracy or macro recall, with its confidence interval over tweets."""
    if metric == "accuracy":
        return Estimate(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high, metrics.n)
    recalls = zip(metrics.recall, metrics.sizes, strict=True)
    return mean_of_shares([share_estimate(round(recall * size), size) for recall, size in recalls if size])
