"""The rows of a file that predictions are made for: each record of the file is one, also if it cannot be used."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sentiment.data.tables.delimited import delimited_records
from sentiment.data.tables.delimiter import delimiter_of
from sentiment.data.tables.lines import read_lines
from sentiment.data.tables.named_fields import json_object
from sentiment.data.tables.rows import Refusal, as_text
from sentiment.data.tables.table import DELIMITERS, form_of
from sentiment.errors import DataError

# They wait in memory for the first object, which names the columns.
_MALFORMED_AT_FIRST = 10_000
_MORE_FIELDS = "have fields that the first object lacks; these are left out"


class FileRow(NamedTuple):
    """A row of the input; the header is one as well."""

    line: int
    fields: Sequence[str]
    lines: int = 1
    refused: str | None = None
    """Why there can be no prediction; None if there can be one."""
    remark: str | None = None
    """What is to be told about the row though it has a prediction."""


def read_file_rows(source: Path, names_columns: bool) -> Iterator[FileRow]:
    """The header (positions if the file has none), then each row; the header is refused if it cannot be read.

    Raises:
        DataError: the source cannot be read, or has a form that predictions are not made for.
    """
    form = form_of(source)
    if form in DELIMITERS:
        yield from _read_delimited(source, delimiter_of(source), names_columns)
    elif form == "jsonl":
        yield from _read_json_lines(source)
    elif form == "parquet":
        yield from _read_parquet(source)
    else:
        raise DataError(f"{source}: predictions are made for .csv, .tsv, .jsonl (also with .gz) and .parquet files")


def _read_delimited(source: Path, delimiter: str, names_columns: bool) -> Iterator[FileRow]:
    rows = (
        FileRow(one.line, (), refused=one.reason) if isinstance(one, Refusal) else FileRow(*one[:3])
        for one in delimited_records(read_lines(source), delimiter, keep_blank_lines=True)
    )
    first = next((row for row in rows if row.refused or row.fields), None)
    if first is None:
        return
    width = len(first.fields)
    yield first if names_columns or first.refused else FileRow(0, [str(position) for position in range(width)])
    if not names_columns:
        yield first
    for row in rows:
        if row.fields or row.refused or width == 1:  # in a single column an empty text is a blank line
            yield row if row.fields or row.refused else row._replace(fields=[""])


def _read_parquet(source: Path) -> Iterator[FileRow]:
    from sentiment.inference.predict_parquet import opened_parquet

    with opened_parquet(source) as file:
        yield FileRow(0, list(file.schema_arrow.names))
        number = 0
        for batch in file.iter_batches():
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield FileRow(number, [as_text(value) for value in values])


def _read_json_lines(source: Path) -> Iterator[FileRow]:
    names: list[str] = []
    malformed: list[FileRow] = []  # lines before the first object, which names the columns
    for number, line in enumerate(read_lines(source), start=1):
        if not line.strip():
            continue
        fields = json_object(line)
        if isinstance(fields, str) or not (names or fields):
            row = FileRow(number, (), refused=fields if isinstance(fields, str) else "an object without fields")
        else:
            if not names:
                names = list(fields)
                yield from [FileRow(number, names), *malformed]
            values = ["" if fields.get(name) is None else str(fields[name]) for name in names]
            row = FileRow(number, values, remark=_MORE_FIELDS if not fields.keys() <= set(names) else None)
        if names:
            yield row
        else:
            malformed.append(row)
            if len(malformed) == _MALFORMED_AT_FIRST:
                raise DataError(f"{source}: the first {len(malformed):,} lines hold no JSON object")
    if not names:
        yield from malformed[:1]
