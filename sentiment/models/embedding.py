"""Token vectors: the interface that the classifier builds on, and vectors learned with it."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.config import EmbeddingConfig
from sentiment.data.batches import Batch
from sentiment.data.vocabulary import PADDING, UNKNOWN


class TokenEmbedding(nn.Module):
    """Gives each token of a batch a vector; what a vector rests on (a table, a whole sentence) is the subclass's own.

    Attributes:
        size: numbers per token.
    """

    size: int

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors of shape (batch, time, size); what stands at padded positions is not used."""
        raise NotImplementedError


class LearnedEmbedding(TokenEmbedding):
    """One learned vector for each type of the vocabulary."""

    def __init__(
        self, vocabulary_size: int, config: EmbeddingConfig, vectors: npt.NDArray[np.float32] | None = None
    ) -> None:
        """Args: vectors: (vocabulary_size, config.size) to start from; None starts from small random ones."""
        super().__init__()
        self.size = config.size
        self.table = nn.Embedding(vocabulary_size, config.size, padding_idx=PADDING)
        with torch.no_grad():
            if vectors is None:
                self.table.weight.normal_(std=config.initial_std)
                self.table.weight[PADDING].zero_()
            else:
                self.table.weight.copy_(torch.from_numpy(vectors))
        self.table.weight.requires_grad_(config.trainable)
        self.token_dropout = config.token_dropout
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Look the tokens up. Shape (batch, time, size)."""
        token_ids = batch.token_ids
        if self.training and self.token_dropout:
            hidden = torch.rand(token_ids.shape, device=token_ids.device) < self.token_dropout
            token_ids = torch.where(hidden & (token_ids != PADDING), UNKNOWN, token_ids)
        vectors: torch.Tensor = self.dropout(self.table(token_ids))
        return vectors
