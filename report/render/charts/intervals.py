"""Values with their intervals on one axis: which is better, and how sure that is."""

from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing

from report.render.blocks import Figure
from report.render.charts import style
from report.statistics import Estimate


@dataclass(frozen=True)
class Line:
    """One row of the figure."""

    name: str
    estimate: Estimate
    colour: str = style.BLUE
    published: bool = False
    """Drawn hollow: measured by others."""


@dataclass(frozen=True)
class ValueAxis:
    """The horizontal axis of the figure."""

    title: str
    """What it measures, with its unit."""
    scale: float = 100
    """What values are multiplied by: shares become per cent."""
    marks_zero: bool = False


def interval_figure(name: str, alt: str, caption: str, lines: list[Line], axis: ValueAxis) -> Figure:
    """A dot with its interval for each line, the first on top."""
    scale = axis.scale

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        style.grid_along(axes, "x")
        if axis.marks_zero:
            axes.axvline(0, color=style.MUTED, linewidth=1)
        for place, line in enumerate(lines):
            of_line = line.estimate
            if of_line.low is not None and of_line.high is not None:
                axes.plot([scale * of_line.low, scale * of_line.high], [place, place], color=line.colour, linewidth=3)
            face = style.PAPER if line.published else line.colour
            axes.plot(scale * of_line.value, place, "o", color=line.colour, markerfacecolor=face, markersize=7)
            # Above its line and not beside it, so that the figure is narrow enough for a phone.
            axes.text(0, place - 0.3, line.name, transform=axes.get_yaxis_transform(), fontsize=8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(lines) - 0.6, -0.9)
        axes.set_xlabel(axis.title)
        axes.margins(x=0.06)

    return style.draw(name, alt, caption, (4.2, 0.6 + 0.44 * len(lines)), paint)
