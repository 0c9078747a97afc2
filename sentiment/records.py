"""What is written down about runs: validated and versioned records of attempts, metrics, results and grids."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from sentiment.config_file import yaml_text
from sentiment.errors import RunDirError

SCHEMA_VERSION = 1

NEGATIVE, POSITIVE = 0, 1
LABELS = ("negative", "positive")
"""The word for each label."""

THRESHOLD = 0.5
"""A tweet is classified as positive if its probability is at least this."""

Part = Literal["train", "validation", "test", "second_test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test", "second_test")
Reason = Literal["completed", "signal", "deadline", "failed"]
R = TypeVar("R", bound="Record")


def predicted_label(probability: float) -> str:
    """The word for the label that a probability of positive sentiment predicts."""
    return LABELS[POSITIVE if probability >= THRESHOLD else NEGATIVE]


def timestamp() -> str:
    """The current time as in records: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Record(BaseModel):
    """Base of all records: frozen, and strict about unknown fields, so that records of a later version are noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_by_name=True)


class Metrics(Record):
    """Scores of a classifier on one part of the data; precision, recall and F1 are those of the positive class."""

    n: int
    """Number of tweets."""
    loss: float
    """Mean binary cross-entropy in nats."""
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    """Upper bound of the 95 % interval of the accuracy (Wilson); `accuracy_low` is the lower one."""
    precision: float
    recall: float
    f1: float


class Attempt(Record):
    """One execution of a run; `end` and `reason` remain None if its process was killed."""

    host: str
    pid: int
    job: str | None
    """Slurm's `<array>_<task>` or job id; None outside Slurm."""
    restart_count: int
    """How often Slurm had requeued the job before."""
    device: str
    """The GPU's name, or `cpu`."""
    processor: str | None = None
    """The processor's model; like the next two None in records of earlier versions."""
    cpu_capability: str | None = None
    """The vector instructions that torch uses, such as AVX2."""
    compute_capability: str | None = None
    """Of the GPU, such as 9.0; None on a CPU."""
    threads: int
    first_step: int
    """Optimiser steps that earlier attempts had done and saved."""
    last_step: int | None = None
    start: str
    """ISO 8601, UTC."""
    end: str | None = None
    reason: Reason | None = None
    detail: str | None = None
    """The name of the signal, the time that was left, or the error in one line."""


class Failure(Record):
    """`failure.json`: why the newest attempt of a run in a grid failed; deleted when the next one begins."""

    schema_version: int = SCHEMA_VERSION
    job: str | None
    """As in `Attempt`."""
    time: str
    """ISO 8601, UTC."""
    error: str
    """The name of the exception."""
    reason: str
    """Its message in one line."""
    traceback: str


class ElmoRecord(Record):
    """The ELMo model whose vectors a run reads."""

    model: str
    fingerprint: str
    """SHA-256 of its files."""
    state: dict[str, str]
    """The LSTMs' state at the beginning of a tweet; for `warm` with the hash of the text."""
    random: bool
    """Whether its weights are random, so that scores say nothing about ELMo."""


class RunRecord(Record):
    """`run.json`: the provenance of a run, and its attempts."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    config_fingerprint: str
    data_fingerprint: str
    dataset: str | None = None
    """The data set that was read: the name of a data source, or `table`; None in records of earlier versions."""
    elmo: ElmoRecord | None = None
    pretrained_sha256: str | None = None
    """Of the file that `embedding.pretrained` names; None if none does, and in records of earlier versions."""
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    command: list[str]
    attempts: list[Attempt]
    hardware: list[str] = []
    """The kinds of hardware that computed the steps, in their order; more than one if it went on on another one."""


class WandbRun(Record):
    """`wandb.json`: the run at Weights & Biases that a run is copied to."""

    schema_version: int = SCHEMA_VERSION
    id: str
    project: str | None
    entity: str | None
    """None is the default of the account."""
    confirmed_rows: int = 0
    """Number of rows that the server is known to have."""


class Overfit(Record):
    """The verdict on overfitting and the numbers that it is based on; all are of the best epoch, without dropout."""

    overfits: bool
    rule: str
    train_accuracy: float
    validation_accuracy: float
    gap: float


class Result(Record):
    """`result.json`, written last: the run is completed if and only if it exists."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    stopped_by: Literal["early stopping", "all epochs"]
    epochs: int
    steps: int
    best_epoch: int
    """Counted from 1."""
    parameters: int
    """Number of trainable weights."""
    vocabulary_size: int
    metrics: dict[Part, Metrics]
    """Measured with the weights of the best epoch."""
    baseline: Annotated[dict[Part, Metrics], Field(validation_alias=AliasChoices("baseline", "floor"))]
    """TF-IDF and logistic regression on the same parts."""
    combination: dict[Part, Metrics]
    """The mean of the model's and the baseline's probabilities."""
    baseline_settings: Annotated[
        dict[str, Any], Field(validation_alias=AliasChoices("baseline_settings", "floor_settings"))
    ]
    """In results of earlier versions `baseline` and this are called `floor` and `floor_settings`."""
    overfit: Overfit
    elmo: ElmoRecord | None = None
    mixture: list[float] | None = None
    """The learned weight of each ELMo layer, from the context-free one to the top, with sum 1, if they are mixed."""
    epochs_to_accuracy: dict[str, int | None]
    seconds_per_epoch: float
    seconds_trained: float
    """Over all attempts, without work that was lost and repeated."""
    checkpoint_seconds: float
    weights_sha256: str
    metrics_sha256: str


class PlannedRun(Record):
    """One run of a grid. Its index never changes."""

    index: int
    run_id: str
    parameters: dict[str, Any]
    """In what it differs from the grid's base file: values by dotted name, such as `model.hidden_size`."""

    def overrides(self, *sections: str) -> list[str]:
        """The parameters as options of `python -m sentiment`; of some sections only (`data.`), if any is named."""
        chosen = (pair for pair in self.parameters.items() if not sections or pair[0].startswith(sections))
        return [word for name, value in chosen for word in ("--set", f"{name}={yaml_text(value)}")]


class GridPlan(Record):
    """`grid.json`: the question of a grid, and its runs; written before the first of them starts."""

    schema_version: int = SCHEMA_VERSION
    name: str
    description: str
    """The question, in a sentence."""
    method: Literal["grid", "random"]
    metric: str
    """The metric that the best run is chosen by, as W&B names it, such as `validation/f1`."""
    goal: Literal["maximize", "minimize"]
    base: str
    """The configuration file that the parameters of all runs are laid over."""
    parameters: dict[str, list[Any]]
    """The possible values of each parameter, by dotted name; constants have one."""
    runs: list[PlannedRun]

    def command(self, run: PlannedRun) -> list[str]:
        """What trains one of the runs by itself: the same configuration, so the same run id."""
        return ["python", "-m", "sentiment", "train", self.base, *run.overrides()]


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        RunDirError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None


def read_record(path: Path, kind: type[R]) -> R | None:
    """The record in a JSON file; None if there is no file.

    Raises:
        RunDirError: it cannot be read, is not a record of this kind, or is one of another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # not asked beforehand, since another process may delete the file at any time
        return None
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        found = _version_in(content)
        if found not in (None, SCHEMA_VERSION):
            raise RunDirError(f"{path}: has schema version {found}, this program reads {SCHEMA_VERSION}") from None
        raise RunDirError(f"{path}: is not a valid record: {error}") from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a file of JSON rows; none if there is no file.

    Raises:
        RunDirError: the file cannot be read, or a line is not JSON.
    """
    lines = read_text(path).splitlines(keepends=True) if path.exists() else []
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise RunDirError(f"{path}: has a line that is not JSON: {error}") from None


def _version_in(content: bytes) -> Any:
    try:
        return json.loads(content).get("schema_version")
    except (ValueError, AttributeError):
        return None
