"""What all questions and sections are written from: runs, the recommendation, and each test tweet by itself: what the
recommended model has wrong, and what each run has right, packed for the page."""

import base64
import json
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import numpy as np
import pandas as pd

from report.compare.advice import Recommended, recommend
from report.compare.datasets import Answers, Dataset, Matcher, datasets_of
from report.compare.elsewhere import OnTestSet, on_test_sets
from report.compare.matching import with_folds_pooled
from report.read import CompletedRun, Scores, Study, read_counts, read_curve, read_each, read_scores, read_tweets
from report.statistics import Flags
from sentiment.runs.records import THRESHOLD
from sentiment.runs.run_dir import Results


@dataclass(frozen=True)
class BestRun:
    """Files of the recommended run, its scores of test tweets and `tweet_table`, each None where it cannot be read."""

    curve: list[dict[str, Any]] | None = None
    scores: Scores | None = None
    tweets: pd.DataFrame | None = None


@dataclass(frozen=True)
class Findings:
    """What the runs show.

    Attributes:
        datasets: the one with most runs first: it is the one that the answer is about.
        answers: what all runs and their baselines answer to each test tweet.
        packed, learned: for the page, of the first data set as of `tweet_answers`, and of all as of `packed_curves`.
        counts: `read_counts` by the fingerprint of a corpus.
        problems: what could not be read, by name; everything else is reported without it.
    """

    study: Study
    datasets: list[Dataset]
    answers: Answers
    recommended: Recommended | None
    best: BestRun
    elsewhere: list[OnTestSet]
    packed: dict[str, Any] | None
    learned: dict[str, dict[str, list[float]]]
    counts: dict[str, dict[str, Any] | None]
    problems: list[str]

    @property
    def main(self) -> Dataset | None:
        return self.datasets[0] if self.datasets else None


def analyse(study: Study) -> Findings:
    """Read and compare everything that the sections report."""
    study = with_folds_pooled(study)
    datasets = datasets_of(study.completed, study.results)
    by_run = {run_id: one for dataset in datasets for run_id, one in dataset.answers.by_run.items()}
    recommended = [recommend(one) for one in datasets]
    elsewhere, of_elsewhere = on_test_sets(datasets, recommended)
    first = next(iter(recommended), None)
    best, of_best = _best_run(datasets[0], first, study.results) if first else (BestRun(), [])
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
    table = tweet_table(dataset, scores, results) if scores else None
    return BestRun(curves.get(run.run_id), scores, table), [*of_curve, *of_scores]


# With fewer runs it means little that all of them are wrong.
_ENOUGH_RUNS = 4
# A share of runs from here to its complement counts as disagreement.
_DISPUTED = 0.35
# Negation as it is typed, with and without apostrophe.
_NEGATION = re.compile(
    r"\b(no|not|nor|never|none|nobody|nothing|nowhere|neither|without|cannot|\w+n['\u2019]t|(?:ca|wo|do|is|did|does|was|could|"
    r"would|should|have|has|are|were)nt)\b",
    re.IGNORECASE,
)
# Groups of mistakes: labels that may be wrong; irony, or two feelings at once; negation; the rest.
ALL_WRONG, DISPUTED, NEGATED, OTHER = "wrong in all runs", "disputed between runs", "with a negating word", "other"


def tweet_table(dataset: Dataset, scores: Scores, results: Results) -> pd.DataFrame | None:
    """A row for each test tweet of a run, those that it is most sure of first.

    Returns:
        `text`, `label` (1 for positive), `network` and `baseline` (probabilities of positive), `right` (the network),
        `share_right` (of all runs that were tested on it; NaN where none was), and `group`, for mistakes the first that
        it belongs to. None where the tweets can't be read here.
    """
    tweets = read_tweets(scores.corpus, scores.rows, results)
    if tweets is None:
        return None
    right, known = np.zeros((2, len(scores.rows)))
    for answered in dataset.answers.by_run.values():
        if common := dataset.answers.matcher.common(scores, answered):
            right[common[0]] += answered.right()[common[1]]
            known[common[0]] += 1
    share = np.where(known > 0, right / np.maximum(known, 1), np.nan)
    is_disputed = (share >= _DISPUTED) & (share <= 1 - _DISPUTED)
    by_all = (share == 0) & (len(dataset.answers.by_run) >= _ENOUGH_RUNS)
    negated = [bool(_NEGATION.search(str(text))) for text in tweets["text"]]
    columns: dict[str, Any] = {
        "text": tweets["text"],
        "label": scores.labels.astype(int),
        "right": scores.right("network"),
    }
    columns |= {name: scores.said[name] for name in ("network", "baseline")} | {"share_right": share}
    columns["group"] = np.select([by_all, is_disputed, negated], [ALL_WRONG, DISPUTED, NEGATED], OTHER)
    return pd.DataFrame(columns).iloc[np.argsort(-np.abs(columns["network"] - THRESHOLD), kind="stable")]


# Of all runs and tweets together: 300 kB, and 400 kB as text, so that the page of 1,000 runs stays below 5 MB.
_MOST_BITS = 2_500_000
_MOST_TEXTS, _LONGEST_TEXT = 2_000, 280
_MOST_EPOCHS = 40
_UNKNOWN = 2


def tweet_answers(dataset: Dataset, results: Results) -> dict[str, Any] | None:
    """The answers of all runs, and of what was added, on the tweets of the corpus that most of them read; None if no
    run's can be read.

    Returns:
        `ids` of runs; `n` places of tweets `of` so many; and deflated, in base64: `right` and `known` (whether a run
        was tested on it: cleaning may leave nothing of a tweet) as bits by run and place, `labels` as bytes (2 where
        the corpus is not on this machine), `texts` by place, of those that runs disagree most about.
    """
    answered = dataset.answers.beside(dataset.added).by_run
    if not dataset.answers.by_run:
        return None
    ((corpus, _),) = Counter(one.corpus for one in answered.values()).most_common(1)
    first = next(one for one in answered.values() if one.corpus == corpus)
    n = len(first.rows)
    fit = max(_MOST_BITS // len(answered), 1)
    chosen = np.arange(n) if n <= fit else np.sort(np.random.default_rng(0).choice(n, fit, replace=False))
    right, known = np.zeros((2, len(answered), len(chosen)), bool)
    for place, one in enumerate(answered.values()):
        if common := dataset.answers.matcher.common(first, one):
            flags, seen = np.zeros((2, n), bool)
            flags[common[0]], seen[common[0]] = one.right()[common[1]], True
            right[place], known[place] = flags[chosen], seen[chosen]
    labels, texts = _tweets(read_tweets(first.corpus, first.rows[chosen], results), right)
    packed = {"right": np.packbits(right, axis=1).tobytes(), "known": np.packbits(known, axis=1).tobytes()}
    packed |= {"labels": bytes(labels), "texts": json.dumps(texts, ensure_ascii=False).encode()}
    deflated = {name: base64.b64encode(zlib.compress(one, 9)).decode() for name, one in packed.items()}
    return {"ids": list(answered), "n": len(chosen), "of": n} | deflated


def _tweets(tweets: pd.DataFrame | None, right: Flags) -> tuple[list[int], dict[int, str]]:
    if tweets is None:
        return [_UNKNOWN] * right.shape[1], {}
    share = right.mean(axis=0)
    disputed = sorted(np.argsort(-share * (1 - share), kind="stable")[:_MOST_TEXTS])
    texts = {int(one): unescape(str(tweets["text"][one]))[:_LONGEST_TEXT] for one in disputed}
    return tweets["label"].tolist(), texts


def packed_curves(runs: Sequence[CompletedRun]) -> dict[str, dict[str, list[float]]]:
    """Learning curves by run id, rounded and thinned to what can be seen; runs without a readable one are left out."""
    curves, _ = read_each([run for run in runs if not run.folds], read_curve)
    found = {}
    for run_id, curve in curves.items():
        last = len(curve) - 1
        kept = sorted({round(place * last / (_MOST_EPOCHS - 1)) for place in range(_MOST_EPOCHS)})
        found[run_id] = {"epoch": [curve[place]["epoch"] for place in kept]} | {
            f"{part}_{metric}": [round(curve[place][part][metric], 4) for place in kept]
            for part in ("train", "validation")
            for metric in ("loss", "accuracy")
        }
    return found
