"""What a search finds: all trials at a glance, the best, which parameters matter (fANOVA); what its rungs save."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.compare.matching import differing, is_search, varying
from report.read import CompletedRun, Grid, Run
from report.render import wording
from report.render.blocks import Block, Bullets, Card, Column, Question, Table, Text, column
from report.render.charts import (
    Axis,
    Figure,
    Line,
    Point,
    Trial,
    ValueAxis,
    interval_figure,
    line_figure,
    parallel_figure,
)
from report.render.wording import Score
from report.statistics import LEVEL, Estimate, Metric, estimate_of, is_logarithmic
from sentiment.errors import RunDirError
from sentiment.runs.records import GridPlan
from sentiment.runs.state import RungRanking, Rungs

# With fewer trials, importances (fANOVA) and expected scores say more about chance than about the parameters.
ENOUGH_TRIALS = 30
_RESAMPLES = 20
_BOOTSTRAP_QUANTILES = (0.05, 0.95)
_TREES = 24
_BEST = 10
_METHOD = (
    "Importance in a search",
    "Share of the variance of the score that a parameter explains (fANOVA, Hutter et al. 2014), with a 90 % bootstrap "
    "percentile interval over trials. Spearman's rank correlation is descriptive: it is of these trials alone, and has "
    "neither interval nor p.",
)
_BUDGETS = (1, 5, 10, 20, 50, 100, 200)
# Budgets above this share of the trials are not shown: their intervals would cover less often than they should.
_MAX_BUDGET = 0.2
_METHOD_OF_BUDGETS = (
    "Expected validation score of the best of n trials",
    "The expected best validation score of n random trials (Dodge et al. 2019), by the unbiased estimator of Tang et "
    "al. (2020). Its 95 % interval is a jackknife over trials with Student's quantile; in simulations with n up to a "
    "fifth of the trials, 88 to 96 % of the intervals contained the true value.",
)


@dataclass(frozen=True)
class Search:
    """The trials for the importances: the completed ones or, of a search in rungs, all of its first rung."""

    trials: Sequence[Trial]
    score: Score

    @property
    def reason_against_importance(self) -> str | None:
        """Why no importances are shown; None if they are."""
        n = len(self.trials)
        if n < ENOUGH_TRIALS:
            return f"Importances need at least {ENOUGH_TRIALS} trials with a {self.score.name}; there are {n}."
        if len({trial.score for trial in self.trials}) == 1:
            return "All trials have the same score, so importances are undefined."
        return None


def search(findings: Findings) -> Question:
    """A card for each search."""
    cards, tables = [], []
    has_importances = False
    for grid in findings.study.grids:
        if is_search(grid):
            trials = trials_for_importance(grid)
            cards.append(Card(f"What does the search {grid.name} find?", _card_content(grid, trials)))
            if len(grid.completed) > 1:
                tables.append(_best_table(grid))
            if trials.reason_against_importance is None:
                has_importances = True
    return Question(cards, tables, [_METHOD, _METHOD_OF_BUDGETS] if has_importances else [])


def trials_for_importance(grid: Grid) -> Search:
    """The trials of a search that are compared with each other, with their scores."""
    if grid.rungs and grid.rungs.rankings:
        score = Score(grid.rungs.plan.metric, grid.rungs.rankings[0].epochs)
        return Search(_trials_of_first_rung(grid.rungs), score)
    index = {run.run_id: run.index for run in grid.plan.runs} if grid.plan else {}
    names = varying(grid.completed)
    trials = []
    for position, run in enumerate(grid.completed):
        settings = {name: run.settings.get(name) for name in names}
        trials.append(Trial(index.get(run.run_id, position), settings, _macro_f1(run)))
    return Search(trials, Score("validation/macro_f1"))


def _macro_f1(run: CompletedRun) -> float:
    return run.measured("validation").macro_f1


def _trials_of_first_rung(rungs: Rungs) -> list[Trial]:
    """Those that have a score."""
    planned = {run.run_id: run for run in rungs.plan.runs}
    varied = differing([run.parameters for run in rungs.plan.runs])
    trials = []
    for ranked in rungs.rankings[0].trials:
        if ranked.value is not None:
            run = planned[ranked.run_id]
            settings = {name: run.parameters.get(name) for name in varied}
            trials.append(Trial(run.index, settings, ranked.value))
    return trials


def _card_content(grid: Grid, search: Search) -> list[Block]:
    if not grid.completed or len(search.trials) < 2 or not search.trials[0].settings:
        number = wording.plural(len(grid.completed), "trial")
        return [Text(f"{number} of {len(grid.runs):,} completed: too few to show.")]
    caption = (
        f"Parallel coordinates of n = {len(search.trials)} trials: a line for each, from its settings to its "
        f"{search.score.name}, which is also its colour; the best are on top."
    )
    title = f"All trials of grid {grid.name}"
    lines = parallel_figure(f"parallel-{grid.name}", title, caption, search.trials, search.score)
    content: list[Block] = [Text(_best_sentence(grid))]
    if expected := _expected_scores(grid, search):
        content.append(Text(expected))
    reason = search.reason_against_importance
    return [*content, lines, Text(reason) if reason else _importance_figure(grid, search)]


def _best_sentence(grid: Grid) -> str:
    best = max(grid.completed, key=_macro_f1)
    settings = [wording.setting(name, best.settings.get(name)) for name in varying(grid.completed)]
    score = estimate_of(best.measured("test"), grid.metric)
    n = len(grid.completed)
    luck = " (optimistic: it is the maximum of several)" if n > 1 else ""
    return (
        f"Best of {wording.plural(n, 'trial')} on validation tweets: "
        f"{wording.listing(settings or [f'run {best.run_id}'])}, with macro F1 {wording.percent(_macro_f1(best))} %"
        f"{luck} and a test {grid.metric_name} of {wording.share(score)}."
    )


def _expected_scores(grid: Grid, search: Search) -> str:
    """What fewer trials would have reached; empty for few trials, and for those that were not drawn at random."""
    if len(search.trials) < ENOUGH_TRIALS or grid.plan is None or grid.plan.method != "random":
        return ""
    scores = sorted((trial.score for trial in search.trials), reverse=not search.score.more_is_better)
    parts = []
    for budget in _BUDGETS:
        if budget <= _MAX_BUDGET * len(scores):
            estimate = expected_best(scores, budget)
            bounds = wording.bounds(estimate.low, estimate.high, search.score.shown)
            parts.append(f"{search.score.with_unit(estimate.value)}{bounds} for n = {budget:,}")
    return f"Expected {search.score.name} of the best of n random trials (95 % CI): {'; '.join(parts)}."


def expected_best(scores: Sequence[float], budget: int) -> Estimate:
    """The expected best score of `budget` random trials, from the scores of more trials, the best one last.

    The unbiased estimator of Tang et al. (2020), with a jackknife interval over trials.
    """
    from scipy.stats import t

    n = len(scores)
    value = float(_weights_of_best(n, budget) @ np.array(scores))
    weights = _weights_of_best(n - 1, budget)
    without_one = np.array([weights @ np.delete(scores, index) for index in range(n)])
    half_width = float(t.ppf(0.5 + LEVEL / 2, n - 1) * math.sqrt((n - 1) * without_one.var()))
    return Estimate(value, value - half_width, value + half_width, n)


def _weights_of_best(n: int, budget: int) -> npt.NDArray[np.float64]:
    """The probability that each of n scores, the best one last, is the best of `budget` of them, (n,)."""
    subsets = math.comb(n, budget)
    return np.array([math.comb(rank, budget - 1) / subsets for rank in range(n)])


def importances(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, Estimate]:
    """Share of the variance of `scores` that each parameter explains (fANOVA, Hutter et al. 2014), largest first.

    The bounds are a 90 % bootstrap percentile interval over trials.
    """
    shares = _fanova(settings, scores)
    n = len(scores)
    resampled = []
    for trials in np.random.default_rng(0).integers(n, size=(_RESAMPLES, n)):
        resampled.append(_fanova([settings[trial] for trial in trials], [scores[trial] for trial in trials]))
    estimates = {}
    for name in sorted(shares, key=lambda name: -shares[name]):
        values = [of_resample.get(name, 0.0) for of_resample in resampled]
        low, high = np.quantile(values, _BOOTSTRAP_QUANTILES).tolist()
        estimates[name] = Estimate(shares[name], low, high, n)
    return estimates


def rank_correlation(search: Search, name: str) -> str:
    """Spearman's correlation of a setting with the score, as ` (+0.50)`; empty where its values have no order."""
    from scipy.stats import spearmanr

    values = [trial.settings[name] for trial in search.trials]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return ""
    correlation = spearmanr(values, [trial.score for trial in search.trials]).statistic
    return f" ({wording.signed(float(correlation), 2)})"


def _fanova(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution([of_trial[name] for of_trial in settings]) for name in settings[0]}
    study = optuna.create_study(direction="maximize")
    for parameters, score in zip(settings, scores, strict=True):
        trial = optuna.trial.create_trial(params=dict(parameters), distributions=distributions, value=score)
        study.add_trial(trial)
    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    return {name: float(share) for name, share in get_param_importances(study, evaluator=evaluator).items()}


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    return FloatDistribution(min(values), max(values), log=is_logarithmic(values))


def _importance_figure(grid: Grid, search: Search) -> Figure:
    shares = importances([trial.settings for trial in search.trials], [trial.score for trial in search.trials])
    caption = (
        f"Share of the variance of {search.score.name} that each parameter explains (fANOVA, n = {len(search.trials)} "
        "trials), with 90 % bootstrap intervals over trials. In brackets: Spearman's rank correlation with the score."
    )
    lines: list[Line] = []
    for name, share in shares.items():
        lines.append((wording.parameter_name(name) + rank_correlation(search, name), share, "blue"))
    axis = ValueAxis("share of variance (%)")
    return interval_figure(f"importance-{grid.name}", "Importance of parameters", caption, lines, axis)


def _best_table(grid: Grid) -> Table:
    names = varying(grid.completed)
    best = sorted(grid.completed, key=lambda run: -_macro_f1(run))[:_BEST]
    rows = [_best_row(rank, run, names, grid.metric) for rank, run in enumerate(best, 1)]
    columns: list[Column] = [
        column("#", "rank", "count"),
        column("Validation macro F1, %", "validation_macro_f1", "percent"),
        column(f"Test {grid.metric_name}, %", f"test_{grid.metric}", "percent"),
    ]
    columns += [column(wording.capital(wording.parameter_name(name)), name) for name in names]
    columns.append(column("Overfits", "overfits"))
    n = len(grid.completed)
    caption = f"The {len(rows)} best of {n} trials of grid {grid.name}, by validation macro F1 (one seed each)."
    return Table(f"best-{grid.name}", caption, columns, rows, best=rows[0])


def _best_row(rank: int, run: CompletedRun, names: Iterable[str], metric: Metric) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rank": rank,
        "run": run.run_id,
        "validation_macro_f1": _macro_f1(run),
        f"test_{metric}": getattr(run.measured("test"), metric),
        "overfits": "yes" if run.result.overfit.overfits else "no",
    }
    for name in names:
        row[name] = wording.parameter_value(name, run.settings.get(name))
    return row


# Of each trial, by its run id, the search's metric after each epoch.
MetricHistory = dict[str, list[float]]


def rungs(findings: Findings) -> Question:
    """A card for each search in rungs: epochs trained and saved, promotions, and the scores after each epoch."""
    cards = []
    for grid in findings.study.grids:
        planned = [run for run in grid.runs if run.planned]
        max_epochs = max((epochs for epochs in map(_max_epochs, planned) if epochs), default=None)
        if grid.rungs and max_epochs:
            history = {run.run_id: _scores(run, grid.rungs.plan) for run in planned}
            content: list[Block] = [Bullets([_epochs_saved(planned, history, max_epochs), *_promotions(grid.rungs)])]
            if any(history.values()):
                content.append(_rung_figure(grid.rungs, planned, history))
            cards.append(Card(f"How much training did successive halving save in {grid.name}?", content))
    return Question(cards)


def _scores(run: Run, plan: GridPlan) -> list[float]:
    """Empty where the log is missing or damaged, which the run's own state says."""
    try:
        epochs, _ = run.run_dir.read_epochs()
    except RunDirError:
        return []
    scores = (plan.score(row.metrics) for row in epochs)
    return [score for score in scores if score is not None]


def _max_epochs(run: Run) -> int | None:
    try:
        return run.run_dir.read_config().training.epochs
    except RunDirError:
        return None


def _epochs_saved(planned: list[Run], history: MetricHistory, max_epochs: int) -> str:
    epochs = sum(map(len, history.values()))
    without_pruning = max_epochs * len(planned)
    time = usage_of(planned).total
    sentence = (
        f"{epochs:,} epochs were trained, {wording.percent(epochs / without_pruning)} % of the {without_pruning:,} "
        f"that {len(planned):,} full trials would need (an upper bound, because of early stopping), in "
        f"{time.hours:,.2f} {time.unit}"
    )
    if epochs:
        sentence += f"; without pruning about {time.hours * without_pruning / epochs:,.2f} {time.unit}"
    return f"{sentence}."


def _promotions(rungs: Rungs) -> list[str]:
    sentences = [_promotion(ranking, Score(rungs.plan.metric)) for ranking in rungs.rankings]
    if rungs.current < rungs.last:
        sentences.append(f"The rung that ends after epoch {rungs.epochs(rungs.current)} is not ranked yet.")
    if rungs.rankings:
        sentences.append("Halving may prune trials that start slowly but would end well.")
    return sentences


def _promotion(ranking: RungRanking, score: Score) -> str:
    trials = wording.plural(len(ranking.trials), "trial")
    sentence = f"After epoch {ranking.epochs} the best {ranking.promoted:,} of {trials} were promoted"
    if ranking.tied_at_cut:
        sentence += (
            f"; {ranking.tied_at_cut:,} trials, some promoted and some pruned, had the same {score.name}: validation "
            "loss, then the order of the plan, decided between them"
        )
    failed = sum(trial.value is None for trial in ranking.trials)
    if failed:
        sentence += f"; {failed:,} without a score ranked last"
    return f"{sentence}."


def _rung_figure(rungs: Rungs, planned: list[Run], history: MetricHistory) -> Figure:
    score = Score(rungs.plan.metric)
    last_epochs = rungs.halving.epochs
    scored = [run for run in planned if history[run.run_id]]
    scored.sort(key=lambda run: run.completed is not None)
    caption = (
        f"n = {len(scored)} trials: {score.name} after each epoch. Lines end where trials were pruned; dotted vertical "
        f"lines mark the ends of rungs (epoch {wording.listing([str(epoch) for epoch in last_epochs])})."
    )
    points = [point for run in scored for point in trial_points(run, history[run.run_id], score)]
    axes = Axis("epoch", is_whole=True, vertical_rules=last_epochs), Axis(score.title)
    return line_figure(f"rungs-{rungs.plan.name}", f"Rungs of grid {rungs.plan.name}", caption, points, axes)


def trial_points(run: Run, scores: list[float], score: Score) -> list[Point]:
    """The points of a trial's line: its score after each epoch."""
    parameters = run.planned.parameters if run.planned else {}
    settings = ", ".join(wording.setting(name, value) for name, value in parameters.items())
    state = "trained to the end" if run.completed else "pruned or still running"
    points = []
    for epoch, value in enumerate(scores, 1):
        tooltip = f"{settings}; epoch {epoch}: {score.with_unit(value)}"
        points.append(Point(run.run_id, epoch, score.drawn(value), tooltip, state, style="thin"))
    return points
