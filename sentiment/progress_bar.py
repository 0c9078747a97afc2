"""How long work looks on a terminal: lines that stay, and one bar below them. The one console of all programs."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sentiment.console import printable, visible

OUT = RichConsole(highlight=False)
ERR = RichConsole(stderr=True, highlight=False)

# If the output is no terminal (a log file, a pipe), progress is a line from time to time.
_SECONDS_BETWEEN_LINES = 30.0
_REFRESH_SECONDS = 0.1


def say(text: str, console: RichConsole = OUT) -> None:
    """Print lines that stay; nothing in them, such as a tweet, is taken for markup or steers the terminal."""
    console.print(printable(text), markup=False, soft_wrap=True)


class Terminal:
    """Shows the progress of long work as one bar, and permanent lines above it."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=OUT,
            transient=True,
            disable=not OUT.is_terminal,
        )
        self._task: TaskID | None = None
        self._what = ""
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a permanent line."""
        say(line)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show how far `what` is; cheap enough to be called at every step.

        Args:
            what: the work that is done.
            done: how much of it is done.
            total: how much there is to do; None if that is not known.
        """
        now = time.monotonic()
        wait = _REFRESH_SECONDS if OUT.is_terminal else _SECONDS_BETWEEN_LINES
        if what == self._what and done != total and now - self._shown < wait:
            return
        if OUT.is_terminal:
            self._show_bar(what, done, total)
        elif what == self._what and now - self._shown >= wait:
            self.say(f"{what}: {done:,}" + (f" of {total:,}" if total else ""))
        else:
            self._what = what
            return
        self._what, self._shown = what, now

    def _show_bar(self, what: str, done: int, total: int | None) -> None:
        if self._task is None or what != self._what:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(escape(visible(what)), total=total)
        self._bar.update(self._task, completed=done, total=total)
