"""Models on external test sets (`data.tests`), each compared with the linear baseline and with the lexicon."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from report import statistics
from report.compare.advice import Recommended
from report.compare.datasets import LEXICON_AUTHORS, Configuration, Dataset
from report.read import read_each, read_scores
from report.statistics import Difference, Estimate, Flags, Side, Spread
from sentiment.config import PARTS
from sentiment.runs.records import Part, PredictorKind

Sides = dict[PredictorKind, Side]
# What each model is compared with.
_COMPARED_WITH: dict[PredictorKind, tuple[PredictorKind, ...]] = {
    "network": ("baseline", "lexicon"),
    "both": ("baseline", "lexicon"),
    "baseline": ("lexicon",),
    "lexicon": (),
}
# Labels are unbalanced if the share of positive tweets is outside of these bounds.
_BALANCED = (0.35, 0.65)


@dataclass(frozen=True)
class OnTestSet:
    """One model on one external test set.

    Attributes:
        tests: the name of the test set.
        labels: whether each of its tweets is positive.
        dataset: the data set that the model was trained on.
        configuration: the network's, or the one whose baseline it is.
        sides: the correctness of the model and of those that it is compared with.
        spread: the variance of its accuracy between seeds, or folds.
        less: its accuracy minus that of others, corrected for all models that were trained on the data set.
    """

    tests: Part
    labels: Flags
    dataset: Dataset
    configuration: Configuration
    model: PredictorKind
    is_recommended: bool
    sides: Sides = field(repr=False)
    spread: Spread | None
    less: dict[PredictorKind, Difference] = field(default_factory=dict)

    @property
    def accuracy(self) -> Estimate:
        return statistics.score_of(self.sides[self.model], self.spread)

    @property
    def balanced(self) -> float | None:
        """Balanced accuracy: the mean recall of both classes; None if one is absent."""
        (correct,) = self.sides[self.model].configurations
        if not 0 < self.labels.sum() < len(self.labels):
            return None
        recalls = [correct[:, of_class].mean() for of_class in (self.labels, ~self.labels)]
        return float(np.mean(recalls))

    @property
    def is_unbalanced(self) -> bool:
        low, high = _BALANCED
        return not low <= self.labels.mean() <= high

    @property
    def from_lexicon_authors(self) -> bool:
        table = self.configuration.config.data.tests.get(self.tests)
        return table is not None and table.path in LEXICON_AUTHORS


def on_test_sets(
    datasets: Sequence[Dataset], recommended: Sequence[Recommended | None]
) -> tuple[list[OnTestSet], list[str]]:
    """Evaluate all models on all external test sets, the recommended one first; also return unreadable files.

    A test set is a family for each data set that models were trained on.
    """
    evaluated: list[OnTestSet] = []
    problems: list[str] = []
    for dataset, best in zip(datasets, recommended, strict=True):
        for tests in sorted({part for run in dataset.runs for part in run.result.parts[len(PARTS) :]}):
            of_configurations, unreadable = _sides_by_configuration(dataset, tests)
            problems += unreadable
            evaluated += _compare(list(_models(dataset, tests, of_configurations, best)))
    evaluated.sort(key=lambda each: (each.tests, each.dataset.name, not each.is_recommended))
    return evaluated, problems


def _compare(models: Sequence[OnTestSet]) -> list[OnTestSet]:
    pairs = (
        (each.sides[each.model], each.sides[other], each.spread)
        for each in models
        for other in _COMPARED_WITH[each.model]
    )
    differences = iter(statistics.compare(pairs))
    return [replace(each, less={other: next(differences) for other in _COMPARED_WITH[each.model]}) for each in models]


class _ConfigurationSides(NamedTuple):
    configuration: Configuration
    labels: Flags
    sides: Sides


def _sides_by_configuration(dataset: Dataset, tests: Part) -> tuple[list[_ConfigurationSides], list[str]]:
    """Labels and sides of each readable configuration, best first, without those with random ELMo weights."""
    of_configurations = []
    problems = []
    for configuration in dataset.configurations:
        runs = [fold for run in configuration.runs for fold in run.folds or (run,)]
        by_run, unreadable = read_each(runs, lambda run: read_scores(run, tests))
        problems += unreadable
        if configuration.is_random or not by_run:
            continue
        first, *others = by_run.values()
        scores = [first, *(each for each in others if each.same_tweets(first))]
        sides: Sides = {}
        for model in _COMPARED_WITH:
            correct = np.stack([each.right(model) for each in scores])
            # A baseline that was fitted on several folds differs between them as networks do.
            varies = bool((correct != correct[0]).any())
            sides[model] = Side([correct], has_seeds=model in ("network", "both") or varies)
        of_configurations.append(_ConfigurationSides(configuration, first.labels, sides))
    return of_configurations, problems


def _models(
    dataset: Dataset, tests: Part, of_configurations: Sequence[_ConfigurationSides], best: Recommended | None
) -> Iterator[OnTestSet]:
    """All networks, best first; then ensemble (if recommended), baseline and lexicon of the best configuration."""
    models: list[tuple[PredictorKind, _ConfigurationSides]] = [("network", each) for each in of_configurations]
    for each in of_configurations:
        if best and each.configuration is best.configuration:
            if best.chosen == "both":
                models.append(("both", each))
            models += [("baseline", each), ("lexicon", each)]
    for model, (configuration, labels, sides) in models:
        is_recommended = best is not None and configuration is best.configuration and model == best.predicts
        spread = _spread(of_configurations, model)
        yield OnTestSet(tests, labels, dataset, configuration, model, is_recommended, sides, spread)


def _spread(of_configurations: Iterable[_ConfigurationSides], model: PredictorKind) -> Spread | None:
    sides = [each.sides[model] for each in of_configurations]
    return statistics.spread_of(side.configurations[0].mean(axis=1).tolist() for side in sides)
