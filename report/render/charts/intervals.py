"""Values with their intervals on one axis: which is better, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing, wording
from report.render.blocks import Figure
from report.render.drawing import Spec
from report.statistics import Estimate

_ROW, _NARROW_ROW = 30, 46
_PIXELS = 8
"""What a character of the digits takes at most, with the space before them."""


@dataclass(frozen=True)
class Line:
    """One row of the figure."""

    name: str
    estimate: Estimate
    colour: str = drawing.BLUE


@dataclass(frozen=True)
class ValueAxis:
    """The horizontal axis of the figure."""

    title: str
    """What it measures, with its unit."""
    marks_zero: bool = False
    reference: float | None = None
    """A share to draw an upright line at."""
    is_half: bool = False
    """Whether the figure shares its row with another one."""


def interval_figure(name: str, alt: str, caption: str, lines: Sequence[Line], axis: ValueAxis) -> Figure:
    """A dot with its interval for each line, the first on top, and the same in digits."""
    rows = [_row(place, line, axis) for place, line in enumerate(lines)]
    return Figure(name, alt, caption, lambda width: _spec(width, rows, axis), is_half=axis.is_half)


def _row(place: int, line: Line, axis: ValueAxis) -> dict[str, Any]:
    low, high = (None if bound is None else 100 * bound for bound in (line.estimate.low, line.estimate.high))
    show = wording.points if axis.marks_zero else wording.percent
    shown = show(line.estimate.value)
    if low is not None:
        to = " to " if axis.marks_zero else wording.DASH
        shown += f" ({show(line.estimate.low)}{to}{show(line.estimate.high)})"
    row = {"place": place, "name": line.name, "value": 100 * line.estimate.value, "low": low, "high": high}
    return row | {"colour": line.colour, "shown": shown, "said": f"{line.name}: {shown}"}


def _spec(width: int, rows: list[dict[str, Any]], axis: ValueAxis) -> Spec:
    is_narrow = width <= drawing.HALF
    height = {"step": _NARROW_ROW if is_narrow else _ROW}
    x = {"type": "quantitative", "scale": {"zero": False, "padding": 8}}
    labels = None if is_narrow else {"labelLimit": 380, "grid": False, "labelPadding": 12}
    y = {"field": "place", "type": "ordinal", "title": None, "axis": labels and {**labels, **_names(rows)}}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    title = {"title": axis.title, "axis": {"tickCount": 5 if is_narrow else 8}}
    layers: list[Spec] = []
    if axis.marks_zero or axis.reference is not None:
        at = 0.0 if axis.reference is None else 100 * axis.reference
        rule: Spec = {"type": "rule", "color": drawing.MUTED, "strokeDash": [] if axis.marks_zero else [4, 4]}
        layers.append({"data": {"values": [{"at": at}]}, "mark": rule, "encoding": {"x": {"field": "at", **x}}})
    bar = {"type": "rule", "strokeWidth": 4, "opacity": 0.55, "strokeCap": "round"}
    bounds = {"x": {"field": "low", **x, **title}, "x2": {"field": "high"}, "color": colour}
    layers.append({"mark": bar, "transform": [{"filter": "datum.low !== null"}], "encoding": {"y": y, **bounds}})
    dot: Spec = {"type": "point", "filled": True, "size": 90, "opacity": 1, "strokeWidth": 2}
    at_value = {"y": y, "x": {"field": "value", **x, **title}, "description": drawing.said("said")}
    layers.append({"mark": dot, "encoding": {**at_value, "color": colour}})
    digits: Spec = {"type": "text", "align": "right" if is_narrow else "left", "dx": 0 if is_narrow else 12}
    digits |= {"dy": -15 if is_narrow else 0, "color": drawing.INK}
    right = {"x": {"value": {"expr": "width"}}, "text": {"field": "shown"}}
    layers += _words(digits, {"y": y, **right})
    if is_narrow:
        limit = width - _PIXELS * max(len(row["shown"]) for row in rows)
        name = {"type": "text", "align": "left", "dy": -15, "limit": limit}
        layers += _words(name, {"y": y, "x": {"value": 0}, "text": {"field": "name"}})
    return drawing.chart(width, height, data={"values": rows}, layer=layers)


def _words(mark: Spec, encoding: Spec) -> list[Spec]:
    """A text that lines pass behind."""
    halo = mark | {"stroke": drawing.PAPER, "strokeWidth": 4, "strokeJoin": "round"}
    return [{"mark": halo, "encoding": encoding}, {"mark": mark, "encoding": encoding}]


def _names(rows: list[dict[str, Any]]) -> Spec:
    """Names by place, so that two lines of the same name stay two."""
    names = ", ".join(f"'{_quoted(row['name'])}'" for row in rows)
    return {"labelExpr": f"[{names}][datum.value]"}


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", " ")
