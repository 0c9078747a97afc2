"""Reading cached ELMo vectors against one HDF5 dataset per tweet (as allennlp's `elmo` command writes them), and what
a cache is worth to the second run of a grid.

Vectors are random, of the small and of the original model's size. A batch is 256 random tweets of one length, as in
our epochs, side by side as float32, for both. "Cold" means that the system was told to forget the files before each
batch, as when a cache is larger than the memory.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import torch

from sentiment.config_file import resolve
from sentiment.console import Console
from sentiment.data.batches import Rows
from sentiment.elmo.cache import DiskRows, LayerRows, MemoryRows
from sentiment.elmo.files import SIZES, write_random_model
from sentiment.runs.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.experiment import run_experiment
from tests.benchmarks.timing import announce

BATCH, SHARDS = 256, 8
VECTORS = {"small": 256, "original": 1024}


def seconds(work: Callable[[], object], prepare: Callable[[], object] = lambda: None, repeats: int = 40) -> float:
    """The median time of some calls."""
    times = []
    for _ in range(repeats):
        prepare()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def forget(paths: list[Path]) -> None:
    """Make the system drop the pages of some files."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


class Stored:
    """The same tweets in both forms."""

    def __init__(self, folder: Path, vector: int, tweets: int) -> None:
        self.vector = vector
        self.random = np.random.default_rng(0)
        self.lengths = np.clip(self.random.gamma(3.5, 3.6, tweets).round().astype(np.int64), 3, 35)
        self.starts = np.cumsum(self.lengths) - self.lengths
        values = self.random.standard_normal((self.lengths.sum(), vector), dtype=np.float32)
        self.hdf5, self.shards = folder / "vectors.hdf5", []
        with h5py.File(self.hdf5, "w") as file:
            for tweet, (start, length) in enumerate(zip(self.starts, self.lengths, strict=True)):
                file.create_dataset(str(tweet), data=values[start : start + length])
        cuts = np.searchsorted(np.cumsum(self.lengths), np.linspace(0, self.lengths.sum(), SHARDS + 1)[1:-1])
        bounds = [0, *self.starts[cuts], self.lengths.sum()]
        for number, (first, last) in enumerate(pairwise(bounds)):
            self.shards.append(folder / f"{number}.npy")
            np.save(self.shards[-1], values[first:last].astype(np.float16))
        self.in_memory = MemoryRows(torch.from_numpy(values.astype(np.float16)))
        self.on_disk = DiskRows([np.load(path, mmap_mode="r") for path in self.shards])

    def rows(self) -> Rows:
        """Of a random batch."""
        length = self.random.choice(self.lengths)
        return self.random.choice(np.flatnonzero(self.lengths == length), BATCH)

    def gather(self, layer: LayerRows) -> torch.Tensor:
        """A batch out of our own store."""
        rows = self.rows()
        lengths = self.lengths[rows]
        return layer.gather(self.starts[rows], lengths, int(lengths.max()), torch.float32)

    def gather_hdf5(self, file: h5py.File) -> torch.Tensor:
        """A batch out of one dataset per tweet."""
        rows = self.rows()
        found = np.zeros((BATCH, int(self.lengths[rows].max()), self.vector), np.float32)
        for place, row in enumerate(rows):
            found[place, : self.lengths[row]] = file[str(row)][...]
        return torch.from_numpy(found)


def bench_reading(folder: Path, model: str, tweets: int) -> None:
    """Print milliseconds per batch and ratios, of the clock, since reading a disk takes no processor."""
    announce(f"elmo cache, {model} size, {BATCH} of {tweets:,} tweets")
    stored = Stored(folder, VECTORS[model], tweets)
    with h5py.File(stored.hdf5, "r") as file:
        warm = seconds(lambda: stored.gather_hdf5(file))
    memory = seconds(lambda: stored.gather(stored.in_memory))
    disk = seconds(lambda: stored.gather(stored.on_disk))

    def cold_hdf5() -> None:
        with h5py.File(stored.hdf5, "r") as file:
            stored.gather_hdf5(file)

    cold = seconds(cold_hdf5, lambda: forget([stored.hdf5]))
    cold_disk = seconds(lambda: stored.gather(stored.on_disk), lambda: forget(stored.shards))
    print(
        f"  warm: HDF5 {warm * 1e3:.1f} ms; memory {memory * 1e3:.2f} ms, {warm / memory:.0f} x; "
        f"disk {disk * 1e3:.2f} ms, {warm / disk:.0f} x"
    )
    print(f"  cold: HDF5 {cold * 1e3:.1f} ms; disk {cold_disk * 1e3:.2f} ms, {cold / cold_disk:.1f} x")


def bench_grid(folder: Path) -> None:
    """Train two runs of a grid on one cache and print what the second one saves."""
    write_random_model(folder / "model", SIZES["small"])
    times, encoding = [], []
    for dropout in (0.0, 0.2):
        parameters = {
            "data.source": "sample",
            "data.text.lowercase": False,
            "elmo.model": str(folder / "model"),
            "elmo.dropout": dropout,
            "training.epochs": 3,
            "model.hidden_size": 64,
            "runtime.threads": torch.get_num_threads(),
        }
        config, results = resolve({}, parameters, "the benchmark"), Results(folder / "results")
        started: list[float] = []

        def progress(what: str, done: int, total: int | None, started: list[float] = started) -> None:
            if what.startswith("ELMo"):
                started.append(time.perf_counter())

        run_dir = results.run_dir(config.run_id)
        quiet = Console(say=lambda line: None, progress=progress)
        run = RunContext(config, results, run_dir, console=quiet)
        times.append(seconds(lambda: run_experiment(run), repeats=1))  # noqa: B023
        encoding.append(started[-1] - started[0] if started else 0.0)
    print(
        f"elmo grid, small size, 1,000 tweets: first run {times[0]:.1f} s (encoding {encoding[0] / times[0]:.0%}), "
        f"second {times[1]:.1f} s (encoding {encoding[1] / times[1]:.0%}): {times[0] / times[1]:.1f} x"
    )


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tweets", type=int, default=8_000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for model in VECTORS:
        with tempfile.TemporaryDirectory() as folder:
            bench_reading(Path(folder), model, options.tweets)
    with tempfile.TemporaryDirectory() as folder:
        bench_grid(Path(folder))


if __name__ == "__main__":
    main()
