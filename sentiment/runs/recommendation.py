"""Which of a run's models is recommended: the one rule of training, prediction, the model card and the report.

The simplest model is recommended that is not shown to be worse than the best one. The linear baseline is the simplest,
then the network; the mean of both needs the two. Worse is what a paired test shows on validation tweets; test tweets
choose nothing.
"""

from sentiment.paired import ALPHA, compare_pairs, compare_recalls
from sentiment.runs.predictions import PartPredictions, paired_counts, paired_counts_by_class
from sentiment.runs.records import MACRO_SCORES, ModelChoice

SIMPLEST_FIRST: tuple[ModelChoice, ...] = ("baseline", "network", "both")


def recommend(validation: PartPredictions, metric: str) -> ModelChoice:
    """The simplest model that is not shown to be worse than the best one on these tweets.

    Args:
        validation: predictions of all models for the validation tweets.
        metric: that of early stopping. Macro recall is compared where it is a mean over classes, else accuracy.
    """
    labels = validation.labels
    is_macro = metric in MACRO_SCORES

    def score(model: ModelChoice) -> tuple[float, float]:
        metrics = validation.of(model).metrics(labels)
        return metrics.macro_recall if is_macro else metrics.accuracy, -metrics.loss

    best = max(SIMPLEST_FIRST, key=score)
    others = [model for model in SIMPLEST_FIRST if model != best]
    pairs = [(validation.of(best), validation.of(other)) for other in others]
    if is_macro:
        differences = compare_recalls([paired_counts_by_class(*pair, labels) for pair in pairs])
    else:
        differences = compare_pairs([paired_counts(*pair, labels) for pair in pairs])
    worse = {
        other
        for other, difference in zip(others, differences, strict=True)
        if difference.difference > 0 and difference.p < ALPHA
    }
    return next(model for model in SIMPLEST_FIRST if model not in worse)
