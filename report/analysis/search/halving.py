"""A search in rungs: how far each trial got, what the search spent, and what pruning may have missed."""

from dataclasses import dataclass
from typing import Any

from report import statistics
from report.analysis.measures.usage import usage_of
from report.analysis.search.trials import varying_parameters
from report.read.load import Grid, Run
from report.statistics import Difference
from sentiment.errors import RunDirError
from sentiment.rungs import Rungs

# With fewer trials in two rungs a rank correlation says nothing.
_ENOUGH_FOR_ORDER = 5


@dataclass(frozen=True)
class TrialProgress:
    """One trial of a search in rungs."""

    index: int
    run: Run
    rung: int
    """The last one that it was in."""
    rank: int | None
    """In the ranking of that rung; None if there is none yet."""
    value: float | None
    """Of the search's metric in that ranking; None likewise, and for a trial that did not get so far."""
    scores: list[float]
    """The metric after each epoch."""
    settings: dict[str, Any]
    """Those that vary between the trials, by dotted name."""


@dataclass(frozen=True)
class HalvingFindings:
    """What a search in rungs shows."""

    rungs: Rungs
    trials: list[TrialProgress]
    """Those that got farthest first, in the order of the rankings."""
    epochs: int
    """That all trials were trained together."""
    full_epochs: int
    """Of all trials trained to their end; fewer where they stop early."""
    gpu_hours: float
    cpu_hours: float
    order: Difference | None
    """The rank correlation of the scores at the ends of the first two rungs, over the trials that were in both."""

    @property
    def share(self) -> float:
        """Of the epochs of the full search that were spent."""
        return self.epochs / self.full_epochs

    @property
    def pruned(self) -> list[TrialProgress]:
        """The trials that a ranking has stopped."""
        return [trial for trial in self.trials if trial.rank is not None and not trial.run.completed]


def analyse_halving(grid: Grid) -> HalvingFindings | None:
    """Follow the trials of a search through its rungs; None if no run's configuration can be read."""
    rungs = grid.rungs
    if rungs is None:
        return None
    names = varying_parameters(rungs.plan)
    trials = [_progress(run, rungs, names) for run in grid.runs if run.planned]
    budgets = [epochs for run in grid.runs if (epochs := _budget(run)) is not None]
    if not budgets:
        return None
    usage = usage_of(grid.runs)
    return HalvingFindings(
        rungs=rungs,
        trials=sorted(trials, key=lambda one: (-one.rung, one.rank or 0, one.index)),
        epochs=sum(len(one.scores) for one in trials),
        full_epochs=round(sum(budgets) / len(budgets) * len(trials)),
        gpu_hours=usage.gpu_hours,
        cpu_hours=usage.cpu_hours,
        order=_order(rungs),
    )


def _progress(run: Run, rungs: Rungs, names: list[str]) -> TrialProgress:
    standing, planned = rungs.standings[run.run_id], run.planned
    values = {}
    if standing.decided:
        values = {trial.run_id: trial.value for trial in rungs.rankings[standing.rung].trials}
    return TrialProgress(
        index=planned.index if planned else 0,
        run=run,
        rung=standing.rung,
        rank=standing.rank,
        value=values.get(run.run_id),
        scores=_scores(run, rungs.plan.metric),
        settings={name: planned.parameters.get(name) for name in names} if planned else {},
    )


def _scores(run: Run, metric: str) -> list[float]:
    """The metric after each epoch; none where the log is missing or damaged, which the run's own state says."""
    part, _, name = metric.partition("/")
    try:
        rows = run.run_dir.read_metrics()
        return [float(row[part][name]) for row in rows if row.get("kind") == "epoch"]
    except (RunDirError, KeyError, TypeError, ValueError):
        return []


def _budget(run: Run) -> int | None:
    try:
        return run.run_dir.read_config().training.epochs
    except RunDirError:
        return None


def _order(rungs: Rungs) -> Difference | None:
    if rungs.current < 2:
        return None
    first, second = (
        {one.run_id: one.value for one in ranking.trials if one.value is not None} for ranking in rungs.rankings[:2]
    )
    both = [run_id for run_id in second if run_id in first]
    before, after = ([scores[run_id] for run_id in both] for scores in (first, second))
    if len(both) < _ENOUGH_FOR_ORDER or len({*before}) < 2 or len({*after}) < 2:
        return None
    return statistics.rank_correlation(before, after)
