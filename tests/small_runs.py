"""Invented tweets, small runs on them, and digests by which finished runs are compared.

What needs torch is imported when it is called: the process that only deals out the tests waits for none of it.
"""

import csv
import json
import random
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import RootModel

from sentiment.config import RunConfig
from sentiment.config_file import parse_override, read_yaml, resolve
from sentiment.console import Console
from sentiment.files import sha256_of, write_atomically
from sentiment.runs.records import CheckScore, PredictorKind, Result, RunRecord
from sentiment.runs.run_dir import R, Results, RunDir, sealed
from sentiment.training.stop import RunContext, Stop, StopRequest
from sentiment.version import STAMP_KEY

_GOOD = ("lovely", "great", "happy", "sweet", "brilliant", "thankful", "yay", "awesome")
_BAD = ("awful", "sad", "terrible", "angry", "horrid", "tired", "ugh", "broken")
_THINGS = ("tea", "bus", "monday", "exam", "garden", "phone", "cake", "homework", "weather", "cat", "song", "meeting")
_FILLERS = ("so", "really", "just", "my", "the", "and", "this", "again", "today", "was", "with", "for", "at", "home")
_NOISE = 0.15

TWEETS = 900

# Small enough for a second or two on one thread, with several epochs and steps in each.
SMALL_RUN: dict[str, Any] = {
    "description": "a small run on invented tweets",
    "embedding": {"size": 8, "token_dropout": 0.1},
    "model": {"hidden_size": 6, "dropout": 0.1},
    "training": {"batch_size": 64, "learning_rate": 0.02, "epochs": 3, "log_every": 5},
    "runtime": {"device": "cpu", "threads": 1, "checkpoint": {"every_steps": 6}},
}

# Each kind of network and of optimiser, to be stopped and resumed.
MODELS: dict[str, dict[str, Any]] = {
    "feed-forward by SGD": {
        "model__kind": "feed_forward",
        "model__pooling": "mean",
        "model__layers": 2,
        "training__optimizer": "sgd",
        "training__clip": None,
    },
    "two-layer BiLSTM": {"model__layers": 2, "model__dropout": 0.3, "embedding__dropout": 0.1},
    "one-way GRU, last": {"model__cell": "gru", "model__bidirectional": False, "model__pooling": "last"},
    "attention with penalty": {"model__pooling": "attention", "model__attention__penalty": 0.3},
}


def invented_tweets(count: int, seed: int = 0) -> list[tuple[int, str]]:
    """(label, text): opinions on everyday things, most of them clear, of 3 to 20 words, all different."""
    rng = random.Random(seed)
    tweets: dict[str, int] = {}
    while len(tweets) < count:
        label = len(tweets) % 2
        words = [*rng.choices(_FILLERS, k=rng.randrange(1, 17)), rng.choice(_THINGS)]
        words.append(rng.choice((_BAD, _GOOD)[label if rng.random() > _NOISE else 1 - label]))
        rng.shuffle(words)
        tweets.setdefault(" ".join([*words, rng.choice((":)", ":(", "!", "..."))]), label)
    return [(label, text) for text, label in tweets.items()]


def write_tweets(path: Path, rows: Iterable[Sequence[object]], header: Sequence[str] = ("label", "text")) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def load_config(path: Path, overrides: Iterable[str] = ()) -> RunConfig:
    parameters = dict(map(parse_override, overrides))
    return resolve(read_yaml(path), parameters, str(path))


def small_config(tweets: Path, **changes: Any) -> RunConfig:
    """The small run on a file of tweets; changes are named like `model__cell="gru"`."""
    parameters = {name.replace("__", "."): value for name, value in changes.items()}
    return resolve(SMALL_RUN, {"data.source": str(tweets)} | parameters, "the small run")


@dataclass
class Digest:
    """What two equal runs have in common."""

    best: str
    last: str
    metrics: str
    check_list: dict[PredictorKind, dict[str, CheckScore]]


def stored(run_dir: RunDir, kind: type[R]) -> R:
    """A record that must be there."""
    record = run_dir.read(kind)
    assert record is not None
    return record


def digest_of(run_dir: RunDir) -> Digest:
    from sentiment.training.checkpoint import read_weights, weights_sha256

    result = stored(run_dir, Result)
    best, last = (weights_sha256(read_weights(path)) for path in (run_dir.best_weights, run_dir.last_weights))
    return Digest(best, last, sha256_of(run_dir.metrics_file), result.check_list)


@dataclass
class Experiment:
    """A run in a directory of its own, on a corpus that is prepared once; it remembers what was said."""

    config: RunConfig
    results: Results
    run_dir: RunDir
    said: list[str] = field(default_factory=list)

    @property
    def record(self) -> RunRecord:
        return stored(self.run_dir, RunRecord)

    @property
    def result(self) -> Result:
        return stored(self.run_dir, Result)

    def attempt(self, stop: StopRequest | None = None) -> Stop | None:
        from sentiment.training.experiment import run_experiment

        console = Console(say=self.said.append, progress=lambda what, done, total: None)
        return run_experiment(RunContext(self.config, self.results, self.run_dir, stop or StopRequest(), console))

    def complete(self) -> Digest:
        assert self.attempt() is None
        return digest_of(self.run_dir)


def run_in(folder: Path, config: RunConfig) -> Experiment:
    """A run outside of grids in this folder of results."""
    results = Results(folder)
    return Experiment(config, results, results.run_dir(config.run_id))


class StopWhen(StopRequest):
    """Has a reason to stop at the questions that `wanted` chooses; they are counted from 1."""

    def __init__(self, wanted: Callable[[int], bool]) -> None:
        super().__init__()
        self._wanted = wanted
        self.asked = 0
        self._stopped: Stop | None = None

    def reason(self) -> Stop | None:
        self.asked += 1
        if self._stopped is None and self._wanted(self.asked):
            self._stopped = Stop("signal", "SIGTERM")
        return self._stopped


def complete_with_stops(run: Experiment, every: int, at_most: int = 60) -> tuple[Digest, int]:
    """Train with a stop at every so-manieth question, until it is completed; also how often that was."""
    for stops in range(at_most):
        if run.attempt(StopWhen(lambda question: question == every)) is None:
            return digest_of(run.run_dir), stops
    raise AssertionError(f"not completed after {at_most} attempts")


def unsealed_json(path: Path) -> dict[str, Any]:
    """The fields of a record's file."""
    fields: dict[str, Any] = json.loads(path.read_bytes())
    del fields[STAMP_KEY], fields["seal"]
    return fields


def rewrite(path: Path, changes: Mapping[str, Any]) -> None:
    """Change fields of a record in its file, which has a seal again."""
    write_atomically(path, sealed(RootModel({**unsealed_json(path), **changes})))


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Limit files to `size` bytes in the context, as on a full disk. Python ignores the signal, so writing fails."""
    former, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (former, hard))
