"""The parts of a report in any format: sections of paragraphs, lists, figures and tables."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import pandas as pd

from report.render import wording
from report.render.charts import Figure
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


def columns(table: str, rows: Sequence[Row], **placeholders: str) -> list[Column]:
    """The columns of `tables.yaml` for some rows; `placeholders` are filled into titles and keys."""
    shown = []
    for title, key, *rest in wording.read_texts("tables")[table]:
        kind, *missing = rest or ["text"]
        name = key.format(**placeholders)
        if _is_shown(kind, [row.get(name) for row in rows]):
            shown.append(column(title.format(**placeholders), name, kind.rstrip("?!"), *missing))
    return shown


def _is_shown(kind: str, values: Sequence[Any]) -> bool:
    """Whether a column whose kind is marked has a value (`?`), or different ones (`!`)."""
    no_value = (None, "", 0) if kind in ("duration?", "count?") else (None, "")
    known = {value for value in values if value not in no_value}
    return len(known) > 1 if kind.endswith("!") else bool(known) or not kind.endswith("?")


def with_bounds(key: str, estimate: Estimate | None) -> dict[str, float | None]:
    """The values of a row that a column shows with their interval: `<key>`, `<key>_low` and `<key>_high`."""
    if estimate is None:
        return {}
    return {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}


@dataclass(frozen=True)
class ReportTable:
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

    @cached_property
    def csv(self) -> str:
        return pd.DataFrame(self.rows, dtype=object).to_csv(index=False)


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


@dataclass(frozen=True)
class Command:
    """A shell command with its purpose and a copy button."""

    purpose: str
    text: str


@dataclass(frozen=True)
class Card:
    """A titled card: question, answer, evidence."""

    title: Any
    blocks: "Sequence[Block]"


@dataclass(frozen=True)
class Details:
    """A collapsible part of the page, closed at first."""

    title: str
    blocks: "Sequence[Block]"


@dataclass(frozen=True)
class Explorer:
    """The interactive run explorer with its data; without JavaScript only `blocks` are shown."""

    data: Row = field(repr=False)
    blocks: "Sequence[Block]"


Block = ReportTable | Figure | Text | Bullets | Tiles | Command | Card | Details | Explorer


@dataclass(frozen=True)
class Question:
    """A research question that runs answer.

    Attributes:
        cards: none if no run answers it.
        numbers: detail tables, collapsed.
        methods: names of `methods.yaml`, further entries of *Methods*.
        answers: sentences on the first screen.
        section: the title of a section of its own, and its blocks.
        documents: further files.
    """

    cards: Sequence[Card] = ()
    numbers: Sequence[Block] = ()
    methods: Sequence[str] = ()
    answers: Sequence[Any] = ()
    section: "ReportSection | None" = None
    documents: "Sequence[Document]" = ()


@dataclass(frozen=True)
class ReportSection:
    """A section of the report, with its heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A further file of the report, LaTeX or Markdown, with a template of its own.

    Attributes:
        path: relative to the folder of the report.
        values: what the template shows; it is escaped.
    """

    path: str
    template: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """Everything that is written.

    Attributes:
        about: items of the subtitle: data set, runs, date.
        documents: what is written beside the page.
    """

    title: str
    about: list[Any]
    sections: list[ReportSection]
    documents: Sequence[Document] = ()

    @property
    def blocks(self) -> list[Block]:
        return _flatten(block for section in self.sections for block in section.blocks)


def _flatten(blocks: Iterable[Block]) -> list[Block]:
    """The blocks, each followed by the blocks within it."""
    flat: list[Block] = []
    for block in blocks:
        flat.append(block)
        if isinstance(block, Card | Details | Explorer):
            flat += _flatten(block.blocks)
    return flat
