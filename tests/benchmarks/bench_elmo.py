"""ELMo's speed against allennlp's as it is commonly used (batches of 256 as they come), in one process.

Both run on the same random weights of the published sizes and on invented tweets, whose tokens follow Zipf's law:
allennlp on one batch of them, which is all that it looks at together, ours on many, as when a corpus is encoded.
"Cold" includes the character network for each distinct token, "warm" has its vectors already, as in all but the first
part of a large corpus. Rates are tokens per second of processor time, the best of the repeats, taken in turns; the
ratios depend on the processor.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sentiment.config import EncoderPrecision
from sentiment.encoders.allennlp import ReferenceElmo
from sentiment.encoders.elmo import ElmoEncoder
from sentiment.encoders.elmo_files import read_weights
from sentiment.encoders.pretrained import read_options
from tests.benchmarks.bench_data import zipf_tweets
from tests.benchmarks.timing import announce, spent
from tests.encoders.random_elmo import write_random_model
from tests.encoders.tweets import HAS_ALLENNLP, SIZES

USUAL_BATCH = 256
TWEETS = {"small": 2048, "original": 768}
REPEATS = {"small": 2, "original": 1}


def invented_tweets(count: int) -> list[list[str]]:
    """Of 12.6 words in the mean, with five letters in the mean."""
    generator = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    words = ["".join(generator.choice(letters, max(1, int(generator.gamma(6, 0.9))))) for _ in range(50_000)]
    return [[words[token] for token in tweet] for tweet in zipf_tweets(count, len(words), 12.6)]


def measured(elmo: ElmoEncoder, tweets: list[list[str]], types: list[str]) -> tuple[float, float]:
    """Seconds for the vectors of types, and for all layers of the tweets once these are there."""
    elmo.use_type_vectors([], [])
    of_types = spent(lambda: elmo.type_vectors(types)).processor
    single = elmo.encode([[token] for token in types], ["token"])
    elmo.use_type_vectors(types, [single["token"].numpy()])
    return of_types, spent(lambda: elmo.encode(tweets)).processor


def bench(size: str, folder: Path, count: int) -> None:
    """Measure one size on so many tweets and print it."""
    announce(f"elmo, {size} size, {count:,} tweets")
    tweets = invented_tweets(count)
    usual, types = tweets[:USUAL_BATCH], sorted({token for tweet in tweets for token in tweet})
    tokens = sum(map(len, tweets))
    files = write_random_model(folder, SIZES[size])
    options = read_options(files[0])
    weights = read_weights(files[1], options)
    precisions: tuple[EncoderPrecision, ...] = ("fp32", "bf16")
    ours = {name: ElmoEncoder(options, weights, precision=name) for name in precisions}
    reference = ReferenceElmo(*files) if HAS_ALLENNLP else None
    theirs, times = [], []
    for _ in range(REPEATS[size]):
        if reference:
            theirs.append(spent(partial(reference.encode, usual)).processor)
        times.append([measured(elmo, tweets, types) for elmo in ours.values()])
    base = sum(map(len, usual)) / min(theirs) if theirs else np.nan
    print(f"  {tokens:,} tokens of {len(types):,} types; allennlp {base:,.0f} tokens/s")
    for precision, (of_types, of_tweets) in zip(precisions, np.min(times, axis=0), strict=True):
        warm, cold = (tokens / (of_tweets + more) for more in (0, of_types))
        print(
            f"  {precision}: cold {cold:,.0f} tokens/s, {cold / base:.1f} x; warm {warm:,.0f} tokens/s, "
            f"{warm / base:.1f} x"
        )


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--sizes", nargs="+", default=["small"], choices=list(TWEETS))
    parser.add_argument("--tweets", type=int, help="fewer than the 2,048 of the small and 768 of the original size")
    options = parser.parse_args()
    for threads in options.threads:
        torch.set_num_threads(threads)
        for size in options.sizes:
            with tempfile.TemporaryDirectory() as folder:
                bench(size, Path(folder), options.tweets or TWEETS[size])


if __name__ == "__main__":
    main()
