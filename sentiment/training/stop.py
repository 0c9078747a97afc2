"""Reasons to stop: signals, which only set a flag here, and the end of the time that the run was given."""

import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Literal, Self

from sentiment.allocation import slurm_end
from sentiment.console import Progress

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)

# Time beyond the measured steps and saves: closing files, and clocks that differ between hosts.
MARGIN_SECONDS = 2.0
_RECENT = 100


@dataclass(frozen=True)
class Stop:
    """Why training should save and end now."""

    reason: Literal["signal", "deadline"]
    detail: str


class StoppedError(Exception):
    """Work that changes nothing was given up for a reason to stop."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.detail)
        self.stop = stop


class StopRequest:
    """Asked between steps whether there is a reason to stop.

    As a context manager it puts its handlers in place of the old ones for TERM, USR1, USR2 and INT. They only
    remember the first signal: saving inside a handler would catch the weights in the middle of an update. A second
    INT (Ctrl+C pressed twice) interrupts at once.

    Args:
        end: when the process will be ended, in seconds since 1970; None if nobody says.
        clock: seconds since 1970; replaced in tests.
    """

    def __init__(self, end: float | None = None, clock: Callable[[], float] = time.time) -> None:
        self.end = end
        self._clock = clock
        self._signal: signal.Signals | None = None
        self._previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._steps: deque[float] = deque(maxlen=_RECENT)
        self._saves: deque[float] = deque(maxlen=_RECENT)

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def learn_step(self, seconds: float) -> None:
        """Note how long a step took."""
        self._steps.append(seconds)

    def learn_save(self, seconds: float) -> None:
        """Note how long saving a checkpoint took."""
        self._saves.append(seconds)

    def reason(self) -> Stop | None:
        """Why to stop now; None to go on.

        The deadline counts as reached when what is left would not hold the slowest recent step and two of the
        slowest saves (compare Barbut et al., FTXS 2023, on the last checkpoint of a reservation).
        """
        if self._signal is not None:
            return Stop("signal", self._signal.name)
        if self.end is not None:
            needed = max(self._steps, default=0.0) + 2 * max(self._saves, default=1.0) + MARGIN_SECONDS
            left = self.end - self._clock()
            if left < needed:
                return Stop("deadline", f"{max(left, 0):.0f} s left, a step and a save may need {needed:.0f} s")
        return None

    def check(self) -> None:
        """For work that may be given up at any time, since it is simply done again.

        Raises:
            StoppedError: there is a reason to stop.
        """
        if stop := self.reason():
            raise StoppedError(stop)

    def interrupting(self, progress: Progress) -> Progress:
        """`progress` that ends the work it shows with a StoppedError once there is a reason to stop."""

        def show(what: str, done: int, total: int | None) -> None:
            progress(what, done, total)
            self.check()

        return show

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def end_of_time(limit_seconds: float | None, start: float) -> float | None:
    """When this process will be ended: Slurm's end of the job, else `start` plus the configured limit.

    Args:
        limit_seconds: the run's own limit, or None.
        start: of this process, in seconds since 1970.
    """
    ends = [start + limit_seconds] if limit_seconds else []
    if (end := slurm_end()) is not None:
        ends.append(end)
    return min(ends, default=None)
