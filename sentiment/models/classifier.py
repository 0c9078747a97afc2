"""The classifier: token vectors, a recurrent or a feed-forward network around a pooling, and one logit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from sentiment.config import ModelConfig, RunConfig
from sentiment.data.batches import Batch
from sentiment.models.dropout import Dropout
from sentiment.models.embedding import ElmoEmbedding, LearnedEmbedding, TokenEmbedding
from sentiment.models.pooling import POOLINGS
from sentiment.models.rnn import RecurrentEncoder


@dataclass(frozen=True)
class Output:
    """A classifier's output for a batch."""

    logits: torch.Tensor  # (batch,), above 0 for positive sentiment
    attention: torch.Tensor | None  # (batch, r, time) with attention pooling
    penalty: torch.Tensor | None  # (), a term of the training loss


class HiddenLayers(nn.Module):
    """Linear layers with ReLU on a tweet's pooled vector, with dropout between them: a feed-forward network.

    Attributes:
        size: numbers per output vector.
    """

    def __init__(self, input_size: int, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.hidden_size
        sizes = [input_size] + [config.hidden_size] * (config.layers - 1)
        self.layers = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in sizes)
        self.dropout = Dropout(config.dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map vectors of shape (batch, input_size) to shape (batch, size)."""
        for number, layer in enumerate(self.layers):
            vectors = torch.relu(layer(self.dropout(vectors) if number else vectors))
        return vectors


class Classifier(nn.Module):
    """Classifies tweets from the vectors of any token embedding."""

    def __init__(self, embedding: TokenEmbedding, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = embedding
        recurrent = config.kind == "rnn"
        self.encoder = RecurrentEncoder(embedding.size, config) if recurrent else None
        self.pooling = POOLINGS[config.pooling](self.encoder.size if self.encoder else embedding.size, config)
        self.hidden = None if recurrent else HiddenLayers(self.pooling.size, config)
        self.dropout = Dropout(config.dropout)
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
        """The parameters that the optimiser changes."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]


def sketch_classifier(config: RunConfig, vocabulary_size: int, elmo_size: int | None = None) -> Classifier:
    """What `build_classifier` would make, without values: takes no memory, and no numbers from torch's generator.

    Raises:
        RuntimeError: a tensor would be larger than torch can count.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _WithoutValues():
        return build_classifier(config, vocabulary_size, elmo_size=elmo_size)


def count_weights(config: RunConfig, vocabulary_size: int, elmo_size: int | None = None) -> int:
    """How many weights `build_classifier` would make."""
    return sum(weights.numel() for weights in sketch_classifier(config, vocabulary_size, elmo_size).parameters())


class _WithoutValues(TorchFunctionMode):
    """Random values of tensors that have none: drawing them would do nothing but load a part of torch's compiler."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in (nn.init.normal_, torch.Tensor.normal_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def build_classifier(
    config: RunConfig,
    vocabulary_size: int,
    vectors: npt.NDArray[np.float32] | None = None,
    elmo_size: int | None = None,
) -> Classifier:
    """The model of a configuration, on the CPU, with random weights from torch's generator.

    Args:
        vocabulary_size: number of learned token vectors, with those for padding and unknown tokens.
        vectors: initial token vectors, (vocabulary_size, embedding.size); None initialises them randomly.
        elmo_size: numbers per layer of the ELMo model that the configuration names; None if it names none.
    """
    if config.elmo is None or elmo_size is None:
        return Classifier(LearnedEmbedding(vocabulary_size, config.embedding, vectors), config.model)
    beside = config.elmo.combine == "beside"
    learned = LearnedEmbedding(vocabulary_size, config.embedding, vectors) if beside else None
    return Classifier(ElmoEmbedding(config.elmo, elmo_size, learned), config.model)
