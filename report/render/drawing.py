"""From a Vega-Lite specification to a drawing: the same bytes each time, for screens, paper and phones."""

import re
from typing import Any
from xml.sax.saxutils import escape

Spec = dict[str, Any]

_VERSION = "v6_4"
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.4.json"
_ROLES = re.compile(r' aria-(?:role)?description="[^"]*"| role="graphics-[a-z]+"')

# Widths in pixels: of a drawing that has a row for itself, of one that shares it, and of any on a phone.
WIDE, HALF, NARROW = 900, 440, 336

INK, MUTED, GRID, PAPER = "#1d2733", "#5b6675", "#dfe4ea", "#fefefe"
# Okabe and Ito's colours, which colour-blind readers can tell apart too.
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
# The colours by the names that they have in the page's theme.
THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--card)"} | {
    colour: f"var(--{name})"
    for name, colour in zip(("blue", "orange", "green", "purple", "sky", "yellow"), COLOURS, strict=True)
}

# The look that all charts share.
CONFIG: Spec = {
    "font": "DejaVu Sans, Verdana, sans-serif",
    "view": {"stroke": None},
    "axis": {
        **{
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelColor": INK,
            "titleColor": MUTED,
        },
        **{"gridColor": GRID, "domainColor": MUTED, "tickColor": MUTED, "domain": False, "ticks": False},
        **{"aria": False, "labelPadding": 6, "titlePadding": 8, "labelOverlap": True},
    },
    "legend": {
        **{"labelFontSize": 12, "titleFontSize": 12, "labelColor": INK, "titleColor": MUTED, "labelLimit": 420},
        **{"aria": False, "orient": "top", "title": None, "symbolStrokeWidth": 2.5, "columnPadding": 18},
    },
    "header": {"labelFontSize": 12, "labelColor": INK, "labelFontWeight": "bold", "title": None, "labelLimit": 420},
    "title": {"aria": False, "fontSize": 12, "color": INK, "anchor": "start", "fontWeight": "bold"},
    "text": {"fontSize": 12, "color": INK},
    "line": {"strokeWidth": 2},
    "range": {"category": list(COLOURS)},
}


def chart(width: int, height: int | Spec, **parts: Any) -> Spec:
    """A specification of a single or layered view that is `width` pixels wide with all its labels."""
    return whole(width=width, height=height, autosize={"type": "fit-x", "contains": "padding"}, **parts)


def whole(**parts: Any) -> Spec:
    """A specification with the look that all charts share."""
    spec = {"$schema": _SCHEMA, "background": PAPER, "padding": 2, "config": CONFIG} | parts
    return {name: _speaking(part) if name in _VIEWS else part for name, part in spec.items()} | _mark(spec)


_VIEWS = ("layer", "spec", "concat")


def _speaking(part: Any) -> Any:
    """Views in which those marks alone have a name for screen readers that say something."""
    if isinstance(part, list):
        return [_speaking(one) for one in part]
    return {name: _speaking(one) if name in _VIEWS else one for name, one in part.items()} | _mark(part)


def _mark(view: Spec) -> Spec:
    mark = view.get("mark")
    if mark is None:
        return {}
    named = mark if isinstance(mark, dict) else {"type": mark}
    return {"mark": {**named, "aria": "description" in view.get("encoding", {})}}


def draw(spec: Spec, title: str) -> str:
    """The drawing as SVG, with its title; texts stay texts.

    Raises:
        ValueError: the specification is not valid.
    """
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec, vl_version=_VERSION)
    svg = (
        _ROLES.sub("", svg)
        .replace(" aria-label=", ' role="img" aria-label=')
        .replace(f' font-family="{CONFIG["font"]}"', "")
    )
    opening = svg.index(">") + 1
    head = svg[:opening].replace("<svg ", f'<svg font-family="{CONFIG["font"]}" ', 1)
    return f"{head}<title>{escape(title)}</title>{svg[opening:]}"


# Lets a mark say, where it is pointed at, what is in the field `said`.
SAID: Spec = {"field": "said", "type": "nominal"}
