"""Matrix products with gradients, by the same libraries as those of the encoder."""

from typing import Any

import torch

from sentiment.elmo.encoder.products import FixedWeights, Library


class _Product(torch.autograd.Function):
    """`rows @ matrix` for rows (number, inputs) and a matrix (inputs, outputs)."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, matrix: torch.Tensor, library: Library) -> torch.Tensor:
        ctx.save_for_backward(rows, matrix)
        ctx.library = library
        return FixedWeights(matrix, library).times(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, None]:
        rows, matrix = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        wanted = ctx.needs_input_grad[0]
        of_rows = FixedWeights(matrix.t(), ctx.library).times(gradient) if wanted else None
        return of_rows, FixedWeights(gradient, ctx.library).times(rows.t().contiguous()), None


def product(rows: torch.Tensor, matrix: torch.Tensor, library: Library) -> torch.Tensor:
    """The product of rows (..., inputs) and a matrix (inputs, outputs): (..., outputs)."""
    flat = rows.reshape(-1, rows.shape[-1])
    result: torch.Tensor = _Product.apply(flat, matrix, library)  # type: ignore[no-untyped-call]
    return result.view(*rows.shape[:-1], matrix.shape[1])
