"""Models on external test sets (`data.tests`), each compared with the linear baseline and with the lexicon."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from report.compare.advice import Recommended
from report.compare.answers import SEEDED, Answers, Group, compared, read_answers
from report.compare.datasets import LEXICON_AUTHORS, Configuration, Dataset, design_of
from report.evaluated import EvaluatedRun, Reader
from sentiment.config import PARTS
from sentiment.runs.records import Part, PredictorKind
from sentiment.statistics.designs import Design, Matched
from sentiment.statistics.estimate import Difference, Estimate

# What each predictor is compared with; others are compared with none.
_COMPARED_WITH: dict[PredictorKind, tuple[PredictorKind, ...]] = {
    "network": ("baseline", "lexicon"),
    "both": ("baseline", "lexicon"),
    "baseline": ("lexicon",),
}


@dataclass(frozen=True)
class ExternalResult:
    """One predictor on one external test set.

    Attributes:
        test_set: its name.
        dataset: the data set that it was trained on.
        configuration: the network's, or the one whose baseline it is.
        is_recommended: for the data set.
        answers: of all models of the data set on the test set.
        design: how it is compared with others.
        score: its accuracy or macro recall, as the data set's models are compared.
        macro_recall: the mean recall of the classes of which there are tweets.
        differences: its score minus that of others, corrected for all models that were trained on the data set.
    """

    test_set: Part
    dataset: Dataset
    configuration: Configuration
    kind: PredictorKind
    is_recommended: bool
    answers: Answers = field(repr=False)
    design: Design
    score: Estimate
    macro_recall: float
    differences: dict[PredictorKind, Difference] = field(default_factory=dict)

    def difference(self, reference: PredictorKind) -> Difference | None:
        """The uncorrected difference from another predictor of the configuration; None if it has no such predictor."""
        if reference not in self.configuration.runs[0].kinds:
            return None
        groups = (_group(self.answers, self.configuration, kind) for kind in (self.kind, reference))
        return self.answers.difference(self.design, *groups)

    @property
    def sizes(self) -> list[int]:
        """The number of tweets of each class, in order."""
        names = self.configuration.config.data.label_names
        tweets = self.answers.common(self.answers.readable(self.configuration.single_runs))
        sizes: list[int] = np.bincount(self.answers.tweets.labels[tweets], minlength=len(names)).tolist()
        return sizes

    @property
    def from_lexicon_authors(self) -> bool:
        table = self.configuration.config.data.tests.get(self.test_set)
        return table is not None and table.path in LEXICON_AUTHORS


def compare_on_external_tests(recommendations: Sequence[Recommended], reader: Reader) -> list[ExternalResult]:
    """Evaluate all models on all external test sets, the recommended one first.

    A test set is a family for each data set that models were trained on.
    """
    evaluated: list[ExternalResult] = []
    for best in recommendations:
        for test_set in sorted({part for run in best.dataset.runs for part in run.parts[len(PARTS) :]}):
            evaluated += _compared(list(_models(best, test_set, reader)))
    evaluated.sort(key=lambda result: (result.test_set, result.dataset.name, not result.is_recommended))
    return evaluated


def _compared(results: Sequence[ExternalResult]) -> list[ExternalResult]:
    uncorrected = {
        (number, reference): result.difference(reference)
        for number, result in enumerate(results)
        for reference in _COMPARED_WITH.get(result.kind, ())
    }
    by_result: dict[int, dict[PredictorKind, Difference]] = defaultdict(dict)
    for (number, reference), difference in compared(uncorrected).items():
        by_result[number][reference] = difference
    return [replace(result, differences=by_result[number]) for number, result in enumerate(results)]


def _models(best: Recommended, test_set: Part, reader: Reader) -> Iterator[ExternalResult]:
    """All networks, best first; then the other predictors of the best configuration.

    The mean of both is left out where the report does not compare it with the baseline.
    """
    dataset = best.dataset
    runs = [run for configuration in dataset.configurations for run in configuration.single_runs]
    answers = read_answers(runs, reader, test_set).with_metric(dataset.metric)
    tested = [configuration for configuration in dataset.configurations if answers.readable(configuration.single_runs)]
    predictors: list[tuple[PredictorKind, Configuration]] = [("network", configuration) for configuration in tested]
    if best.configuration in tested:
        left_out = ("network",) if best.alternative == "both" else ("network", "both")
        predictors += [(kind, best.configuration) for kind in best.run.kinds if kind not in left_out]
    for kind, configuration in predictors:
        design = _design(dataset, test_set, tested, kind)
        group = _group(answers, configuration, kind)
        score = answers.score(design, group)
        recall = answers.with_metric("macro_recall").score(design, group)
        if score and recall:
            is_best = configuration is best.configuration and kind == best.recommended_model
            yield ExternalResult(test_set, dataset, configuration, kind, is_best, answers, design, score, recall.value)


def _group(answers: Answers, configuration: Configuration, kind: PredictorKind) -> Group:
    """A predictor of a configuration by its training sets: of each, all seeds, or one of a predictor without seeds."""
    by_training_set: dict[int | None, list[EvaluatedRun]] = defaultdict(list)
    for run in answers.readable(configuration.single_runs):
        by_training_set[run.config.data.fold].append(run)
    return Group([runs if kind in SEEDED else runs[:1] for runs in by_training_set.values()], kind)


def _design(dataset: Dataset, test_set: Part, tested: Sequence[Configuration], kind: PredictorKind) -> Design:
    """Over training sets, which are matched by fold; over seeds; or of two trained models."""
    if dataset.folds:
        return Matched(overlap=True)
    seeds = [[run for run in configuration.runs if test_set in run.parts] for configuration in tested]
    return design_of(seeds, kind, dataset.metric, test_set)
