"""Reads files of each format: delimited files (CSV, TSV), JSON Lines, a tweet a line, workbooks; opens Parquet files.

Every line of a text file belongs to a record, is refused with its number, or is blank. Delimited files are read as
pandas and spreadsheets read them: fields may be quoted, quoted fields may span lines, and a tab is a delimiter like any
other one. Text is UTF-8, or UTF-16 with a byte order mark; what is not valid UTF-8 is read as Windows-1252, since real
exports of tweets mix both within one file. What may be a mistake in the file is told in the remarks of a record.
"""

import codecs
import csv
import datetime
import gzip
import io
import json
import math
import re
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import lru_cache
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from sentiment.config_file import dotted
from sentiment.errors import DataError, MissingFileError, in_one_line
from sentiment.files import open_user_file

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class TableRecord(NamedTuple):
    """A raw row of a table."""

    line: int  # where it begins, counted from 1; in Parquet files and workbooks the number of the row
    fields: Sequence[Any]
    json_object: dict[str, Any] | None = None  # the parsed object (JSON Lines only)
    remarks: tuple[str, ...] = ()  # what may be a mistake in the file, though the row is used


class Refusal(NamedTuple):
    """A row that cannot be used."""

    line: int
    reason: str


Records = Iterator[TableRecord | Refusal]
ReadLines = Callable[[], Iterator[str]]  # returns a new iterator over the lines, as `read_lines`

LINE_LIMIT = 1 << 20  # in characters; longer lines are refused to bound memory
TOO_LONG = "x" * (csv.field_size_limit() + 1)  # placeholder for an over-long line, which every format refuses
WRONG_WIDTH = "wrong number of fields"
WINDOWS_1252 = "read as Windows-1252, since it is not valid UTF-8"


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
        raise MissingFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MissingFileError(f"{path}: is a directory; name a file in it") from None
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


_UTF16_SHARE = 0.25  # of NUL characters; half of the bytes of English text are NUL in UTF-16


def read_lines(path: Path, member: str | None = None) -> Iterator[str]:
    """The lines of a text file with their ends: line feeds, carriage returns, or both.

    Bytes that are not valid UTF-8 are surrogate escapes, which `decoded` replaces. A byte order mark is dropped.

    Raises:
        DataError: the file cannot be read, is empty, or is in UTF-16 without a byte order mark.
    """
    with opened_bytes(path, member) as file:
        mark = file.peek(2)[:2]  # type: ignore[attr-defined]
        encoding = "utf-8-sig"
        errors = "surrogateescape"
        if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding = "utf-16"
            errors = "replace"
        text = io.TextIOWrapper(file, encoding, errors, newline="")
        line = text.readline(LINE_LIMIT)
        if not line:
            raise DataError(f"{path}: is empty")
        if line.count("\0") > _UTF16_SHARE * len(line):
            raise DataError(f"{path}: is in UTF-16 without a byte order mark, or not a text file; save it as UTF-8")
        while line:
            if len(line) < LINE_LIMIT:
                yield line
            else:
                while line and not line.endswith(("\n", "\r")):
                    line = text.readline(LINE_LIMIT)
                yield TOO_LONG
            line = text.readline(LINE_LIMIT)


# As browsers read it: the five bytes that Windows-1252 lacks are control characters, as in latin-1.
_FROM_LATIN_1 = {}
for _byte in range(0x80, 0xA0):
    with suppress(UnicodeDecodeError):
        _FROM_LATIN_1[_byte] = bytes([_byte]).decode("cp1252")


def decoded(text: str) -> str:
    """Text of `read_lines`: unchanged, or read as Windows-1252 if its bytes are not valid UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1").translate(_FROM_LATIN_1)
    return text


def _record(line: int, fields: list[str], remarks: tuple[str, ...] = ()) -> TableRecord:
    """A record with decoded fields."""
    if all(map(str.isascii, fields)):
        return TableRecord(line, fields, None, remarks)
    texts = [decoded(field) for field in fields]
    if texts != fields:
        remarks = (*remarks, WINDOWS_1252)
    return TableRecord(line, texts, None, remarks)


# --- delimited files ------------------------------------------------------------------------------------------------

MAX_LINES = 500  # of a record; no tweet has so many
_MANY_LINES = 20
# Remarks follow the number of rows.
ANY_LINES = "of several lines"
SUSPICIOUS_LINES = f"of more than {_MANY_LINES} lines; is the quote that opens there meant?"
INNER_QUOTE = "in which a quoted text goes on after its closing quote"
LITERAL_QUOTES = "in which a quote opens but does not close at the end of a field, and is read as a character"
LONG_FIELD = f"a field longer than {csv.field_size_limit():,} characters"
OPEN_QUOTE = "a quote that opens in it does not close at the end of a field"


class _Lines:
    """The lines of a file; those of the current record, except the first, can be put back and read again.

    A record ends after MAX_LINES lines.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.consumed: list[str] = []  # lines of the current record
        self._source = lines
        self._put_back: deque[str] = deque()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.consumed) == MAX_LINES:
            raise StopIteration
        line = self._put_back.popleft() if self._put_back else next(self._source)
        self.consumed.append(line)
        return line

    def put_back(self) -> None:
        self._put_back.extendleft(reversed(self.consumed[1:]))
        del self.consumed[1:]


def delimited_records(read: ReadLines, delimiter: str) -> Records:
    """The records of a delimited file; a blank line yields a record with no fields.

    A text that goes on after its closing quote is read as pandas and spreadsheets read it. If that happens in a record
    of several lines, or if a quote does not close within MAX_LINES lines, the quotes of its first line are read as
    characters, or the line is refused if it then has another number of fields than the first record; its other lines
    are read again.
    """
    lines = _Lines(read())
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    width = 0  # number of fields of the first record
    while True:
        lines.consumed.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            lines.put_back()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            record = _malformed_record(line, lines.consumed[0], delimiter, width)
        else:
            record = _record(line, fields, _remarks(len(lines.consumed)))
        yield record
        if not width and isinstance(record, TableRecord):
            width = len(record.fields)
        line += len(lines.consumed)


def _remarks(lines: int) -> tuple[str, ...]:
    if lines == 1:
        return ()
    return (SUSPICIOUS_LINES if lines > _MANY_LINES else ANY_LINES,)


def _malformed_record(line: int, text: str, delimiter: str, width: int) -> TableRecord | Refusal:
    """A line with wrong quotes, alone: as spreadsheets read it if each quote closes in it, else without quoting."""
    if len(text) > csv.field_size_limit():
        return Refusal(line, LONG_FIELD)
    content = text.rstrip("\r\n")
    # The mark at the end is inside of a field only if a quote is open there.
    if "\n" not in next(csv.reader([f"{content}\n"], delimiter=delimiter))[-1]:
        return _record(line, next(csv.reader([content], delimiter=delimiter)), (INNER_QUOTE,))
    fields = content.split(delimiter)
    if len(fields) == width or not width:
        return _record(line, fields, (LITERAL_QUOTES,))
    return Refusal(line, OPEN_QUOTE)


_HEAD_LINES = 200
DELIMITERS = ",;\t|"
_HINT = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*')  # a first line with which programs tell Excel the delimiter


def read_csv_lines(path: Path) -> Iterator[str]:
    """The lines of a CSV file; a first line that names the delimiter is blank."""
    lines = read_lines(path)
    first = next(lines)
    yield "\n" if _HINT.fullmatch(first) else first
    yield from lines


def delimiter_of(path: Path) -> str:
    """The delimiter of a CSV file: that by which most of its first records have as many fields as the first one.

    A comma if no delimiter gives the first record two fields. Spreadsheets write semicolons in many countries.
    """
    with closing(read_lines(path)) as lines:  # type: ignore[type-var]
        head = list(islice(lines, _HEAD_LINES))
    hint = _HINT.fullmatch(head[0])
    if hint:
        return hint[1]
    shares = {delimiter: _regular_share(head, delimiter) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: shares[delimiter])


def _regular_share(lines: Sequence[str], delimiter: str) -> float:
    """The share of records with as many fields as the first one; 0 if that has one field."""
    records = delimited_records(lambda: iter(lines), delimiter)
    widths = [len(record.fields) for record in records if isinstance(record, TableRecord)]
    counts = Counter(width for width in widths if width)
    first = next(iter(counts), 0)
    return counts[first] / counts.total() if first > 1 else 0.0


# --- other text files -----------------------------------------------------------------------------------------------

_TOO_LONG_REASON = f"longer than {LINE_LIMIT:,} characters"


def line_records(read: ReadLines) -> Records:
    """A record with one field per line."""
    for line, text in enumerate(read(), start=1):
        if text == TOO_LONG:
            yield Refusal(line, _TOO_LONG_REASON)
        else:
            yield _record(line, [text.rstrip("\r\n")])


def json_records(read: ReadLines, names: Sequence[str] = ()) -> Records:
    """A record per JSON object, with the fields `names`; blank lines are skipped."""
    for line, text in enumerate(read(), start=1):
        if text == TOO_LONG:
            yield Refusal(line, _TOO_LONG_REASON)
        elif text.strip():
            content = decoded(text)
            try:
                value = json.loads(content, parse_constant=lambda _: None, parse_float=_finite)
                if "\\u" in content:  # an escape can bring half a surrogate pair, which cannot be written to a file
                    value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
                fields = value | dotted(value)
            except (ValueError, RecursionError, AttributeError):
                yield Refusal(line, "not a JSON object")
            else:
                remarks = () if content == text else (WINDOWS_1252,)
                yield TableRecord(line, [fields.get(name) for name in names], value, remarks)


def _finite(text: str) -> float | None:
    """Overflowing numbers such as 1e999 become None, like NaN and Infinity, which are not JSON."""
    number = float(text)
    return number if math.isfinite(number) else None


# --- Parquet files and workbooks --------------------------------------------------------------------------------------


@contextmanager
def opened_parquet(path: Path) -> "Iterator[pq.ParquetFile]":
    """Open a Parquet file. Raises a DataError, also while the context is active, if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with translated_errors(path):
        try:
            with open_user_file(path) as opened, pq.ParquetFile(opened) as file:
                yield file
        # UnicodeDecodeError: a name or text is not UTF-8; OverflowError: a date out of range.
        except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:
            raise DataError(f"{path}: is not a valid Parquet file: {error}") from None


class Sheet(NamedTuple):
    """The rows of a sheet, the length of the longest, and the names of all visible sheets, the read one first."""

    rows: list[list[Any]]
    width: int
    names: list[str]

    def records(self) -> Iterator[TableRecord]:
        """An empty row yields a record with no fields."""
        for line, row in enumerate(self.rows, start=1):
            yield TableRecord(line, [*row, *repeat(None, self.width - len(row))] if row else [])


def read_sheet(path: Path) -> Sheet:
    """Read the first visible sheet of a workbook; a sheet that was just read, and has not changed, is not read again.

    Trailing empty cells are trimmed, since one stray cell far to the right would pad every row.

    Raises:
        DataError: the file is not a workbook, or has no visible sheet.
    """
    return _read_sheet(path, state_of(path))


@lru_cache(maxsize=1)  # its columns are guessed from a workbook before its tweets are read: 100,000 rows take 10 s
def _read_sheet(path: Path, _state: tuple[int, ...]) -> Sheet:
    import openpyxl

    with translated_errors(path), open_user_file(path) as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            if not visible:
                raise DataError(f"{path}: has no visible sheet")
            rows = _rows_of(visible[0])
        except DataError:
            raise
        except Exception as error:  # openpyxl raises many exception types
            raise DataError(f"{path}: cannot be read as a workbook: {in_one_line(error)}") from None
    return Sheet(rows, max(map(len, rows), default=0), [sheet.title for sheet in visible])


def _rows_of(sheet: Any) -> list[list[Any]]:
    sheet.reset_dimensions()  # stored dimensions are often wrong
    rows: list[list[Any]] = []
    for cells in sheet.rows:
        row = [None if cell.data_type == "e" else _value(cell.value) for cell in cells]  # "e": a formula with an error
        while row and row[-1] in (None, ""):
            row.pop()
        rows.append(row)
    return rows


def _value(value: Any) -> Any:
    """A cell with a date only is a date, not midnight."""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date()
    return value
