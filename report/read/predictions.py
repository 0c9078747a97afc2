"""What runs say of single tweets: their predictions, and the attention that they pay to tokens."""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.read.load import CompletedRun
from report.statistics import Flags
from sentiment.errors import RunDirError
from sentiment.records import THRESHOLD, Part

_COLUMNS = ("row", "label", "score", "baseline")
_EARLIER_NAMES = {"floor": "baseline"}


@dataclass(frozen=True)
class Scores:
    """What one run says of one part: probabilities of positive sentiment, each array of shape (n,)."""

    corpus: str
    """The fingerprint of the corpus that holds the tweets."""
    rows: npt.NDArray[np.int64]
    """The places of the tweets in the corpus."""
    labels: Flags
    """Whether each tweet is positive."""
    model: npt.NDArray[np.float64]
    baseline: npt.NDArray[np.float64]

    @property
    def combined(self) -> npt.NDArray[np.float64]:
        """The mean of the model's and the baseline's probabilities."""
        return (self.model + self.baseline) / 2

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

    @property
    def is_right(self) -> bool:
        """Whether the run classifies it correctly."""
        return (self.score >= THRESHOLD) == self.is_positive

    @property
    def confidence(self) -> float:
        """The distance of the probability from the decision threshold."""
        return abs(self.score - THRESHOLD)


def read_scores(run: CompletedRun, part: Part) -> Scores | None:
    """What a run says of a part; None if it has no such part.

    Raises:
        RunDirError: the file is missing or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = run.run_dir.predictions_file
    try:
        table = pq.ParquetFile(path).read()
        table = table.rename_columns([_EARLIER_NAMES.get(name, name) for name in table.column_names])
        table = table.filter(pc.equal(table["part"].cast(pa.string()), part))
        columns = {name: table[name].to_numpy() for name in _COLUMNS}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    if not table.num_rows:
        return None
    model, baseline = (columns[name].astype(np.float64) for name in ("score", "baseline"))
    return Scores(run.record.data_fingerprint, columns["row"], columns["label"] == 1, model, baseline)


def read_attention(run: CompletedRun) -> list[AttentionSample]:
    """The sample tweets of an attention model, without those that have no tokens or weights of another shape.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    path = run.run_dir.attention_file
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        samples = [
            AttentionSample(row["label"] == 1, float(row["score"]), row["tokens"], row["weights"]) for row in rows
        ]
        return [one for one in samples if _has_a_weight_for_each_token(one)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None


def _has_a_weight_for_each_token(sample: AttentionSample) -> bool:
    n = len(sample.tokens)
    return n > 0 and len(sample.weights) > 0 and all(len(hop) == n for hop in sample.weights)
