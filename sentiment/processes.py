"""What this process was given (cores, and inside a Slurm job its name and end), and processes that share its work."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from types import ModuleType, TracebackType
from typing import Self, TypeVar

from sentiment.errors import DataError


def available_cores() -> int:
    """Cores that this process may run on: what Slurm or a container grants, where the system tells, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_slurm() -> bool:
    """Whether this process belongs to a Slurm job."""
    return "SLURM_JOB_ID" in os.environ


HERE = "here"
"""Prefix of the names of jobs of grids that run on this machine, without Slurm."""


def slurm_job() -> str | None:
    """`<array>_<task>` or the job's id, as Slurm's commands take it; None outside Slurm.

    A grid on this machine sets SENTIMENT_JOB to a name of this form.
    """
    if here := os.environ.get("SENTIMENT_JOB"):
        return here
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def slurm_array_task() -> int:
    """The index of this task in its job array; 0 outside an array."""
    return _number("SLURM_ARRAY_TASK_ID") or 0


def slurm_restarts() -> int:
    """How often Slurm has requeued this job."""
    return _number("SLURM_RESTART_COUNT") or 0


def slurm_end() -> float | None:
    """When Slurm ends this job, in seconds since 1970; None if it does not say."""
    end = _number("SLURM_JOB_END_TIME")
    return None if end is None else float(end)


def slurm_node() -> str | None:
    """The node's name in Slurm; None outside Slurm."""
    return os.environ.get("SLURMD_NODENAME")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None


def is_of_this_array(job: str | None) -> bool:
    """Whether a job is a task of the array that this process belongs to; outside Slurm, whether it is outside too."""
    return (job or "").partition("_")[0] == (slurm_job() or "").partition("_")[0]


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class WorkerProcesses:
    """Processes that end when this one ends, and leave Ctrl+C to it.

    They are not forked, which is unsafe once there are threads, as in torch and pyarrow, and know nothing of the script
    that this process runs: what they compute is a function of a module.

    Raises, from within its context:
        DataError: a worker was killed.
    """

    def __init__(self, count: int, purpose: str, prepare: Callable[[_Item], None], item: _Item) -> None:
        """Start nothing yet.

        Args:
            count: the most processes.
            purpose: what was done when a worker was killed, for the message.
            prepare: called in each process first, with `item`.
        """
        self._purpose = purpose
        self._pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start, (prepare, item))

    def submit(self, function: Callable[[_Item], _Result], item: _Item) -> "Future[_Result]":
        """Have a process compute `function(item)`."""
        with _interrupts_held_back(), _without_script():
            return self._pool.submit(function, item)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise DataError(f"a worker process was killed while {self._purpose}; is there enough memory?") from None


def in_order(
    items: Iterable[_Item], submit: "Callable[[_Item], Future[_Result]]", at_once: int
) -> Iterator[tuple[_Item, _Result]]:
    """Each item with its result, in the given order; at most `at_once` items are in flight."""
    waiting: deque[tuple[_Item, Future[_Result]]] = deque()
    for item in items:
        waiting.append((item, submit(item)))
        if len(waiting) >= at_once:
            first, future = waiting.popleft()
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


def _start(prepare: Callable[[_Item], None], item: _Item) -> None:
    threading.Thread(target=_follow_parent, daemon=True).start()
    prepare(item)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _without_script() -> Iterator[None]:
    """Hide the script of this process, which processes started meanwhile would otherwise run, as their module."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block SIGINT for a while; processes started meanwhile inherit that, so that only this one reacts to Ctrl+C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
