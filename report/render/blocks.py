"""What only a report has: figures, cards and details, questions, sections and documents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from report.render.charts import Figure
from report.render.wording import read_texts
from sentiment.blocks.content import Column, Content, Row, columns


def columns_of(table: str, rows: Sequence[Row], **placeholders: str) -> list[Column]:
    """The columns of `tables.yaml` that are shown of some rows, as in `columns`."""
    return columns(read_texts("tables")[table], rows, **placeholders)


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


Block = Content | Figure | Command | Card | Details | Explorer


@dataclass(frozen=True)
class Question:
    """A research question that runs answer.

    Attributes:
        cards: none if no run answers it.
        numbers: detail tables, collapsed.
        answers: sentences on the first screen.
        section: the title of a section of its own, and its blocks.
        documents: further files.
    """

    cards: Sequence[Card] = ()
    numbers: Sequence[Block] = ()
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
    """A further file of the report, LaTeX or Markdown.

    Attributes:
        path: relative to the folder of the report.
        template: `table.tex.j2` shows a `DataTable`, the value `table`, as LaTeX.
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
