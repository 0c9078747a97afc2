"""What a label is worth: accuracy over the number of labels, a line for each model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing, wording
from report.render.blocks import Figure
from report.render.drawing import Spec
from report.statistics import Estimate


@dataclass(frozen=True)
class LabelLine:
    """One model's accuracy by the number of labels that it was trained on."""

    name: str
    points: Sequence[tuple[int, Estimate]]


def label_figure(name: str, alt: str, caption: str, lines: Sequence[LabelLine]) -> Figure:
    """Lines with intervals over a logarithmic axis."""
    rows = [_row(line.name, labels, one) for line in lines for labels, one in line.points]
    order = [line.name for line in lines]
    return Figure(name, alt, caption, lambda width: _spec(width, rows, order))


def _row(name: str, labels: int, one: Estimate) -> dict[str, Any]:
    bounds = (
        {"low": None, "high": None}
        if one.low is None or one.high is None
        else {"low": 100 * one.low, "high": 100 * one.high}
    )
    row: dict[str, Any] = {"model": name, "labels": labels, "value": 100 * one.value, **bounds}
    return row | {"said": f"{name}, {labels:,} labels: {wording.share(one)}"}


def _spec(width: int, rows: list[dict[str, Any]], order: list[str]) -> Spec:
    values = sorted({row["labels"] for row in rows})
    axis = {"values": values, "format": ",", "grid": False, "labelOverlap": "greedy"}
    scale = {"type": "log", "nice": False, "padding": 24}
    x = {"field": "labels", "type": "quantitative", "title": "labels (log scale)", "scale": scale, "axis": axis}
    y = {"type": "quantitative", "title": "test accuracy (%)", "scale": {"zero": False}}
    legend = {"columns": 1 if width <= drawing.NARROW else 3}
    colour = {"field": "model", "type": "nominal", "scale": {"domain": order}, "legend": legend}
    at: Spec = {"x": x, "y": {"field": "value", **y}, "color": colour}
    whiskers: Spec = {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, "color": colour}
    known = [{"filter": "datum.low !== null"}]
    dots: Spec = {"type": "point", "filled": True, "size": 60, "opacity": 1}
    layers: list[Spec] = [
        {"mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45}, "transform": known, "encoding": whiskers},
        {"mark": "line", "encoding": at},
        {"mark": dots, "encoding": at | {"description": drawing.said("said")}},
    ]
    return drawing.chart(width, 280, data={"values": rows}, layer=layers)
