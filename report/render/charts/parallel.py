"""Parallel coordinates: one line for each trial, through the values of its settings to its score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Drawing

from report.render import wording
from report.render.blocks import Figure
from report.render.charts import style
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


def parallel_figure(name: str, alt: str, caption: str, trials: Sequence[Trial], score: str) -> Figure:
    """A line for each trial, the best on top; pointing at one fades the others and names it.

    Args:
        trials: all with the same settings.
        score: what the score is called.
    """
    axes = [_axis(parameter, trials) for parameter in trials[0].settings]
    low, high = (pick(trial.score for trial in trials) for pick in (min, max))
    norm = Normalize(low, high if high > low else low + 1e-9)
    titles = {f"trial-{trial.index}": _title(trial, score) for trial in trials}

    def paint(drawing: Drawing) -> None:
        panel = drawing.subplots()
        panel.axis("off")
        for trial in sorted(trials, key=lambda one: one.score):
            heights = [
                axis.places[value] + _jitter(trial.index, place)
                for place, (axis, value) in enumerate(zip(axes, trial.settings.values(), strict=True))
            ]
            (line,) = panel.plot(
                [*heights, norm(trial.score)], color=colormaps["viridis"](norm(trial.score)), alpha=0.9
            )
            line.set_gid(f"trial-{trial.index}")
        for place, axis in enumerate([*axes, _score_axis(score, norm)]):
            _draw_axis(panel, place, axis)
        panel.set_ylim(-0.06, 1.16)

    return style.draw(name, alt, caption, (1.9 + 1.25 * len(axes), 4.2), paint, titles)


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
    log = "\n(log scale)" if numeric and is_logarithmic(values) else ""
    return _Axis(f"{wording.parameter_name(parameter)}{log}", ticks, places)


def _score_axis(score: str, norm: Normalize) -> _Axis:
    values = [norm.vmin + quarter / 4 * (norm.vmax - norm.vmin) for quarter in range(5)]  # type: ignore[operator]
    return _Axis(f"{score}\n(%)", [(float(norm(value)), wording.percent(value)) for value in values], {})


def _draw_axis(panel: Axes, place: int, axis: _Axis) -> None:
    panel.plot([place, place], [0, 1], color=style.MUTED, linewidth=1, zorder=3)
    panel.text(place, 1.06, axis.title, ha="center", va="bottom", fontsize=9, fontweight="bold", linespacing=1.2)
    for height, label in axis.ticks:
        pad = {"facecolor": style.PAPER, "alpha": 0.8, "edgecolor": "none", "pad": 1}
        panel.text(place + 0.04, height, label, va="center", fontsize=8, bbox=pad, zorder=4)


def _jitter(index: int, place: int) -> float:
    """A small shift that depends on the trial and the axis, so that trials with equal settings stay visible."""
    return _JITTER * (2 * math.modf((index + 1) * (place + 1) * 0.618033988749895)[0] - 1)


def _title(trial: Trial, score: str) -> str:
    settings = ", ".join(wording.setting(name, value) for name, value in trial.settings.items())
    return f"trial {trial.index}: {settings}; {score} {wording.percent(trial.score)} %"
