"""The task of training a classifier, and the metrics of what it predicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F

from sentiment.config import RunConfig
from sentiment.data.batches import Batch, EpochPlan, Rows
from sentiment.models.calibration import Probabilities
from sentiment.models.classifier import Classifier
from sentiment.models.network import predict
from sentiment.runs.records import THRESHOLD, Metrics, Overfit
from sentiment.training.preparing import TrainingData
from sentiment.training.trainer import Evaluation, StepLoss

Labels = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]


def measure(labels: Labels, probabilities: Probabilities, threshold: float = THRESHOLD) -> Metrics:
    """Metrics of probabilities of the positive class at a decision threshold.

    Args:
        labels: 0 and 1, shape (n,).
        probabilities: shape (n,).
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


@dataclass(frozen=True)
class PairedDifference:
    """How much more accurate one trained classifier is than another on the same tweets.

    Attributes:
        high: the interval; it follows from Clopper and Pearson's for the tweets that one alone has right.
        p: of the exact McNemar test (McNemar 1947).
    """

    value: float
    low: float
    high: float
    p: float


def paired_differences(first: Flags, others: Sequence[Flags]) -> list[PairedDifference]:
    """The accuracy of the first classifier less that of each of the others; corrected together.

    p-values are adjusted by Benjamini and Hochberg (1995), intervals by Benjamini and Yekutieli (2005), so that one
    excludes zero just where the adjusted p is below 0.05.
    """
    from scipy.stats import binomtest, false_discovery_control

    counts = [(int((first & ~other).sum()), int((other & ~first).sum())) for other in others]
    tests = [binomtest(gained, gained + lost) if gained + lost else None for gained, lost in counts]
    adjusted = [float(p) for p in false_discovery_control([test.pvalue if test else 1.0 for test in tests])]
    level = 1 - 0.05 * max(sum(p < 0.05 for p in adjusted), 1) / len(adjusted)
    found, n = [], len(first)
    for (gained, lost), test, p in zip(counts, tests, adjusted, strict=True):
        bounds = test.proportion_ci(level, method="exact") if test else None
        low, high = (
            (2 * float(at) - 1) * (gained + lost) / n for at in ((bounds.low, bounds.high) if bounds else (0, 0))
        )
        found.append(PairedDifference((gained - lost) / n, low, high, p))
    return found


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


class ClassifierTask:
    """A classifier and the tweets that it is trained on."""

    section = "training"

    def __init__(self, config: RunConfig, model: Classifier, data: TrainingData) -> None:
        """Args: model: on the same device as `data`."""
        self.model = model
        self.data = data
        self.device = data.store.device
        self._config = config
        self._train_sample = data.measured["train"]

    def batches(self, epoch: int) -> EpochPlan:
        """See `Task`."""
        return self.data.store.epoch(
            self.data.rows["train"], self._config.training.batch_size, self._config.seed, epoch
        )

    def loss(self, batch: Batch) -> StepLoss:
        """See `Task`."""
        output = self.model(batch)
        loss = F.binary_cross_entropy_with_logits(output.logits.float(), batch.labels, batch.weights)
        return StepLoss(loss, output.penalty)

    def evaluate(self, check: Callable[[], None]) -> Evaluation:
        """See `Task`."""
        train = self._measure(self._train_sample, check)
        validation = self._measure(self.data.rows["validation"], check)
        return Evaluation(
            {"train": train.model_dump(), "validation": validation.model_dump()},
            validation,
            f"train loss {train.loss:.4f} accuracy {train.accuracy:.3f}   "
            f"validation loss {validation.loss:.4f} accuracy {validation.accuracy:.3f} F1 {validation.f1:.3f}",
        )

    def _measure(self, rows: Rows, check: Callable[[], None]) -> Metrics:
        labels = self.data.store.labels_of(rows)
        probabilities = predict(self.model, self.data.store, rows, check)
        if not np.isfinite(probabilities).all():  # the epoch's last update came after its last loss
            raise FloatingPointError("the probabilities are not numbers")
        return measure(labels, probabilities)
