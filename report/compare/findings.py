"""What all questions and sections are written from: runs, what they answer to each tweet, and the recommendation."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from report.compare.advice import Recommended, recommend
from report.compare.datasets import Answers, Dataset, Matcher, datasets_of
from report.compare.elsewhere import OnTestSet, on_test_sets
from report.compare.matching import with_folds_pooled
from report.compare.tweets import packed_curves, tweet_answers, tweet_table
from report.read import Scores, Study, read_counts, read_curve, read_each, read_scores, read_tweets
from sentiment.runs.run_dir import Results


@dataclass(frozen=True)
class BestRun:
    """Files of the run that is recommended, each None where it cannot be read.

    Attributes:
        scores: of the test part.
        tweets: as `tweet_table` gives them; None where their corpus is not on this machine.
    """

    curve: list[dict[str, Any]] | None
    scores: Scores | None
    tweets: pd.DataFrame | None


@dataclass(frozen=True)
class Findings:
    """What the runs show.

    Attributes:
        datasets: the one with most runs first: it is the one that the answer is about.
        answers: what all runs and their baselines answer to each test tweet.
        best: what the recommended run says of single tweets; None without a recommendation.
        elsewhere: how the models do on other people's tweets.
        packed: which test tweets each run of the first data set has right, as `tweet_answers` packs it.
        learned: learning curves by run id, for the page.
        counts: by the fingerprint of a corpus, how many tweets it kept and dropped; None where it is not here.
        problems: what could not be read, by name; everything else is reported without it.
    """

    study: Study
    datasets: list[Dataset]
    answers: Answers
    recommended: Recommended | None
    best: BestRun | None
    elsewhere: list[OnTestSet]
    packed: dict[str, Any] | None
    learned: dict[str, dict[str, list[float]]]
    counts: dict[str, dict[str, Any] | None]
    problems: list[str]

    @property
    def main(self) -> Dataset | None:
        """The data set that the answer is about; None while no run is completed."""
        return self.datasets[0] if self.datasets else None


def analyse(study: Study) -> Findings:
    """Read and compare everything that the sections report."""
    study = with_folds_pooled(study)
    datasets = datasets_of(study.completed, study.results)
    by_run = {run_id: one for dataset in datasets for run_id, one in dataset.answers.by_run.items()}
    recommended = [recommend(one) for one in datasets]
    elsewhere, of_elsewhere = on_test_sets(datasets, recommended)
    first = recommended[0] if recommended else None
    best, of_best = _best_run(datasets[0], first, study.results) if first else (None, [])
    corpora = {run.completed.record.data_fingerprint: run.completed for run in study.runs if run.completed}
    found = [*study.problems, *(problem for one in datasets for problem in one.problems), *of_elsewhere, *of_best]
    return Findings(
        study=study,
        datasets=datasets,
        answers=Answers(by_run, Matcher(study.results)),
        recommended=first,
        best=best,
        elsewhere=elsewhere,
        packed=tweet_answers(datasets[0], study.results) if datasets else None,
        learned=packed_curves(study.completed),
        counts={name: read_counts(run, study.results) for name, run in corpora.items()},
        problems=list(dict.fromkeys(found)),
    )


def _best_run(dataset: Dataset, recommended: Recommended, results: Results) -> tuple[BestRun, list[str]]:
    run = recommended.run
    curves, of_curve = read_each([run], read_curve)
    found, of_scores = read_each([run], lambda run: read_scores(run, "test"))
    scores = found.get(run.run_id)
    tweets = read_tweets(scores.corpus, scores.rows, results) if scores else None
    table = None if scores is None or tweets is None else tweet_table(dataset, scores, tweets, results)
    return BestRun(curves.get(run.run_id), scores, table), [*of_curve, *of_scores]
