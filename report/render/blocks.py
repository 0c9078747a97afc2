"""What a report consists of: sections of paragraphs, lists, figures and tables, whatever the output format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from report.render import wording
from report.render.charts import Figure
from report.statistics import Estimate

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """Rows are sorted by the plain value under `key`; `show` puts it into words."""

    title: str
    key: str
    show: Callable[[Row], Any]
    numeric: bool = True


_SHOWN: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: value,
    "percent": wording.percent,
    "points": wording.points,
    "count": wording.count,
    "duration": wording.duration,
    "p": wording.p_value,
}


def column(title: str, key: str, kind: str = "text") -> Column:
    """A column of what the rows have under `key`, with its interval where they have `<key>_low` and `<key>_high`, or
    its standard deviation where they have `<key>_sd`.

    Args:
        kind: `text`, `percent` (of a share), `points` (a difference of shares), `count`, `duration` (seconds), `p`, or
            a format of numbers.
    """
    write = _SHOWN.get(kind) or (lambda value: format(value, kind))

    def show(row: Row) -> Any:
        value, low, high, deviation = (row.get(f"{key}{end}") for end in ("", "_low", "_high", "_sd"))
        if value is None:
            return wording.DASH
        if deviation is not None:
            return f"{write(value)} \u00b1 {write(deviation)}"
        bounds = wording.bounds(low, high, write)
        return f"{write(value)}{bounds}" if bounds else write(value)

    return Column(title, key, show, numeric=kind != "text")


def with_bounds(key: str, estimate: Estimate | None) -> dict[str, float | None]:
    """The values of a row that a column shows with their interval: `<key>`, `<key>_low` and `<key>_high`."""
    if estimate is None:
        return {}
    return {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}


@dataclass(frozen=True)
class Table:
    """Rows of plain values, all of which are written to CSV, and the columns that a reader sees.

    A row may lack values; they count as None.

    Attributes:
        caption: empty in a fold, whose title says it.
        best: the row to show in bold.
    """

    name: str
    caption: Any
    columns: list[Column]
    rows: Sequence[Row]
    best: Row | None = None

    @property
    def file(self) -> str:
        return wording.file_name(self.name)


@dataclass(frozen=True)
class Text:
    """A paragraph; the lead says the most important thing of its section.

    A heading stands above a part of it; a note is what a user wrote in Markdown, shown without any HTML or picture.
    """

    text: Any
    style: Literal["plain", "lead", "heading", "note"] = "plain"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: list[Any]


@dataclass(frozen=True)
class Facts:
    """Short answers, each with what it answers."""

    items: list[tuple[str, Any]]


@dataclass(frozen=True)
class Command:
    """A line to type, with what it is for, and a button that copies it."""

    what: str
    text: str


@dataclass(frozen=True)
class Card:
    """One question with its answer, and what stands behind that."""

    title: Any
    blocks: "Sequence[Block]"

    @property
    def is_half(self) -> bool:
        """Whether it shares its row: where all that it holds is as narrow."""
        return all(
            block.is_half if isinstance(block, Figure) else isinstance(block, Text) and block.style == "plain"
            for block in self.blocks
        )


@dataclass(frozen=True)
class Fold:
    """What is hidden until a reader opens it."""

    title: str
    blocks: "Sequence[Block]"


@dataclass(frozen=True)
class Explorer:
    """Where the page lets readers ask the data, plain values; without scripts, what stands in it is all."""

    data: dict[str, Any] = field(repr=False)
    blocks: "Sequence[Block]"


Block = Table | Figure | Text | Bullets | Facts | Command | Card | Fold | Explorer


@dataclass(frozen=True)
class Question:
    """A question that runs answer.

    Attributes:
        cards: none where no run answers it.
        numbers: tables that stand behind the cards, hidden until a reader opens them.
        methods: how its numbers are computed, each by its name, as far as *Methods* does not say so for all.
        problems: files of runs that cannot be read, by name.
    """

    cards: Sequence[Card]
    numbers: Sequence[Block] = ()
    methods: Sequence[tuple[str, str]] = ()
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class ReportSection:
    """One question of the reader, answered."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """Everything that is written.

    Attributes:
        about: on which tweets and runs, and when.
        reload: after how many seconds the page loads itself anew; None is never.
    """

    title: str
    about: list[Any]
    sections: list[ReportSection]
    reload: int | None = None

    @property
    def blocks(self) -> list[Block]:
        return [one for section in self.sections for block in section.blocks for one in _with_contents(block)]


def _with_contents(block: Block) -> list[Block]:
    inner = block.blocks if isinstance(block, Card | Fold | Explorer) else ()
    return [block, *(one for each in inner for one in _with_contents(each))]
