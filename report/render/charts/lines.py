"""Lines over an axis: accuracy by labels, epochs or cost, with intervals where they are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from report.render import drawing, wording
from report.render.blocks import Figure
from report.render.drawing import Spec
from report.statistics import Estimate

METRICS = {"loss": "loss (nats)", "accuracy": "accuracy (%)", "f1": "F1 (%)"}
"""Those that are drawn, by the name that they have in logs."""
PARTS = {"train": "training", "validation": "validation"}
_HEIGHT, _GAP, _OUTSIDE = 190, 24, 36


@dataclass(frozen=True)
class Curves:
    """One run's learning curves."""

    name: str
    epochs: Sequence[dict[str, Any]]
    """For each epoch its number (`epoch`), and by part (`train`, `validation`) the metrics."""
    best_epoch: int


def full_curves(name: str, alt: str, caption: str, curves: Curves) -> Figure:
    """Loss, accuracy and F1 of one run, a panel each."""
    rows = [row for metric, title in METRICS.items() for row in _rows(curves, metric, {"panel": title})]
    return Figure(name, alt, caption, lambda width: _panels(width, rows, list(METRICS.values()), "independent"))


def small_multiples(name: str, alt: str, caption: str, many: Sequence[Curves]) -> Figure:
    """The loss of each run in a panel; all panels share their axes, so that runs can be compared."""
    panels = [f"{place}. {curves.name}" for place, curves in enumerate(many, 1)]
    rows = [row for panel, curves in zip(panels, many, strict=True) for row in _rows(curves, "loss", {"panel": panel})]
    return Figure(name, alt, caption, lambda width: _panels(width, rows, panels, "shared"))


def _rows(curves: Curves, metric: str, common: dict[str, str]) -> list[dict[str, Any]]:
    scale = 1 if metric == "loss" else 100
    return [
        {
            **common,
            "epoch": row["epoch"],
            "part": title,
            "value": scale * row[part][metric],
            "best": part == "validation" and row["epoch"] == curves.best_epoch,
            "said": f"epoch {row['epoch']}, {title}: {scale * row[part][metric]:.3g}",
        }
        for part, title in PARTS.items()
        for row in curves.epochs
    ]


def _panels(width: int, rows: list[dict[str, Any]], panels: list[str], sharing: str) -> Spec:
    columns = 1 if width <= drawing.NARROW else 3
    inner = (width - _GAP * (columns - 1)) // columns - _OUTSIDE
    x: Spec = {"field": "epoch", "type": "quantitative", "title": "epoch"}
    x |= {"axis": {"tickMinStep": 1, "tickCount": 5, "grid": False, "format": "d"}, "scale": {"zero": False}}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}, "axis": {"tickCount": 4}}
    order = list(PARTS.values())
    colours = {"domain": order, "range": [drawing.ORANGE, drawing.BLUE]}
    colour: Spec = {"field": "part", "type": "nominal", "scale": colours}
    dash = {"field": "part", "type": "nominal", "scale": {"domain": order, "range": [[5, 3], [1, 0]]}}
    dots: Spec = {"type": "point", "filled": True, "size": 36, "opacity": 0.01}
    ring: Spec = {"type": "point", "size": 80, "filled": False, "strokeWidth": 2.5, "opacity": 1}
    layers: list[Spec] = [
        {"mark": {"type": "line", "point": len(rows) <= 2 * len(panels)}, "encoding": {"strokeDash": dash}},
        {"mark": dots, "encoding": {"description": drawing.said("said")}},
        {"mark": ring, "transform": [{"filter": "datum.best"}]},
    ]
    panel = {"width": inner, "height": _HEIGHT, "encoding": {"x": x, "y": y, "color": colour}, "layer": layers}
    facet = {
        "field": "panel",
        "type": "nominal",
        "sort": panels,
        "header": {"labelLimit": inner, "labelAnchor": "start"},
    }
    resolve = {"scale": {"y": sharing}}
    spacing = {"row": 30, "column": _GAP}
    data = {"values": rows}
    return drawing.whole(data=data, facet=facet, columns=columns, spacing=spacing, spec=panel, resolve=resolve)


def overlay_spec(width: int) -> Spec:
    """Loss and accuracy of several runs, for the page to fill: rows of panel, epoch, value, part and run."""
    columns = 1 if width <= drawing.NARROW else 2
    inner = (width - _GAP * (columns - 1)) // columns - _OUTSIDE
    x: Spec = {"field": "epoch", "type": "quantitative", "title": "epoch"}
    x |= {"axis": {"tickMinStep": 1, "tickCount": 5, "grid": False, "format": "d"}, "scale": {"zero": False}}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}, "axis": {"tickCount": 4}}
    parts = {"domain": list(PARTS.values()), "range": [[5, 3], [1, 0]]}
    dash = {"field": "part", "type": "nominal", "scale": parts}
    colour = {"field": "run", "type": "nominal", "sort": None, "legend": {"columns": 1}}
    tooltip = [{"field": name} for name in ("run", "part", "epoch", "value")]
    encoding = {"x": x, "y": y, "color": colour, "strokeDash": dash, "tooltip": tooltip}
    panel = {"width": inner, "height": 220, "mark": {"type": "line", "point": {"size": 24}}, "encoding": encoding}
    order = [METRICS["loss"], METRICS["accuracy"]]
    facet = {"field": "panel", "type": "nominal", "sort": order, "header": {"labelAnchor": "start"}}
    return drawing.whole(facet=facet, columns=columns, spec=panel, resolve={"scale": {"y": "independent"}})


Style = Literal["line", "smooth", "dashed", "steps", "thin", "thick", "points"]

_MARKS: dict[Style, Spec] = {
    "line": {"type": "line"},
    "smooth": {"type": "line"},
    "dashed": {"type": "line", "strokeDash": [5, 3]},
    "steps": {"type": "line", "interpolate": "step-after"},
    "thin": {"type": "line", "strokeWidth": 1.3, "opacity": 0.6},
    "thick": {"type": "line", "strokeWidth": 3.5},
}


@dataclass(frozen=True)
class Point:
    """A value, in the units of the axes, and what it says where it is pointed at."""

    x: float
    value: float
    said: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points that belong together."""

    name: str
    points: Sequence[Point]
    style: Style = "line"
    group: str | None = None
    """Lines of a group share a colour, and its name stands for them; None is a line by itself."""


@dataclass(frozen=True)
class Axis:
    """What an axis measures, with its unit."""

    title: str
    is_log: bool = False
    is_whole: bool = False
    """Whether it counts, so that nothing is written between whole numbers."""
    ticks: Sequence[float] = ()
    """Where to write numbers; empty is wherever there is room."""
    uprights: Sequence[float] = ()
    """Where to draw lines across."""


def share_point(x: float, share: Estimate, name: str) -> Point:
    """A share in per cent, with its interval."""
    low, high = (None if bound is None else 100 * bound for bound in (share.low, share.high))
    return Point(x, 100 * share.value, f"{name}: {wording.share(share)}", low, high)


def line_figure(name: str, alt: str, caption: str, lines: Sequence[Series], axes: tuple[Axis, Axis]) -> Figure:
    """All lines over one pair of axes; those that come last lie on top."""
    rows = [
        {"group": line.group or line.name, "line": line.name, "style": line.style} | vars(point)
        for line in lines
        for point in line.points
    ]
    return Figure(name, alt, caption, lambda width: _spec(width, rows, axes))


def _spec(width: int, rows: list[dict[str, Any]], axes: tuple[Axis, Axis]) -> Spec:
    x, y = {"field": "x", **_axis(axes[0], {"grid": False})}, _axis(axes[1], {})
    groups = list(dict.fromkeys(row["group"] for row in rows))
    legend = {"columns": 1 if width <= drawing.NARROW else 2 if max(map(len, groups)) > 32 else 4}
    colour = {"field": "group", "type": "nominal", "scale": {"domain": groups}, "legend": legend}
    at: Spec = {"x": x, "y": {"field": "value", **y}, "color": colour, "detail": {"field": "line"}}
    bounds = at | {"y": {"field": "low", **y}, "y2": {"field": "high"}}
    layers: list[Spec] = []
    if axes[0].uprights:
        upright = {"type": "rule", "color": drawing.MUTED, "strokeDash": [2, 3]}
        across = {"values": [{"x": one} for one in axes[0].uprights]}
        layers.append({"data": across, "mark": upright, "encoding": {"x": x}})
    if any(row["low"] is not None for row in rows):
        bar = {"type": "rule", "strokeWidth": 3, "opacity": 0.45}
        layers.append({"transform": [{"filter": "datum.low !== null"}], "mark": bar, "encoding": bounds})
    for style in dict.fromkeys(row["style"] for row in rows):
        if style in _MARKS:
            layers.append({"transform": [_only(style)], "mark": _MARKS[style], "encoding": at})
    dots: Spec = {"type": "point", "filled": True, "size": 50, "opacity": 0.9}
    pointed_at = at | {"description": drawing.said("said")}
    layers.append({"transform": [{"filter": "datum.style !== 'smooth'"}], "mark": dots, "encoding": pointed_at})
    return drawing.chart(width, 280, data={"values": rows}, layer=layers)


def _only(style: Style) -> Spec:
    return {"filter": f"datum.style === '{style}'"}


def _axis(axis: Axis, look: Spec) -> Spec:
    title = f"{axis.title} (log scale)" if axis.is_log else axis.title
    ticks = {"values": list(axis.ticks), "format": ",", "labelOverlap": "greedy"} if axis.ticks else {}
    scale: Spec = {"type": "log", "nice": False, "padding": 20} if axis.is_log else {"zero": False}
    plain: Spec = {"format": "~g", "tickCount": 5} if axis.is_log else {"format": "~r"}
    plain |= {"tickMinStep": 1} if axis.is_whole else {}
    return {"type": "quantitative", "title": title, "scale": scale, "axis": plain | look | ticks}
