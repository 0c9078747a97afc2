"""The report as one HTML page that needs no other file: drawings inside, tables that sort, questions to the data."""

import base64
import hashlib
import json
import re
from functools import cache
from html import escape as escape_html
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from report.render.blocks import KINDS, Column, Explorer, Figure, Report, Row, Table
from report.render.drawing import THEME
from report.render.markdown import code
from report.render.markdown import escape as escape_markdown
from sentiment.console import printable, visible

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
