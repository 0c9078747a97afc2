"""Several small runs on one GPU at once, each in a process of its own."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait

from sentiment.training.stop import StopRequest

_POLL_SECONDS = 0.5


def side_by_side(works: Sequence[Callable[[], int]], stop: StopRequest) -> list[int]:
    """Let each work run in a process with its share of the cores; their exit codes, negative for a signal.

    The processes are forked while nothing heavy is loaded and no thread runs, so that the handlers of `stop` stand
    in each of them from its first instruction. A signal that reaches only this process is passed on.
    """
    context = multiprocessing.get_context("fork")
    shares = core_shares(len(works))
    children = [context.Process(target=_perform, args=(work, share)) for work, share in zip(works, shares, strict=True)]
    for child in children:
        child.start()
    told = False
    while alive := [child for child in children if child.is_alive()]:
        reason = stop.reason()
        if reason and reason.reason == "signal" and not told:
            told = True
            for child in alive:
                os.kill(child.pid or 0, signal.Signals[reason.detail])
        wait([child.sentinel for child in alive], timeout=_POLL_SECONDS)
    return [child.exitcode or 0 for child in children]


def core_shares(count: int) -> list[set[int]]:
    """The cores of this process, dealt out; all to each where there are fewer cores than works."""
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[number::count] if len(cores) >= count else cores) for number in range(count)]


def _perform(work: Callable[[], int], cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    raise SystemExit(work())
