"""Runs that nobody trained: each file of theirs, written in an instant by the product's own records.

Whoever invents a study says which tweets there are and what the predictors answer; here it becomes files.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
PLANNED_AT = "2026-01-01T00:00:00+00:00"
STEPS = 10
"""Optimiser steps of an epoch."""
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


def write_plan(
    results: Results, base: dict[str, Any], /, name: str, settings: Sequence[Parameters], **changes: Any
) -> list[RunConfig]:
    """Plan a grid of changes of a base; the configurations of its runs."""
    configs = [resolve(base, parameters, name) for parameters in settings]
    results.write_grid(new_plan(name, [config.run_id for config in configs], settings, **changes))
    return configs


def write_unfinished(run_dir: RunDir, config: RunConfig, last: dict[str, Any]) -> None:
    """A run whose only attempt ended as `last` says, which is one of `UNFINISHED`."""
    run_dir.create(config)
    run_dir.write_record(new_record(config.run_id, attempts=[attempt(**last)]))
    if last["reason"] == "failed":
        origin = {"job": "41_8", "time": "2026-01-01T10:02:00+00:00", "traceback": ""}
        run_dir.write_record(Failure(error="DivergedError", reason="the loss ran away", **origin))


def write_completed(
    run_dir: RunDir, config: RunConfig, tested: dict[Part, Tested], record: RunRecord, **result: Any
) -> None:
    """The records and predictions of a completed run; `result` are fields of its result, with training scores.

    Its metric log and what belongs to attention are written apart.
    """
    write_predictions(run_dir, tested, config.data.label_names)
    run_dir.write_record(record)
    validation = tested["validation"]
    predictors = [Predictor(PREDICTORS[kind], kind, values) for kind, values in validation.probabilities.items()]
    table = AnswerTable(validation.keys, validation.labels, predictors)
    network = result["scores"]["network"]
    fields: dict[str, Any] = {"run_id": config.run_id, "stopped_by": "all epochs", "epochs": 4, "steps": 4 * STEPS}
    fields |= {"best_epoch": 3, "parameters": 1000 * config.model.hidden_size, "baseline_settings": {"C": 1.0}}
    fields |= {"recommended": recommend_model(table, config.training.early_stopping.metric)}
    fields |= {"overfit": judge_overfit(network["train"].accuracy, network["validation"].accuracy)}
    fields |= {"encoder": elmo_of(config), "files_sha256": {}, "weights_sha256": "0" * 64}
    fields["mixture"] = [0.5, 0.3, 0.2] if config.elmo and config.elmo.layers == "mix" else None
    run_dir.write_record(Result.model_validate(fields | result))


def scores_of(tested: dict[Part, Tested]) -> dict[PredictorKind, dict[Part, Metrics]]:
    """The metrics of each predictor in each part."""
    scores: dict[PredictorKind, dict[Part, Metrics]] = {}
    for part, tweets in tested.items():
        for kind, probabilities in tweets.probabilities.items():
            scores.setdefault(kind, {})[part] = measured(tweets.labels, probabilities)
    return scores


def measured(labels: npt.NDArray[Any], probabilities: Probabilities) -> Metrics:
    """As `measure` says; what many invented runs have in common is measured once."""
    return _measured(labels.astype(np.int64).tobytes(), np.ascontiguousarray(probabilities).tobytes(), len(labels))


@cache
def _measured(labels: bytes, probabilities: bytes, n: int) -> Metrics:
    return measure(np.frombuffer(labels, np.int64), np.frombuffer(probabilities, np.float64).reshape(n, -1))


def write_predictions(run_dir: RunDir, tested: dict[Part, Tested], classes: Sequence[str]) -> None:
    parts = np.repeat([*tested], [len(tweets.keys) for tweets in tested.values()])
    columns: dict[str, Any] = {"part": pa.array(parts).dictionary_encode()}
    columns["tweet"] = np.concatenate([tweets.keys for tweets in tested.values()]).astype(np.int64)
    columns["label"] = np.concatenate([tweets.labels for tweets in tested.values()]).astype(np.int8)
    for kind in tested["test"].probabilities:
        probabilities = np.concatenate([tweets.probabilities[kind] for tweets in tested.values()])
        for index, name in enumerate(classes[1:], 1):
            columns[f"{kind}_{name}"] = probabilities[:, index].astype(np.float32)
    pq.write_table(pa.table(columns), run_dir.predictions_file)


def write_epochs(run_dir: RunDir, epochs: Iterable[dict[str, Metrics]]) -> None:
    """A metric log with a step and the metrics of each part after each epoch, of which the third is the best."""
    rows: list[dict[str, Any]] = []
    for epoch, parts in enumerate(epochs, 1):
        place = {"step": STEPS * epoch, "epoch": epoch}
        rows.append({"kind": "step", **place, "loss": 0.5})
        rows.append({"kind": "epoch", **place, "best": epoch == 3})
        rows[-1] |= {part: metrics.model_dump() for part, metrics in parts.items()}
    run_dir.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_attention(run_dir: RunDir, rows: Iterable[dict[str, Any]]) -> None:
    run_dir.attention_file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_corpus(
    folder: Path, data: str, tested: dict[Part, Tested], texts: Iterable[str], classes: Sequence[str], trained: int
) -> None:
    """The corpus of some tested tweets, with their texts in this order; of training tweets only the number."""
    folder.mkdir(parents=True)
    labels = np.concatenate([tweets.labels for tweets in tested.values()])
    parts = np.repeat([*tested], [len(tweets.keys) for tweets in tested.values()])
    pq.write_table(pa.table({"part": parts, "label": labels, "text": [*texts]}), folder / TWEETS_FILE)
    np.save(folder / KEYS_FILE, np.concatenate([tweets.keys for tweets in tested.values()]))
    k = len(classes)
    rows: dict[str, Any] = {"train": {"rows": trained, "classes": [trained] + [0] * (k - 1)}}
    for part, tweets in tested.items():
        rows[part] = {"rows": len(tweets.keys), "classes": np.bincount(tweets.labels, minlength=k).tolist()}
    report = {"classes": [*classes], "tests": {}, "extra_train": [], "parts": rows, "unnamed_authors": {}}
    report |= {"read": 1300, "kept": 1280, "left_out": {"duplicates dropped": 15, "duplicates with other labels": 3}}
    report |= {"table_sha256": "0" * 64, "remarks": {}, "tokens": 1, "types": 1}
    report |= {"refused": {"no text": {"count": 2, "lines": [7, 9]}}}
    digests = {name: sha256_of(folder / name) for name in (TWEETS_FILE, KEYS_FILE)}
    values = {"fingerprint": data, "report": report, "sha256": digests}
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
    assert record
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
