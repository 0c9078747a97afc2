"""LSTM and GRU encoders whose result does not depend on padding, and whose dropout resumes exactly."""

from typing import Any

import torch
from torch import nn

from sentiment.config import ModelConfig
from sentiment.data.batches import Batch

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentEncoder(nn.Module):
    """Layers of one-way nets; a second direction reads each tweet from its own end.

    `nn.LSTM(bidirectional=True)` would need packed sequences, which keep cuDNN and oneDNN from their fast kernels,
    and `nn.LSTM(dropout=...)` keeps a random state on the GPU that no checkpoint can hold. One-way layers on
    reversed tweets with dropout between them need neither.

    Attributes:
        size: numbers per state (hidden_size per direction).
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
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """States of all tokens, forward then backward half. Shape (batch, time, size)."""
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
    """For each position of the flattened batch, the one that it swaps with when each tweet is turned around."""
    rows, time = batch.token_ids.shape
    positions = torch.arange(time, device=batch.lengths.device).expand(rows, time)
    lengths = batch.lengths[:, None]
    swapped = torch.where(positions < lengths, lengths - 1 - positions, positions)
    return (swapped + torch.arange(rows, device=swapped.device)[:, None] * time).flatten()


def turn_around(states: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    """Each tweet of (batch, time, size) from its last token to its first; None as positions: none is padded."""
    turned: torch.Tensor = _Reverse.apply(states, positions)  # type: ignore[no-untyped-call]
    return turned


class _Reverse(torch.autograd.Function):
    """Its own inverse, so that its gradient is a gather as well: deterministic on every device."""

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
