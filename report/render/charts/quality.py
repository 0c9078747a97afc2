"""How one run does on single tweets: confusion, ROC and precision-recall, reliability, accuracy by group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from report.render import wording
from report.render.blocks import Figure
from report.render.charts import style
from report.statistics import Estimate

_SHADES = ((0.94, 0.96, 0.98), (0.0, 0.45, 0.70))


@dataclass(frozen=True)
class Curve:
    """A line with its name; its points are two arrays of shape (n,)."""

    name: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]


def confusion_figure(
    name: str, alt: str, caption: str, matrices: Sequence[tuple[str, npt.NDArray[np.int64]]], labels: Sequence[str]
) -> Figure:
    """Counts, and rates of each label's tweets, side by side for each model.

    Args:
        matrices: names of models, and their counts by (label, answer).
        labels: names of the labels, in the order of the counts.
    """

    def paint(drawing: Drawing) -> None:
        for axes, (title, counts) in zip(drawing.subplots(1, len(matrices), squeeze=False)[0], matrices, strict=True):
            _draw_matrix(axes, counts, labels)
            axes.set_title(title)
        drawing.tight_layout(w_pad=2)

    return style.draw(name, alt, caption, (3.1 * len(matrices), 2.7), paint)


def _draw_matrix(axes: Axes, counts: npt.NDArray[np.int64], labels: Sequence[str]) -> None:
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    light, dark = (np.array(shade) for shade in _SHADES)
    axes.imshow(light + rates[..., None] * (dark - light))
    axes.grid(visible=False)
    for (label, answer), rate in np.ndenumerate(rates):
        text = f"{counts[label, answer]:,}\n{wording.percent(float(rate))} %"
        colour = "white" if rate > 0.5 else "#1d2734"  # on its own shade, whatever the page's theme
        axes.text(answer, label, text, ha="center", va="center", color=colour, fontsize=10)
    for axis, what in ((axes.xaxis, "answer"), (axes.yaxis, "label")):
        axis.set_ticks(range(len(labels)), labels)
        axis.set_label_text(what)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def ranking_figure(
    name: str, alt: str, caption: str, roc: Sequence[Curve], recall: Sequence[Curve], positives: float
) -> Figure:
    """ROC and precision-recall curves with what chance would give; `positives` is the share of positive tweets."""

    def paint(drawing: Drawing) -> None:
        left, right = drawing.subplots(1, 2)
        left.plot([0, 100], [0, 100], ":", color=style.MUTED, label="chance")
        right.axhline(100 * positives, linestyle=":", color=style.MUTED, label="chance")
        for axes, curves in ((left, roc), (right, recall)):
            for colour, curve in zip((style.BLUE, style.ORANGE), curves, strict=True):
                axes.plot(100 * curve.x, 100 * curve.y, color=colour, label=curve.name)
            axes.set(xlim=(0, 100), ylim=(0, 102))
            axes.legend(loc="lower right" if axes is left else "lower left")
        left.set(title="ROC", xlabel="false positives (% of negative)", ylabel="true positives (% of positive)")
        right.set(title="Precision and recall", xlabel="recall (%)", ylabel="precision (%)")
        drawing.tight_layout()

    return style.draw(name, alt, caption, (8.0, 3.5), paint)


@dataclass(frozen=True)
class Reliability:
    """Tweets of one model in groups of similar probability: the mean probability, and the share that is positive."""

    name: str
    predicted: list[float]
    observed: list[Estimate]


def reliability_figure(name: str, alt: str, caption: str, models: Sequence[Reliability]) -> Figure:
    """Observed shares over predicted probabilities; on the diagonal probabilities mean what they say."""

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        axes.plot([0, 100], [0, 100], ":", color=style.MUTED, label="perfect")
        for colour, model in zip((style.BLUE, style.ORANGE), models, strict=True):
            predicted = [100 * value for value in model.predicted]
            for x, share in zip(predicted, model.observed, strict=True):
                axes.plot([x, x], [100 * (share.low or 0), 100 * (share.high or 0)], color=colour, linewidth=1)
            shares = [100 * share.value for share in model.observed]
            axes.plot(predicted, shares, "o-", markersize=4, color=colour, label=model.name)
        axes.set(xlabel="mean probability of positive (%)", ylabel="positive tweets (%)", xlim=(0, 100), ylim=(0, 100))
        axes.legend(loc="upper left")

    return style.draw(name, alt, caption, (4.4, 3.8), paint)


def groups_figure(
    name: str, alt: str, caption: str, axis: str, groups: Sequence[str], models: Sequence[tuple[str, list[Estimate]]]
) -> Figure:
    """Accuracy with its interval by group of tweets.

    Args:
        axis: what the groups are made by.
        groups: their names.
        models: names of models, and their accuracy in each group.
    """

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        style.grid_along(axes, "y")
        for shift, colour, (title, shares) in zip((-0.1, 0.1), (style.BLUE, style.ORANGE), models, strict=True):
            places = [place + shift for place in range(len(groups))]
            for x, share in zip(places, shares, strict=True):
                axes.plot([x, x], [100 * (share.low or 0), 100 * (share.high or 0)], color=colour, linewidth=2)
            axes.plot(places, [100 * share.value for share in shares], "o", color=colour, label=title)
        axes.set_xticks(range(len(groups)), groups)
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set(xlabel=axis, ylabel="accuracy (%)")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return style.draw(name, alt, caption, (5.6, 3.0), paint)
