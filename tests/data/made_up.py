"""Invented tweets, the files that hold them, and the corpora that are made of these."""

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sentiment.config_file import resolve
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.runs.run_dir import Results

_PRAISE = ("love", "adore", "enjoy", "thank", "hug")
_BLAME = ("hate", "dread", "miss", "blame", "fear")
_THINGS = ("rain", "tea", "monday", "train", "cake", "exam", "garden", "phone")
_ENDS = ("!!!", "...", ":)", ":(", "&amp; more", "@robin_f", "http://ex.am/ple", "#life", "sooooo much", "don't you?")


def tweets(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """(label, text) of invented tweets, all different, positive and negative by turns."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        verb = rng.choice(_BLAME if number % 2 else _PRAISE)
        text = f"I {verb} the {rng.choice(_THINGS)} of day {seed}x{number} {rng.choice(_ENDS)}"
        made.append(("negative" if number % 2 else "positive", text))
    return made


def sentiment140_lines(count: int, first: int = 0) -> list[str]:
    lines = []
    for number, (label, text) in enumerate(tweets(count, seed=first)):
        fields = ["4" if label == "positive" else "0", str(first + number), "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY"]
        fields += [f"user{number % 97}", text]
        lines.append(",".join(f'"{field}"' for field in fields) + "\n")
    return lines


def prepare(path: Path, results: Results, **options: Any) -> Corpus:
    return prepare_corpus(
        resolve({"data": {"source": str(path)}}, {f"data.{name}": of for name, of in options.items()}, "a test").data,
        results,
    )


def tweet_table(corpus: Corpus) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(corpus.path / "tweets.parquet").to_pydict()
    return columns


def parts_of(corpus: Corpus) -> dict[str, str]:
    table = tweet_table(corpus)
    return dict(zip(table["text"], table["part"], strict=True))
