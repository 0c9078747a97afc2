"""What accuracy costs, and the weights of ELMo's layers."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import LogLocator, NullLocator

from report.render.blocks import Figure
from report.render.charts import style


@dataclass(frozen=True)
class Costly:
    """One run: what it took and what it reached."""

    group: str
    minutes: float
    accuracy: float
    cached: bool


def cost_figure(name: str, alt: str, caption: str, runs: Sequence[Costly], unit: str) -> Figure:
    """Accuracy over minutes on a logarithmic axis; hollow where vectors were computed anew for every batch."""
    groups = dict(zip(dict.fromkeys(run.group for run in runs), style.COLOURS * len(runs), strict=False))

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        for group, colour in groups.items():
            axes.plot([], [], "o", color=colour, label=group)
        for run in runs:
            colour = groups[run.group]
            axes.plot(
                run.minutes,
                100 * run.accuracy,
                "o",
                color=colour,
                markerfacecolor=colour if run.cached else style.PAPER,
                markersize=6,
            )
        axes.set_xscale("log")
        axes.set(xlabel=f"{unit} per run (log scale)", ylabel="test accuracy (%)")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return style.draw(name, alt, caption, (5.0, 3.4), paint)


def mixture_figure(name: str, alt: str, caption: str, names: list[str], weights: list[list[float]]) -> Figure:
    """The weight of each of ELMo's layers in every run that mixes them.

    Args:
        names: of the runs.
        weights: by (run, layer), from the context-free layer to the top.
    """
    layers = ("context-free", "first LSTM layer", "top LSTM layer")

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        style.grid_along(axes, "x")
        left = [0.0] * len(names)
        for layer, colour in enumerate((style.SKY, style.BLUE, style.ORANGE)):
            widths = [100 * of_run[layer] for of_run in weights]
            label = layers[layer] if len(weights[0]) == len(layers) else f"layer {layer}"
            axes.barh(range(len(names)), widths, left=left, color=colour, label=label, height=0.65)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set(xlabel="learned weight (%)", xlim=(0, 100))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

    return style.draw(name, alt, caption, (5.6, 0.9 + 0.26 * len(names)), paint)
