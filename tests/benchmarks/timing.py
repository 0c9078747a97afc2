"""How benchmarks take time, and say of what machine: processor time beside the clock's, and the processor's name.

On a busy machine the clock counts what others do. Ratios are therefore of processor time, of things that are timed in
turns; they depend on the processor, so that a figure without its name says little.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sentiment.training.device import hardware_kind


@dataclass(frozen=True)
class Spent:
    """What some work took, in seconds."""

    clock: float
    processor: float
    """Of all threads, and of processes that were started and have ended."""

    def __str__(self) -> str:
        return f"{self.clock:.2f} s ({self.processor:.2f} s of processor)"


def spent(work: Callable[[], object]) -> Spent:
    """Do some work once."""
    clock, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return Spent(time.perf_counter() - clock, sum(after[:4]) - sum(before[:4]))


def announce(what: str) -> None:
    """Say at once what is measured, and on which processor."""
    kind = hardware_kind(torch.device("cpu"))
    print(f"{what}; {kind}, {torch.get_num_threads()} threads", flush=True)
