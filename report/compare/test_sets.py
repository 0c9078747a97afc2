"""Models on external test sets (`data.tests`), each compared with the linear baseline and with the lexicon."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from report import statistics
from report.compare.advice import Recommended
from report.compare.answers import SEEDED
from report.compare.datasets import LEXICON_AUTHORS, Configuration, Dataset
from report.designs import Design, Matched, Seeds, Side, TwoModels, by_class, pooled_variance
from report.evaluated import read_each, read_part
from report.statistics import Difference, Estimate
from sentiment.config import PARTS
from sentiment.metrics import ClassIndices, Flags
from sentiment.runs.predictions import PartPredictions
from sentiment.runs.records import Part, PredictorKind

Sides = dict[PredictorKind, Side]
# What each predictor is compared with; others are compared with none.
_COMPARED_WITH: dict[PredictorKind, tuple[PredictorKind, ...]] = {
    "network": ("baseline", "lexicon"),
    "both": ("baseline", "lexicon"),
    "baseline": ("lexicon",),
}
# Labels are unbalanced if the share of a class is below this part of an equal share.
_BALANCED = 0.7


@dataclass(frozen=True)
class ExternalResult:
    """One predictor on one external test set.

    Attributes:
        test_set: its name.
        labels: the index of each tweet's class.
        dataset: the data set that it was trained on.
        configuration: the network's, or the one whose baseline it is.
        sides: the correctness of this predictor and of those that it is compared with.
        design: how it is compared with each of them.
        differences: its score minus that of others, corrected for all models that were trained on the data set.
    """

    test_set: Part
    labels: ClassIndices
    dataset: Dataset
    configuration: Configuration
    kind: PredictorKind
    is_recommended: bool
    sides: Sides = field(repr=False)
    design: Design
    differences: dict[PredictorKind, Difference] = field(default_factory=dict)

    @property
    def compared_with(self) -> list[PredictorKind]:
        return [kind for kind in _COMPARED_WITH.get(self.kind, ()) if kind in self.sides]

    @property
    def score(self) -> Estimate:
        """Its accuracy or macro recall, as the data set's models are compared."""
        return self.design.score(self.sides[self.kind])

    @property
    def macro_recall(self) -> float:
        """The mean recall of the classes of which there are tweets."""
        right = self.sides[self.kind].tweet_scores
        recalls = [right_of_class.mean() for right_of_class in by_class(right, self.labels)]
        return float(np.mean(recalls))

    @property
    def sizes(self) -> list[int]:
        """The number of tweets of each class, in order."""
        names = self.configuration.config.data.label_names
        sizes: list[int] = np.bincount(self.labels, minlength=len(names)).tolist()
        return sizes

    @property
    def is_unbalanced(self) -> bool:
        return min(self.sizes) * len(self.sizes) < _BALANCED * len(self.labels)

    @property
    def from_lexicon_authors(self) -> bool:
        table = self.configuration.config.data.tests.get(self.test_set)
        return table is not None and table.path in LEXICON_AUTHORS


def compare_on_external_tests(
    datasets: Sequence[Dataset], recommended: Sequence[Recommended | None], problems: list[str]
) -> list[ExternalResult]:
    """Evaluate all models on all external test sets, the recommended one first; see `read_each` for `problems`.

    A test set is a family for each data set that models were trained on.
    """
    evaluated: list[ExternalResult] = []
    for dataset, best in zip(datasets, recommended, strict=True):
        for test_set in sorted({part for run in dataset.runs for part in run.parts[len(PARTS) :]}):
            configurations = _sides_by_configuration(dataset, test_set, problems)
            evaluated += _compare(list(_models(dataset, test_set, configurations, best)))
    evaluated.sort(key=lambda result: (result.test_set, result.dataset.name, not result.is_recommended))
    return evaluated


def _compare(results: Sequence[ExternalResult]) -> list[ExternalResult]:
    differences = [
        result.design.difference(result.sides[result.kind], result.sides[reference])
        for result in results
        for reference in result.compared_with
    ]
    remaining = iter(statistics.corrected(differences))
    compared = []
    for result in results:
        by_reference = {reference: next(remaining) for reference in result.compared_with}
        compared.append(replace(result, differences=by_reference))
    return compared


class _ConfigurationSides(NamedTuple):
    configuration: Configuration
    labels: ClassIndices
    sides: Sides


def _sides_by_configuration(dataset: Dataset, test_set: Part, problems: list[str]) -> list[_ConfigurationSides]:
    """Labels and sides of each readable configuration, best first, without those with random ELMo weights."""
    readable = []
    for configuration in dataset.configurations:
        by_run = read_each(configuration.completed, lambda run: read_part(run, test_set), problems)
        by_training_set: dict[int | None, list[PartPredictions]] = defaultdict(list)
        for run in configuration.completed:
            if run.run_id in by_run:
                by_training_set[run.config.data.fold].append(by_run[run.run_id])
        if configuration.is_random or not by_run:
            continue
        labels = next(iter(by_run.values())).labels
        classes = labels if dataset.metric == "macro_recall" else None
        sides: Sides = {}
        for kind in configuration.runs[0].kinds:
            correct = [_right(predictions, kind) for predictions in by_training_set.values()]
            sides[kind] = Side(correct, kind in SEEDED, classes)
        readable.append(_ConfigurationSides(configuration, labels, sides))
    return readable


def _right(seeds: Sequence[PartPredictions], kind: PredictorKind) -> Flags:
    """Which tweets a predictor that was trained on one training set has right, (seeds, tweets)."""
    return np.stack([seed.right(kind) for seed in (seeds if kind in SEEDED else seeds[:1])])


def _models(
    dataset: Dataset, test_set: Part, configurations: Sequence[_ConfigurationSides], best: Recommended | None
) -> Iterator[ExternalResult]:
    """All networks, best first; then the other predictors of the best configuration.

    The ensemble is left out where the report compares no ensemble with the baseline.
    """
    predictors: list[tuple[PredictorKind, _ConfigurationSides]] = [("network", sides) for sides in configurations]
    for sides in configurations:
        if best and sides.configuration is best.configuration:
            left_out = ("network",) if best.alternative == "both" else ("network", "both")
            predictors += [(kind, sides) for kind in sides.sides if kind not in left_out]
    for kind, (configuration, labels, by_kind) in predictors:
        is_recommended = best is not None and configuration is best.configuration and kind == best.recommended_model
        design = _design(dataset, configurations, kind)
        yield ExternalResult(test_set, labels, dataset, configuration, kind, is_recommended, by_kind, design)


def _design(dataset: Dataset, configurations: Iterable[_ConfigurationSides], kind: PredictorKind) -> Design:
    """Over training sets, which are matched by fold; over seeds; or of two trained models."""
    if dataset.folds:
        return Matched()
    sides = [configuration.sides[kind] for configuration in configurations]
    seed_variance = pooled_variance(side.seed_scores(side.configurations[0]).tolist() for side in sides)
    return Seeds(seed_variance) if seed_variance else TwoModels()
