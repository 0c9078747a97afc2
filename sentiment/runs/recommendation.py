"""Which of a run's models is recommended: the one rule of training, prediction, the model card and the report.

It is the simplest model that a paired test on validation tweets does not show to be worse than the best one. The linear
baseline is the simplest, then comes the network, then the mean of both. Test tweets are not used.

A user's own labelled sample is too small to show which model is better there, and validation tweets are of another
domain. So `recommend_for_sample` weighs both. For a table without labels, a sheet chooses: `Choice`.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveInt

from sentiment.paired import ALPHA, PairedDifference, difference_and_variance, total_counts
from sentiment.runs.power import tweets_to_show
from sentiment.runs.predictions import Comparison, PartPredictions, compare_predictors, paired_counts
from sentiment.runs.records import Count, FileRecord, ModelKind

SIMPLEST_FIRST: tuple[ModelKind, ...] = ("baseline", "network", "both")
# With fewer labelled tweets, no model is chosen for a user's tweets.
MIN_TWEETS_TO_CHOOSE = 100
# The standard deviation by which the difference of two models varies between domains, as a fraction of 1.
_DEVIATION_BETWEEN_DOMAINS = 0.02


@dataclass(frozen=True)
class Judgement:
    """How the models of a run compare on labelled tweets.

    Attributes:
        best: the model with the highest score.
        comparisons: of the best one with each of the others.
        by_macro_recall: whether macro recall is compared; otherwise accuracy.
    """

    best: ModelKind
    comparisons: dict[ModelKind, Comparison]
    by_macro_recall: bool

    @property
    def recommended(self) -> ModelKind:
        """The simplest model that is not shown to be worse than the best one."""
        return next(model for model in SIMPLEST_FIRST if not self.is_worse(model))

    def is_worse(self, model: ModelKind) -> bool:
        """Whether a model is shown to be worse than the best one."""
        if model == self.best:
            return False
        comparison = self.comparisons[model]
        best_less_model = comparison.macro_recall if self.by_macro_recall else comparison.accuracy
        return best_less_model.difference > 0 and best_less_model.p < ALPHA

    def tweets_to_show(self, other: ModelKind) -> int | None:
        """The number of tweets on which the best model is likely to be shown to be better than this one."""
        comparison = self.comparisons[other]
        counts = comparison.classes if self.by_macro_recall else [comparison.counts]
        return tweets_to_show(counts, 1 - ALPHA / len(self.comparisons))


def recommend(validation: PartPredictions, metric: str) -> ModelKind:
    """The model that `judge` recommends."""
    return judge(validation, metric).recommended


def recommend_for_sample(sample: PartPredictions, validation: PartPredictions, metric: str) -> ModelKind:
    """The model with the highest expected score on tweets like those of a user's sample.

    How much better a model is than the baseline is the mean of its gains on the sample and on the validation tweets,
    weighted by the inverse of their variances; that of the validation tweets includes the variance between domains of
    tweets, as in a meta-analysis with random effects (DerSimonian and Laird 1986).

    Args:
        metric: as in `judge`.
    """
    gains: dict[ModelKind, float] = dict.fromkeys(SIMPLEST_FIRST, 0.0)
    for model in ("network", "both"):
        gain, variance = _gain(sample, model, metric)
        usual_gain, usual_variance = _gain(validation, model, metric)
        usual_variance += _DEVIATION_BETWEEN_DOMAINS**2
        weight = usual_variance / (variance + usual_variance)
        gains[model] = weight * gain + (1 - weight) * usual_gain
    return max(SIMPLEST_FIRST, key=lambda model: gains[model])


def _gain(tweets: PartPredictions, model: ModelKind, metric: str) -> tuple[float, float]:
    """How much better a model is than the baseline, and the variance of this difference."""
    classes = paired_counts(tweets.of(model), tweets.of("baseline"), tweets.labels)
    return difference_and_variance(classes if metric == "macro_recall" else [total_counts(classes)])


def judge(tweets: PartPredictions, metric: str) -> Judgement:
    """Compare the models of a run on tweets that choose one of them.

    Args:
        tweets: predictions of all models for the run's validation tweets, or for a user's labelled sample.
        metric: that of early stopping. If it is macro recall, that is compared, else accuracy, as in the report.
    """
    labels = tweets.labels
    is_macro = metric == "macro_recall"

    def score(model: ModelKind) -> tuple[float, float]:
        metrics = tweets.of(model).metrics(labels)
        return metrics.macro_recall if is_macro else metrics.accuracy, -metrics.loss

    best = max(SIMPLEST_FIRST, key=score)
    others = [model for model in SIMPLEST_FIRST if model != best]
    pairs = [(tweets.of(best), tweets.of(other)) for other in others]
    comparisons = dict(zip(others, compare_predictors(pairs, labels), strict=True))
    return Judgement(best, comparisons, is_macro)


class Unlabelled(FileRecord):
    """`table.json`: a table without labels, for which predictors were added.

    Attributes:
        source: the name of its file.
        labels: the classes that predictors may answer, each with its labels.
    """

    source: str
    labels: list[tuple[str, list[str]]]
    tweets_sha256: str


class Choice(FileRecord):
    """`choice.json`: the best of several predictors on a table without labels, as far as the labels of a sheet say.

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
        difference = self.differences[other]
        return difference.difference > 0 and difference.p < ALPHA
