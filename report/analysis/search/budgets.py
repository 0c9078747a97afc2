"""What a budget of epochs buys in a search: the best validation score to be expected (Dodge et al. 2019)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from report.analysis.search.halving import HalvingFindings
from report.read.load import Grid

ENOUGH_RUNS = 10
"""Fewer completed runs say too little about the best of many."""
_METRIC = "validation/accuracy"


@dataclass(frozen=True)
class BudgetCurve:
    """The best score by the epochs spent on it."""

    grid: str
    points: list[tuple[float, float]]
    """Pairs of epochs and score."""
    expected: bool
    """Whether it is expected over random orders of the runs, or what came out, rung after rung."""
    runs: int


@dataclass(frozen=True)
class BudgetComparison:
    """Curves that can be compared: of one metric, on one set of tweets."""

    metric: str
    curves: list[BudgetCurve]


def expected_best(scores: Sequence[float]) -> list[float]:
    """The expected best of 1, 2, ... all runs drawn from these, with replacement.

    It is the estimator of Dodge et al. 2019, "Show Your Work": the sum over the ordered scores of the score times the
    probability that it is the largest of n draws from their empirical distribution.
    """
    ordered, number = sorted(scores), len(scores)
    return [
        sum(
            score * ((rank / number) ** draws - ((rank - 1) / number) ** draws) for rank, score in enumerate(ordered, 1)
        )
        for draws in range(1, number + 1)
    ]


def compare_budgets(grids: Sequence[tuple[Grid, HalvingFindings | None]]) -> list[BudgetComparison]:
    """Curves of all searches and of all other grids with enough runs, by the tweets that they are trained on."""
    by_tweets: dict[str, list[tuple[Grid, HalvingFindings | None]]] = defaultdict(list)
    for grid, halving in grids:
        for fingerprint in {run.record.data_fingerprint for run in grid.completed}:
            by_tweets[fingerprint].append((grid, halving))
    found = []
    for fingerprint, members in by_tweets.items():
        metric = next((halving.rungs.plan.metric for _, halving in members if halving), _METRIC)
        curves = [_curve(grid, halving, metric, fingerprint) for grid, halving in members]
        drawn = [curve for curve in curves if curve]
        if drawn:
            found.append(BudgetComparison(metric, drawn))
    return found


def _curve(grid: Grid, halving: HalvingFindings | None, metric: str, fingerprint: str) -> BudgetCurve | None:
    part, _, name = metric.partition("/")
    runs = [run for run in grid.completed if run.record.data_fingerprint == fingerprint]
    scores = [float(getattr(run.result.metrics[part], name)) for run in runs]  # type: ignore[index]
    if name == "loss":
        return None
    if halving:
        return _as_it_happened(halving, scores) if halving.rungs.plan.metric == metric else None
    if len(runs) < ENOUGH_RUNS:
        return None
    each = sum(run.result.epochs for run in runs) / len(runs)
    points = [(number * each, score) for number, score in enumerate(expected_best(scores), 1)]
    return BudgetCurve(grid.name, points, expected=True, runs=len(runs))


def _as_it_happened(halving: HalvingFindings, scores: Sequence[float]) -> BudgetCurve | None:
    """The best of each rung at its end, and at last that of the completed trials."""
    points, before, spent = [], 0, 0
    for ranking in halving.rungs.rankings:
        spent += sum(max(min(len(trial.scores), ranking.epochs) - before, 0) for trial in halving.trials)
        before = ranking.epochs
        if ranking.trials[0].value is not None:
            points.append((float(spent), ranking.trials[0].value))
    if scores:
        points.append((float(halving.epochs), max(scores)))
    return BudgetCurve(halving.rungs.plan.name, points, False, len(halving.trials)) if points else None
