"""What a report prints: the tables and texts of its page and of its Markdown, with every figure in them."""

import base64
import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

# A date, or a number with its sign.
FIGURE = re.compile(r"\d{4}-\d\d-\d\d|(?<![\w.])[+\u2212-]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?")
_BLOCKS = ("p", "li", "dt", "dd", "h1", "h2", "h3", "summary", "figcaption")


def plain(text: str) -> str:
    return " ".join(unescape(text).replace("\u00a0", " ").split()).removesuffix(":")


@dataclass
class Printed:
    """The tables by their order, each with its heading and rows of cells, and all other texts."""

    names: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    downloads: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def texts_with_figures(self) -> Counter[str]:
        return Counter(text for text in self.texts if re.search(r"\d", text))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.printed = Printed()
        self._open: list[str] = []
        self._text = ""
        self._term = ""
        self._silent = 0
        self._in_data = False
        self._in_command = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("svg", "script", "style", "button") and not (tag == "button" and "th" in self._open):
            self._silent += 1
        self._in_data = tag == "script" and values.get("id") == "data"
        if tag == "table":
            self.printed.names.append(str(values["id"]).removeprefix("table-"))
            self.printed.tables.append([])
        if tag == "tr":
            self.printed.tables[-1].append([])
        if tag == "a" and values.get("download"):
            content = str(values["href"]).partition("base64,")[2]
            self.printed.downloads[str(values["download"])] = base64.b64decode(content).decode()
            self._silent += 1
        if tag in (*_BLOCKS, "td", "th") or (tag == "code" and values.get("tabindex")):
            self._text = ""
        if tag == "span" and self._open[-1] == "p" and self._text:
            self._text += " \u00b7 "
        if tag == "span" and self._open[-1] == "div":
            self._text = ""
        if tag not in ("meta", "link", "br", "img"):
            self._open.append("download" if tag == "a" and values.get("download") else tag)

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.printed.data = json.loads(data)
            self._in_data = False
        if not self._silent:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        opened = self._open.pop()
        if tag in ("svg", "script", "style") or opened == "download" or (tag == "button" and "th" not in self._open):
            self._silent -= 1
        text = plain(self._text)
        if tag in ("td", "th"):
            self.printed.tables[-1][-1].append(text)
        elif tag == "dt":
            self._term = text
        elif tag == "dd":
            self.printed.texts.append(f"{self._term}: {text}")
        elif (tag in _BLOCKS and text) or (tag in ("span", "code") and self._open[-1:] == ["div"] and text):
            self.printed.texts.append(text)
        if tag in _BLOCKS:
            self._text = ""


def read_page(path: Path) -> Printed:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page.printed


_MARKDOWN = MarkdownIt("commonmark").enable("table")


def read_markdown(path: Path) -> Printed:
    printed = Printed()
    quoted = 0
    for token in _MARKDOWN.parse(path.read_text(encoding="utf-8")):
        quoted += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        if token.type == "table_open":
            printed.tables.append([])
        elif token.type == "tr_open":
            printed.tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            printed.tables[-1][-1].append("")
        elif token.type == "html_block":
            printed.texts += [plain(text) for text in re.findall("<summary>(.*?)</summary>", token.content)]
        elif token.type == "inline":
            if token.map and printed.tables and printed.tables[-1] and token.level >= 4 and _is_cell(printed):
                printed.tables[-1][-1][-1] = plain(_text(token))
            elif text := plain(_text(token)):
                printed.texts.append(text)
        if token.type == "table_close":
            printed.tables.append([])
    printed.tables = [table for table in printed.tables if table]
    return printed


def _is_cell(printed: Printed) -> bool:
    return bool(printed.tables[-1][-1]) and printed.tables[-1][-1][-1] == ""


def _text(token: Token) -> str:
    """The text of a paragraph, without the pictures in it."""
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return "".join(parts)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
