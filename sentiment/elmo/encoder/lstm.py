"""LSTM layers of one direction, with projection, both clips and skip connections, over packed steps."""

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from sentiment.elmo.options import GATES, Lstm
from sentiment.elmo.weights import CellWeights

# Cells whose gates are computed together: on a CPU few enough that they stay in a core's cache between the product and
# the cell's arithmetic (5 to 8 % faster); on a GPU all of them, since there starting an operation is what costs.
_BLOCK_CPU = 256


def _in_blocks(array: torch.Tensor, block: int) -> torch.Tensor:
    """(..., gates, cells) to (blocks, ..., gates * block): the gates of a block's cells stand together."""
    *rows, gates, cells = array.shape
    blocks = array.reshape(*rows, gates, cells // block, block).movedim(-2, 0)
    return blocks.reshape(cells // block, *rows, gates * block).contiguous()


class LstmLayer(nn.Module):
    """An LSTM with projection (Sak et al. 2014) as in ELMo (Peters et al. 2018), frozen; without peepholes.

    With c and h those of the step before: c = clip(f * c + i * tanh(j)), h = clip((o * tanh(c)) P).
    """

    def __init__(
        self, options: Lstm, weights: CellWeights, precision: torch.dtype, device: torch.device, numbered_inputs: bool
    ) -> None:
        """Lay the weights out for a device.

        Args:
            numbered_inputs: inputs repeat and are given by number, so their product is computed once for each.
        """
        super().__init__()
        self._cell_clip, self._state_clip = options.cell_clip, options.proj_clip
        self._numbered_inputs = numbered_inputs
        blocked = device.type == "cpu" and options.dim % _BLOCK_CPU == 0
        self._block = _BLOCK_CPU if blocked else options.dim
        inputs, recurrent = torch.from_numpy(weights.input), torch.from_numpy(weights.recurrent)
        arrays = {"input": inputs} if numbered_inputs else {}
        arrays["state"] = recurrent if numbered_inputs else torch.cat([inputs, recurrent])
        arrays["bias"] = torch.from_numpy(weights.bias)
        for name, array in arrays.items():
            # Twice the candidate: see `_cells`.
            doubled = array * torch.tensor([1.0, 1.0, 1.0, 2.0])[:, None]
            stored = _in_blocks(doubled, self._block).to(device, precision)
            # Not part of a checkpoint: the weights never change, and their file is known by its checksum.
            self.register_buffer(name, stored, persistent=False)
        projection = torch.from_numpy(weights.projection).to(device, precision)
        self.register_buffer("projection", projection, persistent=False)

    @torch.no_grad()
    def forward(
        self,
        inputs: torch.Tensor,
        numbers: torch.Tensor | None,
        step_sizes: list[int],
        hidden: torch.Tensor,
        cells: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run over a packed batch.

        Args:
            inputs: (rows, vector) of float32, or (distinct inputs, vector) if they are given by number.
            numbers: (rows,) of int64: the input of each row; None if inputs are not given by number.
            step_sizes: rows of each step, never rising.
            hidden: (tweets, vector): state before the first step.
            cells: (tweets, cells): likewise.

        Returns:
            Output (rows, vector) and the state of each tweet after its own last step, all float32.
        """
        tweets, size = hidden.shape
        ends = list(itertools.accumulate(step_sizes))
        output = torch.empty(ends[-1], size, device=hidden.device)
        # What the recurrent product multiplies: the state, and before it the input unless it has a product of its own.
        state_weight = self.get_buffer("state")
        operand = state_weight.new_empty(tweets, state_weight.shape[1])
        operand[:, -size:] = hidden
        # A copy even where the order stays: it is changed in place.
        blocks = cells.reshape(tweets, -1, self._block).transpose(0, 1).clone(memory_format=torch.contiguous_format)
        opened = hidden.new_empty(tweets, cells.shape[1])
        given = self._products_of(inputs) if numbers is not None else self.get_buffer("bias")
        for end, count in zip(ends, step_sizes, strict=True):
            rows = slice(end - count, end)
            if numbers is None:
                operand[:count, :size] = inputs[rows]
            self._cells(given, None if numbers is None else numbers[rows], operand[:count], blocks, opened[:count])
            state = self._projected(opened[:count])
            output[rows] = state
            operand[:count, -size:] = state
        return output, output[_last_rows(step_sizes, output.device)], blocks.transpose(0, 1).reshape(tweets, -1)

    def _projected(self, opened: torch.Tensor) -> torch.Tensor:
        projection = self.get_buffer("projection")
        state = torch.mm(opened.to(projection.dtype), projection).float()
        return state if self._state_clip is None else state.clamp_(-self._state_clip, self._state_clip)

    def _products_of(self, inputs: torch.Tensor) -> torch.Tensor:
        """(blocks, inputs, gates * block): what each distinct input adds to the gates, bias included."""
        weight, bias = self.get_buffer("input"), self.get_buffer("bias")
        products = torch.empty(len(weight), len(inputs), weight.shape[2], dtype=weight.dtype, device=weight.device)
        inputs = inputs.to(weight.dtype)
        for block, target in enumerate(products):
            torch.addmm(bias[block], inputs, weight[block], out=target)
        return products

    def _cells(
        self,
        given: torch.Tensor,
        numbers: torch.Tensor | None,
        operand: torch.Tensor,
        cells: torch.Tensor,
        opened: torch.Tensor,
    ) -> None:
        """One step: update the first rows of `cells` and write what their output gates let through to `opened`."""
        weight, size = self.get_buffer("state"), self._block
        for block, memory in enumerate(cells[:, : len(operand)]):
            if numbers is None:
                gates = torch.addmm(given[block], operand, weight[block])
            else:
                gates = given[block].index_select(0, numbers).addmm_(operand, weight[block])
            enter, keep, leave, candidate = gates.float().sigmoid_().chunk(GATES, dim=1)
            # tanh(x) = 2 * sigmoid(2 * x) - 1, the inner 2 is in the weights: several times faster on a CPU.
            memory.mul_(keep).addcmul_(enter, candidate, value=2).sub_(enter)
            if self._cell_clip is not None:
                memory.clamp_(-self._cell_clip, self._cell_clip)
            shown = torch.mul(memory, 2, out=candidate).sigmoid_().mul_(2).sub_(1)
            torch.mul(shown, leave, out=opened[:, block * size : (block + 1) * size])


def _last_rows(step_sizes: list[int], device: torch.device) -> torch.Tensor:
    """(tweets,): the row of each tweet's last step."""
    sizes = torch.tensor(step_sizes)
    places = torch.arange(step_sizes[0])
    last_step = torch.searchsorted(-sizes, -places, right=False) - 1
    return ((sizes.cumsum(0) - sizes)[last_step] + places).to(device)


class LstmStack(nn.Module):
    """All layers of one direction (Peters et al. 2018): each takes what the one below gives, and adds it to its own."""

    def __init__(
        self, options: Lstm, weights: Sequence[CellWeights], precision: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        self._layers = nn.ModuleList(
            LstmLayer(options, cell, precision, device, numbered_inputs=number == 0)
            for number, cell in enumerate(weights)
        )

    @torch.no_grad()
    def forward(
        self,
        inputs: torch.Tensor,
        numbers: torch.Tensor,
        step_sizes: list[int],
        hidden: torch.Tensor,
        cells: torch.Tensor,
        depth: int,
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Run the lowest `depth` layers over a packed batch.

        Args:
            inputs: (distinct inputs, vector) of float32.
            numbers: (rows,) of int64: the input of each row.
            step_sizes: rows of each step, never rising.
            hidden: (layers, tweets, vector): state before the first step.
            cells: (layers, tweets, cells): likewise.

        Returns:
            The output of each layer, (rows, vector), and the states (depth, ...) of each tweet after its last step.
        """
        outputs: list[torch.Tensor] = []
        ends = []
        for number in range(depth):
            if number == 0:
                output, *end = self._layers[0](inputs, numbers, step_sizes, hidden[0], cells[0])
            else:
                below = outputs[-1]
                output, *end = self._layers[number](below, None, step_sizes, hidden[number], cells[number])
                # Around the layer, not within its recurrence.
                output += below
            outputs.append(output)
            ends.append(end)
        end_hidden, end_cells = (torch.stack(part) for part in zip(*ends, strict=True))
        return outputs, end_hidden, end_cells
