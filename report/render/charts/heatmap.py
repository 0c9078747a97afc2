"""Tweets whose tokens are shaded by the attention that each hop pays to them."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from report.render.blocks import Figure
from report.render.charts import style
from report.render.wording import shortened
from sentiment.characters import visible

# A token with at least this many times the weight of an even distribution has the full colour.
FULL = 4

_SIZE, _PAD, _GAP, _LINE = 10, 2, 3, 17
_LABEL_WIDTH, _WIDTH = 46, 640
_LONGEST_TOKEN, _MOST_TOKENS = 24, 40
_CHARACTER = 0.602  # width of a monospaced character, by its height


@dataclass(frozen=True)
class Attended:
    """A tweet, and the weight of each token in each hop, of shape (hops, tokens)."""

    heading: str
    tokens: Sequence[str]
    weights: Sequence[Sequence[float]]


@dataclass
class _Cell:
    x: float
    width: float
    token: str
    opacity: float


@dataclass
class _Line:
    y: int
    label: str
    is_heading: bool = False
    cells: list[_Cell] = field(default_factory=list)


def heatmap_figure(name: str, alt: str, caption: str, tweets: Sequence[Attended]) -> Figure:
    """A line for each hop of a tweet and one for their mean; the full colour begins at `FULL` times an even share."""
    lines: list[_Line] = []
    for tweet in tweets:
        _add_tweet(lines, tweet)
    templates = Environment(
        loader=PackageLoader("report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values: dict[str, Any] = {"ink": style.INK, "muted": style.MUTED, "paper": style.PAPER, "colour": style.ORANGE}
    values |= {"size": _SIZE, "pad": _PAD, "width": _WIDTH, "height": lines[-1].y + _LINE if lines else _LINE}
    svg = templates.get_template("heatmap.svg.j2").render(alt=alt, lines=lines, **values)
    return Figure(name, alt, caption, svg)


def _add_tweet(lines: list[_Line], tweet: Attended) -> None:
    y = (lines[-1].y if lines else 0) + _LINE + (10 if lines else 0)
    lines.append(_Line(y, visible(tweet.heading), is_heading=True))
    mean = [sum(column) / len(tweet.weights) for column in zip(*tweet.weights, strict=True)]
    rows = [(f"hop {number}", weights) for number, weights in enumerate(tweet.weights, 1)]
    for label, weights in [*rows, ("mean", mean)]:
        for number, cells in enumerate(_wrapped(tweet.tokens, weights)):
            lines.append(_Line(lines[-1].y + _LINE, "" if number else label, cells=cells))


def _wrapped(tokens: Sequence[str], weights: Sequence[float]) -> Iterator[list[_Cell]]:
    """The cells of one hop, line by line."""
    line: list[_Cell] = []
    x = float(_LABEL_WIDTH)
    shown = [shortened(visible(token), _LONGEST_TOKEN) for token in tokens[:_MOST_TOKENS]]
    for token, weight in zip(shown, weights, strict=False):
        width = round(_columns(token) * _SIZE * _CHARACTER + 2 * _PAD, 1)
        if line and x + width > _WIDTH:
            yield line
            line, x = [], float(_LABEL_WIDTH)
        line.append(_Cell(round(x, 1), width, token, round(min(1.0, weight * len(tokens) / FULL), 3)))
        x += width + _GAP
    yield line


def _columns(token: str) -> int:
    """Width in monospaced columns: wide characters, emoji among them, take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in token) or 1
