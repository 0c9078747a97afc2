"""The trainable mixture of ELMo's layers (Peters et al. 2018, equation 1)."""

from collections.abc import Sequence

import torch
from torch import nn

from sentiment.errors import ElmoError


class ScalarMix(nn.Module):
    """gamma * sum over k of softmax(weights)_k * layer_k, with gamma 1 at first; as allennlp's.

    Args:
        mixture_size: number of layers.
        initial_scalar_parameters: the weights at first, before the softmax; None: zeros, so all layers count alike.
        trainable: whether weights and gamma are trained.

    Raises:
        ElmoError: another number of weights than of layers.
    """

    def __init__(
        self,
        mixture_size: int,
        initial_scalar_parameters: Sequence[float] | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        initial = [0.0] * mixture_size if initial_scalar_parameters is None else list(initial_scalar_parameters)
        if len(initial) != mixture_size:
            raise ElmoError(f"scalar_mix_parameters = {initial}: {mixture_size} numbers are needed, one for each layer")
        self.weights = nn.Parameter(torch.tensor(initial, dtype=torch.float32), trainable)
        self.gamma = nn.Parameter(torch.ones(()), trainable)

    @property
    def scalar_parameters(self) -> tuple[torch.Tensor, ...]:
        """The weights one by one, each (1,), as allennlp holds them."""
        return torch.split(self.weights, 1)

    def forward(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Mix the layers.

        Args:
            tensors: the layers, each (..., vector).

        Returns:
            (..., vector), in the precision of the parameters.

        Raises:
            ValueError: another number of layers than `mixture_size`.
        """
        if len(tensors) != len(self.weights):
            raise ValueError(f"{len(tensors)} layers are given, but {len(self.weights)} are mixed")
        # Stored layers may be of half precision, which is too little to add up and to train in.
        shares = torch.softmax(self.weights, 0)
        mixed = shares[0] * tensors[0].to(shares.dtype)
        for share, tensor in zip(shares[1:], tensors[1:], strict=True):
            mixed = mixed + share * tensor.to(shares.dtype)
        return self.gamma * mixed
