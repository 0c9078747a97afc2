"""Figures as Vega-Lite specifications, rendered deterministically to SVG: lines, forest plots, learning curves,
parallel coordinates, attention."""

import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import escape

from report.render import wording
from report.render.wording import Score, shortened
from report.statistics import Estimate, is_logarithmic
from sentiment.console import visible

Spec = dict[str, Any]

_VERSION = "v6_4"
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.4.json"
_ROLES = re.compile(r' aria-(?:role)?description="[^"]*"| role="graphics-[a-z]+"')

# Widths of figures in pixels: full width, half width, phone.
WIDE, HALF, NARROW = 900, 440, 336

INK, MUTED, GRID, PAPER = "#1d2733", "#5b6675", "#dfe4ea", "#fefefe"
# Okabe and Ito's colours, which colour-blind readers can tell apart too.
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--card)"} | {
    colour: f"var(--{name})"
    for name, colour in zip(("blue", "orange", "green", "purple", "sky", "yellow"), COLOURS, strict=True)
}


def themed(text: str) -> str:
    """SVG or JSON with colours replaced by the page's CSS variables."""
    for colour, variable in _THEME.items():
        text = text.replace(f'"{colour}"', f'"{variable}"')
    return text


_FONT = "DejaVu Sans, Verdana, sans-serif"
_LABELS: Spec = {"aria": False, "labelFontSize": 12, "labelColor": INK, "titleFontSize": 12, "titleColor": MUTED}
_AXIS: Spec = {
    "titleFontWeight": "normal",
    "gridColor": GRID,
    "domainColor": MUTED,
    "tickColor": MUTED,
    "domain": False,
}
_AXIS |= {"ticks": False, "labelPadding": 6, "titlePadding": 8, "labelOverlap": True}
_LEGEND: Spec = {"labelLimit": 420, "orient": "top", "title": None, "symbolStrokeWidth": 2.5, "columnPadding": 18}
# Configuration of all charts.
CONFIG: Spec = {
    "font": _FONT,
    "view": {"stroke": None},
    "axis": _LABELS | _AXIS,
    "legend": _LABELS | _LEGEND,
    "header": {"labelFontSize": 12, "labelColor": INK, "labelFontWeight": "bold", "title": None, "labelLimit": 420},
    "title": {"aria": False, "fontSize": 12, "color": INK, "anchor": "start", "fontWeight": "bold"},
    "text": {"fontSize": 12, "color": INK},
    "line": {"strokeWidth": 2},
    "range": {"category": list(COLOURS)},
}


def sized_spec(width: int, height: int | Spec, **parts: Any) -> Spec:
    """A single or layered view that is `width` pixels wide including its labels."""
    return base_spec(width=width, height=height, autosize={"type": "fit-x", "contains": "padding"}, **parts)


def base_spec(**parts: Any) -> Spec:
    """A specification with the configuration of all charts."""
    return _with_aria({"$schema": _SCHEMA, "background": PAPER, "padding": 2, "config": CONFIG} | parts)


def _with_aria(view: Spec) -> Spec:
    """Enable ARIA labels only for marks with a description."""
    labelled = dict(view)
    if "layer" in view:
        labelled["layer"] = [_with_aria(layer) for layer in view["layer"]]
    if "spec" in view:
        labelled["spec"] = _with_aria(view["spec"])
    if "mark" in view:
        labelled["mark"] = view["mark"] | {"aria": "description" in view.get("encoding", {})}
    return labelled


def draw(spec: Spec, title: str) -> str:
    """The figure as SVG with a title; text is not converted to paths."""
    import vl_convert

    font = f' font-family="{_FONT}"'
    svg = _ROLES.sub("", vl_convert.vegalite_to_svg(spec, vl_version=_VERSION)).replace(font, "")
    head, drawing = svg.replace(" aria-label=", ' role="img" aria-label=').split(">", 1)
    return f"{head.replace('<svg ', f'<svg{font} ', 1)}><title>{escape(title)}</title>{drawing}"


# The encoding that puts the field `tooltip` into a mark's tooltip and ARIA label.
TOOLTIP: Spec = {"field": "tooltip", "type": "nominal"}


@dataclass(frozen=True)
class Figure:
    """A figure with alternative text and caption.

    Attributes:
        alt: alternative text, also the title of the SVG.
        caption: how to read it, with the test and n.
        build_spec: makes the Vega-Lite specification for a width in pixels.
    """

    name: str
    alt: str
    caption: Any
    build_spec: Callable[[int], Spec] = field(repr=False)
    is_half: bool = False

    @property
    def file(self) -> str:
        return wording.file_name(self.name)

    @cached_property
    def spec(self) -> Spec:
        return self.build_spec(HALF if self.is_half else WIDE)

    @cached_property
    def svg(self) -> str:
        return draw(self.spec, visible(self.alt))

    @cached_property
    def narrow_svg(self) -> str:
        return draw(self.build_spec(NARROW), visible(self.alt))


# Hides fractional tick labels, which `tickMinStep` does not prevent.
_INTEGER_TICKS: Spec = {"tickMinStep": 1, "labelExpr": "datum.value % 1 ? '' : datum.label"}
Style = Literal["line", "thin", "dashed"]
_MARKS: dict[Style, Spec] = {
    "line": {"type": "line"},
    "thin": {"type": "line", "strokeWidth": 1.3, "opacity": 0.6},
    "dashed": {"type": "line", "strokeDash": [2, 3], "color": MUTED},
}


@dataclass(frozen=True)
class Point:
    """A value, in the units of the axes.

    Attributes:
        line: the line that it belongs to.
        group: the legend entry of the line; lines of a group share a colour.
    """

    line: str
    x: float
    value: float
    tooltip: str
    group: str
    low: float | None = None
    high: float | None = None
    style: Style = "line"


def share_point(group: str, x: float, share: Estimate, tooltip: str) -> Point:
    """A share in percent with its interval, on the line of its group."""
    return Point(group, x, 100 * share.value, tooltip, group, _percent(share.low), _percent(share.high))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


@dataclass(frozen=True)
class Axis:
    """An axis, its title with the unit.

    Attributes:
        ticks: explicit tick values; if empty, Vega chooses them.
        vertical_rules: positions of dashed vertical lines.
    """

    title: str
    is_log: bool = False
    is_whole: bool = False
    ticks: Sequence[float] = ()
    vertical_rules: Sequence[float] = ()


def line_figure(name: str, alt: str, caption: Any, points: Sequence[Point], axes: tuple[Axis, Axis]) -> Figure:
    """A line chart, the last line on top; dashed lines are grey references without dots."""
    rows = [vars(point) for point in points]
    return Figure(name, alt, caption, lambda width: _lines_spec(width, rows, axes))


def _lines_spec(width: int, rows: list[dict[str, Any]], axes: tuple[Axis, Axis]) -> Spec:
    x, y = {"field": "x", **_line_axis(axes[0], {"grid": False})}, _line_axis(axes[1], {})
    groups = list(dict.fromkeys(row["group"] for row in rows if row["style"] != "dashed"))
    columns = 1 if width <= NARROW else 2 if max(map(len, groups)) > 32 else 4
    colour = {"field": "group", "type": "nominal", "scale": {"domain": groups}, "legend": {"columns": columns}}
    uncoloured: Spec = {"x": x, "y": {"field": "value", **y}, "detail": {"field": "line"}}
    encoding = uncoloured | {"color": colour}
    layers: list[Spec] = []
    if axes[0].vertical_rules:
        positions = {"values": [{"x": position} for position in axes[0].vertical_rules]}
        rule = {"type": "rule", "color": MUTED, "strokeDash": [2, 3]}
        layers.append({"data": positions, "mark": rule, "encoding": {"x": x}})
    if any(row["low"] is not None for row in rows):
        bar = {"type": "rule", "strokeWidth": 3, "opacity": 0.45}
        bounds = encoding | {"y": {"field": "low", **y}, "y2": {"field": "high"}}
        layers.append({"transform": [{"filter": "datum.low !== null"}], "mark": bar, "encoding": bounds})
    for style in dict.fromkeys(row["style"] for row in rows):
        only = {"filter": f"datum.style === '{style}'"}
        layers.append(
            {"transform": [only], "mark": _MARKS[style], "encoding": uncoloured if style == "dashed" else encoding}
        )
    dots: Spec = {"type": "point", "filled": True, "size": 50, "opacity": 0.9}
    labelled = encoding | {"description": TOOLTIP}
    layers.append({"transform": [{"filter": "datum.style !== 'dashed'"}], "mark": dots, "encoding": labelled})
    return sized_spec(width, 280, data={"values": rows}, layer=layers)


def _line_axis(axis: Axis, look: Spec) -> Spec:
    title = f"{axis.title} (log scale)" if axis.is_log else axis.title
    ticks = {"values": list(axis.ticks), "format": ",", "labelOverlap": "greedy"} if axis.ticks else {}
    scale: Spec = {"type": "log", "nice": False, "padding": 20} if axis.is_log else {"zero": False}
    plain: Spec = {"format": "~g", "tickCount": 5} if axis.is_log else {"format": "~r"}
    plain |= _INTEGER_TICKS if axis.is_whole else {}
    return {"type": "quantitative", "title": title, "scale": scale, "axis": plain | look | ticks}


# Maximum width of a digit in pixels, with the space before the digits.
_DIGIT = 8
# Average width of a letter of a name, and height of its lines, in pixels.
_LETTER = 7
_LINE_HEIGHT = 15

# A row of a forest plot: label, estimate, colour.
Line = tuple[str, Estimate, str]


@dataclass(frozen=True)
class ValueAxis:
    """The value axis of a forest plot, its title with the unit.

    Attributes:
        reference: position of the dashed vertical reference line, as a share.
        ceiling: position of a solid vertical line, the agreement of human annotators, as a share.
        is_half: whether the figure has half the page's width.
    """

    title: str
    marks_zero: bool = False
    reference: float | None = None
    ceiling: float | None = None
    is_half: bool = False


def interval_figure(name: str, alt: str, caption: Any, lines: Sequence[Line], axis: ValueAxis) -> Figure:
    """A forest plot with the values printed at the right, the first row on top."""
    rows = [_interval_row(position, line, axis) for position, line in enumerate(lines)]
    return Figure(name, alt, caption, lambda width: _intervals_spec(width, rows, axis), is_half=axis.is_half)


def _interval_row(position: int, line: Line, axis: ValueAxis) -> dict[str, Any]:
    name, estimate, colour = line
    show = wording.points if axis.marks_zero else wording.percent
    text = show(estimate.value) + wording.bounds(estimate.low, estimate.high, show)
    row = {"position": position, "name": name, "value": 100 * estimate.value}
    row |= {"low": _percent(estimate.low), "high": _percent(estimate.high)}
    return row | {"colour": colour, "value_text": text, "tooltip": f"{name}: {text}"}


def _intervals_spec(width: int, rows: list[dict[str, Any]], axis: ValueAxis) -> Spec:
    is_narrow = width <= HALF
    height = {"step": 46 if is_narrow else 30}
    x = {"type": "quantitative", "scale": {"zero": False, "nice": False, "padding": 12}}
    labels = None if is_narrow else {"labelLimit": 420, "grid": False, "labelPadding": 12}
    y = {
        "field": "position",
        "type": "ordinal",
        "title": None,
        "axis": labels and {**labels, **_label_expression(rows)},
    }
    colour = {"field": "colour", "type": "nominal", "scale": None}
    title = {"title": axis.title, "axis": {"tickCount": 5 if is_narrow else 8}}
    layers: list[Spec] = []
    for share, dash in ((0.0 if axis.marks_zero else None, []), (axis.reference, [4, 4]), (axis.ceiling, [])):
        if share is not None:
            rule = {
                "mark": {"type": "rule", "color": MUTED, "strokeDash": dash},
                "encoding": {"x": {"field": "at", **x}},
            }
            layers.append({"data": {"values": [{"at": 100 * share}]}, **rule})
    bar = {"type": "rule", "strokeWidth": 4, "opacity": 0.55, "strokeCap": "round"}
    bounds = {"x": {"field": "low", **x, **title}, "x2": {"field": "high"}, "color": colour}
    layers.append({"mark": bar, "transform": [{"filter": "datum.low !== null"}], "encoding": {"y": y, **bounds}})
    dot: Spec = {"type": "point", "filled": True, "size": 90, "opacity": 1, "strokeWidth": 2}
    at_value = {"y": y, "x": {"field": "value", **x, **title}, "description": TOOLTIP}
    layers.append({"mark": dot, "encoding": {**at_value, "color": colour}})
    digits: Spec = {"type": "text", "align": "right" if is_narrow else "left", "dx": 0 if is_narrow else 12}
    digits |= {"dy": -15 if is_narrow else 0, "color": INK}
    right = {"x": {"value": {"expr": "width"}}, "text": {"field": "value_text"}}
    layers += _text_with_halo(digits, {"y": y, **right})
    if is_narrow:
        room = (width - _DIGIT * max(len(row["value_text"]) for row in rows)) // _LETTER
        wrapped = [textwrap.wrap(row["name"], room)[::-1] for row in rows]
        height["step"] += _LINE_HEIGHT * (max(map(len, wrapped)) - 1)
        layers += _names_above_bars(rows, wrapped, y)
    return sized_spec(width, height, data={"values": rows}, layer=layers)


def _names_above_bars(rows: list[dict[str, Any]], wrapped: list[list[str]], y: Spec) -> list[Spec]:
    """Layers of text: the lines of each row's name, the last one first, which leave room for the digits."""
    layers: list[Spec] = []
    for up in range(max(map(len, wrapped))):
        lines = [
            {"position": row["position"], "text": name_lines[up]}
            for row, name_lines in zip(rows, wrapped, strict=True)
            if up < len(name_lines)
        ]
        name: Spec = {"type": "text", "align": "left", "dy": -15 - up * _LINE_HEIGHT}
        for layer in _text_with_halo(name, {"y": y, "x": {"value": 0}, "text": {"field": "text"}}):
            layers.append({"data": {"values": lines}, **layer})
    return layers


def _text_with_halo(mark: Spec, encoding: Spec) -> list[Spec]:
    halo = mark | {"stroke": PAPER, "strokeWidth": 4, "strokeJoin": "round"}
    return [{"mark": halo, "encoding": encoding}, {"mark": mark, "encoding": encoding}]


def _label_expression(rows: list[dict[str, Any]]) -> Spec:
    """Labels of rows by position, since names may repeat."""
    names = [row["name"].replace("\\", "\\\\").replace("'", "\\'").replace("\n", " ") for row in rows]
    return {"labelExpr": "[" + ", ".join(f"'{name}'" for name in names) + "][datum.value]"}


# The metrics of learning curves: name in logs, title of the panel.
METRICS = {"loss": "loss (nats)", "accuracy": "accuracy (%)", "macro_f1": "macro F1 (%)"}
PART_TITLES = {"train": "training", "validation": "validation"}
_HEIGHT, _GAP, _OUTSIDE = 190, 24, 36


def panel_figure(name: str, alt: str, caption: Any, epochs: Sequence[Mapping[str, Any]], best_epoch: int) -> Figure:
    """Learning curves of one run, one panel per metric, with a ring at the best epoch.

    Args:
        epochs: one dict per epoch: its number (`epoch`), and a dict of metrics for each part (`train`, `validation`).
    """
    rows = []
    for (metric, panel), (part, title), row in product(METRICS.items(), PART_TITLES.items(), epochs):
        value = (1 if metric == "loss" else 100) * row[part][metric]
        point = {"panel": panel, "epoch": row["epoch"], "part": title, "value": value}
        is_best = row["epoch"] == best_epoch and part == "validation"
        rows.append(point | {"best": is_best, "tooltip": f"epoch {row['epoch']}, {title}: {value:.3g}"})
    return Figure(name, alt, caption, lambda width: _panels_spec(width, rows))


def _panels_spec(width: int, rows: list[dict[str, Any]]) -> Spec:
    colours = {"domain": list(PART_TITLES.values()), "range": [ORANGE, BLUE]}
    colour: Spec = {"field": "part", "type": "nominal", "scale": colours}
    dots: Spec = {"type": "point", "filled": True, "size": 36, "opacity": 0.01}
    ring: Spec = {"type": "point", "size": 80, "filled": False, "strokeWidth": 2.5, "opacity": 1}
    dash = {"strokeDash": _PART_DASH}
    layers: list[Spec] = [
        {"mark": {"type": "line", "point": len(rows) <= 2 * len(METRICS)}, "encoding": dash},
        {"mark": dots, "encoding": {"description": TOOLTIP}},
        {"mark": ring, "transform": [{"filter": "datum.best"}]},
    ]
    return _curves_spec(width, [*METRICS.values()], {"color": colour}, layer=layers) | {"data": {"values": rows}}


def overlay_spec(width: int) -> Spec:
    """Learning curves for the run explorer, without data: rows need panel, epoch, value, part and run."""
    colour = {"field": "run", "type": "nominal", "sort": None, "legend": {"columns": 1}}
    tooltip = [{"field": name} for name in ("run", "part", "epoch", "value")]
    encoding = {"color": colour, "strokeDash": _PART_DASH, "tooltip": tooltip}
    line = {"type": "line", "point": {"size": 24}}
    return _curves_spec(width, [METRICS["loss"], METRICS["accuracy"]], encoding, mark=line)


_PART_DASH: Spec = {
    "field": "part",
    "type": "nominal",
    "scale": {"domain": list(PART_TITLES.values()), "range": [[5, 3], [1, 0]]},
}


def _curves_spec(width: int, panels: list[str], encoding: Spec, **marks: Any) -> Spec:
    """A panel for each metric by epoch, side by side, and one below the other on phones."""
    columns = 1 if width <= NARROW else len(panels)
    inner = (width - _GAP * (columns - 1)) // columns - _OUTSIDE
    ticks = {"tickCount": 5, "grid": False, "format": "d", **_INTEGER_TICKS}
    x: Spec = {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": ticks, "scale": {"zero": False}}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}, "axis": {"tickCount": 4}}
    panel = {"width": inner, "height": _HEIGHT, "encoding": {"x": x, "y": y} | encoding} | marks
    header = {"labelLimit": inner, "labelAnchor": "start"}
    facet = {"field": "panel", "type": "nominal", "sort": panels, "header": header}
    layout = {"columns": columns, "spacing": {"row": 30, "column": _GAP}, "resolve": {"scale": {"y": "independent"}}}
    return base_spec(facet=facet, spec=panel, **layout)


_JITTER = 0.018


@dataclass(frozen=True)
class Trial:
    """One trial of a random search, by its number in the plan."""

    index: int
    settings: dict[str, Any]
    score: float


class _TrialAxis(NamedTuple):
    """The axis of a parameter, with heights from 0 (bottom) to 1 (top) of its values."""

    title: str
    ticks: list[tuple[float, str]]
    heights: dict[Any, float]


def parallel_figure(name: str, alt: str, caption: str, trials: Sequence[Trial], score: Score) -> Figure:
    """Parallel coordinates: a line for each trial, the best on top. All trials have the same set of parameters."""
    axes = [_trial_axis(parameter, trials) for parameter in trials[0].settings]
    low, high = (pick(trial.score for trial in trials) for pick in (min, max))
    span = high - low
    rows: list[dict[str, Any]] = []
    for trial in sorted(trials, key=lambda trial: trial.score, reverse=not score.more_is_better):
        heights = [
            axis.heights[value] + _jitter(trial.index, number)
            for number, (axis, value) in enumerate(zip(axes, trial.settings.values(), strict=True))
        ]
        heights.append((trial.score - low) / span if span else 0.5)
        settings = ", ".join(wording.setting(name, value) for name, value in trial.settings.items())
        tooltip = f"trial {trial.index}: {settings}; {score.name} {score.with_unit(trial.score)}"
        rows += [
            {
                "trial": trial.index,
                "axis": number,
                "height": height,
                "score": score.drawn(trial.score),
                "tooltip": tooltip,
            }
            for number, height in enumerate(heights)
        ]
    quarters = [(quarter / 4, score.shown(low + quarter / 4 * span)) for quarter in range(5)]
    all_axes = [*axes, _TrialAxis(score.title.replace(" after", "|after"), quarters, {})]
    return Figure(name, alt, caption, lambda pixels: _parallel_spec(pixels, rows, all_axes, score))


def _parallel_spec(width: int, rows: list[dict[str, Any]], axes: Sequence[_TrialAxis], score: Score) -> Spec:
    ticks = [
        {"axis": number, "height": height, "label": label}
        for number, axis in enumerate(axes)
        for height, label in axis.ticks
    ]
    titles = [{"axis": number, "title": axis.title} for number, axis in enumerate(axes)]
    x = {"field": "axis", "type": "quantitative", "axis": None, "scale": {"domain": [-0.15, len(axes) - 0.55]}}
    y = {"field": "height", "type": "quantitative", "axis": None, "scale": {"domain": [-0.04, 1.04]}}
    # Skips the darkest colours for dark mode.
    scale = {"scheme": {"name": "viridis", "extent": [0.25, 1]}, "reverse": not score.more_is_better}
    colour = {"field": "score", "type": "quantitative", "scale": scale, "legend": None}
    line: Spec = {"x": x, "y": y, "color": colour, "detail": {"field": "trial"}, "description": TOOLTIP}
    axis_rule = {"y": {"datum": 0, **{name: value for name, value in y.items() if name != "field"}}, "y2": {"datum": 1}}
    text: Spec = {"type": "text", "align": "left", "fontSize": 10 if width <= NARROW else 12}
    heading = text | {"fontWeight": "bold", "baseline": "bottom", "lineBreak": "|"}
    heading |= {"dy": -22, "dx": -8, "limit": width // len(axes) - 4}
    top = {"x": x, "y": {"value": 0}, "text": {"field": "title"}}
    labels = {"x": x, "y": y, "text": {"field": "label"}}
    layers: list[Spec] = [
        {"data": {"values": rows}, "mark": {"type": "line", "strokeWidth": 1.8, "opacity": 0.9}, "encoding": line},
        {"data": {"values": titles}, "mark": {"type": "rule", "color": MUTED}, "encoding": {"x": x, **axis_rule}},
        *({"data": {"values": ticks}, **layer} for layer in _text_with_halo(text | {"dx": 5}, labels)),
        {"data": {"values": titles}, "mark": heading, "encoding": top},
    ]
    return sized_spec(width, 340, layer=layers)


def _trial_axis(parameter: str, trials: Sequence[Trial]) -> _TrialAxis:
    values = sorted({trial.settings[parameter] for trial in trials}, key=lambda value: (str(type(value)), value))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    is_log = is_logarithmic(values)
    if is_log:
        scaled = [math.log(value) for value in values]
    else:
        scaled = values if numeric else list(map(float, range(len(values))))
    low = min(scaled)
    span = max(scaled) - low
    heights = {value: (number - low) / span if span else 0.5 for value, number in zip(values, scaled, strict=True)}
    labelled = values if len(values) <= 8 else [values[0], values[len(values) // 2], values[-1]]
    ticks = [(heights[value], wording.parameter_value(parameter, value)) for value in labelled]
    return _TrialAxis(f"{wording.parameter_name(parameter)}{'|(log scale)' if is_log else ''}", ticks, heights)


def _jitter(index: int, axis: int) -> float:
    """A small shift that depends on the trial and the axis, so that trials with equal settings stay visible."""
    return _JITTER * (2 * math.modf((index + 1) * (axis + 1) * 0.618033988749895)[0] - 1)


# The multiple of the uniform weight at which the shading of a token saturates.
FULL = 4

_SIZE, _PAD, _SPACE, _LINE = 12, 3, 3, 22
_LONGEST_TOKEN, _MOST_TOKENS = 24, 40
_MONOSPACED = "DejaVu Sans Mono, Menlo, Consolas, monospace"
# The width of a monospaced character, by its height.
_CHARACTER = 0.602


class Attended(NamedTuple):
    """A row of an attention figure: a tweet, and the weight of each of its tokens, of shape (tokens,)."""

    heading: str
    tokens: Sequence[str]
    weights: Sequence[float]


def attention_figure(name: str, alt: str, caption: Any, tweets: Sequence[Attended]) -> Figure:
    """A row for each tweet, and a scale; shading saturates at `FULL` times the uniform weight."""
    return Figure(name, alt, caption, lambda width: _attention_spec(width, tweets))


def _attention_spec(width: int, tweets: Sequence[Attended]) -> Spec:
    headings, boxes, y = [], [], 0
    for tweet in tweets:
        headings.append({"y": y, "text": visible(tweet.heading)})
        boxes += [box | {"y": y + box["y"]} for box in _token_boxes(tweet, width)]
        y = boxes[-1]["y"] + _LINE + 14
    up = {"type": "quantitative", "axis": None, "scale": {"domain": [0, y], "range": [0, y]}}
    along = {"type": "quantitative", "axis": None, "scale": {"domain": [0, width], "range": [0, width]}}
    shade = {"type": "linear", "domain": [0, FULL], "range": [0, 0.9], "clamp": True}
    title = {"title": "attention relative to uniform (\u00d7)", "values": [0, 1, 2, 3, FULL], "direction": "horizontal"}
    opacity = {"field": "times", "type": "quantitative", "scale": shade, "legend": title}
    start = {"field": "x", **along}
    top = {"field": "y", **up}
    box = {
        "x": start,
        "x2": {"field": "x2"},
        "y": top,
        "y2": {"field": "y2"},
        "opacity": opacity,
        "description": TOOLTIP,
    }
    rect = {"type": "rect", "color": ORANGE, "cornerRadius": 3}
    word = {"type": "text", "align": "left", "dx": _PAD, "dy": 9, "font": _MONOSPACED}
    heading = {"type": "text", "align": "left", "color": MUTED, "dy": 14, "limit": width}
    at_the_left: Spec = {"x": {"value": 0}, "text": {"field": "text"}, "y": top}
    below = [{"calculate": f"datum.y + {_LINE - 3}", "as": "y2"}]
    layers: list[Spec] = [
        {"data": {"values": boxes}, "transform": below, "mark": rect, "encoding": box},
        {"data": {"values": boxes}, "mark": word, "encoding": {"x": start, "y": top, "text": {"field": "token"}}},
        {"data": {"values": headings}, "mark": heading, "encoding": at_the_left},
    ]
    return base_spec(width=width - 4, height=max(y, _LINE), layer=layers)


def _token_boxes(tweet: Attended, width: int) -> Iterator[dict[str, Any]]:
    x, y = 0.0, _LINE
    for token, weight in zip(tweet.tokens[:_MOST_TOKENS], tweet.weights, strict=False):
        text, times = shortened(visible(token), _LONGEST_TOKEN), weight * len(tweet.tokens)
        box_width = round(_display_width(text) * _SIZE * _CHARACTER + 2 * _PAD, 1)
        if x and x + box_width > width:
            x = 0.0
            y += _LINE
        tooltip = f"{text}: {times:.1f} \u00d7 uniform weight"
        yield {"x": x, "x2": round(x + box_width, 1), "y": y, "token": text, "times": times, "tooltip": tooltip}
        x = round(x + box_width + _SPACE, 1)


def _display_width(token: str) -> int:
    """The width in columns; wide characters, such as emoji, take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in token) or 1
