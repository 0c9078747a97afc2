"""What is written down about runs: validated and versioned records of attempts, metrics, results and grids."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sentiment.config import PARTS as PARTS
from sentiment.config import PartName, Section
from sentiment.config_file import yaml_text
from sentiment.errors import UsageError


class Halving(Section):
    """A search in rungs: after each of them only the best trials go on (`early_terminate` in a grid's file)."""

    epochs: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """After how many epochs, counted from a trial's first, each rung ends but the last, which ends with the runs."""
    eta: Annotated[float, Field(gt=1)]
    """One of so many trials goes on."""
    strict: bool
    """Whether a trial counts by its score at the rung's end, or by its best so far."""


class Rounds(Section):
    """A search in rounds (`method: bayes`)."""

    rounds: Annotated[int, Field(ge=1)]
    per_round: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    space: dict[str, Any]
    """The values that each parameter may take, as in the grid's file."""


SchemaVersion = Literal[1]
"""Of records; those of another one are refused."""
SCHEMA_VERSION: SchemaVersion = 1

NEGATIVE, POSITIVE = 0, 1
THRESHOLD = 0.5
"""A tweet is classified as positive if its probability is at least this."""

Part = PartName
"""One of PARTS, or the name of a further test set (`data.tests`)."""
Reason = Literal["completed", "signal", "deadline", "failed", "paused"]
"""Why an attempt ended; `paused`: at the end of a rung of a search."""
Recommendation = Literal["network", "baseline", "both"]
"""What of a run predicts: its network, its linear baseline, or the mean of both probabilities."""

NETWORK, BASELINE, BOTH, LEXICON = "network", "linear baseline", "mean of both", "VADER's lexicon"
MODEL_NAMES: dict[Recommendation, str] = {"network": NETWORK, "baseline": BASELINE, "both": BOTH}
"""What models are called wherever they are shown."""
PREDICTION_COLUMNS: dict[str, Recommendation] = {"score": "network", "baseline": "baseline", "both": "both"}
"""What the columns of predictions hold, besides those of the lexicon."""
MEASURED_MODELS = (NETWORK, BASELINE, BOTH, LEXICON)
"""What is measured beside each other, in the order of tables."""


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("has no time zone")
    return text


def _file_name(text: str) -> str:
    if text in ("", ".", "..") or {"/", "\0"} & {*text}:
        raise ValueError("is no name of a folder")
    return text


Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Moment = Annotated[str, AfterValidator(_moment)]
"""ISO 8601, UTC."""
FolderName = Annotated[str, AfterValidator(_file_name)]


class Answer(NamedTuple):
    """What is said of a text."""

    label: str
    probability: float
    """Of the label."""


def answer(probability: float, names: tuple[str, str], threshold: float = THRESHOLD) -> Answer:
    """The label that a probability of positive sentiment predicts, and the probability of this label.

    Args:
        names: of the negative and the positive label, as `DataConfig.label_names` gives them.
        threshold: the label is positive from this probability on.
    """
    if probability >= threshold:
        return Answer(names[POSITIVE], probability)
    return Answer(names[NEGATIVE], 1 - probability)


def checked_threshold(value: float) -> float:
    """A threshold that somebody chose.

    Raises:
        UsageError: it is no probability.
    """
    if not 0 <= value <= 1:  # NaN is neither
        raise UsageError(f"threshold {value}: is compared with probabilities; valid is 0 to 1")
    return value


def timestamp() -> str:
    """The current time as in records: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Record(BaseModel):
    """Base of all records: frozen, and strict about unknown fields, so that records of another version are noticed."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, validate_by_name=True
    )


class Metrics(Record):
    """Scores of a classifier on one part of the data; precision, recall and F1 are those of the positive class."""

    n: Annotated[int, Field(ge=1)]
    """Number of tweets."""
    loss: Annotated[float, Field(ge=0)]
    """Mean binary cross-entropy in nats."""
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    """Upper bound of the 95 % interval of the accuracy (Wilson); `accuracy_low` is the lower one."""
    precision: Share
    recall: Share
    f1: Share


class CheckScore(NamedTuple):
    """Of how many sentences of the check list a model is right."""

    right: Count
    of: Annotated[int, Field(ge=1)]


class Attempt(Record):
    """One execution of a run; `end` and `reason` remain None if its process was killed."""

    host: str
    pid: int
    job: str | None
    """Slurm's `<array>_<task>` or job id; None outside Slurm."""
    restart_count: Count
    """How often Slurm had requeued the job before."""
    code: str
    """SHA-256 of the code that can change what a run computes."""
    git_commit: str | None = None
    git_dirty: bool | None = None
    environment: str
    """A hash of all installed packages with their versions."""
    device: str
    """The GPU's name, or `cpu`."""
    processor: str | None = None
    """The processor's model."""
    cpu_capability: str | None = None
    """The vector instructions that torch uses, such as AVX2."""
    compute_capability: str | None = None
    """Of the GPU, such as 9.0; None on a CPU."""
    threads: Count
    first_step: Count
    """Optimiser steps that earlier attempts had done and saved."""
    last_step: Count | None = None
    start: Moment
    end: Moment | None = None
    reason: Reason | None = None
    detail: str | None = None
    """The name of the signal, the time that was left, or the error in one line."""


class Failure(Record):
    """`failure.json`: why the newest attempt of a run in a grid failed; deleted when the next one begins."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    job: str | None
    """As in `Attempt`."""
    time: str
    """ISO 8601, UTC."""
    error: str
    """The name of the exception."""
    reason: str
    """Its message in one line."""
    traceback: str


class Tries(Record):
    """`tries.json`: the attempts in a row at a run of a grid that began at the same step."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    step: Count
    """Optimiser steps that earlier attempts had done and saved."""
    number: Count
    """With the newest one."""
    job: str | None
    """Of the newest one, as in `Attempt`."""


class ElmoRecord(Record):
    """The ELMo model whose vectors a run reads."""

    model: str
    fingerprint: str
    """SHA-256 of its files."""
    random: bool
    """Whether its weights are random, so that scores say nothing about ELMo."""
    products: Literal["torch", "onednn"]
    """The library that multiplied the matrices for the vectors, on which their last digits depend."""


class RunRecord(Record):
    """`run.json`: the provenance of a run, and its attempts."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    run_id: str
    config_fingerprint: str
    data_fingerprint: str
    dataset: str
    """The data set that was read: the name of a data source, or `table`."""
    elmo: ElmoRecord | None = None
    pretrained_sha256: str | None = None
    """Of the file that `embedding.pretrained` names; None if none does."""
    vectors_fingerprint: str | None = None
    """SHA-256 of what vectors were learned from; None if a run learned none."""
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    command: list[str]
    attempts: list[Attempt]
    vocabulary_sha256: str | None = None
    """Of `vocabulary.txt`; None before that is written."""
    hardware: list[str] = []
    """The kinds of hardware that computed the steps, in their order; more than one if it went on on another one."""


class WandbRun(Record):
    """`wandb.json`: the run at Weights & Biases that a run is copied to."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    id: str
    project: str | None
    entity: str | None
    """None is the default of the account."""
    confirmed_rows: int = 0
    """Number of rows that the server is known to have."""
    ended: bool = False
    """Whether it was told that the run is completed, or that a search has pruned it."""


class Overfit(Record):
    """The verdict on overfitting and the numbers that it is based on; all are of the best epoch, without dropout."""

    overfits: bool
    rule: str
    train_accuracy: float
    validation_accuracy: float
    gap: float

    @property
    def verdict(self) -> str:
        """`overfits` or `does not overfit`, with the gap and the rule."""
        does = "overfits" if self.overfits else "does not overfit"
        return f"{does}: the gap is {self.gap:.3f}; a run overfits if {self.rule}"


class Result(Record):
    """`result.json`, written last: the run is completed if and only if it exists."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    run_id: str
    stopped_by: Literal["early stopping", "all epochs"]
    epochs: Annotated[int, Field(ge=1)]
    steps: Count
    best_epoch: Annotated[int, Field(ge=1)]
    """Counted from 1."""
    parameters: Count
    """Number of trainable weights."""
    vocabulary_size: Count
    metrics: dict[Part, Metrics]
    """Measured with the weights of the best epoch."""
    baseline: dict[Part, Metrics]
    """The linear baseline on the same parts."""
    combination: dict[Part, Metrics]
    """The mean of the model's and the baseline's probabilities."""
    lexicon: dict[Part, Metrics]
    """VADER's lexicon, which nobody trains here, on the same parts."""
    recommended: Recommendation
    """What is most accurate on the validation part."""
    temperatures: dict[Recommendation, Annotated[float, Field(gt=0)]]
    """What the log-odds of each model are divided by, fitted on the validation part; all scores are measured so."""
    check_list: dict[str, dict[str, CheckScore]]
    """By the names of the four models, then by capability; it chooses nothing."""
    baseline_settings: dict[str, Any]
    overfit: Overfit
    elmo: ElmoRecord | None = None
    mixture: list[float] | None = None
    """The learned weight of each ELMo layer, from the context-free one to the top, with sum 1, if they are mixed."""
    seconds_per_epoch: Annotated[float, Field(ge=0)]
    seconds_trained: Annotated[float, Field(ge=0)]
    """Over all attempts, without work that was lost and repeated."""
    checkpoint_seconds: Annotated[float, Field(ge=0)]
    weights_sha256: str
    metrics_sha256: str
    files_sha256: dict[str, str]
    """Of the other files that belong to the result, by name."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those of the run's own tweets, then further test sets by name."""
        return (*PARTS, *sorted(self.metrics.keys() - {*PARTS}))

    @model_validator(mode="after")
    def _is_of_a_run(self) -> Self:
        if self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch {self.best_epoch} is after the last of {self.epochs} epochs")
        missing = {*PARTS} - self.metrics.keys()
        others = (self.baseline, self.combination, self.lexicon)
        missing = missing.union(*(self.metrics.keys() ^ other.keys() for other in others))
        if missing:
            raise ValueError(f"scores of {', '.join(sorted(missing))} are not there of all models")
        if self.temperatures.keys() != MODEL_NAMES.keys():
            raise ValueError(f"temperatures are not those of {', '.join(MODEL_NAMES)}")
        if {*self.check_list} != {*MEASURED_MODELS} or len({frozenset(one) for one in self.check_list.values()}) != 1:
            raise ValueError(f"check_list is not that of {', '.join(MEASURED_MODELS)} on the same capabilities")
        for part, scores in self.metrics.items():
            if any(other[part].n != scores.n for other in others):
                raise ValueError(f"scores of {part} are of different numbers of tweets")
        return self


class PlannedRun(Record):
    """One run of a grid. Its index never changes."""

    index: Count
    run_id: FolderName
    parameters: dict[str, Any]
    """In what it differs from the grid's base file: values by dotted name, such as `model.hidden_size`."""

    def overrides(self, *sections: str) -> list[str]:
        """The parameters as options of `python -m sentiment`; of some sections only (`data.`), if any is named."""
        chosen = (pair for pair in self.parameters.items() if not sections or pair[0].startswith(sections))
        return [word for name, value in chosen for word in ("--set", f"{name}={yaml_text(value)}")]


class GridPlan(Record):
    """`grid.json`: the question of a grid, and its runs; written before the first of them starts."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    description: str
    """The question, in a sentence."""
    method: Literal["grid", "random", "bayes"]
    metric: str
    """The metric that the best run is chosen by, as W&B names it, such as `validation/f1`."""
    goal: Literal["maximize", "minimize"]
    base: str
    """The configuration file that the parameters of all runs are laid over."""
    parameters: dict[str, list[Any]]
    """The possible values of each parameter, by dotted name; constants have one."""
    runs: list[PlannedRun]
    halving: Halving | None = None
    """None trains all runs to their end."""
    rounds: Rounds | None = None
    """Only with method `bayes`."""

    @model_validator(mode="after")
    def _has_each_run_once(self) -> Self:
        part, _, score = self.metric.partition("/")
        if part not in PARTS or score not in Metrics.model_fields:
            raise ValueError(f"metric {self.metric!r} is not measured")
        if len({run.run_id for run in self.runs}) < len(self.runs):
            raise ValueError("two of its runs have the same id")
        return self

    def command(self, run: PlannedRun) -> list[str]:
        """What trains one of the runs by itself: the same configuration, so the same run id."""
        return ["python", "-m", "sentiment", "train", self.base, *run.overrides()]
