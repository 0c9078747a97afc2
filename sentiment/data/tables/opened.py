"""The one way in which tables of any format are read: for training, for guessing what columns mean, for predicting."""

import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import dropwhile, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.data.tables.delimited import delimited_records, delimiter_of
from sentiment.data.tables.lines import LINE_LIMIT, CutLine, read_lines, translated_errors
from sentiment.data.tables.rows import Refusal, TableRecord
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Records = Iterator[TableRecord | Refusal]
DELIMITERS = {"csv": ",", "tsv": "\t"}
_FORMS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".zip": "zip",
}
NO_EXCEL = (
    "workbooks are read and written by openpyxl, which is not installed: `pip install openpyxl`, or save it as CSV"
)
"""Why a name that ends in `.xlsx` is refused."""
_PACKABLE = ("csv", "tsv", "jsonl")
_BATCH = 8192


@dataclass(frozen=True)
class OpenedTable:
    """A table, whose rows can be read any number of times."""

    form: str
    """csv, tsv, jsonl, parquet or xlsx."""
    names: list[str]
    """Of the columns, then those of fields within JSON objects, as in `user.name`; positions if the file has none."""
    width: int
    """How many columns it has."""
    read: Callable[[Collection[int]], Records]
    """Reads the records, except for the header, with the values at these places; others may be None."""
    delimiter: str = ","

    def records(self, places: Collection[int] | None = None) -> Records:
        """The records; None reads all columns.

        Raises:
            DataError: the file cannot be read.
            ConfigError: several columns have the name of one that is read.
        """
        return self.read(range(self.width) if places is None else places)


def open_table(path: Path, names_columns: Callable[[Sequence[str]], bool]) -> OpenedTable:
    """Find the columns of a table; rows are read later.

    Args:
        path: its name says the format.
        names_columns: whether the first record of a delimited file, or row of a sheet, names the columns.

    Raises:
        DataError: the file cannot be read, is in an unknown format, or holds nothing.
    """
    form = form_of(path)
    if form in DELIMITERS:
        return _open_delimited(path, form, names_columns)
    if form == "jsonl":
        return _open_json_lines(path)
    if form == "parquet":
        with opened_parquet(path) as file:
            names = list(file.schema_arrow.names)
        return OpenedTable(form, names, len(names), lambda places: _read_parquet(path, names, places))
    if form == "xlsx":
        return _open_sheet(path, names_columns)
    raise DataError(f"{path}: is no table; tables end in .csv, .tsv, .jsonl (each also with .gz), .parquet or .xlsx")


def form_of(path: Path) -> str:
    """How a file is read or written, by the end of its name: csv, tsv, jsonl, parquet, xlsx or zip.

    Raises:
        DataError: the name says nothing known.
    """
    packed = is_packed(path)
    form = _FORMS.get((path.with_suffix("") if packed else path).suffix.lower())
    if form is None or (packed and form not in _PACKABLE):
        valid = ".csv, .tsv, .jsonl (each also with .gz), .parquet, .xlsx, or Sentiment140's .zip"
        raise DataError(f"{path}: cannot tell the format from the name; valid endings: {valid}")
    return form


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, by the end of its name."""
    return path.suffix.lower() == ".gz"


def has_openpyxl() -> bool:
    """Whether workbooks can be read and written."""
    try:
        return find_spec("openpyxl") is not None
    except ValueError:  # a module that is set to None
        return False


def _open_delimited(path: Path, form: str, names_columns: Callable[[Sequence[str]], bool]) -> OpenedTable:
    delimiter = delimiter_of(path)

    def read() -> Records:
        return delimited_records(lambda: read_lines(path), delimiter, str(path))

    first = next((record for record in read() if isinstance(record, TableRecord) and record.fields), None)
    if first is None:
        raise _no_first_row(path, next(read(), None))
    named = names_columns(first.fields)
    names = [field.strip() for field in first.fields] if named else [str(place) for place in range(len(first.fields))]
    single = len(names) == 1  # where a blank line is an empty text

    def rows(_places: Collection[int]) -> Records:
        records = dropwhile(lambda record: record.line <= first.line, read()) if named else read()
        for record in records:
            if record[1]:
                yield record
            elif single:
                yield TableRecord(record.line, [""])

    return OpenedTable(form, names, len(names), rows, delimiter)


def _open_json_lines(path: Path) -> OpenedTable:
    def read() -> Records:
        for line, text in enumerate(read_lines(path), start=1):
            if text.strip():
                found = json_object(text)
                yield Refusal(line, found) if isinstance(found, str) else TableRecord(line, (), 1, found)

    columns = next((record.whole for record in read() if isinstance(record, TableRecord) and record.whole), None)
    if columns is None:
        raise _no_first_row(path, next(read(), None))
    names = [*columns, *_names_within(columns, "")]

    def rows(places: Collection[int]) -> Records:
        nothing = [None] * len(names)
        wanted = [(place, names[place]) for place in places]
        for record in read():
            if isinstance(record, TableRecord):
                fields = nothing.copy()
                for place, name in wanted:
                    fields[place] = _field(record.whole, name)
                record = TableRecord(record.line, fields, 1, record.whole)
            yield record

    return OpenedTable("jsonl", names, len(columns), rows)


def _no_first_row(path: Path, found: TableRecord | Refusal | None) -> DataError:
    if isinstance(found, Refusal):
        return DataError(f"{path}:{found.line}: the first row cannot be read: {found.reason}")
    return DataError(f"{path}: holds no rows")


def _names_within(value: dict[str, Any], place: str) -> Iterator[str]:
    for name, inner in value.items():
        if place:
            yield place + name
        if isinstance(inner, dict):
            yield from _names_within(inner, f"{place}{name}.")


def _field(value: Any, name: str) -> Any:
    """The field of an object, or one within its fields; None if there is none."""
    if name in value:
        return value[name]
    outer, _, inner = name.partition(".")
    return _field(value[outer], inner) if inner and isinstance(value.get(outer), dict) else None


def json_object(line: str) -> dict[str, Any] | str:
    """The JSON object that a line holds, without half surrogate pairs; or the reason why it holds none."""
    if isinstance(line, CutLine):
        return f"longer than {LINE_LIMIT:,} bytes"
    try:
        value = json.loads(line, object_pairs_hook=_with_each_name_once)
        if "\\u" in line:  # an escape can bring half a surrogate pair, which cannot be written to a file
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except _TwiceError as error:
        return str(error)
    except (ValueError, RecursionError):
        return "not a JSON object"
    return value if isinstance(value, dict) else "not a JSON object"


class _TwiceError(ValueError):
    """A JSON object has two fields of one name, of which Python would take the last."""


def _with_each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _TwiceError("two fields of the same name")
    return fields


@contextmanager
def opened_parquet(path: Path) -> "Iterator[pq.ParquetFile]":
    """A Parquet file, opened.

    Raises:
        DataError: it cannot be read; also later, from within the context.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with translated_errors(path):
        try:
            with open_named(path) as opened, pq.ParquetFile(opened) as file:
                yield file
        except (pa.ArrowException, UnicodeDecodeError) as error:  # names and texts are UTF-8 by the format
            raise DataError(f"{path}: is not a valid Parquet file: {error}") from None


def _read_parquet(path: Path, names: list[str], places: Collection[int]) -> Records:
    wanted = {names[place] for place in places}
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise ConfigError(f"{path}: several columns are called {twice[0]!r}, so that it is not clear which is meant")
    line = 1
    with opened_parquet(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=[name for name in names if name in wanted]):
            cells = [_cells(batch.column(name)) if name in wanted else repeat(None, len(batch)) for name in names]
            yield from map(TableRecord, range(line, line + len(batch)), zip(*cells, strict=True))
            line += len(batch)


def _cells(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except OverflowError:  # a date after the year 9999
        return list(column.cast("string").to_pylist())


def _open_sheet(path: Path, names_columns: Callable[[Sequence[str]], bool]) -> OpenedTable:
    """The first sheet of a workbook, which is read as a whole."""
    import pandas as pd

    if not has_openpyxl():
        raise DataError(f"{path}: {NO_EXCEL}")
    with translated_errors(path):
        try:
            with open_named(path) as opened:
                sheet = pd.read_excel(opened, header=None, dtype=object, keep_default_na=False, engine="openpyxl")
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: is not a valid workbook: {error}") from None
    rows = [[None if value == "" else value for value in row] for row in sheet.itertuples(index=False)]
    if not rows:
        raise DataError(f"{path}: holds no rows")
    first = ["" if value is None else str(value) for value in rows[0]]
    named = names_columns(first)
    names = first if named else [str(place) for place in range(len(first))]
    read = [TableRecord(line, fields) for line, fields in enumerate(rows, start=1)][named:]
    return OpenedTable("xlsx", names, len(names), lambda _places: iter(read))
