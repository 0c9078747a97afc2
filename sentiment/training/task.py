"""What is trained: a classifier and its tweets, and the metrics of what it predicts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from sentiment.config import RunConfig
from sentiment.data.batches import Batch, BatchPlan, Rows, TokenStore, TweetVectors
from sentiment.data.corpus import Corpus
from sentiment.data.vocabulary import Vocabulary
from sentiment.models.classifier import Classifier, input_ids, predict
from sentiment.models.lexicon import token_polarity
from sentiment.models.text_model import Probabilities
from sentiment.runs.records import THRESHOLD, Metrics, Overfit, Part

Labels = npt.NDArray[np.integer[Any]]


def measure(labels: Labels, probabilities: Probabilities, threshold: float = THRESHOLD) -> Metrics:
    """Metrics of probabilities of the positive class, (n,), at a decision threshold; labels are 0 and 1, (n,)."""
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


def judge_overfit(train_accuracy: float, validation_accuracy: float, largest_gap: float) -> Overfit:
    """Whether training accuracy exceeds validation accuracy by more than allowed; fractions, at the best epoch."""
    gap = train_accuracy - validation_accuracy
    return Overfit(
        overfits=gap > largest_gap,
        rule=f"training accuracy exceeds validation accuracy by more than {largest_gap:g} at the best epoch",
        train_accuracy=train_accuracy,
        validation_accuracy=validation_accuracy,
        gap=gap,
    )


# With few validation tweets training metrics would be noise if they were measured on as few.
_MIN_TRAIN_SAMPLE = 10_000


def measured_rows(corpus: Corpus) -> dict[Part, Rows]:
    """The rows on which results are measured: the whole of each part, and a fixed sample of the training part."""
    rows = {part: corpus.rows(part) for part in corpus.part_names}
    size = min(len(rows["train"]), max(len(rows["validation"]), _MIN_TRAIN_SAMPLE))
    return rows | {"train": np.sort(np.random.default_rng(0).permutation(rows["train"])[:size])}


# As in Devlin et al. (2019), https://arxiv.org/abs/1810.04805, appendix A.2 and the code that belongs to it.
_WARM_UP = 0.1


def share_of_rate(step: int, steps: int) -> float:
    """The share of the learning rate at a step, counted from 0: it rises for a tenth of `steps`, then falls to zero."""
    rising = max(1, round(_WARM_UP * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising))


class ClassifierTask:
    """A classifier and the tweets that it is trained on, on one device.

    Apart from the model's weights it has no memory, so that a run can resume.

    Attributes:
        rows: of each part.
        measured: of each part those on which results are measured.
    """

    def __init__(
        self,
        config: RunConfig,
        model: Classifier,
        corpus: Corpus,
        vocabulary: Vocabulary,
        vectors: TweetVectors | None,
        device: torch.device,
    ) -> None:
        """Put model and tweets on the device; with the encoder's vectors where a run reads them."""
        self.model, self.corpus, self.vocabulary, self.device = model.to(device), corpus, vocabulary, device
        self.rows = {part: corpus.rows(part) for part in corpus.part_names}
        self.measured = measured_rows(corpus)
        self._config = config
        polarity = token_polarity(corpus) if config.embedding.polarity else None
        self.store = TokenStore(*input_ids(model, vocabulary, corpus), corpus.labels, device, vectors, polarity)
        # Their mean over an epoch is 1, so that clipping and penalties mean what they mean without weights.
        self.store.weigh(corpus.weights / corpus.weights[self.rows["train"]].mean(dtype=np.float64))

    def batches(self, epoch: int) -> BatchPlan:
        """The batches of an epoch, counted from 0; a function of the epoch alone."""
        return self.store.epoch(self.rows["train"], self._config.training.batch_size, self._config.seed, epoch)

    def share_of_rate(self, step: int) -> float:
        """As the function of this name for what is fine-tuned, else 1; a function of the step alone."""
        training = self._config.training
        steps = training.epochs * -(-len(self.rows["train"]) // training.batch_size)
        return share_of_rate(step, steps) if self._config.finetunes else 1.0

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The loss of a batch, (), which is logged, and a penalty, (), that is minimised besides."""
        output = self.model(batch)
        loss = F.binary_cross_entropy_with_logits(output.logits.float(), batch.labels, batch.weights)
        return loss, output.penalty

    def metrics_of(self, part: Part, check: Callable[[], None]) -> Metrics:
        """Measure the model on a part; between batches `check` is called, whose errors end that.

        Raises:
            FloatingPointError: what the model says is not a number.
        """
        rows = self.measured[part]
        probabilities = predict(self.model, self.store, rows, check)
        if not np.isfinite(probabilities).all():  # the epoch's last update came after its last loss
            raise FloatingPointError("the probabilities are not numbers")
        return measure(self.corpus.labels[rows], probabilities)
