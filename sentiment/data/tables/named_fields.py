"""Rows of files whose fields have names: JSON Lines and Parquet."""

import json
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

from sentiment.config import ColumnConfig
from sentiment.data.tables.columns import Columns
from sentiment.data.tables.lines import LINE_LIMIT, CutLine, read_lines, translated_errors
from sentiment.data.tables.rows import LabelReader, Refusal, Rows
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named

_PICKED = Columns(text=0, label=1, user=2, id=3, width=4)
_BATCH = 8192


def read_json_lines(path: Path, config: ColumnConfig, labels: LabelReader) -> Rows:
    """Rows of a file with one JSON object per line.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: the first object lacks a column, or columns are given by position.
    """
    names: list[str | None] = []
    for column in (config.text, config.label, config.user, config.id):
        if isinstance(column, int):
            raise ConfigError(f"{path}: fields of JSON objects have names, but data.columns has position {column}")
        names.append(column)
    checked = False
    for line, text in enumerate(read_lines(path), start=1):
        if not text.strip():
            continue
        fields = json_object(text)
        if isinstance(fields, str):
            yield Refusal(line, fields)
            continue
        if not checked:
            Columns.find(config, list(fields), str(path))
            checked = True
        yield _PICKED.row([None if name is None else fields.get(name) for name in names], line, labels)


def read_parquet(path: Path, config: ColumnConfig, labels: LabelReader) -> Rows:
    """Rows of a Parquet file, read in batches.

    Raises:
        DataError: the file cannot be read, a value is out of range, or a label is unknown.
        ConfigError: a column is missing, or several have its name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    line = 0
    with translated_errors(path):
        try:
            with open_named(path) as opened, pq.ParquetFile(opened) as file:
                header = file.schema_arrow.names
                found = Columns.find(config, header, str(path))
                positions = (found.text, found.label, found.user, found.id)
                names = [None if position is None else header[position] for position in positions]
                _check_names(names, header, path)
                wanted = list(dict.fromkeys(name for name in names if name is not None))
                for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                    cells: list[Iterable[Any]] = [
                        repeat(None, len(batch)) if name is None else batch.column(name).to_pylist() for name in names
                    ]
                    for fields in zip(*cells, strict=True):
                        line += 1
                        yield _PICKED.row(fields, line, labels)
        except (pa.ArrowException, UnicodeDecodeError) as error:  # names and texts are UTF-8 by the format
            raise DataError(f"{path}: is not a valid Parquet file: {error}") from None
        except OverflowError as error:  # a date after the year 9999
            raise DataError(f"{path}: a value after row {line:,} is out of range: {error}") from None


def count_parquet_rows(path: Path) -> int | None:
    """The number of rows by the file's own word; None if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_named(path) as opened, pq.ParquetFile(opened) as file:
            return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException):
        return None  # reading the rows will say what is wrong


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


def _check_names(names: list[str | None], header: list[str], path: Path) -> None:
    for name in dict.fromkeys(names):
        if name is not None and header.count(name) > 1:
            raise ConfigError(f"{path}: several columns are called {name!r}, so that it is not clear which is meant")
