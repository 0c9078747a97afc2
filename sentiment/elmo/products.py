"""Matrix products by the library that suits this processor, with fixed weights or with gradients."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from sentiment.errors import ElmoError

# `torch`: what `torch.addmm` calls, MKL or another BLAS on a CPU; `onednn`: oneDNN, with weights laid out for it. Their
# results differ in the last digits.
Library = Literal["torch", "onednn"]

_CPU_INFO = Path("/proc/cpuinfo")


class FixedWeights:
    """A matrix that rows are multiplied with.

    Args:
        matrix: (inputs, outputs), in the precision of the products and on their device.
        once: for one product only, for which oneDNN lays a large matrix out in less time than it takes beforehand.
    """

    def __init__(self, matrix: torch.Tensor, library: Library, once: bool = False) -> None:
        self.inputs = len(matrix)
        self._packed = library == "onednn"
        self._matrix = matrix if not self._packed else matrix.t() if once else _pack(matrix)

    def times(self, rows: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """The product of rows (number, inputs) and the matrix, plus bias (outputs,): (number, outputs)."""
        if self._packed:
            return _multiply(rows, self._matrix, bias)
        return torch.mm(rows, self._matrix) if bias is None else torch.addmm(bias, rows, self._matrix)

    def add_times(self, sums: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The same product added to `sums` (number, outputs), which is changed in place."""
        if self._packed:
            return sums.add_(_multiply(rows, self._matrix, None))
        return sums.addmm_(rows, self._matrix)


@dataclass(frozen=True)
class Products:
    """How an encoder multiplies matrices."""

    precision: torch.dtype
    device: torch.device
    library: Library

    def place(self, values: torch.Tensor) -> torch.Tensor:
        """Values that take part in the products, on their device and in their precision."""
        return values.to(self.device, self.precision)

    def with_matrix(self, matrix: torch.Tensor) -> FixedWeights:
        return FixedWeights(self.place(matrix), self.library)


def choose_library(
    precision: torch.dtype, device: torch.device, begun: Library | None = None, what: str = "these ELMo vectors"
) -> Library:
    """The library that something was begun with, else the faster one on this processor; a GPU has one only.

    MKL takes a slow path for float32 on processors of AMD: oneDNN has up to twice its rate there, and about the same
    elsewhere. No clock decides, so that all encoders on one kind of processor give the same digits.

    Args:
        what: was begun, for the message.

    Raises:
        ElmoError: torch lacks that library here.
    """
    if device.type != "cpu":
        return "torch"
    if begun == "onednn" and not has_onednn():
        raise ElmoError(
            f"{what}: begun with matrix products by onednn, which torch {torch.__version__} lacks on this processor; "
            "go on where that was done, or begin anew"
        )
    slow_mkl = precision == torch.float32 and "AuthenticAMD" in _processor() and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return begun or ("onednn" if slow_mkl and has_onednn() else "torch")


@cache
def _processor() -> frozenset[str]:
    """All words that Linux says of it, maker and instructions among them."""
    try:
        return frozenset(_CPU_INFO.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return frozenset()


@cache
def has_onednn() -> bool:
    """Whether torch has oneDNN's operators, and they compute what they are to: they are not among its public ones."""
    rows, matrix, bias = (torch.linspace(-1, 1, 6 * n).view(-1, 6) for n in (4, 6, 1))
    try:
        found = FixedWeights(matrix.t(), "onednn").times(rows, bias[0])
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, rows @ matrix.t() + bias[0], atol=1e-4)


def _pack(matrix: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(matrix.t().contiguous())  # type: ignore[no-any-return]


def _multiply(rows: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    # What torch.compile calls for a linear layer on a CPU. The public way, F.linear on `to_mkldnn()` tensors, copies
    # inputs and results: 10 % slower at best, half as fast where they are large.
    return torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")  # type: ignore[no-any-return]


class LearnedWeights:
    """A matrix (inputs, outputs) that rows are multiplied with, with gradients, by the same libraries."""

    def __init__(self, matrix: torch.Tensor, library: Library) -> None:
        self._matrix, self._library = matrix, library

    def times(self, rows: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """The product of rows (..., inputs) and the matrix, plus bias (outputs,): (..., outputs)."""
        flat = rows.reshape(-1, rows.shape[-1])
        result: torch.Tensor = _Product.apply(flat, self._matrix, bias, self._library)  # type: ignore[no-untyped-call]
        return result.view(*rows.shape[:-1], result.shape[1])


def weights_gradient(rows: torch.Tensor, gradient: torch.Tensor, library: Library) -> torch.Tensor:
    """The gradient of a matrix that `rows` were multiplied with, from that of the product."""
    return FixedWeights(gradient, library, once=True).times(rows.t().contiguous())


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, matrix: torch.Tensor, bias: torch.Tensor | None, library: Library
    ) -> torch.Tensor:
        ctx.save_for_backward(rows, matrix)
        ctx.library = library
        return FixedWeights(matrix, library, once=True).times(rows, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, matrix = ctx.saved_tensors
        gradient, of_rows = gradients[0].contiguous(), None
        if ctx.needs_input_grad[0]:
            of_rows = FixedWeights(matrix.t(), ctx.library, once=True).times(gradient)
        of_bias = gradient.sum(0) if ctx.needs_input_grad[2] else None
        return of_rows, weights_gradient(rows, gradient, ctx.library), of_bias, None
