"""The cost of runs, in seconds and bytes, by runs that are completed here, else by a rule of thumb."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from jobs.grids.requirements import TrainingTweets
from jobs.planning.rule_of_thumb import TIMES, epoch_core_seconds, work
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


CORES = "core-"
"""Of what hours are by the rule of thumb; those by completed runs are "GPU-" hours, or just hours of a machine."""

# Runs on fewer tweets by more than this tell little of a run's time: they mostly begin and end.
_FEWER = 10

_MINUTE, _HOUR = 60.0, 3600.0

Basis = Literal["runs of the same size", "runs on the same tweets", "runs on other tweets", "rule"]
"""What a run is judged by: completed ones, or the rule of thumb."""


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
    """How many runs are judged by what; the others are in no sum, since the number of their tweets is not known."""
    devices: list[str]
    """The devices of the completed runs."""
    rule_least: float
    rule_most: float
    """Seconds on one core, of the runs that are judged by the rule of thumb."""

    @property
    def measured(self) -> int:
        """How many runs are judged by completed ones."""
        return self.bases.total() - self.bases["rule"]


def estimate(configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets) -> Costs:
    """Sum up what `guesses` finds."""
    found = [guess for guess in guesses(configs, completed, tweets) if guess]
    measured = [guess for guess in found if guess.basis != "rule"]
    by_rule = [guess for guess in found if guess.basis == "rule"]
    return Costs(
        seconds=sum(guess.seconds for guess in measured),
        least=sum(guess.least for guess in measured),
        most=sum(guess.most for guess in measured),
        bytes=round(sum(guess.bytes for guess in measured)),
        bases=Counter(guess.basis for guess in found),
        devices=sorted(frozenset[str]().union(*(guess.devices for guess in measured))),
        rule_least=sum(guess.least for guess in by_rule),
        rule_most=sum(guess.most for guess in by_rule),
    )


def guesses(configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets) -> list[Guess | None]:
    """Judge each run by the first of these that there is; None where there is none.

    Completed runs of its size on its tweets: their mean. Others on its tweets: as long as they took, or in proportion
    to the work of a step, since small nets wait for the GPU and large ones compute. Runs of its size on other tweets,
    but not on far fewer: in proportion to the number of training tweets; for as many epochs, or for all it may take.
    The rule of thumb, or, since that knows neither GPUs nor ELMo, runs of other sizes on other tweets. Where there are
    completed runs on a GPU, only these count.
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
        elif group := _on_enough_tweets(number, size.get((_elmo(config), _size(config))), _without_rule(config, elmo)):
            found.append(_by_runs(config, group, "runs on other tweets", number))
        else:
            found.append(_by_rule(config, number))
    return found


def epoch_cost(
    configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets
) -> tuple[float, str] | None:
    """Mean seconds of an epoch of these runs, and of what: "" of a machine, "GPU-" or "core-" by the rule of thumb.

    None if nothing is known of one of them, or if they can't be added up.
    """
    found = guesses(configs, completed, tweets)
    whole = [guess for guess in found if guess]
    if not whole or len(whole) < len(found) or len({guess.basis == "rule" for guess in whole}) > 1:
        return None
    if whole[0].basis == "rule":
        return fmean(guess.epoch for guess in whole), CORES
    on_cpu = any("cpu" in guess.devices for guess in whole)
    return fmean(guess.epoch for guess in whole), "" if on_cpu else "GPU-"


def told_time(seconds: float, kind: str) -> str:
    """In hours, minutes or seconds, of `kind`, such as "GPU-"."""
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:,.1f} {kind}hours"
    return f"{seconds / _MINUTE:.1f} {kind}minutes" if seconds >= _MINUTE else f"{seconds:.0f} {kind}seconds"


def _without_rule(config: RunConfig, by_elmo: dict[str | None, list[Completed]]) -> list[Completed]:
    """Runs of any size, where the rule of thumb does not help: with ELMo, and on GPUs."""
    group = by_elmo.get(_elmo(config), [])
    return group if config.elmo or any(run.device != "cpu" for run in group) else []


def _on_enough_tweets(tweets: int, *groups: Sequence[Completed] | None) -> list[Completed]:
    """Of the first group that has any: runs whose time tells something of this number of training tweets."""
    found = ([run for run in group or [] if run.tweets * _FEWER >= tweets] for group in groups)
    return next(filter(None, found), [])


def _by_runs(config: RunConfig, group: Sequence[Completed], basis: Basis, tweets: int | None = None) -> Guess:
    """By completed runs, in proportion to the number of training tweets if that is given."""
    least, most = [], []
    shares = [tweets / run.tweets if tweets else 1.0 for run in group]
    for run, share in zip(group, shares, strict=True):
        ratio = 1.0 if basis == "runs of the same size" else work(config) / work(run.config)
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


def _by_rule(config: RunConfig, tweets: int) -> Guess | None:
    """By the rule of thumb, which is for word vectors: from early stopping as soon as possible to all epochs."""
    if config.elmo:
        return None
    epoch, training = epoch_core_seconds(config, tweets), config.training
    fewest = min((training.early_stopping.patience or training.epochs) + 1, training.epochs)
    most = epoch * training.epochs
    return Guess("rule", most, epoch * fewest / TIMES, most * TIMES, epoch, bytes=0)


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
