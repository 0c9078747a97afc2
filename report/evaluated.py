"""What is compared: completed runs, and all folds of a cross-validation as one; with their predictions."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from statistics import fmean
from typing import Any, Self, TypeVar

from sentiment.answers.table import AnswerTable, read_predictions
from sentiment.config import RunConfig
from sentiment.config_file import dotted, yaml_text
from sentiment.console import plural
from sentiment.errors import RunDirError
from sentiment.runs.records import Metrics, Part, PredictorKind, Result, RunRecord, mean_score
from sentiment.runs.run_dir import Results, RunDir
from sentiment.statistics.metrics import Metric

# Values of a configuration, by dotted name.
Settings = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class CompletedRun:
    """A completed run with its configuration, record and result.

    Attributes:
        metric: accuracy or macro recall, by which it is compared: see `compared_by`.
        trained_on: the number of its training tweets; None if their corpus is not on this machine.
        version: of its tweets, if another grid has a run of the same id that read others; else empty.
    """

    run_dir: RunDir
    config: RunConfig
    record: RunRecord
    result: Result
    metric: Metric = "accuracy"
    trained_on: int | None = None
    version: str = ""

    @cached_property
    def settings(self) -> Settings:
        """The configuration values that define the run's identity, by dotted name."""
        return {name: as_setting(value) for name, value in dotted(self.config.identity()).items()}

    @property
    def run_id(self) -> str:
        name = self.run_dir.path.name
        return f"{name}, version {self.version}" if self.version else name

    def predictions(self, part: Part) -> AnswerTable:
        """Its predictions for a part that it has.

        Raises:
            RunDirError: the file is missing or has changed.
        """
        return read_predictions(self.run_dir, self.result, part, self.config.data.label_names)


@dataclass(frozen=True)
class EvaluatedRun:
    """One configuration with one seed: a completed run, or the runs of all folds of a cross-validation.

    Attributes:
        trained: the run alone; of a cross-validated run, those of its folds, in order.
        config: of a cross-validated run, without the fold.
        test_metrics: the metrics of each of its predictors, in table order, on all of its test tweets.
    """

    trained: Sequence[CompletedRun]
    config: RunConfig
    test_metrics: Mapping[PredictorKind, Metrics]

    @classmethod
    def of(cls, run: CompletedRun) -> Self:
        """A run that is not cross-validated, or one fold alone."""
        metrics = {kind: by_part["test"] for kind, by_part in run.result.scores.items()}
        return cls([run], run.config, metrics)

    @classmethod
    def of_folds(cls, folds: Sequence[CompletedRun]) -> Self:
        """The cross-validated run with these folds, which differ in nothing but `data.fold`.

        Raises:
            RunDirError: the predictions of a fold are missing or have changed.
        """
        config = folds[0].config.without("data.fold")
        test = AnswerTable.joined([fold.predictions("test") for fold in folds])
        metrics = {kind: test.of(kind).metrics(test.labels) for kind in folds[0].result.scores}
        return cls(folds, config, metrics)

    @property
    def run_id(self) -> str:
        """The run's id; that of a cross-validated run is no folder's name."""
        name = self.trained[0].run_id
        return f"{name}, {len(self.trained)} folds" if self.is_cross_validated else name

    @property
    def metric(self) -> Metric:
        return self.trained[0].metric

    @property
    def is_cross_validated(self) -> bool:
        return len(self.trained) > 1

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of its own tweets, then its external test sets by name."""
        return self.trained[0].result.parts

    @property
    def corpora(self) -> list[str]:
        """The fingerprints of the corpora that it was tested on: one, or one for each fold."""
        return [run.record.data_fingerprint for run in self.trained]

    @property
    def table(self) -> str:
        """The digest of its main table, which an edit changes; see `CorpusReport.table_sha256`."""
        return self.trained[0].record.table_sha256

    @cached_property
    def settings(self) -> Settings:
        """The configuration values by dotted name; of a cross-validated run, without the fold."""
        settings = self.trained[0].settings
        return settings | {"data.fold": None} if self.is_cross_validated else settings

    @property
    def trained_on(self) -> float:
        """The number of its training tweets; if that is not known here, `data.train_rows`, or infinite without it."""
        return self.trained[0].trained_on or self.config.data.train_rows or math.inf

    @property
    def trained_on_in_words(self) -> str:
        number = self.trained_on
        return "all labelled tweets" if math.isinf(number) else plural(int(number), "labelled tweet")

    @property
    def is_cut(self) -> bool:
        """Whether `data.train_rows` left out some of its training tweets, as far as is known here."""
        limit = self.config.data.train_rows
        return limit is not None and self.trained_on >= limit

    @property
    def overfits(self) -> bool:
        """Whether it overfits; of a cross-validated run, whether most folds do."""
        return sum(run.result.overfits for run in self.trained) * 2 > len(self.trained)

    @property
    def best_epoch(self) -> float:
        """The best epoch, counted from 1; of a cross-validated run the mean over folds."""
        return fmean(run.result.best_epoch for run in self.trained)

    @property
    def trainable_weights(self) -> int:
        """The number of trainable weights; of a cross-validated run the mean over folds, whose vocabularies differ."""
        return round(fmean(run.result.parameters for run in self.trained))

    @property
    def seconds_per_epoch(self) -> float:
        """The mean wall time of an epoch."""
        seconds = sum(run.result.seconds_trained for run in self.trained)
        return seconds / sum(run.result.epochs for run in self.trained)

    def score(self, part: Part, name: str, kind: PredictorKind = "network") -> float:
        """A score of one of its predictors by the name of a property of `Metrics`.

        Of test tweets, that of all folds together; of other parts, whose tweets recur, the mean over folds.
        """
        if part == "test":
            return float(getattr(self.test_metrics[kind], name))
        return mean_score(getattr(run.result.scores[kind][part], name) for run in self.trained)

    def test_predictions(self) -> AnswerTable:
        """Its predictions for test tweets; of a cross-validated run those of all folds.

        Raises:
            RunDirError: a file is missing or has changed.
        """
        return AnswerTable.joined([fold.predictions("test") for fold in self.trained])


def only_label(runs: Sequence[EvaluatedRun]) -> str | None:
    """The class that the networks of all these runs predict for every validation tweet; None if they predict several.

    They have learned nothing.
    """
    labels = {fold.result.only_label for run in runs for fold in run.trained}
    label = labels.pop()
    return None if labels or label is None else runs[0].config.data.label_names[label]


def as_setting(value: Any) -> Any:
    """A value of a configuration that can be compared and sorted: lists and mappings as YAML."""
    return yaml_text(value) if isinstance(value, list | dict) else value


R = TypeVar("R", CompletedRun, EvaluatedRun)


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
        values = {run.run_id: self.read(partial(read, run)) for run in runs}
        return {run_id: value for run_id, value in values.items() if value is not None}
