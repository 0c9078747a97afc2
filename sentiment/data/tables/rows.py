"""Lines of text files of any origin, and rows of tables: what a reader yields, refuses and counts."""

import codecs
import difflib
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from sentiment.config import ColumnConfig, LabelConfig
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named
from sentiment.runs.records import NEGATIVE, POSITIVE, Record

LINE_LIMIT = 1 << 20
"""In bytes; longer lines are cut here, so that no file can fill the memory."""
_BUFFER = 1 << 16


class CutLine(str):
    """The beginning of a line that is longer than LINE_LIMIT; readers refuse it."""

    __slots__ = ()


def read_lines(path: Path) -> Generator[str, None, None]:
    """The lines of a text file (`.gz` or plain) with their line ends, read in bounded memory.

    Raises:
        DataError: the file is missing, a directory, unreadable, empty, in UTF-16, or its compression is damaged.
    """
    with translated_errors(path), open_bytes(path) as file:
        yield from decode_lines(file, str(path))


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked if its name ends in `.gz`."""
    if path.suffix.lower() == ".gz":
        open_named(path).close()  # refuses what is no file; gzip closes only files that it has opened itself
        return io.BufferedReader(cast(io.RawIOBase, gzip.open(path, "rb")), _BUFFER)
    return open_named(path)


def decode_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Decode each line as UTF-8 if its bytes allow it, otherwise as latin-1; a byte order mark is dropped.

    Real exports of tweets mix both encodings within one file. A line of more than LINE_LIMIT bytes becomes a CutLine.

    Raises:
        DataError: the file is empty, in UTF-16, or its lines end in carriage returns alone.
    """
    line = file.readline(LINE_LIMIT)
    if not line:
        raise DataError(f"{name}: is empty")
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{name}: is in UTF-16; save it as UTF-8")
    if b"\r" in line[:-1] and not line.endswith(b"\n"):
        raise DataError(f"{name}: its lines end in carriage returns, as on old Macs; save it with line feeds")
    line = line.removeprefix(codecs.BOM_UTF8)
    while line:
        if len(line) == LINE_LIMIT and not line.endswith(b"\n") and _skip_line(file):
            yield CutLine(_decode(line))
        else:
            yield _decode(line)
        line = file.readline(LINE_LIMIT)


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system about a file into a DataError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory; name a file in it") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: is truncated or not a gzip file: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _skip_line(file: BinaryIO) -> bool:
    """Whether more than a line end was left of the line."""
    skipped = rest = file.readline(LINE_LIMIT)
    while rest and not rest.endswith(b"\n"):
        rest = file.readline(LINE_LIMIT)
    return skipped.strip(b"\r\n") != b""


class TableRecord(NamedTuple):
    """A row of a table as it stands there."""

    line: int
    """Where it begins, counted from 1; in Parquet and workbooks the number of the row."""
    fields: Sequence[Any]
    """The values of the columns."""
    lines: int = 1
    """How many lines it spans."""
    whole: dict[str, Any] | None = None
    """The JSON object that it was."""


class Row(NamedTuple):
    """A tweet as its source has it."""

    id: str
    user: str | None
    label: int | None
    """NEGATIVE or POSITIVE; None if the label in the file says that the tweet is to be left out."""
    text: str
    line: int
    """Where the row begins in its file, counted from 1; in Parquet the number of the row."""
    lines: int = 1
    """How many lines of its file it spans."""


class Refusal(NamedTuple):
    """A row that cannot be used."""

    line: int
    reason: str


Rows = Iterator[Row | Refusal]


class LabelReader:
    """Turns the values of a label column into labels; ignores case and outer blanks, and reads 1.0 as 1.

    Args:
        meanings: the label of each value, in lower case; None for values whose rows are left out.
        name: the file's name, for messages.
        advice: what to do about an unknown value, for messages.
    """

    def __init__(self, meanings: Mapping[str, int | None], name: str, advice: str) -> None:
        self._meanings = meanings
        self._name = name
        self._advice = advice

    @classmethod
    def from_config(cls, config: LabelConfig, name: str) -> "LabelReader":
        """A reader for a table whose labels the configuration explains."""
        groups = ((config.negative, NEGATIVE), (config.positive, POSITIVE), (config.ignored, None))
        meanings = {label.strip().lower(): meaning for group, meaning in groups for label in group}
        advice = "add it to data.labels.negative, .positive or .ignored"
        return cls(meanings, name, advice)

    def __call__(self, value: Any, line: int) -> int | None:
        """NEGATIVE, POSITIVE, or None for a label that is to be ignored.

        Raises:
            DataError: the label is unknown.
        """
        if isinstance(value, str) and value in self._meanings:
            return self._meanings[value]
        try:
            return self._meanings[as_text(value).strip().lower()]
        except KeyError:
            known = ", ".join(map(repr, self._meanings))
            raise DataError(
                f"{self._name}:{line}: unknown label {_shortened(as_text(value))!r}; known are {known}: {self._advice}"
            ) from None


def as_text(value: Any) -> str:
    """A cell as text: the empty text for a missing value, and no decimal point in a whole number."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


_EXAMPLES = 5

SPANNING = "span several lines"
"""What is said of records with line breaks in quotes, since a quote too many would look the same."""


class CountedLines(Record):
    """Rows with one thing in common."""

    count: int
    lines: list[int]
    """Where the first few begin, counted from 1."""

    def __str__(self) -> str:
        """The lines, as in `line 3, 8, …`."""
        return f"line {', '.join(map(str, self.lines))}" + (", …" if self.count > len(self.lines) else "")


class RowCounter:
    """Counts rows by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lines: dict[str, list[int]] = {}

    def add(self, reason: str, line: int) -> None:
        """Count a row."""
        self._counts[reason] += 1
        examples = self._lines.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(line)

    def total(self, apart_from: Iterable[str] = ()) -> int:
        """The number of rows that were counted for other reasons than these."""
        return self._counts.total() - sum(self._counts[reason] for reason in apart_from)

    def counted(self) -> dict[str, CountedLines]:
        """The rows by reason, in the order in which the reasons were first met."""
        return {reason: CountedLines(count=count, lines=self._lines[reason]) for reason, count in self._counts.items()}

    def most_common(self, apart_from: Iterable[str] = ()) -> str:
        """All reasons but these, the most frequent first, as in `12 empty text (line 3, 8); 1 empty label (line 4)`."""
        found = sorted(self.counted().items(), key=lambda pair: -pair[1].count)
        return "; ".join(f"{rows.count:,} {reason} ({rows})" for reason, rows in found if reason not in apart_from)


TEXT_NAMES = ("text", "tweet", "tweets", "tweet_text", "full_text", "content", "message", "sentence", "body", "review")
"""What columns of tweets are called."""


@dataclass(frozen=True)
class Columns:
    """Positions in a row, counted from 0; None if there is no such column."""

    text: int
    label: int
    user: int | None
    id: int | None
    width: int
    """Number of fields in a row."""

    @classmethod
    def find(cls, config: ColumnConfig, header: Sequence[str], name: str) -> "Columns":
        """Find the configured columns.

        Args:
            config: the columns by name or position.
            header: the names of all columns of the file.
            name: the file's name, for messages.

        Raises:
            ConfigError: a column is missing, or several have its name.
        """
        return cls(
            text=_position(config.text, "text", header, name),
            label=_position(config.label, "label", header, name),
            user=None if config.user is None else _position(config.user, "user", header, name),
            id=None if config.id is None else _position(config.id, "id", header, name),
            width=len(header),
        )

    def places(self) -> set[int]:
        """The positions."""
        return {place for place in (self.text, self.label, self.user, self.id) if place is not None}

    def row(self, record: TableRecord | Refusal, labels: LabelReader) -> Row | Refusal:
        """Pick the fields of a row, or say why the row cannot be used.

        Args:
            labels: turns the label field into a label.

        Raises:
            DataError: the label is unknown.
        """
        if isinstance(record, Refusal):
            return record
        line, fields, lines, _ = record
        if len(fields) != self.width:
            return Refusal(line, "wrong number of fields")
        text = fields[self.text]
        if not isinstance(text, str) or not text.strip():
            return Refusal(line, why_no_text(text) or "")
        if "\0" in text:
            return Refusal(line, "NUL character")
        if not (label := as_text(fields[self.label])).strip():
            return Refusal(line, "empty label")
        identifier = as_text(fields[self.id]) if self.id is not None else ""
        user = as_text(fields[self.user]).strip() if self.user is not None else ""
        return Row(identifier or str(line), user or None, labels(label, line), text, line, lines)


def why_no_text(value: object) -> str | None:
    """Why a value is not the text of a tweet; None if it is."""
    if isinstance(value, str):
        return None if value.strip() else "empty text"
    return "empty text" if value is None else "text is not a string"


def has_header(config: ColumnConfig) -> bool:
    """Whether the first line of a delimited file names the columns; it does unless all are given by position."""
    given = (config.text, config.label, config.user, config.id)
    return any(isinstance(column, str) for column in given)


def _position(column: str | int, role: str, header: Sequence[str], name: str) -> int:
    place = f"{name}: data.columns.{role}"
    if isinstance(column, int):
        if 0 <= column < len(header):
            return column
        raise ConfigError(f"{place}: no column {column}; there are {len(header)}, counted from 0")
    if header.count(column) == 1:
        return header.index(column)
    found = ", ".join(map(repr, header))
    if column in header:
        raise ConfigError(f"{place}: several columns are called {column!r}; give its position among {found}")
    close = difflib.get_close_matches(column, header, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ConfigError(f"{place}: no column {column!r}; the file has {found}{hint}")
