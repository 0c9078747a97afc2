"""The training task: a classifier and its tweets, with loss and metrics."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from sentiment.config import RunConfig
from sentiment.data.corpus import Corpus
from sentiment.data.vocabulary import Vocabulary
from sentiment.encoders.batches import Batch, BatchPlan, TokenStore, TweetVectors
from sentiment.models.classifier import Classifier, input_ids, predict
from sentiment.models.lexicon import token_ratings
from sentiment.runs.records import Metrics, Overfit, Part
from sentiment.statistics.metrics import measure
from sentiment.tokens import Rows

_OVERFIT_GAP = 0.05
_ROUNDING = 1e-9  # more than the rounding error of a difference of shares


def judge_overfit(train_accuracy: float, validation_accuracy: float) -> Overfit:
    """Judge whether training accuracy exceeds validation accuracy, both fractions of 1, by over 5 points."""
    gap = train_accuracy - validation_accuracy
    return Overfit(
        overfits=gap > _OVERFIT_GAP + _ROUNDING,
        rule=f"training accuracy exceeds validation accuracy by more than {_OVERFIT_GAP:g} at the best epoch",
        train_accuracy=train_accuracy,
        validation_accuracy=validation_accuracy,
        gap=gap,
    )


# The smallest sample for training metrics: one as small as a small validation part would be too noisy.
_MIN_TRAIN_SAMPLE = 10_000


def measured_rows(corpus: Corpus) -> dict[Part, Rows]:
    """The rows on which metrics are measured: the whole of each part, but a fixed sample of the training part."""
    rows = {part: corpus.rows(part) for part in corpus.part_names}
    size = min(len(rows["train"]), max(len(rows["validation"]), _MIN_TRAIN_SAMPLE))
    return rows | {"train": np.sort(np.random.default_rng(0).permutation(rows["train"])[:size])}


# As in Devlin et al. (2019), https://arxiv.org/abs/1810.04805, appendix A.2, and in its code.
_WARM_UP = 0.1


def warm_up_and_decay(step: int, steps: int) -> float:
    """The factor of the learning rate at a step, counted from 0: it rises for a tenth of `steps`, then falls to 0."""
    rising = max(1, round(_WARM_UP * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising))


class ClassifierTask:
    """A classifier and the tweets that it is trained on, on one device.

    It is stateless apart from the model's weights, so that a run can resume.

    Attributes:
        rows: the rows of each part in the corpus.
        measured_rows: the rows of each part on which metrics are measured.
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
        """Put the model and the tweets on the device; `vectors` are those of a frozen encoder, if the run has one."""
        self.model = model.to(device)
        self.corpus = corpus
        self.vocabulary = vocabulary
        self.device = device
        self.rows = {part: corpus.rows(part) for part in corpus.part_names}
        self.measured_rows = measured_rows(corpus)
        self._config = config
        polarity = token_ratings(corpus) if config.embedding.polarity else None
        self.store = TokenStore(*input_ids(model, vocabulary, corpus), corpus.labels, device, vectors, polarity)
        # The weights have mean 1 over the training part, so that clipping and penalties act as without weights.
        self.store.weigh(corpus.weights / corpus.weights[self.rows["train"]].mean(dtype=np.float64))

    def batches(self, epoch: int) -> BatchPlan:
        """The batches of an epoch, counted from 0; a function of the epoch alone."""
        return self.store.epoch(self.rows["train"], self._config.training.batch_size, self._config.seed, epoch)

    def learning_rate_factor(self, step: int) -> float:
        """The factor of the learning rate at a step: warm-up and decay when fine-tuning, else 1."""
        training = self._config.training
        steps = training.epochs * -(-len(self.rows["train"]) // training.batch_size)
        return warm_up_and_decay(step, steps) if self._config.finetunes else 1.0

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The loss of a batch, (), which is logged, and a penalty, (), which is added to it only for the update."""
        output = self.model(batch)
        logits = output.logits.float()
        if logits.shape[1] == 1:
            labels = batch.labels.float()
            return F.binary_cross_entropy_with_logits(logits.squeeze(1), labels, batch.weights), output.penalty
        losses = F.cross_entropy(logits, batch.labels, reduction="none")
        if batch.weights is not None:
            losses = losses * batch.weights
        return losses.mean(), output.penalty

    def metrics_of(self, part: Part, check: Callable[[], None]) -> Metrics:
        """Measure the model on a part; `check` is called between batches, and may raise to abort.

        Raises:
            FloatingPointError: a probability is not a finite number.
        """
        rows = self.measured_rows[part]
        probabilities = predict(self.model, self.store, rows, check)
        if not np.isfinite(probabilities).all():  # the epoch's last update came after the last loss
            raise FloatingPointError("the probabilities are not finite")
        return measure(self.corpus.labels[rows], probabilities)
