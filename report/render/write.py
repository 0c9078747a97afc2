"""From sections to Markdown, and from that one source to a folder of files and to a page that needs none of them."""

import csv
import io
from pathlib import Path
from typing import Any

import markupsafe
from jinja2 import Environment, PackageLoader, StrictUndefined

from report.render.blocks import Bullets, Figure, Heading, ReportSection, Table, Text
from report.render.markdown import escape, strong
from report.render.page import render_page
from sentiment.characters import visible
from sentiment.files import write_atomically, write_json

_KINDS = {"text": Text, "heading": Heading, "bullets": Bullets, "figure": Figure}


def environment() -> Environment:
    """Templates that refuse unknown names and escape whatever they print for Markdown and HTML."""
    templates = Environment(
        loader=PackageLoader("report.render"),
        autoescape=True,
        finalize=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.tests |= {name: lambda block, kind=kind: isinstance(block, kind) for name, kind in _KINDS.items()}
    templates.filters |= {"cell": _cell, "html": lambda text: markupsafe.escape(visible(text))}
    return templates


def render_markdown(sections: list[ReportSection]) -> str:
    """The report as GitHub shows it; figures and tables are files beside it."""
    text = environment().get_template("report.md.j2").render(sections=sections)
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]
    return "\n".join(kept).strip() + "\n"


def write_report(sections: list[ReportSection], folder: Path) -> Path:
    """Write `report.md`, its figures and tables, and `report.html`, which holds everything and is returned."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "tables").mkdir(exist_ok=True)
    blocks = [block for section in sections for block in section.blocks]
    figures = [block for block in blocks if isinstance(block, Figure)]
    tables = [block for block in blocks if isinstance(block, Table)]
    for figure in figures:
        _write_text(folder / "figures" / f"{figure.file}.svg", figure.svg)
    for table in tables:
        _write_text(folder / "tables" / f"{table.file}.csv", _csv(table))
        write_json(folder / "tables" / f"{table.file}.json", [_plain(row) for row in table.complete_rows])
    markdown = render_markdown(sections)
    _write_text(folder / "report.md", markdown)
    _write_text(folder / "report.html", render_page(markdown, figures, tables))
    return folder / "report.html"


def _cell(value: Any, is_best: bool = False) -> markupsafe.Markup:
    """Text within a row of a table, in bold if the row is the best."""
    text = strong(value) if is_best else escape(value)
    return markupsafe.Markup(text.replace("\\|", "|").replace("|", "\\|"))  # noqa: S704 - it is escaped


def _plain(row: Any) -> dict[str, Any]:
    return {key: str(value) if hasattr(value, "__html__") else value for key, value in row.items()}


def _csv(table: Table) -> str:
    """All values of all rows, also those that the report does not show."""
    file = io.StringIO()
    rows = table.complete_rows
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(row) for row in rows)
    return file.getvalue()


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
