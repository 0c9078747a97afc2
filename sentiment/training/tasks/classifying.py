"""The task of classifying tweets: binary cross-entropy, and the usual metrics after each epoch."""

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F

from sentiment.config import RunConfig
from sentiment.data.batches import Batch, EpochPlan, Rows
from sentiment.models.classifier import Classifier
from sentiment.models.evaluation import predict
from sentiment.records import Metrics
from sentiment.training.loop.task import Evaluation, StepLoss
from sentiment.training.preparing import TrainingData
from sentiment.training.tasks.metrics import measure


class ClassifierTask:
    """A classifier and the tweets that it is trained on."""

    section = "training"

    def __init__(self, config: RunConfig, model: Classifier, data: TrainingData) -> None:
        """Args: model: on the same device as `data`."""
        self.model = model
        self.data = data
        self.device = data.store.device
        self._config = config
        self._train_sample = data.train_sample

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
