"""What accuracy costs, and the weights of ELMo's layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing
from report.render.blocks import Figure
from report.render.drawing import Spec

_LAYERS = ("context-free", "first LSTM layer", "top LSTM layer")


@dataclass(frozen=True)
class Costly:
    """One model: what it took and what it reached."""

    group: str
    minutes: float
    accuracy: float
    filled: bool
    """Drawn hollow where not."""
    name: str = ""


def cost_figure(name: str, alt: str, caption: str, runs: Sequence[Costly], unit: str) -> Figure:
    """Accuracy over minutes on a logarithmic axis."""
    rows = [
        vars(run) | {"accuracy": 100 * run.accuracy, "said": f"{run.name or run.group}: {100 * run.accuracy:.1f} %"}
        for run in runs
    ]
    return Figure(name, alt, caption, lambda width: _cost(width, rows, unit))


def _cost(width: int, rows: list[dict[str, Any]], unit: str) -> Spec:
    title = f"{unit} per run (log scale)"
    axis = {"format": "~g", "tickCount": 5, "grid": False}
    x = {"field": "minutes", "type": "quantitative", "title": title, "axis": axis}
    x |= {"scale": {"type": "log", "nice": False, "padding": 20}}
    y = {"field": "accuracy", "type": "quantitative", "title": "test accuracy (%)", "scale": {"zero": False}}
    order = list(dict.fromkeys(row["group"] for row in rows))
    legend = {"columns": 1 if width <= drawing.NARROW else 4}
    colour: Spec = {"field": "group", "type": "nominal", "scale": {"domain": order}, "legend": legend}
    fill = {"condition": {"test": "!datum.filled", "value": drawing.PAPER}, **colour, "legend": None}
    mark = {"type": "point", "filled": True, "size": 70, "strokeWidth": 2, "opacity": 0.9}
    encoding = {"x": x, "y": y, "stroke": colour, "fill": fill, "description": drawing.said("said")}
    return drawing.chart(width, 300, data={"values": rows}, mark=mark, encoding=encoding)


def mixture_figure(name: str, alt: str, caption: str, names: list[str], weights: list[list[float]]) -> Figure:
    """The weight of each of ELMo's layers in every run that mixes them.

    Args:
        names: of the runs.
        weights: by (run, layer), from the context-free layer to the top.
    """
    layers = list(_LAYERS) if len(weights[0]) == len(_LAYERS) else [f"layer {one}" for one in range(len(weights[0]))]
    rows = [
        {"run": run, "layer": layer, "order": place, "weight": 100 * weight, "said": f"{layer}: {100 * weight:.0f} %"}
        for run, of_run in zip(names, weights, strict=True)
        for place, (layer, weight) in enumerate(zip(layers, of_run, strict=True))
    ]
    return Figure(name, alt, caption, lambda width: _mixture(width, rows, layers))


def _mixture(width: int, rows: list[dict[str, Any]], layers: list[str]) -> Spec:
    x = {"field": "weight", "type": "quantitative", "title": "learned weight (%)", "scale": {"domain": [0, 100]}}
    limit = 130 if width <= drawing.NARROW else 320
    y = {"field": "run", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": limit}}
    colours = {"domain": layers, "range": [drawing.SKY, drawing.BLUE, drawing.ORANGE][: len(layers)]}
    legend = {"columns": 1 if width <= drawing.NARROW else 3}
    colour = {"field": "layer", "type": "nominal", "scale": colours, "legend": legend}
    order = {"field": "order"}
    encoding = {"x": x, "y": y, "color": colour, "order": order, "description": drawing.said("said")}
    return drawing.chart(width, {"step": 26}, data={"values": rows}, mark="bar", encoding=encoding)
