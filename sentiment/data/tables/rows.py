"""What every source gives: labelled rows, and refusals of what can't be one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Row(NamedTuple):
    """A tweet as its source has it."""

    id: str
    user: str | None
    label: int | None
    """0 negative, 1 positive; None if its label says that it is to be left out."""
    text: str
    line: int
    """Where it begins in its file, counted from 1; in Parquet the row's number."""


class Refusal(NamedTuple):
    """A row that can't be used."""

    line: int
    reason: str


Rows = Iterator[Row | Refusal]


@dataclass(frozen=True)
class Source:
    """A file of tweets that can be read any number of times."""

    name: str
    """How messages call it: its path, or the name in the configuration."""
    sha256: str
    """Of the bytes that the rows come from."""
    form: str
    """How these bytes are read; two forms may read the same bytes differently."""
    read: Callable[[], Rows]
    """Reads all rows in file order. Raises DataError (or ConfigError for columns that the file doesn't have)."""
    total: int | None = None
    """How many rows there are, where that is known beforehand."""
