"""Reading cached ELMo vectors against one HDF5 dataset per tweet (as allennlp's `elmo` command writes them).

Vectors are random, of the small and of the original model's size. A batch is 256 random tweets of one length, as in
our epochs, side by side as float32, for both. "Cold" means that the system was told to forget the files before each
batch, as when a cache is larger than the memory. Times are the clock's, since reading a disk takes no processor.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch

from sentiment.encoders.cache import DiskRows, side_by_side, tokens_of
from tests.benchmarks.timing import announce

BATCH, SHARDS, REPEATS = 256, 8, 40
VECTORS = {"small": 256, "original": 1024}


def milliseconds(work: Callable[[], object], forgotten: list[Path] | None = None) -> float:
    """The median time of some calls; files that are to be forgotten are read from the disk each time."""
    times = []
    for _ in range(REPEATS):
        for path in forgotten or []:
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def bench(folder: Path, model: str, tweets: int) -> None:
    """Print milliseconds per batch, and ratios."""
    announce(f"elmo cache, {model} size, {BATCH} of {tweets:,} tweets")
    random, vector = np.random.default_rng(0), VECTORS[model]
    lengths = np.clip(random.gamma(3.5, 3.6, tweets).round().astype(np.int64), 3, 35)
    starts = np.cumsum(lengths) - lengths
    values = random.standard_normal((lengths.sum(), vector), dtype=np.float32)
    with h5py.File(folder / "vectors.hdf5", "w") as file:
        for tweet, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            file.create_dataset(str(tweet), data=values[start : start + length])
    shards = [folder / f"{number}.npy" for number in range(SHARDS)]
    bounds = [*starts[:: -(-tweets // SHARDS)], lengths.sum()]
    for path, first, last in zip(shards, bounds, bounds[1:], strict=False):
        np.save(path, values[first:last].astype(np.float16))
    memory = torch.from_numpy(values.astype(np.float16))
    disk = DiskRows([np.load(path, mmap_mode="r") for path in shards])

    def rows() -> np.ndarray:
        return random.choice(np.flatnonzero(lengths == random.choice(lengths)), BATCH)

    def gather(layer: torch.Tensor | DiskRows) -> None:
        chosen = rows()
        if isinstance(layer, DiskRows):
            found = layer.gather(starts[chosen], lengths[chosen])
        else:
            found = layer.index_select(0, torch.from_numpy(tokens_of(starts[chosen], lengths[chosen])))
        side_by_side(found.float(), lengths[chosen], int(lengths[chosen].max()))

    def gather_hdf5() -> None:
        chosen = rows()
        found = np.zeros((BATCH, int(lengths[chosen].max()), vector), np.float32)
        with h5py.File(folder / "vectors.hdf5", "r") as file:
            for place, row in enumerate(chosen):
                found[place, : lengths[row]] = file[str(row)][...]

    ways = {"memory": partial(gather, memory), "disk": partial(gather, disk)}
    hdf5 = milliseconds(gather_hdf5)
    told = [f"{name} {(taken := milliseconds(way)):.2f} ms, {hdf5 / taken:.0f} x" for name, way in ways.items()]
    print(f"  warm: HDF5 {hdf5:.1f} ms; {'; '.join(told)}")
    hdf5, taken = milliseconds(gather_hdf5, [folder / "vectors.hdf5"]), milliseconds(ways["disk"], shards)
    print(f"  cold: HDF5 {hdf5:.1f} ms; disk {taken:.1f} ms, {hdf5 / taken:.1f} x")


def main() -> None:
    """Measure both sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tweets", type=int, default=8_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for model in VECTORS:
        with tempfile.TemporaryDirectory() as folder:
            bench(Path(folder), model, options.tweets)


if __name__ == "__main__":
    main()
