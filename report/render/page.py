"""The report as one HTML page that needs no other file: drawings inside, tables that sort, questions to the data."""

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from functools import cache
from html import escape as escape_html
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

import markupsafe
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from report.render.blocks import KINDS, Column, Document, Explorer, Figure, Report, Row, Table
from report.render.drawing import THEME, as_pdf
from report.render.latex import latex
from report.render.markdown import code, escape, fenced, strong
from report.render.markdown import escape as escape_markdown
from sentiment.console import printable, visible
from sentiment.files import write_atomically

# A text with more characters than these needs a column of some width, and of more.
_MIDDLE, _LONG = 14, 32
# How much larger than it is a drawing may be shown, to fill its row.
_LARGEST = 1.15
# Text in which nothing has a meaning in Markdown or in HTML.
_PLAIN = re.compile(r"[\w %.,:;()/\u2013\u2212\u00b1\u00d7\u00a0\u2265+-]*", re.ASCII)
_COMMONMARK = MarkdownIt("commonmark", {"html": False})
# What readers can ask of the data is written in files of their own.
_SCRIPTS = ("tables.js", "runs.js", "compare.js", "parallel.js", "panels.js")


def render_page(report: Report) -> str:
    """The page; everything that comes from data is escaped, and only the scripts of this package may run."""
    contents = [
        {"anchor": _anchor(section.title), "title": section.title, "blocks": section.blocks}
        for section in report.sections
    ]
    has_explorer = any(isinstance(block, Explorer) for block in report.blocks)
    scripts = [_plotting()] if has_explorer else []
    scripts.append("\n".join(_resource(name) for name in _SCRIPTS))
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            report=report,
            contents=contents,
            style=Markup(_resource("page.css")),  # noqa: S704 - a file of this package
            scripts=[{"text": Markup(one), "hash": _hash(one)} for one in scripts],  # noqa: S704 - files of packages
        )
    )


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.tests |= {name: lambda block, kind=kind: isinstance(block, kind) for name, kind in KINDS.items()}
    templates.filters |= {"inline": _inline, "drawing": _drawing, "classes": _classes, "sorted_by": _sorted_by}
    templates.filters |= {"json": _json, "visible": visible, "lines": _lines}
    templates.filters |= {"compact": lambda text: Markup(re.sub(r"\n\s*\n+", "\n", text))}  # noqa: S704 - escaped
    return templates


def _inline(text: Any) -> Markup:
    """Text, with the marks of Markdown that sections put in, as HTML."""
    if isinstance(text, str) and not hasattr(text, "__html__") and _PLAIN.fullmatch(text):
        return Markup(text)  # noqa: S704 - nothing in it has a meaning
    return Markup(_COMMONMARK.renderInline(str(escape_markdown(text))))  # noqa: S704 - markdown-it escapes


def _lines(text: str) -> Markup:
    """Several lines as they are; blank ones are written as entities, since those of the page are taken out."""
    return Markup(escape_html(printable(text)).replace("\n\n", "\n&#10;"))  # noqa: S704 - it is escaped


def _json(value: Any) -> Markup:
    """Plain values for a script, in which nothing ends the element that they stand in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - without any character that has a meaning in HTML


def _classes(table: Table, column: Column) -> Markup:
    """The class of a cell: numbers are aligned on the right, long texts get room."""
    if column.numeric:
        return Markup(' class="number"')
    longest = max((len(str(row.get(column.key))) for row in table.rows), default=0)
    return Markup(' class="wide"' if longest > _LONG else ' class="middle"' if longest > _MIDDLE else "")  # noqa: S704


def _sorted_by(row: Row, column: Column) -> Markup:
    """The value to six digits, more than are shown, so that rounding does not change the order; empty if missing.

    Where a text is shown as it is, the page sorts by what it shows.
    """
    value: Any = row.get(column.key)
    if isinstance(value, str) and column.show(row) in (value, code(value)):
        return Markup("")
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else visible(str(value))
    return Markup(' data-sort="{}"').format(text)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _resource(name: str) -> str:
    return (resources.files("report.render") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _plotting() -> str:
    """Vega, Vega-Lite and Vega-Embed, which draw in the page what readers choose."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _drawing(figure: Figure) -> Markup:
    """A figure's drawings as parts of the page: one for screens and paper, one for phones."""
    drawings = (_inlined(figure, svg, kind) for kind, svg in (("screen", figure.svg), ("phone", figure.narrow_svg)))
    return Markup("".join(drawings))  # noqa: S704 - vl-convert escapes, and the names are escaped below


def _inlined(figure: Figure, svg: str, kind: str) -> str:
    """With ids of its own, the page's colours, and at most its own width."""
    prefix = f"{kind}-{figure.file}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}", svg)
    for colour, variable in THEME.items():
        svg = svg.replace(f'"{colour}"', f'"{variable}"')
    width = re.search(r'width="([\d.]+)"', svg)
    most = f' style="max-width: {_LARGEST * float(width[1]):.0f}px"' if width else ""
    opening = f'<svg class="{kind}" role="img" aria-label="{escape_html(visible(figure.alt))}"{most}'
    head = r'<svg [^>]*?(width="[\d.]+") height="[\d.]+" ([^>]*>)<title>.*?</title>'
    return re.sub(head, lambda found: f"{opening} {found[1]} {found[2]}", svg, count=1)


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
