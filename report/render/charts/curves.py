"""Learning curves: training and validation, epoch by epoch, with the best epoch marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from report.render.blocks import Figure
from report.render.charts import style

METRICS = {"loss": "loss (nats)", "accuracy": "accuracy (%)", "precision": "precision (%)", "recall": "recall (%)"}
METRICS |= {"f1": "F1 (%)"}
_PARTS = {"train": (style.ORANGE, "--", "training"), "validation": (style.BLUE, "-", "validation")}


@dataclass(frozen=True)
class Curves:
    """One run's learning curves."""

    name: str
    epochs: Sequence[dict[str, Any]]
    """For each epoch its number (`epoch`), and by part (`train`, `validation`) the metrics."""
    best_epoch: int


def full_curves(name: str, alt: str, caption: str, curves: Curves) -> Figure:
    """All metrics of one run in large panels."""

    def paint(drawing: Drawing) -> None:
        panels = drawing.subplots(2, 3)
        for axes, metric in zip(panels.flat, METRICS, strict=False):
            _draw_metric(axes, curves, metric)
            axes.set_title(METRICS[metric])
            axes.set_xlabel("epoch")
        panels.flat[-1].axis("off")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        panels.flat[-1].legend(handles, labels, loc="center left")
        drawing.tight_layout()

    return style.draw(name, alt, caption, (8.4, 4.6), paint)


def small_multiples(name: str, alt: str, caption: str, many: list[Curves]) -> Figure:
    """A row of small panels for each run; the panels of a column share their axis, so that runs can be compared."""

    def paint(drawing: Drawing) -> None:
        panels = drawing.subplots(len(many), len(METRICS), sharex=True, sharey="col", squeeze=False)
        for row, curves in zip(panels, many, strict=True):
            for axes, metric in zip(row, METRICS, strict=True):
                _draw_metric(axes, curves, metric)
            title = row[0].annotate(
                curves.name, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8
            )
            title.set_in_layout(False)  # it is as wide as all panels
        for axes, metric in zip(panels[0], METRICS, strict=True):
            axes.set_title(METRICS[metric], pad=18)
        for axes in panels[-1]:
            axes.set_xlabel("epoch")
        handles, labels = panels[0][0].get_legend_handles_labels()
        height = drawing.get_figheight()
        drawing.legend(handles, labels, loc="lower right", bbox_to_anchor=(0.99, 1 - 0.35 / height), ncols=3)
        # Fixed, since measuring the labels of thirty panels takes longer than drawing them.
        drawing.subplots_adjust(0.06, 0.4 / height, 0.99, 1 - 0.7 / height, wspace=0.3, hspace=0.4)

    return style.draw(name, alt, caption, (8.4, 0.9 + 1.15 * len(many)), paint)


def _draw_metric(axes: Axes, curves: Curves, metric: str) -> None:
    epochs = [row["epoch"] for row in curves.epochs]
    scale = 1 if metric == "loss" else 100
    for part, (colour, line, label) in _PARTS.items():
        values = [scale * row[part][metric] for row in curves.epochs]
        axes.plot(epochs, values, line, color=colour, label=label, marker="." if len(epochs) == 1 else None)
        best = [value for epoch, value in zip(epochs, values, strict=True) if epoch == curves.best_epoch]
        if part == "validation" and best:
            axes.plot(
                curves.best_epoch,
                best[0],
                "o",
                color=colour,
                markersize=5,
                markerfacecolor=style.PAPER,
                label="best epoch",
            )
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))


@dataclass(frozen=True)
class AccuracyCurves:
    """Validation accuracy epoch by epoch, in a list for each run."""

    name: str
    runs: list[list[float]]


def progress_figure(name: str, alt: str, caption: str, groups: list[AccuracyCurves]) -> Figure:
    """A thin line for each run, and a thick one for the mean of those that were still training."""

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        for colour, group in zip(style.COLOURS, groups, strict=False):
            for run in group.runs:
                axes.plot(
                    range(1, len(run) + 1), [100 * value for value in run], color=colour, linewidth=0.7, alpha=0.5
                )
            longest = max(len(run) for run in group.runs)
            alive = [[run[epoch] for run in group.runs if epoch < len(run)] for epoch in range(longest)]
            means = [100 * sum(values) / len(values) for values in alive]
            axes.plot(range(1, longest + 1), means, color=colour, linewidth=2.4, label=group.name)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation accuracy (%)")
        axes.legend()

    return style.draw(name, alt, caption, (5.6, 3.2), paint)
