"""Several small runs on one GPU at a time, each in a process of its own."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from sentiment.training.stop import StopRequest

_POLL_SECONDS = 0.5


@dataclass
class _Child:
    process: BaseProcess
    lane: int
    told: bool = False
    """Whether it was told to save and end."""


@dataclass
class SideBySide:
    """Processes that work at the same time, each with its share of the cores.

    They are forked while no thread runs and nothing was computed, so that the handlers of `stop` stand in each of them
    from its first instruction. A signal that reaches only this process is passed on.

    Args:
        lanes: how many at a time.
        cancelled: names of works that are to end; they get TERM, the others go on.
    """

    lanes: int
    stop: StopRequest
    cancelled: Callable[[], Set[str | int]]
    _children: dict[str, _Child] = field(default_factory=dict, init=False)

    @property
    def number(self) -> int:
        """How many are at work."""
        return len(self._children)

    def begin(self, name: str, work: Callable[[], int]) -> None:
        """Begin a work, which returns its exit code; a lane must be free."""
        lane = min({*range(self.lanes)} - {child.lane for child in self._children.values()})
        share = core_shares(self.lanes)[lane]
        process = multiprocessing.get_context("fork").Process(target=_perform, args=(work, share))
        process.start()
        self._children[name] = _Child(process, lane)

    def collect(self) -> dict[str, int]:
        """Wait a moment; exit codes of those that have ended, by name, negative for the signal that killed them."""
        reason, cancelled = self.stop.reason(), self.cancelled()
        passed_on = signal.Signals[reason.detail] if reason and reason.reason == "signal" else None
        for name, child in self._children.items():
            if not child.told and (passed_on or name in cancelled) and child.process.is_alive():
                os.kill(child.process.pid or 0, passed_on or signal.SIGTERM)
                child.told = True
        wait([child.process.sentinel for child in self._children.values()], timeout=_POLL_SECONDS)
        ended = {name: child for name, child in self._children.items() if not child.process.is_alive()}
        for name in ended:
            del self._children[name]
        return {name: child.process.exitcode or 0 for name, child in ended.items()}


def core_shares(count: int) -> list[set[int]]:
    """The cores of this process, shared out among `count` works; all to each where there are fewer cores than works."""
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[number::count] if len(cores) >= count else cores) for number in range(count)]


def _perform(work: Callable[[], int], cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    raise SystemExit(work())
