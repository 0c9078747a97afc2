"""All results of the analysis: recommendation, comparisons, and the page's data by tweet and by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from report.compare.answers import Answers, read_answers
from report.compare.datasets import Dataset, datasets_of
from report.compare.ranking import Recommended, recommend_for
from report.compare.test_sets import ExternalResult, compare_on_external_tests
from report.evaluated import CompletedRun, Reader
from report.read import Study, read_curve, read_texts
from sentiment.answers.table import AnswerTable
from sentiment.runs.run_dir import Results


@dataclass(frozen=True)
class Findings:
    """What the runs show.

    Attributes:
        recommendations: of each data set, that with the most test tweets first.
        answers: which test tweets each run and its baseline classify correctly.
        test, tweets: the test predictions of the first recommended run, and its `tweet_table`, if they can be read.
        curves: `packed_curves` of all completed runs, by run id.
    """

    study: Study
    recommendations: list[Recommended]
    answers: Answers
    test: AnswerTable | None
    tweets: pd.DataFrame | None
    external_results: list[ExternalResult]
    curves: dict[str, dict[str, list[float]]]

    @property
    def problems(self) -> list[str]:
        """Unreadable files, a line each; everything else is reported without them."""
        return list(dict.fromkeys(self.study.reader.problems))

    @property
    def datasets(self) -> list[Dataset]:
        """That with the most test tweets first."""
        return [recommended.dataset for recommended in self.recommendations]

    @property
    def recommended(self) -> Recommended | None:
        """The recommendation for the first data set, which the first screen tells."""
        return next(iter(self.recommendations), None)

    @property
    def main(self) -> Dataset | None:
        return self.recommended.dataset if self.recommended else None


def analyse(study: Study) -> Findings:
    """Read and compare everything that the sections report."""
    reader = study.reader
    by_run_id = {run.run_id: run for run in reversed(study.completed)}  # several grids may have the same run
    answers = read_answers(by_run_id.values(), reader)
    recommendations = [recommend_for(dataset, reader) for dataset in datasets_of(study.completed, answers, reader)]
    test = reader.read(recommendations[0].run.test_predictions) if recommendations else None
    return Findings(
        study=study,
        recommendations=recommendations,
        answers=answers,
        test=test,
        tweets=tweet_table(recommendations[0], test, reader.results) if test else None,
        external_results=compare_on_external_tests(recommendations, reader),
        curves=packed_curves(study.completed_runs, reader),
    )


def tweet_table(best: Recommended, test: AnswerTable, results: Results) -> pd.DataFrame | None:
    """One row per test tweet of the recommended run, the most confident predictions of its predictor first.

    Returns:
        `text`, `label` and `predicted` (indices of classes), `probability` (of the predicted class), `right`, and
        `share_right` (of the networks of all runs that were tested on the tweet). None where the texts cannot be read
        here.
    """
    texts = read_texts(test.tweets, best.run.corpora, results)
    if texts is None:
        return None
    answers = best.dataset.answers
    positions = answers.tweets.positions(test)
    n_right = np.zeros(len(test.tweets))
    n_runs = np.zeros(len(test.tweets))
    for run in answers.readable(best.dataset.runs):
        of_run = answers.by_run[run.run_id]
        n_right += of_run.right["network"][positions]
        n_runs += of_run.known[positions]
    predictor = test.of(best.model.kind)
    table = pd.DataFrame(
        {
            "text": texts,
            "label": test.labels,
            "predicted": predictor.predicted,
            "right": predictor.right(test.labels),
            "probability": predictor.probabilities.max(axis=1),
            "share_right": n_right / n_runs,  # the recommended run at least was tested on it
        }
    )
    return table.iloc[np.argsort(-table["probability"], kind="stable")]


_MAX_EPOCHS = 20


def packed_curves(runs: Sequence[CompletedRun], reader: Reader) -> dict[str, dict[str, list[float]]]:
    """Learning curves by run id, rounded and thinned to what can be seen."""
    curves = reader.read_each(runs, read_curve)
    packed: dict[str, dict[str, list[float]]] = {}
    for run_id, curve in curves.items():
        last = len(curve) - 1
        kept = sorted({round(step * last / (_MAX_EPOCHS - 1)) for step in range(_MAX_EPOCHS)})
        rows = [curve[index] for index in kept]
        packed[run_id] = {"epoch": [row.epoch for row in rows]}
        for part in ("train", "validation"):
            for metric in ("loss", "accuracy"):
                values = [getattr(row.metrics[part], metric) for row in rows]
                packed[run_id][f"{part}_{metric}"] = [round(value, 4) for value in values]
    return packed
