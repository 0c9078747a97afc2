"""From sections to Markdown, and from that one source to a folder of files and to a page that needs none of them."""

import csv
import io
import json
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import markupsafe
from jinja2 import Environment, PackageLoader, StrictUndefined

from report.render.blocks import KINDS, Document, Figure, Report, Table
from report.render.drawing import as_pdf
from report.render.latex import latex
from report.render.markdown import code, escape, fenced, strong
from report.render.page import render_page
from sentiment.console import visible
from sentiment.files import write_atomically


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
    templates.tests |= {name: lambda block, kind=kind: isinstance(block, kind) for name, kind in KINDS.items()}
    templates.filters |= {"cell": _cell, "html": lambda text: markupsafe.escape(visible(text))}
    templates.filters |= {"strong": strong, "code": code, "fenced": fenced}
    return templates


def render_markdown(report: Report) -> str:
    """The report as GitHub shows it; figures and tables are files beside it."""
    text = environment().get_template("report.md.j2").render(report=report)
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]
    return "\n".join(kept).strip() + "\n"


def write_report(report: Report, folder: Path, told: Callable[[int, int], None] | None = None) -> Path:
    """Write `report.md`, its figures, tables and documents, and `report.html`, which holds all and is returned.

    Args:
        told: is called with how many blocks are written, and of how many.
    """
    for name in ("figures", "tables", "documents"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, block in enumerate(report.blocks):
        if told:
            told(number, len(report.blocks))
        if isinstance(block, Figure):
            _write_text(folder / "figures" / f"{block.file}.svg", block.svg)
            _write_json(folder / "figures" / f"{block.file}.vl.json", block.spec)
        if isinstance(block, Document):
            _write_text(folder / "documents" / block.file, block.text)
        if isinstance(block, Table):
            _write_text(folder / "tables" / f"{block.file}.csv", _csv(block))
            _write_text(folder / "tables" / f"{block.file}.tex", latex(block))
            _write_json(
                folder / "tables" / f"{block.file}.json", [_with_null(_plain(row)) for row in block.complete_rows]
            )
    for name, text in (("report.md", render_markdown(report)), ("report.html", render_page(report))):
        _replace(folder / name, text.encode("utf-8", "replace"))
    return folder / "report.html"


def write_pdfs(report: Report, folder: Path) -> None:
    """Write each figure of a report that is in `folder` as PDF too, for papers; the bytes may differ each time."""
    for block in report.blocks:
        if isinstance(block, Figure):
            _write_bytes(folder / "figures" / f"{block.file}.pdf", as_pdf(block.svg))


def _cell(value: Any, is_best: bool = False) -> markupsafe.Markup:
    """Text within a row of a table, in bold if the row is the best."""
    text = strong(value) if is_best else escape(value)
    return markupsafe.Markup(text.replace("\\|", "|").replace("|", "\\|"))  # noqa: S704 - it is escaped


def _plain(row: Any) -> dict[str, Any]:
    return {key: str(value) if hasattr(value, "__html__") else value for key, value in row.items()}


def _with_null(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no word for what is no number, such as the interval of a single value."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in row.items()}


def _csv(table: Table) -> str:
    """All values of all rows, also those that the report does not show."""
    file = io.StringIO()
    rows = table.complete_rows
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(row) for row in rows)
    return file.getvalue()


def _write_text(path: Path, text: str) -> None:
    _write_bytes(path, text.encode("utf-8", "replace"))  # bytes of a folder's name that are no UTF-8


def _write_json(path: Path, value: Any) -> None:
    _write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _write_bytes(path: Path, content: bytes) -> None:
    """Without waiting for the disk, as `_replace` does: there are many such files, and they can be written again."""
    path.write_bytes(content)


def _replace(path: Path, content: bytes) -> None:
    """So that readers of an earlier report see all of it, or all of the new one."""
    write_atomically(path, lambda file: file.write(content))
