"""ELMo's frozen vectors as token vectors: a layer or a learned mixture, alone or beside learned vectors."""

import torch
from torch import nn

from sentiment.config import ElmoConfig
from sentiment.data.batches import Batch
from sentiment.elmo.encoder.encoder import LAYERS
from sentiment.elmo.scalar_mix import ScalarMix
from sentiment.models.embedding import TokenEmbedding


class ElmoEmbedding(TokenEmbedding):
    """Takes the layers from the batch (Peters et al. 2018, equation 1, and their "enhanced" vectors [x; ELMo])."""

    def __init__(self, config: ElmoConfig, vector_size: int, learned: TokenEmbedding | None) -> None:
        """Args: vector_size: values per layer; learned: vectors to stand beside ELMo's; None: ELMo alone."""
        super().__init__()
        self.learned = learned
        self.size = vector_size + (learned.size if learned else 0)
        self.mix = ScalarMix(len(LAYERS), config.layer_norm) if config.layers == "mix" else None
        self._layer = config.layers
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Shape (batch, time, size)."""
        if self.mix is None:
            vectors = batch.layers[self._layer]
        else:
            layers = [batch.layers[layer] for layer in LAYERS]
            vectors = self.mix(layers, batch.mask if batch.padded else None)
        vectors = self.dropout(vectors)
        return vectors if self.learned is None else torch.cat([vectors, self.learned(batch)], dim=2)

    def mixture(self) -> list[float] | None:
        """The weight of each layer, from the context-free one to the top; their sum is 1. None without a mixture."""
        return None if self.mix is None else torch.softmax(self.mix.weights.detach().double(), 0).tolist()
