"""What is a label worth: from how many labelled tweets on does a net beat the linear baseline on as many?"""

from collections import defaultdict
from dataclasses import dataclass, replace

from report import statistics
from report.compare.answers import Answers, compared, spread_between
from report.compare.datasets import Configuration, configurations_of, group_by_tweets
from report.compare.findings import Findings
from report.compare.matching import comparable, varied
from report.questions.question import Question
from report.read.load import CompletedRun, Grid
from report.read.predictions import read_counts
from report.render import blocks, wording
from report.render.blocks import Bullets, Card, Figure, Row, Table
from report.render.charts.lines import Axis, Series, line_figure, share_point
from report.sections.names import configuration_name
from report.statistics import Difference, Estimate
from sentiment.runs.run_dir import Results

TRAIN_ROWS = "data.train_rows"


@dataclass(frozen=True)
class LabelPoint:
    """A configuration with one number of labels."""

    labels: int | None
    """Training tweets; None if all there are, and their corpus is not on this machine."""
    seeds: int
    net: Estimate
    baseline: Estimate
    """Test accuracy of either, for other seeds and other tweets."""
    gap: Difference
    """The net less the baseline, corrected for all points of the grid."""

    @property
    def said(self) -> str:
        """`100 labels (+1.9 points, ...)`."""
        number = "all labels" if self.labels is None else wording.plural(self.labels, "label")
        return f"{number} ({wording.claim(self.gap)})"


@dataclass(frozen=True)
class LabelCurve:
    """A configuration with all numbers of labels, the fewest first."""

    name: str
    points: list[LabelPoint]

    @property
    def pays_from(self) -> int | None:
        """The place from which on the net is shown to beat the baseline at every number; None if from none."""
        fails = [not (point.gap.is_shown and point.gap.value > 0) for point in self.points]
        place = len(fails) - next((back for back, one in enumerate(reversed(fails)) if one), len(fails))
        return place if place < len(fails) else None

    @property
    def sentence(self) -> str:
        """From how many labels on it is better than the baseline."""
        place, most = self.pays_from, self.points[-1]
        if place is None:
            is_worse = most.gap.is_shown and most.gap.value < 0
            verdict = "is shown to be worse than" if is_worse else "is not shown to beat"
            return f"{self.name} {verdict} the linear baseline even with {most.said}."
        fewer = f", not shown with {self.points[place - 1].said}" if place else ""
        return f"{self.name} beats the linear baseline from {self.points[place].said} on{fewer}."


def labels(findings: Findings) -> Question:
    """A card for each grid that varies the number of labelled training tweets."""
    cards, tables = [], []
    for grid in findings.study.grids:
        if curves := label_curves(grid, findings.answers, findings.study.results):
            sentences = Bullets([curve.sentence for curve in curves])
            cards.append(Card("What is a label worth?", [sentences, _figure(grid, curves)]))
            tables.append(_table(grid, curves))
    return Question(cards, tables)


def label_curves(grid: Grid, answers: Answers, results: Results) -> list[LabelCurve]:
    """A curve for each configuration; points whose predictions can't be read are left out."""
    if TRAIN_ROWS not in varied(grid):
        return []
    runs: list[CompletedRun] = max(group_by_tweets(comparable(grid.completed)), key=len, default=[])
    configurations = sorted(configurations_of(runs), key=lambda one: one.config.data.train_rows or 2**62)
    sizes = defaultdict(list)  # seeds differ more, the fewer labels they have
    for one in configurations:
        sizes[one.config.data.train_rows].append(one.runs)
    spreads = {size: spread_between(of_size) for size, of_size in sizes.items()}
    pairs = [answers.with_baseline(one.runs, spreads[one.config.data.train_rows]) for one in configurations]
    found: dict[str, LabelCurve] = {}
    for one, pair, gap in zip(configurations, pairs, compared(pairs), strict=True):
        if pair and gap:
            net, baseline = (statistics.score_of(side, pair[2]) for side in pair[:2])
            point = LabelPoint(_labels(one, results), len(one.runs), net, baseline, gap)
            found.setdefault(_without_labels(one), LabelCurve(_name(one), [])).points.append(point)
    return list(found.values())


def _without_labels(one: Configuration) -> str:
    data = one.config.data.model_copy(update={"train_rows": None})
    return one.config.model_copy(update={"seed": 0, "data": data}).fingerprint()


def _name(one: Configuration) -> str:
    settings = {name: value for name, value in one.distinguishing.items() if name != TRAIN_ROWS}
    return configuration_name(replace(one, distinguishing=settings))


def _labels(one: Configuration, results: Results) -> int | None:
    counts = read_counts(one.runs[0], results)
    return counts["parts"]["train"]["rows"] if counts else one.config.data.train_rows


def _figure(grid: Grid, curves: list[LabelCurve]) -> Figure:
    scores = [(curve.name, point.labels, point.net) for curve in curves for point in curve.points]
    scores += [("linear baseline", point.labels, point.baseline) for point in curves[0].points]
    points = defaultdict(list)
    for name, number, score in scores:
        if number:
            points[name].append(share_point(number, score, f"{name}, {number:,} labels"))
    n = curves[0].points[0].gap.n
    caption = (
        f"Grid {grid.name}, n = {n:,} test tweets, the same for all. Intervals are for other seeds and other tweets."
    )
    ticks = sorted({number for _, number, _ in scores if number})
    axes = Axis("labels", is_log=True, ticks=ticks), Axis("test accuracy (%)")
    lines = [Series(name, drawn) for name, drawn in points.items()]
    return line_figure(f"labels-{grid.name}", "Test accuracy by number of labels", caption, lines, axes)


def _table(grid: Grid, curves: list[LabelCurve]) -> Table:
    rows: list[Row] = [
        {"model": curve.name, "labels": point.labels, "seeds": point.seeds, "tweets": point.gap.n, "q": point.gap.q}
        | blocks.with_bounds("accuracy", point.net)
        | blocks.with_bounds("baseline", point.baseline)
        | blocks.with_bounds("gap", point.gap)
        for curve in curves
        for point in curve.points
    ]
    columns = [
        blocks.text("Model", "model"),
        blocks.count("Labels", "labels"),
        blocks.count("Seeds", "seeds"),
        blocks.interval("Test accuracy, %", "accuracy"),
        blocks.interval("Baseline, %", "baseline"),
        blocks.difference("Net \u2212 baseline, points", "gap"),
        blocks.p_value("Adjusted p", "q"),
    ]
    caption = f"Grid {grid.name}: net and baseline by labels, on the same test tweets; corrected for all rows."
    return Table(f"labels-{grid.name}", caption, columns, rows)
