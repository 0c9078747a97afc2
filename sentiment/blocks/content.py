"""What is told, whatever the format: sentences, lists, and tables of plain values with their intervals."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from sentiment.blocks import wording
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate

# The values of a row, by the keys of columns; and other values by name.
Row = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """The scale on which a column's intervals are drawn, with a line at a reference; all are shares.

    An interval that begins below `low` is not drawn.
    """

    low: float
    high: float
    reference: float

    @classmethod
    def of(cls, rows: Sequence[Row], key: str, reference: float) -> Self:
        """The scale that all values of a column and their bounds are on, with some space at both ends."""
        values = [row[name] for row in rows for name in (key, f"{key}_low", f"{key}_high") if row[name] is not None]
        space = 0.04 * (max(values) - min(values)) + 0.001
        return cls(min(values) - space, max(values) + space, reference)

    def holds(self, low: float | None) -> bool:
        """Whether an interval with this lower bound is on the scale."""
        return low is not None and low >= self.low

    def place(self, value: float) -> str:
        """Where a value stands, in per cent of the width."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"


@dataclass(frozen=True)
class Column:
    """A column of a table: rows are sorted by the plain value under `key`, which `show` formats.

    Attributes:
        kind: how values are written, see `column`.
        scale: that on which the page draws the value with its interval; None draws none.
    """

    title: str
    key: str
    show: Callable[[Row], Any]
    kind: str = "text"
    scale: Scale | None = None

    @property
    def numeric(self) -> bool:
        return self.kind != "text"


_SHOWN: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: value,
    "percent": words.percent,
    "points": words.points,
    "count": wording.count,
    "duration": wording.duration,
    "p": words.p_value,
}


def column(title: str, key: str, kind: str = "text", missing: str = words.DASH) -> Column:
    """A column for the row value `key`.

    Its interval is shown if the rows have `<key>_low` and `<key>_high`, its standard deviation if they have `<key>_sd`.

    Args:
        kind: `text`, `percent` (of a share), `points` (a difference of shares), `count`, `duration` (seconds), `p`, or
            a format specification, such as `.3f`.
        missing: is shown where there is no value.
    """
    write = _SHOWN.get(kind) or (lambda value: format(value, kind))
    low = f"{key}_low"
    high = f"{key}_high"
    deviation = f"{key}_sd"

    def show(row: Row) -> Any:
        value = row.get(key)
        if value is None:
            return missing
        if row.get(deviation) is not None:
            return f"{write(value)} \u00b1 {write(row[deviation])}"
        bounds = words.bounds(row.get(low), row.get(high), write)
        return f"{write(value)}{words.bracketed(bounds)}" if bounds else write(value)

    return Column(title, key, show, kind)


# Of each column its title, the key of its values, its kind, and what stands in the place of a missing value; the last
# two may be left out. See `column`; a kind that ends with `?` is shown only where a row has a value, and with `!` only
# where values differ; zero is none but in shares.
Titles = Sequence[Sequence[str]]


def columns(titles: Titles, rows: Sequence[Row], **placeholders: str) -> list[Column]:
    """The columns that are shown of some rows; `placeholders` are filled into titles and keys."""
    shown = []
    for title, key, *rest in titles:
        kind, *missing = rest or ["text"]
        name = key.format(**placeholders)
        if _is_shown(kind, [row.get(name) for row in rows]):
            shown.append(column(title.format(**placeholders), name, kind.rstrip("?!"), *missing))
    return shown


def _is_shown(kind: str, values: Sequence[Any]) -> bool:
    """Whether a column whose kind is marked has a value (`?`), or different ones (`!`)."""
    no_value = (None, "") if kind in ("percent?", "points?") else (None, "", 0)
    known = {value for value in values if value not in no_value}
    return len(known) > 1 if kind.endswith("!") else bool(known) or not kind.endswith("?")


def with_bounds(key: str, estimate: Estimate | None) -> dict[str, float | None]:
    """The values of a row that a column shows with their interval: `<key>`, `<key>_low` and `<key>_high`."""
    if estimate is None:
        return {}
    return {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}


@dataclass(frozen=True)
class DataTable:
    """Rows of plain values, all of which are written to CSV, and the columns that a reader sees.

    A row may lack values; they count as None.

    Attributes:
        caption: empty within `Details`, whose title is the caption.
        best: the row to show in bold.
        left_out: the rows that the CSV file alone has, by their positions.
    """

    name: str
    caption: Any
    columns: list[Column]
    rows: Sequence[Row]
    best: Row | None = None
    left_out: Collection[int] = ()

    def drawn(self, key: str, scale: Scale) -> Self:
        """The table with the intervals of a column drawn on a scale."""
        columns = [replace(column, scale=scale) if column.key == key else column for column in self.columns]
        return replace(self, columns=columns)

    @property
    def shown(self) -> list[Row]:
        return [row for position, row in enumerate(self.rows) if position not in self.left_out]

    @property
    def file(self) -> str:
        return wording.file_name(self.name)


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        style: `lead` is the key sentence of a section, `heading` a heading within it, `note` a user's Markdown, shown
            without HTML and pictures.
    """

    text: Any
    style: Literal["plain", "lead", "heading", "note"] = "plain"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: Sequence[Any]


@dataclass(frozen=True)
class Tiles:
    """Tiles: terms, each with its value."""

    items: Sequence[tuple[Any, Any]]


# What every format can show, also a terminal.
Content = DataTable | Text | Bullets | Tiles
