"""What is a label worth: from how many labelled tweets on does a net beat the linear baseline on as many?"""

from collections import defaultdict
from dataclasses import dataclass, replace

from report import statistics
from report.compare.datasets import Answers, Configuration, compared, configurations_of, group_by_tweets, spread_between
from report.compare.findings import Findings
from report.compare.matching import comparable, varying
from report.read import Grid, read_counts
from report.render import wording
from report.render.blocks import Bullets, Card, Question
from report.render.charts import Axis, Figure, line_figure, share_point
from report.sections.names import configuration_name
from report.statistics import Difference, Estimate
from sentiment.runs.run_dir import Results

TRAIN_ROWS = "data.train_rows"


@dataclass(frozen=True)
class LabelPoint:
    """A configuration with one number of labels.

    Attributes:
        labels: training tweets; None if all there are, and their corpus is not on this machine.
        gap: test accuracy of the net less that of the baseline on as many labels, corrected for all points of the grid.
        only_label: what all of its nets say of every test tweet; None if they tell tweets apart.
    """

    labels: int | None
    seeds: int
    net: Estimate
    baseline: Estimate
    gap: Difference
    only_label: str | None = None

    @property
    def pays(self) -> bool:
        return self.only_label is None and self.gap.is_shown and self.gap.value > 0

    @property
    def said(self) -> str:
        number = "all labels" if self.labels is None else wording.plural(self.labels, "label")
        return f"{number} ({f'calls every tweet {self.only_label}' if self.only_label else wording.claim(self.gap)})"


@dataclass(frozen=True)
class LabelCurve:
    """A configuration with all numbers of labels, the fewest first."""

    name: str
    points: list[LabelPoint]

    @property
    def pays_from(self) -> int | None:
        """The place from which on the net is shown to beat the baseline at every number; None if from none."""
        place = next((place for place, one in reversed([*enumerate(self.points, 1)]) if not one.pays), 0)
        return place if place < len(self.points) else None

    @property
    def sentence(self) -> str:
        place, most = self.pays_from, self.points[-1]
        if place is None:
            is_worse = most.gap.is_shown and most.gap.value < 0
            verdict = "is shown to be worse than" if is_worse else "is not shown to beat"
            return f"{self.name} {verdict} the linear baseline even with {most.said}."
        fewer = f", not shown with {self.points[place - 1].said}" if place else ""
        return f"{self.name} beats the linear baseline from {self.points[place].said} on{fewer}."


def labels(findings: Findings) -> Question:
    """A card for each grid that varies the number of labelled training tweets."""
    cards = []
    for grid in findings.study.grids:
        if curves := label_curves(grid, findings.answers, findings.study.results):
            of_these = wording.of_these_models(point.gap for curve in curves for point in curve.points)
            sentences = Bullets([*(curve.sentence for curve in curves), *of_these])
            cards.append(Card("What is a label worth?", [sentences, _figure(grid, curves)]))
    return Question(cards)


def label_curves(grid: Grid, answers: Answers, results: Results) -> list[LabelCurve]:
    """A curve for each configuration; points whose predictions can't be read are left out."""
    if TRAIN_ROWS not in varying(grid.completed):
        return []
    runs = max(group_by_tweets(comparable(grid.completed)), key=len)
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
            said = answers.only_label(one.runs)
            point = LabelPoint(_labels(one, results), len(one.runs), net, baseline, gap, said)
            data = one.config.data.model_copy(update={"train_rows": None})
            key = one.config.model_copy(update={"seed": 0, "data": data}).fingerprint()
            settings = {name: value for name, value in one.distinguishing.items() if name != TRAIN_ROWS}
            name = configuration_name(replace(one, distinguishing=settings))
            found.setdefault(key, LabelCurve(name, [])).points.append(point)
    return list(found.values())


def _labels(one: Configuration, results: Results) -> int | None:
    counts = read_counts(one.runs[0], results)
    return counts["parts"]["train"]["rows"] if counts else one.config.data.train_rows


def _figure(grid: Grid, curves: list[LabelCurve]) -> Figure:
    scores = [("linear baseline", point.labels, point.baseline) for point in curves[0].points]
    scores += [(curve.name, point.labels, point.net) for curve in curves for point in curve.points]
    points = [
        share_point(name, number, score, f"{name}, {number:,} labels: {wording.share(score)}")
        for name, number, score in scores
        if number
    ]
    n = curves[0].points[0].gap.n
    caption = f"n = {n:,} test tweets; intervals are for other seeds and other tweets."
    ticks = sorted({point.x for point in points})
    axes = Axis("labels", is_log=True, ticks=ticks), Axis("test accuracy (%)")
    return line_figure(f"labels-{grid.name}", "Test accuracy by number of labels", caption, points, axes)
