"""Where training says what it does; what a terminal makes of it is the command line's own."""

from collections.abc import Callable
from dataclasses import dataclass

from sentiment.training.stop import StopRequest

Say = Callable[[str], None]
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Console:
    """Two ways to speak: a line that stays, and how far something is (what, done, total if known)."""

    say: Say
    progress: Progress


def stoppable(console: Console, stop: StopRequest) -> Progress:
    """Shows how far something is, and ends it with a StoppedError once there is a reason to stop."""

    def progress(what: str, done: int, total: int | None) -> None:
        console.progress(what, done, total)
        stop.check()

    return progress
