"""Pydantic models of the JSON files of runs and grids: attempts, metrics, results and plans."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from sentiment.config import PARTS, PartName, Section
from sentiment.config_file import override_options
from sentiment.runs.hypotheses import Replicated, StatedHypothesis


class Halving(Section):
    """Successive halving: after each rung only the best trials continue (`early_terminate` in a grid's file).

    Attributes:
        epochs: after how many epochs each rung but the last ends; the last rung trains to the end.
        eta: 1/eta of the trials of a rung continue, by their scores at its end.
    """

    epochs: Annotated[list[PositiveInt], Field(min_length=1)]
    eta: Annotated[float, Field(gt=1)]


# The second of two classes is predicted if its probability is at least this.
DEFAULT_THRESHOLD = 0.5

MACRO_SCORES = ("macro_precision", "macro_recall", "macro_f1")
SCORES = ("loss", "accuracy", *MACRO_SCORES)
# What a grid's metric may be, as W&B names it.
MetricName = Literal[
    "validation/loss",
    "validation/accuracy",
    "validation/macro_precision",
    "validation/macro_recall",
    "validation/macro_f1",
]
# One of PARTS, or the name of an external test set (`data.tests`).
Part = PartName
# Why an attempt ended; `paused`: at the end of a rung of a search.
Reason = Literal["completed", "signal", "deadline", "failed", "paused"]
# The detail of an attempt that a second Ctrl+C ended, without a checkpoint of its last steps.
INTERRUPTED = "SIGINT, at once"
# A model that a run trains: its network, its linear baseline, or the mean of both probabilities.
ModelKind = Literal["network", "baseline", "both"]
MODEL_KINDS: tuple[ModelKind, ...] = get_args(ModelKind)
# A predictor that every run measures: its models, and references that it does not train.
PredictorKind = ModelKind | Literal["lexicon", "majority"]
# Those whose results depend on a random seed.
SEEDED: tuple[PredictorKind, ...] = ("network", "both")
# All of them with their names, in the order of tables.
PREDICTORS: dict[PredictorKind, str] = {
    "network": "network",
    "baseline": "linear baseline",
    "both": "mean of both",
    "lexicon": "VADER's lexicon",
    "majority": "most frequent class",
}

Count = NonNegativeInt
UnitFraction = Annotated[float, Field(ge=0, le=1)]


def timestamp() -> str:
    """The current time as in records: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# The name of a run or a trial, which is also the name of its folder.
RunId = Annotated[str, Field(pattern=r"^[^/\x00]+$", max_length=255)]


class Record(BaseModel):
    """Base of all records: frozen, and without unknown fields, so that records of another version are noticed."""

    # Its validator is built when it is first used: a command uses few of them.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, defer_build=True)


class Metrics(Record):
    """Scores of a classifier on one part of the data.

    Attributes:
        n: number of tweets.
        loss: mean cross-entropy in nats.
        accuracy_high: upper bound of the 95 % interval of the accuracy (Wilson); `accuracy_low` is the lower one.
        sizes: number of tweets of each class, in the order of the classes; `precision` and `recall` likewise.
    """

    n: PositiveInt
    loss: NonNegativeFloat
    accuracy: UnitFraction
    accuracy_low: UnitFraction
    accuracy_high: UnitFraction
    sizes: list[Count]
    precision: list[UnitFraction]
    recall: list[UnitFraction]

    @model_validator(mode="after")
    def _has_each_class(self) -> Self:
        if not len(self.sizes) == len(self.precision) == len(self.recall) >= 2 or sum(self.sizes) != self.n:
            raise ValueError("sizes, precision and recall are not those of the same classes, or are not of n tweets")
        return self

    @property
    def right(self) -> int:
        """The number of tweets that are right."""
        return round(self.accuracy * self.n)

    @property
    def f1(self) -> list[float]:
        """The harmonic mean of precision and recall of each class; 0 where both are 0."""
        pairs = zip(self.precision, self.recall, strict=True)
        return [2 * precision * recall / (precision + recall or 1) for precision, recall in pairs]

    @property
    def macro_recall(self) -> float:
        """The mean recall of the classes of which there are tweets: balanced accuracy."""
        return self._mean(self.recall)

    @property
    def macro_precision(self) -> float:
        """The mean precision of the classes of which there are tweets."""
        return self._mean(self.precision)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes of which there are tweets."""
        return self._mean(self.f1)

    def named(self, classes: Sequence[str]) -> dict[str, Any]:
        """All scores by name, and those of each class by its name, for output."""
        scores: dict[str, Any] = self.model_dump(exclude={"sizes", "precision", "recall"})
        scores |= {name: getattr(self, name) for name in MACRO_SCORES}
        for name in ("precision", "recall", "f1"):
            scores[name] = dict(zip(classes, getattr(self, name), strict=True))
        return scores

    def _mean(self, scores: list[float]) -> float:
        return mean_score(score for score, size in zip(scores, self.sizes, strict=True) if size)


def mean_score(scores: Iterable[float]) -> float:
    """The mean without its rounding error, so that runs of equal scores are tied."""
    return round(fmean(scores), 12)


# The metrics of a model by part: all parts of the run's own tweets, and the external test sets by name.
MetricsByPart = dict[Part, Metrics]


class StepRow(Record):
    """A row of the metric log: the mean loss of the steps since the last such row; `epoch` is counted from 1."""

    kind: Literal["step"] = "step"
    step: Count
    epoch: PositiveInt
    loss: float


class EpochRow(Record):
    """A row of the metric log: the metrics after an epoch; `best` tells whether it is the best so far."""

    kind: Literal["epoch"] = "epoch"
    step: Count
    epoch: PositiveInt
    best: bool
    train: Metrics
    validation: Metrics

    @property
    def metrics(self) -> dict[Part, Metrics]:
        """The metrics by part."""
        return {"train": self.train, "validation": self.validation}


MetricRow = StepRow | EpochRow


class CheckScore(NamedTuple):
    """How many sentences of the check list a model classifies correctly: `right` of `n`."""

    right: Count
    n: PositiveInt


class ComputeTime(Record):
    """Compute time, which does not depend on how busy the machine is.

    Attributes:
        cpu_seconds: CPU time of all threads.
        gpu_seconds: the time for which a GPU was held; 0 on a CPU.
    """

    cpu_seconds: NonNegativeFloat
    gpu_seconds: NonNegativeFloat


class CacheRecord(ComputeTime):
    """What it took to compute all vectors of a cache, once for all runs that read it.

    Attributes:
        folder: the name of the cache's folder.
    """

    folder: str


# The address of a repository, without credentials, query and fragment.
WEB_ADDRESS = r"^https://[\w.-]+(/[\w.~-]+)+$"


class Attempt(Record):
    """One execution of a run; `end` and `reason` remain None if its process was killed.

    Attributes:
        job: as `processes.slurm_job` names it; None outside Slurm and grids.
        code: SHA-256 of the code that can change what a run computes.
        git_remote: the address of the code's repository in a browser.
        versions: of Python and of the packages that can change a run's numbers.
        device: the GPU's name, or `cpu`.
        first_step, last_step: optimiser steps that were saved before and after this attempt.
        detail: the name of the signal, the time that was left, or the error in one line.
        compute_time: of training, validation and saving, without preparing the data, which runs share; None if the
            process was killed.
    """

    host: str
    pid: int
    job: str | None
    code: str
    git_commit: Annotated[str, Field(pattern=r"^[0-9a-f]+$")] | None = None
    git_dirty: bool | None = None
    git_remote: Annotated[str, Field(pattern=WEB_ADDRESS)] | None = None
    versions: dict[str, str]
    device: str
    threads: Count
    first_step: Count
    last_step: Count | None = None
    start: str
    end: str | None = None
    reason: Reason | None = None
    detail: str | None = None
    compute_time: ComputeTime | None = None


class Failure(Record):
    """`failure.json`: why the newest attempt of a run in a grid failed; deleted when the next one begins.

    `failure-N.json` of a submission: why task N failed, which prepared inputs.

    Attributes:
        error: the name of the exception.
        reason: its message in one line.
        retry: whether the same attempt may succeed another time, as after a full disk; not after an error of the run.
    """

    job: str | None
    time: str
    error: str
    reason: str
    traceback: str
    retry: bool = False

    @property
    def summary(self) -> str:
        """The name of the exception, and its message."""
        return f"{self.error}: {self.reason}"


class Assignment(Record, extra="ignore"):
    """What `submission.json` says of runs; see `jobs.submissions.Submission`.

    Attributes:
        tasks: the run ids assigned to each task of the array; the lists are empty if the job trains no runs.
    """

    tasks: list[list[str]]


class Cancelled(Record):
    """`cancelled.json`: the ids of runs, or of the submission itself, that `sentiment cancel` ended."""

    ids: list[str]


class StartCount(Record):
    """`start.json`: how often in a row tasks have started a run at the same step, without a step of progress.

    `progress-N.json` of a submission: how often in a row task N, which prepares inputs, has reached its time limit
    without progress.

    Attributes:
        step: what was saved before: steps, or what `JobKind.progress` returns.
        job: that made the newest start.
    """

    step: Count
    number: Count
    job: str | None


class EncoderRecord(Record):
    """The model whose vectors a run reads: ELMo, or a transformer.

    Attributes:
        fingerprint: SHA-256 of its files.
        licence, papers: as stated on the Hugging Face Hub; papers are arXiv ids.
        cache: the cached vectors that the run reads; None if it computes vectors itself.
    """

    model: str
    fingerprint: str
    commit: str | None = None
    licence: str | None = None
    papers: list[str] = []
    cache: CacheRecord | None = None


class RunRecord(Record):
    """`run.json`: the provenance of a run, and its attempts.

    Attributes:
        source_fingerprint: of the files and settings that the corpus was made from.
        data_fingerprint: of the content of the corpus.
        dataset: the name of a data source, or `table`.
        table_sha256: as in `CorpusReport`: runs of an edited table have another one.
        vectors_sha256: of the file that `embedding.pretrained` names, or of what its vectors are learned from.
        hardware: the kinds of hardware that trained the run, in the order of their use.
    """

    run_id: str
    data_fingerprint: str
    source_fingerprint: str = ""
    tokenizer_fingerprint: str = ""
    dataset: str
    table_sha256: str
    encoder: EncoderRecord | None = None
    vectors_sha256: str | None = None
    command: list[str]
    attempts: Annotated[list[Attempt], Field(min_length=1)]
    hardware: list[str] = []


class WandbRun(Record):
    """`wandb.json`: the run at Weights & Biases that a run is copied to.

    Attributes:
        entity: None means the account's default.
        confirmed_rows: number of rows that the server has confirmed.
        ended: whether W&B was informed that the run is completed, or pruned by a search.
    """

    id: str
    project: str | None
    entity: str | None
    confirmed_rows: int = 0
    ended: bool = False


class Overfit(Record):
    """The verdict on overfitting and the numbers that it is based on, measured at the best epoch without dropout."""

    overfits: bool
    rule: str
    train_accuracy: float
    validation_accuracy: float
    gap: float

    @property
    def verdict(self) -> str:
        """`overfits` or `does not overfit`, with the gap between training and validation accuracy."""
        does = "overfits" if self.overfits else "does not overfit"
        return f"{does}: training accuracy less validation accuracy is {self.gap:.3f}"


T = TypeVar("T")


def _in_table_order(scores: dict[PredictorKind, T]) -> dict[PredictorKind, T]:
    return {kind: scores[kind] for kind in PREDICTORS if kind in scores}


class Result(Record):
    """`result.json`, written last: the run is completed if and only if it exists.

    Attributes:
        best_epoch: counted from 1.
        parameters: number of trainable weights.
        scores: metrics of each predictor by part; those of the network are of its best epoch. Without the lexicon for
            tweets that are not English.
        class_shares: the share of each class among the training tweets; the most frequent one is always predicted by
            the predictor `majority`, whose probabilities they are.
        recommended: the model that predicts, see `sentiment.answers.recommendation`.
        temperatures: the divisor of the logarithms of each model's probabilities, fitted on the validation part; all
            metrics are of these calibrated probabilities.
        only_label: the index of the class, if the network predicts the same one for every validation tweet: it has
            learned nothing.
        check_list: scores of each predictor that reads texts, by capability; empty for tweets that are not English. No
            model is selected by them.
        mixture: the learned weight of each ELMo layer, from the context-free layer to the top, with sum 1.
        seconds_trained: over all attempts, without steps that were lost and repeated.
        files_sha256: of the other files that belong to the result, by their paths in the run's directory.
    """

    run_id: str
    stopped_by: Literal["early stopping", "all epochs"]
    epochs: PositiveInt
    steps: Count
    best_epoch: PositiveInt
    parameters: Count
    scores: Annotated[dict[PredictorKind, MetricsByPart], AfterValidator(_in_table_order)]
    class_shares: Annotated[list[UnitFraction], Field(min_length=2)]
    recommended: ModelKind
    temperatures: Annotated[dict[ModelKind, PositiveFloat], Field(min_length=3)]  # of each
    only_label: Count | None = None
    check_list: Annotated[dict[PredictorKind, dict[str, CheckScore]], AfterValidator(_in_table_order)]
    baseline_settings: dict[str, Any]
    overfit: Overfit
    encoder: EncoderRecord | None = None
    mixture: list[float] | None = None
    seconds_trained: NonNegativeFloat
    weights_sha256: str
    files_sha256: dict[str, str]

    @model_validator(mode="after")
    def _measures_all_models(self) -> Self:
        for model in MODEL_KINDS:
            if model not in self.scores or (self.check_list and not self.check_list.get(model)):
                raise ValueError(f"lacks the scores of {model}")
        for kind, metrics in self.scores.items():
            if not metrics.keys() == self.metrics.keys() >= {*PARTS}:
                raise ValueError(f"scores.{kind} lacks a part, or has another one than scores.network")
        return self

    @property
    def overfits(self) -> bool:
        """Whether the network overfits; one that has learned nothing does not."""
        return self.overfit.overfits and self.only_label is None

    @property
    def metrics(self) -> dict[Part, Metrics]:
        """The network's metrics by part."""
        return self.scores["network"]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the run's own tweets, then the external test sets by name."""
        return (*PARTS, *sorted(self.metrics.keys() - {*PARTS}))


class FitResult(Record):
    """The result of `SentimentClassifier.fit`, which scores no predictors; fields as in `Result`.

    Attributes:
        temperatures: of each model that was fitted.
        texts: number of texts, of which about a tenth are validation texts if there is a network.
        labels: the labels of the classes as they were given, from negative to positive.
        validation: the scores on validation texts by the predictor's name; none if only the baseline was fitted.
    """

    recommended: ModelKind
    temperatures: Annotated[dict[ModelKind, PositiveFloat], Field(min_length=1)]
    encoder: EncoderRecord | None = None
    texts: Count
    labels: list[bool | int | float | str] = []
    validation: dict[str, Metrics] = {}


class PlannedRun(Record):
    """One run of a grid; its index never changes. `parameters`: its differences from the base file, by dotted name."""

    index: Count
    run_id: RunId
    parameters: dict[str, Any]

    def overrides(self, *sections: str) -> list[str]:
        """The parameters as options of `sentiment`; only those of `sections` (such as `data.`), if any is given."""
        chosen = [pair for pair in self.parameters.items() if not sections or pair[0].startswith(sections)]
        return override_options(dict(chosen))


class StartsFrom(Record):
    """The runs of another grid that the runs of a grid start from.

    Attributes:
        rule: by which they were chosen: `overfitting`, or `best 3`.
        run_ids: none if no run fits the rule: then the grid is empty.
        left_out: a line for each run that could not be chosen, and why.
    """

    grid: str
    rule: str
    run_ids: list[RunId]
    left_out: list[str]

    def describe(self) -> str:
        if not self.run_ids:
            return f"no run of grid {self.grid} fits the rule `runs: {self.rule}`"
        return f"starts from {len(self.run_ids)} of the runs of grid {self.grid}, by the rule `runs: {self.rule}`"


class Addition(Record):
    """Runs that were added to a planned grid.

    Attributes:
        first: the index of the first of them.
        results: how many of the grid's runs had a result or a score then.
    """

    first: Count
    results: Count


class GridPlan(Record):
    """`grid.json`: a grid's question and its runs; written before the first run starts.

    Attributes:
        planned_at: the UTC time at which the grid was first planned, in ISO 8601; runs that are added later keep it.
        metric: the score on validation tweets that ranks the runs.
        base: the configuration file that the parameters of the runs override.
        halving: None means that all runs are trained to their end.
        starts_from: None if its runs start from files.
        hypotheses: stay as they were stated; further ones may be added.
        replicates: the study whose findings it repeats.
        code: the id of the code snapshot that computes its runs, unless a command asked for new code for some of them.
        additions: the runs that were added when some had results.
    """

    name: str
    planned_at: str
    description: str
    method: Literal["grid", "random"]
    metric: MetricName
    goal: Literal["maximize", "minimize"]
    base: str
    runs: list[PlannedRun]
    halving: Halving | None = None
    starts_from: StartsFrom | None = None
    hypotheses: list[StatedHypothesis] = []
    replicates: Replicated | None = None
    code: str = ""
    additions: list[Addition] = []

    @model_validator(mode="after")
    def _has_all_runs(self) -> Self:
        if [run.index for run in self.runs] != [*range(len(self.runs))]:
            raise ValueError("the indexes of its runs are not 0, 1, 2, ...")
        return self

    def score(self, validation: Metrics) -> float:
        """The score on validation tweets by which runs are ranked."""
        return float(getattr(validation, self.metric.removeprefix("validation/")))

    @property
    def parameter_values(self) -> dict[str, list[str]]:
        """The different values of each parameter in the runs, as text, by dotted name."""
        values: dict[str, dict[str, None]] = {}
        for run in self.runs:
            for name, value in run.parameters.items():
                text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                values.setdefault(name, {})[text] = None
        return {name: list(texts) for name, texts in values.items()}
