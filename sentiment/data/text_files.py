"""Reads text files record by record: CSV, TSV and JSON Lines.

Every line of a file belongs to a record, is refused with its number, or is blank. CSV follows RFC 4180: a record with
wrong quotes is refused. A quoted field may span lines, but a file is refused if the lines inside a quoted field look
like table rows: probably a stray quote swallowed them. TSV has no quoting: each line is a row.
"""

import codecs
import csv
import gzip
import json
import math
import re
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from sentiment.config_file import dotted
from sentiment.errors import DataError
from sentiment.files import open_user_file


class TableRecord(NamedTuple):
    """A raw row of a table."""

    line: int  # where it begins, counted from 1; in Parquet files and workbooks the number of the row
    fields: Sequence[Any]
    json_object: dict[str, Any] | None = None  # the parsed object (JSON Lines only)


class Refusal(NamedTuple):
    """A row that cannot be used."""

    line: int
    reason: str


Records = Iterator[TableRecord | Refusal]
ReadLines = Callable[[], Iterator[str]]  # returns a new iterator over the lines, including line ends

LINE_LIMIT = 1 << 20  # in bytes; longer lines are refused to bound memory
TOO_LONG = "x" * (csv.field_size_limit() + 1)  # placeholder for an over-long line, which every format refuses


# --- bytes and lines ------------------------------------------------------------------------------------------------


def is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system about a file into a DataError that names the file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is truncated, damaged or not compressed as its name says: {error}") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory; name a file in it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def state_of(path: Path) -> tuple[int, ...]:
    """Stat fields that change with a file's content; ctime, unlike mtime, cannot be set by users."""
    with translated_errors(path):
        status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@contextmanager
def opened_bytes(path: Path, member: str | None = None) -> Iterator[BinaryIO]:
    """A file, or a member of a zip archive, opened for reading; decompressed if its name ends in `.gz`."""
    with translated_errors(path), ExitStack() as stack:
        file: BinaryIO = stack.enter_context(open_user_file(path))
        if member is not None:
            archive = stack.enter_context(zipfile.ZipFile(file))
            file = cast(BinaryIO, stack.enter_context(archive.open(member)))
        elif is_gzipped(path):
            file = cast(BinaryIO, stack.enter_context(gzip.open(file)))
        yield file


def read_lines(path: Path, member: str | None = None) -> Iterator[str]:
    """The lines of a text file with their ends, each decoded as UTF-8 if its bytes allow it, otherwise as latin-1.

    Real exports of tweets mix both encodings within one file. A byte order mark is dropped.

    Raises:
        DataError: the file cannot be read, is empty, in UTF-16, or has old Mac line endings (CR only).
    """
    with opened_bytes(path, member) as file:
        line = file.readline(LINE_LIMIT)
        _check_first_line(path, line)
        line = line.removeprefix(codecs.BOM_UTF8)
        while line:
            if len(line) < LINE_LIMIT:
                try:
                    yield line.decode("utf-8")
                except UnicodeDecodeError:
                    yield line.decode("latin-1")
            else:
                while line and not line.endswith(b"\n"):
                    line = file.readline(LINE_LIMIT)
                yield TOO_LONG
            line = file.readline(LINE_LIMIT)


_UTF16_SHARE = 0.25  # of NUL bytes; half of the bytes of English text are NUL in UTF-16


def _check_first_line(path: Path, line: bytes) -> None:
    if not line:
        raise DataError(f"{path}: is empty")
    has_mark = line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if has_mark or line.count(b"\0") > _UTF16_SHARE * len(line):
        raise DataError(f"{path}: is in UTF-16, or not a text file; save it as UTF-8")
    if b"\r" in line[:-1] and not line.endswith(b"\n"):
        raise DataError(f"{path}: its lines end in carriage returns, as on old Macs; save it with line feeds")


# --- CSV ------------------------------------------------------------------------------------------------------------

_WRONG_QUOTES = "a quote that opens in it does not close at the end of a field"
_SAMPLE_LINES = 2_000


class _Lines:
    """The lines of a file; those of the current record, except the first, can be put back and read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.consumed: list[str] = []  # lines of the current record
        self._source = lines
        self._put_back: deque[str] = deque()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._put_back.popleft() if self._put_back else next(self._source)
        self.consumed.append(line)
        return line

    def put_back(self) -> None:
        self._put_back.extendleft(reversed(self.consumed[1:]))
        del self.consumed[1:]


def csv_records(read: ReadLines, delimiter: str, name: str) -> Records:
    """The records of a CSV file; a blank line yields a record with no fields.

    If a record that spans lines is malformed, or has a different number of fields than the table, only its first line
    is refused; its other lines are read again.

    Raises:
        DataError: the lines inside a quoted field look like rows.
    """
    lines = _Lines(read())
    row_detector = cache(partial(_RowDetector, read, delimiter))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    width = 0  # number of fields of the first record
    while True:
        lines.consumed.clear()
        fields: list[str] = []
        reason = ""
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"not a valid line: {error}"
        if len(lines.consumed) > 1:
            expected = width or _common_width(read, delimiter, len(lines.consumed)) or len(fields)
            if reason or len(fields) != expected:
                lines.put_back()
                reader = csv.reader(lines, delimiter=delimiter, strict=True)
                reason = _WRONG_QUOTES
            elif _encloses_rows(lines.consumed, row_detector(expected), is_first=not width):
                raise DataError(
                    f"{name}:{line}: a quote opens here and closes in line {line + len(lines.consumed) - 1}, but these "
                    "lines look like rows of the table; double the quotes inside texts, or use JSON Lines or Parquet"
                )
        yield Refusal(line, reason) if reason else TableRecord(line, fields)
        width = width or len(fields)
        line += len(lines.consumed)


def _encloses_rows(lines: list[str], is_like_a_row: "_RowDetector", is_first: bool) -> bool:
    """Whether the lines of one record look like rows of their own: the first, the last, and half of those between.

    The first line of a record with a multi-line text lacks the columns after the text, the last one those before it.
    """
    opening, *inner, closing = lines
    inner = [line for line in inner if line.strip()]
    # The first record may be the header, whose names do not look like values: only its fields are counted.
    if not is_like_a_row(opening, count_only=is_first) or not is_like_a_row(closing):
        return False
    return 2 * sum(map(is_like_a_row, inner)) >= len(inner)


def _common_width(read: ReadLines, delimiter: str, start: int) -> int | None:
    """The most frequent number of fields of the records from line index `start` on; None if there are none."""
    widths: Counter[int] = Counter()
    reader = csv.reader(islice(read(), start, start + _SAMPLE_LINES), delimiter=delimiter)
    while True:
        with suppress(csv.Error):
            fields = next(reader, None)
            if fields is None:
                return widths.most_common(1)[0][0] if widths else None
            if fields:
                widths[len(fields)] += 1


_MAX_CATEGORIES = 10  # a column with at most so many common values is categorical
_MIN_SHARE = 0.9  # the share of a column's values that a predicate must accept
_RARE_SHARE = 0.01  # values with at most this share of the rows are not common
_NUMBER = re.compile(r"(?!.*[^\W\d_]).*\d", re.DOTALL)


FieldPredicate = Callable[[str], object]


class _RowDetector:
    """A predicate: whether a line looks like a table row of `width` fields.

    Checks the columns that are numeric or categorical in the first lines. Fields are counted from both ends, since a
    delimiter in the text shifts the columns behind it when counted from the left, those before it from the right.
    """

    def __init__(self, read: ReadLines, delimiter: str, width: int) -> None:
        self._delimiter = delimiter
        self._width = width
        samples = [fields for fields in map(self._split, islice(read(), 1, _SAMPLE_LINES)) if len(fields) >= width]
        self._columns = []  # of each column that has any: the predicates, each with the position of its field
        for index in range(width):
            checks = []
            for position in (index, index - width):
                checks += [(position, check) for check in _column_checks([fields[position] for fields in samples])]
            if checks:
                self._columns.append(checks)

    def __call__(self, line: str, count_only: bool = False) -> bool:
        """Whether the line has enough fields and, unless `count_only`, its numbers and categories are in place."""
        fields = self._split(line)
        if len(fields) < self._width:
            return False
        if count_only:
            return True
        return all(any(check(fields[position]) for position, check in checks) for checks in self._columns)

    def _split(self, line: str) -> list[str]:
        return [field.strip('"') for field in line.rstrip("\r\n").split(self._delimiter)]


def _column_checks(values: list[str]) -> list[FieldPredicate]:
    """Predicates that nearly all values of a column satisfy: it is numeric, or has few values."""
    # Rare values may be fragments of a multi-line tweet.
    common = {value for value, count in Counter(values).items() if count > max(1, _RARE_SHARE * len(values))}
    if len(common) > _MAX_CATEGORIES:
        return []
    checks: tuple[FieldPredicate, ...] = (_NUMBER.match, common.__contains__)
    return [check for check in checks if sum(map(bool, map(check, values))) >= _MIN_SHARE * len(values)]


_HEAD_LINES = 50
_MIN_DELIMITED_SHARE = 0.8  # not 1, because tweets contain semicolons and line breaks


def delimiter_of(path: Path) -> str:
    """The delimiter of a CSV file.

    Comma, unless the first line has no comma but a `;`, tab or `|` that most following lines contain at least as often:
    spreadsheets write semicolons in many countries.
    """
    with closing(read_lines(path)) as lines:  # type: ignore[type-var]
        header, *others = [line for line in islice(lines, _HEAD_LINES) if line.strip()] or [""]
    if "," in header:
        return ","
    for delimiter in ";\t|":
        count = header.count(delimiter)
        if count and sum(line.count(delimiter) >= count for line in others) >= _MIN_DELIMITED_SHARE * len(others):
            return delimiter
    return ","


# --- TSV and JSON Lines ---------------------------------------------------------------------------------------------

_TOO_LONG_REASON = f"longer than {LINE_LIMIT:,} bytes"


def tsv_records(read: ReadLines, delimiter: str = "\t") -> Records:
    """A record per line; a blank line yields a record with no fields."""
    for line, text in enumerate(read(), start=1):
        content = text.rstrip("\r\n")
        if text == TOO_LONG:
            yield Refusal(line, _TOO_LONG_REASON)
        else:
            yield TableRecord(line, content.split(delimiter) if content else [])


def json_records(read: ReadLines, names: Sequence[str] = ()) -> Records:
    """A record per JSON object, with the fields `names`; blank lines are skipped."""
    for line, text in enumerate(read(), start=1):
        if text == TOO_LONG:
            yield Refusal(line, _TOO_LONG_REASON)
        elif text.strip():
            try:
                value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
                if "\\u" in text:  # an escape can bring half a surrogate pair, which cannot be written to a file
                    value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
                fields = dotted(value)
            except (ValueError, RecursionError, AttributeError):
                yield Refusal(line, "not a JSON object")
            else:
                yield TableRecord(line, [fields.get(name) for name in names], value)


def _finite(text: str) -> float | None:
    """Overflowing numbers such as 1e999 become None, like NaN and Infinity, which are not JSON."""
    number = float(text)
    return number if math.isfinite(number) else None
