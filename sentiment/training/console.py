"""Where training says what it does; what a terminal makes of it is the command line's own."""

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Console:
    """Two ways to speak: a line that stays, and how far something is (what, done, total if known)."""

    say: Say
    progress: Progress
