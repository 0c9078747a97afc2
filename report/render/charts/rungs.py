"""Searches in rungs: the curves of their trials, and what a budget of epochs buys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing
from report.render.blocks import Figure
from report.render.drawing import Spec
from report.render.wording import Score

_STATES = {True: "trained to the end", False: "pruned, or not there yet"}


@dataclass(frozen=True)
class RungCurve:
    """A trial's score after each epoch, as far as it got."""

    index: int
    title: str
    scores: Sequence[float]
    completed: bool


@dataclass(frozen=True)
class BudgetLine:
    """A search's best score by the epochs that it has spent."""

    name: str
    points: Sequence[tuple[float, float]]
    in_steps: bool
    """Whether the score stays until the next point, which is marked."""


def rung_curves(
    name: str, alt: str, caption: str, curves: Sequence[RungCurve], ends: Sequence[int], score: Score
) -> Figure:
    """A line for each trial, which ends where it was pruned; upright lines are the ends of rungs."""
    rows = [
        {
            "trial": curve.index,
            "epoch": epoch,
            "value": score.drawn(one),
            "state": _STATES[curve.completed],
            "said": f"{curve.title}; epoch {epoch}: {score.said(one)}",
        }
        for curve in sorted(curves, key=lambda one: one.completed)
        for epoch, one in enumerate(curve.scores, 1)
    ]
    return Figure(name, alt, caption, lambda width: _rungs(width, rows, ends, score))


def _rungs(width: int, rows: list[dict[str, Any]], ends: Sequence[int], score: Score) -> Spec:
    axis = {"tickMinStep": 1, "grid": False, "format": "d"}
    x = {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": axis, "scale": {"zero": False}}
    y = {"field": "value", "type": "quantitative", "title": score.title, "scale": {"zero": False}}
    colours = {"domain": list(_STATES.values()), "range": [drawing.BLUE, drawing.ORANGE]}
    colour = {"field": "state", "type": "nominal", "scale": colours}
    encoding = {"x": x, "y": y, "color": colour, "detail": {"field": "trial"}}
    upright = {"type": "rule", "color": drawing.MUTED, "strokeDash": [2, 3]}
    dots: Spec = {"type": "point", "filled": True, "size": 30}
    layers: list[Spec] = [
        {"data": {"values": [{"epoch": end} for end in ends]}, "mark": upright, "encoding": {"x": x}},
        {"data": {"values": rows}, "mark": {"type": "line", "strokeWidth": 1.3, "opacity": 0.7}, "encoding": encoding},
        {"data": {"values": rows}, "mark": dots, "encoding": encoding | {"description": drawing.said("said")}},
    ]
    return drawing.chart(width, 280, layer=layers)


def budget_figure(name: str, alt: str, caption: str, lines: Sequence[BudgetLine], score: Score) -> Figure:
    """A line for each search, over epochs on a logarithmic axis."""
    rows = [
        {
            "line": line.name,
            "epochs": epochs,
            "value": score.drawn(one),
            "steps": line.in_steps,
            "said": f"{line.name}, {epochs:,.0f} epochs: {score.said(one)}",
        }
        for line in lines
        for epochs, one in line.points
    ]
    order = [line.name for line in lines]
    return Figure(name, alt, caption, lambda width: _budget(width, rows, order, score))


def _budget(width: int, rows: list[dict[str, Any]], order: list[str], score: Score) -> Spec:
    title = "epochs spent, of all trials together (log scale)"
    axis = {"format": "~g", "grid": False, "tickCount": 5}
    x: Spec = {"field": "epochs", "type": "quantitative", "title": title, "axis": axis}
    x |= {"scale": {"type": "log", "nice": False, "padding": 10}}
    y = {"field": "value", "type": "quantitative", "title": score.title, "scale": {"zero": False}}
    legend = {"columns": 1 if width <= drawing.NARROW else 2}
    colour = {"field": "line", "type": "nominal", "scale": {"domain": order}, "legend": legend}
    encoding = {"x": x, "y": y, "color": colour}
    dots: Spec = {"type": "point", "filled": True, "size": 50}
    layers: list[Spec] = [
        {"transform": [{"filter": "!datum.steps"}], "mark": "line"},
        {"transform": [{"filter": "datum.steps"}], "mark": {"type": "line", "interpolate": "step-after"}},
        {"transform": [{"filter": "datum.steps"}], "mark": dots, "encoding": {"description": drawing.said("said")}},
    ]
    return drawing.chart(width, 280, data={"values": rows}, encoding=encoding, layer=layers)
