"""The one reader of tables, for training and for predicting: CSV, TSV, JSON Lines, Parquet and workbooks; and what of a
row is a tweet.

Every line of a file belongs to a record, is refused with its number, or is blank. CSV is that of RFC 4180: a record
with wrong quotes is refused. A quoted field may span lines, but a file is refused where the lines that one joins look
like rows, since a stray quote would have swallowed them. TSV knows no quotes: a line is a row.
"""

import codecs
import csv
import gc
import gzip
import json
import math
import re
import zipfile
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import dropwhile, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from sentiment.config import ColumnConfig, LabelConfig
from sentiment.config_file import dotted
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named
from sentiment.runs.records import NEGATIVE, POSITIVE, Record

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class TableRecord(NamedTuple):
    """A row of a table as it stands there."""

    line: int  # where it begins, counted from 1; in Parquet and a workbook the number of the row
    fields: Sequence[Any]
    whole: dict[str, Any] | None = None  # the JSON object that it was


class Refusal(NamedTuple):
    """A row that cannot be used."""

    line: int
    reason: str


class Row(NamedTuple):
    """A tweet as its source has it; `line` as in TableRecord."""

    id: str
    user: str | None
    label: int | None  # NEGATIVE or POSITIVE; None if the label in the file says that the tweet is to be left out
    text: str
    line: int


Records = Iterator[TableRecord | Refusal]
ReadRows = Iterator[Row | Refusal]
ReadLines = Callable[[], Iterator[str]]  # with their ends, from the beginning of a file

LINE_LIMIT = 1 << 20  # in bytes; no longer line is kept, so that no file can fill the memory
TOO_LONG = "x" * (csv.field_size_limit() + 1)  # stands for a longer one; no form of table takes it for a row
_FORMS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
          ".xlsx": "xlsx", ".zip": "zip", ".txt": "txt"}  # fmt: skip
DELIMITERS = {"csv": ",", "tsv": "\t"}
ENDINGS = ".csv, .tsv, .jsonl (each also with .gz), .parquet, .xlsx"


def form_of(path: Path) -> str:
    """How a file is read or written, by the end of its name: csv, tsv, jsonl, parquet, xlsx, txt or zip."""
    packed = is_packed(path)
    form = _FORMS.get((path.with_suffix("") if packed else path).suffix.lower())
    if form is None or (packed and form not in (*DELIMITERS, "jsonl", "txt")):
        if path.is_dir():
            raise DataError(f"{path}: is a directory; name a file in it")
        raise DataError(
            f"{path}: cannot tell the format from the name; valid endings: {ENDINGS}, or Sentiment140's .zip"
        )
    return form


def is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


@contextmanager
def without_collections() -> Iterator[None]:
    """Millions of rows are small objects without cycles; looking for cycles among them takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# --- bytes and lines ------------------------------------------------------------------------------------------------


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system about a file into a DataError that names the file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is truncated, damaged or not compressed as its name says: {error}") from None
    except OSError as error:
        known = {FileNotFoundError: "no such file", IsADirectoryError: "is a directory; name a file in it"}
        raise DataError(f"{path}: {known.get(type(error), f'cannot be read: {error}')}") from None


@contextmanager
def opened_bytes(path: Path, member: str | None = None) -> Iterator[BinaryIO]:
    """A file, or a member of a zip archive, opened for reading; unpacked if its name ends in `.gz`."""
    with translated_errors(path), ExitStack() as stack:
        file: BinaryIO = stack.enter_context(open_named(path))
        if member is not None:
            archive = stack.enter_context(zipfile.ZipFile(file))
            if member not in archive.namelist():
                raise DataError(f"{path}: holds no {member}")
            file = cast(BinaryIO, stack.enter_context(archive.open(member)))
        elif is_packed(path):
            file = cast(BinaryIO, stack.enter_context(gzip.open(file)))
        yield file


def read_lines(path: Path, member: str | None = None) -> Iterator[str]:
    """The lines of a text file with their ends, each decoded as UTF-8 if its bytes allow it, otherwise as latin-1.

    Real exports of tweets mix both encodings within one file. A byte order mark is dropped.

    Raises:
        DataError: the file cannot be read, is empty, in UTF-16, or its lines end in carriage returns alone.
    """
    with opened_bytes(path, member) as file:
        line = file.readline(LINE_LIMIT)
        if not line:
            raise DataError(f"{path}: is empty")
        if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(f"{path}: is in UTF-16; save it as UTF-8")
        if b"\r" in line[:-1] and not line.endswith(b"\n"):
            raise DataError(f"{path}: its lines end in carriage returns, as on old Macs; save it with line feeds")
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


def about_rows(path: Path) -> int | None:
    """The number of lines of a plain text file; None of any other, which would take as long as reading it."""
    if is_packed(path) or form_of(path) in ("parquet", "xlsx", "zip"):
        return None
    with translated_errors(path), open_named(path) as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, LINE_LIMIT), b""))


# --- CSV ------------------------------------------------------------------------------------------------------------

_WRONG_QUOTES = "a quote that opens in it does not close at the end of a field"


def csv_records(read: ReadLines, delimiter: str, name: str) -> Records:
    """The records of a CSV file; a blank line is one without fields.

    Raises:
        DataError: the lines that a quoted field joins look like rows.
    """
    source, again, taken = read(), deque[str](), list[str]()
    likeness = cache(partial(_row_likeness, read, delimiter))

    def lines() -> Iterator[str]:
        while (line := again.popleft() if again else next(source, None)) is not None:
            taken.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    line, width = 1, 0
    while True:
        taken.clear()
        fields, reason = [], ""
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"not a valid line: {error}"
        if len(taken) > 1 and (reason or len(fields) != (width or len(fields))):
            again.extendleft(reversed(taken[1:]))  # all lines but the first are read again
            del taken[1:]
            reader, reason = csv.reader(lines(), delimiter=delimiter, strict=True), _WRONG_QUOTES
        elif len(taken) > 1 and width:
            joined = [one for one in taken[1:] if one.strip()]
            if 2 * sum(map(likeness(width), joined)) > len(joined):
                raise DataError(
                    f"{name}:{line}: a quote opens here and closes in line {line + len(taken) - 1}, but the lines that "
                    "it joins look like rows; double the quotes that belong to texts, or give the table as JSON Lines "
                    "or Parquet"
                )
        yield Refusal(line, reason) if reason else TableRecord(line, fields)
        width = width or len(fields)
        line += len(taken)


_JUDGED_LINES, _FEW_VALUES, _MOST, _RARE = 2_000, 10, 0.9, 0.01
_NUMBER = re.compile(r"(?!.*[^\W\d_]).*\d", re.DOTALL)


def _row_likeness(read: ReadLines, delimiter: str, width: int) -> Callable[[str], bool]:
    """What judges whether a line could be a row, by the columns that have few values or numbers in the first rows."""
    rows = []
    for line in islice(read(), 1, _JUDGED_LINES):
        with suppress(csv.Error):
            rows += [fields for fields in csv.reader([line], delimiter=delimiter) if len(fields) == width]
    telling: dict[int, Callable[[str], object]] = {}
    for place, values in enumerate(zip(*rows, strict=True)):
        # What is rare may be a piece of a tweet that spans lines.
        common = {value for value, count in Counter(values).items() if count > max(1, _RARE * len(values))}
        for fits in (_NUMBER.match, common.__contains__):
            if len(common) <= _FEW_VALUES and sum(map(bool, map(fits, values))) >= _MOST * len(values):
                telling[place] = fits

    def is_like_a_row(line: str) -> bool:
        fields = [field.strip('"') for field in line.rstrip("\r\n").split(delimiter)]
        # Compared from both ends, since a delimiter in the text shifts the columns after it.
        return len(fields) >= width and all(
            fits(fields[place]) or fits(fields[place - width]) for place, fits in telling.items()
        )

    return is_like_a_row


_HEAD_LINES = 50
_EVEN_ROWS = 0.8  # tweets hold semicolons and line breaks themselves


def _delimiter_of(path: Path) -> str:
    """A comma, unless the first line has none but a semicolon, tab or bar, which most of the next lines hold as often.

    Spreadsheets write semicolons in many countries.
    """
    with closing(read_lines(path)) as lines:  # type: ignore[type-var]
        first, *others = [line for line in islice(lines, _HEAD_LINES) if line.strip()] or [""]
    for delimiter in ";\t|" if "," not in first else "":
        count = first.count(delimiter)
        if count and sum(line.count(delimiter) >= count for line in others) >= _EVEN_ROWS * len(others):
            return delimiter
    return ","


# --- tables of any form ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenedTable:
    """A table, whose rows can be read any number of times."""

    form: str
    names: list[str]  # of the columns, in JSON Lines of the first object's fields; positions if it has none
    read: Callable[[Collection[int]], Records]  # below the header; only the values at these places are sure
    delimiter: str = ","


def open_table(path: Path, names_columns: Callable[[Sequence[str]], bool], member: str | None = None) -> OpenedTable:
    """Find the columns of a table; rows are read later. A DataError if it cannot be read, or holds nothing.

    Args:
        path: its name says the format.
        names_columns: whether the first record of a delimited file or a workbook names the columns.
        member: the CSV file in a zip archive that is meant.
    """
    form, lines = "csv" if member else form_of(path), partial(read_lines, path, member)
    if form == "parquet":
        return _open_parquet(path)
    if form == "xlsx":
        return _with_header(path, form, _workbook_rows(path), names_columns, " ")
    if form == "jsonl":
        read = partial(_json_records, lines)
        names = list(dotted(_first_row(path, read).whole or {}))
        return OpenedTable(form, names, lambda _places: read(names))
    if form == "txt":  # a line is a tweet
        return OpenedTable(form, ["text"], lambda _places: _tsv_records(lines, "\n"))
    if form == "tsv":
        return _with_header(path, form, partial(_tsv_records, lines), names_columns, "\t")
    if form == "csv":
        delimiter = "," if member else _delimiter_of(path)
        return _with_header(path, form, partial(csv_records, lines, delimiter, str(path)), names_columns, delimiter)
    raise DataError(f"{path}: is no table; tables end in {ENDINGS}")


def _tsv_records(read: ReadLines, delimiter: str = "\t") -> Records:
    for line, text in enumerate(read(), start=1):
        if text == TOO_LONG:
            yield Refusal(line, f"longer than {LINE_LIMIT:,} bytes")
        else:
            yield TableRecord(line, text.rstrip("\r\n").split(delimiter) if text.strip("\r\n") else [])


def _with_header(
    path: Path, form: str, read: Callable[[], Records], names_columns: Callable[[Sequence[str]], bool], delimiter: str
) -> OpenedTable:
    first = _first_row(path, read)
    header = [as_text(field).strip() for field in first.fields]
    named = names_columns(header)
    names = header if named else [str(place) for place in range(len(header))]
    blank = [""] if len(names) == 1 else []  # in a single column a blank line is an empty text

    def rows(_places: Collection[int]) -> Records:
        records = dropwhile(lambda record: record.line <= first.line, read()) if named else read()
        for record in records:
            if record[1]:
                yield record
            elif blank:
                yield TableRecord(record.line, blank)

    return OpenedTable(form, names, rows, delimiter)


def _first_row(path: Path, read: Callable[[], Records]) -> TableRecord:
    refused = None
    for record in read():
        if isinstance(record, Refusal):
            refused = refused or record
        elif record.fields or record.whole:
            return record
    why = f"; line {refused.line} is refused: {refused.reason}" if refused else ""
    raise DataError(f"{path}: holds no rows{why}")


def _json_records(read: ReadLines, names: Sequence[str] = ()) -> Records:
    for line, text in enumerate(read(), start=1):
        if text == TOO_LONG:
            yield Refusal(line, f"longer than {LINE_LIMIT:,} bytes")
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
    return number if math.isfinite(number := float(text)) else None  # 1e999, as NaN and Infinity, which are no JSON


@contextmanager
def opened_parquet(path: Path) -> "Iterator[pq.ParquetFile]":
    """A Parquet file, opened; a DataError, also later, if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with translated_errors(path):
        try:
            with open_named(path) as opened, pq.ParquetFile(opened) as file:
                yield file
        except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:  # a name or text, or a date
            raise DataError(f"{path}: is not a valid Parquet file: {error}") from None


def _open_parquet(path: Path) -> OpenedTable:
    with opened_parquet(path) as file:
        names = list(file.schema_arrow.names)
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: several columns are called {twice!r}; rename all but one")

    def read(places: Collection[int]) -> Records:
        line, wanted = 1, {names[place] for place in places}
        with opened_parquet(path) as file:
            for batch in file.iter_batches(batch_size=8192, columns=[*wanted]):
                cells = [batch.column(name).to_pylist() if name in wanted else repeat(None) for name in names]
                yield from map(TableRecord, range(line, line + len(batch)), zip(*cells, strict=False))
                line += len(batch)

    return OpenedTable("parquet", names, read)


def _workbook_rows(path: Path) -> Callable[[], Records]:
    """Reads the first sheet, of whose rows only what is in them is kept: one cell far out may make all of them long."""
    import openpyxl

    rows: list[list[Any]] = []
    with translated_errors(path), open_named(path) as file:
        try:
            sheet = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False).worksheets[0]
            sheet.reset_dimensions()  # which other programs state wrongly
            for row in sheet.rows:
                rows.append([None if cell.data_type == "e" else cell.value for cell in row])  # a faulty formula
                while rows[-1] and rows[-1][-1] in (None, ""):
                    rows[-1].pop()
        except Exception as error:  # of whatever kind the library makes it
            raise DataError(f"{path}: is no workbook that can be read: {' '.join(str(error).split())}") from None
    width = max(map(len, rows), default=0)
    return lambda: (
        TableRecord(line, [*row, *repeat(None, width - len(row))] if row else [])
        for line, row in enumerate(rows, start=1)
    )


# --- tweets ---------------------------------------------------------------------------------------------------------

TEXT_NAMES = ("text", "tweet", "tweets", "tweet_text", "full_text", "content", "message", "sentence", "body", "review")


def has_header(config: ColumnConfig) -> bool:
    """Whether the first line of a delimited file names the columns; it does unless all are given by position."""
    return any(isinstance(column, str) for _, column in config)


def read_rows(
    table: OpenedTable, columns: ColumnConfig, labels: LabelConfig | None, name: str, field: str = "data"
) -> ReadRows:
    """The tweets of a table.

    Args:
        labels: what the values of the label column mean; None leaves all rows without a label.
        name: the file's name, for messages.
        field: of the configuration, whose `columns` and `labels` these are, for messages.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: a column is missing, or several have its name.
    """
    at = {
        role: _position(column, f"{name}: {field}.columns.{role}", table.names)
        for role, column in columns
        if column is not None
    }
    text_at, label_at, user_at, id_at = at["text"], at["label"], at.get("user"), at.get("id")
    label_of = _label_reader(labels, name, field) if labels else None
    for record in table.read({*at.values()}):
        if isinstance(record, Refusal):
            yield record
            continue
        line, fields, _ = record
        if len(fields) != len(table.names):
            yield Refusal(line, "wrong number of fields")
        elif reason := why_no_text(text := fields[text_at]):
            yield Refusal(line, reason)
        elif "\0" in text:
            yield Refusal(line, "NUL character")
        elif label_of and not as_text(fields[label_at]).strip():
            yield Refusal(line, "empty label")
        else:
            identifier = as_text(fields[id_at]) if id_at is not None else ""
            user = as_text(fields[user_at]).strip() if user_at is not None else ""
            label = label_of(fields[label_at], line) if label_of else None
            yield Row(identifier or str(line), user or None, label, text, line)


def _position(column: str | int, place: str, header: Sequence[str]) -> int:
    if len(places := column_places(column, header)) == 1:
        return places[0]
    if isinstance(column, int):
        raise ConfigError(f"{place}: no column {column}; there are {len(header)}, counted from 0")
    what = f"several columns are called {column!r}; give its position" if places else f"no column {column!r}"
    raise ConfigError(f"{place}: {what}; the file has {', '.join(map(repr, header))}")


def column_places(column: str | int, header: Sequence[str]) -> list[int]:
    return [place for place, name in enumerate(header) if column in (place, name)]


def label_meanings(labels: LabelConfig) -> dict[str, int | None]:
    """NEGATIVE, POSITIVE or None, for rows to leave out, of each value of the label column, in lower case."""
    groups = ((labels.negative, NEGATIVE), (labels.positive, POSITIVE), (labels.ignored, None))
    return {label.strip().lower(): meaning for group, meaning in groups for label in group}


def _label_reader(labels: LabelConfig, name: str, field: str) -> Callable[[Any, int], int | None]:
    meanings = label_meanings(labels)

    def label_of(value: Any, line: int) -> int | None:
        word = value if isinstance(value, str) and value in meanings else as_text(value).strip().lower()
        if word not in meanings:
            shown = as_text(value)[:60] + "…" * (len(as_text(value)) > 60)
            raise DataError(
                f"{name}:{line}: unknown label {shown!r}; known are {', '.join(map(repr, meanings))}: add it to "
                f"{field}.labels.negative, .positive or .ignored"
            )
        return meanings[word]

    return label_of


def as_text(value: Any) -> str:
    """A cell as text: the empty text for a missing value, JSON's `true`, and no decimal point in a whole number."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return json.dumps(value)
    if value is None or value != value:  # only NaN differs from itself
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def why_no_text(value: object) -> str | None:
    if isinstance(value, str):
        return None if value.strip() else "empty text"
    return "empty text" if value is None else "text is not a string"


_EXAMPLES = 5  # lines that are shown


class CountedRows(Record):
    """Rows with one thing in common, and the lines at which the first few begin."""

    count: int
    lines: list[int]

    def __str__(self) -> str:
        return f"line {', '.join(map(str, self.lines))}" + (", …" if self.count > len(self.lines) else "")


class RowCounter:
    """Counts rows by reason."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = defaultdict(list)

    def add(self, reason: str, line: int) -> None:
        self._lines[reason].append(line)

    def total(self) -> int:
        return sum(map(len, self._lines.values()))

    def counted(self) -> dict[str, CountedRows]:
        return {name: CountedRows(count=len(lines), lines=lines[:_EXAMPLES]) for name, lines in self._lines.items()}

    def most_common(self) -> str:
        """All reasons, the most frequent first, as in `12 empty text (line 3, 8); 1 empty label (line 4)`."""
        found = sorted(self.counted().items(), key=lambda pair: -pair[1].count)
        return "; ".join(f"{rows.count:,} {reason} ({rows})" for reason, rows in found)
