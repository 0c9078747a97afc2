"""Recurrent encoders whose states do not depend on padding, and whose dropout can be resumed exactly.

To add a cell, enter it in `CELLS` and add its name to `ModelConfig.cell`; a test compares the two.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sentiment.config import ModelConfig
from sentiment.data.batches import Batch
from sentiment.models.dropout import Dropout

CELLS: Mapping[str, Callable[..., nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU}
"""One-way networks by the name that a configuration gives them.

`cell(input_size, hidden_size, batch_first=True)` maps (batch, time, input_size) to a pair whose first element is
the states, (batch, time, hidden_size).
"""


class RecurrentEncoder(nn.Module):
    """Layers of one-way networks; those of the second direction read each tweet from its end.

    `nn.LSTM(bidirectional=True)` would need packed sequences, with which cuDNN and oneDNN do not use their fast
    kernels, and `nn.LSTM(dropout=...)` has a random state on the GPU that cannot be saved. One-way layers on reversed
    tweets, with dropout between them, need neither.

    Attributes:
        size: numbers per state; hidden_size for each direction.
    """

    def __init__(self, input_size: int, config: ModelConfig) -> None:
        super().__init__()
        directions = 2 if config.bidirectional else 1
        self.size = config.hidden_size * directions
        sizes = [input_size] + [self.size] * (config.layers - 1)
        cell = CELLS[config.cell]
        self.forward_nets = nn.ModuleList(cell(size, config.hidden_size, batch_first=True) for size in sizes)
        self.backward_nets = nn.ModuleList(
            cell(size, config.hidden_size, batch_first=True) for size in sizes if config.bidirectional
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """States of all tokens, the forward half first. Shape (batch, time, size)."""
        positions = _swapped_positions(batch) if self.backward_nets and batch.padded else None
        for layer, net in enumerate(self.forward_nets):
            if layer:
                vectors = self.dropout(vectors)
            states, _ = net(vectors)
            if self.backward_nets:
                backward, _ = self.backward_nets[layer](turn_around(vectors, positions))
                states = torch.cat([states, turn_around(backward, positions)], dim=2)
            vectors = states
        return vectors


def _swapped_positions(batch: Batch) -> torch.Tensor:
    """For each position of the flattened batch, where its token is after each tweet was reversed. (batch * time,)."""
    rows, time = batch.token_ids.shape
    positions = torch.arange(time, device=batch.lengths.device).expand(rows, time)
    lengths = batch.lengths[:, None]
    swapped = torch.where(positions < lengths, lengths - 1 - positions, positions)
    return (swapped + torch.arange(rows, device=swapped.device)[:, None] * time).flatten()


def turn_around(states: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    """Reverse each tweet of (batch, time, size).

    Args:
        positions: `_swapped_positions` of the batch; None if no tweet is padded.
    """
    turned: torch.Tensor = _Reverse.apply(states, positions)  # type: ignore[no-untyped-call]
    return turned


class _Reverse(torch.autograd.Function):
    """Reversal is its own inverse, so that its gradient is a gather as well, which is deterministic on every device."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
        ctx.positions = positions
        return _reverse(states, positions)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _reverse(gradients[0], ctx.positions), None


def _reverse(states: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    if positions is None:
        return states.flip(1)
    return states.flatten(0, 1).index_select(0, positions).view_as(states)
