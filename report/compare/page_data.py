"""What readers of the page can ask of single runs: curves, and which tweets each has right, packed small."""

import base64
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import numpy as np
import numpy.typing as npt

from report.compare.answers import Answered, Matcher
from report.compare.datasets import Dataset
from report.read.load import CompletedRun, read_curve, read_each
from report.read.predictions import Located, read_tweets
from sentiment.runs.run_dir import Results

_MOST_BITS = 2_500_000
"""Of all runs and tweets together: 300 kB, and 400 kB as text, so that the page of 1,000 runs stays below 5 MB."""
_MOST_TEXTS, _LONGEST_TEXT = 2_000, 280
_MOST_EPOCHS = 40
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TweetAnswers:
    """Which test tweets runs have right, for tests of any two of them."""

    run_ids: list[str]
    right: Bits
    """By run and tweet."""
    known: Bits
    """Which tweets each run was tested on: cleaning may leave nothing of one."""
    labels: list[int]
    texts: dict[int, str]
    """Of those tweets that runs disagree most about, by their place."""
    tweets: int
    """How many test tweets there are; more than places where only some of them fit."""

    def packed(self) -> dict[str, Any]:
        """Plain values: what is large as deflated bytes in base64."""
        return {
            "ids": self.run_ids,
            "n": self.right.shape[1],
            "of": self.tweets,
            "right": _deflated(np.packbits(self.right, axis=1).tobytes()),
            "known": _deflated(np.packbits(self.known, axis=1).tobytes()),
            "labels": _deflated(bytes(self.labels)),
            "texts": _deflated(json.dumps(self.texts, ensure_ascii=False).encode()),
        }


def _deflated(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def tweet_answers(dataset: Dataset, results: Results) -> TweetAnswers | None:
    """The answers of all runs on the tweets of the corpus that most of them read; None if none can be read."""
    answered = {run_id: one.answered for run_id, one in dataset.comparisons.items()}
    if not answered:
        return None
    corpus, _ = Counter(one.corpus for one in answered.values()).most_common(1)[0]
    first = next(one for one in answered.values() if one.corpus == corpus)
    n = len(first.rows)
    chosen = _chosen(n, len(answered))
    matcher = Matcher(results)
    right = np.zeros((len(answered), len(chosen)), bool)
    known = np.zeros_like(right)
    for place, one in enumerate(answered.values()):
        common = matcher.common(first, one)
        if common is None:
            continue
        flags, seen = np.zeros(n, bool), np.zeros(n, bool)
        flags[common.first], seen[common.first] = one.right()[common.second], True
        right[place], known[place] = flags[chosen], seen[chosen]
    labels, texts = _tweets(first, chosen, right, results)
    return TweetAnswers(list(answered), right, known, labels, texts, n)


def _chosen(n: int, runs: int) -> npt.NDArray[np.int64]:
    """All tweets, or as many at random as fit; the same ones each time."""
    fit = max(_MOST_BITS // max(runs, 1), 1)
    if n <= fit:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, fit, replace=False))


def _tweets(
    located: Answered, chosen: npt.NDArray[np.int64], right: Bits, results: Results
) -> tuple[list[int], dict[int, str]]:
    """Labels of the chosen tweets (2 where the corpus is not on this machine), and the texts of the most disputed."""
    part: Located = _Part(located.corpus, located.rows[chosen])
    tweets = read_tweets(part, results)
    if tweets is None:
        return [2] * len(chosen), {}
    share = right.mean(axis=0)
    disputed = np.argsort(-share * (1 - share), kind="stable")[:_MOST_TEXTS]
    return tweets.labels.tolist(), {
        int(one): unescape(str(tweets.texts[one]))[:_LONGEST_TEXT] for one in sorted(disputed)
    }


@dataclass(frozen=True)
class _Part:
    corpus: str
    rows: npt.NDArray[np.int64]


def packed_curves(runs: Sequence[CompletedRun]) -> dict[str, dict[str, list[float]]]:
    """Learning curves by run id, rounded and thinned to what can be seen; runs without a readable one are left out."""
    curves, _ = read_each([run for run in runs if not run.folds], read_curve)
    found = {}
    for run_id, curve in curves.items():
        last = len(curve.epochs) - 1
        kept = sorted({round(place * last / (_MOST_EPOCHS - 1)) for place in range(_MOST_EPOCHS)})
        of_run: dict[str, list[float]] = {"epoch": [curve.epochs[place]["epoch"] for place in kept]}
        for part in ("train", "validation"):
            for metric in ("loss", "accuracy"):
                values = curve.values(part, metric)
                of_run[f"{part}_{metric}"] = [round(values[place], 4) for place in kept]
        found[run_id] = of_run
    return found
