"""The classifier: token vectors, optionally recurrent states, pooling, and one logit."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.config import ModelConfig, RunConfig
from sentiment.data.batches import Batch
from sentiment.models.elmo_embedding import ElmoEmbedding
from sentiment.models.embedding import LearnedEmbedding, TokenEmbedding
from sentiment.models.feed_forward import HiddenLayers
from sentiment.models.pooling import build_pooling
from sentiment.models.rnn import RecurrentEncoder


@dataclass(frozen=True)
class Output:
    """What a classifier says of a batch."""

    logits: torch.Tensor  # (batch,), positive for positive sentiment
    attention: torch.Tensor | None  # (batch, r, time) with attention pooling
    penalty: torch.Tensor | None  # (), part of the training loss


class Classifier(nn.Module):
    """A feed-forward or recurrent classifier over any token embedding."""

    def __init__(self, embedding: TokenEmbedding, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = embedding
        recurrent = config.kind == "rnn"
        self.encoder = RecurrentEncoder(embedding.size, config) if recurrent else None
        self.pooling = build_pooling(config, self.encoder.size if self.encoder else embedding.size)
        self.hidden = None if recurrent else HiddenLayers(self.pooling.size, config)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(self.hidden.size if self.hidden else self.pooling.size, 1)

    def forward(self, batch: Batch) -> Output:
        """Classify a batch of tweets."""
        states = self.embedding(batch)
        if self.encoder is not None:
            states = self.encoder(states, batch)
        pooled = self.pooling(states, batch)
        vectors = pooled.vectors if self.hidden is None else self.hidden(pooled.vectors)
        logits = self.output(self.dropout(vectors)).squeeze(1)
        return Output(logits, pooled.attention, pooled.penalty)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Those that the optimiser changes."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]


def build_classifier(
    config: RunConfig,
    vocabulary_size: int,
    vectors: npt.NDArray[np.float32] | None = None,
    elmo_size: int | None = None,
) -> Classifier:
    """The model that a configuration describes, on the CPU, with random weights from torch's generator.

    Args:
        vectors: (vocabulary_size, embedding.size) from which the token vectors start; None: from random ones.
        elmo_size: values per layer of the ELMo model that the configuration names.
    """
    if config.elmo is None or elmo_size is None:
        return Classifier(LearnedEmbedding(vocabulary_size, config.embedding, vectors), config.model)
    beside = config.elmo.combine == "beside"
    learned = LearnedEmbedding(vocabulary_size, config.embedding, vectors) if beside else None
    return Classifier(ElmoEmbedding(config.elmo, elmo_size, learned), config.model)
