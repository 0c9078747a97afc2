"""Reads tables (CSV, TSV, JSON Lines, Parquet, workbooks) for training and prediction, and turns rows into tweets."""

import gc
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sentiment.config import PARTS, ColumnConfig
from sentiment.config_file import dotted, shortened
from sentiment.data.labels import IGNORED, LabelMapping, is_ambiguous, label_meanings
from sentiment.data.text_files import (
    LINE_LIMIT,
    Records,
    Refusal,
    TableRecord,
    csv_records,
    delimiter_of,
    is_gzipped,
    json_records,
    read_lines,
    translated_errors,
    tsv_records,
)
from sentiment.data.workbook import read_sheet
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_user_file
from sentiment.runs.corpus_records import CountedRows
from sentiment.runs.records import Part

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class Row(NamedTuple):
    """A tweet as read from its source."""

    id: str
    user: str | None
    label: int | None  # the index of its class; None: ignored, or the table is read without labels
    text: str
    line: int  # as in TableRecord
    part: Part | None = None  # one of PARTS; None: its source does not say


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
            raise DataError(f"{path}: is a directory; name a file in it")
        raise DataError(f"{path}: cannot tell the format from the name; valid endings: {ENDINGS}")
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

IsHeader = Callable[[Sequence[str]], bool]  # whether the first record of a table is a header


ReadColumns = Callable[[Collection[int]], Records]  # reads the data rows; cells of other columns may be None


@dataclass(frozen=True)
class OpenedTable:
    """A table whose rows can be read any number of times."""

    format: str
    names: list[str]  # column names; for JSON Lines the keys of the first object; indices if there is no header
    read: ReadColumns
    delimiter: str = ","
    sheets: Sequence[str] = ()  # the visible sheets of a workbook, of which the first is read

    def read_all(self) -> Records:
        """Read the data rows with all of their cells."""
        return self.read(range(len(self.names)))


def open_table(path: Path, is_header: IsHeader, member: str | None = None) -> OpenedTable:
    """Find the columns of a table; rows are read later.

    Args:
        path: its name determines the format.
        is_header: whether the first record of a delimited file or a workbook names the columns.
        member: which CSV file of a zip archive to read.

    Raises:
        DataError: the file cannot be read, or holds no rows.
    """
    format = "csv" if member else format_of(path)
    lines = partial(read_lines, path, member)
    if format == "parquet":
        return _open_parquet(path)
    if format == "jsonl":
        first, _ = _first_row(path, partial(json_records, lines))
        names = list(dotted(first.json_object or {}))
        return OpenedTable(format, names, lambda _columns: json_records(lines, names))
    if format == "txt":  # each line is a tweet
        return OpenedTable(format, ["text"], lambda _columns: tsv_records(lines, "\n"))
    if format == "xlsx":
        sheet = read_sheet(path)
        return OpenedTable(format, *_with_header(path, sheet.records, is_header), " ", sheet.names)
    if format == "tsv":
        return OpenedTable(format, *_with_header(path, partial(tsv_records, lines), is_header), "\t")
    delimiter = "," if member else delimiter_of(path)
    records = partial(csv_records, lines, delimiter, str(path))
    return OpenedTable(format, *_with_header(path, records, is_header), delimiter)


def _with_header(path: Path, read: Callable[[], Records], is_header: IsHeader) -> tuple[list[str], ReadColumns]:
    """The column names of a table, and a function that reads the rows below them."""
    first, refused = _first_row(path, read)
    header = [as_text(field).strip() for field in first.fields]
    has_names = is_header(header)
    if has_names and refused:
        raise DataError(f"{path}:{refused.line}: this line should name the columns, but {refused.reason}")
    names = header if has_names else [str(index) for index in range(len(header))]

    def rows(_columns: Collection[int]) -> Records:
        records = read()
        if has_names:
            records = dropwhile(lambda record: record.line <= first.line, records)
        for record in records:
            if isinstance(record, Refusal) or record.fields:
                yield record
            elif len(names) == 1:  # in a single column a blank line is an empty text
                yield TableRecord(record.line, [""])

    return names, rows


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

    return OpenedTable("parquet", names, read)


# --- tweets ---------------------------------------------------------------------------------------------------------

TEXT_NAMES = ("text", "tweet", "tweets", "tweet_text", "full_text", "content", "message", "sentence", "body", "review")
_PARTS = {name: name for name in PARTS} | {
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}
_MAX_SHOWN = 20
_MAX_SHOWN_LABEL = 60


def has_header(config: ColumnConfig) -> bool:
    """Whether the first line of a delimited file names the columns; it does unless all are given by position."""
    return any(isinstance(column, str) for _, column in config)


def read_rows(
    table: OpenedTable, columns: ColumnConfig, labels: LabelMapping | None, name: str, field: str = "data"
) -> RowIterator:
    """The tweets of a table.

    Args:
        labels: the labels of each class; None reads no labels.
        name: the file's name, for messages.
        field: the configuration section of the columns and labels, for messages.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: a column is missing, or several have its name.
    """
    indices = {}
    for role, column in columns:
        if column is not None:
            indices[role] = _column_index(column, f"{name}: {field}.columns.{role}", table.names)
    label_of = _label_reader(labels, name, field) if labels else None
    for record in table.read({*indices.values()}):
        if isinstance(record, Refusal):
            yield record
            continue
        line, fields, _ = record
        if len(fields) != len(table.names):
            yield Refusal(line, "wrong number of fields")
            continue
        cells = {role: fields[index] for role, index in indices.items()}
        text = cells["text"]
        if reason := text_problem(text):
            yield Refusal(line, reason)
        elif "\0" in text:
            yield Refusal(line, "NUL character")
        elif label_of and not as_text(cells["label"]).strip():
            yield Refusal(line, "empty label")
        else:
            label = label_of(cells["label"], line) if label_of else None
            part = _part_of(as_text(cells["part"]), f"{name}:{line}") if "part" in cells else None
            identifier = as_text(cells.get("id")) or str(line)
            yield Row(identifier, as_text(cells.get("user")).strip() or None, label, text, line, part)


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


def _column_index(column: str | int, setting: str, header: Sequence[str]) -> int:
    """The index of a column that `setting` names; raises ConfigError if there is none, or more than one."""
    indices = column_indices(column, header)
    if len(indices) == 1:
        return indices[0]
    if isinstance(column, int):
        raise ConfigError(f"{setting}: no column {column}; there are {len(header)}, counted from 0")
    problem = f"several columns are called {column!r}; give its position" if indices else f"no column {column!r}"
    raise ConfigError(f"{setting}: {problem}; the file has {abbreviated([*map(repr, header)])}")


def column_indices(column: str | int, header: Sequence[str | int]) -> list[int]:
    """The indices of the columns of a name, or the index itself if it is in range."""
    return [index for index, name in enumerate(header) if column in (index, name)]


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

    def total(self) -> int:
        return sum(map(len, self._lines.values()))

    def counted(self) -> dict[str, CountedRows]:
        return {name: CountedRows(count=len(lines), lines=lines[:_MAX_EXAMPLES]) for name, lines in self._lines.items()}

    def summary(self) -> str:
        """All reasons, the most frequent first, as in `12 empty text (line 3, 8); 1 empty label (line 4)`."""
        reasons = sorted(self.counted().items(), key=lambda reason: -reason[1].count)
        return "; ".join(f"{rows.count:,} {reason} ({rows})" for reason, rows in reasons)
