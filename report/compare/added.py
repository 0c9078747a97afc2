"""Predictors that were added with `sentiment add`, on the tweets of a data set."""

from dataclasses import dataclass, replace
from functools import cached_property, partial

from report import statistics
from report.compare.matching import Runs
from report.evaluated import EvaluatedRun, Reader
from report.statistics import Difference, Estimate, Metric
from sentiment.metrics import kappa
from sentiment.runs.predictions import ENOUGH_ANSWERS, PartPredictions, Predictor, added_predictor
from sentiment.runs.records import Added, Metrics
from sentiment.runs.run_dir import read_added


@dataclass(frozen=True)
class AddedPredictor:
    """An added predictor with its record, its predictions and its comparisons.

    Attributes:
        test: the test tweets with its predictions.
        validation: the same of validation tweets; None if it answers none with a class, and for cross-validated runs,
            whose validation tweets are test tweets of other folds.
        above_baseline: its test score minus that of the linear baseline; None where they cannot be compared.
        below_recommended: the test score of the recommended predictor minus its own: positive if the latter is worse.
        beats_on_validation: whether it is no person, has answered at least ENOUGH_ANSWERS validation tweets, and has a
            higher accuracy, or macro recall, on them than the recommended one.
    """

    name: str
    record: Added
    test: PartPredictions
    validation: PartPredictions | None
    above_baseline: Difference | None = None
    below_recommended: Difference | None = None
    beats_on_validation: bool = False

    @property
    def predictor(self) -> Predictor:
        return self.test.of("added")

    @property
    def run_id(self) -> str:
        return self.predictor.name

    @property
    def replaces_recommended(self) -> bool:
        """Whether it is to be used instead of the recommended predictor."""
        return self.beats_on_validation and self.below_recommended is not None and self.below_recommended.is_worse

    @cached_property
    def metrics(self) -> Metrics:
        """Its metrics on the test tweets that it has answered; an answer that is none of the classes is wrong."""
        return self.predictor.metrics(self.test.labels)

    def score(self, metric: Metric) -> Estimate:
        return statistics.estimate_of(self.metrics, metric)

    @property
    def kappa(self) -> float:
        """Cohen's kappa with the labels (Cohen 1960)."""
        answered = self.predictor.answered
        return kappa(self.predictor.predicted[answered], self.test.labels[answered])

    @property
    def validation_answers(self) -> int:
        """How many validation tweets it has answered."""
        return 0 if self.validation is None else int(self.validation.of("added").answered.sum())

    @property
    def validation_macro_f1(self) -> float | None:
        """Its macro F1 on validation tweets; None if it has answered fewer than ENOUGH_ANSWERS."""
        if self.validation is None or self.validation_answers < ENOUGH_ANSWERS:
            return None
        return self.validation.of("added").metrics(self.validation.labels).macro_f1


def added_for(runs: Runs, reader: Reader) -> list[AddedPredictor]:
    """The added predictors of the runs' corpora, by name; of two with one name the first counts."""
    runs_by_corpus: dict[str, EvaluatedRun] = {}
    for run in runs:
        for corpus in run.corpora:
            runs_by_corpus.setdefault(corpus, run)
    by_name: dict[str, AddedPredictor] = {}
    for corpus, run in runs_by_corpus.items():
        records, problems = read_added(reader.results.added_dir(corpus))
        reader.problems.extend(problems)
        for name, record in records.items():
            added = None if name in by_name else reader.read(partial(_added, name, record, run))
            if added:
                by_name[name] = added
    return [by_name[name] for name in sorted(by_name)]


def _added(name: str, record: Added, run: EvaluatedRun) -> AddedPredictor | None:
    """An added predictor with the tweets of a run; None if it has no prediction for its test tweets."""
    test = _predicted(name, record, run.test_predictions())
    if test is None:
        return None
    validation = None
    if not run.is_cross_validated:  # each fold has validation tweets of its own
        validation = _predicted(name, record, run.fold_runs[0].predictions("validation"))
    return AddedPredictor(name, record, test, validation)


def _predicted(name: str, record: Added, tweets: PartPredictions) -> PartPredictions | None:
    """The tweets with the predictions of an added predictor; None if it has none for them."""
    classes = tweets.predictors[0].probabilities.shape[1]
    predictor = added_predictor(f"{name} (added)", record, tweets.tweets, classes)
    return replace(tweets, predictors=[predictor]) if predictor else None
