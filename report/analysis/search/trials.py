"""A random search: its trials, which parameters matter (fANOVA by optuna), and in which direction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from report import statistics
from report.analysis.questions.effects import varying
from report.read.load import CompletedRun, Grid
from report.statistics import Difference, Estimate, is_logarithmic
from sentiment.records import GridPlan
from sentiment.rungs import Rungs

# With fewer, a forest over a handful of parameters says more of chance than of them.
ENOUGH_TRIALS = 30
_RESAMPLES = 20
_TREES = 24


@dataclass(frozen=True)
class CompletedTrial:
    """One completed run of a random search."""

    index: int
    """Its place in the grid's plan."""
    run: CompletedRun
    settings: dict[str, Any]
    """The settings that vary, by dotted name."""
    score: float
    """Validation F1."""


@dataclass(frozen=True)
class ComparedTrial:
    """A trial, by a score that all trials of the search have at the same time of their training."""

    index: int
    settings: dict[str, Any]
    score: float


@dataclass(frozen=True)
class Search:
    """What a random search found."""

    trials: list[CompletedTrial]
    compared: Sequence[CompletedTrial | ComparedTrial]
    """Those that parameters are judged by: the completed trials or, of a search in rungs, all of its first rung."""
    metric: str
    """What these are judged by, as W&B names it."""
    after: int | None
    """The epoch after which that was measured; None is each trial's best one."""
    parameters: list[str]
    """Dotted names of the settings that vary among the trials."""
    importances: dict[str, Estimate]
    """By parameter, the most important first; empty where there are too few trials or all score the same."""
    correlations: Mapping[str, Difference]
    """The score's rank correlation with each parameter whose values are numbers; empty where importances are. Intervals
    are corrected for their number."""

    @property
    def best(self) -> CompletedTrial:
        """The trial with the best score."""
        return max(self.trials, key=lambda trial: trial.score)

    @property
    def all_score_the_same(self) -> bool:
        """Whether no parameter makes a difference."""
        return len({trial.score for trial in self.compared}) == 1


def analyse_search(grid: Grid) -> Search:
    """Compare the completed trials of a search; where it goes in rungs, parameters are judged by its first one."""
    parameters = varying(grid.completed)
    index = {run.run_id: run.index for run in grid.plan.runs} if grid.plan else {}
    trials = [
        CompletedTrial(
            index=index.get(run.run_id, number),
            run=run,
            settings={name: run.settings.get(name) for name in parameters},
            score=run.result.metrics["validation"].f1,
        )
        for number, run in enumerate(grid.completed)
    ]
    compared: Sequence[CompletedTrial | ComparedTrial] = trials
    metric, after = "validation/f1", None
    if grid.rungs and grid.rungs.rankings:
        compared, parameters = _of_first_rung(grid.rungs)
        metric, after = grid.rungs.plan.metric, grid.rungs.rankings[0].epochs
    search = Search(trials, compared, metric, after, parameters, {}, {})
    if len(compared) < ENOUGH_TRIALS or not parameters or search.all_score_the_same:
        return search
    scores = [trial.score for trial in compared]
    shares = importances([trial.settings for trial in compared], scores)
    ordered = {name: _numbers(compared, name) for name in shares}
    found = {name: statistics.rank_correlation(values, scores) for name, values in ordered.items() if values}
    correlations = dict(zip(found, statistics.corrected(list(found.values())), strict=True))
    return replace(search, importances=shares, correlations=correlations)


def _of_first_rung(rungs: Rungs) -> tuple[list[ComparedTrial], list[str]]:
    """The trials with a score at its end, and the parameters that the plan varies between them."""
    planned = {run.run_id: run for run in rungs.plan.runs}
    names = varying_parameters(rungs.plan)
    return [
        ComparedTrial(
            planned[trial.run_id].index,
            {name: planned[trial.run_id].parameters.get(name) for name in names},
            trial.value,
        )
        for trial in rungs.rankings[0].trials
        if trial.value is not None
    ], names


def varying_parameters(plan: GridPlan) -> list[str]:
    """Names of the parameters that the runs of a plan differ in."""
    names = dict.fromkeys(name for run in plan.runs for name in run.parameters if name != "seed")
    return [name for name in names if len({str(run.parameters.get(name)) for run in plan.runs}) > 1]


def importances(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, Estimate]:
    """Share of the variance of `scores` that each parameter explains (fANOVA, Hutter et al. 2014), largest first.

    The bounds are the middle 90 % over trials drawn anew with replacement; they show how far few trials carry.
    """
    rng = np.random.default_rng(0)
    whole = _fanova(settings, scores)
    drawn = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(len(scores), size=len(scores))
        drawn.append(_fanova([settings[number] for number in chosen], [scores[number] for number in chosen]))
    found = {}
    for name in sorted(whole, key=lambda name: -whole[name]):
        low, high = np.quantile([one.get(name, 0.0) for one in drawn], (0.05, 0.95))
        found[name] = Estimate(whole[name], float(low), float(high), len(scores))
    return found


def _numbers(trials: Sequence[CompletedTrial | ComparedTrial], name: str) -> list[float]:
    """A parameter's value in each trial; empty if any of them is no number, so that they have no order."""
    values = [trial.settings[name] for trial in trials]
    is_ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return [float(value) for value in values] if is_ordered else []


def _fanova(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution([one[name] for one in settings]) for name in settings[0]}
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(params=dict(one), distributions=distributions, value=score)
            for one, score in zip(settings, scores, strict=True)
        ]
    )
    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    return {name: float(share) for name, share in get_param_importances(study, evaluator=evaluator).items()}


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    return FloatDistribution(min(values), max(values), log=is_logarithmic(values))
