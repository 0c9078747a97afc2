"""What all questions and sections are written from: runs, what they answer to each tweet, and the recommendation."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from report.compare.advice import Advice, advise
from report.compare.answers import Answers, Matcher, compared, spread_between
from report.compare.datasets import Configuration, Dataset, datasets_of, has_negation
from report.compare.elsewhere import OnTestSet, on_test_sets
from report.compare.folds import with_folds_pooled
from report.compare.mistakes import Mistakes, group_mistakes
from report.compare.page_data import TweetAnswers, packed_curves, tweet_answers
from report.read.load import CompletedRun, LearningCurve, Study, read_curve, read_each
from report.read.model import read_card
from report.read.predictions import Scores, Tweets, read_counts, read_scores, read_tweets
from report.statistics import Difference
from sentiment.console import Progress, silent
from sentiment.runs.run_dir import Results


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
    """Its model card; None if it cannot be read."""
    negated: Difference | None
    """The configuration's accuracy less the baseline's on test tweets with a negating word; None without two such,
    or if these tweets can't be matched."""

    @property
    def run(self) -> CompletedRun:
        """The configuration's best seed."""
        return self.configuration.chosen


@dataclass(frozen=True)
class Findings:
    """What the runs show."""

    study: Study
    datasets: list[Dataset]
    """The one with most runs first: it is the one that the answer is about."""
    answers: Answers
    """What all runs and their baselines answer to each test tweet."""
    advice: Advice | None
    """Which model to use; None while no run with readable predictions is completed."""
    elsewhere: list[OnTestSet]
    """How the models do on other people's tweets."""
    best: BestRun | None
    packed: TweetAnswers | None
    """Which test tweets each run of the first data set has right."""
    learned: dict[str, dict[str, list[float]]]
    """Learning curves by run id, for the page."""
    counts: dict[str, dict[str, Any] | None]
    """By the fingerprint of a corpus, how many tweets it kept and dropped; None where it is not on this machine."""
    problems: list[str]
    """What could not be read, by name; everything else is reported without it."""

    @property
    def main(self) -> Dataset | None:
        """The data set that the answer is about; None while no run is completed."""
        return self.datasets[0] if self.datasets else None


def analyse(study: Study, progress: Progress = silent) -> Findings:
    """Read and compare everything that the sections report.

    Args:
        progress: told that runs are compared.
    """
    study = with_folds_pooled(study)
    completed = study.completed
    progress("comparing runs", 0, None)
    datasets = datasets_of(completed, study.results)
    by_run = {run_id: one for dataset in datasets for run_id, one in dataset.answers.by_run.items()}
    answers = Answers(by_run, Matcher(study.results))
    main = datasets[0] if datasets else None
    advice = advise(main) if main else None
    elsewhere, of_elsewhere = on_test_sets(datasets)
    best, of_best = _best_run(main, study.results) if main else (None, [])
    corpora = {run.completed.record.data_fingerprint: run.completed for run in study.runs if run.completed}
    found = [*study.problems, *(problem for one in datasets for problem in one.problems), *of_elsewhere, *of_best]
    return Findings(
        study=study,
        datasets=datasets,
        answers=answers,
        advice=advice,
        elsewhere=elsewhere,
        best=best,
        packed=tweet_answers(main, study.results) if main else None,
        learned=packed_curves(completed),
        counts={name: read_counts(run, study.results) for name, run in corpora.items()},
        problems=list(dict.fromkeys(found)),
    )


def _best_run(dataset: Dataset, results: Results) -> tuple[BestRun | None, list[str]]:
    if dataset.best is None:
        return None, []
    run = dataset.best.chosen
    curves, of_curve = read_each([run], read_curve)
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
