"""The look that all figures share, and how a drawing becomes a reproducible SVG that follows the page's theme."""

import io
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from report.render.blocks import Figure

INK, MUTED, GRID, PAPER = "#1d2733", "#5b6675", "#dfe4ea", "#fefefe"
# Okabe and Ito's colours, which colour-blind readers can tell apart too.
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
# The neutral colours by the names that they have in the page's theme.
THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--card)"}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": PAPER,
    "lines.linewidth": 1.6,
}

Paint = Callable[[Drawing], None]


def draw(
    name: str, alt: str, caption: str, size: tuple[float, float], paint: Paint, titles: Mapping[str, str] | None = None
) -> Figure:
    """A figure that `paint` has drawn.

    Args:
        size: width and height in inches.
        titles: by the id of an artist, what is shown when it is pointed at.
    """
    # With a salt for each figure, the ids of two figures on one page differ, and those of one figure never change.
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        drawing = Drawing(figsize=size)
        paint(drawing)
        file = io.StringIO()
        drawing.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None, "Title": alt})
    svg = file.getvalue().replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    for gid, title in (titles or {}).items():
        svg = svg.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(title)}</title>', 1)
    return Figure(name, alt, caption, re.sub(r">\s+<", ">\n<", svg))


def grid_along(axes: Axes, axis: str) -> None:
    """Draw grid lines for one axis only."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis=axis)  # type: ignore[arg-type]
