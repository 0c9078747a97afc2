"""What a run writes down about itself: attempts, metrics and the result, as checked and versioned records."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

THRESHOLD = 0.5
"""Decision threshold: a tweet counts as positive from this probability on."""

Part = Literal["train", "validation", "test", "second_test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test", "second_test")
Reason = Literal["completed", "signal", "deadline", "failed"]


def timestamp() -> str:
    """Now, as records write it: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Record(BaseModel):
    """Base of all records: frozen; unknown fields are refused, so that a future version is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_by_name=True)


class Metrics(Record):
    """How a classifier does on one part of the data; precision, recall and F1 are those of the positive class."""

    n: int
    """Tweets."""
    loss: float
    """Mean binary cross-entropy in nats."""
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    """Bounds of the 95 % interval of accuracy (Wilson)."""
    precision: float
    recall: float
    f1: float


class Attempt(Record):
    """One execution of a run; `end` and `reason` stay None where the process died without a word."""

    host: str
    pid: int
    job: str | None
    """Slurm's `<array>_<task>` or job id; None outside Slurm."""
    restart_count: int
    """How often Slurm had requeued the job."""
    device: str
    threads: int
    first_step: int
    """Optimiser steps that earlier attempts had done and saved."""
    last_step: int | None = None
    start: str
    """ISO 8601, UTC."""
    end: str | None = None
    reason: Reason | None = None
    detail: str | None = None
    """The signal's name, the deadline, or the error in one line."""


class Failure(Record):
    """`failure.json`: why the newest attempt of a run in a grid failed; gone when the next one begins."""

    schema_version: int = SCHEMA_VERSION
    job: str | None
    """As in the attempt."""
    time: str
    """ISO 8601, UTC."""
    error: str
    """The exception's name."""
    reason: str
    """In a line."""
    traceback: str


class ElmoRecord(Record):
    """The ELMo model whose vectors a run reads."""

    model: str
    fingerprint: str
    """SHA-256 of its files."""
    state: dict[str, str]
    """In which the LSTMs begin a tweet; for `warm` with the hash of the text."""
    random: bool
    """Whether its weights are random numbers: scores then say nothing about ELMo."""


class RunRecord(Record):
    """`run.json`: where and from what a run was made."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    config_fingerprint: str
    data_fingerprint: str
    dataset: str | None = None
    """The data set that was read: a source's name, or `table`; None in records of earlier versions."""
    elmo: ElmoRecord | None = None
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    command: list[str]
    attempts: list[Attempt]


class WandbRun(Record):
    """`wandb.json`: which run at Weights & Biases a run directory is copied to; there is none where it is not."""

    schema_version: int = SCHEMA_VERSION
    id: str
    project: str | None
    entity: str | None
    """None takes the account's own."""
    confirmed_rows: int = 0
    """How many rows the server was seen to have."""


class Overfit(Record):
    """The verdict on overfitting, with the numbers that it rests on (all of the best epoch, in evaluation mode)."""

    overfits: bool
    rule: str
    train_accuracy: float
    validation_accuracy: float
    gap: float


class Result(Record):
    """`result.json`, written last: that it exists means the run is completed."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    stopped_by: Literal["early stopping", "all epochs"]
    epochs: int
    steps: int
    best_epoch: int
    """Counted from 1."""
    parameters: int
    """Trainable numbers."""
    vocabulary_size: int
    metrics: dict[Part, Metrics]
    """Of the best epoch's weights."""
    baseline: Annotated[dict[Part, Metrics], Field(validation_alias=AliasChoices("baseline", "floor"))]
    """TF-IDF and logistic regression on the same parts."""
    combination: dict[Part, Metrics]
    """The mean of the model's and the baseline's probabilities."""
    baseline_settings: Annotated[
        dict[str, Any], Field(validation_alias=AliasChoices("baseline_settings", "floor_settings"))
    ]
    """Earlier versions called the baseline a floor, and their results are still read."""
    overfit: Overfit
    elmo: ElmoRecord | None = None
    mixture: list[float] | None = None
    """With ELMo's layers mixed: the learned weight of each, from the context-free one to the top; their sum is 1."""
    epochs_to_accuracy: dict[str, int | None]
    seconds_per_epoch: float
    seconds_trained: float
    """Over all attempts, without work that was lost and redone."""
    checkpoint_seconds: float
    weights_sha256: str
    metrics_sha256: str


class PlannedRun(Record):
    """One run of a grid; its index never changes."""

    index: int
    run_id: str
    parameters: dict[str, Any]
    """What distinguishes it from the base run: values by dotted name, as in `model.hidden_size`."""


class GridPlan(Record):
    """`grid.json`: the question that a grid asks, and its runs; written before the first of them starts."""

    schema_version: int = SCHEMA_VERSION
    name: str
    description: str
    """The question that it answers."""
    method: Literal["grid", "random"]
    metric: str
    """What the best run is chosen by, as W&B names it: `validation/f1`, for example."""
    goal: Literal["maximize", "minimize"]
    base: str
    """The configuration file that all runs start from."""
    parameters: dict[str, list[Any]]
    """The values that each parameter may take, by dotted name; constants have one."""
    runs: list[PlannedRun]
