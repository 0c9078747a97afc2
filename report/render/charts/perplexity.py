"""Perplexities of language models by the tokens that they have read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing
from report.render.blocks import Figure
from report.render.drawing import Spec


@dataclass(frozen=True)
class PerplexityLine:
    """A model's perplexities, in the order in which they were measured."""

    name: str
    tokens: Sequence[int]
    forward: Sequence[float]
    backward: Sequence[float]


def perplexity_figure(name: str, alt: str, caption: str, lines: Sequence[PerplexityLine]) -> Figure:
    """A solid line forward and a dashed one backward for each model, on a logarithmic axis."""
    rows = [row for line in lines for row in _rows(line)]
    order = [line.name for line in lines]
    return Figure(name, alt, caption, lambda width: _spec(width, rows, order))


def _rows(line: PerplexityLine) -> list[dict[str, Any]]:
    return [
        {
            "model": line.name,
            "direction": direction,
            "tokens": tokens / 1e6,
            "perplexity": value,
            "said": f"{line.name}, {direction}, {tokens:,} tokens: {value:.4g}",
        }
        for direction, values in (("forward", line.forward), ("backward", line.backward))
        for tokens, value in zip(line.tokens, values, strict=True)
    ]


def _spec(width: int, rows: list[dict[str, Any]], order: list[str]) -> Spec:
    encoding: Spec = {
        "x": {"field": "tokens", "type": "quantitative", "title": "tokens read (millions)"},
        "y": {
            "field": "perplexity",
            "type": "quantitative",
            "title": "perplexity (log scale)",
            "scale": {"type": "log", "nice": False, "padding": 12},
        },
        "color": {
            "field": "model",
            "type": "nominal",
            "scale": {"domain": order},
            "legend": {"columns": 1 if width <= drawing.NARROW else 3},
        },
        "strokeDash": {"field": "direction", "type": "nominal", "scale": {"domain": ["forward", "backward"]}},
    }
    dots: Spec = {"type": "point", "filled": True, "size": 40, "opacity": 1}
    layers: list[Spec] = [
        {"mark": "line", "encoding": encoding},
        {
            "mark": dots,
            "encoding": {k: v for k, v in encoding.items() if k != "strokeDash"}
            | {"detail": {"field": "direction"}, "description": drawing.said("said")},
        },
    ]
    return drawing.chart(width, 280, data={"values": rows}, layer=layers)
