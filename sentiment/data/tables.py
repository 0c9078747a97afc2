"""Reads tables (CSV, TSV, JSON Lines, Parquet, workbooks) for training and prediction, and turns rows into tweets."""

import gc
import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

from sentiment.config import PARTS, ColumnConfig
from sentiment.config_file import dotted, shortened
from sentiment.console import plural
from sentiment.data.formats import (
    LINE_LIMIT,
    WRONG_WIDTH,
    Records,
    Refusal,
    TableRecord,
    delimited_records,
    delimiter_of,
    is_gzipped,
    json_records,
    line_records,
    opened_parquet,
    read_csv_lines,
    read_lines,
    read_sheet,
    translated_errors,
)
from sentiment.data.labels import IGNORED, LabelMapping, is_ambiguous, label_meanings
from sentiment.errors import ConfigError, DataError, MissingFileError, UsageError
from sentiment.files import open_user_file
from sentiment.runs.corpus_records import CountedRows
from sentiment.runs.records import Part


class Row(NamedTuple):
    """A tweet as read from its source."""

    id: str  # the line if its table has no ids; empty if its cell is
    user: str | None
    label: int | None  # the index of its class; None: ignored, or the table is read without labels
    text: str
    line: int  # as in TableRecord
    part: Part | None = None  # one of PARTS; None: its source does not say
    remarks: tuple[str, ...] = ()  # as in TableRecord
    further: tuple[str, ...] = ()  # the cells of further columns that are asked for


RowIterator = Iterator[Row | Refusal]

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".txt": "txt",
}
DELIMITED = ("csv", "tsv")
ENDINGS = ".csv, .tsv, .jsonl (each also with .gz), .parquet, .xlsx"


def format_of(path: Path) -> str:
    """File format by extension: csv, tsv, jsonl, parquet, xlsx or txt."""
    packed = is_gzipped(path)
    format = _FORMATS.get((path.with_suffix("") if packed else path).suffix.lower())
    if format is None or (packed and format not in (*DELIMITED, "jsonl", "txt")):
        if path.is_dir():
            raise MissingFileError(f"{path}: is a directory; name a file in it")
        raise DataError(f"{path}: cannot tell the format from the name; valid endings: {ENDINGS}, .txt")
    return format


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable garbage collection, which would take a fifth of the time: rows form no reference cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def estimated_rows(path: Path) -> int | None:
    """Estimate the number of rows as the number of lines; None for formats whose lines cannot be counted quickly."""
    if is_gzipped(path) or format_of(path) in ("parquet", "xlsx"):
        return None
    with translated_errors(path), open_user_file(path) as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, LINE_LIMIT), b""))


# --- tables of any format -------------------------------------------------------------------------------------------

Column = str | int  # a column's name, or its position, counted from 0
ReadColumns = Callable[[Collection[int]], Records]  # reads the data rows; cells of other columns may be None


@dataclass(frozen=True)
class OpenedTable:
    """A table whose rows can be read any number of times."""

    path: Path
    format: str
    names: list[str]  # column names; for JSON Lines the keys of the first object; positions if there is no header
    read: ReadColumns
    has_header: bool = True
    delimiter: str = ","
    sheets: Sequence[str] = ()  # the visible sheets of a workbook, of which the first is read

    def read_all(self) -> Records:
        """Read the data rows with all of their cells."""
        return self.read(range(len(self.names)))

    def read_complete(self) -> Records:
        """As `read_all`; short rows, as spreadsheets write, get empty cells at the end, longer ones are refused."""
        width = len(self.names)
        for record in self.read_all():
            if isinstance(record, Refusal):
                yield record
            elif len(record.fields) > width:
                yield Refusal(record.line, WRONG_WIDTH)
            else:
                yield record._replace(fields=[*record.fields, *repeat(None, width - len(record.fields))])

    def indices(self, column: Column) -> list[int]:
        """The indices of the columns of a name, or the index itself if it is in range."""
        if isinstance(column, int):
            return [column] if 0 <= column < len(self.names) else []
        return [index for index, name in enumerate(self.names) if name == column and self.has_header]

    def usual_indices(self, names: Sequence[str]) -> list[int]:
        """The indices of the columns with usual names, in the order of `names`; case and a prefix `doc.` do not count.

        Raises:
            UsageError: several columns have one of these names.
        """
        lower = [name.strip().lower().removeprefix("doc.") for name in self.names]
        present = [name for name in names if name in lower]
        for name in present:
            if lower.count(name) > 1:
                shown = ", ".join(map(repr, self.names))
                raise UsageError(
                    f"{self.path}: has several columns {name!r}; give the position of one, counted from 0, or rename "
                    f"them: {shown}"
                )
        return [lower.index(name) for name in present]

    def index(self, column: Column, origin: str) -> int:
        """The index of a column.

        Raises:
            ConfigError: there is none, or several have its name; begins with `origin`.
        """
        indices = self.indices(column)
        if len(indices) == 1:
            return indices[0]
        problem = f"no column {shortened(str(column)) if isinstance(column, int) else repr(shortened(column))}"
        names = f"the file has {abbreviated([*map(repr, self.names)])}"
        if indices:
            problem = f"several columns are called {column!r}; give the position of one, counted from 0"
        elif isinstance(column, int) or not self.has_header:
            names = f"there are {len(self.names)}, counted from 0"
        raise ConfigError(f"{origin}: {problem}; {names}")


def open_table(
    path: Path, expected: Collection[object] = (), header: bool | None = None, member: str | None = None
) -> OpenedTable:
    """Find the columns of a table; rows are read later.

    Args:
        path: its name determines the format.
        expected: names that columns may have; a first record with one of them is a header.
        header: whether the first record of a delimited file or a workbook names the columns; None: that is found out.
        member: which CSV file of a zip archive to read.

    Raises:
        DataError: the file cannot be read, or, unless it is Parquet or a plain text, holds no rows.
    """
    format = "csv" if member else format_of(path)
    lines = partial(read_lines, path, member)
    if format == "parquet":
        return _open_parquet(path)
    if format == "jsonl":
        first, _ = _first_row(path, partial(json_records, lines))
        names = list(dotted(first.json_object or {}))
        return OpenedTable(path, format, names, lambda _columns: json_records(lines, names))
    if format == "txt":
        return OpenedTable(path, format, ["text"], lambda _columns: line_records(lines))
    if format == "xlsx":
        sheet = read_sheet(path)
        return replace(_with_names(path, format, sheet.records, expected, header), sheets=sheet.names)
    if member:
        return _with_names(path, format, partial(delimited_records, lines, ","), expected, header)
    delimiter = "\t"
    if format == "csv":
        delimiter = delimiter_of(path)
        lines = partial(read_csv_lines, path)
    table = _with_names(path, format, partial(delimited_records, lines, delimiter), expected, header)
    return replace(table, delimiter=delimiter)


def _with_names(
    path: Path, format: str, read: Callable[[], Records], expected: Collection[object], header: bool | None
) -> OpenedTable:
    """A table whose first record may name the columns."""
    first, refused = _first_row(path, read)
    if header is None:
        header = _names_columns(read, expected)
    if header and refused:
        raise DataError(f"{path}:{refused.line}: this line should name the columns, but {refused.reason}")
    names = [as_text(field).strip() if header else str(index) for index, field in enumerate(first.fields)]
    first_line = first.line if header else 0
    return OpenedTable(path, format, names, partial(_rows, read, first_line, len(names)), header)


def _rows(read: Callable[[], Records], header_line: int, width: int, _columns: Collection[int]) -> Records:
    """The rows below the header; blank lines are skipped, but in a single column they are empty texts."""
    for record in read():
        if record.line <= header_line:
            continue
        if isinstance(record, Refusal) or len(record.fields) > 1:
            yield record
        elif width == 1:
            yield record if record.fields else record._replace(fields=[""])
        elif record.fields and as_text(record.fields[0]).strip():
            yield record


def _first_row(path: Path, read: Callable[[], Records]) -> tuple[TableRecord, Refusal | None]:
    """The first row of a table, and the first row that is refused before it, if any."""
    first_refused = None
    for record in read():
        if isinstance(record, Refusal):
            first_refused = first_refused or record
        elif record.fields or record.json_object:
            return record, first_refused
    reason = f"; line {first_refused.line} is refused: {first_refused.reason}" if first_refused else ""
    raise DataError(f"{path}: holds no rows{reason}")


ID_NAMES = ("id", "tweet_id", "tweetid", "id_str", "status_id")
TEXT_NAMES = ("text", "tweet", "tweets", "tweet_text", "full_text", "content", "message", "sentence", "body", "review")
_HEADER_ROWS = 200  # read to find out whether the first one is a header
_MAX_NAME_LENGTH = 40
_MAX_NAME_WORDS = 3
_MAX_CATEGORIES = 10
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


def _names_columns(read: Callable[[], Records], expected: Collection[object]) -> bool:
    """Whether the first row is a header: it has an expected name, or does not look like data.

    It looks like data if it contains a sentence, repeats a label, or has a number where all rows have one. A single
    column is a list of tweets unless it has a usual name.
    """
    rows = (record for record in read() if isinstance(record, TableRecord) and record.fields)
    first, *others = [[as_text(field).strip() for field in row.fields] for row in islice(rows, _HEADER_ROWS)]
    if {*first} & {*expected}:
        return True
    if len(first) == 1:
        return first[0].lower() in TEXT_NAMES
    complete = [row for row in others if len(row) == len(first)]
    for index, name in enumerate(first):
        values = [row[index] for row in complete]
        if len(name) > _MAX_NAME_LENGTH or len(name.split()) > _MAX_NAME_WORDS:
            return False
        if name and name in values and len({*values}) <= _MAX_CATEGORIES:
            return False
        if all(map(_NUMBER.fullmatch, (name, *values))):
            return False
    return True


def _open_parquet(path: Path) -> OpenedTable:
    with opened_parquet(path) as file:
        names = list(file.schema_arrow.names)
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: several columns are called {name!r}; rename all but one")

    def read(columns: Collection[int]) -> Records:
        requested = {names[index] for index in columns}
        line = 1
        with opened_parquet(path) as file:
            for batch in file.iter_batches(batch_size=8192, columns=[*requested]):
                cells = [batch.column(name).to_pylist() if name in requested else repeat(None) for name in names]
                yield from map(TableRecord, range(line, line + len(batch)), zip(*cells, strict=False))
                line += len(batch)

    return OpenedTable(path, "parquet", names, read)


# --- tweets ---------------------------------------------------------------------------------------------------------

_PARTS = {name: name for name in PARTS} | {
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}
_MAX_SHOWN = 20
_MAX_SHOWN_LABEL = 60


def read_rows(
    table: OpenedTable,
    columns: ColumnConfig,
    labels: LabelMapping | None,
    name: str,
    field: str = "data",
    further: Sequence[Column] = (),
) -> RowIterator:
    """The tweets of a table. A row that is shorter than the header is used if it has all columns that are read.

    Args:
        labels: the labels of each class; None reads no labels.
        name: the file's name, for messages.
        field: the configuration section of the columns and labels, for messages.
        further: columns whose cells are given as `Row.further`.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: a column is missing, or several have its name.
    """
    indices = {}
    for role, column in columns:
        if column is not None and (labels or role != "label"):
            indices[role] = table.index(column, f"{name}: {field}.columns.{role}")
    further_indices = [table.index(column, name) for column in further]
    read = {*indices.values(), *further_indices}
    needed = max(read)
    label_of = _label_reader(labels, name, field) if labels else None
    for record in table.read(read):
        if isinstance(record, Refusal):
            yield record
            continue
        line, fields, _, remarks = record
        if not needed < len(fields) <= len(table.names):
            yield Refusal(line, " in a row ".join((WRONG_WIDTH, *remarks)))
            continue
        cells = {role: fields[index] for role, index in indices.items()}
        # A gold table without texts is read with its ids as texts; an id may be a number.
        text = as_text(cells["text"]) if columns.text == columns.id else cells["text"]
        if reason := text_problem(text):
            yield Refusal(line, reason)
        elif "\0" in text:
            yield Refusal(line, "NUL character")
        elif label_of and isinstance(cells["label"], dict | list):
            yield Refusal(line, "label is not a single value")
        elif label_of and not as_text(cells["label"]).strip():
            yield Refusal(line, "empty label")
        else:
            label = label_of(cells["label"], line) if label_of else None
            part = _part_of(as_text(cells["part"]), f"{name}:{line}") if "part" in cells else None
            identifier = as_text(cells["id"]).strip() if "id" in cells else str(line)
            user = as_text(cells.get("user")).strip() or None
            further_cells = tuple([as_text(fields[index]).strip() for index in further_indices])
            yield Row(identifier, user, label, text, line, part, remarks, further_cells)


def _part_of(value: str, origin: str) -> Part:
    part = _PARTS.get(value.strip().lower())
    if part is None:
        raise DataError(f"{origin}: {shortened(value)!r} is not a part; valid are {', '.join(_PARTS)}")
    return part


def by_part(read: Callable[[], RowIterator]) -> RowIterator:
    """Yield the rows of a table that names their parts, in the order test, validation, train.

    So all held-out tweets are known before the first one for training. Refused rows are yielded with the test part.
    """
    for part in reversed(PARTS):
        for row in read():
            row_part = "test" if isinstance(row, Refusal) else row.part
            if row_part == part:
                yield row


def abbreviated(texts: Sequence[str], separator: str = ", ") -> str:
    """Join texts for a message; of more than 20, the first ones and the number of the others."""
    more = len(texts) - _MAX_SHOWN
    return separator.join([*texts[:_MAX_SHOWN], *([f"and {more:,} more"] if more > 0 else [])])


def _label_reader(labels: LabelMapping, name: str, field: str) -> Callable[[Any, int], int | None]:
    """A function from a cell and its line to the index of a class, or None for an ignored label."""
    meanings = label_meanings(labels)
    seen: set[str] = set()

    def label_of(value: Any, line: int) -> int | None:
        word = value if isinstance(value, str) and value in meanings else as_text(value).strip().lower()
        if word in seen:
            return meanings[word]
        seen.add(word)
        if word not in meanings or is_ambiguous(labels, seen):
            problem = "ambiguous" if word in meanings else "unknown"
            raise DataError(
                f"{name}:{line}: {problem} label {shortened(as_text(value), _MAX_SHOWN_LABEL)!r} "
                f"(known are {', '.join(map(repr, meanings))}): name the classes, from the most negative to the most "
                f"positive, and the labels of each in {field}.labels, and those to leave out in "
                f"{field}.labels.{IGNORED}"
            )
        return meanings[word]

    return label_of


_MAX_EXACT = 2**53  # larger floating-point numbers have lost digits


def as_text(value: Any) -> str:
    """A cell as a string: '' for missing values, 'true' and 'false' for booleans, '3' for 3.0."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return json.dumps(value)
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT:
        return str(int(value))
    return str(value)


def text_problem(value: object) -> str | None:
    """Why a cell cannot be the text of a tweet; None if it can."""
    if isinstance(value, str):
        return None if value.strip() else "empty text"
    return "empty text" if value is None else "text is not a string"


_MAX_EXAMPLES = 5


class RowCounter:
    """Counts rows by reason."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = defaultdict(list)

    def add(self, reason: str, line: int) -> None:
        self._lines[reason].append(line)

    def add_remarks(self, row: Row | TableRecord) -> None:
        for remark in row.remarks:
            self.add(remark, row.line)

    def total(self) -> int:
        return sum(map(len, self._lines.values()))

    def count(self, reason: str) -> int:
        return len(self._lines.get(reason, ()))

    def counted(self) -> dict[str, CountedRows]:
        return {name: CountedRows(count=len(lines), lines=lines[:_MAX_EXAMPLES]) for name, lines in self._lines.items()}

    def lines(self) -> list[str]:
        """A line for each reason, as in `2 rows of several lines (line 3, 8)`."""
        return [f"{plural(rows.count, 'row')} {reason} ({rows})" for reason, rows in self.counted().items()]

    def lines_left_out(self, scored: Collection[str | None] = ()) -> list[str]:
        """A line for each reason, as in `  2 left out: empty text (line 3, 8)`.

        Args:
            scored: the reasons that are no more than remarks on rows, which are scored.
        """
        lines = []
        for reason, rows in self.counted().items():
            verb = "scored" if reason in scored else "left out"
            lines.append(f"  {rows.count:,} {verb}: {reason} ({rows})")
        return lines

    def summary(self) -> str:
        """All reasons, the most frequent first, as in `12 empty text (line 3, 8); 1 empty label (line 4)`."""
        reasons = sorted(self.counted().items(), key=lambda reason: -reason[1].count)
        return "; ".join(f"{rows.count:,} {reason} ({rows})" for reason, rows in reasons)
