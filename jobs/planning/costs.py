"""The cost of runs, in seconds and bytes, by runs that are completed here."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from jobs.grids.requirements import TrainingTweets
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import files_in
from sentiment.run_dir import Results, RunDir


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
    tweets: int
    """In the training part."""


_ELMO_SIZE = 1024  # numbers of a token's vector in the published models, but for the small one's 256

# Runs on fewer tweets by more than this tell little of a run's time: they mostly begin and end.
_FEWER = 10

_MINUTE, _HOUR = 60.0, 3600.0

Basis = Literal["runs of the same size", "runs on the same tweets", "runs on other tweets"]
"""What a run is judged by."""


@dataclass(frozen=True)
class Guess:
    """What one run may cost."""

    basis: Basis
    seconds: float
    least: float
    most: float
    """Seconds as well; they differ from `seconds` where completed runs are not alike."""
    epoch: float
    """Seconds of an epoch."""
    bytes: float
    devices: frozenset[str] = frozenset()
    """The devices of the completed runs."""


@dataclass(frozen=True)
class Costs:
    """What some runs may cost together: those that are judged by completed ones."""

    seconds: float
    least: float
    most: float
    bytes: int
    bases: Counter[Basis]
    """How many runs are judged by what; the others are in no sum."""
    devices: list[str]
    """The devices of the completed runs."""


def estimate(configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets) -> Costs:
    """Sum up what `guesses` finds."""
    found = [guess for guess in guesses(configs, completed, tweets) if guess]
    return Costs(
        seconds=sum(guess.seconds for guess in found),
        least=sum(guess.least for guess in found),
        most=sum(guess.most for guess in found),
        bytes=round(sum(guess.bytes for guess in found)),
        bases=Counter(guess.basis for guess in found),
        devices=sorted(frozenset[str]().union(*(guess.devices for guess in found))),
    )


def guesses(configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets) -> list[Guess | None]:
    """Judge each run by the first of these that there is; None where there is none.

    Completed runs of its size on its tweets: their mean. Others on its tweets: as long as they took, or in proportion
    to the work of a step, since small nets wait for the GPU and large ones compute. Runs on other tweets, of its size
    if there are any, but not on far fewer: in proportion to the number of training tweets; for as many epochs, or for
    all it may take. Where there are completed runs on a GPU, only these count.
    """
    known = list(completed)
    known = [run for run in known if run.device != "cpu"] or known
    same_size, same_tweets = _grouped(known, lambda one: (_tweets(one), _size(one))), _grouped(known, _tweets)
    size, elmo = _grouped(known, lambda one: (_elmo(one), _size(one))), _grouped(known, _elmo)
    found: list[Guess | None] = []
    for config in configs:
        if group := same_size.get((_tweets(config), _size(config))):
            found.append(_by_runs(config, group, "runs of the same size"))
        elif group := same_tweets.get(_tweets(config)):
            found.append(_by_runs(config, group, "runs on the same tweets"))
        elif (number := tweets(config)) is None:
            found.append(None)
        else:
            group = _on_enough_tweets(number, size.get((_elmo(config), _size(config))), elmo.get(_elmo(config)))
            found.append(_by_runs(config, group, "runs on other tweets", number) if group else None)
    return found


def epoch_cost(
    configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets
) -> tuple[float, str] | None:
    """Mean seconds of an epoch of these runs, and of what: "" of a machine, or "GPU-".

    None if nothing is known of one of them.
    """
    found = guesses(configs, completed, tweets)
    whole = [guess for guess in found if guess]
    if not whole or len(whole) < len(found):
        return None
    on_cpu = any("cpu" in guess.devices for guess in whole)
    return fmean(guess.epoch for guess in whole), "" if on_cpu else "GPU-"


def told_time(seconds: float, kind: str) -> str:
    """In hours, minutes or seconds, of `kind`, such as "GPU-"."""
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:,.1f} {kind}hours"
    return f"{seconds / _MINUTE:.1f} {kind}minutes" if seconds >= _MINUTE else f"{seconds:.0f} {kind}seconds"


def _on_enough_tweets(tweets: int, *groups: Sequence[Completed] | None) -> list[Completed]:
    """Of the first group that has any: runs whose time tells something of this number of training tweets."""
    found = ([run for run in group or [] if run.tweets * _FEWER >= tweets] for group in groups)
    return next(filter(None, found), [])


def _by_runs(config: RunConfig, group: Sequence[Completed], basis: Basis, tweets: int | None = None) -> Guess:
    """By completed runs, in proportion to the number of training tweets if that is given."""
    least, most = [], []
    shares = [tweets / run.tweets if tweets else 1.0 for run in group]
    for run, share in zip(group, shares, strict=True):
        ratio = 1.0 if basis == "runs of the same size" else _work(config) / _work(run.config)
        longer = max(config.training.epochs / run.epochs, 1) if tweets else 1.0
        least.append(run.seconds * share * min(ratio, 1))
        most.append(run.seconds * share * max(ratio, 1) * longer)
    paired = list(zip(group, shares, strict=True))
    return Guess(
        basis,
        seconds=fmean(run.seconds * share for run, share in paired),
        least=fmean(least),
        most=fmean(most),
        epoch=fmean(run.seconds / run.epochs * share for run, share in paired),
        bytes=fmean(run.bytes for run in group),
        devices=frozenset(run.device for run in group),
    )


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
            device, tweets = record.attempts[-1].device, result.metrics["train"].n
            yield Completed(config, result.seconds_trained, result.epochs, size, device, tweets)


def _grouped(runs: Iterable[Completed], key: Callable[[RunConfig], Any]) -> dict[Any, list[Completed]]:
    groups = defaultdict(list)
    for run in runs:
        groups[key(run.config)].append(run)
    return dict(groups)


def _tweets(config: RunConfig) -> tuple[Any, ...]:
    return config.data.source, config.data.max_rows, _elmo(config)


def _elmo(config: RunConfig) -> str | None:
    return config.elmo.model if config.elmo else None


def _size(config: RunConfig) -> tuple[Any, ...]:
    model = config.model
    size = model.kind, model.cell, model.hidden_size, model.layers, model.bidirectional, model.pooling
    return *size, config.training.batch_size


def _work(config: RunConfig) -> int:
    """Multiplications of the network for each token, about."""
    model, inputs = config.model, _ELMO_SIZE if config.elmo else config.embedding.size
    if model.kind == "feed_forward":
        return inputs * model.hidden_size + (model.layers - 1) * model.hidden_size**2
    directions, gates = 2 if model.bidirectional else 1, 4 if model.cell == "lstm" else 3
    sizes = [inputs, *[directions * model.hidden_size] * (model.layers - 1)]
    return sum(directions * gates * model.hidden_size * (size + model.hidden_size) for size in sizes)
