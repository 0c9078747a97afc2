"""Searches in rungs: the curves of their trials, and what a budget of epochs buys."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from report.render.blocks import Figure
from report.render.charts import style


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
    name: str, alt: str, caption: str, curves: Sequence[RungCurve], ends: Sequence[int], score: str
) -> Figure:
    """A line for each trial, which ends where it was pruned; upright lines are the ends of rungs."""
    titles = {f"rung-trial-{curve.index}": curve.title for curve in curves}

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        for end in ends:
            axes.axvline(end, color=style.MUTED, linewidth=0.8, linestyle=":")
        for curve in sorted(curves, key=lambda one: one.completed):
            colour, width = (style.BLUE, 1.8) if curve.completed else (style.ORANGE, 0.9)
            epochs = range(1, len(curve.scores) + 1)
            (line,) = axes.plot(
                epochs, [100 * one for one in curve.scores], color=colour, linewidth=width, alpha=0.8, marker="."
            )
            line.set_gid(f"rung-trial-{curve.index}")
        axes.plot([], [], color=style.BLUE, label="trained to the end")
        axes.plot([], [], color=style.ORANGE, label="pruned, or not there yet")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set(xlabel="epoch", ylabel=f"{score} (%)")
        axes.legend(loc="lower right")

    return style.draw(name, alt, caption, (6.2, 3.4), paint, titles)


def budget_figure(name: str, alt: str, caption: str, lines: Sequence[BudgetLine], score: str) -> Figure:
    """A line for each search, over epochs on a logarithmic axis."""

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        for number, line in enumerate(lines):
            colour = style.COLOURS[number % len(style.COLOURS)]
            epochs, scores = zip(*line.points, strict=True)
            shown = [100 * one for one in scores]
            if line.in_steps:
                axes.step(epochs, shown, where="post", color=colour, marker="o", markersize=5, label=line.name)
            else:
                axes.plot(epochs, shown, color=colour, label=line.name)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="epochs spent, of all trials together (log scale)", ylabel=f"{score} (%)")
        axes.legend(loc="lower right")

    return style.draw(name, alt, caption, (6.2, 3.4), paint)
