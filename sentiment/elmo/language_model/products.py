"""Matrix products with gradients, by the same libraries as those of the encoder."""

from typing import Any

import torch

from sentiment.elmo.encoder.products import Library, multiply_once


def product(rows: torch.Tensor, matrix: torch.Tensor, bias: torch.Tensor, library: Library) -> torch.Tensor:
    """The product of rows (..., inputs) and a matrix (inputs, outputs), plus bias (outputs,): (..., outputs)."""
    flat = rows.reshape(-1, rows.shape[-1])
    result: torch.Tensor = _Product.apply(flat, matrix, bias, library)  # type: ignore[no-untyped-call]
    return result.view(*rows.shape[:-1], matrix.shape[1])


def weights_gradient(rows: torch.Tensor, gradient: torch.Tensor, library: Library) -> torch.Tensor:
    """The gradient of a matrix that `rows` were multiplied with, from that of the product."""
    return multiply_once(rows.t().contiguous(), gradient, library)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, matrix: torch.Tensor, bias: torch.Tensor, library: Library
    ) -> torch.Tensor:
        ctx.save_for_backward(rows, matrix)
        ctx.library = library
        return multiply_once(rows, matrix, library, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor, None]:
        rows, matrix = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        of_rows = multiply_once(gradient, matrix.t(), ctx.library) if ctx.needs_input_grad[0] else None
        return of_rows, weights_gradient(rows, gradient, ctx.library), gradient.sum(0), None
