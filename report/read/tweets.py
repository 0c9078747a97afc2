"""The tweets themselves, from the prepared corpus that a run was made on."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from report.read.load import CompletedRun
from report.read.predictions import Located
from sentiment.runs.run_dir import TWEETS_FILE, Results


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
