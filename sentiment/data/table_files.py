"""Opens a user's table once: its encoding, delimiter, quotes, header and columns are decided here.

Every command passes the opened table on, so that all of its readers see the same rows and columns. Delimited files are
read as pandas and spreadsheets read them, by Python's `csv`, which unlike pandas tells the lines of a record and its
number of fields. Every line of a file belongs to a row, is refused with its number, or is blank. Rows in which nothing
stands are kept by `predict`, which writes all rows, and passed over by all other readers.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sentiment.config_file import dotted
from sentiment.data.table import (
    DELIMITED,
    HEAD_ROWS,
    MAX_CATEGORIES,
    MAX_EXACT,
    SEVERAL_LINES,
    TEXT_NAMES,
    WINDOWS_1252,
    RawRow,
    RawRows,
    Reason,
    Refusal,
    Table,
    are_few,
    as_text,
    format_of,
    is_blank,
)
from sentiment.errors import DataError, UsageError, in_one_line, shortened
from sentiment.files import TOO_LONG, decoded, open_user_file, read_lines, state_of, translated_errors

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ReadLines = Callable[[], Iterator[str]]  # returns a new iterator over the lines, as `read_lines`
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


def open_table(
    path: Path,
    expected: Collection[object] = (),
    header: bool | None = None,
    quotes: bool | None = None,
    member: str | None = None,
) -> Table:
    """Decide how a table is read.

    Args:
        path: its name determines the format.
        expected: names that columns may have; a first record with one of them is a header.
        header: whether the first record of a delimited file or a workbook names the columns; None: that is found out.
        quotes: whether the quotes of a delimited file enclose fields; False: they are characters; None: they enclose
            fields, but that is asked where a text in quotes seems to hold rows.
        member: which CSV file of a zip archive to read.

    Raises:
        DataError: the file cannot be read, or, unless it is Parquet or a plain text, holds no rows.
    """
    format = "csv" if member else format_of(path)
    lines = partial(read_lines, path, member)
    if format == "parquet":
        return _open_parquet(path)
    if format == "jsonl":
        names = _names_in_json(path, state_of(path))
        return Table(path, format, names, lambda _: _json_records(lines, names))
    if format == "txt":
        return Table(path, format, ["text"], lambda _: _line_records(lines))
    if format == "xlsx":
        rows, sheets = _read_sheet(path, state_of(path))
        return replace(_with_names(path, format, lambda: iter(rows), expected, header), sheets=sheets)
    quoting = csv.QUOTE_NONE if quotes is False else csv.QUOTE_MINIMAL
    delimiter = "\t" if format == "tsv" else ","
    if format == "csv" and not member:
        delimiter = _delimiter_of(lines, quoting)
        lines = partial(_without_hint, lines)
    file = _DelimitedFile(path, lines, delimiter, quoting, is_asked=quotes is None)
    return replace(_with_names(path, format, file.records, expected, header), delimiter=delimiter)


# --- header and rows ------------------------------------------------------------------------------------------------

_HEAD_LINES = 200  # read to find out what separates fields, and whether the first row is a header
_MAX_NAME_LENGTH = 40
_MAX_NAME_WORDS = 3


def _with_names(
    path: Path, format: str, read: Callable[[], RawRows], expected: Collection[object], header: bool | None
) -> Table:
    """A table whose first record may name the columns."""
    first = next((record for record in read() if not is_blank(record)), None)
    if first is None:
        raise DataError(f"{path}: holds no rows")
    if isinstance(first, Refusal):
        raise DataError(f"{path}:{first.line}: the first row cannot be read: {first.reason}")
    if header is None:
        header = _names_columns(read, expected)
    names = [as_text(field).strip() if header else str(index) for index, field in enumerate(first.fields)]
    first_line = first.line + 1 if header else 1
    least = 2 if format in DELIMITED and len(names) > 1 else 0
    return Table(path, format, names, lambda _: _rows(read, first_line, len(names), least), header)


def _rows(read: Callable[[], RawRows], first_line: int, width: int, least: int) -> RawRows:
    """The rows below the header; an empty one with fewer than `least` fields is a blank line, and no row."""
    for record in read():
        fields = record.fields
        if record.line < first_line:
            continue
        if isinstance(record, Refusal) or len(fields) == width:
            yield record
        elif len(fields) > width and not is_blank(record):
            yield Refusal(record.line, Reason.WRONG_WIDTH, fields)
        elif len(fields) >= least or not is_blank(record):
            yield record._replace(fields=[*fields[:width], *repeat("", width - len(fields))])


def _names_columns(read: Callable[[], RawRows], expected: Collection[object]) -> bool:
    """Whether the first row is a header: it has an expected name, or all of its cells may be names.

    A single column is a list of tweets unless it has a usual name.
    """
    records = (record for record in read() if isinstance(record, RawRow) and not is_blank(record))
    first, *others = [[as_text(field).strip() for field in record.fields] for record in islice(records, _HEAD_LINES)]
    if {*first} & {*expected}:
        return True
    if len(first) == 1:
        return first[0].lower() in TEXT_NAMES
    columns = zip(first, *(row for row in others if len(row) == len(first)), strict=True)
    return all(_may_be_name(name, values) for name, *values in columns)


def _may_be_name(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell does not look like data: like a sentence, one of few labels, or a number above numbers."""
    if len(cell) > _MAX_NAME_LENGTH or len(cell.split()) > _MAX_NAME_WORDS:
        return False
    if cell and cell in below and len({*below}) <= MAX_CATEGORIES:
        return False
    return not all(map(_NUMBER.fullmatch, (cell, *below)))


# --- delimited files ------------------------------------------------------------------------------------------------

_DELIMITERS = ",;\t|"
_HINT = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*')  # a first line with which programs tell Excel the delimiter
_MAX_LINES = 100  # of a tweet
_SHOWN_WIDTH = 60
_ANYTHING = re.compile(".*", re.DOTALL)
_END = "\0end of the file\0"  # a last line, which shows whether the quote before it has closed


def _without_hint(lines: ReadLines) -> Iterator[str]:
    """The lines of a CSV file; a first line that names the delimiter is blank."""
    rest = lines()
    first = next(rest)
    yield "\n" if _HINT.fullmatch(first) else first
    yield from rest


def _delimiter_of(lines: ReadLines, quoting: int) -> str:
    """The delimiter of a CSV file: that by which most of its first records have as many fields as the first one.

    A comma if no delimiter gives the first record two fields. Spreadsheets write semicolons in many countries.
    """
    with closing(lines()) as opened:  # type: ignore[type-var]
        head = list(islice(opened, _HEAD_LINES))
    hint = _HINT.fullmatch(head[0])
    if hint:
        return hint[1]

    def regular_share(delimiter: str) -> float:
        """The share of records with as many fields as the first one; 0 if that has one field."""
        widths = [len(record.fields) for record in _raw_records(head, delimiter, quoting) if record.fields]
        return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0

    return max(_DELIMITERS, key=regular_share)


class _RawRecord(NamedTuple):
    line: int
    fields: list[str] | None  # None: one is longer than `csv` reads
    lines: list[str]  # as they stand in the file


def _raw_records(lines: Iterable[str], delimiter: str, quoting: Any) -> Iterator[_RawRecord]:
    """The records of a delimited file. If its last quote does not close, the last line of the last one is _END."""
    own_lines: list[str] = []

    def remembered() -> Iterator[str]:
        for line in chain(lines, [_END]):
            own_lines.append(line)
            yield line

    reader = csv.reader(remembered(), delimiter=delimiter, quoting=quoting)
    line = 1
    fields: list[str] | None
    while True:
        try:
            fields = next(reader)
        except csv.Error:
            fields = None
        if own_lines == [_END]:
            return
        yield _RawRecord(line, fields, own_lines)
        if own_lines[-1] is _END:
            return
        line += len(own_lines)
        own_lines.clear()


@dataclass(frozen=True)
class _DelimitedFile:
    """A delimited file.

    Attributes:
        is_asked: whether it is asked if quotes are characters where a text in quotes seems to hold rows.
    """

    path: Path
    lines: ReadLines
    delimiter: str
    quoting: int
    is_asked: bool

    def records(self) -> RawRows:
        """The records; a blank line yields one with no fields.

        Raises:
            UsageError: a text in quotes seems to hold rows.
        """
        for record in _raw_records(self.lines(), self.delimiter, self.quoting):
            remarks: tuple[str, ...] = ()
            if len(record.lines) > 1:
                remarks = (SEVERAL_LINES,)
                self._check_lines(record)
            if record.fields is None:
                yield Refusal(record.line, Reason.LONG_FIELD)
            else:
                yield _decoded_record(record.line, record.fields, remarks)

    @cached_property
    def _contents(self) -> list[re.Pattern[str]]:
        """What the cells of each column look like in the first rows of one line."""
        records = islice(_raw_records(self.lines(), self.delimiter, self.quoting), HEAD_ROWS)
        rows = [record.fields for record in records if record.fields and len(record.lines) == 1]
        columns = zip(*(row for row in rows if len(row) == len(rows[0])), strict=True)
        return [*map(_content_of, columns)]

    def _check_lines(self, record: _RawRecord) -> None:
        """Ask whether quotes are characters if a record of several lines may be a mistake."""
        problem = self._problem_with_lines(record)
        if problem:
            raise UsageError(
                f"{self.path}:{record.line}: a quote opens here, and {problem}. If quotes are characters in this file: "
                "--no-quotes. If they enclose texts, some of several lines: mend this one, or --quotes, by which it is "
                f"read as it stands. It begins {shortened(record.lines[0].strip(), _SHOWN_WIDTH)!r}"
            )

    def _problem_with_lines(self, record: _RawRecord) -> str | None:
        if record.lines[-1] is _END:
            return "does not close at the end of a text"
        if not self.is_asked:
            return None
        if record.fields is None or len(record.lines) > _MAX_LINES:
            return f"closes {len(record.lines):,} lines below"
        try:
            next(csv.reader(record.lines, delimiter=self.delimiter, strict=True))
        except csv.Error:
            return f"closes within line {record.line + len(record.lines) - 1}"
        first, *others = map(self._is_row, record.lines)
        if first and any(others):
            return f"encloses line {record.line + 1 + others.index(True)}, which has the fields of a row"
        return None

    def _is_row(self, line: str) -> bool:
        """Whether a line, with quotes as characters, has as many fields as other rows, and labels and numbers as they.

        In a table of one column that tells nothing.
        """
        cells = line.rstrip("\r\n").split(self.delimiter)
        if len(cells) != len(self._contents) or len(cells) == 1:
            return False
        return all(content.fullmatch(cell) for content, cell in zip(self._contents, cells, strict=True))


def _content_of(values: Sequence[str]) -> re.Pattern[str]:
    """What matches the values of a column: the few that occur, numbers, or anything."""
    distinct = {*values}
    if are_few(distinct, len(values)):
        return re.compile("|".join(map(re.escape, distinct)))
    return _NUMBER if all(map(_NUMBER.fullmatch, values)) else _ANYTHING


def _decoded_record(line: int, fields: list[str], remarks: tuple[str, ...] = ()) -> RawRow:
    """A record with decoded fields."""
    if all(map(str.isascii, fields)):
        return RawRow(line, fields, None, remarks)
    texts = [*map(decoded, fields)]
    if texts != fields:
        remarks = (*remarks, WINDOWS_1252)
    return RawRow(line, texts, None, remarks)


# --- other text files -----------------------------------------------------------------------------------------------


def _line_records(read: ReadLines) -> RawRows:
    """A record with one field per line."""
    for line, text in enumerate(read(), start=1):
        if text == TOO_LONG:
            yield Refusal(line, Reason.LONG_FIELD)
        else:
            yield _decoded_record(line, [text.rstrip("\r\n")])


def _json_records(read: ReadLines, names: Sequence[str] = ()) -> RawRows:
    """A record per JSON object, with the fields `names`, those of inner objects by dotted names; blank lines skipped.

    They are not read by pandas: there one malformed line spoils all others, and long ids become rounded numbers as soon
    as a row lacks one.
    """
    for line, text in enumerate(read(), start=1):
        if text == TOO_LONG:
            yield Refusal(line, Reason.LONG_FIELD)
            continue
        content = decoded(text).strip()
        if not content:
            continue
        try:
            value = json.loads(content)
            if "\\u" in content:  # an escape can bring half a surrogate pair, which cannot be written to a file
                value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            has_inner = any(isinstance(field, dict) for field in value.values())
            fields = dotted(value) | value if has_inner else value
            remarks = () if text.isascii() or decoded(text) == text else (WINDOWS_1252,)
            yield RawRow(line, [*map(fields.get, names)], value, remarks)
        else:
            yield Refusal(line, Reason.NOT_JSON)


@lru_cache  # a configuration opens the table again that its columns were guessed from
def _names_in_json(path: Path, _state: tuple[int, ...]) -> list[str]:
    """The fields of all objects, in the order in which they first occur; objects have their fields in their place."""
    names: dict[str, None] = {}
    problem = ""
    for record in _json_records(partial(read_lines, path)):
        if isinstance(record, Refusal):
            problem = problem or f"; line {record.line} is refused: {record.reason}"
        else:
            names |= dict.fromkeys(dotted(record.json_object or {}))
    if not names:
        raise DataError(f"{path}: holds no rows{problem}")
    return [*names]


# --- Parquet files and workbooks ------------------------------------------------------------------------------------


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


def _open_parquet(path: Path) -> Table:
    with opened_parquet(path) as file:
        names = list(file.schema_arrow.names)
    for name, number in Counter(names).items():
        if number > 1:
            raise DataError(f"{path}: several columns are called {name!r}; rename all but one")

    def read(columns: Collection[int]) -> RawRows:
        requested = [names[index] for index in {*columns}]
        whole: RawRows | None = None
        line = 1
        with opened_parquet(path) as file:
            for batch in file.iter_batches(batch_size=8192, columns=requested):
                cells = batch.to_pydict()
                rows = zip(*(cells.get(name, repeat(None)) for name in names), strict=False)
                for record in map(RawRow, range(line, line + len(batch)), rows):
                    if is_blank(record) and len(requested) < len(names):  # the other columns are read only for this
                        whole = whole or read(range(len(names)))
                        yield next(other for other in whole if other.line == record.line)
                    else:
                        yield record
                line += len(batch)

    return Table(path, "parquet", names, read)


@lru_cache(maxsize=1)
def _read_sheet(path: Path, _state: tuple[int, ...]) -> tuple[list[RawRow], list[str]]:
    """The rows of the first visible sheet of a workbook, and the names of all visible sheets, this one first.

    Trailing empty cells are trimmed, since one stray cell far to the right would pad every row; the first row that is
    not empty is as wide as the widest one.

    Raises:
        DataError: the file is not a workbook, or has no visible sheet.
    """
    import pandas as pd

    with translated_errors(path), open_user_file(path) as file:
        try:
            book = pd.ExcelFile(file, engine="calamine").book
            visible = [sheet.name for sheet in book.sheets_metadata if str(sheet.visible).endswith(".Visible")]
            rows = [*map(_trimmed, book.get_sheet_by_name(visible[0]).iter_rows())] if visible else []
        except ImportError:
            raise
        except Exception as error:  # damaged workbooks raise many types
            raise DataError(f"{path}: cannot be read as a workbook: {in_one_line(error)}") from None
    if not visible:
        raise DataError(f"{path}: has no visible sheet")
    first = next(filter(None, rows), [])
    first += repeat("", max(map(len, rows), default=0) - len(first))
    return [*map(RawRow, range(1, len(rows) + 1), rows)], visible


def _trimmed(cells: Sequence[Any]) -> list[Any]:
    """The cells of a row up to the last one that is not empty; whole numbers are integers."""
    end = len(cells)
    while end and cells[end - 1] == "":
        end -= 1
    return [_exact(cell) for cell in cells[:end]]


def _exact(cell: Any) -> Any:
    is_whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < MAX_EXACT
    return int(cell) if is_whole else cell
