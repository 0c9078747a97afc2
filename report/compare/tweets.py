"""Test tweets one by one: what the recommended model has wrong, and what each run has right, packed for the page."""

import base64
import json
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from html import unescape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from report.compare.datasets import Dataset, Matcher
from report.read import CompletedRun, Places, Scores, read_curve, read_each, read_tweets
from report.statistics import Flags, Values
from sentiment.runs.records import THRESHOLD
from sentiment.runs.run_dir import Results

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
ALL_WRONG, DISPUTED, NEGATED, OTHER = (
    "wrong in all runs",
    "disputed between runs",
    "with a negating word",
    "other",
)


def tweet_table(dataset: Dataset, scores: Scores, tweets: pd.DataFrame, results: Results) -> pd.DataFrame:
    """A row for each test tweet of a run, those that it is most sure of first.

    Returns:
        `text`, `label` (1 for positive), `negated`, `network` and
        `baseline` (probabilities of positive), `network_right` and `baseline_right`, `share_right` (of all runs that
        were tested on it; NaN where none was), and `group`, for mistakes the first that it belongs to.
    """
    table = pd.DataFrame({"text": tweets["text"], "label": scores.labels.astype(int)})
    table["negated"] = [bool(_NEGATION.search(str(text))) for text in tweets["text"]]
    for name, said in (("network", scores.model), ("baseline", scores.baseline)):
        table[name], table[f"{name}_right"] = said, scores.right(said)
    share = _share_right(dataset, scores, results)
    table["share_right"] = share
    is_disputed = (share >= _DISPUTED) & (share <= 1 - _DISPUTED)
    by_all = (share == 0) & (len(dataset.answers.by_run) >= _ENOUGH_RUNS)
    table["group"] = np.select([by_all, is_disputed, table["negated"]], [ALL_WRONG, DISPUTED, NEGATED], OTHER)
    return table.iloc[np.argsort(-np.abs(scores.model - THRESHOLD), kind="stable")]


def _share_right(dataset: Dataset, scores: Scores, results: Results) -> Values:
    matcher = Matcher(results)
    right, known = np.zeros(len(scores.rows)), np.zeros(len(scores.rows))
    for answered in dataset.answers.by_run.values():
        if common := matcher.common(scores, answered):
            right[common[0]] += answered.right()[common[1]]
            known[common[0]] += 1
    return np.asarray(np.where(known > 0, right / np.maximum(known, 1), np.nan), np.float64)


# Of all runs and tweets together: 300 kB, and 400 kB as text, so that the page of 1,000 runs stays below 5 MB.
_MOST_BITS = 2_500_000
_MOST_TEXTS, _LONGEST_TEXT = 2_000, 280
_MOST_EPOCHS = 40
_UNKNOWN = 2


def tweet_answers(dataset: Dataset, results: Results) -> dict[str, Any] | None:
    """The answers of all runs on the tweets of the corpus that most of them read; None if none can be read.

    Returns:
        `ids` of runs; `n` places of tweets `of` so many; and deflated, in base64: `right` and `known` (whether a run
        was tested on it: cleaning may leave nothing of a tweet) as bits by run and place, `labels` as bytes (2 where
        the corpus is not on this machine), `texts` by place, of those that runs disagree most about.
    """
    answered = dataset.answers.by_run
    if not answered:
        return None
    ((corpus, _),) = Counter(one.corpus for one in answered.values()).most_common(1)
    first = next(one for one in answered.values() if one.corpus == corpus)
    n = len(first.rows)
    chosen = _chosen(n, len(answered))
    matcher = Matcher(results)
    right, known = np.zeros((2, len(answered), len(chosen)), bool)
    for place, one in enumerate(answered.values()):
        if common := matcher.common(first, one):
            flags, seen = np.zeros((2, n), bool)
            flags[common[0]], seen[common[0]] = one.right()[common[1]], True
            right[place], known[place] = flags[chosen], seen[chosen]
    labels, texts = _tweets(first.corpus, first.rows[chosen], right, results)
    packed = {"right": np.packbits(right, axis=1).tobytes(), "known": np.packbits(known, axis=1).tobytes()}
    packed |= {"labels": bytes(labels), "texts": json.dumps(texts, ensure_ascii=False).encode()}
    deflated = {name: base64.b64encode(zlib.compress(one, 9)).decode() for name, one in packed.items()}
    return {"ids": list(answered), "n": len(chosen), "of": n} | deflated


def _chosen(n: int, runs: int) -> npt.NDArray[np.int64]:
    """All tweets, or as many at random as fit; the same ones each time."""
    fit = max(_MOST_BITS // max(runs, 1), 1)
    return np.arange(n) if n <= fit else np.sort(np.random.default_rng(0).choice(n, fit, replace=False))


def _tweets(corpus: str, rows: Places, right: Flags, results: Results) -> tuple[list[int], dict[int, str]]:
    tweets = read_tweets(corpus, rows, results)
    if tweets is None:
        return [_UNKNOWN] * len(rows), {}
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
        of_run: dict[str, list[float]] = {"epoch": [curve[place]["epoch"] for place in kept]}
        for part in ("train", "validation"):
            for metric in ("loss", "accuracy"):
                of_run[f"{part}_{metric}"] = [round(curve[place][part][metric], 4) for place in kept]
        found[run_id] = of_run
    return found
