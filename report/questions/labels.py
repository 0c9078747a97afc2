"""From how many labelled training tweets on does a network beat the linear baseline that is trained on as many?"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from report.compare.answers import Answers, Group
from report.compare.claims import Claim, decided
from report.compare.datasets import Configuration, by_data, configurations_of, design_of
from report.compare.findings import Findings
from report.compare.matching import varying
from report.read import Grid
from report.render.blocks import Bullets, Card, Question, ReportTable, Row, columns, with_bounds
from report.render.charts import Axis, Figure, Point, line_figure, share_point
from report.sections.names import model_name, settings_in_words
from report.sections.sentences import sentence
from sentiment.console import plural
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate

TRAIN_ROWS = "data.train_rows"


@dataclass(frozen=True)
class LabelPoint:
    """A configuration at one number of labelled training tweets.

    Attributes:
        train_size: the number of training tweets; None if it is all of them, and their corpus is not on this machine.
        difference: test score of the network minus that of the baseline, corrected for all points of the grid on these
            tweets.
    """

    configuration: Configuration
    train_size: int | None
    network: Estimate
    baseline: Estimate
    difference: Estimate

    @property
    def beats_baseline(self) -> bool:
        return self.configuration.only_label is None and self.difference.is_better

    @property
    def in_words(self) -> str:
        """`100 labelled tweets (+1.9 points (95 % CI +1.2 to +2.5))`."""
        number = plural(self.train_size, "labelled tweet") if self.train_size else "all labelled tweets"
        only_label = self.configuration.only_label
        return f"{number} ({f'always predicts {only_label}' if only_label else words.claim(self.difference)})"


@dataclass(frozen=True)
class LabelCurve:
    """A configuration at all numbers of labelled tweets, the smallest first."""

    name: str
    points: list[LabelPoint]

    @property
    def beats_baseline_from(self) -> int | None:
        """The index of the first point from which on the network is significantly better at every point, or None."""
        first = None
        for index in reversed(range(len(self.points))):
            if not self.points[index].beats_baseline:
                break
            first = index
        return first


def labels(findings: Findings) -> Question:
    """A card for each grid that varies the number of labelled training tweets, and each data set of its runs."""
    cards = []
    tables = []
    for grid in findings.study.grids:
        for number, (data, on_data) in enumerate(by_data(grid)):
            curves = label_curves(on_data, findings.answers)
            if curves:
                name = f"labels-{grid.name}{f'-{number}' if number else ''}"
                title = f"How many labelled tweets does a network need in {grid.name}?{data}"
                cards.append(Card(title, [_bullets(curves), *_figures(name, grid, curves)]))
                tables.append(_table(name, f"Grid {grid.name}{data}", grid, curves))
    return Question(cards, tables)


def _table(name: str, of_what: str, grid: Grid, curves: Sequence[LabelCurve]) -> ReportTable:
    """The numbers of all points, the fewest labelled tweets first."""
    points = [(curve, point) for curve in curves for point in curve.points]
    points.sort(key=lambda pair: (_train_rows(pair[1].configuration), pair[1].configuration.runs[0].run_id))
    rows = []
    for curve, point in points:
        row: Row = {"configuration": curve.name, "train_rows": point.configuration.config.data.train_rows}
        row |= with_bounds("score", point.network) | with_bounds("baseline", point.baseline)
        row |= with_bounds("gain_over_baseline", point.difference) | {"adjusted_p": point.difference.q}
        rows.append(row)
    caption = sentence("labels.table", of_what=of_what)
    return ReportTable(name, caption, columns("labels", rows, metric_name=grid.metric_name), rows)


def _bullets(curves: Sequence[LabelCurve]) -> Bullets:
    remarks = words.conditional_remarks(point.difference for curve in curves for point in curve.points)
    return Bullets([*map(curve_sentence, curves), *remarks])


def curve_sentence(curve: LabelCurve) -> str:
    """From how many labelled tweets on a network beats its linear baseline."""
    first = curve.beats_baseline_from
    if first is None:
        largest = curve.points[-1]
        verdict = "significantly worse" if largest.difference.is_worse else "not significantly better"
        return f"{curve.name} is {verdict} than the linear baseline even with {largest.in_words}."
    fewer = f"; it does not with {curve.points[first - 1].in_words}" if first else ""
    return f"{curve.name} beats the linear baseline from {curve.points[first].in_words} on{fewer}."


def label_curves(grid: Grid, answers: Answers) -> list[LabelCurve]:
    """A curve for each configuration of a grid on one data set, without the points whose predictions cannot be read.

    The variance between seeds is pooled for each number of labelled tweets by itself: it shrinks as the number grows.
    """
    if TRAIN_ROWS not in varying(grid.completed):
        return []
    answers = answers.with_metric(grid.metric)
    configurations = configurations_of(grid.completed, grid.metric)
    configurations.sort(key=_train_rows)
    by_rows = defaultdict(list)
    for configuration in configurations:
        by_rows[_train_rows(configuration)].append(configuration.runs)
    designs = {rows: design_of(groups, "network", grid.metric) for rows, groups in by_rows.items()}
    claims = {}
    for configuration in configurations:
        baseline = Group([answers.readable(configuration.runs)[:1]], "baseline")
        design = designs[_train_rows(configuration)]
        claims[configuration] = Claim(Group([configuration.runs], "network"), baseline, design)
    curves: dict[str, LabelCurve] = {}
    for configuration, difference in decided(claims, answers).items():
        claim = claims[configuration]
        runs = answers.readable(configuration.runs)
        network = answers.score(claim.design, claim.first)
        baseline_score = answers.score(design_of([runs], "baseline", grid.metric), claim.second)
        if network and baseline_score:
            size = runs[0].trained_on
            train_size = None if math.isinf(size) else int(size)
            point = LabelPoint(configuration, train_size, network, baseline_score, difference)
            key = configuration.config.without("seed", TRAIN_ROWS).fingerprint()
            curves.setdefault(key, LabelCurve(_name_without_size(configuration), [])).points.append(point)
    return list(curves.values())


def _train_rows(configuration: Configuration) -> float:
    return configuration.config.data.train_rows or math.inf


def _name_without_size(configuration: Configuration) -> str:
    settings = {name: value for name, value in configuration.distinguishing.items() if name != TRAIN_ROWS}
    return ", ".join([model_name(configuration.config), *settings_in_words(settings)])


def _figures(name: str, grid: Grid, curves: list[LabelCurve]) -> list[Figure]:
    """A figure of the curves; none if no number of labelled tweets is known on this machine."""
    points = _baseline_points(curves)
    for curve in curves:
        points += [_plotted(curve.name, point.train_size, point.network) for point in curve.points if point.train_size]
    if not points:
        return []
    numbers = [point.difference.n for curve in curves for point in curve.points]
    caption = sentence("labels.figure", numbers=numbers)
    sizes = sorted({point.x for point in points})
    axes = Axis("labelled training tweets", is_log=True, ticks=sizes), Axis(f"test {grid.metric_name} (%)")
    title = f"Test {grid.metric_name} by number of labelled training tweets"
    return [line_figure(name, title, caption, points, axes)]


def _baseline_points(curves: Sequence[LabelCurve]) -> list[Point]:
    """The linear baseline at each number of labelled tweets; with a curve's name, if curves have different ones."""
    curve_names = {
        (point.train_size, point.baseline): curve.name
        for curve in reversed(curves)
        for point in curve.points
        if point.train_size
    }
    sizes = [size for size, _ in curve_names]
    several = len(sizes) > len({*sizes})
    points = []
    for (size, baseline), curve_name in curve_names.items():
        name = f"linear baseline of {curve_name}" if several else "linear baseline"
        points.append(_plotted(name, size, baseline))
    return points


def _plotted(name: str, size: int, score: Estimate) -> Point:
    return share_point(name, size, score, f"{name}, {size:,} labelled tweets: {words.share(score)}")
