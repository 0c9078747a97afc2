"""What a report consists of: sections of paragraphs, lists, figures and tables, whatever the output format."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from report.render import wording
from report.render.drawing import HALF, NARROW, WIDE, Spec, draw
from report.statistics import Estimate
from sentiment.console import visible

Row = Mapping[str, Any]

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Column:
    """One column of a table: rows are sorted by the plain value under `key`; `show` puts it into words."""

    title: str
    key: str
    show: Callable[[Row], Any]
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of plain values, all of which are written to CSV and JSON, and the columns that a reader sees.

    A row may lack values; they count as None, except for a column that says in its own way how it shows them.
    """

    name: str
    """What its files are called after."""
    caption: str
    columns: list[Column]
    rows: Sequence[Row]
    folded: bool = False
    """Whether it is hidden until a reader opens it."""
    best: Any = None
    """The `rank` of the row to show in bold."""

    @property
    def file(self) -> str:
        """The name of its files, without ending."""
        return _file_name(self.name)

    @property
    def complete_rows(self) -> list[dict[str, Any]]:
        """Its rows, each with all values that any of them has."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        return [{name: row.get(name) for name in names} for row in self.rows]

    def is_best(self, row: Row) -> bool:
        """Whether to show a row in bold."""
        return self.best is not None and bool(row.get("rank") == self.best)


@dataclass(frozen=True)
class Figure:
    """A drawing and what it says."""

    name: str
    alt: str
    """What it shows, for readers who cannot see it; also its title."""
    caption: str
    """How to read it, with the test and n."""
    build: Callable[[int], Spec] = field(repr=False)
    """Its specification in Vega-Lite for a width in pixels."""
    is_half: bool = False
    """Whether it shares its row with another one where there is room."""

    @property
    def file(self) -> str:
        """The name of its files, without ending."""
        return _file_name(self.name)

    @cached_property
    def spec(self) -> Spec:
        """Its specification, as wide as it is on a screen."""
        return self.build(HALF if self.is_half else WIDE)

    @cached_property
    def svg(self) -> str:
        """Its drawing for screens and paper."""
        return draw(self.spec, visible(self.alt))

    @cached_property
    def narrow_svg(self) -> str:
        """Its drawing for phones."""
        return draw(self.build(NARROW), visible(self.alt))


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: Any
    is_lead: bool = False
    """Whether it says the most important thing of its section."""


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: list[Any]


@dataclass(frozen=True)
class Heading:
    """The heading of a part of a section."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Short answers, each with what it answers."""

    items: list[tuple[str, Any]]


@dataclass(frozen=True)
class Command:
    """A line to type, with a button that copies it."""

    what: str
    """What it is for."""
    text: str


@dataclass(frozen=True)
class Document:
    """A text in a format of its own, which is a file of the report too; with a button that copies it."""

    file: str
    """The name of its file."""
    text: str


@dataclass(frozen=True)
class Card:
    """One question with its answer, and what stands behind that."""

    title: Any
    blocks: "list[Block]"

    @property
    def is_half(self) -> bool:
        """Whether it shares its row: where all that it holds is as narrow."""
        return all(block.is_half if isinstance(block, Figure) else isinstance(block, Text) for block in self.blocks)


@dataclass(frozen=True)
class Fold:
    """What is hidden until a reader opens it."""

    title: str
    blocks: "list[Block]"


@dataclass(frozen=True)
class Explorer:
    """Where the page lets readers ask the data; without scripts, what stands in it is all."""

    data: dict[str, Any] = field(repr=False)
    """What the page's script works with; plain values."""
    blocks: "list[Block]"


Block = Table | Figure | Text | Bullets | Heading | Facts | Command | Document | Card | Fold | Explorer
KINDS = {
    **{"text": Text, "heading": Heading, "bullets": Bullets, "figure": Figure, "facts": Facts, "command": Command},
    **{"document": Document, "card": Card, "fold": Fold, "explorer": Explorer},
}
"""What templates call them; what is none of these is a table."""


@dataclass(frozen=True)
class ReportSection:
    """One question of the reader, answered."""

    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Report:
    """Everything that is written."""

    title: str
    about: list[Any]
    """What it is about: tweets, date, runs."""
    sections: list[ReportSection]

    @property
    def blocks(self) -> list[Block]:
        """All blocks, also those within others, in the order of the document."""
        return list(_unfolded(block for section in self.sections for block in section.blocks))


def _unfolded(found: Iterable[Block]) -> Iterator[Block]:
    for block in found:
        yield block
        if isinstance(block, Card | Fold | Explorer):
            yield from _unfolded(block.blocks)


def _file_name(name: str) -> str:
    """The name without what troubles file systems; a grid's folder may be called anything.

    What had to be changed has a part of its hash, so that different names stay different files.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:_LONGEST_NAME]
    return plain if plain == name else f"{plain}-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def text(title: str, key: str) -> Column:
    """A column of words, shown as they are."""
    return Column(title, key, lambda row: wording.DASH if row.get(key) is None else row[key], numeric=False)


def percent(title: str, key: str) -> Column:
    """A column of shares in per cent, with the standard deviation where the row has `<key>_sd`."""

    def show(row: Row) -> str:
        deviation = row.get(f"{key}_sd")
        shown = wording.percent(row.get(key))
        return shown if deviation is None else f"{shown} \u00b1 {wording.percent(deviation)}"

    return Column(title, key, show)


def interval(title: str, key: str) -> Column:
    """A column of shares in per cent with their intervals, `<key>_low` to `<key>_high`."""

    def show(row: Row) -> str:
        if row.get(key) is None:
            return wording.DASH
        low, high = row[f"{key}_low"], row[f"{key}_high"]
        interval = "" if low is None or high is None else f" ({wording.percent_range(low, high)})"
        return f"{wording.percent(row[key])}{interval}"

    return Column(title, key, show)


def points(title: str, key: str) -> Column:
    """A column of differences in points."""
    return Column(title, key, lambda row: wording.points(row.get(key)))


def difference(title: str, key: str) -> Column:
    """A column of differences in points with their intervals, `<key>_low` to `<key>_high`."""

    def show(row: Row) -> str:
        low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
        interval = "" if low is None else f" ({wording.points(low)} to {wording.points(high)})"
        return f"{wording.points(row.get(key))}{interval}"

    return Column(title, key, show)


def with_bounds(key: str, estimate: Estimate) -> dict[str, float | None]:
    """The values of a row that `interval` and `difference` show: `<key>`, `<key>_low` and `<key>_high`."""
    return {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}


def count(title: str, key: str) -> Column:
    """A column of whole numbers."""
    return Column(title, key, lambda row: wording.count(row.get(key)))


def number(title: str, key: str, digits: int) -> Column:
    """A column of numbers with so many digits behind the point."""
    return Column(title, key, lambda row: wording.DASH if row.get(key) is None else f"{row[key]:,.{digits}f}")


def duration(title: str, key: str) -> Column:
    """A column of seconds, each in the unit that suits it."""
    return Column(title, key, lambda row: wording.duration(row.get(key)))


def p_value(title: str, key: str) -> Column:
    """A column of p-values."""
    return Column(title, key, lambda row: wording.p_value(row.get(key)))
