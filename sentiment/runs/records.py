"""What is written down about runs: validated and versioned records of attempts, metrics, results and grids."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sentiment.config import PARTS, PartName, Section
from sentiment.config_file import yaml_text


class Halving(Section):
    """A search in rungs: after each of them only the best trials go on (`early_terminate` in a grid's file).

    Attributes:
        epochs: at which rungs end, counted from a trial's first; the last rung ends with the runs.
        eta: 1/eta of the trials goes on.
        strict: whether a trial counts by its score at the rung's end, or by its best so far.
    """

    epochs: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    eta: Annotated[float, Field(gt=1)]
    strict: bool


class Rounds(Section):
    """A search in rounds (`method: bayes`).

    Attributes:
        space: the values that each parameter may take, as in the grid's file.
    """

    rounds: Annotated[int, Field(ge=1)]
    per_round: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    space: dict[str, Any]


SCHEMA_VERSION: Literal[1] = 1

NEGATIVE, POSITIVE = 0, 1
# A tweet is classified as positive if its probability is at least this.
THRESHOLD = 0.5

# One of PARTS, or the name of a further test set (`data.tests`).
Part = PartName
# Why an attempt ended; `paused`: at the end of a rung of a search.
Reason = Literal["completed", "signal", "deadline", "failed", "paused"]
# The detail of an attempt that a second Ctrl+C ended: only what was saved before is kept.
AT_ONCE = "SIGINT, at once"
# What of a run predicts: its network, its linear baseline, or the mean of both probabilities.
ModelChoice = Literal["network", "baseline", "both"]

# What models are called wherever they are shown.
NETWORK, BASELINE, BOTH, LEXICON = "network", "linear baseline", "mean of both", "VADER's lexicon"
MODEL_NAMES: dict[ModelChoice, str] = {"network": NETWORK, "baseline": BASELINE, "both": BOTH}
# What the columns of predictions hold, besides those of the lexicon.
PREDICTION_COLUMNS: dict[str, ModelChoice] = {"score": "network", "baseline": "baseline", "both": "both"}
# What is measured beside each other, in the order of tables.
MEASURED_MODELS = (*MODEL_NAMES.values(), LEXICON)

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def timestamp() -> str:
    """The current time as in records: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Record(BaseModel):
    """Base of all records: frozen, and strict about unknown fields, so that records of another version are noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True)


class FileRecord(Record):
    """Base of those that have a file of their own."""

    schema_version: Literal[1] = SCHEMA_VERSION


class Metrics(Record):
    """Scores of a classifier on one part of the data; precision, recall and F1 are those of the positive class.

    Attributes:
        n: number of tweets.
        loss: mean binary cross-entropy in nats.
        accuracy_high: upper bound of the 95 % interval of the accuracy (Wilson); `accuracy_low` is the lower one.
    """

    n: Annotated[int, Field(ge=1)]
    loss: Annotated[float, Field(ge=0)]
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    precision: Share
    recall: Share
    f1: Share


class CheckScore(NamedTuple):
    """Of how many sentences of the check list a model is right."""

    right: Count
    of: Annotated[int, Field(ge=1)]


class Attempt(Record):
    """One execution of a run; `end` and `reason` remain None if its process was killed.

    Attributes:
        job: Slurm's `<array>_<task>` or job id; None outside Slurm.
        code: SHA-256 of the code that can change what a run computes.
        device: the GPU's name, or `cpu`.
        first_step: optimiser steps that earlier attempts had saved; `last_step` adds those that this one has.
        detail: the name of the signal, the time that was left, or the error in one line.
    """

    host: str
    pid: int
    job: str | None
    restart_count: Count
    code: str
    git_commit: str | None = None
    git_dirty: bool | None = None
    device: str
    threads: Count
    first_step: Count
    last_step: Count | None = None
    start: str
    end: str | None = None
    reason: Reason | None = None
    detail: str | None = None


class Failure(FileRecord):
    """`failure.json`: why the newest attempt of a run in a grid failed; deleted when the next one begins.

    `error` is the name of the exception, `reason` its message in one line.
    """

    job: str | None
    time: str
    error: str
    reason: str
    traceback: str


class Tries(FileRecord):
    """`tries.json`: the number of attempts in a row at a run of a grid that began at the same step, the last by `job`.

    It exists while a grid trains the run. If it is left over, the process was killed or ran out of time or memory, and
    the run is tried again; an error of the run itself deletes it.
    """

    step: Count
    number: Count
    job: str | None


class EncoderRecord(Record):
    """The model whose vectors a run reads: ELMo, or a transformer.

    `fingerprint` is the SHA-256 of its files; licence and papers (of arXiv) are stated at the Hugging Face Hub.
    """

    model: str
    fingerprint: str
    random: bool
    commit: str | None = None
    licence: str | None = None
    papers: list[str] = []


class RunRecord(FileRecord):
    """`run.json`: the provenance of a run, and its attempts.

    Attributes:
        dataset: the name of a data source, or `table`.
        vectors_sha256: of the file that `embedding.pretrained` names, or of what its vectors are learned from.
        hardware: the kinds that computed the steps, in their order.
    """

    run_id: str
    data_fingerprint: str
    dataset: str
    encoder: EncoderRecord | None = None
    vectors_sha256: str | None = None
    versions: dict[str, str]
    command: list[str]
    attempts: Annotated[list[Attempt], Field(min_length=1)]
    hardware: list[str] = []


class WandbRun(FileRecord):
    """`wandb.json`: the run at Weights & Biases that a run is copied to.

    Attributes:
        entity: None is the default of the account.
        confirmed_rows: that the server is known to have.
        ended: whether it was told that the run is completed, or that a search has pruned it.
    """

    id: str
    project: str | None
    entity: str | None
    confirmed_rows: int = 0
    ended: bool = False


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


class Result(FileRecord):
    """`result.json`, written last: the run is completed if and only if it exists.

    Attributes:
        best_epoch: counted from 1.
        parameters: number of trainable weights.
        metrics: of the network at its best epoch; those of the other models see `scores`.
        recommended: what is most accurate on the validation part.
        temperatures: what the log-odds of each model are divided by, fitted on the validation part; all scores are
            measured so.
        only_label: the one that the network gives every validation tweet, so that it has learned nothing.
        check_list: by the names of the four models, then by capability; it chooses nothing.
        mixture: the learned weight of each ELMo layer, from the context-free one to the top, with sum 1.
        seconds_trained: over all attempts, without work that was lost and repeated.
        files_sha256: of the other files that belong to the result, by name.
    """

    run_id: str
    stopped_by: Literal["early stopping", "all epochs"]
    epochs: Annotated[int, Field(ge=1)]
    steps: Count
    best_epoch: Annotated[int, Field(ge=1)]
    parameters: Count
    metrics: dict[Part, Metrics]
    baseline: dict[Part, Metrics]
    both: dict[Part, Metrics]
    lexicon: dict[Part, Metrics]
    recommended: ModelChoice
    temperatures: Annotated[dict[ModelChoice, Annotated[float, Field(gt=0)]], Field(min_length=3)]  # of each
    only_label: Annotated[int, Field(ge=0, le=1)] | None = None
    check_list: dict[str, dict[str, CheckScore]]
    baseline_settings: dict[str, Any]
    overfit: Overfit
    encoder: EncoderRecord | None = None
    mixture: list[float] | None = None
    seconds_trained: Annotated[float, Field(ge=0)]
    weights_sha256: str
    files_sha256: dict[str, str]

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those of the run's own tweets, then further test sets by name."""
        return (*PARTS, *sorted(self.metrics.keys() - {*PARTS}))

    @property
    def scores(self) -> dict[Part, dict[str, Metrics]]:
        """What the run was measured with, by part and by the model's name."""
        models = {NETWORK: self.metrics, BASELINE: self.baseline, BOTH: self.both, LEXICON: self.lexicon}
        return {part: {name: metrics[part] for name, metrics in models.items()} for part in self.parts}


class Added(FileRecord):
    """`added/CORPUS/NAME.json`: what a predictor from elsewhere says of the validation and test tweets of a corpus.

    Attributes:
        note: where it comes from, such as a language model's prompt.
        annotator: whether a person says it.
        tweets: how many the file has answers to; `cost` and `seconds` are those of all of them together.
        said: by row of the corpus the probability of positive; 0 or 1 where the file has labels.
    """

    file: str
    file_sha256: str
    note: str
    annotator: bool
    tweets: Count
    cost: Annotated[float, Field(ge=0)] | None
    seconds: Annotated[float, Field(ge=0)] | None
    said: dict[Count, Share]


class PlannedRun(Record):
    """One run of a grid, in what it differs from the grid's base file, by dotted name. Its index never changes."""

    index: Count
    run_id: str
    parameters: dict[str, Any]

    def overrides(self, *sections: str) -> list[str]:
        """The parameters as options of `sentiment`; of some sections only (`data.`), if any is named."""
        chosen = (pair for pair in self.parameters.items() if not sections or pair[0].startswith(sections))
        return [word for name, value in chosen for word in ("--set", f"{name}={yaml_text(value)}")]


class GridPlan(FileRecord):
    """`grid.json`: the question of a grid, and its runs; written before the first of them starts.

    Attributes:
        metric: that the best run is chosen by, as W&B names it, such as `validation/f1`.
        base: the configuration file that the parameters of all runs are laid over.
        parameters: the possible values of each parameter, by dotted name; constants have one.
        halving: None trains all runs to their end.
        rounds: only with method `bayes`.
    """

    name: str
    description: str
    method: Literal["grid", "random", "bayes"]
    metric: str
    goal: Literal["maximize", "minimize"]
    base: str
    parameters: dict[str, list[Any]]
    runs: list[PlannedRun]
    halving: Halving | None = None
    rounds: Rounds | None = None

    def command(self, run: PlannedRun) -> list[str]:
        """What trains one of the runs by itself: the same configuration, so the same run id."""
        return ["sentiment", "train", self.base, *run.overrides()]
