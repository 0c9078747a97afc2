"""Rows of tables as tweets: the columns and labels that a configuration means, and counts of what cannot be used."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sentiment.config import ColumnConfig, LabelConfig
from sentiment.data.tables import OpenedTable, Refusal
from sentiment.errors import ConfigError, DataError
from sentiment.runs.records import NEGATIVE, POSITIVE, Record


class Row(NamedTuple):
    """A tweet as its source has it.

    Attributes:
        label: NEGATIVE or POSITIVE; None if the label in the file says that the tweet is to be left out.
        line: where the row begins in its file, counted from 1; in Parquet the number of the row.
        lines: how many lines of its file it spans.
    """

    id: str
    user: str | None
    label: int | None
    text: str
    line: int
    lines: int = 1


Rows = Iterator[Row | Refusal]

# What columns of tweets are called.
TEXT_NAMES = ("text", "tweet", "tweets", "tweet_text", "full_text", "content", "message", "sentence", "body", "review")


def has_header(config: ColumnConfig) -> bool:
    """Whether the first line of a delimited file names the columns; it does unless all are given by position."""
    return any(isinstance(column, str) for column in (config.text, config.label, config.user, config.id))


def read_rows(
    table: OpenedTable, columns: ColumnConfig, labels: LabelConfig | None, name: str, field: str = "data"
) -> Rows:
    """The tweets of a table.

    Args:
        labels: what the values of the label column mean; None leaves all rows without a label.
        name: the file's name, for messages.
        field: of the configuration, whose `columns` and `labels` these are, for messages.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: a column is missing, or several have its name.
    """

    def position(role: str) -> int | None:
        column = getattr(columns, role)
        return None if column is None else _position(column, f"{name}: {field}.columns.{role}", table.names)

    text_at, label_at, user_at, id_at = map(position, ("text", "label", "user", "id"))
    places = {place for place in (text_at, label_at, user_at, id_at) if place is not None}
    label_of = _label_reader(labels, name, field)
    assert text_at is not None and label_at is not None  # noqa: PT018, S101  # the configuration names both
    for record in table.read(places):
        if isinstance(record, Refusal):
            yield record
            continue
        line, fields, lines, _ = record
        if len(fields) != len(table.names):
            yield Refusal(line, "wrong number of fields")
        elif reason := why_no_text(text := fields[text_at]):
            yield Refusal(line, reason)
        elif "\0" in text:
            yield Refusal(line, "NUL character")
        elif labels and not as_text(fields[label_at]).strip():
            yield Refusal(line, "empty label")
        else:
            identifier = as_text(fields[id_at]) if id_at is not None else ""
            user = as_text(fields[user_at]).strip() if user_at is not None else ""
            yield Row(identifier or str(line), user or None, label_of(fields[label_at], line), text, line, lines)


def _position(column: str | int, place: str, header: Sequence[str]) -> int:
    if isinstance(column, int):
        if 0 <= column < len(header):
            return column
        raise ConfigError(f"{place}: no column {column}; there are {len(header)}, counted from 0")
    if header.count(column) == 1:
        return header.index(column)
    what = f"several columns are called {column!r}; give its position" if column in header else f"no column {column!r}"
    raise ConfigError(f"{place}: {what}; the file has {', '.join(map(repr, header))}")


def _label_reader(config: LabelConfig | None, name: str, field: str) -> Callable[[Any, int], int | None]:
    if config is None:
        return lambda _value, _line: None
    groups = ((config.negative, NEGATIVE), (config.positive, POSITIVE), (config.ignored, None))
    meanings = {label.strip().lower(): meaning for group, meaning in groups for label in group}

    def label_of(value: Any, line: int) -> int | None:
        word = value if isinstance(value, str) and value in meanings else as_text(value).strip().lower()
        if word not in meanings:
            shown = as_text(value)[:60] + "…" * (len(as_text(value)) > 60)
            raise DataError(
                f"{name}:{line}: unknown label {shown!r}; known are {', '.join(map(repr, meanings))}: add it to "
                f"{field}.labels.negative, .positive or .ignored"
            )
        return meanings[word]

    return label_of


def as_text(value: Any) -> str:
    """A cell as text: the empty text for a missing value, and no decimal point in a whole number."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def why_no_text(value: object) -> str | None:
    """Why a value is not the text of a tweet; None if it is."""
    if isinstance(value, str):
        return None if value.strip() else "empty text"
    return "empty text" if value is None else "text is not a string"


_EXAMPLES = 5
# What is said of records with line breaks in quotes, since a quote too many would look the same.
SPANNING = "span several lines"


class CountedLines(Record):
    """Rows with one thing in common, and the lines at which the first few begin."""

    count: int
    lines: list[int]

    def __str__(self) -> str:
        """The lines, as in `line 3, 8, …`."""
        return f"line {', '.join(map(str, self.lines))}" + (", …" if self.count > len(self.lines) else "")


class RowCounter:
    """Counts rows by reason."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, list[int]]] = {}

    def add(self, reason: str, line: int) -> None:
        """Count a row."""
        count, lines = self._found.get(reason, (0, []))
        self._found[reason] = count + 1, [*lines, line][:_EXAMPLES]

    def total(self, apart_from: Iterable[str] = ()) -> int:
        """The number of rows that were counted for other reasons than these."""
        return sum(count for reason, (count, _) in self._found.items() if reason not in apart_from)

    def counted(self) -> dict[str, CountedLines]:
        """The rows by reason, in the order in which the reasons were first met."""
        return {reason: CountedLines(count=count, lines=lines) for reason, (count, lines) in self._found.items()}

    def most_common(self, apart_from: Iterable[str] = ()) -> str:
        """All reasons but these, the most frequent first, as in `12 empty text (line 3, 8); 1 empty label (line 4)`."""
        found = sorted(self.counted().items(), key=lambda pair: -pair[1].count)
        return "; ".join(f"{rows.count:,} {reason} ({rows})" for reason, rows in found if reason not in apart_from)
