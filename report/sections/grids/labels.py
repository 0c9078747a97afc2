"""What a label is worth, and from how many on a net pays."""

from itertools import pairwise
from math import log2
from typing import Any

from report.analysis.findings import Findings
from report.analysis.questions.labels import LabelCurve, LabelPoint
from report.read.load import Grid
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Heading, ReportSection, Table, Text
from report.render.charts.labels import LabelLine, label_figure
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
        is_worse = last.gap is not None and last.gap.value < 0 and last.gap.is_shown
        verdict = "is shown to be worse than" if is_worse else "is not shown to beat"
        return f"{name} {verdict} the linear baseline with the most labels{gap}."
    fewer = f", not shown with {_number(before)} ({_gap(before)})" if (before := _before(curve, pays)) else ""
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
    return wording.DASH if point.gap is None else wording.claim(point.gap)


def _number(point: LabelPoint) -> str:
    return "all labels" if point.labels is None else wording.plural(point.labels, "label")


def _figure(grid: Grid, curves: list[LabelCurve]) -> blocks.Figure:
    lines = [
        LabelLine(
            configuration_name(curve.configuration),
            [(point.labels, point.score) for point in curve.points if point.labels],
        )
        for curve in curves
    ]
    lines.append(
        LabelLine("linear baseline", [(point.labels, point.baseline) for point in curves[0].points if point.labels])
    )
    caption = (
        f"Grid {grid.name}, n = {curves[0].points[0].baseline.n:,} test tweets, the same for all. Nets: mean with "
        "Student's interval over seeds; baseline: Wilson's over tweets."
    )
    return label_figure(f"labels-{grid.name}", "Test accuracy by number of labels", caption, lines)


def _table(grid: Grid, curves: list[LabelCurve]) -> Table:
    rows = [_row(curve, point) for curve in curves for point in curve.points]
    caption = (
        "The same in numbers. Net \u2212 baseline: on the same test tweets, for other seeds and other tweets; interval "
        "and p corrected for all rows."
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
    return row | ((blocks.with_bounds("gap", point.gap) | {"q": point.gap.q}) if point.gap else {})
