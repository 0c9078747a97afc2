"""The one reader of tables: CSV, TSV, JSON Lines, Parquet and Excel, opened alike for training and for predicting."""

import csv
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, count, dropwhile, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.data.tables.rows import LINE_LIMIT, CutLine, Refusal, TableRecord, read_lines, translated_errors
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named

if TYPE_CHECKING:
    import pyarrow.parquet as pq


ReadLines = Callable[[], Iterator[str]]
"""Reads the lines of a file, with their ends, from its beginning."""

_CHARACTERS_AT_ONCE = 1 << 15
_JUDGED_LINES = 2_000
_FEW_VALUES = 10
_MOST = 0.9
_HEAD_LINES = 50
_OTHERS = (";", "\t", "|")
# Of the lines after the first, how many must have as many fields; tweets hold semicolons and line breaks themselves.
_SHARE = 0.8
# A tweet of several lines may have one by chance that looks like a row; two stray quotes join more.
_COINCIDENCE = 3
_RECORD = r'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)(?:,(?:"(?:[^"]++|"")*+"|[^",\r\n]*+))*+\r?\n?'
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_TOO_LONG = "x" * (csv.field_size_limit() + 1)


def delimited_records(read: ReadLines, delimiter: str, name: str) -> Iterator[TableRecord | Refusal]:
    """The records of a file; a blank line is one without fields, and a line that is too long is refused.

    Args:
        read: called a second time if a quoted field seems to span lines.
        delimiter: between fields.
        name: the file's name, for messages.

    Raises:
        DataError: a quoted field spans lines that could as well be rows.
    """
    lines, line, spans, literal = read(), 1, None, False
    for block in _blocks(lines):
        if line == 1:  # a program that quotes all texts also quotes their column's name
            literal = delimiter == "\t" and '"' not in block[0]
        if not (literal and any('"' in one for one in block)) and (records := _plain(block, delimiter)):
            yield from map(TableRecord, count(line), records)
            line += len(block)
            continue
        for place, text in enumerate(block):
            found = _alone(text, delimiter, literal)
            if found is None and spans is None:
                spans = _spans_lines(read, delimiter, name, literal)
            if found is None and spans:
                yield from _as_csv(chain(block[place:], lines), delimiter, line)
                return
            if isinstance(found, str):
                yield Refusal(line, found)
            else:
                yield TableRecord(line, _split(text, delimiter) if found is None else found)
            line += 1


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """The first line alone, so that an error in a later one does not hide it; then many at once, which is faster."""
    for first in lines:
        yield [first]
        break
    block, characters = [], 0
    for line in lines:
        block.append(line)
        characters += len(line)
        if characters >= _CHARACTERS_AT_ONCE:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _plain(block: list[str], delimiter: str) -> list[list[str]]:
    """The fields of lines, if each of them is a record of CSV by itself; else none."""
    if CutLine in map(type, block):
        return []
    try:
        # A quote that is open after the last line takes the line that is added here into its field.
        *records, end = csv.reader([*block, "\n"], delimiter=delimiter, strict=True)
    except csv.Error:
        return []
    return records if not end and len(records) == len(block) else []


def _alone(line: str, delimiter: str, literal: bool) -> list[str] | str | None:
    """The fields of a line by itself, or why it is refused; None if a quote that opens in it does not close.

    Args:
        literal: quotes that a field does not need belong to its text.
    """
    if isinstance(line, CutLine):
        line = _TOO_LONG
    try:
        fields = next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "field larger" in str(error):
            return f"not a valid line: {error}"
        return None if "unexpected end" in str(error) else _split(line, delimiter)
    return _split(line, delimiter) if literal and _needless_quotes(line, delimiter) else fields


def _as_csv(lines: Iterable[str], delimiter: str, first: int) -> Iterator[TableRecord | Refusal]:
    taken: list[str] = []
    reader = csv.reader(_copied(_cut(lines), taken), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        try:
            fields = next(reader, None)
        except csv.Error:
            found = _alone(taken[0], delimiter, literal=False)
            yield Refusal(first, found) if isinstance(found, str) else TableRecord(first, found or [])
        else:
            if fields is None:
                return
            yield TableRecord(first, fields, len(taken))
        first += len(taken)


def _cut(lines: Iterable[str]) -> Iterator[str]:
    return (_TOO_LONG if isinstance(line, CutLine) else line for line in lines)


def _split(line: str, delimiter: str) -> list[str]:
    return line.rstrip("\r\n").split(delimiter)


def _needless_quotes(line: str, delimiter: str) -> bool:
    return re.search(f'(?:^|{delimiter})"[^"{delimiter}\r\n]+"(?:[{delimiter}\r\n]|$)', line) is not None


def _spans_lines(read: ReadLines, delimiter: str, name: str, literal: bool) -> bool:
    """Whether quoted fields of a file span lines: it is CSV as a whole, and the lines that they join are no rows.

    Raises:
        DataError: they could be rows, and nothing tells.
    """
    rows = _RowLikeness(read, delimiter)
    like_rows: list[TableRecord] = []
    others = 0
    even, by_program = True, False
    try:
        for record, text in _strict_records(read, delimiter, literal):
            even &= len(record.fields) in (0, rows.width)
            if record.lines == 1:
                by_program |= '"' in text and any(delimiter in field or '"' in field for field in record.fields)
            elif len(record.fields) != rows.width:
                return False
            elif all(map(rows.is_like, text.removesuffix("\n").split("\n"))):
                like_rows.append(record._replace(fields=[]))
            else:
                others += 1
    except csv.Error:
        return False
    longest = max(like_rows, key=lambda record: record.lines, default=TableRecord(0, [], 0))
    stray = longest.lines > _COINCIDENCE
    if rows.telling and stray and not others:
        return False
    if (others and not stray) if rows.telling else (others > len(like_rows) or (by_program and even)):
        return True
    raise DataError(
        f"{name}:{longest.line}: a quote opens here and closes in line {longest.line + longest.lines - 1}, but each of "
        "these lines could be a row of its own; double the quotes that belong to texts, or give the table as JSON "
        "Lines or Parquet"
    )


def _strict_records(read: ReadLines, delimiter: str, literal: bool) -> Iterator[tuple[TableRecord, str]]:
    """The records of a file with their text, without lines that are too long.

    Raises:
        csv.Error: the file is not CSV as RFC 4180 has it.
    """
    strict = re.compile(_RECORD.replace(",", re.escape(delimiter)))
    taken: list[str] = []
    reader = csv.reader(_copied(_cut(read()), taken), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        try:
            fields = next(reader, None)
        except csv.Error:
            if len(taken) == 1 and '"' not in taken[0]:  # too long, or with a carriage return inside of it
                continue
            raise
        if fields is None:
            return
        text = "".join(taken)
        if '"' in text and not (strict.fullmatch(text) and not (literal and _needless_quotes(text, delimiter))):
            raise csv.Error("a quote in a field that is not quoted")
        yield TableRecord(reader.line_num - len(taken) + 1, fields, len(taken)), text


def _copied(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _is_number(value: str) -> bool:
    """Whether a value is a number or numbers, as a date is."""
    return _LETTER.search(value) is None and _DIGIT.search(value) is not None


class _RowLikeness:
    """Judges whether a line could be a row, by the columns that have few values or numbers in the first rows."""

    def __init__(self, read: ReadLines, delimiter: str) -> None:
        self._delimiter = delimiter
        head = [line for line in islice(_cut(read()), _JUDGED_LINES) if line.strip()]
        found = [_alone(line, delimiter, literal=False) or _split(line, delimiter) for line in head]
        first, *others = [fields for fields in found if isinstance(fields, list)] or [[]]
        self.width = len(first)
        rows = [fields for fields in others if len(fields) == self.width]
        self.telling: list[tuple[int, frozenset[str]]] = []
        """Positions of such columns, and their values; none of those of numbers."""
        for place, values in enumerate(zip(*rows, strict=True)):
            common = Counter(values).most_common(_FEW_VALUES)
            if sum(map(_is_number, values)) >= _MOST * len(rows):
                self.telling.append((place, frozenset()))
            elif len(rows) >= 2 * len(common) and sum(count for _, count in common) >= _MOST * len(rows):
                self.telling.append((place, frozenset(value for value, _ in common)))

    def is_like(self, line: str) -> bool:
        """Whether a line has enough fields, and in these columns, counted from either end, such values; or is blank."""
        fields = [field.strip('"') for field in line.split(self._delimiter)]
        return not line.strip() or (
            len(fields) >= self.width
            and all(
                any(value in known if known else _is_number(value) for value in (fields[place], fields[end]))
                for place, known in self.telling
                for end in [place - self.width]
            )
        )


def delimiter_of(path: Path) -> str:
    """A tab for names that end in `.tsv` or `.tab`; else a comma, unless the first lines know none.

    Another delimiter (semicolon, tab or bar) is taken if the first line, which should name the columns, holds it and no
    comma, and most of the next lines hold it as often or more often. Spreadsheets write semicolons in many countries.

    Raises:
        DataError: the file cannot be read.
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    try:
        with closing(read_lines(path)) as lines:
            first, *others = [line for line in islice(lines, _HEAD_LINES) if line.strip()] or [""]
    except DataError:
        return ","  # reading the rows will say what is wrong
    if "," in first:
        return ","
    for delimiter in _OTHERS:
        count = first.count(delimiter)
        if count and sum(line.count(delimiter) >= count for line in others) >= _SHARE * len(others):
            return delimiter
    return ","


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
