"""A results folder as it lies on disk, read by json and pandas alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.oracle.recompute_numbers import Array, answer, metrics

MODELS = ("network", "baseline", "both")
KINDS = (*MODELS, "lexicon", "majority")
Row = dict[str, Any]
# Sections of a configuration that change no result, and the settings that choose the tweets of a fold.
_WITHOUT_EFFECT = ("description", "tracking", "runtime")


def read_json(path: Path) -> Row | None:
    """The content of a file; None if it is missing, cut or not JSON."""
    try:
        content: Row = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content


def dotted(values: Row, prefix: str = "") -> Row:
    flat: Row = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= dotted(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def with_first(later: Array) -> Array:
    """All probabilities, from those of all classes but the first, whose rounded sum may exceed 1."""
    later = later / np.maximum(later.sum(axis=1, keepdims=True), 1)
    return np.concatenate([np.maximum(1 - later.sum(axis=1, keepdims=True), 0), later], axis=1)


@dataclass(frozen=True)
class Predictions:
    """Tweets of a part, their classes, and the probabilities of each predictor, (n, classes)."""

    tweets: Array
    labels: Array
    probabilities: dict[str, Array]

    def right(self, kind: str) -> Array:
        return answer(self.probabilities[kind]) == self.labels


@dataclass
class Run:
    """The files of a run's folder."""

    path: Path
    grid: str
    planned: Row | None
    version: str = ""

    @property
    def id(self) -> str:
        return f"{self.path.name}, version {self.version}" if self.version else self.path.name

    @cached_property
    def config(self) -> Row | None:
        return read_json(self.path / "config.json")

    @cached_property
    def record(self) -> Row | None:
        return read_json(self.path / "run.json")

    @cached_property
    def result(self) -> Row | None:
        """The result of a completed run: one without its other records cannot be reported."""
        result = read_json(self.path / "result.json")
        return result if self.config and self.record else None

    @cached_property
    def classes(self) -> list[str]:
        return class_names(self.config["data"]["labels"])

    @cached_property
    def settings(self) -> Row:
        return dotted({name: value for name, value in self.config.items() if name not in _WITHOUT_EFFECT})

    @cached_property
    def predictions(self) -> dict[str, Predictions] | None:
        """By part; None if the file cannot be read."""
        try:
            table = pd.read_parquet(self.path / "predictions.parquet")
        except (OSError, ValueError):
            return None
        return {str(part): self._of(rows) for part, rows in table.groupby("part", observed=True, sort=False)}

    def _of(self, rows: pd.DataFrame) -> Predictions:
        probabilities = {}
        for kind in KINDS:
            if kind in self.result["scores"]:
                later = rows[[f"{kind}_{name}" for name in self.classes[1:]]].to_numpy(float)
                probabilities[kind] = with_first(later)
        return Predictions(rows["tweet"].to_numpy(), rows["label"].to_numpy(int), probabilities)

    @cached_property
    def _measured(self) -> dict[tuple[str, str], Row]:
        return {}

    def measured(self, part: str, kind: str = "network") -> Row:
        """Metrics from the predictions; recorded ones of training tweets, or if there are no predictions."""
        if (part, kind) not in self._measured:
            recorded = with_macro(self.result["scores"][kind][part])
            if self.predictions and part in self.predictions:
                predictions = self.predictions[part]
                recomputed = metrics(predictions.labels, predictions.probabilities[kind])
                # Predictions are stored with seven digits.
                assert abs(recomputed["loss"] - recorded["loss"]) < 1e-4, (self.path, part, kind)
                recorded = recomputed | {"loss": recorded["loss"]}
            self._measured[part, kind] = recorded
        return self._measured[part, kind]


def with_macro(recorded: Row) -> Row:
    """Recorded metrics with their means over the classes that occur."""
    present = [size > 0 for size in recorded["sizes"]]
    pairs = [*zip(recorded["precision"], recorded["recall"], strict=True)]
    f1 = [2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs]
    means = {}
    for name, values in (("precision", recorded["precision"]), ("recall", recorded["recall"]), ("f1", f1)):
        of_present = [value for value, is_present in zip(values, present, strict=True) if is_present]
        means[f"macro_{name}"] = sum(of_present) / len(of_present)
    return recorded | means


@dataclass
class Grid:
    name: str
    plan: Row | None
    runs: list[Run]


@dataclass
class Study:
    """All runs of a results folder, by grid; the single runs come last."""

    folder: Path
    grids: list[Grid] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        return [run for grid in self.grids for run in grid.runs]

    @property
    def completed(self) -> list[Run]:
        return [run for run in self.runs if run.result]

    def added(self, run: Run) -> dict[str, Row]:
        """The added predictors of a run's corpus, by name; predictions by tweet."""
        return read_added(self.folder / "added" / str(run.record["data_fingerprint"])[:16], run.classes)


def class_names(labels: Any) -> list[str]:
    """From the most negative to the most positive; pairs where the order is not that of names."""
    names = labels if isinstance(labels, dict) else [name for name, _ in labels]
    return [name for name in names if name != "ignored"]


def read_added(folder: Path, classes: Sequence[str]) -> dict[str, Row]:
    records = {file.stem: read_json(file) for file in sorted(folder.glob("*.json"))}
    added = {name: record for name, record in records.items() if record}
    for record in added.values():
        said = {int(tweet): answer for tweet, answer in record["predictions"].items()}
        one_hot = {name: [float(name == other) for other in classes] for name in classes}
        record["predictions"] = {tweet: one_hot[answer] if answer else None for tweet, answer in said.items()}
    return added


def read_study(folder: Path) -> Study:
    study = Study(folder)
    for path in sorted((folder / "runs").glob("*/"), key=lambda path: (path.name == "single", path.name)):
        plan = read_json(path / "grid.json")
        planned = {run["run_id"]: run for run in plan["runs"]} if plan else {}
        names = dict.fromkeys([*planned, *sorted(inner.name for inner in path.iterdir() if inner.is_dir())])
        runs = [Run(path / name, path.name, planned.get(name)) for name in names]
        if runs:
            study.grids.append(Grid(path.name, plan, runs))
    planned_at = {grid.name: grid.plan["planned_at"] for grid in study.grids if grid.plan}
    study.grids.sort(key=lambda grid: (grid.name == "single", not grid.plan, planned_at.get(grid.name, ""), grid.name))
    corpora = {(run.path.name, run.record["data_fingerprint"]) for run in study.completed if run.record}
    names = [name for name, _ in corpora]
    for run in study.completed:
        if names.count(run.path.name) > 1 and run.record:
            run.version = run.record["data_fingerprint"][:8]
    return study
