"""ELMo's speed and memory against allennlp's as it is commonly used (batches of 256 as they come), in one process.

Both run on the same random weights of the published sizes and on invented tweets, whose tokens follow Zipf's law:
allennlp on one batch of them, which is all that it looks at together, ours on many, as when a corpus is encoded.
"Cold" includes the character network for each distinct token, "warm" has its vectors already, as in all but the first
part of a large corpus. Rates are tokens per second of processor time, the best of the repeats, taken in turns; the
ratios depend on the processor.
"""

import argparse
import ctypes
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sentiment.elmo.encoder import (
    BATCH_TWEETS,
    LAYERS,
    PRECISIONS,
    ElmoEncoder,
    Layer,
    NumberedTweets,
    Precision,
    batches_by_length,
    number_tweets,
    pack,
)
from sentiment.elmo.files import SIZES, ElmoOptions, read_options, read_weights, write_random_model
from sentiment.elmo.products import FixedWeights, Library, available_libraries
from sentiment.elmo.reference import ReferenceElmo, reference_is_installed
from tests.benchmarks.timing import announce

USUAL_BATCH = 256
TWEETS = {"small": 2048, "original": 768}
REPEATS = {"small": 2, "original": 1}
CORPUS_TWEETS, CORPUS_TOKENS, CORPUS_TYPES = 1_200_000, 18_000_000, 600_000
Tweets = list[list[str]]


def invented_tweets(count: int) -> Tweets:
    """12.6 tokens in the mean, at most 35."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.gamma(3.5, 3.6, count).round().astype(int), 3, 35)
    weights = 1 / np.arange(1, 50_001)
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    words = ["".join(generator.choice(letters, max(1, int(generator.gamma(6, 0.9))))) for _ in weights]
    tokens = generator.choice(len(words), lengths.sum(), p=weights / weights.sum())
    return [[words[token] for token in part] for part in np.split(tokens, np.cumsum(lengths)[:-1])]


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, by the processor's time of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def product_rates(precision: Precision) -> dict[Library, float]:
    """Operations per second of a large matrix product by each library."""
    dtype = PRECISIONS[precision]
    left, right = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
    weights = {library: FixedWeights(right, library) for library in available_libraries(dtype)}
    times = [[seconds(partial(one.times, left)) for one in weights.values()] for _ in range(8)]
    return {library: 2 * 2048**3 / min(taken) for library, *taken in zip(weights, *times, strict=True)}


def lstm_operations(options: ElmoOptions, tweets: NumberedTweets, layers: int) -> int:
    """Multiplications and additions in the matrix products of the LSTM layers, as our encoder does them."""
    vector, cells = options.lstm.projection_dim, options.lstm.dim
    gates, projection = 2 * vector * 4 * cells, 2 * cells * vector
    total = 0
    for chosen in batches_by_length(tweets.lengths, BATCH_TWEETS):
        batch = pack(tweets, chosen, -1, -2)
        rows, distinct = sum(batch.step_sizes), len(np.unique(batch.inputs[0]))
        total += 2 * (distinct * gates + rows * (gates + projection) + (layers - 1) * rows * (2 * gates + projection))
    return total


def peak_memory(work: Callable[[], object]) -> float:
    """Bytes that the process grows by at most (Linux only)."""
    ctypes.CDLL(None).malloc_trim(0)  # else freed memory is used again unseen
    status = Path("/proc/self/status")

    def read(name: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name)) * 1024

    before = read("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")
    work()
    return read("VmHWM:") - before


class Measured:
    """Our encoder's times at one precision."""

    def __init__(self, elmo: ElmoEncoder, tweets: Tweets) -> None:
        self.elmo, self.tweets = elmo, tweets
        self.types, self.numbered = number_tweets(tweets)
        self.best: dict[str, float] = {}

    def measure(self) -> None:
        """Once more."""
        self.elmo.learn([], [])
        self._keep("types", lambda: self.elmo.type_vectors(self.types))
        single = self.elmo.encode([[token] for token in self.types], ("token",))
        self.elmo.learn(self.types, [single.layers["token"].numpy()])
        self._keep("all", lambda: self._encode(LAYERS))
        self._keep("first", lambda: self._encode(("first",)))

    def _encode(self, layers: tuple[Layer, ...]) -> None:
        self.elmo.encode(self.tweets, layers)

    def _keep(self, name: str, work: Callable[[], object]) -> None:
        self.best[name] = min(self.best.get(name, np.inf), seconds(work))

    def report(self, base: float | None, rates: dict[Library, float]) -> None:
        """Print tokens per second, how often those of allennlp, and the share of the best library's rate."""
        best = max(rates, key=lambda library: rates[library])
        tokens, types, precision = len(self.numbered.numbers), len(self.types), self.elmo.precision
        for name, layers in (("all", 2), ("first", 1)):
            warm, cold = (tokens / (self.best[name] + more) for more in (0, self.best["types"]))
            ratios = f"{cold / base:5.1f} x, {warm / base:5.1f} x" if base else "no allennlp here"
            limit = f"{rates[best] / 1e9:.0f} GFLOP/s of {best}"
            share = lstm_operations(self.elmo.options, self.numbered, layers) / self.best[name] / rates[best]
            print(
                f"  {precision} {name:5} cold {cold:>7,.0f}, warm {warm:>7,.0f} tokens/s   {ratios}"
                f"   products by {self.elmo.library}, warm at {share:.0%} of the {limit}"
            )
        hours = (CORPUS_TOKENS / tokens * self.best["all"] + CORPUS_TYPES / types * self.best["types"]) / 3600
        print(f"  {precision} projected for {CORPUS_TWEETS:,} tweets, all layers: {hours:.1f} h on this CPU")


def bench(size: str, folder: Path, count: int) -> None:
    """Measure one size on so many tweets and print it."""
    announce(f"elmo, {size} size, {count:,} tweets")
    tweets = invented_tweets(count)
    files = write_random_model(folder, SIZES[size])
    options = read_options(files[0])
    weights = read_weights(files[1], options)
    rates: dict[Precision, dict[Library, float]] = {"fp32": product_rates("fp32"), "bf16": product_rates("bf16")}
    gain = max(rates["bf16"].values()) / max(rates["fp32"].values())
    precisions: list[Precision] = ["fp32", "bf16"] if gain > 1.3 else ["fp32"]
    usual = tweets[:USUAL_BATCH]
    reference = ReferenceElmo(*files) if reference_is_installed() else None
    elmo = ElmoEncoder(options, weights)
    times: list[float] = []
    memory = [peak_memory(partial(elmo.encode, usual))]
    if reference is not None:
        memory.append(peak_memory(lambda: times.append(seconds(partial(reference.encode, usual)))))
    ours = [
        Measured(elmo if name == "fp32" else ElmoEncoder(options, weights, precision=name), tweets)
        for name in precisions
    ]
    for repeat in range(REPEATS[size]):
        if reference is not None and repeat > 0:
            times.append(seconds(partial(reference.encode, usual)))
        for one in ours:
            one.measure()
    base = sum(map(len, usual)) / min(times) if times else None
    allennlp = f"; allennlp {base:,.0f} tokens/s" if base else ""
    print(f"  {len(ours[0].numbered.numbers):,} tokens of {len(ours[0].types):,} types{allennlp}")
    for one in ours:
        one.report(base, rates[one.elmo.precision])
    if len(ours) > 1:
        exact, rough = (one.elmo.encode(usual).layers for one in ours)
        errors = (float((rough[layer] - exact[layer]).norm() / exact[layer].norm()) for layer in LAYERS)
        print(
            "  bf16 error, relative: "
            + ", ".join(f"{layer} {error:.2%}" for layer, error in zip(LAYERS, errors, strict=True))
        )
    print(
        f"  peak memory for {USUAL_BATCH} tweets: "
        + " against ".join(f"{one / 1e9:.2f} GB" for one in memory)
        + (f" of allennlp, 1/{memory[1] / memory[0]:.1f}" if len(memory) > 1 else "")
    )


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--sizes", nargs="+", default=["small"], choices=list(TWEETS))
    parser.add_argument(
        "--tweets", type=int, help="fewer tweets than the 2,048 of the small and 768 of the original size"
    )
    options = parser.parse_args()
    for threads in options.threads:
        torch.set_num_threads(threads)
        for size in options.sizes:
            with tempfile.TemporaryDirectory() as folder:
                bench(size, Path(folder), options.tweets or TWEETS[size])


if __name__ == "__main__":
    main()
