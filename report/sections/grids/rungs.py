"""Of a search in rungs: what it spent, who got how far, and what pruning may have missed; and what budgets buy."""

from collections.abc import Sequence
from typing import Any

from report.analysis.search.budgets import BudgetComparison, BudgetCurve
from report.analysis.search.halving import HalvingFindings, TrialProgress
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, Figure, Heading, Table
from report.render.charts.rungs import BudgetLine, RungCurve, budget_figure, rung_curves
from report.render.wording import Score
from report.sections.names import state_name

_SHOWN = 30


def rung_blocks(found: HalvingFindings) -> list[Block]:
    """The course of the search; only what was decided is told."""
    sentences = [*_rung_sentences(found), *_missed_sentences(found)]
    content: list[Block] = [Bullets(sentences)]
    if any(trial.scores for trial in found.trials):
        content.append(_curves(found))
    return [*content, _table(found)]


def budget_blocks(comparisons: Sequence[BudgetComparison]) -> list[Block]:
    """What a budget buys in each search, those on the same tweets in one figure."""
    if not comparisons:
        return []
    return [Heading("What a budget buys"), *(_budget_figure(one, place) for place, one in enumerate(comparisons, 1))]


def spent_sentence(found: HalvingFindings) -> str:
    """How much of the full search was trained, and what that took."""
    hours, kind = (found.gpu_hours, "GPU-hours") if found.gpu_hours else (found.cpu_hours, "hours on CPUs")
    instead = f", where the full search would take about {hours / found.share:,.2f}" if found.epochs else ""
    return (
        f"{found.epochs:,} epochs were trained, {wording.percent(found.share)} % of the {found.full_epochs:,} that "
        f"all {len(found.trials):,} trials take to their end (fewer where they stop early), in "
        f"{hours:,.2f} {kind}{instead}."
    )


def _rung_sentences(found: HalvingFindings) -> list[str]:
    sentences = []
    for ranking in found.rungs.rankings:
        failed = {trial.run_id for trial in ranking.trials if trial.value is None}
        late = f"; {len(failed):,} without a score ranked last" if failed else ""
        if there := sum(len(one.scores) >= ranking.epochs for one in found.trials if one.run.run_id in failed):
            late += f", of which {there:,} got there too late for the ranking"
        late += f"; {tie}" if (tie := ranking.describe_tie()) else ""
        sentences.append(
            f"After epoch {ranking.epochs} the best {ranking.promoted:,} of "
            f"{wording.plural(len(ranking.trials), 'trial')} went on{late}."
        )
    if found.rungs.current < found.rungs.last:
        sentences.append(f"Rung {found.rungs.current} is not decided yet.")
    return sentences


def _missed_sentences(found: HalvingFindings) -> list[str]:
    if not found.pruned:
        return []
    order = ""
    if found.order:
        order = (
            f" Of the {found.order.n} trials with a score in both of the first two rungs the order in one and in the "
            f"other correlates with {wording.signed(found.order.value, 2)} (Spearman; 95 % interval "
            f"{wording.signed(found.order.low or 0, 2)} to {wording.signed(found.order.high or 0, 2)})."
        )
    return [
        f"What pruning may have missed: {wording.plural(len(found.pruned), 'trial')} ended before the last epoch, and "
        f"one that learns slowly at first might have ended among the best.{order}"
    ]


def _curves(found: HalvingFindings) -> Figure:
    plan, rungs = found.rungs.plan, found.rungs
    curves = [
        RungCurve(one.index, _title(one), one.scores, one.run.completed is not None)
        for one in found.trials
        if one.scores
    ]
    score, ends = Score(plan.metric), wording.listing([str(one) for one in rungs.halving.epochs])
    caption = (
        f"Grid {plan.name}, n = {len(curves)} trials: {score.name} after each epoch. A line ends where its trial was "
        f"pruned; dotted lines are the ends of rungs (epoch {ends}). "
        "Point at a line to see its settings."
    )
    return rung_curves(f"rungs-{plan.name}", f"Rungs of grid {plan.name}", caption, curves, rungs.halving.epochs, score)


def _title(trial: TrialProgress) -> str:
    settings = ", ".join(wording.setting(name, value) for name, value in trial.settings.items())
    return f"trial {trial.index}: {settings}"


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
        *(Column(wording.capital(wording.parameter_name(name)), name, _show(name)) for name in names),
    ]
    return Table(f"rungs-{plan.name}", caption, columns, rows, folded=len(rows) > _SHOWN)


def _row(trial: TrialProgress) -> dict[str, Any]:
    row: dict[str, Any] = {"trial": trial.index, "run": trial.run.run_id, "state": state_name(trial.run.state.state)}
    row |= {"rung": trial.rung, "place": trial.rank, "value": trial.value, "epochs": len(trial.scores)}
    return row | {name: wording.parameter_value(name, value) for name, value in trial.settings.items()}


def _show(name: str) -> Any:
    return lambda row: row[name]


def _budget_figure(comparison: BudgetComparison, place: int) -> Figure:
    lines = [BudgetLine(_label(curve), curve.points, not curve.expected) for curve in comparison.curves]
    score = Score(comparison.metric)
    caption = (
        f"The best {score.name} by the epochs spent on all runs of a grid together. Smooth lines: expected for as "
        "many runs as these epochs pay for, drawn with replacement from those that there are (the estimator of Dodge "
        "et al. 2019, \u201cShow Your Work\u201d). Steps: a search in rungs as it happened, by its best trial at each "
        "end. The best of many owes its score to luck in part."
    )
    return budget_figure(f"budget-{place}", f"Best {score.name} by epochs spent", caption, lines, score)


def _label(curve: BudgetCurve) -> str:
    kind = "expected" if curve.expected else "in rungs"
    return f"{curve.grid} ({kind}, n = {curve.runs})"
