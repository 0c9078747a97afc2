"""LSTM layers of one direction (Peters et al. 2018), frozen, over packed steps."""

import itertools
from collections.abc import Mapping

import torch

from sentiment.elmo.files import FORGET_BIAS, GATES, Lstm
from sentiment.elmo.products import Products

# Cells whose gates are computed together: on a CPU few enough that they stay in a core's cache between the product and
# the cell's arithmetic (5 to 8 % faster); on a GPU all of them, since there starting an operation is what costs.
_BLOCK_CPU = 256


class LstmLayer:
    """An LSTM with projection (Sak et al. 2014) as in ELMo (Peters et al. 2018), frozen; without peepholes.

    With the previous step's c and h: c = clip(f * c + i * tanh(j)), h = clip((o * tanh(c)) P).

    Args:
        weights: of a whole model, by their names in the published files.
        group: the layer's, before these names.
        products: how matrices are multiplied.
        numbered_inputs: inputs repeat and are given by number, so each is multiplied with the weights once.
    """

    def __init__(
        self,
        options: Lstm,
        weights: Mapping[str, torch.Tensor],
        group: str,
        products: Products,
        numbered_inputs: bool,
    ) -> None:
        self._cell_clip, self._state_clip = options.cell_clip, options.proj_clip
        blocked = products.device.type == "cpu" and options.dim % _BLOCK_CPU == 0
        self._block = _BLOCK_CPU if blocked else options.dim

        def laid_out(array: torch.Tensor) -> torch.Tensor:
            """(..., gates * cells) to (blocks, ..., gates * block): the gates of a block's cells stand together."""
            gates = array.view(*array.shape[:-1], GATES, options.dim)
            # The three with a sigmoid first: input, forget, output. Twice the candidate: see `_update`.
            gates = gates[..., [0, 2, 3, 1], :] * torch.tensor([1.0, 1.0, 1.0, 2.0])[:, None]
            blocks = gates.view(*gates.shape[:-1], -1, self._block).movedim(-2, 0)
            return blocks.flatten(-2).contiguous()

        size, matrix, bias = options.projection_dim, weights[f"{group}/W_0"], weights[f"{group}/B"].clone()
        bias[2 * options.dim : 3 * options.dim] += FORGET_BIAS
        # Inputs that are not numbered stand before the state, so that one product does for both.
        recurrent = matrix[size:] if numbered_inputs else matrix
        self._input = [products.with_matrix(one) for one in laid_out(matrix[:size])] if numbered_inputs else None
        self._recurrent = [products.with_matrix(one) for one in laid_out(recurrent)]
        self._bias = products.place(laid_out(bias))
        self._projection = products.with_matrix(weights[f"{group}/W_P_0"])
        self._precision = products.precision

    @torch.no_grad()
    def __call__(
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
            hidden, cells: (tweets, vector) and (tweets, cells): state before the first step.

        Returns:
            Output (rows, vector) and, after each tweet's own last step, hidden state and cells; all float32.
        """
        tweets, size = hidden.shape
        ends = list(itertools.accumulate(step_sizes))
        output = torch.empty(ends[-1], size, device=hidden.device)
        operand = hidden.new_empty(tweets, self._recurrent[0].inputs, dtype=self._precision)
        operand[:, -size:] = hidden
        # A copy even where the order stays: it is changed in place.
        blocks = cells.reshape(tweets, -1, self._block).transpose(0, 1).clone(memory_format=torch.contiguous_format)
        gated = hidden.new_empty(tweets, cells.shape[1])
        addends = list(self._bias)
        if self._input is not None:
            given = inputs.to(self._precision)
            addends = [block.times(given, bias) for block, bias in zip(self._input, addends, strict=True)]
        for end, count in zip(ends, step_sizes, strict=True):
            rows = slice(end - count, end)
            if numbers is None:
                operand[:count, :size] = inputs[rows]
            numbered = None if numbers is None else numbers[rows]
            self._update(blocks, addends, numbered, operand[:count], gated[:count])
            state = self._projection.times(gated[:count].to(self._precision)).float()
            if self._state_clip is not None:
                state.clamp_(-self._state_clip, self._state_clip)
            output[rows] = state
            operand[:count, -size:] = state
        return output, output[_last_rows(step_sizes, output.device)], blocks.transpose(0, 1).reshape(tweets, -1)

    def _update(
        self,
        cells: torch.Tensor,
        addends: list[torch.Tensor],
        numbers: torch.Tensor | None,
        operand: torch.Tensor,
        gated: torch.Tensor,
    ) -> None:
        """One step: update the cells of the tweets that have not ended, in place.

        Args:
            cells: (blocks, tweets, block); the tweets of the step are the first ones.
            addends: for each block (inputs, gates * block), or (gates * block,) for inputs that are not numbered: what
                the product of operand and weights is added to.
            numbers: (rows of the step,): the input of each.
            operand: (rows of the step, columns): what the weights are multiplied with.
            gated: (rows of the step, cells): filled with o * tanh(c).
        """
        size = self._block
        for block, memory in enumerate(cells[:, : len(operand)]):
            if numbers is None:
                gates = self._recurrent[block].times(operand, addends[block])
            else:
                gates = self._recurrent[block].add_times(addends[block].index_select(0, numbers), operand)
            enter, keep, leave, candidate = gates.float().sigmoid_().chunk(GATES, dim=1)
            # tanh(x) = 2 * sigmoid(2 * x) - 1, the inner 2 is in the weights: several times faster on a CPU.
            memory.mul_(keep).addcmul_(enter, candidate, value=2).sub_(enter)
            if self._cell_clip is not None:
                memory.clamp_(-self._cell_clip, self._cell_clip)
            activated = torch.mul(memory, 2, out=candidate).sigmoid_().mul_(2).sub_(1)
            torch.mul(activated, leave, out=gated[:, block * size : (block + 1) * size])


def _last_rows(step_sizes: list[int], device: torch.device) -> torch.Tensor:
    """(tweets,): the row of each tweet's last step."""
    sizes, places = torch.tensor(step_sizes), torch.arange(step_sizes[0])
    last_step = torch.searchsorted(-sizes, -places, right=False) - 1
    return ((sizes.cumsum(0) - sizes)[last_step] + places).to(device)
