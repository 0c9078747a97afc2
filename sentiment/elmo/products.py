"""Matrix products by the fastest library that torch has for this processor, with fixed weights or with gradients."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, Self, get_args

import torch

from sentiment.errors import ElmoError

Library = Literal["torch", "onednn"]
"""`torch`: what `torch.addmm` calls, MKL or another BLAS on a CPU; `onednn`: oneDNN, with weights laid out for it.

MKL takes a slow path on some processors, where oneDNN has twice its rate. Their results differ in the last digits.
"""
LIBRARIES: tuple[Library, ...] = get_args(Library)

# Rows, inputs and outputs of products like an LSTM step's. They take about a millisecond and are repeated, so that
# among them are some which nothing else on the machine slowed down.
_TRIALS = ((256, 256, 1024), (256, 1024, 128))
_REPEATS = 25
# With a smaller gain `torch` stays. All encoders built on one machine should choose alike: repeated trials of a busy
# machine differ by 0.03, and gains found so far are 1.0, 1.11 and 2, by kinds of processors.
_CLEARLY_FASTER = 1.06


class FixedWeights:
    """A matrix that rows are multiplied with.

    Args:
        matrix: (inputs, outputs), in the precision of the products and on their device.
        once: for one product only, for which oneDNN lays a large matrix out in less time than it takes beforehand.
    """

    def __init__(self, matrix: torch.Tensor, library: Library, once: bool = False) -> None:
        self.inputs, self.outputs = matrix.shape
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

    @classmethod
    def choose(
        cls, precision: torch.dtype, device: torch.device, library: Library | None, begun: str = "these ELMo vectors"
    ) -> Self:
        """With a library, or with the fastest one here; a GPU has one only.

        Args:
            begun: what was begun with the library, for messages.

        Raises:
            ElmoError: torch lacks the library here.
        """
        if device.type != "cpu":
            return cls(precision, device, "torch")
        if library is not None and library not in available_libraries(precision):
            raise ElmoError(
                f"{begun}: begun with matrix products by {library}, which torch {torch.__version__} lacks on this "
                "processor; go on where that was done, or begin anew"
            )
        return cls(precision, device, library or fastest_library(precision))

    def place(self, values: torch.Tensor) -> torch.Tensor:
        """Values that take part in the products, on their device and in their precision."""
        return values.to(self.device, self.precision)

    def with_matrix(self, matrix: torch.Tensor) -> FixedWeights:
        """Products with a matrix (inputs, outputs)."""
        return FixedWeights(self.place(matrix), self.library)

    def with_each(self, matrices: torch.Tensor) -> list[FixedWeights]:
        """Products with each of some matrices (number, inputs, outputs)."""
        return [self.with_matrix(matrix) for matrix in matrices]


def available_libraries(precision: torch.dtype) -> tuple[Library, ...]:
    """The libraries that torch has for this processor; that depends on torch's version as well."""
    return LIBRARIES if _onednn_is_right(precision) else ("torch",)


@cache
def fastest_library(precision: torch.dtype) -> Library:
    """The library with the highest rate on this processor, found once in a process by a trial of 0.2 s."""
    rates = measured_rates(precision)
    return "onednn" if rates.get("onednn", 0) > _CLEARLY_FASTER * rates["torch"] else "torch"


def measured_rates(precision: torch.dtype) -> dict[Library, float]:
    """Operations per second and core of each available library, on products that take most of the encoder's time."""
    # Several threads wait for each other, so that whatever else a machine does would hit the libraries unequally.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measured_rates(precision)
    finally:
        torch.set_num_threads(threads)


def _measured_rates(precision: torch.dtype) -> dict[Library, float]:
    libraries, generator = available_libraries(precision), torch.Generator().manual_seed(0)
    seconds = dict.fromkeys(libraries, 0.0)
    operations = 0
    for rows, inputs, outputs in _TRIALS:
        left = torch.randn(rows, inputs, generator=generator).to(precision)
        right = torch.randn(inputs, outputs, generator=generator).to(precision)
        weights = {library: FixedWeights(right, library) for library in libraries}
        # In turns, so that what else the machine does hits all of them.
        taken = [[_seconds(partial(one.times, left)) for one in weights.values()] for _ in range(_REPEATS)]
        for library, times in zip(libraries, zip(*taken, strict=True), strict=True):
            seconds[library] += min(times)
        operations += 2 * rows * inputs * outputs
    return {library: operations / time for library, time in seconds.items()}


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@cache
def _onednn_is_right(precision: torch.dtype) -> bool:
    """Whether torch has the operators, and they compute what they are to: they are not among its public ones."""
    rows, matrix, bias = (torch.linspace(-1, 1, 6 * n).view(-1, 6).to(precision) for n in (4, 6, 1))
    try:
        found = FixedWeights(matrix.t(), "onednn").times(rows, bias[0])
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(found.double(), rows.double() @ matrix.double().t() + bias[0].double(), rtol=0.02)


def _pack(matrix: torch.Tensor) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix.t().contiguous())
    return packed


def _multiply(rows: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    # What torch.compile calls for a linear layer on a CPU. The public way, F.linear on `to_mkldnn()` tensors, copies
    # inputs and results: 10 % slower at best, half as fast where they are large.
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")
    return product


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
        gradient = gradients[0].contiguous()
        of_rows = None
        if ctx.needs_input_grad[0]:
            of_rows = FixedWeights(matrix.t(), ctx.library, once=True).times(gradient)
        return (
            of_rows,
            weights_gradient(rows, gradient, ctx.library),
            gradient.sum(0) if ctx.needs_input_grad[2] else None,
            None,
        )
