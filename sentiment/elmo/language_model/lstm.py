"""One LSTM layer in one direction, with projection and both clips, and its gradient through time."""

from typing import Any

import torch

from sentiment.elmo.encoder.products import FixedWeights, Library
from sentiment.elmo.language_model.products import weights_gradient
from sentiment.elmo.options import GATES, Lstm

_Gradients = tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]


class _Steps(torch.autograd.Function):
    """The recurrent part, from zeros: (time, batch, 4 * cells) to (time, batch, vector).

    The gradient is written out, since a graph of single operations takes twice as long: products with the weights'
    gradients are then one for all steps instead of one for each.
    """

    @staticmethod
    def forward(
        ctx: Any,
        entering: torch.Tensor,
        recurrent: torch.Tensor,
        projection: torch.Tensor,
        options: Lstm,
        library: Library,
    ) -> torch.Tensor:
        """Gates in the order of the files: input, candidate, forget, output."""
        time, batch, size = *entering.shape[:2], options.dim
        with_recurrent, with_projection = FixedWeights(recurrent, library), FixedWeights(projection, library)
        gates = entering.clone()
        cells = entering.new_zeros(time + 1, batch, size)
        activated = entering.new_empty(time, batch, size)
        states = entering.new_zeros(time + 1, batch, options.projection_dim)
        for step in range(time):
            if step:
                with_recurrent.add_times(gates[step], states[step])
            enter, candidate, keep, leave = gates[step].chunk(GATES, dim=1)
            enter.sigmoid_()
            # tanh(x) = 2 * sigmoid(2 * x) - 1 is several times faster on a CPU.
            candidate.mul_(2).sigmoid_().mul_(2).sub_(1)
            gates[step, :, 2 * size :].sigmoid_()
            memory = torch.mul(cells[step], keep, out=cells[step + 1]).addcmul_(enter, candidate)
            if options.cell_clip is not None:
                memory.clamp_(-options.cell_clip, options.cell_clip)
            torch.mul(memory, 2, out=activated[step]).sigmoid_().mul_(2).sub_(1)
            state = with_projection.times(activated[step] * leave)
            if options.proj_clip is not None:
                state.clamp_(-options.proj_clip, options.proj_clip)
            states[step + 1] = state
        ctx.save_for_backward(gates, cells, activated, states, recurrent, projection)
        ctx.options, ctx.library = options, library
        return states[1:].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> _Gradients:
        gates, cells, activated, states, recurrent, projection = ctx.saved_tensors
        options, size = ctx.options, ctx.options.dim
        with_recurrent = FixedWeights(recurrent.t(), ctx.library)
        with_projection = FixedWeights(projection.t(), ctx.library)
        # From the gradient of the output to that of the unclipped projection.
        projected = gradients[0].clone(memory_format=torch.contiguous_format)
        of_gates = torch.empty_like(gates)
        of_cells = torch.zeros_like(cells[0])
        for step in reversed(range(len(gates))):
            if step + 1 < len(gates):
                with_recurrent.add_times(projected[step], of_gates[step + 1])
            if options.proj_clip is not None:
                projected[step].mul_(states[step + 1].abs() < options.proj_clip)
            outward = with_projection.times(projected[step])
            enter, candidate, keep, leave = gates[step].chunk(GATES, dim=1)
            to_enter, to_candidate, to_keep, to_leave = of_gates[step].chunk(GATES, dim=1)
            tanh = activated[step]
            _through_sigmoid(outward * tanh, leave, to_leave)
            of_cells.add_(torch.ops.aten.tanh_backward(outward.mul_(leave), tanh))
            if options.cell_clip is not None:
                of_cells.mul_(cells[step + 1].abs() < options.cell_clip)
            _through_sigmoid(of_cells * candidate, enter, to_enter)
            torch.ops.aten.tanh_backward.grad_input(of_cells * enter, candidate, grad_input=to_candidate)
            _through_sigmoid(of_cells * cells[step], keep, to_keep)
            of_cells.mul_(keep)
        leaving = (activated * gates[:, :, 3 * size :]).view(-1, size)
        of_projection = weights_gradient(leaving, projected.view(-1, projected.shape[2]), ctx.library)
        before = states[:-1].reshape(-1, states.shape[2])
        of_recurrent = weights_gradient(before, of_gates.view(-1, GATES * size), ctx.library)
        return of_gates, of_recurrent, of_projection, None, None


def _through_sigmoid(gradient: torch.Tensor, activated: torch.Tensor, result: torch.Tensor) -> None:
    """From the gradient of a sigmoid's output to that of its input, in one pass over memory."""
    torch.ops.aten.sigmoid_backward.grad_input(gradient, activated, grad_input=result)


def run_lstm(
    entering: torch.Tensor, recurrent: torch.Tensor, projection: torch.Tensor, options: Lstm, library: Library
) -> torch.Tensor:
    """Run a layer over a batch whose tweets all begin with the first step, from a state of zeros.

    What follows a tweet's end changes nothing before it.

    Args:
        entering: (time, batch, 4 * cells): what the inputs add to the gates, with their biases; gates in the order of
            the published files: input, candidate, forget, output.
        recurrent: (vector, 4 * cells)
        projection: (cells, vector)

    Returns:
        The states after each step, (time, batch, vector).
    """
    states: torch.Tensor = _Steps.apply(entering, recurrent, projection, options, library)  # type: ignore[no-untyped-call]
    return states
