"""What does a random search find: all trials at a glance, the best of them, and which parameters matter (fANOVA)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from report import statistics
from report.compare.findings import Findings
from report.compare.matching import is_search, varying
from report.questions.question import Question
from report.read.load import CompletedRun, Grid
from report.render import blocks, wording
from report.render.blocks import Block, Card, Column, Figure, Table, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.charts.parallel import Trial, parallel_figure
from report.render.wording import Score
from report.statistics import Estimate, is_logarithmic
from sentiment.runs.records import GridPlan
from sentiment.runs.rungs import Rungs

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
class CompletedTrial:
    """One completed run of a random search."""

    trial: Trial
    """With its validation F1."""
    run: CompletedRun


@dataclass(frozen=True)
class Search:
    """What a random search found."""

    trials: list[CompletedTrial]
    compared: Sequence[Trial]
    """Those that parameters are judged by: the completed trials or, of a search in rungs, all of its first rung."""
    score: Score
    """What these are judged by."""
    importances: dict[str, Estimate]
    """By parameter, the most important first; empty where there are too few trials or all score the same."""

    @property
    def can_be_drawn(self) -> bool:
        """Whether there are trials that differ."""
        return bool(self.trials) and len(self.compared) > 1 and bool(self.compared[0].settings)

    @property
    def all_score_the_same(self) -> bool:
        """Whether no parameter makes a difference."""
        return len({trial.score for trial in self.compared}) == 1

    @property
    def best_sentence(self) -> str:
        """The best settings found, and how many trials stand behind them."""
        best, n = max(self.trials, key=lambda one: one.trial.score), len(self.trials)
        listed = [wording.setting(name, value) for name, value in best.trial.settings.items()] or ["it"]
        luck = f" (the highest of {n:,}, and so partly luck)" if n > 1 else ""
        return (
            f"Of {wording.plural(n, 'completed trial')} the best on validation tweets, with F1 "
            f"{wording.percent(best.trial.score)} %{luck}, has {wording.listing(listed)}; its test accuracy is "
            f"{wording.share(statistics.measured_accuracy(best.run.result.metrics['test']))}."
        )

    @property
    def importance_sentence(self) -> str:
        """What share each parameter has, and in which direction the score went with it: a description of the trials."""
        scores = [trial.score for trial in self.compared]
        listed = []
        for name, share in self.importances.items():
            remarks = [wording.percent_range(share.low or 0, share.high or 0)]
            if values := _numbers([trial.settings[name] for trial in self.compared]):
                order = wording.signed(statistics.rank_correlation(values, scores), 2)
                remarks.append(f"rank correlation {order}")
            shown = f"{wording.parameter_name(name)} {wording.percent(share.value)} %"
            listed.append(f"{shown} ({'; '.join(remarks)})")
        return (
            f"Shares of the variance of {self.score.name} between these {len(scores)} trials, with their middle 90 %: "
            f"{wording.listing(listed)}."
        )


def search(findings: Findings) -> Question:
    """A card for each grid of random trials."""
    cards: list[Card] = []
    tables: list[Block] = []
    has_importance = False
    for grid in findings.study.grids:
        if not is_search(grid):
            continue
        found = analyse_search(grid)
        cards.append(Card(f"What does the search {grid.name} find?", _blocks(grid, found)))
        if found.trials:
            tables.append(_best_table(grid, found.trials))
        has_importance |= bool(found.importances)
    return Question(cards, tables, [_METHOD] if has_importance else [])


def analyse_search(grid: Grid) -> Search:
    """Compare the completed trials of a search; where it goes in rungs, parameters are judged by its first one."""
    parameters = varying(grid.completed)
    index = {run.run_id: run.index for run in grid.plan.runs} if grid.plan else {}
    trials = []
    for number, run in enumerate(grid.completed):
        settings = {name: run.settings.get(name) for name in parameters}
        score = run.result.metrics["validation"].f1
        trials.append(CompletedTrial(Trial(index.get(run.run_id, number), settings, score), run))
    compared, judged = [one.trial for one in trials], Score("validation/f1")
    if grid.rungs and grid.rungs.rankings:
        compared = _of_first_rung(grid.rungs)
        judged = Score(grid.rungs.plan.metric, grid.rungs.rankings[0].epochs)
    found = Search(trials, compared, judged, {})
    if len(compared) < ENOUGH_TRIALS or not compared[0].settings or found.all_score_the_same:
        return found
    shares = importances([trial.settings for trial in compared], [trial.score for trial in compared])
    return Search(trials, compared, judged, shares)


def _of_first_rung(rungs: Rungs) -> list[Trial]:
    """The trials with a score at its end, by the parameters that the plan varies between them."""
    planned = {run.run_id: run for run in rungs.plan.runs}
    names = varying_parameters(rungs.plan)
    return [
        Trial(
            planned[trial.run_id].index,
            {name: planned[trial.run_id].parameters.get(name) for name in names},
            trial.value,
        )
        for trial in rungs.rankings[0].trials
        if trial.value is not None
    ]


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


def _numbers(values: Sequence[Any]) -> list[float]:
    """The values as numbers; empty if any of them is none, so that they have no order."""
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


def _blocks(grid: Grid, found: Search) -> list[Block]:
    if not found.can_be_drawn:
        number = wording.plural(len(found.trials), "trial")
        return [Text(f"{number} of {len(grid.runs):,} completed: too few to show.")]
    content: list[Block] = [Text(found.best_sentence), _parallel(grid, found)]
    n = len(found.compared)
    if n < ENOUGH_TRIALS:
        which = f"trials with a {found.score.name}" if grid.rungs else "completed trials"
        content.append(Text(f"Importance is not computed: {n} {which} are not enough, it takes {ENOUGH_TRIALS}."))
    elif found.all_score_the_same:
        content.append(Text("All trials score the same, so no parameter matters."))
    else:
        content += [Text(found.importance_sentence), _importance_figure(grid, found)]
    return content


def _parallel(grid: Grid, found: Search) -> Figure:
    caption = (
        f"Grid {grid.name}, n = {len(found.compared)} trials: one line a trial, from its settings to its "
        f"{found.score.name} (right), which also colours it; the best lie on top. Lines are spread a little, so that "
        "equal settings stay visible. Point at a line to single it out."
    )
    title = f"All trials of grid {grid.name}"
    return parallel_figure(f"parallel-{grid.name}", title, caption, found.compared, found.score)


def _importance_figure(grid: Grid, found: Search) -> Figure:
    caption = (
        f"Share of the variance of {found.score.name} that each parameter explains, alone or with others (fANOVA, "
        f"optuna; n = {len(found.compared)} trials). Bars: the middle 90 % over trials drawn anew with replacement."
    )
    lines = [Line(wording.parameter_name(name), share) for name, share in found.importances.items()]
    axis = ValueAxis("share of variance (%)")
    return interval_figure(f"importance-{grid.name}", "Importance of parameters", caption, lines, axis)


def _best_table(grid: Grid, trials: list[CompletedTrial]) -> Table:
    by_score = sorted(trials, key=lambda one: -one.trial.score)[:_BEST]
    rows = [
        {
            "rank": rank,
            "trial": one.trial.index,
            "validation_f1": one.trial.score,
            "test_accuracy": one.run.result.metrics["test"].accuracy,
            "overfits": "yes" if one.run.result.overfit.overfits else "no",
            **{name: wording.parameter_value(name, value) for name, value in one.trial.settings.items()},
        }
        for rank, one in enumerate(by_score, 1)
    ]
    columns = [
        blocks.count("#", "rank"),
        blocks.percent("Validation F1, %", "validation_f1"),
        blocks.percent("Test accuracy, %", "test_accuracy"),
        *setting_columns(trials[0].trial.settings),
        blocks.text("Overfits", "overfits"),
    ]
    caption = f"The {len(rows)} best of {len(trials)} trials of grid {grid.name}, by validation F1 (one seed each)."
    return Table(f"best-{grid.name}", caption, columns, rows, best=1)


def setting_columns(names: Iterable[str]) -> list[Column]:
    """A column for each of these settings, given their dotted names; rows hold their values in words."""
    return [Column(wording.capital(wording.parameter_name(name)), name, itemgetter(name)) for name in names]
