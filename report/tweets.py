"""The tweets themselves, from the prepared corpus that a run was made on."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from report.load import Finished
from sentiment.run_dir import TWEETS_FILE, Results


@dataclass(frozen=True)
class Tweets:
    """Texts and lengths of the rows that were asked for, each of shape (n,)."""

    texts: npt.NDArray[np.object_]
    lengths: npt.NDArray[np.int64]
    """In tokens."""


def read_tweets(run: Finished, results: Results, rows: npt.NDArray[np.int64]) -> Tweets | None:
    """The tweets at `rows` of the run's corpus; None where the corpus is not on this machine or cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = results.corpus_dir(run.record.data_fingerprint) / TWEETS_FILE
    try:
        table = pq.ParquetFile(path).read(columns=["text", "tokens"])
        chosen = table.take(pa.array(rows))
    except (OSError, pa.ArrowException):
        return None
    return Tweets(chosen["text"].to_numpy(), chosen["tokens"].to_numpy().astype(np.int64))


def read_counts(run: Finished, results: Results) -> dict[str, Any] | None:
    """How many tweets the corpus kept, dropped and put into each part; None where it is not on this machine."""
    manifest = results.corpus_dir(run.record.data_fingerprint) / "manifest.json"
    try:
        counts = json.loads(manifest.read_text(encoding="utf-8"))["report"]
        return {name: counts[name] for name in ("read", "kept", "duplicates", "contradictory", "types", "parts")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
