"""Writes tables of predictions: CSV, TSV and JSON Lines row by row, Parquet and workbooks as a whole."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from sentiment.config_file import shortened
from sentiment.data.tables import NO_EXCEL, TableRecord, form_of, has_openpyxl, is_packed
from sentiment.errors import DataError, UsageError
from sentiment.runs.records import Answer

WriteRow = Callable[[TableRecord, Answer | None], object]
ADDED = ("label", "probability")
"""The columns that are added to those of the input, the second of them the label's probability; see `added_names`."""

_VALID = (
    "the name does not say a form to write; valid endings: .csv, .tsv, .jsonl (each also with .gz), .parquet, .xlsx"
)
_DIGITS = 6
_LONGEST_CELL = 32_767


def written_form(target: Path) -> str:
    """How a file is written: as its name says, and as CSV if the name has no ending.

    Raises:
        UsageError: the name says a form that is not written.
    """
    try:
        form = form_of(target) if target.suffix else "csv"
    except DataError:
        form = "zip"
    if form in ("zip", "txt"):
        raise UsageError(f"{target}: {_VALID}")
    if form == "xlsx" and not has_openpyxl():
        raise UsageError(f"{target}: {NO_EXCEL}")
    return form


def added_names(header: Sequence[str]) -> list[str]:
    """What the added columns are called in a table that may have columns of these names."""
    names = []
    for name in ADDED:
        while name in header:
            name = f"predicted_{name}"
        names.append(name)
    return names


def answer_fields(said: Answer | None) -> list[str]:
    """The added columns as text; both are empty where there is no prediction."""
    return [said.label, f"{said.probability:.{_DIGITS}f}"] if said else ["", ""]


def answer_values(said: Answer | None) -> tuple[str | None, float | None]:
    """The same for forms that have numbers and nothing."""
    return (said.label, round(said.probability, _DIGITS)) if said else (None, None)


@contextmanager
def row_writer(target: Path, file: BinaryIO, header: Sequence[str], parquet: Path | None) -> Iterator[WriteRow]:
    """What writes rows, with the added columns last, to an open file; it is complete after the context.

    Args:
        target: its name says the form.
        header: the names of the columns of the input.
        parquet: the input, if it is such a file: as Parquet its columns are written as they are.

    Raises:
        DataError: a value cannot be written in this form; also from within the context.
    """
    form, names = written_form(target), [*header, *added_names(header)]
    if form in ("parquet", "xlsx"):
        rows: list[list[Any]] = []
        yield lambda record, said: rows.append([*record.fields, *answer_values(said)])
        _write_workbook(target, file, names, rows) if form == "xlsx" else _write_parquet(file, names, rows, parquet)
        return
    with gzip.GzipFile(target.stem, "wb", fileobj=file, mtime=0) if is_packed(target) else nullcontext(file) as opened:
        text = io.TextIOWrapper(opened, encoding="utf-8", newline="", write_through=True)
        if form == "jsonl":
            yield lambda record, said: text.write(_object(target, names, record, said))
        else:
            write = _delimited(target, text, form)
            write(names)
            yield lambda record, said: write([*map(_cell, record.fields), *answer_fields(said)])
        text.detach()


def _delimited(target: Path, file: io.TextIOWrapper, form: str) -> Callable[[Sequence[str]], None]:
    """What writes rows that any reader reads back; TSV has no quotes, so that not every text has a place in it."""
    minimal, always = (
        csv.writer(file, lineterminator="\n", quoting=quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    bare = csv.writer(file, "excel-tab", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)

    def write(fields: Sequence[str]) -> None:
        quoted = always if any("\r" in field for field in fields) else minimal  # which Python's writer does not quote
        try:
            (bare if form == "tsv" else quoted).writerow(fields)
        except csv.Error:
            text = next(field for field in fields if "\t" in field or "\n" in field)
            raise DataError(f"{target}: a line of TSV cannot hold {shortened(text)!r}; write .csv") from None

    return write


def _cell(value: Any) -> str:
    """A value as text, in JSON's words."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _object(target: Path, names: Sequence[str], record: TableRecord, said: Answer | None) -> str:
    """A JSON object, whose values stay what they were; NaN is not JSON."""
    values = record.whole
    if values is None:
        values = {name: None if value != value else value for name, value in zip(names, record.fields, strict=False)}
    if taken := [name for name in names[-2:] if name in values]:
        raise DataError(
            f"{target}: line {record.line} of the input has a field {taken[0]!r}, which the first one lacks"
        )
    added = dict(zip(names[-2:], answer_values(said), strict=True))
    return json.dumps(values | added, ensure_ascii=False, default=str) + "\n"


def _write_parquet(file: BinaryIO, names: Sequence[str], rows: list[list[Any]], source: Path | None) -> None:
    """Columns of text, or those of the source, and the probability as a number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    *columns, labels, shares = zip(*rows, strict=True) if rows else [()] * len(names)
    table = pq.read_table(source) if source else pa.table([[*map(_cell, one)] for one in columns], names[:-2])
    for name, values, kind in ((names[-2], labels, pa.string()), (names[-1], shares, pa.float64())):
        table = table.append_column(name, pa.array(values, kind))
    pq.write_table(table, file)


def _write_workbook(target: Path, file: BinaryIO, names: Sequence[str], rows: list[list[Any]]) -> None:
    """One sheet; texts that begin as formulas do stay texts."""
    import pandas as pd
    from openpyxl.utils.exceptions import IllegalCharacterError  # type: ignore[import-untyped]

    cells = [list(map(sheet_value, row)) for row in rows]
    if any(isinstance(value, str) and len(value) > _LONGEST_CELL for row in cells for value in row):
        raise DataError(f"{target}: a text is longer than a workbook can hold; write .csv or .parquet")
    try:
        with pd.ExcelWriter(file, engine="openpyxl") as writer:
            pd.DataFrame(cells, columns=[*names], dtype=object).to_excel(writer, index=False)
            for cell in (cell for row in writer.book.active.iter_rows() for cell in row if cell.data_type == "f"):
                cell.data_type = "s"
    except (ValueError, IllegalCharacterError) as error:  # too many rows, or control characters
        raise DataError(f"{target}: a workbook cannot hold these rows ({error}); write .csv or .parquet") from None


def sheet_value(value: Any) -> Any:
    """What a cell holds: a number, unless it is an integer beyond the 15 digits that spreadsheets keep; else text."""
    exact = value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**15)
    return value if exact else _cell(value)
