"""Random search: all trials at a glance, which parameters matter, and the best settings."""

from collections.abc import Sequence
from typing import Any

from report import statistics
from report.analysis.findings import Findings
from report.analysis.search.halving import HalvingFindings
from report.analysis.search.trials import ENOUGH_TRIALS, ComparedTrial, CompletedTrial, Search
from report.read.load import Grid
from report.render import blocks, drawing, wording
from report.render.blocks import Block, Bullets, Column, Figure, Heading, ReportSection, Table, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.charts.parallel import Trial, parallel_figure
from report.render.markdown import emphasis
from report.render.wording import Score
from report.sections.grids.rungs import budget_blocks, rung_blocks

_BEST = 10


def search(findings: Findings) -> ReportSection:
    """Every grid of random trials."""
    content: list[Block] = []
    for found in findings.grids:
        if found.search:
            content += _grid_blocks(found.grid, found.search, found.halving)
    return ReportSection("Random search", content + budget_blocks(findings.budgets) if content else [])


def search_sentence(found: Search) -> str:
    """The best settings found, and how many trials stand behind them."""
    best, n = found.best, len(found.trials)
    settings = wording.listing([wording.setting(name, value) for name, value in best.settings.items()] or ["it"])
    luck = f" (the highest of {n:,}, and so partly luck)" if n > 1 else ""
    return (
        f"Of {wording.plural(n, 'completed trial')} the best on validation tweets, with F1 "
        f"{wording.percent(best.score)} %{luck}, has {settings}; its test accuracy is "
        f"{wording.share(statistics.measured_accuracy(best.run.result.metrics['test']))}."
    )


def direction_sentence(found: Search, parameter: str) -> str | None:
    """Whether more of a parameter is better, by its rank correlation with the score; None if that is not known."""
    one = found.correlations.get(parameter)
    if one is None:
        return None
    name = wording.parameter_name(parameter)
    verdict = "No monotone effect is shown for"
    if one.is_shown:
        verdict = f"{'More' if (one.value > 0) == _score(found).more_is_better else 'Less'} is better for"
    return (
        f"{verdict} {name}: rank correlation {wording.signed(one.value, 2)} "
        f"({wording.signed(one.low or 0, 2)} to {wording.signed(one.high or 0, 2)}), {one.n} trials."
    )


def _grid_blocks(grid: Grid, found: Search, halving: HalvingFindings | None) -> list[Block]:
    content: list[Block] = [Heading(f"Grid {grid.name}")]
    if grid.plan:
        content.append(Text(emphasis(grid.plan.description)))
    if halving:
        content += rung_blocks(halving)
    n, score = len(found.compared), _score(found)
    if n < 2 or not found.parameters or not found.trials:
        number = wording.plural(len(found.trials), "trial")
        return [*content, Text(f"{number} of {len(grid.runs):,} completed: too few to show.")]
    content.append(_parallel(grid, found.compared, score))
    if n < ENOUGH_TRIALS:
        which = f"trials with a {score.name}" if halving else "completed trials"
        why = f"{n} {which} are not enough, it takes {ENOUGH_TRIALS}"
        content.append(Text(f"Importance is not computed: {why}."))
    elif found.all_score_the_same:
        content.append(Text("All trials score the same, so no parameter matters."))
    else:
        content += _importance_blocks(grid, found, score)
    return [*content, _best_table(grid, found.trials)]


def _score(found: Search) -> Score:
    """What parameters are judged by: of a search in rungs, what all trials have in common."""
    return Score(found.metric, found.after)


def _parallel(grid: Grid, compared: Sequence[CompletedTrial | ComparedTrial], score: Score) -> Figure:
    trials = [Trial(one.index, one.settings, one.score) for one in compared]
    caption = (
        f"Grid {grid.name}, n = {len(trials)} trials: one line a trial, from its settings to its {score.name} (right), "
        "which also colours it; the best lie on top. Lines are spread a little, so that equal settings stay visible. "
        "Point at a line to single it out."
    )
    return parallel_figure(f"parallel-{grid.name}", f"All trials of grid {grid.name}", caption, trials, score)


def _importance_blocks(grid: Grid, found: Search, score: Score) -> list[Block]:
    shares, correlations, n = found.importances, found.correlations, len(found.compared)
    caption = (
        f"Share of the variance of {score.name} that each parameter explains, alone or with others (fANOVA, optuna; "
        f"n = {n} trials). Bars: the middle 90 % over trials drawn anew with replacement."
    )
    lines = [Line(wording.parameter_name(name), share) for name, share in shares.items()]
    figures: list[Block] = [
        interval_figure(
            f"importance-{grid.name}", "Importance of parameters", caption, lines, ValueAxis("share of variance (%)")
        )
    ]
    if correlations:
        caption = (
            f"Spearman's rank correlation of each ordered parameter with {score.name}, with Fisher's interval on "
            f"ranks, corrected for their number, n = {n} trials. Right of zero: more is "
            f"{'better' if score.more_is_better else 'worse'}."
        )
        lines = [Line(wording.parameter_name(name), one, drawing.GREEN) for name, one in correlations.items()]
        title, axis = "Rank correlation with the score", ValueAxis("rank correlation", scale=1, marks_zero=True)
        figures.append(interval_figure(f"correlation-{grid.name}", title, caption, lines, axis))
    return [Bullets(_importance_sentences(found)), *figures]


def _importance_sentences(found: Search) -> list[str]:
    listed = [
        f"{wording.parameter_name(name)} {wording.percent(share.value)} % "
        f"({wording.percent_range(share.low or 0, share.high or 0)})"
        for name, share in found.importances.items()
    ]
    sentences = [f"Of the variance between these trials explains (middle 90 %): {wording.listing(listed)}."]
    return sentences + [sentence for name in found.correlations if (sentence := direction_sentence(found, name))]


def _best_table(grid: Grid, trials: list[CompletedTrial]) -> Table:
    by_score = sorted(trials, key=lambda trial: -trial.score)[:_BEST]
    rows = [
        {
            "rank": rank,
            "trial": trial.index,
            "validation_f1": trial.score,
            "test_accuracy": trial.run.result.metrics["test"].accuracy,
            "overfits": "yes" if trial.run.result.overfit.overfits else "no",
            **{name: wording.parameter_value(name, value) for name, value in trial.settings.items()},
        }
        for rank, trial in enumerate(by_score, 1)
    ]
    columns = [
        blocks.count("#", "rank"),
        blocks.percent("Validation F1, %", "validation_f1"),
        blocks.percent("Test accuracy, %", "test_accuracy"),
        *(Column(wording.capital(wording.parameter_name(name)), name, _show(name)) for name in trials[0].settings),
        blocks.text("Overfits", "overfits"),
    ]
    caption = f"The {len(rows)} best of {len(trials)} trials of grid {grid.name}, by validation F1 (one seed each)."
    return Table(f"best-{grid.name}", caption, columns, rows, best=1)


def _show(name: str) -> Any:
    return lambda row: row[name]
