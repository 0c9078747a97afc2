"""Figures as Vega-Lite specifications, from templates in `templates/charts`, rendered deterministically to SVG: lines,
forest plots, parallel coordinates."""

import json
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import escape

from jinja2 import Environment
from markupsafe import Markup

from report.render import wording
from report.render.environment import environment
from report.render.wording import Score
from sentiment.blocks.wording import file_name
from sentiment.console import visible
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate

Spec = dict[str, Any]

_VERSION = "v6_4"
_ROLES = re.compile(r' aria-(?:role)?description="[^"]*"| role="graphics-[a-z]+"')

# Widths of figures in pixels: full width, phone.
WIDE = 900
NARROW = 336

# Colours by the names of the page's CSS variables. Those for marks are Okabe and Ito's, which colour-blind readers can
# tell apart too.
COLOURS: dict[str, str] = {
    "ink": "#1d2733",
    "muted": "#5b6675",
    "line": "#dfe4ea",
    "card": "#fefefe",
    "blue": "#0072b2",
    "orange": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "sky": "#56b4e9",
    "yellow": "#e69f00",
}
Colour = Literal["blue", "orange", "green", "purple", "sky", "muted"]
_CATEGORIES = [COLOURS[name] for name in ("blue", "orange", "green", "purple", "sky", "yellow")]


def themed(text: str) -> str:
    """SVG with colours replaced by the page's CSS variables."""
    for name, colour in COLOURS.items():
        text = text.replace(f'"{colour}"', f'"var(--{name})"')
    return text


_FONT = "DejaVu Sans, Verdana, sans-serif"


def _spec(template: str, width: int, **values: Any) -> Spec:
    """Fill a template with values, each of which is written as JSON, and parse the specification."""
    text = _templates().get_template(f"{template}.json.j2").render(values, width=width, is_narrow=width <= NARROW)
    specification: Spec = _visible(json.loads(text))
    return specification


def _visible(value: Any) -> Any:
    """A specification whose strings are visible: a control character would end the program that draws it."""
    if isinstance(value, dict):
        return {name: _visible(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_visible(one) for one in value]
    return visible(value) if isinstance(value, str) else value


@cache
def _templates() -> Environment:
    templates = environment("templates/charts", _as_json)
    templates.globals |= {"colours": COLOURS, "categories": _CATEGORIES, "font": _FONT}
    return templates


def _as_json(value: Any) -> Markup:
    return value if isinstance(value, Markup) else Markup(json.dumps(value))  # noqa: S704 - it becomes JSON, not HTML


def draw(spec: Spec, title: str) -> str:
    """The figure as SVG with a title; text is not converted to paths."""
    import vl_convert

    font = f' font-family="{_FONT}"'
    svg = _ROLES.sub("", vl_convert.vegalite_to_svg(spec, vl_version=_VERSION)).replace(font, "")
    head, drawing = svg.replace(" aria-label=", ' role="img" aria-label=').split(">", 1)
    return f"{head.replace('<svg ', f'<svg{font} ', 1)}><title>{escape(title)}</title>{drawing}"


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

    @property
    def file(self) -> str:
        return file_name(self.name)

    @cached_property
    def spec(self) -> Spec:
        return self.build_spec(WIDE)

    @cached_property
    def svg(self) -> str:
        return draw(self.spec, visible(self.alt))

    @cached_property
    def narrow_svg(self) -> str:
        return draw(self.build_spec(NARROW), visible(self.alt))


Style = Literal["line", "dashed"]
# A legend has two columns if one of its names has more letters than this.
_LONG_NAME = 32


@dataclass(frozen=True)
class Point:
    """A value, in the units of the axes, on the line of its group."""

    group: str
    x: float
    value: float
    tooltip: str
    low: float | None = None
    high: float | None = None
    style: Style = "line"


def share_point(group: str, x: float, share: Estimate, tooltip: str) -> Point:
    """A share in percent with its interval, on the line of its group."""
    return Point(group=group, x=x, tooltip=tooltip, **_in_percent(share))


def _in_percent(share: Estimate) -> dict[str, Any]:
    """A share and its bounds in percent; None for a bound that is unknown."""
    shares = {"value": share.value, "low": share.low, "high": share.high}
    return {name: None if number is None else 100 * number for name, number in shares.items()}


@dataclass(frozen=True)
class Axis:
    """An axis, its title with the unit.

    Attributes:
        ticks: explicit tick values; if empty, Vega chooses them.
    """

    title: str
    is_log: bool = False
    ticks: Sequence[float] = ()

    @property
    def full_title(self) -> str:
        return f"{self.title} (log scale)" if self.is_log else self.title


def line_figure(name: str, alt: str, caption: Any, points: Sequence[Point], axes: tuple[Axis, Axis]) -> Figure:
    """A line chart, the last line on top; dashed lines are grey references without dots."""
    rows = [vars(point) for point in points]
    return Figure(name, alt, caption, lambda width: _lines_spec(width, rows, axes))


def _lines_spec(width: int, rows: list[dict[str, Any]], axes: tuple[Axis, Axis]) -> Spec:
    groups = list(dict.fromkeys(row["group"] for row in rows if row["style"] != "dashed"))
    columns = 2 if max(map(len, groups)) > _LONG_NAME else 4
    return _spec(
        "lines",
        width,
        rows=rows,
        groups=groups,
        columns=1 if width <= NARROW else columns,
        x_axis=axes[0],
        x_title=wrapped(axes[0].full_title, width - 60),
        y_axis=axes[1],
    )


# Width of a letter and height of a line in pixels; the most letters of a name beside its row.
_LETTER = 7
_LINE_HEIGHT = 15
_LETTERS_BESIDE = 58

# A row of a forest plot: label, estimate, colour.
IntervalRow = tuple[str, Estimate, Colour]


@dataclass(frozen=True)
class ValueAxis:
    """The value axis of a forest plot, its title with the unit.

    Attributes:
        marks_zero: whether the values are differences, and a line stands at 0.
    """

    title: str
    marks_zero: bool = False


def interval_figure(name: str, alt: str, caption: Any, lines: Sequence[IntervalRow], axis: ValueAxis) -> Figure:
    """A forest plot with the values printed at the right, the first row on top."""
    rows = [_interval_row(position, line, axis) for position, line in enumerate(lines)]
    return Figure(name, alt, caption, lambda width: _intervals_spec(width, rows, axis))


def _interval_row(position: int, line: IntervalRow, axis: ValueAxis) -> dict[str, Any]:
    name, estimate, colour = line
    show = words.points if axis.marks_zero else words.percent
    text = show(estimate.value) + words.bracketed(words.bounds(estimate.low, estimate.high, show))
    row = {"position": position, "name": name, **_in_percent(estimate)}
    return row | {"colour": COLOURS[colour], "value_text": text, "tooltip": f"{name}: {text}"}


def _intervals_spec(width: int, rows: list[dict[str, Any]], axis: ValueAxis) -> Spec:
    names = [visible(row["name"]) for row in rows]
    has_names_above = width <= NARROW or max(map(len, names)) > _LETTERS_BESIDE
    lines_above = _lines_above_rows(rows, width) if has_names_above else []
    return _spec(
        "intervals",
        width,
        rows=rows,
        axis=axis,
        title=wrapped(axis.title, width if has_names_above else width // 2),
        has_names_above=has_names_above,
        lines_above=lines_above,
        step=31 + _LINE_HEIGHT * len(lines_above) if has_names_above else 30,
        line_height=_LINE_HEIGHT,
        # Labels of rows by position, since names may repeat.
        label_expression=f"{json.dumps(names)}[datum.value]",
    )


def _lines_above_rows(rows: list[dict[str, Any]], width: int) -> list[list[dict[str, Any]]]:
    """The texts above the marks, by their height: the digits of all rows, then the lines of their names, from below."""
    lines = defaultdict(list)
    for row in rows:
        for up, text in enumerate([row["value_text"], *reversed(wrapped(row["name"], width))]):
            lines[up].append({"position": row["position"], "text": text})
    return list(lines.values())


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text that fit into a width in pixels."""
    return textwrap.wrap(text, width // _LETTER)


# The most settings that parallel coordinates have axes for.
MOST_AXES = 12
_JITTER = 0.018
# Average width of a bold letter, as a multiple of the font's size.
_BOLD_LETTER = 0.65
# The least length of a line of an axis's title.
_LEAST_LETTERS = 4


@dataclass(frozen=True)
class Trial:
    """One trial of a search, by its number in the plan."""

    index: int
    settings: dict[str, Any]
    score: float


class _TrialAxis(NamedTuple):
    """The axis of a parameter, with heights from 0 (bottom) to 1 (top) of its values."""

    title: str
    ticks: list[tuple[float, str]]
    heights: dict[Any, float]


def parallel_figure(name: str, alt: str, caption: str, trials: Sequence[Trial], score: Score) -> Figure:
    """Parallel coordinates: a line for each trial, the best on top.

    All trials have the same set of parameters, of which the first MOST_AXES are drawn.
    """
    axes = [_trial_axis(parameter, trials) for parameter in [*trials[0].settings][:MOST_AXES]]
    scores = [trial.score for trial in trials]
    low = min(scores)
    span = max(scores) - low
    rows: list[dict[str, Any]] = []
    for trial in sorted(trials, key=lambda trial: trial.score, reverse=not score.higher_is_better):
        heights = [
            axis.heights[value] + _jitter(trial.index, number)
            for number, (axis, value) in enumerate(zip(axes, trial.settings.values(), strict=False))
        ]
        heights.append((trial.score - low) / span if span else 0.5)
        settings = ", ".join(wording.setting(name, value) for name, value in trial.settings.items())
        tooltip = f"trial {trial.index}: {settings}; {score.name} {score.with_unit(trial.score)}"
        drawn = score.drawn(trial.score)
        for number, height in enumerate(heights):
            rows.append({"trial": trial.index, "axis": number, "height": height, "score": drawn, "tooltip": tooltip})
    quarters = [(quarter / 4, score.shown(low + quarter / 4 * span)) for quarter in range(5)]
    all_axes = [*axes, _TrialAxis(score.title, quarters, {})]
    return Figure(name, alt, caption, lambda pixels: _parallel_spec(pixels, rows, all_axes, score))


def _parallel_spec(width: int, rows: list[dict[str, Any]], axes: Sequence[_TrialAxis], score: Score) -> Spec:
    ticks = [
        {"axis": number, "height": height, "label": label}
        for number, axis in enumerate(axes)
        for height, label in axis.ticks
    ]
    font_size = 10 if width <= NARROW else 12
    limit = width // len(axes) - 4
    # The last axis has less room than the others.
    letters = max(int(0.75 * limit / (_BOLD_LETTER * font_size)), _LEAST_LETTERS)
    lines = [textwrap.wrap(axis.title, letters, break_long_words=False) for axis in axes]
    titles = [{"axis": number, "title": "|".join(title_lines)} for number, title_lines in enumerate(lines)]
    return _spec(
        "parallel",
        width,
        rows=rows,
        ticks=ticks,
        titles=titles,
        above=9 + 13 * (max(map(len, lines)) - 1),
        limit=limit,
        font_size=font_size,
        score=score,
    )


def _trial_axis(parameter: str, trials: Sequence[Trial]) -> _TrialAxis:
    values = sorted({trial.settings[parameter] for trial in trials}, key=sort_key)
    is_log = is_logarithmic(values)
    if is_log:
        scaled = [math.log(value) for value in values]
    else:
        scaled = values if are_numbers(values) else [*range(len(values))]
    low = min(scaled)
    span = max(scaled) - low
    heights = {value: (number - low) / span if span else 0.5 for value, number in zip(values, scaled, strict=True)}
    labelled = values if len(values) <= 8 else [values[0], values[len(values) // 2], values[-1]]
    ticks = [(heights[value], wording.parameter_value(parameter, value)) for value in labelled]
    return _TrialAxis(f"{wording.parameter_name(parameter)}{' (log scale)' if is_log else ''}", ticks, heights)


def _jitter(index: int, axis: int) -> float:
    """A small shift that depends on the trial and the axis, so that trials with equal settings stay visible."""
    return _JITTER * (2 * math.modf((index + 1) * (axis + 1) * 0.618033988749895)[0] - 1)


def are_numbers(values: Iterable[Any]) -> bool:
    """Whether all values are numbers; truth values are none."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def sort_key(value: Any) -> tuple[int, float, str]:
    """What values of a setting are sorted by: None first, then numbers by size, then texts."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), str(value)
    return 2, 0.0, str(value)


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether the values are positive numbers that span a factor of 8 or more, such as learning rates."""
    return are_numbers(values) and min(values) > 0 and max(values) / min(values) >= 8
