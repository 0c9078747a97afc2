"""What is shown to people: printable text, lines that stay, and one bar below them while work takes long."""

import re
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

# Marks that reverse, embed or hide text; a reader is shown that they are there.
_DIRECTION = {*map(chr, (0x61C, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)))}
# Everything that separates words or lines, except for the no-break space, which is kept.
_BLANK = re.compile("[ \t\r\n\f\v\x1c-\x1f\x85\u2028\u2029]+")
_STEERING = ("Cc", "Cs", "Cn")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$#!])")
_BLOCK_START = re.compile(r"^(\d*)([.)+=-])(?=\s|$|[=-]{2})")
# What GitHub makes a link of without any mark.
_LINK = re.compile(r"(?<=www)\.|:(?=//)|@", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def visible(text: str) -> str:
    """One line of printable characters: control and direction marks are written out as `U+202E`."""
    return _written_out(_BLANK.sub(" ", text).strip(" "))


def printable(text: str) -> str:
    """The same for text of several lines, which stay as they are."""
    if text.isascii() and text.isprintable():
        return text
    return "\n".join(_written_out(line) for line in text.split("\n"))


def as_markdown(text: str) -> str:
    """One line of Markdown that shows a text literally: nothing in it is markup of Markdown or HTML."""
    text = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], visible(text))
    text = _LINK.sub(lambda found: f"&#{ord(found[0])};", _MARKDOWN.sub(r"\\\1", text))
    return _BLOCK_START.sub(r"\1\\\2", text)


def as_code(text: str) -> str:
    """A text as typed, in one of Markdown's code spans.

    In a code span nothing can be escaped, so that its fence has to be longer than any row of backticks within.
    """
    text = visible(text) or " "
    longest = max((len(backticks) for backticks in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _written_out(text: str) -> str:
    return "".join(
        f"\u27e8U+{ord(one):04X}\u27e9" if one in _DIRECTION or unicodedata.category(one) in _STEERING else one
        for one in text
    )


Say = Callable[[str], None]  # prints a line that stays
Progress = Callable[[str, int, int | None], None]  # shows what is done, how much, and of how much, if that is known


@dataclass(frozen=True)
class Console:
    """The two ways to speak."""

    say: Say
    progress: Progress


def silent(_what: str, _done: int, _total: int | None) -> None:
    """A Progress that shows nothing."""


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
        self._bar = RichProgress(
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

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show how far `what` is; cheap enough to be called at every step."""
        now = time.monotonic()
        wait = _REFRESH_SECONDS if OUT.is_terminal else _SECONDS_BETWEEN_LINES
        if what == self._what and done != total and now - self._shown < wait:
            return
        if OUT.is_terminal:
            if self._task is None or what != self._what:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(escape(visible(what)), total=total)
            self._bar.update(self._task, completed=done, total=total)
        elif what == self._what and now - self._shown >= wait:
            say(f"{what}: {done:,}" + (f" of {total:,}" if total else ""))
        else:
            self._what = what
            return
        self._what, self._shown = what, now
