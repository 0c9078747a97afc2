"""What a report consists of: sections of paragraphs, lists, figures and tables, free of any output format."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from report.analysis.statistics import Estimate
from report.render import wording

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table: its rows are sorted by the plain value, and show it in words."""

    title: str
    key: str
    show: Callable[[Row], Any]
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of plain values, all of which go to CSV and JSON, and the columns that a reader sees."""

    name: str
    """Of its files, once `file` has made it fit for that."""
    caption: str
    columns: list[Column]
    rows: Sequence[Row]
    folded: bool = False
    """Whether a reader has to ask for it."""
    best: Any = None
    """The row in bold is the one whose `rank` it is."""

    @property
    def file(self) -> str:
        """Its name without ending."""
        return _file_name(self.name)

    def is_best(self, row: Row) -> bool:
        """Whether to show a row in bold."""
        return self.best is not None and bool(row["rank"] == self.best)


@dataclass(frozen=True)
class Figure:
    """A drawing and what it says."""

    name: str
    alt: str
    """For those who cannot see it, and its title."""
    caption: str
    """How to read it; names the test and n."""
    svg: str = field(repr=False)

    @property
    def file(self) -> str:
        """Its name without ending."""
        return _file_name(self.name)


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: Any


@dataclass(frozen=True)
class Bullets:
    """Sentences that stand side by side."""

    items: list[Any]


@dataclass(frozen=True)
class Heading:
    """Of a part of a section."""

    text: str


Block = Table | Figure | Text | Bullets | Heading


@dataclass(frozen=True)
class ReportSection:
    """One question of the reader, answered."""

    title: str
    blocks: list[Block]


def _file_name(name: str) -> str:
    """A grid may be called anything; a file is better not."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)


def text(title: str, key: str) -> Column:
    """Words as they are."""
    return Column(title, key, lambda row: wording.DASH if row[key] is None else row[key], numeric=False)


def percent(title: str, key: str) -> Column:
    """A share in per cent; with its standard deviation where the row has `<key>_sd`."""

    def show(row: Row) -> str:
        deviation = row.get(f"{key}_sd")
        shown = wording.percent(row[key])
        return shown if deviation is None else f"{shown} \u00b1 {wording.percent(deviation)}"

    return Column(title, key, show)


def interval(title: str, key: str) -> Column:
    """A share in per cent with its interval, `<key>_low` to `<key>_high`."""

    def show(row: Row) -> str:
        if row[key] is None:
            return wording.DASH
        low, high = row[f"{key}_low"], row[f"{key}_high"]
        interval = "" if low is None or high is None else f" ({wording.percent_range(low, high)})"
        return f"{wording.percent(row[key])}{interval}"

    return Column(title, key, show)


def points(title: str, key: str) -> Column:
    """A difference in points."""
    return Column(title, key, lambda row: wording.points(row[key]))


def difference(title: str, key: str) -> Column:
    """A difference in points with its interval, `<key>_low` to `<key>_high`."""

    def show(row: Row) -> str:
        low, high = row[f"{key}_low"], row[f"{key}_high"]
        interval = "" if low is None else f" ({wording.points(low)} to {wording.points(high)})"
        return f"{wording.points(row[key])}{interval}"

    return Column(title, key, show)


def with_bounds(key: str, estimate: Estimate | None) -> dict[str, float | None]:
    """What `interval` and `difference` show: `<key>`, `<key>_low` and `<key>_high`."""
    if estimate is None:
        return dict.fromkeys((key, f"{key}_low", f"{key}_high"))
    return {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}


def count(title: str, key: str) -> Column:
    """A whole number."""
    return Column(title, key, lambda row: wording.count(row[key]))


def number(title: str, key: str, digits: int) -> Column:
    """A number with so many digits behind the point."""
    return Column(title, key, lambda row: wording.DASH if row[key] is None else f"{row[key]:,.{digits}f}")


def duration(title: str, key: str) -> Column:
    """Seconds in a fitting unit."""
    return Column(title, key, lambda row: wording.duration(row[key]))


def p_value(title: str, key: str) -> Column:
    """A probability."""
    return Column(title, key, lambda row: wording.p_value(row[key]))
