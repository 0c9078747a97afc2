"""The cost of runs, in seconds and bytes, estimated from runs that are completed here."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import files_in
from sentiment.run_dir import Results, RunDir

_ELMO_SIZE = 1024  # numbers of a token's vector in the published models, but for the small one's 256


@dataclass(frozen=True)
class Completed:
    """What a completed run cost."""

    config: RunConfig
    seconds: float
    """Trained, over all attempts."""
    epochs: int
    bytes: int
    """The size of its directory."""
    device: str
    """`cpu`, or a GPU's name."""


@dataclass(frozen=True)
class Costs:
    """Estimated cost of some runs, from completed ones."""

    seconds: float
    least: float
    most: float
    """Seconds as well. The smaller and the larger of two guesses for each run that is not alike: the time of completed
    runs as it was, and in proportion to the work of a step. Small nets wait for the GPU, large ones compute."""
    bytes: int
    alike: int
    """For how many runs there are completed ones of the same size on the same tweets."""
    judged: int
    """For how many runs there are any on the same tweets; the others are not in the sums."""
    devices: list[str]
    """The devices of the completed runs."""


def estimate(configs: Sequence[RunConfig], completed: Iterable[Completed]) -> Costs:
    """Estimate each run as the mean of completed runs of its size on its tweets, else of any runs on its tweets.

    Where there are runs on a GPU, only these count.
    """
    known = list(completed)
    by_size = _grouped(_on_gpu(known), _size)
    alike = [config for config in configs if _size(config) in by_size]
    groups = _alike(configs, known)
    judged = [group for group in groups if group]
    ratios = [
        [(run.seconds, work(config) / work(run.config)) for run in group]
        for config, group in zip(configs, groups, strict=True)
        if group
    ]
    return Costs(
        seconds=sum(fmean(run.seconds for run in group) for group in judged),
        least=sum(fmean(seconds * min(ratio, 1) for seconds, ratio in group) for group in ratios),
        most=sum(fmean(seconds * max(ratio, 1) for seconds, ratio in group) for group in ratios),
        bytes=round(sum(fmean(run.bytes for run in group) for group in judged)),
        alike=len(alike),
        judged=len(judged),
        devices=sorted({run.device for group in judged for run in group}),
    )


def work(config: RunConfig) -> int:
    """Multiplications of the network for each token, about."""
    model, inputs = config.model, _ELMO_SIZE if config.elmo else config.embedding.size
    if model.kind == "feed_forward":
        return inputs * model.hidden_size + (model.layers - 1) * model.hidden_size**2
    directions, gates = 2 if model.bidirectional else 1, 4 if model.cell == "lstm" else 3
    sizes = [inputs, *[directions * model.hidden_size] * (model.layers - 1)]
    return sum(directions * gates * model.hidden_size * (size + model.hidden_size) for size in sizes)


def epoch_seconds(configs: Sequence[RunConfig], completed: Iterable[Completed]) -> float | None:
    """Mean seconds of an epoch of these runs, estimated likewise; None if nothing is known of one of them."""
    groups = _alike(configs, list(completed))
    if not groups or not all(groups):
        return None
    return fmean(fmean(run.seconds / run.epochs for run in group) for group in groups if group)


def read_completed(results: Results) -> Iterator[Completed]:
    """All completed runs of all grids; runs that cannot be read are left out."""
    for file in results.runs.glob("*/*/result.json"):
        run_dir = RunDir(file.parent)
        try:
            config, record, result = run_dir.read_config(), run_dir.read_record(), run_dir.read_result()
        except RunDirError:
            continue
        if record and result and record.attempts:
            size = sum(size for _, size in files_in(run_dir.path))
            yield Completed(config, result.seconds_trained, result.epochs, size, record.attempts[-1].device)


def _alike(configs: Sequence[RunConfig], completed: Sequence[Completed]) -> list[list[Completed] | None]:
    """For each configuration the completed runs by which it is judged."""
    known = _on_gpu(completed)
    by_size, by_tweets = _grouped(known, _size), _grouped(known, _tweets)
    return [by_size.get(_size(config)) or by_tweets.get(_tweets(config)) for config in configs]


def _on_gpu(completed: Sequence[Completed]) -> Sequence[Completed]:
    return [run for run in completed if run.device != "cpu"] or completed


def _grouped(runs: Iterable[Completed], key: Callable[[RunConfig], Any]) -> dict[Any, list[Completed]]:
    groups = defaultdict(list)
    for run in runs:
        groups[key(run.config)].append(run)
    return dict(groups)


def _tweets(config: RunConfig) -> tuple[Any, ...]:
    return config.data.source, config.data.max_rows, config.elmo.model if config.elmo else None


def _size(config: RunConfig) -> tuple[Any, ...]:
    model = config.model
    size = model.kind, model.cell, model.hidden_size, model.layers, model.bidirectional, model.pooling
    return *_tweets(config), *size, config.training.batch_size
