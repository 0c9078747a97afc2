"""What a label is worth, and from how many on a net pays."""

from itertools import cycle, pairwise
from math import log2
from typing import Any

from report.analysis.findings import Findings
from report.analysis.labels import LabelCurve, LabelPoint
from report.read.load import Grid
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Heading, ReportSection, Table, Text
from report.render.charts import style
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.markdown import emphasis
from report.sections.names import configuration_name


def labels(findings: Findings) -> ReportSection:
    """Every grid that varies the number of labelled training tweets."""
    content: list[Block] = []
    for found in findings.grids:
        if found.label_curves:
            content += _of_grid(found.grid, found.label_curves)
    return ReportSection("What a label is worth", content)


def _of_grid(grid: Grid, curves: list[LabelCurve]) -> list[Block]:
    content: list[Block] = [Heading(f"Grid {grid.name}")]
    if grid.plan and grid.plan.description:
        content.append(Text(emphasis(grid.plan.description)))
    sentences = [label_sentence(curve) for curve in curves]
    sentences += [sentence for curve in curves if (sentence := _worth(configuration_name(curve.configuration), curve))]
    return [*content, Bullets(sentences), _figure(grid, curves), _table(grid, curves)]


def label_sentence(curve: LabelCurve) -> str:
    """From how many labels on a net is better than the baseline."""
    name, pays = configuration_name(curve.configuration), curve.pays_from
    if pays is None:
        last = curve.points[-1]
        gap = f" ({_gap(last)} with {_number(last)})" if last.gap else ""
        return f"{name} is not shown to beat the linear baseline with the most labels{gap}."
    fewer = f", not with fewer ({_gap(before)} with {_number(before)})" if (before := _before(curve, pays)) else ""
    return f"{name} beats the linear baseline from {_number(pays)} on ({_gap(pays)}){fewer}."


def _before(curve: LabelCurve, pays: LabelPoint) -> LabelPoint | None:
    """The point below the one from which on it pays; None if there is none whose gap is known."""
    place = curve.points.index(pays)
    return curve.points[place - 1] if place and curve.points[place - 1].gap else None


def _worth(name: str, curve: LabelCurve) -> str | None:
    """What twice as many labels bring, between neighbouring numbers."""
    gains = []
    for fewer, more in pairwise(curve.points):
        if fewer.labels and more.labels and more.labels > fewer.labels:
            gain = (more.score.value - fewer.score.value) / log2(more.labels / fewer.labels)
            gains.append(f"{wording.points(gain)} between {fewer.labels:,} and {more.labels:,}")
    return f"Twice as many labels bring {name}, in points: {wording.listing(gains)}." if gains else None


def _gap(point: LabelPoint) -> str:
    if point.gap is None:
        return wording.DASH
    return f"{wording.points_with_interval(point.gap)}, {wording.p_phrase(point.q, 'adjusted p')}"


def _number(point: LabelPoint) -> str:
    return "all labels" if point.labels is None else wording.plural(point.labels, "label")


def _figure(grid: Grid, curves: list[LabelCurve]) -> blocks.Figure:
    lines = []
    for place in range(max(len(curve.points) for curve in curves)):
        at = [(curve, curve.points[place]) for curve in curves if place < len(curve.points)]
        baseline = at[0][1]
        lines.append(Line(f"{_number(baseline)}: linear baseline", baseline.baseline, style.ORANGE))
        for (curve, point), colour in zip(at, cycle((style.BLUE, style.GREEN))):
            name = wording.shortened(configuration_name(curve.configuration), 40)
            lines.append(Line(f"{_number(point)}: {name}", point.score, colour))
    caption = (
        f"Test accuracy by the number of labelled training tweets, grid {grid.name}; validation and test tweets are "
        "the same throughout, and smaller training parts lie inside larger ones. Nets: mean with Student's 95 % "
        "interval over seeds; baseline: Wilson's over tweets."
    )
    alt = "Test accuracy by number of labels"
    return interval_figure(f"labels-{grid.name}", alt, caption, lines, ValueAxis("test accuracy (%)"))


def _table(grid: Grid, curves: list[LabelCurve]) -> Table:
    rows = [_row(curve, point) for curve in curves for point in curve.points]
    caption = (
        "The same in numbers. Net \u2212 baseline: on the same test tweets, each counted by the share of seeds that "
        "have it right, with Student's 95 % interval over tweets; p adjusted for all rows (Benjamini-Hochberg)."
    )
    columns = [
        blocks.text("Model", "model"),
        blocks.count("Labels", "labels"),
        blocks.count("Seeds", "seeds"),
        blocks.interval("Test accuracy, %", "accuracy"),
        blocks.interval("Baseline, %", "baseline"),
        blocks.difference("Net \u2212 baseline, points", "gap"),
        blocks.count("Tweets", "tweets"),
        blocks.p_value("Adjusted p", "q"),
    ]
    return Table(f"labels-{grid.name}", caption, columns, rows)


def _row(curve: LabelCurve, point: LabelPoint) -> dict[str, Any]:
    row: dict[str, Any] = {"model": configuration_name(curve.configuration), "labels": point.labels}
    row |= {"seeds": point.score.n, "tweets": point.baseline.n}
    row |= blocks.with_bounds("accuracy", point.score) | blocks.with_bounds("baseline", point.baseline)
    return row | ((blocks.with_bounds("gap", point.gap) | {"q": point.q}) if point.gap else {})
