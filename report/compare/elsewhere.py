"""Models on other people's tweets (`data.tests`), each paired with the linear baseline and with the lexicon."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from report import statistics
from report.compare.advice import predictor_of
from report.compare.datasets import LEXICON_AUTHORS, Configuration, Dataset
from report.read.load import read_each
from report.read.predictions import Scores, read_scores
from report.statistics import Difference, Estimate, Flags, Side, Spread
from sentiment.runs.records import PARTS, Part

Answerer = Literal["network", "both", "baseline", "lexicon"]
# What each is compared with.
_OTHERS: dict[Answerer, tuple[Answerer, ...]] = {
    "network": ("baseline", "lexicon"),
    "both": ("baseline", "lexicon"),
    "baseline": ("lexicon",),
    "lexicon": (),
}


@dataclass(frozen=True)
class TestSet:
    """Tweets of other people."""

    name: Part
    n: int
    positive: float
    """The share of positive tweets."""
    from_lexicon_authors: bool
    """Whether the authors of VADER's lexicon collected them."""

    @property
    def is_unbalanced(self) -> bool:
        """Whether accuracy alone says little."""
        return not 0.35 <= self.positive <= 0.65


@dataclass(frozen=True)
class OnTestSet:
    """One model on one test set."""

    tests: TestSet
    dataset: Dataset
    """On whose tweets the model was trained."""
    configuration: Configuration
    """The net's, or the one whose baseline it is."""
    model: Answerer
    is_recommended: bool
    """Whether validation tweets of its data set chose it."""
    accuracy: Estimate
    """For other seeds, or folds, and other tweets."""
    balanced: float | None
    """The mean of the shares of positive and of negative tweets that are right; None where there is only one kind."""
    matched: float
    """Its accuracy if it called as many tweets positive as are: an analysis that uses the labels of the test set."""
    less: dict[Answerer, Difference]
    """Its accuracy less that of others, corrected for all that stands in the table."""


@dataclass(frozen=True)
class _Answers:
    """What the runs of one configuration, each fold by itself, say of one test set."""

    configuration: Configuration
    labels: Flags
    right: dict[Answerer, Flags]
    """Whether each run's model has each tweet right, of shape (runs, tweets)."""
    matched: dict[Answerer, float]
    """As `OnTestSet.matched`, on average over runs."""

    def side(self, model: Answerer) -> Side:
        """For comparisons; a baseline that was fitted on several folds differs between them as nets do."""
        right = self.right[model]
        return Side([right], is_trained=model in ("network", "both") or bool((right != right[0]).any()))


class _Entry(NamedTuple):
    dataset: Dataset
    name: Part
    answers: _Answers
    model: Answerer
    spread: Spread | None
    is_recommended: bool


def on_test_sets(datasets: Iterable[Dataset]) -> tuple[list[OnTestSet], list[str]]:
    """All models on all test sets, by test set; and what cannot be read, by name."""
    entries: list[_Entry] = []
    problems: list[str] = []
    for dataset in datasets:
        for name in {part for run in dataset.runs for part in run.result.parts[len(PARTS) :]}:
            answers, unread = _answers_of(dataset, name)
            entries += _entries(dataset, name, answers)
            problems += unread
    entries.sort(key=lambda entry: entry.name)
    claims = iter(
        statistics.compare(
            (one.answers.side(one.model), one.answers.side(other), one.spread)
            for one in entries
            for other in _OTHERS[one.model]
        )
    )
    return [_on(one, {other: next(claims) for other in _OTHERS[one.model]}) for one in entries], problems


def _answers_of(dataset: Dataset, name: Part) -> tuple[list[_Answers], list[str]]:
    """Of each configuration whose predictions can be read, best first; those of random numbers say nothing."""
    found, problems = [], []
    for one in dataset.configurations:
        runs = [fold for run in one.runs for fold in run.folds or (run,)]
        by_run, unread = read_each(runs, lambda run: read_scores(run, name))
        problems += unread
        scores = list(by_run.values())
        if one.is_random or not scores:
            continue
        scores = [each for each in scores if np.array_equal(each.labels, scores[0].labels)]
        right: dict[Answerer, Flags] = {
            model: np.stack([each.right(each.said[model]) for each in scores]) for model in scores[0].said
        }
        right["lexicon"] = np.stack([each.right(each.lexicon) for each in scores])
        matched = {model: float(np.mean([_matched(each, model) for each in scores])) for model in right}
        found.append(_Answers(one, scores[0].labels, right, matched))
    return found, problems


def _matched(scores: Scores, model: Answerer) -> float:
    """The share that is right if as many of the highest scores are called positive as tweets are; ties by place."""
    said = scores.lexicon if model == "lexicon" else scores.said[model]
    called = np.zeros(len(said), bool)
    called[np.argsort(said, kind="stable")[int((~scores.labels).sum()) :]] = True
    return float((called == scores.labels).mean())


def _entries(dataset: Dataset, name: Part, answers: list[_Answers]) -> Iterator[_Entry]:
    """What is recommended, then the nets, best first, and the baseline of the best one and the lexicon."""
    shown: list[tuple[_Answers, Answerer]] = [(one, "network") for one in answers]
    best = next((one for one in answers if one.configuration is dataset.best), None)
    predicts = predictor_of(best.configuration) if best else None
    if best:
        further: list[Answerer] = ["both"] if predicts == "both" else []
        shown += [(best, model) for model in (*further, "baseline", "lexicon")]
    for one, model in sorted(shown, key=lambda pair: not (pair[0] is best and pair[1] == predicts)):
        spread = statistics.spread_of([float(run.mean()) for run in each.right[model]] for each in answers)
        yield _Entry(dataset, name, one, model, spread, one is best and model == predicts)


def _on(entry: _Entry, less: dict[Answerer, Difference]) -> OnTestSet:
    answers, config = entry.answers, entry.answers.configuration.config
    right, labels = answers.right[entry.model], answers.labels
    table = config.data.tests.get(entry.name)
    from_authors = table is not None and table.path in LEXICON_AUTHORS
    both_kinds = 0 < labels.sum() < len(labels)
    return OnTestSet(
        tests=TestSet(entry.name, len(labels), float(labels.mean()), from_authors),
        dataset=entry.dataset,
        configuration=answers.configuration,
        model=entry.model,
        is_recommended=entry.is_recommended,
        accuracy=statistics.score_of(answers.side(entry.model), entry.spread),
        balanced=float(np.mean([right[:, kind].mean() for kind in (labels, ~labels)])) if both_kinds else None,
        matched=answers.matched[entry.model],
        less=less,
    )
