"""Predictors that were added with `sentiment add`, on the tweets of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

from report.compare.matching import Runs
from report.evaluated import EvaluatedRun, Reader
from sentiment.answers.table import ENOUGH_ANSWERS, Added, Agreement, AnswerTable, Kind, Predictor, read_added
from sentiment.errors import RunDirError
from sentiment.runs.records import Metrics, mean_score
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.metrics import Metric, estimate_of


@dataclass(frozen=True, eq=False)
class AddedPredictor:
    """An added predictor with its record and its predictions.

    Attributes:
        test: the test tweets with its predictions.
        validation: the same of validation tweets; None if it answers none with a class, and for cross-validated runs,
            whose validation tweets are test tweets elsewhere.
        score: its accuracy or macro recall on validation tweets; None if it has answered fewer than ENOUGH_ANSWERS
            validation or test tweets: then it is listed, and neither ranked nor recommended.
    """

    name: str
    record: Added
    test: AnswerTable
    validation: AnswerTable | None
    score: float | None = None
    kind: ClassVar[Kind] = "added"

    @property
    def predictor(self) -> Predictor:
        return self.test.predictors[0]

    @property
    def run_id(self) -> str:
        return self.predictor.name

    @cached_property
    def metrics(self) -> Metrics:
        """Its metrics on the test tweets that it has answered; an answer that is none of the classes is wrong."""
        return self.predictor.metrics(self.test.labels)

    def test_score(self, metric: Metric) -> Estimate:
        return estimate_of(self.metrics, metric)

    @property
    def agreement(self) -> Agreement:
        return Agreement.of(self.predictor, self.test.labels)

    @property
    def validation_answers(self) -> int:
        """How many validation tweets it has answered."""
        return 0 if self.validation is None else int(self.validation.predictors[0].answered.sum())


def added_for(runs: Runs, metric: Metric, reader: Reader) -> list[AddedPredictor]:
    """The added predictors of the runs' corpora, by name; of two versions with one name, the one of the first run."""
    runs_by_corpus: dict[str, EvaluatedRun] = {}
    for run in runs:
        for corpus in run.corpora:
            runs_by_corpus.setdefault(corpus, run)
    by_name: dict[str, AddedPredictor] = {}
    files: dict[str, Path] = {}
    for corpus, run in runs_by_corpus.items():
        folder = reader.results.added_dir(corpus)
        records, problems = read_added(folder)
        reader.problems.extend(problems)
        for name, record in records.items():
            file = folder / f"{name}.json"
            added = reader.read(partial(_added, name, record, run, file, metric))
            if added and name not in by_name:
                by_name[name] = added
                files[name] = file
            elif added and added.record.file_sha256 != by_name[name].record.file_sha256:
                reader.problems.append(f"{file}: {name} has other answers in {files[name]}, which the report shows")
    return [by_name[name] for name in sorted(by_name)]


def _added(name: str, record: Added, run: EvaluatedRun, file: Path, metric: Metric) -> AddedPredictor:
    """An added predictor with the tweets of a run.

    Raises:
        RunDirError: it gives none of the test tweets a class.
    """
    classes = run.config.data.label_names
    test = _predicted(name, record, run.test_predictions(), classes)
    if test is None:
        raise RunDirError(f"{file}: gives none of the test tweets a class, and is left out")
    validation = None
    if not run.is_cross_validated:  # else validation tweets are test tweets elsewhere
        validation = _predicted(name, record, run.trained[0].predictions("validation"), classes)
    added = AddedPredictor(name, record, test, validation)
    if validation is None or min(added.validation_answers, added.metrics.n) < ENOUGH_ANSWERS:
        return added
    metrics = validation.predictors[0].metrics(validation.labels)
    return replace(added, score=mean_score([getattr(metrics, metric)]))


def _predicted(name: str, record: Added, tweets: AnswerTable, classes: Sequence[str]) -> AnswerTable | None:
    """The tweets with the predictions of an added predictor; None if it has none for them."""
    predictor = record.predictor(f"{name} (added)", tweets.tweets, classes)
    return replace(tweets, predictors=[predictor]) if predictor else None
