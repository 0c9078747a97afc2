"""From the states of all tokens to one vector per tweet, padding left out."""

from dataclasses import dataclass

import torch
from torch import nn

from sentiment.config import AttentionConfig, ModelConfig
from sentiment.data.batches import Batch


@dataclass(frozen=True)
class Pooled:
    """One vector per tweet, and where it comes from."""

    vectors: torch.Tensor  # (batch, size)
    attention: torch.Tensor | None = None  # (batch, r, time), each hop's weights sum to 1
    penalty: torch.Tensor | None = None  # (), to be added to the loss


class Pooling(nn.Module):
    """Mean, maximum, both, or the last state of each direction."""

    def __init__(self, kind: str, state_size: int, directions: int) -> None:
        super().__init__()
        self.kind = kind
        self.directions = directions
        self.size = state_size * 2 if kind == "mean+max" else state_size

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Pool states of shape (batch, time, state_size)."""
        if self.kind == "last":
            return Pooled(self._last(states, batch))
        parts = []
        if "mean" in self.kind:
            total = states.masked_fill(~batch.mask[..., None], 0).sum(1) if batch.padded else states.sum(1)
            parts.append(total / batch.lengths[:, None])
        if "max" in self.kind:
            parts.append(
                states.masked_fill(~batch.mask[..., None], -torch.inf).amax(1) if batch.padded else states.amax(1)
            )
        return Pooled(torch.cat(parts, dim=1))

    def _last(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The forward net ends at a tweet's last token, the backward net at its first."""
        forward_size = states.shape[2] // self.directions
        if batch.padded:
            is_last = torch.arange(states.shape[1], device=states.device) == batch.lengths[:, None] - 1
            forward = (states[..., :forward_size] * is_last[..., None]).sum(1)
        else:
            forward = states[:, -1, :forward_size]
        return torch.cat([forward, states[:, 0, forward_size:]], dim=1)


class SelfAttention(nn.Module):
    """Structured self-attention of Lin et al. (2017), https://arxiv.org/abs/1703.03130.

    A = softmax(W2 tanh(W1 H^T)) gives r distributions over the tokens; the tweet's vector is A H, its r rows side
    by side. The penalty ||A A^T - I||^2 (Frobenius, mean over the batch) is small where the hops look at different
    tokens.
    """

    def __init__(self, state_size: int, config: AttentionConfig) -> None:
        super().__init__()
        self.size = state_size * config.r
        self.hidden = nn.Linear(state_size, config.d_a, bias=False)
        self.hops = nn.Linear(config.d_a, config.r, bias=False)
        self.penalty = config.penalty

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Pool states of shape (batch, time, state_size)."""
        scores = self.hops(torch.tanh(self.hidden(states))).transpose(1, 2)  # (batch, r, time)
        if batch.padded:
            scores = scores.masked_fill(~batch.mask[:, None], -torch.inf)
        attention = torch.softmax(scores.float(), dim=2).to(states.dtype)
        vectors = (attention @ states).flatten(1)
        return Pooled(vectors, attention, self._redundancy(attention) if self.penalty and self.training else None)

    def _redundancy(self, attention: torch.Tensor) -> torch.Tensor:
        overlap = attention @ attention.transpose(1, 2) - torch.eye(attention.shape[1], device=attention.device)
        return self.penalty * overlap.square().sum((1, 2)).mean()


def build_pooling(config: ModelConfig, state_size: int) -> Pooling | SelfAttention:
    """The pooling that a model's configuration names."""
    if config.pooling == "attention":
        return SelfAttention(state_size, config.attention)
    directions = 2 if config.kind == "rnn" and config.bidirectional else 1
    return Pooling(config.pooling, state_size, directions)
