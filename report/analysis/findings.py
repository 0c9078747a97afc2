"""All that the sections say, computed from the run directories before any section is written."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from report.analysis.comparison.advice import Advice, advise
from report.analysis.comparison.datasets import Configuration, Dataset, datasets_of
from report.analysis.comparison.exploring import TweetAnswers, packed_curves, tweet_answers
from report.analysis.comparison.mistakes import Mistakes, group_mistakes
from report.analysis.grids import GridFindings, analyse_grid
from report.analysis.measures.common_tweets import Matcher
from report.analysis.measures.folds import with_folds_pooled
from report.analysis.questions.own_elmo import OwnElmoGain, own_elmo_gains
from report.analysis.search.budgets import BudgetComparison, compare_budgets
from report.read.curves import LearningCurve, read_curve
from report.read.load import CompletedRun, Study, read_each
from report.read.model import read_baseline, read_card
from report.read.predictions import AttentionSample, Scores, read_attention, read_scores
from report.read.tweets import Tweets, read_counts, read_tweets
from report.statistics import McNemar
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
    """The best run with ELMo against the best one without."""

    with_elmo: CompletedRun
    without: CompletedRun
    gap: McNemar | None
    """Accuracy with ELMo less that without, on the test tweets that both have; None if these cannot be matched."""


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
    datasets, grids = datasets_of(completed), []
    for number, grid in enumerate(study.grids, start=1):
        progress(_COMPARING, number, steps)
        grids.append(analyse_grid(grid, study.results))
    main = datasets[0] if datasets else None
    best, of_best = _best_run(main, study.results) if main else (None, [])
    attention, of_attention = _attention(main) if main else (None, [])
    corpora = {run.completed.record.data_fingerprint: run.completed for run in study.runs if run.completed}
    own_models, of_models = read_own_models(study.results)
    own_gains, of_gains = own_elmo_gains(study.grids)
    parts: Iterable[Dataset | GridFindings] = (*datasets, *grids)
    found = [*study.problems, *(problem for part in parts for problem in part.problems)]
    found += [*of_best, *of_attention, *of_models, *of_gains]
    return Findings(
        study=study,
        datasets=datasets,
        grids=grids,
        budgets=compare_budgets([(one.grid, one.halving) for one in grids]),
        advice=advise(main, study.results) if main else None,
        best=best,
        attention=attention,
        elmo_gain=_elmo_gain(main, study.results) if main else None,
        answers=tweet_answers(main, study.results) if main else None,
        learned=packed_curves(completed),
        counts={name: read_counts(run, study.results) for name, run in corpora.items()},
        problems=list(dict.fromkeys(found)),
        own_models=own_models,
        own_gains=own_gains,
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
    best = BestRun(dataset.best, curves.get(run.run_id), scores, tweets, mistakes, cards.get(run.run_id))
    return best, [*of_curve, *of_scores, *of_card]


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


def _elmo_gain(dataset: Dataset, results: Results) -> ElmoGain | None:
    usable = [one for one in dataset.configurations if not one.is_random]
    with_elmo = next((one.chosen for one in usable if one.config.elmo), None)
    without = next((one.chosen for one in usable if not one.config.elmo), None)
    if with_elmo is None or without is None:
        return None
    return ElmoGain(with_elmo, without, _gap(with_elmo, without, results))


def _gap(first: CompletedRun, second: CompletedRun, results: Results) -> McNemar | None:
    """None if predictions cannot be read (a problem that the data set names) or the tweets cannot be matched."""
    found, _ = read_each((first, second), lambda run: read_scores(run, "test"))
    of_first, of_second = found.get(first.run_id), found.get(second.run_id)
    common = Matcher(results).common(of_first, of_second) if of_first and of_second else None
    if not (of_first and of_second and common and common.n):
        return None
    return common.mcnemar(of_first.right(of_first.model), of_second.right(of_second.model))
