"""All results of the analysis: recommendation, comparisons, and the page's data by tweet and by epoch."""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from report.compare.advice import Recommended, recommend
from report.compare.answers import Answers, read_answers
from report.compare.datasets import Dataset, datasets_of
from report.compare.hypotheses import Verdict, judge
from report.compare.test_sets import ExternalResult, compare_on_external_tests
from report.evaluated import CompletedRun, Reader
from report.read import Study, read_counts, read_curve, read_texts
from sentiment.console import unescaped
from sentiment.runs.corpus_records import CorpusReport
from sentiment.runs.predictions import PartPredictions
from sentiment.runs.run_dir import Results
from sentiment.statistics.metrics import Flags


@dataclass(frozen=True)
class BestRun:
    """Test predictions and `tweet_table` of the recommended run, each None where it cannot be read."""

    test: PartPredictions | None = None
    tweets: pd.DataFrame | None = None


@dataclass(frozen=True)
class Findings:
    """What the runs show.

    Attributes:
        recommendations: of each data set, the largest first.
        answers: which test tweets each run and its baseline classify correctly.
        tweet_answers: `pack_answers` of the first data set.
        curves: `packed_curves` of all runs; each fold of a cross-validation has its own.
        counts: `read_counts` by the fingerprint of a corpus.
        verdicts: on the hypotheses that the grids stated.
    """

    study: Study
    recommendations: list[Recommended]
    answers: Answers
    best: BestRun
    external_results: list[ExternalResult]
    tweet_answers: dict[str, Any] | None
    curves: dict[str, dict[str, list[float]]]
    counts: dict[str, CorpusReport | None]
    verdicts: list[Verdict]

    @property
    def problems(self) -> list[str]:
        """Unreadable files, a line each; everything else is reported without them."""
        return list(dict.fromkeys(self.study.reader.problems))

    @property
    def datasets(self) -> list[Dataset]:
        """The largest first."""
        return [recommended.dataset for recommended in self.recommendations]

    @property
    def recommended(self) -> Recommended | None:
        """The recommendation for the largest data set, which the first screen tells."""
        return next(iter(self.recommendations), None)

    @property
    def main(self) -> Dataset | None:
        return self.recommended.dataset if self.recommended else None


def analyse(study: Study) -> Findings:
    """Read and compare everything that the sections report."""
    reader = study.reader
    by_run_id = {run.run_id: run for run in reversed(study.completed)}  # several grids may have the same run
    answers = read_answers(by_run_id.values(), reader)
    recommendations = [recommend(dataset) for dataset in datasets_of(study.completed, answers, reader)]
    external_results = compare_on_external_tests(recommendations, reader)
    best = BestRun()
    tweet_answers = None
    if recommendations:
        best = _best_run(recommendations[0], reader)
        tweet_answers = pack_answers(recommendations[0].dataset, study.results)
    corpora = {run.record.data_fingerprint: run for run in study.completed_runs}
    counts = reader.read_each(corpora.values(), lambda run: read_counts(run, study.results))
    return Findings(
        study=study,
        recommendations=recommendations,
        answers=answers,
        best=best,
        external_results=external_results,
        tweet_answers=tweet_answers,
        curves=packed_curves(study.completed_runs, reader),
        counts={fingerprint: counts.get(run.run_id) for fingerprint, run in corpora.items()},
        verdicts=judge(study, answers),
    )


def _best_run(recommended: Recommended, reader: Reader) -> BestRun:
    run = recommended.run
    test = reader.read(run.test_predictions)
    return BestRun(test, tweet_table(recommended, test, reader.results) if test else None)


# The fewest runs, tested on a tweet, whose common mistake suggests that its label is wrong.
_ENOUGH_RUNS = 4
# Runs disagree on a tweet if the share of them that is right lies between this value and its complement.
_DISPUTED = 0.35
# Groups of mistakes: labels that may be wrong; irony, or two feelings at once; the rest.
ALL_WRONG = "wrong in all runs"
DISPUTED = "disputed between runs"
OTHER = "other"


def tweet_table(best: Recommended, test: PartPredictions, results: Results) -> pd.DataFrame | None:
    """One row per test tweet of the recommended run, the most confident predictions of its predictor first.

    Returns:
        `text`, `label` and `predicted` (indices of classes), `probability` (of the predicted class), `right`,
        `share_right` (of the networks of all runs that were tested on the tweet), and `group` (the first matching group
        of mistakes). None where the texts cannot be read here.
    """
    texts = read_texts(test.tweets, best.run.corpora, results)
    if texts is None:
        return None
    answers = best.dataset.answers
    positions = answers.tweets.positions(test)
    n_right = np.zeros(len(test.tweets))
    n_runs = np.zeros(len(test.tweets))
    for of_run in answers.by_run.values():
        n_right += of_run.first[positions]
        n_runs += of_run.known[positions]
    share = n_right / n_runs  # the recommended run at least was tested on it
    is_disputed = (share >= _DISPUTED) & (share <= 1 - _DISPUTED)
    all_wrong = (share == 0) & (n_runs >= _ENOUGH_RUNS)
    predictor = test.of(best.recommended_model)
    table = pd.DataFrame(
        {
            "text": texts,
            "label": test.labels,
            "predicted": predictor.predicted,
            "right": predictor.right(test.labels),
            "probability": predictor.probabilities.max(axis=1),
            "share_right": share,
            "group": np.select([all_wrong, is_disputed], [ALL_WRONG, DISPUTED], OTHER),
        }
    )
    return table.iloc[np.argsort(-table["probability"], kind="stable")]


# The most correctness bits in the page: 300 kB, and 400 kB as text, so that a page of 1,000 runs stays below 5 MB.
_MAX_BITS = 2_500_000
_MAX_TEXTS = 2_000
_MAX_TEXT_LENGTH = 280
_MAX_EPOCHS = 40


def pack_answers(dataset: Dataset, results: Results) -> dict[str, Any] | None:
    """The correctness of all runs and added predictors on the test tweets of a data set, or on a sample of them.

    Returns:
        None if no run's predictions can be read; else, of which the last four are deflated and in base64:

        - `ids`: of the runs and added predictors
        - `n`, `of`: the numbers of tweets in the sample, and of all
        - `right`, `known`: bits by run and tweet; `known` is whether the run was tested on it
        - `labels`: a byte for each tweet
        - `texts`: by position in the sample, of the tweets that runs disagree most about
    """
    if not dataset.answers.by_run:
        return None
    answers = dataset.answers.including(dataset.added)
    by_run = answers.by_run.values()
    tested = np.flatnonzero(np.logical_or.reduce([of_run.known for of_run in by_run]))
    sample = _sample(tested, max(_MAX_BITS // len(by_run), 1))
    right = np.stack([of_run.first[sample] for of_run in by_run])
    known = np.stack([of_run.known[sample] for of_run in by_run])
    corpora = [corpus for run in dataset.runs for corpus in run.corpora]
    texts = _disputed_texts(answers.tweets.tweets[sample], right, corpora, results)
    packed = {
        "right": np.packbits(right, axis=1).tobytes(),
        "known": np.packbits(known, axis=1).tobytes(),
        "labels": answers.tweets.labels[sample].astype(np.uint8).tobytes(),
        "texts": json.dumps(texts, ensure_ascii=False).encode(),
    }
    deflated = {name: base64.b64encode(zlib.compress(content, 9)).decode() for name, content in packed.items()}
    return {"ids": list(answers.by_run), "n": len(sample), "of": len(tested)} | deflated


def _sample(positions: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    if len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(0).choice(positions, most, replace=False))


def _disputed_texts(
    tweets: npt.NDArray[np.int64], right: Flags, corpora: Sequence[str], results: Results
) -> dict[int, str]:
    share = right.mean(axis=0)
    disputed = np.sort(np.argsort(-share * (1 - share), kind="stable")[:_MAX_TEXTS])
    texts = read_texts(tweets[disputed], corpora, results)
    if texts is None:
        return {}
    by_position = zip(disputed, texts, strict=True)
    return {int(position): unescaped(text)[:_MAX_TEXT_LENGTH] for position, text in by_position if text}


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
