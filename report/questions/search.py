"""What a search finds: all trials at a glance, the best, which parameters matter (fANOVA); what its rungs save."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from report.compare.cost import usage_of
from report.compare.datasets import by_data
from report.compare.findings import Findings
from report.compare.matching import differing, is_search, unused, varying
from report.evaluated import EvaluatedRun, as_setting
from report.read import Grid, Run
from report.render import wording
from report.render.blocks import Block, Card, Question
from report.render.charts import (
    MOST_AXES,
    Figure,
    IntervalRow,
    Trial,
    ValueAxis,
    are_numbers,
    interval_figure,
    is_logarithmic,
    parallel_figure,
)
from report.render.wording import Score
from sentiment.blocks.content import Bullets, Text
from sentiment.blocks.wording import listing
from sentiment.console import plural
from sentiment.errors import RunDirError
from sentiment.runs.halving import HalvingSearch, RungRanking
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate

# With fewer trials, importances (fANOVA) say more about chance than about the parameters.
ENOUGH_TRIALS = 30
_EQUAL_SCORES = "All trials, or nearly all, have the same score, so importances are undefined."
_RESAMPLES = 20
_BOOTSTRAP_QUANTILES = (0.05, 0.95)
_TREES = 24
_TREES_OF_A_RESAMPLE = 8  # the spread between resamples is that of trials rather than of trees


@dataclass(frozen=True)
class SearchTrials:
    """The trials of a search that are compared: the completed ones or, of a search in rungs, all of its first rung."""

    trials: Sequence[Trial]
    score: Score

    @property
    def reason_against_importance(self) -> str:
        """Why no importances are shown; empty if they are."""
        if len(self.trials) < ENOUGH_TRIALS:
            there = f"there are {len(self.trials)}"
            return f"Importances need at least {ENOUGH_TRIALS} trials with a {self.score.name}; {there}."
        return _EQUAL_SCORES if len({trial.score for trial in self.trials}) == 1 else ""


def search(findings: Findings) -> Question:
    """A card for each search, and each data set of its trials; a search in rungs ranks all of them."""
    cards = []
    for grid in findings.study.grids:
        if not is_search(grid):
            continue
        for number, (data, on_data) in enumerate([("", grid)] if grid.rungs else by_data(grid)):
            trials = trials_for_importance(on_data)
            content = _card_content(on_data, trials, f"{grid.name}{f'-{number}' if number else ''}")
            content += _halving(grid)
            cards.append(Card(f"What does the search {grid.name} find?{data}", content))
    return Question(cards)


def trials_for_importance(grid: Grid) -> SearchTrials:
    """The trials of a search that are compared with each other, with their scores."""
    if grid.rungs and grid.rungs.rankings:
        score = Score(grid.rungs.plan.metric, grid.rungs.rankings[0].epochs)
        return SearchTrials(_trials_of_first_rung(grid.rungs), score)
    index = {run.run_id: run.index for run in grid.plan.runs} if grid.plan else {}
    names = varying(grid.completed)
    trials = []
    for position, run in enumerate(grid.completed):
        prefixes = unused(run)
        settings = {name: None if name.startswith(prefixes) else run.settings.get(name) for name in names}
        trials.append(Trial(index.get(run.run_id, position), settings, _macro_f1(run)))
    return SearchTrials(trials, Score("validation/macro_f1"))


def _macro_f1(run: EvaluatedRun) -> float:
    return run.score("validation", "macro_f1")


def _trials_of_first_rung(rungs: HalvingSearch) -> list[Trial]:
    """Those that have a score, with the settings in which these differ."""
    planned = {run.run_id: run for run in rungs.plan.runs}
    scores = {ranked.run_id: ranked.value for ranked in rungs.rankings[0].trials if ranked.value is not None}
    varied = differing([planned[run_id].parameters for run_id in scores])
    trials = []
    for run_id, score in scores.items():
        run = planned[run_id]
        settings = {name: as_setting(run.parameters.get(name)) for name in varied}
        trials.append(Trial(run.index, settings, score))
    return trials


def _card_content(grid: Grid, search: SearchTrials, name: str) -> list[Block]:
    """What trials on one data set say; the names of figures end with `name`."""
    if not grid.completed or len(search.trials) < 2:
        completed = f"{len(grid.completed):,} of {len(grid.runs):,}"
        return [Text(f"Too few trials are completed to compare them: {completed}.")]
    if not search.trials[0].settings:
        return [Text("The trials differ in no setting, so there is nothing to compare.")]
    varied = len(search.trials[0].settings)
    caption = (
        f"Parallel coordinates of n = {len(search.trials)} trials: a line for each, from its settings to its "
        f"{search.score.name}, which is also its colour; the best are on top."
    )
    if varied > MOST_AXES:
        caption += f" Of the {varied} settings that vary the first {MOST_AXES} are drawn."
    title = f"All trials of grid {grid.name}"
    lines = parallel_figure(f"parallel-{name}", title, caption, search.trials, search.score)
    reason = search.reason_against_importance
    return [Text(_best_sentence(grid)), lines, Text(reason) if reason else _importance(search, name)]


def _best_sentence(grid: Grid) -> str:
    best = max(grid.completed, key=_macro_f1)
    names = [name for name in varying(grid.completed) if not name.startswith(unused(best))]
    settings = [wording.setting(name, best.settings.get(name)) for name in names]
    n = len(grid.completed)
    optimistic = " (optimistic: it is the maximum of several)" if n > 1 else ""
    test = f"a test {grid.metric_name} of {words.percent(best.score('test', grid.metric))} %"
    n_test = best.test_metrics["network"].n
    return (
        f"Best of {plural(n, 'trial')} on validation tweets: {listing(settings or [f'run {best.run_id}'])}, with macro "
        f"F1 {words.percent(_macro_f1(best))} %{optimistic} and {test} (n = {n_test:,} test tweets)."
    )


def importances(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, Estimate]:
    """Share of the variance of `scores` that each parameter explains (fANOVA, Hutter et al. 2014), largest first.

    The bounds are a 90 % bootstrap percentile interval over trials. Empty if the scores of nearly all trials are equal.
    """
    shares = _fanova(settings, scores, _TREES)
    n = len(scores)
    resampled = []
    for trials in np.random.default_rng(0).integers(n, size=(_RESAMPLES, n)):
        drawn = [settings[trial] for trial in trials], [scores[trial] for trial in trials]
        resampled.append(_fanova(*drawn, _TREES_OF_A_RESAMPLE))
    estimates = {}
    for name in sorted(shares, key=lambda name: -shares[name]):
        values = [resampled_shares.get(name, 0.0) for resampled_shares in resampled]
        low, high = np.quantile(values, _BOOTSTRAP_QUANTILES).tolist()
        estimates[name] = Estimate(shares[name], low, high, n)
    return estimates


def _fanova(settings: Sequence[dict[str, Any]], scores: Sequence[float], trees: int) -> dict[str, float]:
    """The share of each parameter; none if no tree finds any variance, since nearly all scores are equal."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution([trial[name] for trial in settings]) for name in settings[0]}
    study = optuna.create_study(direction="maximize")
    for parameters, score in zip(settings, scores, strict=True):
        params = dict(parameters)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=score))
    evaluator = FanovaImportanceEvaluator(n_trees=trees, seed=0)
    try:
        shares = get_param_importances(study, evaluator=evaluator)
    except RuntimeError:  # zero total variance in all trees
        return {}
    return {name: float(share) for name, share in shares.items()}


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not are_numbers(values):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    return FloatDistribution(min(values), max(values), log=is_logarithmic(values))


def _importance(search: SearchTrials, figure: str) -> Figure | Text:
    shares = importances([trial.settings for trial in search.trials], [trial.score for trial in search.trials])
    if not shares:
        return Text(_EQUAL_SCORES)
    caption = (
        f"Share of the variance of {search.score.name} that each parameter explains (fANOVA, n = {len(search.trials)} "
        "trials), with 90 % bootstrap intervals over trials."
    )
    lines: list[IntervalRow] = [(wording.parameter_name(name), share, "blue") for name, share in shares.items()]
    axis = ValueAxis("share of variance (%)")
    return interval_figure(f"importance-{figure}", "Importance of parameters", caption, lines, axis)


def _halving(grid: Grid) -> list[Block]:
    """What successive halving saved, and which trials its rungs promoted; nothing without rungs, or before a run."""
    planned = [run for run in grid.runs if run.planned]
    max_epochs = max(map(_max_epochs, planned), default=0)
    if not grid.rungs or not max_epochs:
        return []
    return [Bullets(_saved_and_promoted(grid.rungs, planned, max_epochs))]


def _epochs(run: Run) -> int:
    """How many epochs it was trained; none where the log is missing or damaged, as the state of the run says."""
    with suppress(RunDirError):
        return len(run.run_dir.read_epochs()[0])
    return 0


def _max_epochs(run: Run) -> int:
    with suppress(RunDirError):
        return run.run_dir.read_config().training.epochs
    return 0


def _saved_and_promoted(rungs: HalvingSearch, planned: list[Run], max_epochs: int) -> list[str]:
    epochs = sum(map(_epochs, planned))
    usage = usage_of(planned)
    all_epochs = max_epochs * len(planned)
    saved = (
        f"{epochs:,} epochs were trained, {words.percent(epochs / all_epochs)} % of the {all_epochs:,} that "
        f"{len(planned):,} full trials would need (an upper bound, because of early stopping), in "
        f"{usage.total().in_words}"
    )
    if epochs:
        saved += f"; without pruning about {usage.total(all_epochs / epochs).in_words}"
    sentences = [f"{saved}.", *(promotion(ranking, Score(rungs.plan.metric)) for ranking in rungs.rankings)]
    if rungs.current < rungs.last:
        sentences.append(f"The rung that ends after epoch {rungs.epochs(rungs.current)} is not ranked yet.")
    if rungs.rankings:
        sentences.append("Halving may prune slow starters that would have ended well.")
    return sentences


def promotion(ranking: RungRanking, score: Score) -> str:
    """How many trials a rung has promoted, and what decided between equal ones."""
    best = f"the best {ranking.promoted:,} of {plural(len(ranking.trials), 'trial')}"
    remarks = ""
    if ranking.tied_at_cut:
        tied = f"{ranking.tied_at_cut:,} trials, some promoted and some pruned, had the same {score.name}"
        remarks += f"; {tied}: validation loss, then the order of the plan, decided between them"
    failed = sum(trial.value is None for trial in ranking.trials)
    if failed:
        remarks += f"; {failed:,} without a score ranked last"
    return f"After epoch {ranking.epochs} the search promoted {best}{remarks}."
