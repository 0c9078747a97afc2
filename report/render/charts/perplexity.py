"""Perplexities of language models by the tokens that they have read."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing

from report.render.blocks import Figure
from report.render.charts import style


@dataclass(frozen=True)
class PerplexityLine:
    """A model's perplexities, in the order in which they were measured."""

    name: str
    tokens: Sequence[int]
    forward: Sequence[float]
    backward: Sequence[float]


def perplexity_figure(name: str, alt: str, caption: str, lines: Sequence[PerplexityLine]) -> Figure:
    """A solid line forward and a dashed one backward for each model, on a logarithmic axis."""

    def paint(drawing: Drawing) -> None:
        axes = drawing.subplots()
        for number, line in enumerate(lines):
            colour = style.COLOURS[number % len(style.COLOURS)]
            axes.plot(line.tokens, line.forward, color=colour, marker=".", label=f"{line.name}, forward")
            axes.plot(line.tokens, line.backward, color=colour, marker=".", linestyle="--", label="backward")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="tokens read (millions)", ylabel="perplexity (log scale)")
        axes.legend(loc="upper right")

    return style.draw(name, alt, caption, (6.2, 3.4), paint)
