"""Where long work says what it does; how a terminal shows it is the command line's own concern."""

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]
"""Prints a line that stays."""

Progress = Callable[[str, int, int | None], None]
"""Shows how far something is: what, how much is done, and of how much (None if that is not known)."""


@dataclass(frozen=True)
class Console:
    """The two ways to speak."""

    say: Say
    progress: Progress


def silent(_what: str, _done: int, _total: int | None) -> None:
    """A Progress that shows nothing."""
