"""The first rows of a table whose columns are not known yet."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.config import ColumnConfig
from sentiment.data.tables.delimited import delimited_records
from sentiment.data.tables.delimiter import delimiter_of
from sentiment.data.tables.lines import read_lines, translated_errors
from sentiment.data.tables.named_fields import json_object
from sentiment.data.tables.rows import Refusal, as_text
from sentiment.data.tables.sentiment140 import is_sentiment140
from sentiment.data.tables.table import DELIMITERS, form_of
from sentiment.errors import DataError
from sentiment.files import open_named

SAMPLE_ROWS = 2_000
_LONGEST_NAME = 40
_MOST_WORDS_OF_A_NAME = 3
FEW_VALUES = 10
"""A column with more different values holds no labels."""

_FORMS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class TableColumn:
    """A column, as far as the first rows show it."""

    key: str | int
    """Its name, or its position if the file names no columns."""
    values: list[str]

    @property
    def name(self) -> str:
        """As messages call it."""
        return repr(self.key) if isinstance(self.key, str) else f"number {self.key}"

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs, without empty ones and outer blanks."""
        return Counter(value.strip() for value in self.values if value.strip())

    @property
    def counts_rows(self) -> bool:
        """Whether it only numbers the rows or names them, as an index does."""
        whole = all(value.lstrip("-").isdigit() for value in self.counts)
        return whole and len(self.counts) == len(self.values) > 1

    @property
    def holds_sentences(self) -> bool:
        """Whether most values are several words, and hardly any stands twice."""
        several = sum(" " in value for value in self.counts)
        return several > len(self.counts) / 2 and len(self.counts) > len(self.values) / 2

    @property
    def holds_labels(self) -> bool:
        """Whether it has few values, and most of them more than once."""
        return 0 < len(self.counts) <= FEW_VALUES and (len(self.counts) <= len(self.values) / 2 or len(self.values) < 5)


@dataclass(frozen=True)
class TableSample:
    """The first rows of a table."""

    path: Path
    form: str
    """How it is read, in words."""
    columns: list[TableColumn]
    named: bool
    """Whether the file names its columns."""

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return len(self.columns[0].values) if self.columns else 0

    def column(self, key: str | int) -> TableColumn | None:
        """The column of this name or position; None if there is none, or several have the name."""
        if isinstance(key, int):
            return self.columns[key] if 0 <= key < len(self.columns) else None
        found = [column for column in self.columns if column.key == key]
        return found[0] if len(found) == 1 else None


def sample_table(path: Path, columns: ColumnConfig) -> TableSample | None:
    """The first rows of a table; None if its format says by itself what its columns mean.

    Args:
        columns: as they are configured; where one of these names stands in the first line, it names columns.

    Raises:
        DataError: the file cannot be read, or its form is unknown.
    """
    form = form_of(path)
    if form == "zip" or (form == "csv" and is_sentiment140(path)):
        return None
    if form in DELIMITERS:
        return _delimited(path, columns)
    names, rows = _parquet(path) if form == "parquet" else _json_lines(path)
    return _sample(path, {"parquet": "Parquet", "jsonl": "JSON Lines"}[form], list(names), rows)


def _delimited(path: Path, config: ColumnConfig) -> TableSample:
    delimiter = delimiter_of(path)
    with closing(read_lines(path)) as lines:
        records = delimited_records(lines, delimiter)
        found = [one.fields for one in islice(records, SAMPLE_ROWS + 1) if not isinstance(one, Refusal)]
    form = f"{_FORMS[delimiter]} between fields"
    if not found:
        return TableSample(path, form, [], True)
    first, *others = ([field.strip() for field in fields] for fields in found)
    rows = [fields for fields in others if len(fields) == len(first)]
    configured = {one for one in (config.text, config.label, config.user, config.id) if isinstance(one, str)}
    if configured & set(first) or not _looks_like_data(first, rows):
        return _sample(path, form, list(first), rows)
    return _sample(path, form, list(range(len(first))), [first, *rows])


def _looks_like_data(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a tweet like the others: it repeats a label of theirs, or is a sentence itself."""
    for place, name in enumerate(first):
        values = {fields[place] for fields in rows}
        if name and name in values and len(values) <= FEW_VALUES:
            return True
        if len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS_OF_A_NAME:
            return True
    return False


def _json_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    with closing(read_lines(path)) as lines:
        objects = [one for one in map(json_object, islice(lines, SAMPLE_ROWS)) if isinstance(one, dict)]
    names = list(objects[0]) if objects else []
    return names, [[as_text(one.get(name)) for name in names] for one in objects]


def _parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with translated_errors(path):
        try:
            with open_named(path) as opened, pq.ParquetFile(opened) as file:
                names = list(file.schema_arrow.names)
                return names, list(islice(_rows_of(file), SAMPLE_ROWS))
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise DataError(f"{path}: is not a valid Parquet file: {error}") from None


def _rows_of(file: Any) -> Iterator[list[str]]:
    for batch in file.iter_batches(batch_size=SAMPLE_ROWS):
        yield from map(list, zip(*map(_texts, batch.columns), strict=True))


def _texts(column: Any) -> list[str]:
    try:
        return [as_text(value) for value in column.to_pylist()]
    except OverflowError:  # a date after the year 9999; if this column is asked for, reading it says so
        return [""] * len(column)


def _sample(path: Path, form: str, keys: list[Any], rows: list[list[str]]) -> TableSample:
    columns = [TableColumn(key, [fields[place] for fields in rows]) for place, key in enumerate(keys)]
    return TableSample(path, form, columns, named=not any(isinstance(key, int) for key in keys))
