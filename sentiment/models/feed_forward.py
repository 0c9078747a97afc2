"""Hidden layers on a tweet's pooled token vectors: the model that knows words but not their order."""

import torch
from torch import nn

from sentiment.config import ModelConfig


class HiddenLayers(nn.Module):
    """Linear layers with ReLU, and dropout between them.

    Attributes:
        size: numbers per output vector.
    """

    def __init__(self, input_size: int, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.hidden_size
        sizes = [input_size] + [config.hidden_size] * (config.layers - 1)
        self.layers = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in sizes)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Transform vectors of shape (batch, input_size) to (batch, size)."""
        for number, layer in enumerate(self.layers):
            vectors = torch.relu(layer(self.dropout(vectors) if number else vectors))
        return vectors
