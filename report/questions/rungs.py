"""What does a search in rungs spend, who got how far, and what does a budget of epochs buy."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report import statistics
from report.compare.findings import Findings
from report.compare.matching import is_search
from report.compare.usage import usage_of
from report.questions.question import Question
from report.questions.search import setting_columns, varying_parameters
from report.read.load import Grid, Run
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Card, Column, Figure, Table
from report.render.charts.lines import Axis, Point, Series, line_figure
from report.render.wording import Score
from report.sections.names import state_name
from sentiment.errors import RunDirError
from sentiment.runs.rungs import Rungs

ENOUGH_RUNS = 10
"""Fewer completed runs say too little about the best of many."""
_METRIC = "validation/accuracy"
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

    @property
    def pruned(self) -> list[TrialProgress]:
        """The trials that a ranking has stopped."""
        return [trial for trial in self.trials if trial.rank is not None and not trial.run.completed]

    @property
    def spent_sentence(self) -> str:
        """How much of the full search was trained, and what that took."""
        share = self.epochs / self.full_epochs
        hours, kind = (self.gpu_hours, "GPU-hours") if self.gpu_hours else (self.cpu_hours, "hours on CPUs")
        instead = f", where the full search would take about {hours / share:,.2f}" if self.epochs else ""
        return (
            f"{self.epochs:,} epochs were trained, {wording.percent(share)} % of the {self.full_epochs:,} that "
            f"all {len(self.trials):,} trials take to their end (fewer where they stop early), in "
            f"{hours:,.2f} {kind}{instead}."
        )

    @property
    def rung_sentences(self) -> list[str]:
        """Who went on after each rung that is decided."""
        sentences = []
        for ranking in self.rungs.rankings:
            failed = {trial.run_id for trial in ranking.trials if trial.value is None}
            late = f"; {len(failed):,} without a score ranked last" if failed else ""
            if there := sum(len(one.scores) >= ranking.epochs for one in self.trials if one.run.run_id in failed):
                late += f", of which {there:,} got there too late for the ranking"
            late += f"; {tie}" if (tie := ranking.describe_tie()) else ""
            sentences.append(
                f"After epoch {ranking.epochs} the best {ranking.promoted:,} of "
                f"{wording.plural(len(ranking.trials), 'trial')} went on{late}."
            )
        if self.rungs.current < self.rungs.last:
            sentences.append(f"Rung {self.rungs.current} is not decided yet.")
        return sentences

    @property
    def missed_sentence(self) -> str | None:
        """What pruning may have missed; None without pruned trials."""
        if not self.pruned:
            return None
        return (
            f"What pruning may have missed: {wording.plural(len(self.pruned), 'trial')} ended before the last epoch, "
            f"and one that learns slowly at first might have ended among the best.{self._order()}"
        )

    def _order(self) -> str:
        if self.rungs.current < 2:
            return ""
        first, second = (
            {one.run_id: one.value for one in ranking.trials if one.value is not None}
            for ranking in self.rungs.rankings[:2]
        )
        both = [run_id for run_id in second if run_id in first]
        before, after = ([scores[run_id] for run_id in both] for scores in (first, second))
        if len(both) < _ENOUGH_FOR_ORDER or len({*before}) < 2 or len({*after}) < 2:
            return ""
        return (
            f" The order of the {len(both)} trials with a score in both of the first two rungs correlates with "
            f"{wording.signed(statistics.rank_correlation(before, after), 2)} (Spearman)."
        )


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


def rungs(findings: Findings) -> Question:
    """A card for each search in rungs, and one about what budgets buy in all searches."""
    searches = [(grid, analyse_halving(grid)) for grid in findings.study.grids if is_search(grid)]
    cards: list[Card] = []
    tables: list[Block] = []
    for _, found in searches:
        if found:
            missed = [found.missed_sentence] if found.missed_sentence else []
            content: list[Block] = [Bullets([found.spent_sentence, *found.rung_sentences, *missed])]
            if any(trial.scores for trial in found.trials):
                content.append(_curves(found))
            cards.append(Card(f"What did the rungs of {found.rungs.plan.name} spend?", content))
            tables.append(_table(found))
    if budgets := compare_budgets(searches):
        figures = [_budget_figure(one, place) for place, one in enumerate(budgets, 1)]
        cards.append(Card("What does a budget buy?", [*figures]))
    return Question(cards, tables)


def analyse_halving(grid: Grid) -> HalvingFindings | None:
    """Follow the trials of a search through its rungs; None without rungs, or if no configuration can be read."""
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


def compare_budgets(searches: Sequence[tuple[Grid, HalvingFindings | None]]) -> list[BudgetComparison]:
    """Curves of all searches with enough runs, by the tweets that they are trained on."""
    by_tweets: dict[str, list[tuple[Grid, HalvingFindings | None]]] = defaultdict(list)
    for grid, halving in searches:
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
    scores = [float(getattr(run.result.metrics[part], name)) for run in runs]
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


def _curves(found: HalvingFindings) -> Figure:
    plan, ends, score = found.rungs.plan, found.rungs.halving.epochs, Score(found.rungs.plan.metric)
    drawn = sorted((one for one in found.trials if one.scores), key=lambda one: one.run.completed is not None)
    caption = (
        f"Grid {plan.name}, n = {len(drawn)} trials: {score.name} after each epoch. A line ends where its trial was "
        f"pruned; dotted lines are the ends of rungs (epoch {wording.listing([str(one) for one in ends])}). "
        "Point at a line to see its settings."
    )
    lines = [rung_line(one, score) for one in drawn]
    axes = Axis("epoch", is_whole=True, uprights=ends), Axis(score.title)
    return line_figure(f"rungs-{plan.name}", f"Rungs of grid {plan.name}", caption, lines, axes)


def rung_line(trial: TrialProgress, score: Score) -> Series:
    """A trial's score after each epoch, as far as it got."""
    settings = ", ".join(wording.setting(name, value) for name, value in trial.settings.items())
    title = f"trial {trial.index}: {settings}"
    points = [
        Point(epoch, score.drawn(one), f"{title}; epoch {epoch}: {score.said(one)}")
        for epoch, one in enumerate(trial.scores, 1)
    ]
    state = "trained to the end" if trial.run.completed else "pruned, or not there yet"
    return Series(f"trial {trial.index}", points, "thin", state)


def _budget_figure(comparison: BudgetComparison, place: int) -> Figure:
    score = Score(comparison.metric)
    caption = (
        f"The best {score.name} by the epochs spent on all runs of a grid together. Smooth lines: expected for as "
        "many runs as these epochs pay for, drawn with replacement from those that there are (the estimator of Dodge "
        "et al. 2019, \u201cShow Your Work\u201d). Steps: a search in rungs as it happened, by its best trial at each "
        "end. The best of many owes its score to luck in part."
    )
    lines = []
    for curve in comparison.curves:
        name = f"{curve.grid} ({'expected' if curve.expected else 'in rungs'}, n = {curve.runs})"
        points = [
            Point(epochs, score.drawn(one), f"{name}, {epochs:,.0f} epochs: {score.said(one)}")
            for epochs, one in curve.points
        ]
        lines.append(Series(name, points, "smooth" if curve.expected else "steps"))
    axes = Axis("epochs spent, of all trials together", is_log=True), Axis(score.title)
    return line_figure(f"budget-{place}", f"Best {score.name} by epochs spent", caption, lines, axes)


def _table(found: HalvingFindings) -> Table:
    plan, names = found.rungs.plan, list(found.trials[0].settings) if found.trials else []
    score = Score(plan.metric)
    rows = [_row(trial) for trial in found.trials]
    caption = (
        f"All {len(rows):,} trials of grid {plan.name}: the last rung that each was in, and its rank and {score.name} "
        "at the end of that rung. Scores after different numbers of epochs do not compare; ranks are within a rung."
    )
    columns = [
        blocks.count("Trial", "trial"),
        blocks.text("State", "state"),
        blocks.count("Rung", "rung"),
        blocks.count("Rank there", "place"),
        Column(f"{wording.capital(score.title)} there", "value", lambda row: score.shown(row["value"])),
        blocks.count("Epochs", "epochs"),
        *setting_columns(names),
    ]
    return Table(f"rungs-{plan.name}", caption, columns, rows)


def _row(trial: TrialProgress) -> dict[str, Any]:
    row: dict[str, Any] = {"trial": trial.index, "run": trial.run.run_id, "state": state_name(trial.run.state.state)}
    row |= {"rung": trial.rung, "place": trial.rank, "value": trial.value, "epochs": len(trial.scores)}
    return row | {name: wording.parameter_value(name, value) for name, value in trial.settings.items()}
