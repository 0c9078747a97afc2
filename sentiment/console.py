"""Console output: escaped text, permanent lines and a progress bar."""

import html
import re
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column, Table

# Bidirectional and zero-width control characters, which are shown as escapes.
_INVISIBLE = {*map(chr, (0x61C, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)))}
# ASCII white space and line separators; the no-break space and other Unicode spaces are kept.
_BLANK = re.compile("[ \t\r\n\f\v\x1c-\x1f\x85\u2028\u2029]+")
_CONTROL_CATEGORIES = ("Cc", "Cs", "Cn")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$#!])")
_BLOCK_START = re.compile(r"^(\d*)([.)+=-])(?=\s|$|[=-]{2})")
# Text that GitHub autolinks.
_LINK = re.compile(r"(?<=www)\.|:(?=//)|@", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def visible(text: str) -> str:
    """The text as one line of printable characters: control and bidi characters are escaped as `⟨U+202E⟩`."""
    return _escape_unprintable(_BLANK.sub(" ", text).strip(" "))


def printable(text: str) -> str:
    """Like `visible`, but keeps line breaks and spaces."""
    return "\n".join(_escape_unprintable(line) for line in text.split("\n"))


def unescaped(text: str) -> str:
    """The text with characters in place of HTML's references to them, such as `&amp;`."""
    try:
        return html.unescape(text)
    except ValueError:  # a number of more than 4,300 digits, of which Python makes no integer: no character has it
        return text


def plural(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def as_markdown(text: str) -> str:
    """One line of Markdown that shows a text literally: nothing in it is markup of Markdown or HTML."""
    text = re.sub("[&<>]", lambda match: _ENTITIES[match[0]], visible(text))
    text = _MARKDOWN.sub(r"\\\1", text)
    text = _LINK.sub(lambda match: f"&#{ord(match[0])};", text)
    return _BLOCK_START.sub(r"\1\\\2", text)


def as_code(text: str) -> str:
    """A text as typed, in one of Markdown's code spans.

    In a code span nothing can be escaped, so its fence must be longer than the longest run of backticks inside.
    """
    text = visible(text) or " "
    longest = max((len(backticks) for backticks in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _escape_unprintable(text: str) -> str:
    if text.isprintable():  # then it has no character of those below
        return text
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character in _INVISIBLE or unicodedata.category(character) in _CONTROL_CATEGORIES:
        return f"\u27e8U+{ord(character):04X}\u27e9"
    return character


Say = Callable[[str], None]  # prints a permanent line
Progress = Callable[[str, int, int | None], None]  # shows a task's description, what is done, and the total if known


@dataclass(frozen=True)
class Console:
    """Callbacks for messages and for progress."""

    say: Say
    progress: Progress


def silent(_what: str, _done: int, _total: int | None) -> None:
    """A Progress that shows nothing."""


OUT = RichConsole(highlight=False)
ERR = RichConsole(stderr=True, highlight=False)

# If the standard output is no terminal (a log file, a pipe), progress is printed as a line now and then.
_SECONDS_BETWEEN_LINES = 30.0


def say(text: str, console: RichConsole = OUT) -> None:
    """Print permanent lines; markup and control characters in them, for example of a tweet, are escaped."""
    console.print(printable(text), markup=False, soft_wrap=True)


def number_table(title: str, columns: Iterable[str]) -> Table:
    """A table without rules: a column of names, and columns of numbers, each on one line.

    Args:
        columns: the headings of the numbers; markup and control characters in them are escaped.
    """
    table = Table(Column(escape(title), vertical="bottom"), box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(escape(printable(column)), justify="right", no_wrap=True, vertical="bottom")
    return table


class ProgressBar:
    """Shows the progress of long work as one bar, with permanent lines above it."""

    def __init__(self) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=OUT,
            transient=True,
            disable=not OUT.is_terminal,
        )
        self._task = self._bar.add_task("", visible=False, note="")
        self._description = ""
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def progress(self, description: str, done: int, total: int | None, note: str = "") -> None:
        """Update the progress of a task; cheap enough to call at every step.

        Args:
            note: what may change while the task stays the same.
        """
        now = time.monotonic()
        if description != self._description:
            self._description = description
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(escape(visible(description)), total=total, note="")
        if OUT.is_terminal:  # drawn some times a second
            self._bar.update(self._task, completed=done, total=total, note=escape(visible(note)))
        elif now - self._shown >= _SECONDS_BETWEEN_LINES:
            say(f"{description}: {done:,}" + (f" of {total:,}" if total else ""))
            self._shown = now
