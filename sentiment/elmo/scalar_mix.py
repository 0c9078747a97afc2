"""The trainable mixture of ELMo's layers (Peters et al. 2018, equation 1)."""

from collections.abc import Sequence

import torch
from torch import nn

_TINY = 1e-13  # as in allennlp


class ScalarMix(nn.Module):
    """gamma * sum over k of softmax(weights)_k * layer_k, with all weights equal and gamma 1 at first.

    With layer normalisation, each layer is first brought to mean 0 and variance 1, both taken over all values of the
    batch, as in allennlp: a vector then depends on its batch.
    """

    def __init__(self, layers: int, layer_norm: bool = False) -> None:
        """Set up the mixture.

        Args:
            layers: how many are mixed.
        """
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))
        self.layer_norm = layer_norm

    def forward(self, layers: Sequence[torch.Tensor], mask: torch.Tensor | None = None) -> torch.Tensor:
        """Mix the layers, each (..., vector); the result is of the parameters' precision.

        Args:
            mask: (...): true where there is a token; only these count in the layer normalisation. None: everywhere.

        Raises:
            ValueError: another number of layers than said at first.
        """
        if len(layers) != len(self.weights):
            raise ValueError(f"{len(layers)} layers are given, but {len(self.weights)} are mixed")
        if self.layer_norm:
            layers = [_normalised(layer, mask) for layer in layers]
        # Stored layers may be of half precision, which is too little to add up and to train in.
        shares = torch.softmax(self.weights, 0)
        mixed = shares[0] * layers[0].to(shares.dtype)
        for share, layer in zip(shares[1:], layers[1:], strict=True):
            mixed = mixed + share * layer.to(shares.dtype)
        return self.gamma * mixed


def _normalised(layer: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    layer = layer.float()
    values = layer if mask is None else layer[mask]
    mean = values.mean()
    variance = (values - mean).square().mean()
    return (layer - mean) / torch.sqrt(variance + _TINY)
