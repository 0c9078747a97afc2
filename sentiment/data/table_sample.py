"""The first rows of a table whose columns are not known yet."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.config import ColumnConfig
from sentiment.data.tables.opened import DELIMITERS, form_of, open_table
from sentiment.data.tables.rows import TableRecord, as_text
from sentiment.data.tables.sentiment140 import is_sentiment140

SAMPLE_ROWS = 2_000
_LONGEST_NAME = 40
_MOST_WORDS_OF_A_NAME = 3
FEW_VALUES = 10
"""A column with more different values holds no labels."""

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_FORMS = {"jsonl": "JSON Lines", "parquet": "Parquet", "xlsx": "a workbook"}


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
    table = open_table(path, lambda _: False)
    found = islice(table.records(range(len(table.names))), SAMPLE_ROWS + 1)
    rows = [[_shown(value) for value in one.fields] for one in found if isinstance(one, TableRecord)]
    keys: list[Any] = table.names
    if form in (*DELIMITERS, "xlsx"):
        whole = [[field.strip() for field in fields] for fields in rows if len(fields) == table.width]
        first, *others = whole or [[]]  # none if what comes before them is refused
        configured = {one for one in (columns.text, columns.label, columns.user, columns.id) if isinstance(one, str)}
        named = bool(configured & set(first)) or not _looks_like_data(first, others)
        keys, rows = (first, others) if named else (list(range(len(first))), [first, *others])
    sample = [TableColumn(key, [fields[place] for fields in rows]) for place, key in enumerate(keys)]
    words = f"{_DELIMITERS[table.delimiter]} between fields" if form in DELIMITERS else _FORMS[form]
    return TableSample(path, words, sample, named=not any(isinstance(key, int) for key in keys))


def _shown(value: Any) -> str:
    """A value as text; none for what holds other values, whose fields are columns themselves."""
    return "" if isinstance(value, dict | list) else as_text(value)


def _looks_like_data(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a tweet like the others: it repeats a label of theirs, or is a sentence itself."""
    for place, name in enumerate(first):
        values = {fields[place] for fields in rows}
        if name and name in values and len(values) <= FEW_VALUES:
            return True
        if len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS_OF_A_NAME:
            return True
    return False
