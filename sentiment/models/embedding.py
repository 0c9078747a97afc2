"""Token vectors: those that are learned with the classifier, and ELMo's."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.config import ElmoConfig, EmbeddingConfig
from sentiment.data.batches import Batch
from sentiment.data.vocabulary import PADDING, UNKNOWN
from sentiment.elmo.encoder import LAYERS
from sentiment.elmo.mix import ScalarMix
from sentiment.models.dropout import Dropout


class TokenEmbedding(nn.Module):
    """Base of all embeddings: one vector for each token of a batch, which may depend on the whole tweet.

    Attributes:
        size: numbers per token.
    """

    size: int

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors of shape (batch, time, size); those at padded positions have no meaning."""
        raise NotImplementedError


class LearnedEmbedding(TokenEmbedding):
    """One learned vector for each type in the vocabulary."""

    def __init__(
        self, vocabulary_size: int, config: EmbeddingConfig, vectors: npt.NDArray[np.float32] | None = None
    ) -> None:
        """Args: vectors: initial values, (vocabulary_size, config.size); None draws them from a normal distribution."""
        super().__init__()
        self.size = config.size + config.polarity
        self.polarity = config.polarity
        self.table = nn.Embedding(vocabulary_size, config.size, padding_idx=PADDING)
        with torch.no_grad():
            if vectors is None:
                self.table.weight.normal_(std=config.initial_std)
                self.table.weight[PADDING].zero_()
            else:
                self.table.weight.copy_(torch.from_numpy(vectors))
        self.table.weight.requires_grad_(config.trainable)
        self.token_dropout = config.token_dropout
        self.dropout = Dropout(config.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Look up the tokens' vectors. Shape (batch, time, size)."""
        token_ids = batch.token_ids
        if self.training and self.token_dropout:
            hidden = torch.rand(token_ids.shape, device=token_ids.device) < self.token_dropout
            token_ids = torch.where(hidden & (token_ids != PADDING), UNKNOWN, token_ids)
        vectors: torch.Tensor = self.dropout(self.table(token_ids))
        if not self.polarity:
            return vectors
        if batch.polarity is None:
            raise ValueError("the batch does not say how positive its words are rated")
        return torch.cat([vectors, batch.polarity[:, :, None]], dim=2)


class ElmoEmbedding(TokenEmbedding):
    """ELMo's frozen vectors: one layer or a learned mixture of all, alone or concatenated with learned vectors.

    Peters et al. (2018), https://arxiv.org/abs/1802.05365, equation 1 and the "enhanced" vectors [x; ELMo].
    """

    def __init__(self, config: ElmoConfig, vector_size: int, learned: TokenEmbedding | None) -> None:
        """Args: vector_size: numbers per layer; learned: vectors to concatenate with ELMo's, if any."""
        super().__init__()
        self.learned = learned
        self.size = vector_size + (learned.size if learned else 0)
        self.mix = ScalarMix(len(LAYERS)) if config.layers == "mix" else None
        self._layer = config.layers
        self.dropout = Dropout(config.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Read the layers from the batch. Shape (batch, time, size)."""
        read = [batch.layers[layer] for layer in (LAYERS if self.mix else (self._layer,))]
        vectors = self.dropout(self.mix(read) if self.mix else read[0])
        return vectors if self.learned is None else torch.cat([vectors, self.learned(batch)], dim=2)

    def mixture(self) -> list[float] | None:
        """The weight of each layer, from the context-free one to the top, with sum 1; None without a mixture."""
        return None if self.mix is None else torch.softmax(self.mix.weights.detach().double(), 0).tolist()
