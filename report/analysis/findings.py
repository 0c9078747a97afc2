"""All that the sections say, computed from the run directories before any section is written."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from report.analysis.comparison.advice import Advice, advise
from report.analysis.comparison.answers import Answers, compared, spread_between
from report.analysis.comparison.datasets import Configuration, Dataset, best_of, datasets_of
from report.analysis.comparison.exploring import TweetAnswers, packed_curves, tweet_answers
from report.analysis.comparison.mistakes import Mistakes, group_mistakes
from report.analysis.grids import GridFindings, analyse_grid
from report.analysis.measures.common_tweets import Matcher
from report.analysis.measures.folds import with_folds_pooled
from report.analysis.measures.tweet_metrics import has_negation
from report.analysis.questions.own_elmo import OwnElmoGain, own_elmo_gains
from report.analysis.search.budgets import BudgetComparison, compare_budgets
from report.read.curves import LearningCurve, read_curve
from report.read.load import CompletedRun, Study, read_each
from report.read.model import read_baseline, read_card
from report.read.predictions import AttentionSample, Scores, read_attention, read_scores
from report.read.tweets import Tweets, read_counts, read_tweets
from report.statistics import Difference
from sentiment.console import Progress, silent
from sentiment.pretrained_runs import OwnModel, read_own_models
from sentiment.run_dir import Results

_COMPARING = "comparing runs"


@dataclass(frozen=True)
class BestRun:
    """The run that the answer names."""

    configuration: Configuration
    curve: LearningCurve | None
    scores: Scores | None
    """Of the test part."""
    tweets: Tweets | None
    """Those of the scores; None where their corpus is not on this machine."""
    mistakes: Mistakes | None
    """What it has wrong; None without tweets."""
    card: str | None
    """Its model card; None of a combination."""
    negated: Difference | None
    """The configuration's accuracy less the baseline's on test tweets with a negating word; None without two such,
    or if these tweets can't be matched."""

    @property
    def run(self) -> CompletedRun:
        """The configuration's best seed."""
        return self.configuration.chosen


@dataclass(frozen=True)
class AttentionFindings:
    """The best configuration with self-attention, and what it looks at."""

    configuration: Configuration
    samples: list[AttentionSample]


@dataclass(frozen=True)
class ElmoGain:
    """The best configuration with ELMo against the best one without, both by validation tweets."""

    with_elmo: Configuration
    without: Configuration
    gap: Difference | None
    """Accuracy with ELMo less that without; None if predictions can't be read, or the tweets can't be matched."""


@dataclass(frozen=True)
class Findings:
    """What the runs show."""

    study: Study
    datasets: list[Dataset]
    """The one with most runs first: it is the one that the answer is about."""
    grids: list[GridFindings]
    budgets: list[BudgetComparison]
    """What the epochs of searches buy, for each set of tweets that any was trained on."""
    advice: Advice | None
    """Which model to use; None while no run with readable predictions is completed."""
    best: BestRun | None
    attention: AttentionFindings | None
    elmo_gain: ElmoGain | None
    answers: TweetAnswers | None
    """Which test tweets each run of the first data set has right."""
    learned: dict[str, dict[str, list[float]]]
    """Learning curves by run id, for the page."""
    counts: dict[str, dict[str, Any] | None]
    """By the fingerprint of a corpus, how many tweets it kept and dropped; None where it is not on this machine."""
    problems: list[str]
    """What could not be read, by name; everything else is reported without it."""
    own_models: list[OwnModel]
    """Language models that were trained here."""
    own_gains: list[OwnElmoGain]
    """What these are worth, for each grid and number of labels."""

    @property
    def main(self) -> Dataset | None:
        """The data set that the answer is about; None while no run is completed."""
        return self.datasets[0] if self.datasets else None


def analyse(study: Study, progress: Progress = silent) -> Findings:
    """Read and compare everything that the sections report.

    Args:
        progress: told how many grids are compared, after the single runs.
    """
    study = with_folds_pooled(study)
    completed, steps = study.completed, len(study.grids) + 1
    progress(_COMPARING, 0, steps)
    datasets, grids = datasets_of(completed, study.results), []
    by_run = {run_id: one for dataset in datasets for run_id, one in dataset.answers.by_run.items()}
    answers = Answers(by_run, Matcher(study.results))
    for number, grid in enumerate(study.grids, start=1):
        progress(_COMPARING, number, steps)
        grids.append(analyse_grid(grid, answers, study.results))
    main = datasets[0] if datasets else None
    advice = advise(main) if main else None
    best, of_best = _best_run(main, study.results) if main else (None, [])
    attention, of_attention = _attention(main) if main else (None, [])
    corpora = {run.completed.record.data_fingerprint: run.completed for run in study.runs if run.completed}
    own_models, of_models = read_own_models(study.results)
    parts: Iterable[Dataset | GridFindings] = (*datasets, *grids)
    found = [*study.problems, *(problem for part in parts for problem in part.problems)]
    found += [*of_best, *of_attention, *of_models]
    return Findings(
        study=study,
        datasets=datasets,
        grids=grids,
        budgets=compare_budgets([(one.grid, one.halving) for one in grids]),
        advice=advice,
        best=best,
        attention=attention,
        elmo_gain=_elmo_gain(main, advice) if main and advice else None,
        answers=tweet_answers(main, study.results) if main else None,
        learned=packed_curves(completed),
        counts={name: read_counts(run, study.results) for name, run in corpora.items()},
        problems=list(dict.fromkeys(found)),
        own_models=own_models,
        own_gains=own_elmo_gains(study.grids, answers),
    )


def _best_run(dataset: Dataset, results: Results) -> tuple[BestRun | None, list[str]]:
    if dataset.best is None:
        return None, []
    run = dataset.best.chosen
    trained = [run] if run.config.combination is None else []  # a combination has no epochs
    curves, of_curve = read_each(trained, read_curve)
    found, of_scores = read_each([run], lambda run: read_scores(run, "test"))
    scores = found.get(run.run_id)
    tweets = read_tweets(scores, results) if scores else None
    texts = [str(text) for text in tweets.texts] if tweets else []
    mistakes = group_mistakes(dataset, scores, texts, results) if scores and tweets else None
    cards, of_card = read_each([run], read_card)
    negated = _negated(dataset, dataset.best, texts)
    best = BestRun(dataset.best, curves.get(run.run_id), scores, tweets, mistakes, cards.get(run.run_id), negated)
    return best, [*of_curve, *of_scores, *of_card]


def _negated(dataset: Dataset, best: Configuration, texts: list[str]) -> Difference | None:
    """Where order matters most.

    Args:
        texts: of the test tweets of the configuration's chosen run.
    """
    chosen = [best.chosen, *(run for run in best.runs if run is not best.chosen)]
    pair = dataset.answers.with_baseline(chosen, spread_between(one.runs for one in dataset.configurations))
    negated = np.array([has_negation(text) for text in texts], bool)
    if pair is None or negated.sum() < 2 or len(pair[0].by_tweet) != len(negated):
        return None
    sides = [replace(side, configurations=[one[:, negated] for one in side.configurations]) for side in pair[:2]]
    return compared([(sides[0], sides[1], pair[2])])[0]


def _attention(dataset: Dataset) -> tuple[AttentionFindings | None, list[str]]:
    best = next((one for one in dataset.configurations if one.config.model.pooling == "attention"), None)
    if best is None:
        return None, []
    run = best.chosen
    samples, problems = read_each([run], read_attention)
    baselines, of_baseline = read_each([run], read_baseline)
    found, baseline = samples.get(run.run_id, []), baselines.get(run.run_id)
    if baseline:
        found = [replace(one, baseline=baseline.explain(one.tokens)) for one in found]
    return AttentionFindings(best, found), [*problems, *of_baseline]


def _elmo_gain(dataset: Dataset, advice: Advice) -> ElmoGain | None:
    """One of the two is the recommended configuration, and the other one of its rivals."""
    with_elmo, without = (
        best_of(one for one in dataset.configurations if bool(one.config.elmo) == has_elmo)
        for has_elmo in (True, False)
    )
    if with_elmo is None or without is None:
        return None
    other = without if with_elmo is advice.configuration else with_elmo
    gap = next((rival.gap for rival in advice.rivals if rival.configuration is other), None)
    return ElmoGain(with_elmo, without, gap.reversed if gap and other is with_elmo else gap)
