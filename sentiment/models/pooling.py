"""Poolings: one vector per tweet from the states of its tokens, without padding.

To add one, write a subclass of `Pooling`, enter it in `POOLINGS`, and add its name to `ModelConfig.pooling`, where
combinations with other settings that make no sense are refused. A test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from sentiment.config import ModelConfig
from sentiment.data.batches import Batch


@dataclass(frozen=True)
class Pooled:
    """One vector per tweet, and what it was made with."""

    vectors: torch.Tensor  # (batch, size)
    attention: torch.Tensor | None = None  # (batch, r, time), the weights of each hop sum to 1
    penalty: torch.Tensor | None = None  # (), a term of the loss


class Pooling(nn.Module):
    """Base of all poolings.

    Attributes:
        size: numbers per vector.
    """

    def __init__(self, state_size: int, config: ModelConfig, size: int | None = None) -> None:
        """Args: state_size: numbers per state; config: of the model; size: of the vectors, if not that of a state."""
        super().__init__()
        self.config = config
        self.size = size or state_size

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Pool states of shape (batch, time, state_size); those at padded positions have no meaning."""
        raise NotImplementedError


class MeanPooling(Pooling):
    """The mean of all states."""

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Shape (batch, state_size)."""
        return Pooled(_mean(states, batch))


class MaxPooling(Pooling):
    """The maximum of each number over all states."""

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Shape (batch, state_size)."""
        return Pooled(_max(states, batch))


class MeanMaxPooling(Pooling):
    """Mean and maximum, concatenated."""

    def __init__(self, state_size: int, config: ModelConfig) -> None:
        super().__init__(state_size, config, size=2 * state_size)

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Shape (batch, 2 * state_size)."""
        return Pooled(torch.cat([_mean(states, batch), _max(states, batch)], dim=1))


class LastStatePooling(Pooling):
    """The last state of each direction: the backward network ends at a tweet's first token."""

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Shape (batch, state_size)."""
        forward_size = states.shape[2] // (2 if self.config.bidirectional else 1)
        if batch.padded:
            is_last = torch.arange(states.shape[1], device=states.device) == batch.lengths[:, None] - 1
            forward = (states[..., :forward_size] * is_last[..., None]).sum(1)
        else:
            forward = states[:, -1, :forward_size]
        return Pooled(torch.cat([forward, states[:, 0, forward_size:]], dim=1))


class SelfAttention(Pooling):
    """Structured self-attention of Lin et al. (2017), https://arxiv.org/abs/1703.03130.

    A = softmax(W2 tanh(W1 H^T)) gives r distributions ("hops") over the tokens; a tweet's vector consists of the r rows
    of A H, concatenated. The penalty ||A A^T - I||^2 (Frobenius norm, mean over the batch) is small if the hops weight
    different tokens.
    """

    def __init__(self, state_size: int, config: ModelConfig) -> None:
        attention = config.attention
        super().__init__(state_size, config, size=state_size * attention.r)
        self.hidden = nn.Linear(state_size, attention.d_a, bias=False)
        self.hops = nn.Linear(attention.d_a, attention.r, bias=False)

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Shape (batch, r * state_size); with the penalty in training, if it has a weight."""
        scores = self.hops(torch.tanh(self.hidden(states))).transpose(1, 2)  # (batch, r, time)
        if batch.padded:
            scores = scores.masked_fill(~batch.mask[:, None], -torch.inf)
        attention = torch.softmax(scores.float(), dim=2).to(states.dtype)
        weight = self.config.attention.penalty
        penalty = weight * hop_overlap(attention) if weight and self.training else None
        return Pooled((attention @ states).flatten(1), attention, penalty)


POOLINGS: Mapping[str, type[Pooling]] = {
    "last": LastStatePooling,
    "mean": MeanPooling,
    "max": MaxPooling,
    "mean+max": MeanMaxPooling,
    "attention": SelfAttention,
}
"""By the name that a configuration gives them."""


def hop_overlap(attention: torch.Tensor) -> torch.Tensor:
    """||A A^T - I||^2 (Frobenius norm), mean over a batch of attention weights (batch, r, time). A scalar."""
    overlap = attention @ attention.transpose(1, 2) - torch.eye(attention.shape[1], device=attention.device)
    return overlap.square().sum((1, 2)).mean()


def _mean(states: torch.Tensor, batch: Batch) -> torch.Tensor:
    total = states.masked_fill(~batch.mask[..., None], 0).sum(1) if batch.padded else states.sum(1)
    return total / batch.lengths[:, None]


def _max(states: torch.Tensor, batch: Batch) -> torch.Tensor:
    return states.masked_fill(~batch.mask[..., None], -torch.inf).amax(1) if batch.padded else states.amax(1)
