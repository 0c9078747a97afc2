"""Random search: all trials at a glance, which parameters matter, and the best settings."""

from typing import Any

from report.analysis import statistics
from report.analysis.effects import varying
from report.analysis.grid_kind import Kind, kind_of
from report.analysis.importance import ENOUGH_TRIALS, importances
from report.read.load import CompletedRun, Grid, Study
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, Figure, Heading, ReportSection, Table, Text
from report.render.charts import style
from report.render.charts.intervals import Line, interval_figure
from report.render.charts.parallel import Trial, parallel_figure
from report.render.markdown import emphasis

_BEST = 10
_SCORE = "validation F1"


def search(study: Study) -> ReportSection:
    """Every grid of random trials."""
    content: list[Block] = []
    for grid in study.grids:
        if kind_of(grid) is Kind.SEARCH:
            content += _grid_blocks(grid)
    return ReportSection("Random search", content)


def search_sentence(grid: Grid) -> str:
    """The best settings found, and how many trials stand behind them."""
    best = max(grid.completed, key=_score)
    settings = wording.listing(
        [wording.setting(name, best.settings.get(name)) for name in varying(grid.completed)] or ["it"]
    )
    n = len(grid.completed)
    luck = f" (the highest of {n:,}, and so partly luck)" if n > 1 else ""
    return (
        f"Of {wording.plural(n, 'completed trial')} the best on validation tweets, with F1 "
        f"{wording.percent(_score(best))} %{luck}, has {settings}; its test accuracy is "
        f"{wording.share(statistics.measured_accuracy(best.result.metrics['test']))}."
    )


def _score(run: CompletedRun) -> float:
    return run.result.metrics["validation"].f1


def _grid_blocks(grid: Grid) -> list[Block]:
    content: list[Block] = [Heading(f"Grid {grid.name}")]
    if grid.plan:
        content.append(Text(emphasis(grid.plan.description)))
    parameters = varying(grid.completed)
    if len(grid.completed) < 2 or not parameters:
        content.append(
            Text(f"{wording.plural(len(grid.completed), 'trial')} of {len(grid.runs):,} completed: too few to show.")
        )
        return content
    index = {run.run_id: planned.index for run in grid.completed for planned in _planned(grid, run)}
    trials = [
        Trial(index.get(run.run_id, number), {name: run.settings.get(name) for name in parameters}, _score(run))
        for number, run in enumerate(grid.completed)
    ]
    content += [Text(search_sentence(grid)), _parallel(grid, trials)]
    if len(trials) < ENOUGH_TRIALS:
        content.append(
            Text(
                f"Importance is not computed: {len(trials)} completed trials are not enough, {ENOUGH_TRIALS} would be."
            )
        )
    elif len({trial.score for trial in trials}) == 1:
        content.append(Text("All trials score the same, so no parameter matters."))
    else:
        content += _importance_blocks(grid, trials)
    return [*content, _best_table(grid, trials)]


def _planned(grid: Grid, run: CompletedRun) -> list[Any]:
    return [planned for planned in grid.plan.runs if planned.run_id == run.run_id] if grid.plan else []


def _parallel(grid: Grid, trials: list[Trial]) -> Figure:
    caption = (
        f"Grid {grid.name}, n = {len(trials)} trials: one line a trial, from its settings to its {_SCORE} (right), "
        "which also colours it; the best lie on top. Lines are spread a little, so that equal settings stay visible. "
        "Point at a line to single it out."
    )
    return parallel_figure(f"parallel-{grid.name}", f"All trials of grid {grid.name}", caption, trials, _SCORE)


def _importance_blocks(grid: Grid, trials: list[Trial]) -> list[Block]:
    scores = [trial.score for trial in trials]
    shares = importances([trial.settings for trial in trials], scores)
    ordered = {name: _ranks(trials, name) for name in shares}
    correlations = {name: statistics.rank_correlation(x, scores) for name, x in ordered.items() if x}
    n = len(trials)
    caption = (
        f"Share of the variance of {_SCORE} that each parameter explains by itself or in company (fANOVA, optuna; n = "
        f"{n} trials). Bars: the middle 90 % over trials drawn anew with replacement."
    )
    lines = [Line(wording.parameter_name(name), share) for name, share in shares.items()]
    figures: list[Block] = [
        interval_figure(f"importance-{grid.name}", "Importance of parameters", caption, lines, "share of variance (%)")
    ]
    if correlations:
        caption = (
            f"Spearman's rank correlation of each ordered parameter with {_SCORE}, with Fisher's 95 % interval on "
            f"ranks, n = {n} trials. Right of zero: more is better."
        )
        lines = [Line(wording.parameter_name(name), one, style.GREEN) for name, one in correlations.items()]
        title, axis = "Rank correlation with the score", "rank correlation"
        figures.append(interval_figure(f"correlation-{grid.name}", title, caption, lines, axis, scale=1, zero=True))
    return [Bullets(_importance_sentences(shares, correlations)), *figures]


def _ranks(trials: list[Trial], name: str) -> list[float]:
    """Values of an ordered parameter; two-valued ones are ordered too, if their values are numbers."""
    values = [trial.settings[name] for trial in trials]
    is_ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return [float(value) for value in values] if is_ordered else []


def _importance_sentences(
    shares: dict[str, statistics.Estimate], correlations: dict[str, statistics.Difference]
) -> list[str]:
    (name, share), *others = shares.items()
    rivals = [wording.parameter_name(other) for other, one in others if (one.high or 0) >= (share.low or 0)]
    verdict = f"comes first, but can't be told apart from {wording.listing(rivals)}" if rivals else "matters most"
    sentences = [
        f"{wording.capital(wording.parameter_name(name))} {verdict}: it explains {wording.percent(share.value)} % "
        f"of the variance (middle 90 % {wording.percent_range(share.low or 0, share.high or 0)})."
    ]
    adjusted = statistics.false_discovery_control([one.p or 0.0 for one in correlations.values()])
    for (parameter, one), q in zip(correlations.items(), adjusted, strict=True):
        if statistics.is_shown(one, q):
            way = "More" if one.value > 0 else "Less"
            sentences.append(
                f"{way} is better for {wording.parameter_name(parameter)}: rank correlation "
                f"{wording.signed(one.value, 2)} ({wording.signed(one.low or 0, 2)} to "
                f"{wording.signed(one.high or 0, 2)}), {wording.p_phrase(q, 'adjusted p')}."
            )
    unclear = [
        wording.parameter_name(parameter)
        for (parameter, one), q in zip(correlations.items(), adjusted, strict=True)
        if not statistics.is_shown(one, q)
    ]
    if unclear:
        sentences.append(f"No monotone effect is shown for {wording.listing(unclear)}.")
    return sentences


def _best_table(grid: Grid, trials: list[Trial]) -> Table:
    by_score = sorted(zip(trials, grid.completed, strict=True), key=lambda pair: -pair[0].score)[:_BEST]
    rows = [
        {
            "rank": rank,
            "trial": trial.index,
            "validation_f1": trial.score,
            "test_accuracy": run.result.metrics["test"].accuracy,
            "overfits": "yes" if run.result.overfit.overfits else "no",
            **{name: wording.parameter_value(name, value) for name, value in trial.settings.items()},
        }
        for rank, (trial, run) in enumerate(by_score, 1)
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
