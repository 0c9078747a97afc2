"""Rows of predictions as they are written: CSV, TSV, JSON Lines or Parquet, by the name of the file."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

Fields = Sequence[str]
WriteRow = Callable[[Fields], None]

ADDED = ("label", "probability")
"""The columns that are added to those of the input, the second of them the label's probability; see `added_names`."""
NO_WORDS = "no usable words"
"""Why a text has no prediction of which the model knows nothing."""

_DIGITS = 6
_ROWS_OF_A_GROUP = 65_536


def added_names(header: Fields) -> list[str]:
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


@contextmanager
def row_writer(target: Path, file: BinaryIO, header: Fields) -> Iterator[WriteRow]:
    """What writes a row, with the added columns last, to an open file; it is complete after the context.

    Args:
        target: its name says the form; names that say none of the others mean CSV.
        header: the names of all columns.
    """
    form = target.suffix.lower()
    if form == ".parquet":
        with _parquet(file, header) as write:
            yield write
        return
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    if form in (".jsonl", ".ndjson"):
        yield lambda fields: _write_object(text, header, fields)
    else:
        table = _Table(text, "\t" if form in (".tsv", ".tab") else ",")
        table.write(header)
        yield table.write
    text.detach()


class _Table:
    """Writes CSV that any reader reads back: Python's writer does not quote a lone carriage return."""

    def __init__(self, file: io.TextIOWrapper, delimiter: str) -> None:
        self._plain = csv.writer(file, lineterminator="\n", delimiter=delimiter)
        self._quoted = csv.writer(file, lineterminator="\n", delimiter=delimiter, quoting=csv.QUOTE_ALL)

    def write(self, fields: Fields) -> None:
        quoted = any("\r" in field for field in fields)
        (self._quoted if quoted else self._plain).writerow(fields)


def _write_object(file: io.TextIOWrapper, header: Fields, fields: Fields) -> None:
    values: dict[str, Any] = dict(zip(header, fields, strict=True))
    label, probability = header[-2:]
    values[label] = values[label] or None
    values[probability] = float(values[probability]) if values[probability] else None
    file.write(json.dumps(values, ensure_ascii=False) + "\n")


@contextmanager
def _parquet(file: BinaryIO, header: Fields) -> Iterator[WriteRow]:
    """Columns of text, and the probability as a number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*((name, pa.string()) for name in header[:-1]), (header[-1], pa.float64())])
    waiting: list[Fields] = []
    with pq.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            columns: list[list[Any]] = [list(column) for column in zip(*waiting, strict=True)] or [[] for _ in header]
            columns[-2] = [label or None for label in columns[-2]]
            columns[-1] = [float(share) if share else None for share in columns[-1]]
            writer.write_table(pa.table(columns, schema=schema))
            waiting.clear()

        def write(fields: Fields) -> None:
            waiting.append(fields)
            if len(waiting) >= _ROWS_OF_A_GROUP:
                flush()

        yield write
        flush()
