"""Tweets whose tokens are shaded by the attention that is paid to them."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing
from report.render.blocks import Figure
from report.render.drawing import Spec
from report.render.wording import shortened
from sentiment.console import visible

# A token with at least this many times the weight of an even distribution has the full colour.
FULL = 4

_SIZE, _PAD, _GAP, _LINE = 12, 3, 3, 22
_LONGEST_TOKEN, _MOST_TOKENS = 24, 40
_MONOSPACED = "DejaVu Sans Mono, Menlo, Consolas, monospace"
_AT_THE_LEFT: Spec = {"x": {"value": 0}, "text": {"field": "text"}}
_CHARACTER = 0.602  # width of a monospaced character, by its height


@dataclass(frozen=True)
class Attended:
    """A tweet, and the weight of each of its tokens, of shape (tokens,)."""

    heading: str
    tokens: Sequence[str]
    weights: Sequence[float]
    reasons: Sequence[str] = ()
    """What another model decides by, in short pieces; stands below."""


def heatmap_figure(name: str, alt: str, caption: str, tweets: Sequence[Attended]) -> Figure:
    """A row for each tweet, as long as it needs, and a scale; the full colour begins at `FULL` times an even share."""
    return Figure(name, alt, caption, lambda width: _spec(width, tweets))


def _spec(width: int, tweets: Sequence[Attended]) -> Spec:
    headings, cells, reasons = [], [], []
    y = 0
    for tweet in tweets:
        headings.append({"y": y, "text": visible(tweet.heading)})
        for line in _wrapped(tweet, width):
            y += _LINE
            cells += [cell | {"y": y} for cell in line]
        for beside in _in_lines([visible(one) for one in tweet.reasons], width):
            y += _LINE
            reasons += [{"x": x, "y": y, "reason": text} for x, _, text in beside]
        y += _LINE + 14
    up = {"type": "quantitative", "axis": None, "scale": {"domain": [0, y], "range": [0, y]}}
    along = {"type": "quantitative", "axis": None, "scale": {"domain": [0, width], "range": [0, width]}}
    shade = {"type": "linear", "domain": [0, FULL], "range": [0, 0.9], "clamp": True}
    title = {"title": "times an even share", "values": [0, 1, 2, 3, FULL], "direction": "horizontal"}
    opacity = {"field": "times", "type": "quantitative", "scale": shade, "legend": title}
    start, top = {"field": "x", **along}, {"field": "y", **up}
    box: Spec = {"x": start, "x2": {"field": "x2"}, "y": top, "y2": {"field": "y2"}, "opacity": opacity}
    box["description"] = drawing.said("said")
    rect = {"type": "rect", "color": drawing.ORANGE, "cornerRadius": 3}
    word = {"type": "text", "align": "left", "dx": _PAD, "dy": 9, "font": _MONOSPACED}
    heading = {"type": "text", "align": "left", "color": drawing.MUTED, "dy": 14, "limit": width}
    below = [{"calculate": f"datum.y + {_LINE - 3}", "as": "y2"}]
    layers: list[Spec] = [
        {"data": {"values": cells}, "transform": below, "mark": rect, "encoding": box},
        {"data": {"values": cells}, "mark": word, "encoding": {"x": start, "y": top, "text": {"field": "token"}}},
        {"data": {"values": headings}, "mark": heading, "encoding": _AT_THE_LEFT | {"y": top}},
    ]
    if reasons:
        said: Spec = {"x": start, "y": top, "text": {"field": "reason"}}
        layers.append({"data": {"values": reasons}, "mark": word | {"color": drawing.MUTED}, "encoding": said})
    return drawing.whole(width=width - 4, height=max(y, _LINE), layer=layers)


def _wrapped(tweet: Attended, width: int) -> Iterator[list[dict[str, Any]]]:
    """The cells of a tweet, line by line."""
    tokens = [shortened(visible(token), _LONGEST_TOKEN) for token in tweet.tokens[:_MOST_TOKENS]]
    weights = iter(tweet.weights)
    for line in _in_lines(tokens, width):
        cells = []
        for x, end, text in line:
            times = next(weights) * len(tweet.tokens)
            said = f"{text}: {times:.1f} times an even share"
            cells.append({"x": x, "x2": end, "token": text, "times": times, "said": said})
        yield cells


def _in_lines(texts: Sequence[str], width: int) -> Iterator[list[tuple[float, float, str]]]:
    """Where each text begins and ends, line by line."""
    line: list[tuple[float, float, str]] = []
    x = 0.0
    for text in texts:
        end = round(x + _columns(text) * _SIZE * _CHARACTER + 2 * _PAD, 1)
        if line and end > width:
            yield line
            line, x, end = [], 0.0, end - x
        line.append((x, end, text))
        x = end + _GAP
    if line:
        yield line


def _columns(token: str) -> int:
    """Width in monospaced columns: wide characters, emoji among them, take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in token) or 1
