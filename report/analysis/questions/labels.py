"""What a label is worth: scores by the number of labelled tweets, of nets and of the baseline on the same ones."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from report import statistics
from report.analysis.comparison.datasets import Configuration, configurations_of, group_by_tweets
from report.analysis.questions.effects import comparable
from report.read.load import CompletedRun, Grid, read_each
from report.read.predictions import read_scores
from report.read.tweets import read_counts
from report.statistics import Difference, Estimate
from sentiment.run_dir import Results

TRAIN_ROWS = "data.train_rows"


@dataclass(frozen=True)
class LabelPoint:
    """A configuration with one number of labels."""

    labels: int | None
    """Training tweets; None if all there are, and their corpus is not on this machine."""
    score: Estimate
    """Test accuracy, with Student's interval over seeds."""
    baseline: Estimate
    """The linear baseline's on as many labels, with Wilson's interval."""
    gap: Difference | None
    """The net less the baseline, each test tweet by the share of seeds that have it right, with Student's interval over
    tweets; None if predictions cannot be read."""
    q: float | None = None
    """p-value of the gap, adjusted for all comparisons of the grid (Benjamini-Hochberg)."""


@dataclass(frozen=True)
class LabelCurve:
    """A configuration with all numbers of labels, the fewest first."""

    configuration: Configuration
    points: list[LabelPoint]

    @property
    def pays_from(self) -> LabelPoint | None:
        """The fewest labels from which on the net is shown to beat the baseline at every number; None if from none."""
        found = None
        for point in reversed(self.points):
            if point.gap is None or point.gap.value <= 0 or not statistics.is_shown(point.gap, point.q):
                break
            found = point
        return found


def label_curves(grid: Grid, results: Results) -> tuple[list[LabelCurve], list[str]]:
    """A curve for each configuration of a grid over numbers of labels, and the predictions that cannot be read."""
    groups = sorted(group_by_tweets(comparable(grid.completed)), key=lambda runs: -len(runs))
    runs = groups[0] if groups else []
    right, problems = read_each(runs, _right)
    curves = []
    for configuration, sizes in _by_size(runs):
        points = [_point(of_size, right, results) for of_size in sizes]
        curves.append(LabelCurve(configuration, points))
    return _adjusted(curves), problems


def _by_size(runs: Sequence[CompletedRun]) -> list[tuple[Configuration, list[list[CompletedRun]]]]:
    """The runs of each configuration by their number of labels, ascending; all that there are come last."""
    found: dict[str, dict[int, list[CompletedRun]]] = defaultdict(lambda: defaultdict(list))
    names: dict[str, Configuration] = {}
    for configuration in configurations_of(runs):
        data = configuration.config.data
        whole = configuration.config.model_copy(
            update={"seed": 0, "data": data.model_copy(update={"train_rows": None})}
        )
        key = whole.fingerprint()
        settings = {name: one for name, one in configuration.distinguishing.items() if name != TRAIN_ROWS}
        names.setdefault(key, Configuration(configuration.runs, settings))
        found[key][data.train_rows or 2**62] += configuration.runs
    return [(names[key], [sizes[size] for size in sorted(sizes)]) for key, sizes in found.items()]


def _point(runs: list[CompletedRun], right: dict[str, tuple[Any, Any]], results: Results) -> LabelPoint:
    labels = runs[0].config.data.train_rows
    if counts := read_counts(runs[0], results):
        labels = counts["parts"].get("train", {}).get("rows", labels)
    return LabelPoint(
        labels=labels,
        score=statistics.mean_share([run.result.metrics["test"].accuracy for run in runs]),
        baseline=statistics.measured_accuracy(runs[0].result.baseline["test"]),
        gap=_gap([right[run.run_id] for run in runs if run.run_id in right]),
    )


def _gap(of_seeds: list[tuple[Any, Any]]) -> Difference | None:
    if not of_seeds:
        return None
    nets = np.mean([net for net, _ in of_seeds], axis=0)
    return statistics.paired_difference((nets - of_seeds[0][1]).tolist(), 1.0)


def _right(run: CompletedRun) -> tuple[Any, Any] | None:
    """Which test tweets the run and its baseline have right."""
    scores = read_scores(run, "test")
    if scores is None:
        return None
    return scores.right(scores.model).astype(float), scores.right(scores.baseline).astype(float)


def _adjusted(curves: list[LabelCurve]) -> list[LabelCurve]:
    gaps, q_values = statistics.corrected([point.gap for curve in curves for point in curve.points if point.gap])
    both = iter(zip(gaps, q_values, strict=True))
    return [replace(curve, points=[_corrected(point, both) for point in curve.points]) for curve in curves]


def _corrected(point: LabelPoint, both: Iterator[tuple[Difference, float | None]]) -> LabelPoint:
    if point.gap is None:
        return point
    gap, q = next(both)
    return replace(point, gap=gap, q=q)
