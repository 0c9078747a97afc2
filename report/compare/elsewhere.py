"""Models on other people's tweets (`data.tests`), each paired with the linear baseline and with the lexicon."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from report import statistics
from report.compare.advice import Recommended
from report.compare.datasets import LEXICON_AUTHORS, Configuration, Dataset
from report.read import Answerer, read_each, read_scores
from report.statistics import Difference, Estimate, Flags, Side, Spread
from sentiment.config import PARTS
from sentiment.runs.records import Part

Sides = dict[Answerer, Side]
# What each is compared with.
_OTHERS: dict[Answerer, tuple[Answerer, ...]] = {
    "network": ("baseline", "lexicon"),
    "both": ("baseline", "lexicon"),
    "baseline": ("lexicon",),
    "lexicon": (),
}


@dataclass(frozen=True)
class OnTestSet:
    """One model on one test set.

    Attributes:
        labels: whether each tweet of the test set is positive.
        dataset: on whose tweets the model was trained.
        configuration: the net's, or the one whose baseline it is.
        sides: what it and those that it is compared with have right.
        spread: of its accuracy between seeds, or folds.
        less: its accuracy less that of others, corrected for all that stands in the table.
    """

    tests: Part
    labels: Flags
    dataset: Dataset
    configuration: Configuration
    model: Answerer
    is_recommended: bool
    sides: Sides = field(repr=False)
    spread: Spread | None
    less: dict[Answerer, Difference] = field(default_factory=dict)

    @property
    def accuracy(self) -> Estimate:
        return statistics.score_of(self.sides[self.model], self.spread)

    @property
    def balanced(self) -> float | None:
        """The mean of the shares of positive and of negative tweets that are right; None where there is one kind."""
        (right,) = self.sides[self.model].configurations
        if not 0 < self.labels.sum() < len(self.labels):
            return None
        return float(np.mean([right[:, kind].mean() for kind in (self.labels, ~self.labels)]))

    @property
    def is_unbalanced(self) -> bool:
        return not 0.35 <= self.labels.mean() <= 0.65

    @property
    def from_lexicon_authors(self) -> bool:
        table = self.configuration.config.data.tests.get(self.tests)
        return table is not None and table.path in LEXICON_AUTHORS


def on_test_sets(
    datasets: Iterable[Dataset], recommended: Iterable[Recommended | None]
) -> tuple[list[OnTestSet], list[str]]:
    """All models on all test sets, by test set, what is recommended first; and what cannot be read, by name."""
    found: list[OnTestSet] = []
    problems: list[str] = []
    for dataset, best in zip(datasets, recommended, strict=True):
        for tests in {part for run in dataset.runs for part in run.result.parts[len(PARTS) :]}:
            answers, unread = _answers(dataset, tests)
            found += _models(dataset, tests, answers, best)
            problems += unread
    found.sort(key=lambda one: (one.tests, one.dataset.name, not one.is_recommended))
    pairs = ((one.sides[one.model], one.sides[other], one.spread) for one in found for other in _OTHERS[one.model])
    claims = iter(statistics.compare(pairs))
    return [replace(one, less={other: next(claims) for other in _OTHERS[one.model]}) for one in found], problems


_Answers = Sequence[tuple[Configuration, Flags, Sides]]


def _answers(dataset: Dataset, tests: Part) -> tuple[_Answers, list[str]]:
    """Of each configuration whose predictions can be read, best first; those of random numbers say nothing."""
    found, problems = [], []
    for one in dataset.configurations:
        runs = [fold for run in one.runs for fold in run.folds or (run,)]
        by_run, unread = read_each(runs, lambda run: read_scores(run, tests))
        problems += unread
        scores = [each for each in by_run.values() if np.array_equal(each.labels, next(iter(by_run.values())).labels)]
        if one.is_random or not scores:
            continue
        right = {model: np.stack([each.right(model) for each in scores]) for model in _OTHERS}
        # A baseline that was fitted on several folds differs between them as nets do.
        sides = {
            model: Side([of], has_seeds=model in ("network", "both") or bool((of != of[0]).any()))
            for model, of in right.items()
        }
        found.append((one, scores[0].labels, sides))
    return found, problems


def _models(dataset: Dataset, tests: Part, answers: _Answers, best: Recommended | None) -> Iterator[OnTestSet]:
    """The nets, best first, then what else the best configuration has."""
    spreads = {
        model: statistics.spread_of(sides[model].configurations[0].mean(axis=1).tolist() for _, _, sides in answers)
        for model in _OTHERS
    }
    shown: list[tuple[Answerer, tuple[Configuration, Flags, Sides]]] = [("network", each) for each in answers]
    if best and (of_best := next((each for each in answers if each[0] is best.configuration), None)):
        further: tuple[Answerer, ...] = ("both", "baseline", "lexicon")
        shown += [(model, of_best) for model in further[best.chosen != "both" :]]
    for model, (one, labels, sides) in shown:
        is_recommended = best is not None and one is best.configuration and model == best.predicts
        yield OnTestSet(tests, labels, dataset, one, model, is_recommended, sides, spreads[model])
