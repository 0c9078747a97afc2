"""The Markdown report as one HTML page that needs no other file: figures inside, tables that sort, a theme."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from report.render.blocks import Figure, Row, Table
from report.render.charts.style import THEME
from sentiment.characters import visible

# The only HTML that the Markdown may hold; anything else is shown as text.
_DETAILS = re.compile(r"\s*(<details>\s*<summary>[^<>]*</summary>|</details>)\s*")
# A text with more characters than these needs a column of some width, and of more.
_MIDDLE, _LONG = 14, 32
# The share of its own size below which a drawing cannot be read any more, and scrolls instead.
_SMALLEST = 0.7


class _Renderer(RendererHTML):
    """Markdown-it's renderer, with figures drawn in place, tables that can be sorted, and no HTML but folds.

    Its methods are named after the tokens that they render.
    """

    def __init__(self, parser: Any = None) -> None:
        super().__init__(parser)
        self.figures: dict[str, Figure] = {}
        self.tables: Sequence[Table] = ()
        self._table = self._row = self._cell = -1

    def html_block(self, tokens: Sequence[Token], number: int, _options: Any, _env: Any) -> str:
        content = tokens[number].content
        return content if _DETAILS.fullmatch(content) else f"<p>{escape(content)}</p>\n"

    def html_inline(self, tokens: Sequence[Token], number: int, _options: Any, _env: Any) -> str:
        return escape(tokens[number].content)

    def svg(self, tokens: Sequence[Token], number: int, _options: Any, _env: Any) -> str:
        return inline_svg(self.figures[tokens[number].content])

    def table_open(self, *_: Any) -> str:
        self._table += 1
        self._row = -2  # the first row is the header's
        label = escape(self.tables[self._table].caption)
        return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>\n'

    def table_close(self, *_: Any) -> str:
        return "</table></div>\n"

    def th_open(self, *_: Any) -> str:
        self._cell += 1
        return f'<th scope="col"{self._class()}><button type="button">'

    def th_close(self, *_: Any) -> str:
        return "</button></th>\n"

    def tr_open(self, *_: Any) -> str:
        self._row, self._cell = self._row + 1, -1
        table = self.tables[self._table]
        is_best = self._row >= 0 and table.is_best(table.rows[self._row])
        return '<tr class="best">\n' if is_best else "<tr>\n"

    def td_open(self, *_: Any) -> str:
        self._cell += 1
        table = self.tables[self._table]
        value = _sort_value(table.rows[self._row], table.columns[self._cell].key)
        return f'<td{self._class()} data-sort="{escape(value)}">'

    def _class(self) -> str:
        """The class of a cell: numbers are aligned on the right, long texts get room."""
        table = self.tables[self._table]
        column = table.columns[self._cell]
        if column.numeric:
            return ' class="number"'
        longest = max((len(str(row.get(column.key))) for row in table.rows), default=0)
        return ' class="wide"' if longest > _LONG else ' class="middle"' if longest > _MIDDLE else ""


def render_page(markdown: str, figures: Sequence[Figure], tables: Sequence[Table]) -> str:
    """The page of a Markdown document.

    Args:
        figures: those that the document refers to.
        tables: those in the document, in its order.
    """
    parser = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
    renderer = cast(_Renderer, parser.renderer)
    renderer.figures, renderer.tables = {figure.file: figure for figure in figures}, tables
    tokens = parser.parse(markdown)
    contents: list[tuple[str, str]] = []
    for number, token in enumerate(tokens):
        if token.type == "inline" and token.children and token.children[0].type == "image":
            _make_figure(tokens, number)
        if token.type == "heading_open" and token.tag == "h2":
            contents.append(_add_anchor(token, tokens[number + 1].content))
        if token.type == "table_open" and tokens[number - 1].type == "paragraph_close":
            tokens[number - 3].attrSet("class", "caption")
    style, script = (_resource(name) for name in ("page.css", "page.js"))
    templates = Environment(loader=PackageLoader("report.render"), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("page.html.j2").render(
        body=Markup(renderer.render(tokens, parser.options, {})),  # noqa: S704 - markdown-it and _Renderer escape
        contents=contents,
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _resource(name: str) -> str:
    return (resources.files("report.render") / "templates" / name).read_text(encoding="utf-8")


def _make_figure(tokens: Sequence[Token], number: int) -> None:
    """Turn a paragraph of an image and a text into a figure with its caption."""
    children = tokens[number].children or []
    source = str(children[0].attrs["src"])
    caption = [child for child in children[1:] if child.type not in ("softbreak", "em_open", "em_close")]
    tokens[number].children = [
        Token("svg", "", 0, content=source.removeprefix("figures/").removesuffix(".svg")),
        Token("caption_open", "figcaption", 1),
        *caption,
        Token("caption_close", "figcaption", -1),
    ]
    tokens[number - 1].tag = tokens[number + 1].tag = "figure"


def _add_anchor(token: Token, title: str) -> tuple[str, str]:
    """Give a heading an anchor; return the anchor and the title."""
    anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    token.attrSet("id", anchor)
    return anchor, title


def inline_svg(figure: Figure) -> str:
    """A figure's drawing as a part of the page: with ids of its own, the page's colours, and at most its own width."""
    svg = figure.svg[figure.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{figure.file}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{figure.file}-", svg)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    width = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    pixels = float(width[1]) * 4 / 3 if width else 640
    sizes = f"width: {pixels:.0f}px; min-width: {_SMALLEST * pixels:.0f}px"
    opening = f'<svg role="img" aria-label="{escape(figure.alt)}" style="{sizes}"'
    svg = re.sub(r'<svg( xmlns:xlink="[^"]*")?( width="[^"]*" height="[^"]*")?', opening, svg, count=1)
    return f'<div class="drawing" tabindex="0" role="group" aria-label="{escape(figure.alt)}">{svg}</div>'


def _sort_value(row: Row, key: str) -> str:
    """The unrounded value, so that rounding for display does not change the order; empty if it is missing."""
    value: Any = row.get(key)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else visible(str(value))
