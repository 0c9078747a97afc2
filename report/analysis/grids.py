"""What a grid shows: which kind of question it asks, and what its runs answer."""

from dataclasses import dataclass
from enum import Enum, auto

from report.analysis.comparison.answers import Answers
from report.analysis.comparison.datasets import Configuration, configurations_of, group_by_tweets
from report.analysis.questions.cleanings import CleaningGap, baseline_gaps
from report.analysis.questions.effects import Effect, effects_of, varying
from report.analysis.questions.labels import TRAIN_ROWS, LabelCurve, label_curves
from report.analysis.questions.speed import Speed, speeds_of
from report.analysis.search.halving import HalvingFindings, analyse_halving
from report.analysis.search.trials import Search, analyse_search
from report.read.curves import LearningCurve, read_curve
from report.read.load import Grid, read_each
from sentiment.run_dir import Results

_MOST_CURVES = 6


class Kind(Enum):
    """What a grid is about, which decides the section that it belongs to."""

    SEARCH = auto()
    ELMO = auto()
    ATTENTION = auto()
    CLEANING = auto()
    LABELS = auto()
    VARIANTS = auto()


@dataclass(frozen=True)
class GridFindings:
    """What a grid shows."""

    grid: Grid
    kind: Kind
    effects: list[Effect]
    best: list[Configuration]
    """Its best configurations whose curves are drawn, on the set of tweets with most runs."""
    curves: dict[str, LearningCurve]
    """By run id: of the best configurations' chosen runs, and of all runs of a grid about attention."""
    cleaning: list[CleaningGap]
    """Of the linear baseline, only of a grid about cleaning."""
    pooling: list[Speed]
    """Only of a grid about attention."""
    search: Search | None
    """Only of a random search, or one in rungs."""
    halving: HalvingFindings | None
    """Only of a search in rungs."""
    label_curves: list[LabelCurve]
    """Only of a grid about the number of labels."""
    problems: list[str]
    """What cannot be read, by name."""


def analyse_grid(grid: Grid, answers: Answers, results: Results) -> GridFindings:
    """Compare the runs of a grid, as its kind of question demands."""
    kind = kind_of(grid)
    best = [] if kind is Kind.SEARCH else _best_configurations(grid)
    drawn = [one.chosen for one in best]
    curves, problems = read_each(grid.completed if kind is Kind.ATTENTION else drawn, read_curve)
    speeds, of_speeds = speeds_of(grid) if kind is Kind.ATTENTION else ([], [])
    return GridFindings(
        grid=grid,
        kind=kind,
        effects=[] if kind is Kind.SEARCH else effects_of(grid.completed, answers),
        best=best,
        curves=curves,
        cleaning=baseline_gaps(grid, answers) if kind is Kind.CLEANING else [],
        pooling=speeds,
        search=analyse_search(grid) if kind is Kind.SEARCH else None,
        halving=analyse_halving(grid) if grid.rungs else None,
        label_curves=label_curves(grid, answers, results) if kind is Kind.LABELS else [],
        problems=[*problems, *of_speeds],
    )


def kind_of(grid: Grid) -> Kind:
    """The kind by the plan's method, else by the parameters that differ between the runs; names have no say."""
    if grid.plan and (grid.plan.method in ("random", "bayes") or grid.rungs):
        return Kind.SEARCH
    planned_values = grid.plan.parameters if grid.plan else {}
    names = {*(name for name, values in planned_values.items() if len(values) > 1), *varying(grid.completed)}
    if TRAIN_ROWS in names:
        return Kind.LABELS
    if any(name == "elmo" or name.startswith("elmo.") for name in names):
        return Kind.ELMO
    if any(name.startswith("data.text.") for name in names):
        return Kind.CLEANING
    poolings = {run.config.model.pooling for run in grid.completed} | set(planned_values.get("model.pooling", []))
    if "attention" in poolings and any(name.startswith(("model.pooling", "model.attention.")) for name in names):
        return Kind.ATTENTION
    return Kind.VARIANTS


def _best_configurations(grid: Grid) -> list[Configuration]:
    groups = sorted(group_by_tweets(grid.completed), key=lambda runs: -len(runs))
    return configurations_of(groups[0])[:_MOST_CURVES] if groups else []
