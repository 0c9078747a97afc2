"""How fast tweets are prepared, against a plain loop over NLTK's tokenizer.

Run with `python -m tests.benchmarks.bench_data [--tweets N]`; ratios are of processor time, of what this one process
does in turns. Tweets are made up where there are no real ones.
"""

import argparse
import csv
import gzip
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from nltk.tokenize import TweetTokenizer

from sentiment.config import DataConfig
from sentiment.data.corpus import prepare_corpus
from sentiment.runs.run_dir import Results
from tests.benchmarks.timing import announce, spent

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
FILES = ("sentiment140_sample.csv.gz", "sentiment140_textonly.csv.gz", "sentiment140_slices_textonly.csv.gz")
ALL_ROWS = 1_600_000
ROUNDS = 5
ROUND_TWEETS = 4_000


def main() -> None:
    """Print all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=int, default=50_000)
    count = parser.parse_args().tweets
    tweets, what = some_tweets(count)
    announce(f"data, {what}")
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder) / "results")
        source = Path(folder) / "tweets.csv"
        write_source(source, tweets)
        compare_preparation(source, [text for _, text in tweets], results)


def some_tweets(count: int) -> tuple[list[tuple[str, str]], str]:
    """(label, text) of so many tweets, and what they are: some of the real ones, which are sorted, or made-up ones."""
    if not SHARED.exists():
        return list(made_up_tweets(count)), f"{count:,} tweets made up by a Zipf law"
    real = list(real_tweets())
    chosen = [real[number * len(real) // count] for number in range(count)]
    return chosen, f"{count:,} real tweets{', some repeated' if count > len(real) else ''}"


def real_tweets() -> Iterator[tuple[str, str]]:
    """(label, text) of the tweets beside the repository."""
    for name in FILES:
        with gzip.open(SHARED / name, "rt", encoding="utf-8", newline="") as file:
            for fields in csv.reader(file):
                if fields[0] != "label":
                    yield fields[0], fields[-1]


def made_up_tweets(count: int) -> Iterator[tuple[str, str]]:
    """(label, text) of words by Zipf's law, with names, exclamation marks and links; labels are random."""
    labels = np.random.default_rng(1).integers(0, 2, count)
    for number, (label, tokens) in enumerate(zip(labels, zipf_tweets(count, 200_000), strict=True)):
        words = [f"w{token}" for token in tokens]
        yield str(label), " ".join([f"@user{number % 9_999}", *words, "!" * (number % 4), "http://ex.am/ple"])


def zipf_tweets(count: int, types: int, mean: float = 15) -> list[npt.NDArray[np.int64]]:
    """Tweets of token numbers below `types` that follow Zipf's law: `mean` tokens on average, and at most 40."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.gamma(3.5, mean / 3.5, count).round().astype(int), 1, 40)
    weights = 1 / np.arange(1, types + 1)
    tokens = generator.choice(types, lengths.sum(), p=weights / weights.sum())
    return np.split(tokens, np.cumsum(lengths)[:-1])


def write_source(path: Path, tweets: list[tuple[str, str]]) -> None:
    """Write a CSV file of tweets."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(chain([("label", "text")], tweets))


def compare_preparation(source: Path, texts: list[str], results: Results) -> None:
    """Prepare all tweets, and loop over some of them before and after, since the machine's speed changes."""
    plain = [seconds_of_plain_loop(texts, start) for start in range(ROUNDS)]
    config = DataConfig(source=str(source))
    took = spent(lambda: prepare_corpus(config, results))
    plain += [seconds_of_plain_loop(texts, start) for start in range(ROUNDS)]
    per_tweet = float(np.median(plain))
    print(f"plain loop over TweetTokenizer: {per_tweet * 1e6:.1f} us per tweet, {per_tweet * len(texts):.1f} s for all")
    ratio, projected = per_tweet * len(texts) / took.processor, took.clock / len(texts) * ALL_ROWS
    print(f"prepare: {took}; the loop {ratio:.2f} times the processor; {ALL_ROWS:,} tweets: {projected:.0f} s")


def seconds_of_plain_loop(texts: list[str], start: int) -> float:
    """Seconds per tweet of what anybody would write, on some of the texts."""
    tokenizer = TweetTokenizer()
    some = texts[start :: max(1, len(texts) // ROUND_TWEETS)]
    return spent(lambda: [tokenizer.tokenize(text) for text in some]).processor / len(some)


if __name__ == "__main__":
    main()
