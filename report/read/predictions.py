"""What runs say of single tweets: their predictions, and the attention that they pay to tokens."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from report.read.load import CompletedRun
from report.read.model import BaselineReasons
from report.statistics import Flags
from sentiment.errors import RunDirError
from sentiment.runs.records import PREDICTION_COLUMNS, THRESHOLD, Count, Metrics, Part, Recommendation, Record, Share
from sentiment.runs.run_dir import TWEETS_FILE, Results, check_file, read_rows

_ROUNDED = 1.5


class Located(Protocol):
    """What was said of tweets that have places in a corpus."""

    @property
    def corpus(self) -> str:
        """The fingerprint of the corpus that holds the tweets."""

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The places of the tweets in the corpus."""


@dataclass(frozen=True)
class Scores:
    """What one run, its baseline and the lexicon say of one part, each array of shape (n,)."""

    corpus: str
    """The fingerprint of the corpus that holds the tweets."""
    rows: npt.NDArray[np.int64]
    """The places of the tweets in the corpus."""
    labels: Flags
    """Whether each tweet is positive."""
    said: dict[Recommendation, npt.NDArray[np.float64]]
    """By each model, calibrated."""
    temperatures: dict[Recommendation, npt.NDArray[np.float64]]
    """By which each was calibrated; of several folds each has its own."""
    lexicon: npt.NDArray[np.float64]
    """What VADER's lexicon says, on the scale of probabilities."""

    @property
    def model(self) -> npt.NDArray[np.float64]:
        """What the network says."""
        return self.said["network"]

    @property
    def baseline(self) -> npt.NDArray[np.float64]:
        """What the linear baseline says."""
        return self.said["baseline"]

    def uncalibrated(self, model: Recommendation) -> npt.NDArray[np.float64]:
        """What a model said before it was calibrated; of the mean, that of calibrated probabilities."""
        from scipy.special import expit, logit

        return np.asarray(expit(logit(self.said[model]) * self.temperatures[model]))

    def right(self, probabilities: npt.NDArray[np.float64]) -> Flags:
        """Which tweets are classified correctly by these probabilities."""
        return np.equal(probabilities >= THRESHOLD, self.labels)


@dataclass(frozen=True)
class AttentionSample:
    """A test tweet, and the weight of each of its tokens in each hop, of shape (hops, tokens)."""

    is_positive: bool
    score: float
    """The probability of positive sentiment."""
    tokens: list[str]
    weights: list[list[float]]
    baseline: BaselineReasons | None = None
    """What the linear baseline says of it; None where the run saved none."""

    @property
    def is_right(self) -> bool:
        """Whether the run classifies it correctly."""
        return (self.score >= THRESHOLD) == self.is_positive

    @property
    def confidence(self) -> float:
        """The distance of the probability from the decision threshold."""
        return abs(self.score - THRESHOLD)


def read_scores(run: CompletedRun, part: Part) -> Scores | None:
    """What a run says of a part; None if it has no such part. Of several folds only the test parts, as one.

    Raises:
        RunDirError: the file is missing or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if run.folds:
        return _of_folds(run) if part == "test" else None
    path = run.run_dir.predictions_file
    check_file(path, run.result)
    try:
        table = pq.ParquetFile(path).read()
        table = table.filter(pc.equal(table["part"].cast(pa.string()), part))
        types = {"row": pa.int64(), "label": pa.int8()} | dict.fromkeys((*PREDICTION_COLUMNS, "lexicon"), pa.float64())
        columns = {name: table[name].cast(of).to_numpy() for name, of in types.items()}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    if not table.num_rows:
        if part in run.result.metrics:
            raise RunDirError(f"{path}: is damaged: it holds no {part} tweets")
        return None
    said = {model: columns[name] for name, model in PREDICTION_COLUMNS.items()}
    temperatures = {model: np.full(len(columns["row"]), run.result.temperatures[model]) for model in said}
    corpus, lexicon = run.record.data_fingerprint, columns["lexicon"]
    scores = Scores(corpus, columns["row"], columns["label"] == 1, said, temperatures, lexicon)
    _check_scores(scores, columns["label"], path, run.result.metrics.get(part))
    return scores


def _of_folds(run: CompletedRun) -> Scores:
    """A tweet has the same place in the corpora of all folds, unless `data.train_rows` leaves out others in each.

    Then no single corpus holds them, and only runs of the very same folds have equal places.
    """
    folds = [one for fold in run.folds if (one := read_scores(fold, "test"))]
    limited = run.config.data.train_rows is not None
    corpus = f"folds {' '.join(one.corpus for one in folds)}" if limited else folds[0].corpus
    said, temperatures = (
        {model: np.concatenate([getattr(one, name)[model] for one in folds]) for model in folds[0].said}
        for name in ("said", "temperatures")
    )
    rows, labels, lexicon = (
        np.concatenate([getattr(one, name) for one in folds]) for name in ("rows", "labels", "lexicon")
    )
    return Scores(corpus, rows, labels, said, temperatures, lexicon)


def _check_scores(scores: Scores, labels: npt.NDArray[Any], path: Path, metrics: Metrics | None) -> None:
    """Refuse what are no probabilities of labelled tweets, or not those that the result was measured on.

    Raises:
        RunDirError: says which.
    """
    for values in (*scores.said.values(), scores.lexicon):
        if not ((values >= 0) & (values <= 1)).all():  # false for NaN as well
            raise RunDirError(f"{path}: is damaged: a score is no probability")
    if scores.rows.min() < 0 or not np.isin(labels, (0, 1)).all():
        raise RunDirError(f"{path}: is damaged: a row or a label is not valid")
    # Scores are rounded when they are stored, so that one at the threshold may count otherwise.
    right = int(scores.right(scores.model).sum())
    if metrics is None or metrics.n != len(labels) or abs(right - metrics.accuracy * metrics.n) > _ROUNDED:
        raise RunDirError(f"{path}: does not belong to this run's result: its scores are others")


def read_attention(run: CompletedRun) -> list[AttentionSample]:
    """The sample tweets of an attention model, without those that have no tokens or weights of another shape.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    path = run.run_dir.attention_file
    check_file(path, run.result)
    try:
        rows = [_AttentionRow.model_validate(row) for row in read_rows(path)]
    except ValidationError as error:
        raise RunDirError(f"{path}: is damaged: {error.errors()[0]['msg']}") from None
    if not rows:
        raise RunDirError(f"{path}: is missing or empty")
    samples = [AttentionSample(row.label == 1, row.score, row.tokens, row.weights) for row in rows]
    return [one for one in samples if _has_a_weight_for_each_token(one)]


class _AttentionRow(Record):
    row: Count
    label: int
    score: Share
    tokens: list[str]
    weights: list[list[Share]]


def _has_a_weight_for_each_token(sample: AttentionSample) -> bool:
    n = len(sample.tokens)
    return n > 0 and len(sample.weights) > 0 and all(len(hop) == n for hop in sample.weights)


@dataclass(frozen=True)
class Tweets:
    """Texts and lengths of tweets, each of shape (n,)."""

    texts: npt.NDArray[np.object_]
    lengths: npt.NDArray[np.int64]
    """In tokens."""
    labels: npt.NDArray[np.int64]
    """1 for positive ones, 0 for negative ones."""


def read_tweets(scores: Located, results: Results) -> Tweets | None:
    """The tweets that `scores` belong to; None where their corpus is not on this machine or cannot be read."""
    table = _read(scores, results, ["text", "tokens", "label"])
    if table is None:
        return None
    lengths, labels = (table[name].to_numpy().astype(np.int64) for name in ("tokens", "label"))
    return Tweets(table["text"].to_numpy(), lengths, labels)


def read_identities(scores: Located, results: Results) -> Any:
    """For each tweet that `scores` belong to, a pyarrow text that is the same in every corpus with that tweet.

    The text is made of id, label and text. Cleaning changes none of these, and a corpus holds each text once. The id
    alone would not do: it may be no more than a line's number, which stands for another tweet once the file is edited.

    Returns:
        None where the corpus is not on this machine or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _read(scores, results, ["id", "label", "text"])
    if table is None:
        return None
    return pc.binary_join_element_wise(table["id"], table["label"].cast(pa.string()), table["text"], "\0")


def read_counts(run: CompletedRun, results: Results) -> dict[str, Any] | None:
    """How many tweets the corpus kept, dropped and put into each part; None where it is not on this machine."""
    manifest = results.corpus_dir(run.record.data_fingerprint) / "manifest.json"
    try:
        counts = json.loads(manifest.read_text(encoding="utf-8"))["report"]
        return {name: counts[name] for name in ("read", "kept", "duplicates", "contradictory", "types", "parts")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(scores: Located, results: Results, columns: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(results.corpus_dir(scores.corpus) / TWEETS_FILE).read(columns=columns)
        return table.select(columns).take(pa.array(scores.rows))
    except (OSError, pa.ArrowException, KeyError):
        return None
