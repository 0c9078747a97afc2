"""Runs that nobody trained: each file of theirs, written in an instant by the product's own records.

Whoever invents a study says which tweets there are and what the predictors answer; here it becomes files.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.answers.recommendation import recommend_model
from sentiment.answers.table import Added, AnswerTable, Predictor
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.files import sha256_of, write_atomically
from sentiment.runs.corpus_records import MANIFEST, Manifest
from sentiment.runs.halving import HalvingSearch, read_search
from sentiment.runs.records import (
    PREDICTORS,
    Attempt,
    CacheRecord,
    EncoderRecord,
    Failure,
    GridPlan,
    Metrics,
    Part,
    PlannedRun,
    PredictorKind,
    Result,
    RunRecord,
)
from sentiment.runs.run_dir import KEYS_FILE, TWEETS_FILE, Results, RunDir, sealed
from sentiment.statistics.metrics import measure
from sentiment.training.task import judge_overfit

Parameters = dict[str, Any]
Probabilities = npt.NDArray[np.float64]
Scores = dict[PredictorKind, dict[Part, Metrics]]
PLANNED_AT = "2026-01-01T00:00:00+00:00"
STEPS = 10
"""Optimiser steps of an epoch."""
TRAINED = 400
"""Training tweets, of which a run may take fewer."""
UNFINISHED: tuple[dict[str, Any], ...] = (
    {"reason": "failed", "detail": "DivergedError: the loss is not a number"},
    {"reason": "signal", "detail": "SIGTERM", "last_step": 20},
    {"reason": None, "end": None, "last_step": None, "compute_time": None},
)
"""The last attempts of runs that failed, were stopped, and died without a word."""


@dataclass(frozen=True)
class Tested:
    """The tweets of a part: keys and classes, (n,), and each predictor's probabilities, (n, classes)."""

    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: dict[PredictorKind, Probabilities]


def combinations(values: Mapping[str, Iterable[Any]]) -> list[Parameters]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def attempt(**changes: Any) -> Attempt:
    """One that completed its run, but for the changes."""
    values = {"host": "node-1", "pid": 7, "job": "41_0", "code": "c"}
    values |= {"device": "cpu", "threads": 2, "versions": {"python": "3.12.1", "torch": "2.6.0"}}
    values |= {"git_commit": "c0ffee" * 6 + "c0ff", "git_dirty": False, "git_remote": "https://host.org/me/tweets"}
    values |= {"first_step": 0, "last_step": 40, "start": "2026-01-01T10:00:00+00:00", "reason": "completed"}
    values |= {"end": "2026-01-01T10:01:00+00:00", "compute_time": {"cpu_seconds": 90, "gpu_seconds": 0}}
    return Attempt.model_validate(values | changes)


def new_record(run_id: str, **changes: Any) -> RunRecord:
    values = {"run_id": run_id, "data_fingerprint": "0" * 64, "table_sha256": "0" * 64, "dataset": "table"}
    values |= {"attempts": [attempt()], "command": ["__main__.py", "train", "configs/runs/rnn.yaml"]}
    return RunRecord.model_validate(values | changes)


def new_plan(name: str, run_ids: Iterable[str], settings: Sequence[Parameters], **changes: Any) -> GridPlan:
    """A plan of runs with these parameters."""
    runs = [PlannedRun(index=index, run_id=run_id, parameters=settings[index]) for index, run_id in enumerate(run_ids)]
    values = {"name": name, "description": f"What of {name}?", "base": "configs/runs/rnn.yaml", "runs": runs}
    values |= {"planned_at": PLANNED_AT, "method": "grid", "metric": "validation/macro_f1", "goal": "maximize"}
    return GridPlan.model_validate(values | changes)


def write_unfinished(run_dir: RunDir, config: RunConfig, last: dict[str, Any]) -> None:
    """A run whose only attempt ended as `last` says, which is one of `UNFINISHED`."""
    run_dir.create(config)
    run_dir.write_record(new_record(config.run_id, attempts=[attempt(**last)]))
    if last["reason"] == "failed":
        origin = {"job": "41_8", "time": "2026-01-01T10:02:00+00:00", "traceback": ""}
        run_dir.write_record(Failure(error="DivergedError", reason="the loss ran away", **origin))


@dataclass
class Outcome:
    """What an invented run came to: its data, the answers of its predictors, and how it got there."""

    data: str
    """The fingerprint of its corpus, and `table` that of the file from which it is."""
    table: str
    tested: dict[Part, Tested]
    gains: dict[PredictorKind, float]
    """By how much a predictor is more accurate on training tweets than on validation tweets, if not by .02."""
    epochs: Sequence[Mapping[Part, tuple[float, float]]]
    """Of each epoch, what is added to a network's accuracy at last, and the factor of its loss."""
    texts: Callable[[int], str] | None
    """The text of a tweet by its key; None if the corpus is on another machine."""
    attention: Iterable[dict[str, Any]] = ()
    record: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    """Further fields of both records."""


@dataclass
class Study:
    """Where invented runs are written; `base` are the settings that they share."""

    results: Results
    base: dict[str, Any]
    classes: Sequence[str] = ("negative", "positive")

    def config(self, parameters: Parameters, name: str = "base") -> RunConfig:
        return resolve(self.base, parameters, name)

    def run_dir(self, config: RunConfig, grid: str = "single") -> RunDir:
        return self.results.run_dir(config.run_id, grid)

    def write_grid(self, name: str, description: str, settings: Sequence[Parameters], **plan: Any) -> list[RunConfig]:
        """Plan a grid of runs with these parameters; nothing is run yet."""
        configs = [self.config(parameters, name) for parameters in settings]
        run_ids = [config.run_id for config in configs]
        self.results.write_grid(new_plan(name, run_ids, settings, description=description, **plan))
        return configs

    def write(self, config: RunConfig, grid: str, outcome: Outcome) -> RunDir:
        """Write all files of a completed run, and its corpus."""
        run_dir = self.run_dir(config, grid)
        run_dir.create(config)
        tested = outcome.tested
        corpus = self.results.corpus_dir(outcome.data)
        if outcome.texts and not corpus.exists():
            _write_corpus(corpus, outcome, self.classes, min(config.data.train_rows or TRAINED, TRAINED))
        if config.model.pooling == "attention":
            _write_rows(run_dir.attention_file, outcome.attention)
        _write_predictions(run_dir, tested, self.classes)
        scores = _scores_of(outcome)
        _write_rows(run_dir.metrics_file, _log_of(outcome, scores["network"]))
        data = {"data_fingerprint": outcome.data, "table_sha256": outcome.table, "encoder": elmo_of(config)}
        run_dir.write_record(new_record(config.run_id, **data | outcome.record))
        run_dir.write_record(_result_of(config, tested["validation"], scores, outcome.result))
        return run_dir


class _Measured(Predictor):
    """Answers all tweets, and is not measured again."""

    def metrics(self, labels: npt.NDArray[np.int64]) -> Metrics:
        return measured(labels, self.probabilities)


def _result_of(config: RunConfig, validation: Tested, scores: Scores, changes: dict[str, Any]) -> Result:
    predictors = [_Measured(PREDICTORS[kind], kind, values) for kind, values in validation.probabilities.items()]
    table = AnswerTable(validation.keys, validation.labels, predictors)
    network = scores["network"]
    fields: dict[str, Any] = {"run_id": config.run_id, "stopped_by": "all epochs", "epochs": 4, "steps": 4 * STEPS}
    fields |= {"best_epoch": 3, "parameters": 1000 * config.model.hidden_size, "baseline_settings": {"C": 1.0}}
    fields |= {"recommended": recommend_model(table, config.training.early_stopping.metric), "scores": scores}
    fields |= {"overfit": judge_overfit(network["train"].accuracy, network["validation"].accuracy)}
    fields |= {"encoder": elmo_of(config), "files_sha256": {}, "weights_sha256": "0" * 64}
    fields["mixture"] = [0.5, 0.3, 0.2] if config.elmo and config.elmo.layers == "mix" else None
    return Result.model_validate(fields | changes)


def _scores_of(outcome: Outcome) -> Scores:
    """The metrics of each predictor in each part."""
    scores: Scores = {}
    for part, tweets in outcome.tested.items():
        for kind, probabilities in tweets.probabilities.items():
            scores.setdefault(kind, {})[part] = measured(tweets.labels, probabilities)
    for kind, parts in scores.items():
        validation = parts["validation"]
        gain = outcome.gains.get(kind, 0.02)
        changes: dict[str, Any] = {"accuracy": min(1.0, validation.accuracy + gain), "loss": validation.loss * 0.8}
        for name in ("precision", "recall"):
            changes[name] = [min(1.0, score + gain) for score in getattr(validation, name)]
        parts["train"] = validation.model_copy(update=changes)
    return scores


def measured(labels: npt.NDArray[Any], probabilities: Probabilities) -> Metrics:
    """As `measure` says; what many invented runs have in common is measured once."""
    return _measured(labels.astype(np.int64).tobytes(), np.ascontiguousarray(probabilities).tobytes(), len(labels))


@cache
def _measured(labels: bytes, probabilities: bytes, n: int) -> Metrics:
    return measure(np.frombuffer(labels, np.int64), np.frombuffer(probabilities, np.float64).reshape(n, -1))


def _write_predictions(run_dir: RunDir, tested: dict[Part, Tested], classes: Sequence[str]) -> None:
    parts = np.repeat([*tested], [len(tweets.keys) for tweets in tested.values()])
    columns: dict[str, Any] = {"part": pa.array(parts).dictionary_encode()}
    columns["tweet"] = np.concatenate([tweets.keys for tweets in tested.values()]).astype(np.int64)
    columns["label"] = np.concatenate([tweets.labels for tweets in tested.values()]).astype(np.int8)
    for kind in tested["test"].probabilities:
        probabilities = np.concatenate([tweets.probabilities[kind] for tweets in tested.values()])
        for index, name in enumerate(classes[1:], 1):
            columns[f"{kind}_{name}"] = probabilities[:, index].astype(np.float32)
    pq.write_table(pa.table(columns), run_dir.predictions_file)


def _log_of(outcome: Outcome, network: dict[Part, Metrics]) -> Iterator[dict[str, Any]]:
    """A step and the metrics of each part after each epoch, of which the third is the best."""
    for epoch, changes in enumerate(outcome.epochs, 1):
        place = {"step": STEPS * epoch, "epoch": epoch}
        yield {"kind": "step", **place, "loss": 0.5}
        row: dict[str, Any] = {"kind": "epoch", **place, "best": epoch == 3}
        for part, (rise, factor) in changes.items():
            metrics = network[part]
            accuracy = min(1.0, max(0.0, metrics.accuracy + rise))
            row[part] = metrics.model_dump() | {"accuracy": accuracy, "loss": metrics.loss * factor}
        yield row


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_corpus(folder: Path, outcome: Outcome, classes: Sequence[str], trained: int) -> None:
    """The corpus of tested tweets; of training tweets only the number."""
    assert outcome.texts
    folder.mkdir(parents=True)
    tested = outcome.tested
    keys = np.concatenate([tweets.keys for tweets in tested.values()])
    labels = np.concatenate([tweets.labels for tweets in tested.values()])
    parts = np.repeat([*tested], [len(tweets.keys) for tweets in tested.values()])
    texts = [outcome.texts(key) for key in keys.tolist()]
    pq.write_table(pa.table({"part": parts, "label": labels, "text": texts}), folder / TWEETS_FILE)
    np.save(folder / KEYS_FILE, keys)
    k = len(classes)
    rows: dict[str, Any] = {"train": {"rows": trained, "classes": [trained] + [0] * (k - 1)}}
    for part, tweets in tested.items():
        rows[part] = {"rows": len(tweets.keys), "classes": np.bincount(tweets.labels, minlength=k).tolist()}
    report = {"classes": [*classes], "tests": {}, "extra_train": [], "parts": rows, "unnamed_authors": {}}
    left_out = {"duplicates dropped": 15, "left out: tweet with several labels": 3}
    report |= {"read": 1300, "kept": 1280, "left_out": left_out}
    report |= {"table_sha256": "0" * 64, "remarks": {}, "tokens": 1, "types": 1}
    report |= {"refused": {"no text": {"count": 2, "lines": [7, 9]}}}
    digests = {name: sha256_of(folder / name) for name in (TWEETS_FILE, KEYS_FILE)}
    values = {"fingerprint": outcome.data, "report": report, "sha256": digests}
    write_atomically(folder / MANIFEST, sealed(Manifest.model_validate(values)))


def elmo_of(config: RunConfig) -> EncoderRecord | None:
    if config.elmo is None:
        return None
    cache = CacheRecord(folder=config.elmo.model, cpu_seconds=30, gpu_seconds=20)
    return EncoderRecord(model=config.elmo.model, fingerprint="e" * 64, cache=cache)


def write_added(folder: Path, name: str, said: Mapping[int, str | None], **changes: Any) -> Path:
    """What `sentiment add` would write: the class of each tweet, or None for an answer that is none."""
    values: dict[str, Any] = {"file": "answers.csv", "file_sha256": "a" * 64, "note": "", "annotator": False}
    values |= {"cost": None, "seconds": None, "tweets": max(len(said), 1), "predictions": said}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    write_atomically(path, sealed(Added.model_validate(values | changes)))
    return path


def added_dir(results: Results, run_dir: RunDir) -> Path:
    """Where predictors are added to the corpus of a run."""
    record = run_dir.read(RunRecord)
    return results.added_dir(record.data_fingerprint)


def rungs_of(results: Results, plan: GridPlan | None) -> HalvingSearch:
    """The rungs of a search that must have a plan."""
    rungs = plan and read_search(results, plan)
    assert rungs
    return rungs


def halve(results: Results, plan_name: str, run_dirs: Sequence[RunDir], rungs: Sequence[int]) -> list[RunDir]:
    """Make completed runs of a search those that were pruned after their rung; return the ones that were not."""
    whole = {run_dir: _content(run_dir) for run_dir in run_dirs}
    remaining = [*run_dirs]
    for epochs in rungs:
        for run_dir in remaining:
            _pause(run_dir, whole[run_dir][run_dir.metrics_file], epochs)
        ranked = rungs_of(results, results.read_grid(plan_name)).rank_current()
        promoted = ranked.rankings[-1].promoted_ids
        remaining = [run_dir for run_dir in remaining if run_dir.path.name in promoted]
    for run_dir in remaining:
        for file, content in whole[run_dir].items():
            file.write_bytes(content)
    return remaining


def _content(run_dir: RunDir) -> dict[Path, bytes]:
    files = (run_dir.result_file, run_dir.metrics_file, run_dir.record_file)
    return {file: file.read_bytes() for file in files}


def _pause(run_dir: RunDir, metrics_log: bytes, epochs: int) -> None:
    run_dir.result_file.unlink(missing_ok=True)
    lines = [line for line in metrics_log.splitlines(keepends=True) if json.loads(line)["epoch"] <= epochs]
    run_dir.metrics_file.write_bytes(b"".join(lines))
    paused = attempt(reason="paused", last_step=STEPS * epochs)
    run_dir.write_record(new_record(run_dir.path.name, attempts=[paused]))
