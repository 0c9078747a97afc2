"""The report as Markdown with files beside it, and as one self-contained HTML page."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html import escape as escape_html
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup

from report.render.blocks import Document, Report
from report.render.charts import Figure, themed
from report.render.environment import environment
from report.render.wording import latex, with_bare_names
from sentiment.blocks.content import Column, DataTable, Row
from sentiment.blocks.wording import code, count, escape, json_in_html, plain, strong
from sentiment.console import Progress, plural, printable, silent, visible
from sentiment.files import write_atomically
from sentiment.statistics.words import percent

# Maximum enlargement of a figure that fills its row.
_MAX_SCALE = 1.15
# Text without special characters of Markdown or HTML.
_PLAIN = re.compile(r"[\w %.,:;()/\u2013\u2212\u00b1\u00d7\u00a0\u2265+-]*", re.ASCII)
_SPACE_BEFORE_PERCENT = re.compile(r"(?<=\d) %")
_COMMONMARK = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
# The page's script, in parts: tables, the explorer, and what it shows of a run.
_SCRIPTS = ("tables.js", "runs.js", "panels.js")
# Threads that wait for files to be safe on the disk.
_THREADS = 4


def render_page(report: Report) -> str:
    """The page; everything from data is escaped, and only this package's script may run."""
    script = "\n".join(_resource(name) for name in _SCRIPTS)
    templates = _templates()
    templates.filters |= {"inline": _inline, "drawing": _inline_svgs, "sorted_by": _sort_attribute}
    templates.filters |= {"json": json_in_html, "visible": visible, "anchor": anchor}
    templates.filters["note"] = lambda text: Markup(_COMMONMARK.render(printable(text)))  # noqa: S704 - it escapes
    templates.filters["compact"] = lambda text: Markup(re.sub(r"\n\s*\n+", "\n", text))  # noqa: S704 - escaped
    return templates.get_template("page.html.j2").render(
        report=report,
        style=Markup(_resource("page.css")),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - files of this package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def anchor(title: str) -> str:
    """The name by which a heading is linked, also where GitHub shows the Markdown."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _templates(finalize: Callable[[Any], Markup] | None = None, **options: Any) -> Environment:
    templates = environment("templates", finalize, **options)
    templates.filters["block_type"] = lambda block: getattr(block, "style", type(block).__name__)
    return templates


def _inline(text: Any) -> Markup:
    if isinstance(text, str) and not hasattr(text, "__html__") and _PLAIN.fullmatch(text):
        html = text
    else:
        html = _COMMONMARK.renderInline(str(escape(text)))
    # No line ends between a number and its unit.
    return Markup(_SPACE_BEFORE_PERCENT.sub("\u00a0%", html))  # noqa: S704 - plain, or escaped by markdown-it


def _sort_attribute(row: Row, column: Column, shown: Any) -> Markup:
    """The attribute `data-sort`: the value with six digits, so that rounding for display does not change the order.

    Empty if the cell shows a plain text, which is sorted as shown.
    """
    value = row.get(column.key)
    if isinstance(value, str) and (shown == value or shown == code(value)):
        return Markup("")
    if value is None:
        return Markup(' data-sort=""')
    text = f"{value:.6g}" if isinstance(value, float) else visible(str(value))
    return Markup(f' data-sort="{Markup.escape(text)}"')  # noqa: S704 - it is escaped


def _resource(name: str) -> str:
    return (resources.files("report.render") / "templates" / name).read_text(encoding="utf-8")


def _inline_svgs(figure: Figure) -> Markup:
    drawn = _themed_svg(figure, figure.svg, "screen") + _themed_svg(figure, figure.narrow_svg, "phone")
    return Markup(drawn)  # noqa: S704 - vl-convert escapes, and the names are escaped below


def _themed_svg(figure: Figure, svg: str, kind: str) -> str:
    """An SVG element with unique ids, theme colours and a maximum width."""
    prefix = f"{kind}-{figure.file}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = themed(re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}", svg))
    width = re.search(r'width="([\d.]+)"', svg)
    max_width = f' style="max-width: {_MAX_SCALE * float(width[1]):.0f}px"' if width else ""
    opening = f'<svg class="{kind}" role="img" aria-label="{escape_html(visible(figure.alt))}"{max_width}'
    head = r'<svg [^>]*?(width="[\d.]+") height="[\d.]+" ([^>]*>)<title>.*?</title>'
    return re.sub(head, lambda match: f"{opening} {match[1]} {match[2]}", svg, count=1)


def render_markdown(report: Report) -> str:
    """The report in GitHub's Markdown, which refers to the files of figures."""
    templates = _markdown_templates()
    return _without_gaps(templates.get_template("report.md.j2").render(report=report))


def _markdown_templates() -> Environment:
    templates = _templates(escape)
    templates.filters |= {"cell": _cell, "strong": strong, "code": code, "quoted": _quoted}
    templates.filters["html"] = lambda text: Markup.escape(visible(text))
    return templates


def _without_gaps(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


# In LaTeX braces are frequent.
_LATEX_MARKS = {"block_start_string": "<%", "block_end_string": "%>"}
_LATEX_MARKS |= {"variable_start_string": "<<", "variable_end_string": ">>"}


def render_document(document: Document) -> str:
    """A further file of the report; all its values are escaped for LaTeX or Markdown."""
    is_latex = document.template.endswith(".tex.j2")
    templates = _templates(latex, **_LATEX_MARKS) if is_latex else _markdown_templates()
    templates.filters |= {"plain": plain, "percent": percent, "count": count, "plural": plural}
    templates.filters |= {"with_bare_names": with_bare_names}
    return _without_gaps(templates.get_template(document.template).render(document.values))


def write_report(report: Report, folder: Path, progress: Progress = silent) -> Path:
    """Write `report.md`, its figures, tables and documents, and `report.html`, whose path is returned.

    Figures and tables of the earlier report in the folder that this one does not have are deleted.
    """
    earlier = _files_of_page(folder / "report.html")
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_THREADS) as pool:
        written = {folder / name: pool.submit(_write, folder / name, text) for name, text in _parts(report, progress)}
        page = render_page(report)
        for file in written.values():
            file.result()
    for path in earlier - written.keys():  # before the page that names them is replaced, in case it ends here
        path.unlink(missing_ok=True)
    _write(folder / "report.html", page)
    return folder / "report.html"


_NAMED = re.compile(r'id="(figure|table)-([^"]+)"')
_SUFFIXES = {"figure": (".svg", ".vl.json"), "table": (".csv", ".tex")}


def _files_of_page(page: Path) -> set[Path]:
    """The files of the figures and tables of a page; none if there is no page."""
    text = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""  # it may be anybody's
    named = _NAMED.findall(text)
    return {page.parent / f"{kind}s" / f"{name}{suffix}" for kind, name in named for suffix in _SUFFIXES[kind]}


def _parts(report: Report, progress: Progress) -> Iterator[tuple[str, str]]:
    """The names and texts of all files but the page."""
    for number, block in enumerate(report.blocks):
        progress("drawing and writing", number, len(report.blocks))
        if isinstance(block, Figure):
            yield f"figures/{block.file}.svg", block.svg
            spec = json.dumps(block.spec, indent=2, ensure_ascii=False, allow_nan=False)
            yield f"figures/{block.file}.vl.json", spec + "\n"
        if isinstance(block, DataTable):
            yield f"tables/{block.file}.csv", as_csv(block)
    for document in report.documents:
        yield document.path, render_document(document)
    yield "report.md", render_markdown(report)


def as_csv(table: DataTable) -> str:
    """All rows of a table, also those that a reader does not see."""
    return pd.DataFrame(table.rows, dtype=object).to_csv(index=False)


def _write(path: Path, text: str) -> None:
    """Write atomically, so that a reader sees the old report or the new one."""
    content = text.encode("utf-8", "replace")  # bytes of a folder's name that are not UTF-8 become `?`
    write_atomically(path, lambda file: file.write(content))


def _cell(value: Any, is_best: bool = False) -> Markup:
    text = strong(value) if is_best else escape(value)
    return Markup(text.replace("\\|", "|").replace("|", "\\|"))  # noqa: S704 - it is escaped


def _quoted(text: str) -> Markup:
    """A block quote, within which all markup stays."""
    lines = printable(text).replace("<", "&lt;").splitlines()
    return Markup("\n".join(f"> {line}" for line in lines))  # noqa: S704 - it is escaped
