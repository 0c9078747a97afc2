"""Which predictor is recommended or chosen: the one rule of training, prediction, the model card and the report.

`recommend` takes the simplest predictor that validation tweets do not show to be worse than another one. The
linear baseline is the simplest, then comes the network, then the mean of both. Test tweets are not used.
By the labels of a user's own tweets, the best model is chosen: `Choice`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, Protocol, TypeVar

from pydantic import PositiveInt

from sentiment.answers.table import AnswerTable, Predictor, compare_predictors
from sentiment.config import RunConfig
from sentiment.runs.records import Count, GridPlan, ModelKind, Record
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.metrics import Metric, metric_named

SIMPLEST_FIRST: tuple[ModelKind, ...] = ("baseline", "network", "both")
# With fewer labelled tweets, no model is chosen for a user's tweets.
MIN_TWEETS_TO_CHOOSE = 100
WHY_RECOMMENDED = "it is the simplest that validation tweets do not show to be worse than another"


class Eligible(Protocol):
    """A predictor that may be recommended: its kind is one of SIMPLEST_FIRST, its score that on validation tweets."""

    @property
    def kind(self) -> str: ...

    @property
    def score(self) -> float | None: ...


C = TypeVar("C", bound=Eligible)


def recommend(candidates: Sequence[C], are_better: Callable[[Sequence[tuple[C, C]]], Sequence[bool]]) -> C:
    """The simplest candidate that validation tweets do not show to be worse than another one.

    The best candidate of a kind stands for all of this kind, so that what is shown does not depend on how many there
    are. Of candidates of one kind with equal scores, the first counts. That a candidate is worse than another one shows
    that it is worse than the best, too, which may be less certain: its seeds may differ more.

    Args:
        are_better: in which of some pairs the first candidate is shown to be better than the second.
    """
    leaders: list[C] = []
    for kind in SIMPLEST_FIRST:
        of_kind = [candidate for candidate in candidates if candidate.kind == kind]
        if of_kind:
            leaders.append(max(of_kind, key=_score))
    pairs = [*combinations(sorted(leaders, key=_score, reverse=True), 2)]
    worse = [second for (_, second), is_better in zip(pairs, are_better(pairs), strict=True) if is_better]
    return next(leader for leader in leaders if leader not in worse)


def _score(candidate: Eligible) -> float:
    return candidate.score or 0.0


@dataclass(frozen=True, eq=False)
class _Model:
    """A model of one run, as a candidate."""

    predictor: Predictor
    score: float

    @property
    def kind(self) -> str:
        return self.predictor.kind


def compared_by(config: RunConfig, plan: GridPlan | None) -> Metric:
    """The metric by which the predictors of a run are compared, wherever scores are shown: that of its grid.

    Without a grid, or where predictors cannot be compared by its metric, it is that of early stopping; else accuracy.
    """
    return metric_named(plan.metric if plan else "", config.training.early_stopping.metric)


def recommend_model(validation: AnswerTable, metric: str) -> ModelKind:
    """The model of a run that predicts, by the predictions of all its models for validation tweets.

    Args:
        metric: that of early stopping. If it is macro recall, that is compared, else accuracy. That of a grid is not
            asked: a run that several grids have is the same in each.
    """
    by_recall = metric == "macro_recall"
    models = []
    for kind in SIMPLEST_FIRST:
        metrics = validation.of(kind).metrics(validation.labels)
        models.append(_Model(validation.of(kind), metrics.macro_recall if by_recall else metrics.accuracy))

    def are_better(pairs: Sequence[tuple[_Model, _Model]]) -> list[bool]:
        predictors = [(first.predictor, second.predictor) for first, second in pairs]
        comparisons = compare_predictors(predictors, validation.labels)
        return [(each.macro_recall if by_recall else each.accuracy).is_better for each in comparisons]

    return SIMPLEST_FIRST[models.index(recommend(models, are_better))]


class Choice(Record):
    """`choice.json`: the best of several predictors for a user's tweets, as far as the labels of some of them say.

    Attributes:
        source: the name of the table's file.
        tweets: the number of its tweets that were predicted; the predictors differ on `differing` of them.
        labels: how many tweets are labelled, `labels_where_different` of which are such that the predictors differ.
        skipped: how many more tweets were found to be of no class.
        metric: the one by which predictors are compared.
        accuracy: of each predictor on all tweets of the table, with its 95 % interval.
        macro_recall: likewise; None if a class has too few labels.
        best: the predictor with the highest estimate; of equal ones, the simplest.
        differences: the best one less each of the others, corrected for all pairs, as any could have been the best.
        labels_to_show: how many labels are likely to show that it is better; None if they differ by nothing.
    """

    source: str
    tweets: PositiveInt
    differing: Count
    labels: PositiveInt
    labels_where_different: Count
    skipped: Count
    metric: Literal["accuracy", "macro_recall"]
    accuracy: dict[str, Estimate]
    macro_recall: dict[str, float] | None
    best: str
    differences: dict[str, Estimate]
    labels_to_show: dict[str, int | None]
