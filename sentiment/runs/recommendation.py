"""Which of a run's models is recommended: the one rule of training, prediction, the model card and the report.

It is the simplest model that a paired test on validation tweets does not show to be worse than the best one. The linear
baseline is the simplest, then comes the network, then the mean of both. Test tweets choose nothing.
"""

from sentiment.paired import ALPHA
from sentiment.runs.predictions import PartPredictions, compare_predictors
from sentiment.runs.records import MACRO_SCORES, ModelChoice

SIMPLEST_FIRST: tuple[ModelChoice, ...] = ("baseline", "network", "both")


def recommend(validation: PartPredictions, metric: str) -> ModelChoice:
    """The simplest model that is not shown to be worse than the best one on these tweets.

    Args:
        validation: predictions of all models for the validation tweets.
        metric: that of early stopping. If it is a mean over classes, macro recall is compared, else accuracy.
    """
    labels = validation.labels
    is_macro = metric in MACRO_SCORES

    def score(model: ModelChoice) -> tuple[float, float]:
        metrics = validation.of(model).metrics(labels)
        return metrics.macro_recall if is_macro else metrics.accuracy, -metrics.loss

    best = max(SIMPLEST_FIRST, key=score)
    others = [model for model in SIMPLEST_FIRST if model != best]
    pairs = [(validation.of(best), validation.of(other)) for other in others]
    worse = set()
    for other, comparison in zip(others, compare_predictors(pairs, labels), strict=True):
        best_less_other = comparison.macro_recall if is_macro else comparison.accuracy
        if best_less_other.difference > 0 and best_less_other.p < ALPHA:
            worse.add(other)
    return next(model for model in SIMPLEST_FIRST if model not in worse)
