"""What does a search find: all trials at a glance, the best, which parameters matter (fANOVA); what do rungs save."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from report import statistics
from report.compare.advice import usage_of
from report.compare.findings import Findings
from report.compare.matching import is_search, varying
from report.read import CompletedRun, Grid, Run
from report.render import charts, wording
from report.render.blocks import Block, Bullets, Card, Question, Table, Text, column
from report.render.charts import Axis, Figure, Point, Trial, ValueAxis, interval_figure, line_figure, parallel_figure
from report.render.wording import Score
from report.statistics import Estimate, is_logarithmic
from sentiment.errors import RunDirError
from sentiment.runs.state import Rungs

# With fewer, a forest over a handful of parameters says more of chance than of them.
ENOUGH_TRIALS = 30
_RESAMPLES = 20
_TREES = 24
_BEST = 10
_METHOD = (
    "Importance in a search",
    "Share of the variance of the score that a parameter explains (fANOVA, Hutter et al. 2014), with the middle 90 % "
    "over trials drawn anew. Spearman's rank correlation describes the trials that there are; nothing is claimed of "
    "others, so it has neither interval nor p.",
)


@dataclass(frozen=True)
class Search:
    """What parameters are judged by: the completed trials or, of a search in rungs, all of its first rung."""

    trials: Sequence[Trial]
    score: Score

    @property
    def reason(self) -> str | None:
        n = len(self.trials)
        if n < ENOUGH_TRIALS:
            few = f"{n} trials with a {self.score.name} are not enough, it takes {ENOUGH_TRIALS}"
            return f"Importance is not computed: {few}."
        same = len({trial.score for trial in self.trials}) == 1
        return "All trials score the same, so no parameter matters." if same else None


def search(findings: Findings) -> Question:
    """A card for each grid of random trials."""
    cards, tables = [], []
    grids = [grid for grid in findings.study.grids if is_search(grid)]
    for grid in grids:
        cards.append(Card(f"What does the search {grid.name} find?", _blocks(grid)))
        tables += [_best_table(grid)] if len(grid.completed) > 1 else []
    return Question(cards, tables, [_METHOD] if any(judged(grid).reason is None for grid in grids) else [])


def judged(grid: Grid) -> Search:
    """The trials of a search that are compared with each other."""
    if grid.rungs and grid.rungs.rankings:
        return Search(_of_first_rung(grid.rungs), Score(grid.rungs.plan.metric, grid.rungs.rankings[0].epochs))
    index = {run.run_id: run.index for run in grid.plan.runs} if grid.plan else {}
    names = varying(grid.completed)
    trials = [
        Trial(index.get(run.run_id, place), {name: run.settings.get(name) for name in names}, _f1(run))
        for place, run in enumerate(grid.completed)
    ]
    return Search(trials, Score("validation/f1"))


def _f1(run: CompletedRun) -> float:
    return run.measured("validation").f1


def _of_first_rung(rungs: Rungs) -> list[Trial]:
    planned = {run.run_id: run for run in rungs.plan.runs}
    names = dict.fromkeys(name for run in rungs.plan.runs for name in run.parameters if name != "seed")
    varying = [name for name in names if len({str(run.parameters.get(name)) for run in rungs.plan.runs}) > 1]
    ended = [(planned[trial.run_id], trial.value) for trial in rungs.rankings[0].trials if trial.value is not None]
    return [Trial(run.index, {name: run.parameters.get(name) for name in varying}, value) for run, value in ended]


def _blocks(grid: Grid) -> list[Block]:
    found = judged(grid)
    if not grid.completed or len(found.trials) < 2 or not found.trials[0].settings:
        number = wording.plural(len(grid.completed), "trial")
        return [Text(f"{number} of {len(grid.runs):,} completed: too few to show.")]
    caption = (
        f"n = {len(found.trials)} trials: one line each, from its settings to its {found.score.name}, which also "
        "colours it; the best on top."
    )
    title = f"All trials of grid {grid.name}"
    lines = parallel_figure(f"parallel-{grid.name}", title, caption, found.trials, found.score)
    reason = Text(found.reason) if found.reason else _importance_figure(grid, found)
    return [Text(_best_sentence(grid)), lines, reason]


def _best_sentence(grid: Grid) -> str:
    best, n, names = max(grid.completed, key=_f1), len(grid.completed), varying(grid.completed)
    listed = [wording.setting(name, best.settings.get(name)) for name in names] or [f"run {best.run_id}"]
    return (
        f"Best of {wording.plural(n, 'trial')} on validation tweets: {wording.listing(listed)}, with F1 "
        f"{wording.percent(_f1(best))} %{' (partly luck)' if n > 1 else ''} and a test accuracy of "
        f"{wording.share(statistics.measured_accuracy(best.measured('test')))}."
    )


def importances(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, Estimate]:
    """Share of the variance of `scores` that each parameter explains (fANOVA, Hutter et al. 2014), largest first.

    The bounds are the middle 90 % over trials drawn anew with replacement; they show how far few trials carry.
    """
    whole, n = _fanova(settings, scores), len(scores)
    resamples = np.random.default_rng(0).integers(n, size=(_RESAMPLES, n))
    drawn = [_fanova([settings[one] for one in chosen], [scores[one] for one in chosen]) for chosen in resamples]
    bounds = {name: np.quantile([one.get(name, 0.0) for one in drawn], (0.05, 0.95)).tolist() for name in whole}
    names = sorted(whole, key=lambda name: -whole[name])
    return {name: Estimate(whole[name], bounds[name][0], bounds[name][1], n) for name in names}


def direction(found: Search, name: str) -> str:
    """How the score went with a setting: ` (+0.50)` describes these trials; nothing where values have no order."""
    from scipy.stats import spearmanr

    values = [trial.settings[name] for trial in found.trials]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return ""
    correlation = spearmanr(values, [trial.score for trial in found.trials]).statistic
    return f" ({wording.signed(float(correlation), 2)})"


def _fanova(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution([one[name] for one in settings]) for name in settings[0]}
    study = optuna.create_study(direction="maximize")
    for one, score in zip(settings, scores, strict=True):
        study.add_trial(optuna.trial.create_trial(params=dict(one), distributions=distributions, value=score))
    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    return {name: float(share) for name, share in get_param_importances(study, evaluator=evaluator).items()}


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    return FloatDistribution(min(values), max(values), log=is_logarithmic(values))


def _importance_figure(grid: Grid, found: Search) -> Figure:
    shares = importances([trial.settings for trial in found.trials], [trial.score for trial in found.trials])
    caption = (
        f"Share of the variance of {found.score.name} that each parameter explains (fANOVA, n = {len(found.trials)} "
        "trials). In brackets its rank correlation with the score."
    )
    lines = [(wording.parameter_name(name) + direction(found, name), one, charts.BLUE) for name, one in shares.items()]
    axis = ValueAxis("share of variance (%)")
    return interval_figure(f"importance-{grid.name}", "Importance of parameters", caption, lines, axis)


def _best_table(grid: Grid) -> Table:
    names = varying(grid.completed)
    best = sorted(grid.completed, key=lambda run: -_f1(run))[:_BEST]
    rows = [
        {
            "rank": rank,
            "run": run.run_id,
            "validation_f1": _f1(run),
            "test_accuracy": run.measured("test").accuracy,
            "overfits": "yes" if run.result.overfit.overfits else "no",
            **{name: wording.parameter_value(name, run.settings.get(name)) for name in names},
        }
        for rank, run in enumerate(best, 1)
    ]
    columns = [
        column("#", "rank", "count"),
        column("Validation F1, %", "validation_f1", "percent"),
        column("Test accuracy, %", "test_accuracy", "percent"),
        *(column(wording.capital(wording.parameter_name(name)), name) for name in names),
        column("Overfits", "overfits"),
    ]
    n = len(grid.completed)
    caption = f"The {len(rows)} best of {n} trials of grid {grid.name}, by validation F1 (one seed each)."
    return Table(f"best-{grid.name}", caption, columns, rows, best=rows[0])


def rungs(findings: Findings) -> Question:
    """A card for each search in rungs: what was trained and saved, who went on, and everybody's scores."""
    cards = []
    for grid in findings.study.grids:
        planned = [run for run in grid.runs if run.planned]
        budget = max(filter(None, map(_budget, planned)), default=None)
        if grid.rungs and budget:
            scores = {run.run_id: _scores(run, grid.rungs.plan.metric) for run in planned}
            sentences = [_spent(planned, scores, budget), *_went_on(grid.rungs)]
            figure = [_rung_figure(grid.rungs, planned, scores)] if any(scores.values()) else []
            cards.append(Card(f"What did the rungs of {grid.name} spend?", [Bullets(sentences), *figure]))
    return Question(cards)


# Of each trial, by its id, the search's metric after each epoch.
Scores = dict[str, list[float]]


def _scores(run: Run, metric: str) -> list[float]:
    """Empty where the log is missing or damaged, which the run's own state says."""
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


def _spent(planned: list[Run], scores: Scores, budget: int) -> str:
    epochs, full = sum(map(len, scores.values())), budget * len(planned)
    usage = usage_of(planned)
    hours, kind = (usage.gpu_hours, "GPU-hours") if usage.gpu_hours else (usage.cpu_hours, "CPU-hours")
    saved = f"; the full search would take about {hours * full / epochs:,.2f}" if epochs else ""
    return (
        f"{epochs:,} epochs were trained, {wording.percent(epochs / full)} % of the {full:,} that all "
        f"{len(planned):,} trials take to their end (fewer where they stop early), in {hours:,.2f} {kind}{saved}."
    )


def _went_on(found: Rungs) -> list[str]:
    sentences = []
    for ranking in found.rankings:
        failed = sum(trial.value is None for trial in ranking.trials)
        last = f"; {failed:,} without a score ranked last" if failed else ""
        trials = wording.plural(len(ranking.trials), "trial")
        sentences.append(f"After epoch {ranking.epochs} the best {ranking.promoted:,} of {trials} went on{last}.")
    if found.current < found.last:
        sentences.append(f"Rung {found.current} is not decided yet.")
    if found.rankings:
        sentences.append("A trial that learns slowly at first may have been pruned although it would have ended well.")
    return sentences


def _rung_figure(found: Rungs, planned: list[Run], scores: Scores) -> Figure:
    plan, ends, score = found.plan, found.halving.epochs, Score(found.plan.metric)
    drawn = sorted((run for run in planned if scores[run.run_id]), key=lambda run: run.completed is not None)
    caption = (
        f"n = {len(drawn)} trials: {score.name} after each epoch. A line ends where its trial was pruned; dotted lines "
        f"are the ends of rungs (epoch {wording.listing([str(one) for one in ends])})."
    )
    points = [point for run in drawn for point in trial_points(run, scores[run.run_id], score)]
    axes = Axis("epoch", is_whole=True, uprights=ends), Axis(score.title)
    return line_figure(f"rungs-{plan.name}", f"Rungs of grid {plan.name}", caption, points, axes)


def trial_points(run: Run, scores: list[float], score: Score) -> list[Point]:
    parameters = run.planned.parameters if run.planned else {}
    settings = ", ".join(wording.setting(name, value) for name, value in parameters.items())
    state = "trained to the end" if run.completed else "pruned, or not there yet"
    return [
        Point(run.run_id, epoch, score.drawn(one), f"{settings}; epoch {epoch}: {score.said(one)}", state, style="thin")
        for epoch, one in enumerate(scores, 1)
    ]
