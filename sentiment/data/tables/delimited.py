"""Tweets from CSV and TSV files of any origin."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sentiment.config import ColumnConfig
from sentiment.data.tables.columns import Columns, has_header
from sentiment.data.tables.lines import read_lines
from sentiment.data.tables.rows import LabelReader, Refusal, Rows


class DelimitedRecord(NamedTuple):
    """The fields of one row, which may go over several lines."""

    line: int
    fields: list[str]


def read_delimited(path: Path, delimiter: str, config: ColumnConfig, labels: LabelReader) -> Rows:
    """Rows of a CSV or TSV file; without a header line if all columns are given by position.

    Raises:
        DataError: the file can't be read, or a label is unknown.
        ConfigError: a column is not there.
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
    """Cut lines into fields; what is no CSV, or has a field of more than 131,072 characters, is refused.

    Args:
        keep_blank_lines: as records without fields; else they are passed over.
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
