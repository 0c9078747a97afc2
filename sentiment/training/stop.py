"""The execution context of a run, and its reasons to stop: a signal, the time limit, or the end of a rung.

A rung is a stage of successive halving: after so many epochs the worse trials of a search are pruned.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from types import FrameType
from typing import Any, Literal, ParamSpec, Self

from sentiment.config import RunConfig
from sentiment.console import Console, Progress, silent
from sentiment.processes import slurm_end_time
from sentiment.runs.run_dir import Results, RunDir

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)

# Time for everything besides steps and saves: closing files, and differences between the clocks of hosts.
MARGIN_SECONDS = 2.0
_RECENT = 100


@dataclass(unsafe_hash=True)  # hashable, as other exceptions
class Stop(Exception):  # noqa: N818 - no error: what the work did is saved, or can be repeated
    """Raised to stop work early; carries the reason."""

    reason: Literal["signal", "deadline", "paused"]
    detail: str


P = ParamSpec("P")


def stoppable(work: Callable[P, None]) -> Callable[P, Stop | None]:
    """Decorate work to return a `Stop` that it raises, else None; the same call then resumes the work."""

    @wraps(work)
    def returning(*args: P.args, **kwargs: P.kwargs) -> Stop | None:
        try:
            work(*args, **kwargs)
        except Stop as stop:
            return stop
        return None

    return returning


class StopRequest:
    """The reasons to stop, which the loop checks between steps.

    As a context manager it handles TERM, USR1, USR2 and INT, and restores the former handlers. A handler only remembers
    the signal, since saving in a handler could save the weights in the middle of an update: the first one, or a TERM
    after it, by which a task that was warned is cancelled. A second INT (Ctrl+C pressed twice) interrupts at once.
    Python handles signals only in the main thread; in any other thread, as in a program that trains in the background,
    this handles none.

    Args:
        on_hangup: also handle HUP, which a closed terminal sends, unless it is ignored, as under `nohup`.

    Attributes:
        end: when the process will be ended by its time limit, as `time.monotonic` counts; None if it has none.
        pause_after: the number of epochs after which the run pauses, since its rung ends; None trains it to its end.
        steps: seconds of the recent steps.
        saves: seconds of the recent saves.
    """

    def __init__(self, end: float | None = None, *, on_hangup: bool = False) -> None:
        self.end = end
        self._signals: tuple[signal.Signals, ...] = SIGNALS
        if on_hangup and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            self._signals = (*SIGNALS, signal.SIGHUP)
        self.pause_after: int | None = None
        self.steps: deque[float] = deque(maxlen=_RECENT)
        self.saves: deque[float] = deque(maxlen=_RECENT)
        self._signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._remember) for number in self._signals}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def reason(self) -> Stop | None:
        """The reason to stop now, or None.

        The deadline is reached when the remaining time is not enough for the slowest recent step and twice the
        slowest recent save (compare Barbut et al., FTXS 2023, on the last checkpoint of a reservation).
        """
        if self._signal is not None:
            return Stop("signal", self._signal.name)
        if self.end is not None:
            needed = max(self.steps, default=0.0) + 2 * max(self.saves, default=1.0) + MARGIN_SECONDS
            remaining = self.end - time.monotonic()
            if remaining < needed:
                return Stop("deadline", f"{max(remaining, 0):.0f} s left, a step and a save may need {needed:.0f} s")
        return None

    def check_rung(self, epoch: int) -> None:
        """Raise Stop if the rung ends after this many epochs."""
        if self.pause_after is not None and epoch >= self.pause_after:
            raise Stop("paused", f"its rung ends after {epoch} epochs")

    def check(self) -> None:
        """Raise Stop if there is a reason to stop."""
        if stop := self.reason():
            raise stop

    def interrupting(self, progress: Progress) -> Progress:
        """A `progress` that also raises Stop if there is a reason to stop."""

        def show(label: str, done: int, total: int | None) -> None:
            progress(label, done, total)
            self.check()

        return show

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is None or number == signal.SIGTERM:
            self._signal = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class RunContext:
    """A run with its configuration, its folders, its reasons to stop, and its console.

    Attributes:
        results: the folder with the prepared tweets and encoders' vectors, which all runs share.
        on_begin: called with the directory of the attempt when the run is locked, before anything is computed; an
            exception aborts the run.
    """

    config: RunConfig
    results: Results
    run_dir: RunDir
    stop: StopRequest = field(default_factory=StopRequest)
    console: Console = field(default=Console(say=lambda _line: None, progress=silent))
    on_begin: Callable[[RunDir], None] = lambda _run_dir: None

    @property
    def progress(self) -> Progress:
        """Show the progress of work that can be repeated, and raise Stop if there is a reason to stop."""
        return self.stop.interrupting(self.console.progress)


def process_deadline(limit_seconds: float | None = None, taken: float = 0.0) -> float | None:
    """The deadline of this process by `time.monotonic`; None if there is no limit.

    That clock goes on when the system's clock is set, which therefore neither ends nor lengthens a run. The system's
    clock is asked once, since Slurm says when it ends the job in seconds since 1970.

    Args:
        limit_seconds: a limit of its own, of which `taken` seconds are over; that of Slurm holds too.
    """
    remaining = []
    if limit_seconds:
        remaining.append(limit_seconds - taken)
    slurm_end = slurm_end_time()
    if slurm_end is not None:
        remaining.append(slurm_end - time.time())
    return time.monotonic() + min(remaining) if remaining else None
