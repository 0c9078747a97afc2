"""The trainable mixture of ELMo's layers (Peters et al. 2018, equation 1)."""

from collections.abc import Sequence

import torch
from torch import nn

from sentiment.errors import ElmoError

_TINY = 1e-13  # as in allennlp


class ScalarMix(nn.Module):
    """gamma * sum over k of softmax(weights)_k * layer_k, with gamma 1 at first; constructed and called as allennlp's.

    With layer normalisation, each layer is first brought to mean 0 and variance 1, both taken over all values of the
    batch, as in allennlp: a vector then depends on its batch. allennlp's batches have a mark before and after each
    sentence, which count; where their vectors are not at hand, `sums` stand for them.

    Args:
        mixture_size: number of layers.
        do_layer_norm: whether layers are normalised.
        initial_scalar_parameters: the weights at first, before the softmax; None: zeros, so all layers count alike.
        trainable: whether weights and gamma are trained.

    Raises:
        ElmoError: another number of weights than of layers.
    """

    def __init__(
        self,
        mixture_size: int,
        do_layer_norm: bool = False,
        initial_scalar_parameters: Sequence[float] | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        initial = [0.0] * mixture_size if initial_scalar_parameters is None else list(initial_scalar_parameters)
        if len(initial) != mixture_size:
            raise ElmoError(f"scalar_mix_parameters = {initial}: {mixture_size} numbers are needed, one for each layer")
        self.weights = nn.Parameter(torch.tensor(initial, dtype=torch.float32), trainable)
        self.gamma = nn.Parameter(torch.ones(()), trainable)
        self.do_layer_norm = do_layer_norm

    @property
    def scalar_parameters(self) -> tuple[torch.Tensor, ...]:
        """The weights one by one, each (1,), as allennlp holds them."""
        return torch.split(self.weights, 1)

    def forward(
        self, tensors: Sequence[torch.Tensor], mask: torch.Tensor | None = None, sums: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mix the layers.

        Args:
            tensors: the layers, each (..., vector).
            mask: (...): true where there is a token; only these count in the layer normalisation. None: everywhere.
            sums: (batch, layers, 3) from `encoder.sums.with_counts`: of which the layer normalisation takes its
                statistics, instead of from the layers themselves.

        Returns:
            (..., vector), in the precision of the parameters.

        Raises:
            ValueError: another number of layers than `mixture_size`.
        """
        if len(tensors) != len(self.weights):
            raise ValueError(f"{len(tensors)} layers are given, but {len(self.weights)} are mixed")
        if self.do_layer_norm:
            statistics = [_statistics(one, mask) for one in tensors] if sums is None else _of_sums(sums)
            tensors = [_normalised(one, *both) for one, both in zip(tensors, statistics, strict=True)]
        # Stored layers may be of half precision, which is too little to add up and to train in.
        shares = torch.softmax(self.weights, 0)
        mixed = shares[0] * tensors[0].to(shares.dtype)
        for share, tensor in zip(shares[1:], tensors[1:], strict=True):
            mixed = mixed + share * tensor.to(shares.dtype)
        return self.gamma * mixed


def _statistics(layer: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of the values that count."""
    values = layer.float() if mask is None else layer.float()[mask]
    mean = values.mean()
    return mean, (values - mean).square().mean()


def _of_sums(sums: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Mean and variance of each layer."""
    counts, values, squares = sums.sum(0).unbind(1)
    means = values / counts
    variances = (squares / counts - means.square()).clamp(min=0)
    return list(zip(means.float(), variances.float(), strict=True))


def _normalised(layer: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    return (layer.float() - mean) / torch.sqrt(variance + _TINY)
