"""What is compared: completed runs, and all folds of a cross-validation as one; with their predictions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from statistics import fmean
from typing import Any, Self, TypeVar

import numpy as np

from report.statistics import Metric
from sentiment.config import RunConfig
from sentiment.config_file import dotted, yaml_text
from sentiment.errors import RunDirError
from sentiment.runs.predictions import PartPredictions, read_predictions
from sentiment.runs.recommendation import recommend
from sentiment.runs.records import Metrics, ModelKind, Part, PredictorKind, Result, RunRecord
from sentiment.runs.run_dir import Results, RunDir

T = TypeVar("T")


class EvaluatedRun(ABC):
    """One configuration with one seed: a completed run, or the runs of all folds of a cross-validation.

    Attributes:
        config: of a cross-validated run, without the fold.
        parameters: its parameters in the grid, by dotted name; empty for single runs.
        metric: the one it is compared by: macro recall if its grid or its early stopping names that, else accuracy.
    """

    config: RunConfig
    parameters: dict[str, Any]
    metric: Metric

    @property
    @abstractmethod
    def run_id(self) -> str:
        """The run's id; that of a cross-validated run is no folder's name."""

    @property
    @abstractmethod
    def fold_runs(self) -> tuple["CompletedRun", ...]:
        """The runs of its folds; of a run that is not cross-validated, the run alone."""

    @property
    @abstractmethod
    def recommended(self) -> ModelKind:
        """The model to use, by validation tweets, see `sentiment.runs.recommendation`."""

    @abstractmethod
    def score(self, part: Part, name: str, kind: PredictorKind = "network") -> float:
        """A score of one of its predictors by the name of a property of `Metrics`."""

    @abstractmethod
    def metrics_on_test(self, kind: PredictorKind = "network") -> Metrics:
        """The metrics of one of its predictors on all of its test tweets."""

    @property
    def is_cross_validated(self) -> bool:
        return len(self.fold_runs) > 1

    @property
    def kinds(self) -> list[PredictorKind]:
        """Its predictors, in table order."""
        return [*self.fold_runs[0].result.scores]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of its own tweets, then its external test sets by name."""
        return self.fold_runs[0].result.parts

    @property
    def corpora(self) -> list[str]:
        """The fingerprints of the corpora that it was tested on: one, or one for each fold."""
        return [run.record.data_fingerprint for run in self.fold_runs]

    @property
    def table(self) -> str:
        """The digest of its main table, which an edit changes; see `CorpusReport.table_sha256`."""
        return self.fold_runs[0].record.table_sha256

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The configuration values that define the run's identity, by dotted name."""
        values = dotted(self.config.identity())
        return {name: as_setting(value) for name, value in values.items()}

    @property
    def is_random(self) -> bool:
        """Whether its ELMo weights are random: its scores then say nothing about ELMo."""
        encoders = [run.result.encoder or run.record.encoder for run in self.fold_runs]
        return any(encoder is not None and encoder.random for encoder in encoders)

    @property
    def only_label(self) -> int | None:
        """The index of the class, if its networks predict the same one for every validation tweet."""
        labels = {run.result.only_label for run in self.fold_runs}
        return labels.pop() if len(labels) == 1 else None

    @property
    def overfits(self) -> bool:
        """Whether it overfits; of a cross-validated run, whether most folds do."""
        return sum(run.result.overfits for run in self.fold_runs) * 2 > len(self.fold_runs)

    @property
    def best_epoch(self) -> float:
        """The best epoch, counted from 1; of a cross-validated run the mean over folds."""
        return fmean(run.result.best_epoch for run in self.fold_runs)

    @property
    def trainable_weights(self) -> int:
        """The number of trainable weights; of a cross-validated run the mean over folds, whose vocabularies differ."""
        return round(fmean(run.result.parameters for run in self.fold_runs))

    @property
    def seconds_per_epoch(self) -> float:
        """The mean wall time of an epoch."""
        seconds = sum(run.result.seconds_trained for run in self.fold_runs)
        return seconds / sum(run.result.epochs for run in self.fold_runs)


def as_setting(value: Any) -> Any:
    """A value of a configuration that can be compared and sorted: lists and mappings as YAML."""
    return yaml_text(value) if isinstance(value, list | dict) else value


@dataclass(frozen=True)
class CompletedRun(EvaluatedRun):
    """A completed run with its configuration, record and result.

    Attributes:
        version: of its tweets, if another grid has a run of the same id that read others; else empty.
    """

    run_dir: RunDir
    parameters: dict[str, Any]
    config: RunConfig
    record: RunRecord
    result: Result
    metric: Metric = "accuracy"
    version: str = ""

    @property
    def run_id(self) -> str:
        name = self.run_dir.path.name
        return f"{name}, version {self.version}" if self.version else name

    @property
    def fold_runs(self) -> tuple["CompletedRun", ...]:
        return (self,)

    @property
    def recommended(self) -> ModelKind:
        return self.result.recommended

    def score(self, part: Part, name: str, kind: PredictorKind = "network") -> float:
        return float(getattr(self.result.scores[kind][part], name))

    def metrics_on_test(self, kind: PredictorKind = "network") -> Metrics:
        return self.result.scores[kind]["test"]


@dataclass(frozen=True)
class CrossValidated(EvaluatedRun):
    """The runs of all folds of one configuration and seed, each of whose tweets was tested once.

    Attributes:
        folds: in order; they differ in nothing but `data.fold`.
    """

    folds: tuple[CompletedRun, ...]
    parameters: dict[str, Any]
    config: RunConfig
    metric: Metric
    _recommended: ModelKind
    _metrics_on_test: dict[PredictorKind, Metrics]

    @classmethod
    def of(cls, folds: Sequence[CompletedRun]) -> Self:
        """The cross-validated run with these folds, in order.

        Raises:
            RunDirError: the predictions of a fold are missing or have changed.
        """
        config = folds[0].config.without("data.fold")
        parameters = {name: value for name, value in folds[0].parameters.items() if name != "data.fold"}
        validation = together([_read(fold, "validation") for fold in folds])
        recommended = recommend(validation, config.training.early_stopping.metric)
        test = together([_read(fold, "test") for fold in folds])
        metrics = {kind: test.of(kind).metrics(test.labels) for kind in folds[0].kinds}
        return cls(tuple(folds), parameters, config, folds[0].metric, recommended, metrics)

    @property
    def run_id(self) -> str:
        return f"{self.folds[0].run_id}, {len(self.folds)} folds"

    @property
    def fold_runs(self) -> tuple[CompletedRun, ...]:
        return self.folds

    @property
    def recommended(self) -> ModelKind:
        """The model to use, by the validation tweets of all folds together."""
        return self._recommended

    def score(self, part: Part, name: str, kind: PredictorKind = "network") -> float:
        """Of test tweets, the score of all folds together; of other parts, whose tweets recur, the mean over folds."""
        if part == "test":
            return float(getattr(self.metrics_on_test(kind), name))
        return fmean(fold.score(part, name, kind) for fold in self.folds)

    def metrics_on_test(self, kind: PredictorKind = "network") -> Metrics:
        return self._metrics_on_test[kind]


def read_part(run: CompletedRun, part: Part) -> PartPredictions | None:
    """The predictions of a completed run for a part; None if it has no such part.

    Raises:
        RunDirError: the file is missing or has changed.
    """
    return _read(run, part) if part in run.result.metrics else None


def read_test(run: EvaluatedRun) -> PartPredictions:
    """The test predictions of a run; of a cross-validated run those of all folds.

    Raises:
        RunDirError: as `read_part`.
    """
    return together([_read(fold, "test") for fold in run.fold_runs])


def _read(run: CompletedRun, part: Part) -> PartPredictions:
    return read_predictions(run.run_dir, run.result, part, run.config.data.label_names)


def together(parts: Sequence[PartPredictions]) -> PartPredictions:
    """The predictions of all folds, one after the other."""
    predictors = []
    for predictor in parts[0].predictors:
        probabilities = [part.of(predictor.kind).probabilities for part in parts]
        predictors.append(replace(predictor, probabilities=np.concatenate(probabilities)))
    tweets = np.concatenate([part.tweets for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    return PartPredictions(tweets, labels, predictors)


R = TypeVar("R", bound=EvaluatedRun)


@dataclass(frozen=True)
class Reader:
    """Reads the files of a results folder; those that cannot be read become problems, and stop nothing.

    Attributes:
        problems: a line for each such file.
    """

    results: Results
    problems: list[str] = field(default_factory=list)

    def read(self, read: Callable[[], T | None]) -> T | None:
        """What `read` returns; None, and a problem, if it raises RunDirError or OSError."""
        try:
            return read()
        except (RunDirError, OSError) as error:
            self.problems.append(str(error).splitlines()[0])
            return None

    def read_each(self, runs: Iterable[R], read: Callable[[R], T | None]) -> dict[str, T]:
        """What `read` returns for each run, by run id, without None."""
        values: dict[str, T] = {}
        for run in runs:
            value = self.read(partial(read, run))
            if value is not None:
                values[run.run_id] = value
        return values
