"""From how many labelled training tweets on does a network beat the linear baseline that is trained on as many?"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from report.compare.answers import Answers, Group
from report.compare.claims import Claim, decided
from report.compare.datasets import Configuration, by_data, configurations_of, design_of
from report.compare.findings import Findings
from report.compare.matching import varying
from report.read import Grid
from report.render.blocks import Block, Card, Question, columns_of
from report.render.charts import Axis, line_figure, share_point
from report.sections.names import model_name, settings_in_words
from sentiment.blocks.content import Bullets, DataTable, Row, with_bounds
from sentiment.blocks.wording import spanned
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate

TRAIN_ROWS = "data.train_rows"


@dataclass(frozen=True)
class LabelPoint:
    """A configuration at one number of labelled training tweets.

    Attributes:
        difference: test score of the network minus that of the baseline, corrected for all points of the grid on these
            tweets.
    """

    configuration: Configuration
    network: Estimate
    baseline: Estimate
    difference: Estimate

    @property
    def name(self) -> str:
        """That of the configuration, the same at each number."""
        settings = {name: value for name, value in self.configuration.distinguishing.items() if name != TRAIN_ROWS}
        return ", ".join([model_name(self.configuration.config), *settings_in_words(settings)])

    @property
    def train_size(self) -> int | None:
        """The number of training tweets; None if it is all of them, and their corpus is not on this machine."""
        size = self.configuration.runs[0].trained_on
        return None if math.isinf(size) else int(size)

    @property
    def beats_baseline(self) -> bool:
        return self.configuration.only_label is None and self.difference.is_better

    @property
    def in_words(self) -> str:
        """`100 labelled tweets (+1.9 points (95 % CI +1.2 to +2.5))`."""
        number = self.configuration.runs[0].trained_on_in_words
        only_label = self.configuration.only_label
        return f"{number} ({f'always predicts {only_label}' if only_label else words.claim(self.difference)})"


# The points of each configuration by its name, the fewest labelled tweets first.
_Curves = Mapping[str, Sequence[LabelPoint]]


def labels(findings: Findings) -> Question:
    """A card for each grid that varies the number of labelled training tweets, and each data set of its runs."""
    cards = []
    tables = []
    for grid in findings.study.grids:
        for number, (data, on_data) in enumerate(by_data(grid)):
            points = label_points(on_data, findings.answers)
            if points:
                name = f"labels-{grid.name}{f'-{number}' if number else ''}"
                title = f"How many labelled tweets does a network need in {grid.name}?{data}"
                cards.append(Card(title, _blocks(name, grid, points)))
                tables.append(_table(name, f"Grid {grid.name}{data}", grid, points))
    return Question(cards, tables)


def label_points(grid: Grid, answers: Answers) -> list[LabelPoint]:
    """All configurations of a grid on one data set, those with the fewest labelled tweets first, without those whose
    predictions cannot be read.

    The variance between seeds shrinks as the number grows, so that each point's own seeds tell it; those of the other
    points moderate it.
    """
    if TRAIN_ROWS not in varying(grid.completed):
        return []
    answers = answers.with_metric(grid.metric)
    configurations = sorted(configurations_of(grid.completed, grid.metric), key=_rows_and_id)
    design = design_of((configuration.runs for configuration in configurations), "network", grid.metric)
    claims = {}
    for configuration in configurations:
        baseline = Group([answers.readable(configuration.runs)[:1]], "baseline")
        claims[configuration] = Claim(Group([configuration.runs], "network"), baseline, design)
    points = []
    for configuration, difference in decided(claims, answers).items():
        claim = claims[configuration]
        network = answers.score(claim.design, claim.first)
        baseline_score = answers.score(design_of([configuration.runs], "baseline", grid.metric), claim.second)
        if network and baseline_score:
            points.append(LabelPoint(configuration, network, baseline_score, difference))
    return points


def _rows_and_id(configuration: Configuration) -> tuple[float, str]:
    return configuration.config.data.train_rows or math.inf, configuration.runs[0].run_id


def _table(name: str, of_what: str, grid: Grid, points: Sequence[LabelPoint]) -> DataTable:
    rows = []
    for point in points:
        row: Row = {"configuration": point.name, "train_rows": point.configuration.config.data.train_rows}
        row |= with_bounds("score", point.network) | with_bounds("baseline", point.baseline)
        row |= with_bounds("gain_over_baseline", point.difference) | {"adjusted_p": point.difference.q}
        rows.append(row)
    caption = f"{of_what}: each network and the linear baseline that is trained on as many labelled tweets."
    return DataTable(name, caption, columns_of("labels", rows, metric_name=grid.metric_name), rows)


def _blocks(name: str, grid: Grid, points: Sequence[LabelPoint]) -> list[Block]:
    """A sentence for each curve, and a figure; none if no number of labelled tweets is known on this machine."""
    curves = defaultdict(list)
    for point in points:
        curves[point.name].append(point)
    remarks = words.conditional_remarks(point.difference for point in points)
    blocks: list[Block] = [Bullets([*(curve_sentence(curve) for curve in curves.values()), *remarks])]
    scores = {(name, point.train_size): point.network for name, curve in curves.items() for point in curve}
    scores = _baselines(curves) | scores
    drawn = []
    for (line, size), score in scores.items():
        if size:
            drawn.append(share_point(line, size, score, f"{line}, {size:,} labelled tweets: {words.share(score)}"))
    if drawn:
        sizes = sorted({point.x for point in drawn})
        axes = Axis("labelled training tweets", is_log=True, ticks=sizes), Axis(f"test {grid.metric_name} (%)")
        title = f"Test {grid.metric_name} by number of labelled training tweets"
        caption = f"Bars: 95 % intervals; n = {spanned([point.difference.n for point in points])} test tweets."
        blocks.append(line_figure(name, title, caption, drawn, axes))
    return blocks


def _baselines(curves: _Curves) -> dict[tuple[str, int | None], Estimate]:
    """The linear baseline by its name and number of labelled tweets; with a curve's name, if curves differ in it."""
    scores: dict[int | None, set[Estimate]] = defaultdict(set)
    for curve in curves.values():
        for point in curve:
            scores[point.train_size].add(point.baseline)
    several = any(len(of_size) > 1 for of_size in scores.values())
    baselines: dict[tuple[str, int | None], Estimate] = {}
    for name, curve in curves.items():
        line = f"linear baseline of {name}" if several else "linear baseline"
        baselines |= {(line, point.train_size): point.baseline for point in curve}
    return baselines


def curve_sentence(curve: Sequence[LabelPoint]) -> str:
    """From how many labelled tweets on a network beats its linear baseline."""
    first = beats_baseline_from(curve)
    name = curve[0].name
    if first is None:
        verdict = "significantly worse" if curve[-1].difference.is_worse else "not significantly better"
        return f"{name} is {verdict} than the linear baseline even with {curve[-1].in_words}."
    fewer = f"; it does not with {curve[first - 1].in_words}" if first else ""
    return f"{name} beats the linear baseline from {curve[first].in_words} on{fewer}."


def beats_baseline_from(curve: Sequence[LabelPoint]) -> int | None:
    """The index of the first point from which on the network is significantly better at every point, or None."""
    first = None
    for index in reversed(range(len(curve))):
        if not curve[index].beats_baseline:
            break
        first = index
    return first
