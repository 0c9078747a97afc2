"""Rows of predictions as they are written: CSV, TSV, JSON Lines, Parquet or a workbook, by the name of the file."""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from sentiment.data.tables.opened import DELIMITERS, NO_EXCEL, form_of, has_openpyxl, is_packed
from sentiment.data.tables.rows import TableRecord
from sentiment.errors import DataError, UsageError
from sentiment.records import Answer

ADDED = ("label", "probability")
"""The columns that are added to those of the input, the second of them the label's probability; see `added_names`."""
NO_WORDS = "no usable words"
"""Why a text has no prediction of which the model knows nothing."""

_VALID = (
    "the name does not say a form to write; valid endings: .csv, .tsv, .jsonl (each also with .gz), .parquet, .xlsx"
)
_DIGITS = 6
_ROWS_OF_A_GROUP = 65_536
_MOST_ROWS = 1_048_576
_LONGEST_CELL = 32_767
_NO_CELL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


WriteRow = Callable[[TableRecord, Answer | None], None]


def added_names(header: Sequence[str]) -> list[str]:
    """What the added columns are called in a table that may have columns of these names."""
    names = []
    for name in ADDED:
        while name in header:
            name = f"predicted_{name}"
        names.append(name)
    return names


def answer_fields(label: str, probability: float | None) -> list[str]:
    """The added columns as text; both are empty where there is no prediction."""
    return [label, "" if probability is None else f"{probability:.{_DIGITS}f}"]


def written_form(target: Path) -> str:
    """How a file is written: as its name says, and as CSV if the name has no ending.

    Raises:
        UsageError: the name says a form that is not written.
    """
    try:
        form = form_of(target) if target.suffix else "csv"
    except DataError:
        form = "zip"
    if form == "zip":
        raise UsageError(f"{target}: {_VALID}")
    if form == "xlsx" and not has_openpyxl():
        raise UsageError(f"{target}: {NO_EXCEL}")
    return form


@contextmanager
def row_writer(target: Path, file: BinaryIO, header: Sequence[str]) -> Iterator[WriteRow]:
    """What writes a row, with the added columns last, to an open file; it is complete after the context.

    Args:
        target: its name says the form.
        header: the names of all columns.
    """
    form = written_form(target)
    if form in ("parquet", "xlsx"):
        with _parquet(file, header) if form == "parquet" else _workbook(target, file, header) as write:
            yield write
        return
    with gzip.GzipFile(target.stem, "wb", fileobj=file, mtime=0) if is_packed(target) else nullcontext(file) as opened:
        text = io.TextIOWrapper(opened, encoding="utf-8", newline="", write_through=True)
        if form == "jsonl":
            yield lambda record, answer: _write_object(text, target, header, record, answer)
        else:
            table = _Table(text, DELIMITERS[form])
            table.write(header)
            yield lambda record, answer: table.write([*map(_cell, record.fields), *_as_text(answer)])
        text.detach()


def _cell(value: Any) -> str:
    """A value as text, in JSON's words."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _as_text(answer: Answer | None) -> list[str]:
    return answer_fields(answer.label, answer.probability) if answer else answer_fields("", None)


class _Table:
    """Writes CSV that any reader reads back: Python's writer does not quote a lone carriage return."""

    def __init__(self, file: io.TextIOWrapper, delimiter: str) -> None:
        self._plain = csv.writer(file, lineterminator="\n", delimiter=delimiter)
        self._quoted = csv.writer(file, lineterminator="\n", delimiter=delimiter, quoting=csv.QUOTE_ALL)

    def write(self, fields: Sequence[str]) -> None:
        quoted = any("\r" in field for field in fields)
        (self._quoted if quoted else self._plain).writerow(fields)


def _write_object(
    file: io.TextIOWrapper, target: Path, header: Sequence[str], record: TableRecord, answer: Answer | None
) -> None:
    """Write a JSON object, whose values stay what they were."""
    label, probability = header[-2:]
    # NaN, which alone differs from itself, is not JSON.
    fields = (None if value != value else value for value in record.fields)
    values = dict(zip(header, fields, strict=False)) if record.whole is None else record.whole
    if label in values or probability in values:
        name = label if label in values else probability
        raise DataError(f"{target}: line {record.line} of the input has a field {name!r}, which the first one lacks")
    added = {label: answer and answer.label, probability: answer and round(answer.probability, _DIGITS)}
    file.write(json.dumps(values | added, ensure_ascii=False, default=str) + "\n")


@contextmanager
def _parquet(file: BinaryIO, header: Sequence[str]) -> Iterator[WriteRow]:
    """Columns of text, and the probability as a number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*((name, pa.string()) for name in header[:-1]), (header[-1], pa.float64())])
    waiting: list[list[Any]] = []
    with pq.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            columns = [list(column) for column in zip(*waiting, strict=True)] or [[] for _ in header]
            writer.write_table(pa.table(columns, schema=schema))
            waiting.clear()

        def write(record: TableRecord, answer: Answer | None) -> None:
            share = round(answer.probability, _DIGITS) if answer else None
            waiting.append([*map(_cell, record.fields), answer and answer.label, share])
            if len(waiting) >= _ROWS_OF_A_GROUP:
                flush()

        yield write
        flush()


def sheet_value(value: Any) -> Any:
    """What a cell holds: a number, unless it is an integer beyond the 15 digits that spreadsheets keep; else text."""
    exact = value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**15)
    return value if exact else _cell(value)


@contextmanager
def _workbook(target: Path, file: BinaryIO, header: Sequence[str]) -> Iterator[WriteRow]:
    """One sheet; texts that begin as formulas do stay texts."""
    import openpyxl  # type: ignore[import-untyped]
    from openpyxl.cell import WriteOnlyCell  # type: ignore[import-untyped]

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    number = 0

    def cell(value: Any) -> Any:
        kept = sheet_value(value)
        if isinstance(kept, str) and (len(kept) > _LONGEST_CELL or _NO_CELL.search(kept)):
            raise DataError(f"{target}: row {number} has a text that a workbook cannot hold; write .csv or .parquet")
        made = WriteOnlyCell(sheet, kept)
        if isinstance(kept, str):
            made.data_type = "s"
        return made

    def add(values: Iterable[Any]) -> None:
        nonlocal number
        number += 1
        if number > _MOST_ROWS:
            raise DataError(f"{target}: a workbook holds at most {_MOST_ROWS:,} rows; write .csv or .parquet")
        sheet.append([cell(value) for value in values])

    add(header)
    yield lambda record, answer: add([*record.fields, *(answer or (None, None))])
    book.save(file)
