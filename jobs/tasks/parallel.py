"""Several small runs on one GPU at a time, each in a process of its own."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait

from sentiment.training.stop import StopRequest

_POLL_SECONDS = 0.5


def side_by_side(
    works: Sequence[Callable[[], int]], stop: StopRequest, cancelled: Callable[[], set[int]] = set
) -> list[int]:
    """Do each work in a process with its share of the cores.

    The processes are forked while nothing heavy is loaded and no thread runs, so that the handlers of `stop` stand
    in each of them from its first instruction. A signal that reaches only this process is passed on.

    Args:
        works: each returns its exit code.
        cancelled: asked again and again for the positions of works that are to end; they get TERM, the others go on.

    Returns:
        The exit code of each work, negative for the signal that killed it.
    """
    context = multiprocessing.get_context("fork")
    shares = core_shares(len(works))
    children = [context.Process(target=_perform, args=(work, share)) for work, share in zip(works, shares, strict=True)]
    for child in children:
        child.start()
    told: set[int] = set()
    while alive := {number: child for number, child in enumerate(children) if child.is_alive()}:
        reason = stop.reason()
        if reason and reason.reason == "signal":
            to_tell, number_of_signal = {*alive} - told, signal.Signals[reason.detail]
        else:
            to_tell, number_of_signal = (cancelled() & {*alive}) - told, signal.SIGTERM
        for number in to_tell:
            os.kill(children[number].pid or 0, number_of_signal)
        told |= to_tell
        wait([child.sentinel for child in alive.values()], timeout=_POLL_SECONDS)
    return [child.exitcode or 0 for child in children]


def core_shares(count: int) -> list[set[int]]:
    """The cores of this process, shared out among `count` works; all to each where there are fewer cores than works."""
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[number::count] if len(cores) >= count else cores) for number in range(count)]


def _perform(work: Callable[[], int], cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    raise SystemExit(work())
