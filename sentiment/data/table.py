"""A user's table: its format by its name, its columns and its raw rows, which every reader of it sees alike."""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import filterfalse, islice
from pathlib import Path
from typing import Any, NamedTuple

from sentiment.errors import ConfigError, DataError, MissingFileError, UsageError, shortened
from sentiment.files import is_gzipped


class RawRow(NamedTuple):
    """A raw row of a table."""

    line: int  # where it begins, counted from 1; in Parquet files and workbooks the number of the row
    fields: Sequence[Any]
    json_object: dict[str, Any] | None = None  # the parsed object (JSON Lines only)
    remarks: tuple[str, ...] = ()  # what may be a mistake in the file, though the row is used


class Refusal(NamedTuple):
    """A row that cannot be used."""

    line: int
    reason: str
    fields: Sequence[Any] = ()  # of a row with too many


RawRows = Iterator[RawRow | Refusal]
Column = str | int  # a column's name, or its position, counted from 0
ReadColumns = Callable[[Collection[int]], RawRows]  # reads the data rows; cells of other columns may be None


class Reason(StrEnum):
    """Why a row cannot be used."""

    EMPTY_TEXT = "empty text"
    EMPTY_LABEL = "empty label"
    NO_TEXT = "text is not a string"
    WRONG_WIDTH = "wrong number of fields"
    NOT_JSON = "not a JSON object"
    LONG_FIELD = f"a field longer than {csv.field_size_limit():,} characters"


# Remarks follow the number of rows.
SEVERAL_LINES = "of several lines"
WINDOWS_1252 = "read as Windows-1252, since it is not valid UTF-8"

# Usual names of columns, in lower case.
ID_NAMES = ("id", "tweet_id", "tweetid", "id_str", "status_id")
TEXT_NAMES = ("text", "tweet", "tweets", "tweet_text", "full_text", "content", "message", "sentence", "body", "review")
LABEL_NAMES = ("label", "labels", "sentiment", "polarity", "class", "target", "airline_sentiment", "mood", "emotion")
AUTHOR_NAMES = ("user", "name", "author", "user_id", "author_id", "username", "user_name", "screen_name",
                "user.id", "user.name", "user.screen_name")  # fmt: skip
MAX_CATEGORIES = 10  # different values of a column of labels
HEAD_ROWS = 2_000  # from which columns and labels are guessed
DELIMITED = ("csv", "tsv")
ENDINGS = ".csv, .tsv, .jsonl (each also with .gz), .parquet, .xlsx"
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".txt": "txt",
}


def format_of(path: Path) -> str:
    """File format by extension: csv, tsv, jsonl, parquet, xlsx or txt."""
    packed = is_gzipped(path)
    format = _FORMATS.get((path.with_suffix("") if packed else path).suffix.lower())
    if format is None or (packed and format not in (*DELIMITED, "jsonl", "txt")):
        if path.is_dir():
            raise MissingFileError(f"{path}: is a directory; name a file in it")
        raise DataError(f"{path}: cannot tell the format from the name; valid endings: {ENDINGS}, .txt")
    return format


@dataclass(frozen=True)
class Table:
    """A table whose rows can be read any number of times.

    Attributes:
        names: of the columns; for JSON Lines the keys of all objects; positions if there is no header.
        sheets: the visible sheets of a workbook, of which the first is read.
        read_raw: yields all rows; the cells of columns that are not asked for may be None where something stands in the
            others. Short rows, as spreadsheets write, have empty cells at their end; longer ones are refused.
    """

    path: Path
    format: str
    names: list[str]
    read_raw: ReadColumns
    has_header: bool = True
    sheets: Sequence[str] = ()
    delimiter: str = ","

    def read(self, columns: Collection[int]) -> RawRows:
        """The rows apart from those in which nothing stands; in a single column these are empty texts."""
        records = self.read_raw(columns)
        return records if len(self.names) == 1 else filterfalse(is_blank, records)

    def read_all(self) -> RawRows:
        """All rows with all of their cells, also those in which nothing stands."""
        return self.read_raw(range(len(self.names)))

    @cached_property
    def head(self) -> list[RawRow | Refusal]:
        """The first rows, from which columns and labels are guessed."""
        return [*islice(self.read(range(len(self.names))), HEAD_ROWS)]

    @cached_property
    def keys(self) -> list[Column]:
        """Of each column its name, or its position if several columns have that name or there is no header."""
        return [name if self.indices(name) == [index] else index for index, name in enumerate(self.names)]

    @cached_property
    def columns(self) -> list[list[str]]:
        """The values of each column in the first rows."""
        rows = [[as_text(field) for field in record.fields] for record in self.head if isinstance(record, RawRow)]
        return [[row[index] for row in rows] for index in range(len(self.names))]

    def values(self, column: Column | None) -> list[str] | None:
        """The values of a column in the first rows; None unless there is exactly one of this name or position."""
        indices = self.indices(column)
        return self.columns[indices[0]] if len(indices) == 1 else None

    def has_own(self, column: Column) -> bool:
        """Whether a column that is not given for this table fits it: positions only fit a table without a header."""
        return self.values(column) is not None and (isinstance(column, str) or not self.has_header)

    def remarks(self) -> list[str]:
        """What is to be told about the file, whatever is read from it."""
        lines = []
        if len(self.sheets) > 1:
            others = ", ".join(map(repr, self.sheets[1:]))
            lines.append(f"sheet {self.sheets[0]!r} is read; not read: {others}")
        if not self.has_header:
            lines.append("the file has no header: the first line is a tweet; columns are numbered from 0")
        return lines

    def indices(self, column: Column | None) -> list[int]:
        """The indices of the columns of a name, or the index itself if it is in range."""
        if isinstance(column, int):
            return [column] if 0 <= column < len(self.names) else []
        return [index for index, name in enumerate(self.names) if name == column and self.has_header]

    def usual_indices(self, names: Sequence[str]) -> list[int]:
        """The indices of the columns with usual names, in the order of `names`; case and a prefix `doc.` count not."""
        lower = [name.strip().lower().removeprefix("doc.") for name in self.names]
        return [index for name in names for index, own in enumerate(lower) if own == name]

    def usual_index(self, names: Sequence[str]) -> int | None:
        """The index of the column with the first of the usual names that occurs; None if none does.

        Raises:
            UsageError: several columns have this name.
        """
        for name in names:
            indices = self.usual_indices([name])
            if len(indices) > 1:
                shown = abbreviated([*map(repr, self.names)])
                raise UsageError(f"{self.path}: has several columns {name!r}; rename all but one: {shown}")
            if indices:
                return indices[0]
        return None

    def index(self, column: Column, origin: str) -> int:
        """The index of a column.

        Raises:
            ConfigError: there is none, or several have its name; begins with `origin`.
        """
        indices = self.indices(column)
        if len(indices) == 1:
            return indices[0]
        problem = f"no column {shortened(str(column)) if isinstance(column, int) else repr(shortened(column))}"
        names = f"the file has {abbreviated([*map(repr, self.names)])}"
        if indices:
            problem = f"several columns are called {column!r}; give the position of one, counted from 0"
        elif isinstance(column, int) or not self.has_header:
            names = f"there are {len(self.names)}, counted from 0"
        raise ConfigError(f"{origin}: {problem}; {names}")


def abbreviated(texts: Sequence[str], separator: str = ", ") -> str:
    """Join texts for a message; of more than 20, the first ones and the number of the others."""
    more = len(texts) - _MAX_SHOWN
    return separator.join([*texts[:_MAX_SHOWN], *([f"and {more:,} more"] if more > 0 else [])])


def are_few(distinct: Collection[str], rows: int) -> bool:
    """Whether the different values of a column are so few that they may be labels."""
    return len(distinct) <= min(MAX_CATEGORIES, rows / 2)


def is_blank(record: RawRow | Refusal) -> bool:
    """Whether nothing stands in the cells of a row."""
    for field in record.fields:
        if as_text(field).strip():
            return False
    return isinstance(record, RawRow)


_MAX_SHOWN = 20
MAX_EXACT = 2**53  # larger floating-point numbers have lost digits
ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)  # a long number as spreadsheets and pandas write it


def as_text(value: Any) -> str:
    """A cell as a string: '' for missing values, 'true' and 'false' for booleans, '3' for 3.0."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return json.dumps(value)
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_EXACT:
        return str(int(value))
    return str(value)
