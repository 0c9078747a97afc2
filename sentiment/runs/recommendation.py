"""Which predictor is recommended or chosen: the one rule of training, prediction, the model card and the report.

`recommend` takes the simplest model that a paired test on validation tweets does not show to be worse than the best
one. The linear baseline is the simplest, then comes the network, then the mean of both. Test tweets are not used.
By the labels of a user's own tweets, the best model is chosen: `Choice`.
"""

from typing import Literal

from pydantic import PositiveInt

from sentiment.runs.predictions import PartPredictions, Predictor, compare_predictors
from sentiment.runs.records import Count, ModelKind, Record
from sentiment.statistics.families import ALPHA
from sentiment.statistics.paired import PairedDifference

SIMPLEST_FIRST: tuple[ModelKind, ...] = ("baseline", "network", "both")
# With fewer labelled tweets, no model is chosen for a user's tweets.
MIN_TWEETS_TO_CHOOSE = 100


def recommend(validation: PartPredictions, metric: str) -> ModelKind:
    """The simplest model that is not shown to be worse than the best one on validation tweets.

    Args:
        metric: that of early stopping. If it is macro recall, that is compared, else accuracy; a grid's metric, which
            the report's comparisons heed too, is not known where a model is used.
    """
    models = [validation.of(kind) for kind in SIMPLEST_FIRST]

    def score(model: Predictor) -> tuple[float, float]:
        metrics = model.metrics(validation.labels)
        return metrics.macro_recall if metric == "macro_recall" else metrics.accuracy, -metrics.loss

    best = max(models, key=score)
    others = [model for model in models if model is not best]
    comparisons = compare_predictors([(best, other) for other in others], validation.labels)
    is_worse = {}
    for other, comparison in zip(others, comparisons, strict=True):
        difference = comparison.macro_recall if metric == "macro_recall" else comparison.accuracy
        is_worse[other.kind] = is_shown(difference)
    return next(model for model in SIMPLEST_FIRST if not is_worse.get(model))


def is_shown(difference: PairedDifference) -> bool:
    """Whether the first of two predictors is shown to be better."""
    return difference.difference > 0 and difference.p < ALPHA


class Unlabelled(Record):
    """`table.json`: a table without labels, for which predictors were added.

    Attributes:
        source: the name of its file.
        labels: the classes that predictors may answer, each with its labels.
    """

    source: str
    labels: list[tuple[str, list[str]]]
    tweets_sha256: str


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
    accuracy: dict[str, tuple[float, float, float]]
    macro_recall: dict[str, float] | None
    best: str
    differences: dict[str, PairedDifference]
    labels_to_show: dict[str, int | None]

    def is_shown(self, other: str) -> bool:
        """Whether the best predictor is shown to be better than another one."""
        return is_shown(self.differences[other])
