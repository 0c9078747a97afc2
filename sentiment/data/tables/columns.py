"""Which fields of a row are the text, the label, the author and the identifier."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from sentiment.config import ColumnConfig
from sentiment.data.tables.rows import LabelReader, Refusal, Row, TableRecord, as_text
from sentiment.errors import ConfigError

TEXT_NAMES = ("text", "tweet", "tweets", "tweet_text", "full_text", "content", "message", "sentence", "body", "review")
"""What columns of tweets are called."""


@dataclass(frozen=True)
class Columns:
    """Positions in a row, counted from 0; None if there is no such column."""

    text: int
    label: int
    user: int | None
    id: int | None
    width: int
    """Number of fields in a row."""

    @classmethod
    def find(cls, config: ColumnConfig, header: Sequence[str], name: str) -> "Columns":
        """Find the configured columns.

        Args:
            config: the columns by name or position.
            header: the names of all columns of the file.
            name: the file's name, for messages.

        Raises:
            ConfigError: a column is missing, or several have its name.
        """
        return cls(
            text=_position(config.text, "text", header, name),
            label=_position(config.label, "label", header, name),
            user=None if config.user is None else _position(config.user, "user", header, name),
            id=None if config.id is None else _position(config.id, "id", header, name),
            width=len(header),
        )

    def places(self) -> set[int]:
        """The positions."""
        return {place for place in (self.text, self.label, self.user, self.id) if place is not None}

    def row(self, record: TableRecord | Refusal, labels: LabelReader) -> Row | Refusal:
        """Pick the fields of a row, or say why the row cannot be used.

        Args:
            labels: turns the label field into a label.

        Raises:
            DataError: the label is unknown.
        """
        if isinstance(record, Refusal):
            return record
        line, fields, lines, _ = record
        if len(fields) != self.width:
            return Refusal(line, "wrong number of fields")
        text = fields[self.text]
        if not isinstance(text, str) or not text.strip():
            return Refusal(line, why_no_text(text) or "")
        if "\0" in text:
            return Refusal(line, "NUL character")
        if not (label := as_text(fields[self.label])).strip():
            return Refusal(line, "empty label")
        identifier = as_text(fields[self.id]) if self.id is not None else ""
        user = as_text(fields[self.user]).strip() if self.user is not None else ""
        return Row(identifier or str(line), user or None, labels(label, line), text, line, lines)


def why_no_text(value: object) -> str | None:
    """Why a value is not the text of a tweet; None if it is."""
    if isinstance(value, str):
        return None if value.strip() else "empty text"
    return "empty text" if value is None else "text is not a string"


def has_header(config: ColumnConfig) -> bool:
    """Whether the first line of a delimited file names the columns; it does unless all are given by position."""
    given = (config.text, config.label, config.user, config.id)
    return any(isinstance(column, str) for column in given)


def _position(column: str | int, role: str, header: Sequence[str], name: str) -> int:
    place = f"{name}: data.columns.{role}"
    if isinstance(column, int):
        if 0 <= column < len(header):
            return column
        raise ConfigError(f"{place}: no column {column}; there are {len(header)}, counted from 0")
    if header.count(column) == 1:
        return header.index(column)
    found = ", ".join(map(repr, header))
    if column in header:
        raise ConfigError(f"{place}: several columns are called {column!r}; give its position among {found}")
    close = difflib.get_close_matches(column, header, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ConfigError(f"{place}: no column {column!r}; the file has {found}{hint}")
