"""Parallel coordinates: one line for each trial, through the values of its settings to its score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.render import drawing, wording
from report.render.blocks import Figure
from report.render.drawing import Spec
from report.render.wording import Score
from report.statistics import is_logarithmic

_JITTER = 0.018


@dataclass(frozen=True)
class Trial:
    """One trial of a random search."""

    index: int
    settings: dict[str, Any]
    score: float


@dataclass(frozen=True)
class _Axis:
    """Where the values of a parameter stand, from 0 (bottom) to 1 (top)."""

    title: str
    ticks: list[tuple[float, str]]
    places: dict[Any, float]


def parallel_figure(name: str, alt: str, caption: str, trials: Sequence[Trial], score: Score) -> Figure:
    """A line for each trial, the best on top; pointing at one names it.

    Args:
        trials: all with the same settings.
        score: what they are compared by.
    """
    axes = [_axis(parameter, trials) for parameter in trials[0].settings]
    low, high = (pick(trial.score for trial in trials) for pick in (min, max))
    width = high - low
    rows: list[dict[str, Any]] = []
    for trial in sorted(trials, key=lambda one: one.score, reverse=not score.more_is_better):
        places = [
            axis.places[value] + _jitter(trial.index, place)
            for place, (axis, value) in enumerate(zip(axes, trial.settings.values(), strict=True))
        ]
        places.append((trial.score - low) / width if width else 0.5)
        said = _said(trial, score)
        rows += [
            {"trial": trial.index, "axis": place, "height": height, "score": score.drawn(trial.score), "said": said}
            for place, height in enumerate(places)
        ]
    all_axes = [*axes, _score_axis(score, low, width)]
    return Figure(name, alt, caption, lambda pixels: _spec(pixels, rows, all_axes, score))


def _spec(width: int, rows: list[dict[str, Any]], axes: Sequence[_Axis], score: Score) -> Spec:
    ticks = [
        {"axis": place, "height": height, "label": label}
        for place, axis in enumerate(axes)
        for height, label in axis.ticks
    ]
    titles = [{"axis": place, "title": axis.title} for place, axis in enumerate(axes)]
    x = {"field": "axis", "type": "quantitative", "axis": None, "scale": {"domain": [-0.15, len(axes) - 0.55]}}
    y = {"field": "height", "type": "quantitative", "axis": None, "scale": {"domain": [-0.04, 1.04]}}
    scale = {"scheme": "viridis", "reverse": not score.more_is_better}
    colour = {"field": "score", "type": "quantitative", "scale": scale, "legend": None}
    line: Spec = {"x": x, "y": y, "color": colour, "detail": {"field": "trial"}, "description": drawing.said("said")}
    ends = {"y": {"datum": 0, **{name: value for name, value in y.items() if name != "field"}}, "y2": {"datum": 1}}
    size = 10 if width <= drawing.NARROW else 12
    heading: Spec = {"type": "text", "align": "left", "fontWeight": "bold", "baseline": "bottom", "lineBreak": "|"}
    heading |= {"dy": -22, "dx": -8, "fontSize": size, "limit": width // len(axes) - 4}
    label: Spec = {"type": "text", "align": "left", "dx": 5, "fontSize": size}
    halo = label | {"stroke": drawing.PAPER, "strokeWidth": 4, "opacity": 0.85}
    top = {"x": x, "y": {"value": 0}, "text": {"field": "title"}}
    words = {"x": x, "y": y, "text": {"field": "label"}}
    layers: list[Spec] = [
        {"data": {"values": rows}, "mark": {"type": "line", "strokeWidth": 1.8, "opacity": 0.9}, "encoding": line},
        {"data": {"values": titles}, "mark": {"type": "rule", "color": drawing.MUTED}, "encoding": {"x": x, **ends}},
        {"data": {"values": ticks}, "mark": halo, "encoding": words},
        {"data": {"values": ticks}, "mark": label, "encoding": words},
        {"data": {"values": titles}, "mark": heading, "encoding": top},
    ]
    return drawing.chart(width, 340, layer=layers)


def _axis(parameter: str, trials: Sequence[Trial]) -> _Axis:
    values = sorted({trial.settings[parameter] for trial in trials}, key=lambda value: (str(type(value)), value))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numeric:
        scaled = [math.log(value) if is_logarithmic(values) else float(value) for value in values]
    else:
        scaled = [float(place) for place in range(len(values))]
    low, width = min(scaled), max(scaled) - min(scaled)
    places = {value: (at - low) / width if width else 0.5 for value, at in zip(values, scaled, strict=True)}
    shown = values if len(values) <= 8 else [values[0], values[len(values) // 2], values[-1]]
    ticks = [(places[value], wording.parameter_value(parameter, value)) for value in shown]
    log = "|(log scale)" if numeric and is_logarithmic(values) else ""
    return _Axis(f"{wording.parameter_name(parameter)}{log}", ticks, places)


def _score_axis(score: Score, low: float, width: float) -> _Axis:
    ticks = [(quarter / 4, score.shown(low + quarter / 4 * width)) for quarter in range(5)]
    return _Axis(score.title.replace(" after", "|after"), ticks, {})


def _jitter(index: int, place: int) -> float:
    """A small shift that depends on the trial and the axis, so that trials with equal settings stay visible."""
    return _JITTER * (2 * math.modf((index + 1) * (place + 1) * 0.618033988749895)[0] - 1)


def _said(trial: Trial, score: Score) -> str:
    settings = ", ".join(wording.setting(name, value) for name, value in trial.settings.items())
    return f"trial {trial.index}: {settings}; {score.name} {score.said(trial.score)}"
