"""What a report consists of: sections of paragraphs, lists, figures and tables, whatever the output format."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from report.render import wording
from report.render.charts import Figure
from report.statistics import Estimate

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table: rows are sorted by the plain value under `key`; `show` puts it into words."""

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
    write: Callable[[Any], Any] = _SHOWN.get(kind) or (lambda value: format(value, kind))

    def show(row: Row) -> Any:
        value, low, high, deviation = (row.get(f"{key}{end}") for end in ("", "_low", "_high", "_sd"))
        if value is None:
            return wording.DASH
        if deviation is not None:
            return f"{write(value)} \u00b1 {write(deviation)}"
        if low is None or high is None:
            return write(value)
        return f"{write(value)} ({write(low)}{' to ' if kind == 'points' else wording.DASH}{write(high)})"

    return Column(title, key, show, numeric=kind != "text")


def with_bounds(key: str, estimate: Estimate | None) -> dict[str, float | None]:
    """The values of a row that a column shows with their interval: `<key>`, `<key>_low` and `<key>_high`."""
    if estimate is None:
        return {}
    return {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}


@dataclass(frozen=True)
class Table:
    """Rows of plain values, all of which are written to CSV, and the columns that a reader sees.

    A row may lack values; they count as None, except for a column that says in its own way how it shows them.

    Attributes:
        folded: whether it is hidden until a reader opens it.
        best: the row to show in bold.
    """

    name: str
    caption: Any
    columns: list[Column]
    rows: Sequence[Row]
    folded: bool = False
    best: Row | None = None

    @property
    def file(self) -> str:
        return wording.file_name(self.name)


@dataclass(frozen=True)
class Text:
    """A paragraph; the lead says the most important thing of its section."""

    text: Any
    is_lead: bool = False


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
        return all(block.is_half if isinstance(block, Figure) else isinstance(block, Text) for block in self.blocks)


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


@dataclass(frozen=True)
class Note:
    """What a user wrote in Markdown, shown as that, but without any HTML or picture."""

    text: str


Block = Table | Figure | Text | Bullets | Heading | Facts | Command | Card | Fold | Explorer | Note


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
        return list(_unfolded(block for section in self.sections for block in section.blocks))


def _unfolded(found: Iterable[Block]) -> Iterator[Block]:
    for block in found:
        yield block
        if isinstance(block, Card | Fold | Explorer):
            yield from _unfolded(block.blocks)
