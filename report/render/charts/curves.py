"""Learning curves: training and validation, epoch by epoch, with the best epoch marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing
from report.render.blocks import Figure
from report.render.drawing import Spec

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
