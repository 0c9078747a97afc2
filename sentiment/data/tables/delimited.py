"""Rows of CSV and TSV files of any origin."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sentiment.config import ColumnConfig
from sentiment.data.tables.columns import Columns, has_header
from sentiment.data.tables.lines import read_lines
from sentiment.data.tables.rows import LabelReader, Refusal, Rows


class DelimitedRecord(NamedTuple):
    """The fields of one row, which may span several lines."""

    line: int
    fields: list[str]


def read_delimited(path: Path, delimiter: str, config: ColumnConfig, labels: LabelReader) -> Rows:
    """Rows of a CSV or TSV file; without a header line if all columns are given by position.

    Args:
        path: the file, which may be compressed (`.gz`).
        delimiter: between fields.
        config: the columns by name or position.
        labels: turns label fields into labels.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: a column is missing.
    """
    columns: Columns | None = None
    for record in delimited_records(read_lines(path), delimiter):
        if isinstance(record, Refusal):
            yield record
        elif columns is not None:
            yield columns.row(record.fields, record.line, labels)
        elif has_header(config):
            columns = Columns.find(config, [field.strip() for field in record.fields], str(path))
        else:
            columns = Columns.find(config, [str(number) for number in range(len(record.fields))], str(path))
            yield columns.row(record.fields, record.line, labels)


def delimited_records(
    lines: Iterable[str], delimiter: str, keep_blank_lines: bool = False
) -> Iterator[DelimitedRecord | Refusal]:
    """Split lines into fields; a line that is not CSV or has a field of more than 131,072 characters is refused.

    Args:
        lines: with their ends.
        delimiter: between fields.
        keep_blank_lines: give them as records without fields, instead of skipping them.
    """
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Refusal(line, f"not a valid line: {error}")
            continue
        if fields or keep_blank_lines:
            yield DelimitedRecord(line, fields)
