"""The share of each class in a set of tweets: predictions for all, corrected by the labels of a random sample.

Counting predictions is biased, and its interval is far too narrow (Egami et al. 2023, arXiv:2306.04746). Labels of a
random sample alone are unbiased. Prediction-powered inference (Angelopoulos et al. 2023, Science 382; PPI++,
arXiv:2311.01453) adds to the mean prediction of all tweets the mean error on the labelled ones: unbiased as well, and
the more precise, the better the predictions. Its intervals are too narrow for rare classes and overconfident models.
Here the predictions are first recalibrated on the labels, and the interval is Wilson's (1927) with the effective sample
size, called `worth`: the number of labels that alone would give an interval as narrow.

The tweets are on the first axis of an array, and the classes on the last one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, ndtri

from sentiment.errors import UsageError
from sentiment.metrics import UNLABELLED, ClassIndices, Probabilities, predicted_classes
from sentiment.runs.records import DEFAULT_THRESHOLD

Array = npt.NDArray[np.float64]

ALL_TWEETS = "all"  # the name of the group of all tweets
MIN_LABELS = 30
# With fewer labels of a class, or of all other classes together, its share gets an upper or a lower bound only.
_MIN_LABELS_OF_CLASS = 5
_QUANTILE = float(ndtri(0.975))
_SMALLEST = 1e-9
_MAX_LOG_ODDS = 6.0

# Ridge penalties draw the intercept towards the log-odds of the labelled share, and the slope towards _SLOPE, because
# models tend to be overconfident.
_SLOPE = 0.5
_SLOPE_PENALTY = 0.25
_INTERCEPT_PENALTY = 0.05
_MAX_STEPS = 25
_MAX_STEP_LENGTH = 3.0
_CONVERGED = 1e-8


class Shares(NamedTuple):
    """Estimated shares of classes with their 95 % intervals; all arrays have the shape (classes,)."""

    share: Array
    low: Array
    high: Array
    worth: Array  # the effective sample size: so many labels alone give an interval of this width


def log_odds(probabilities: Probabilities) -> Array:
    """The log-odds of each class against all others, as `recalibrate` takes them; same shape."""
    largest = expit(_MAX_LOG_ODDS)
    limited: Array = logit(np.clip(probabilities, 1 - largest, largest))
    return limited


class Recalibration(NamedTuple):
    """A logistic regression of the labels on the log-odds of a model, for each class against all others."""

    intercept: Array  # (classes,)
    slope: Array  # (classes,)

    def probabilities(self, log_odds: Array) -> Array:
        """The recalibrated probability of each class, of the shape of `log_odds`."""
        recalibrated: Array = expit(self.intercept + self.slope * log_odds)
        return recalibrated


def recalibrate(outcomes: Array, log_odds: Array) -> Recalibration:
    """Fit the recalibration by Newton's method, with a ridge penalty.

    Args:
        outcomes: (n, classes), 1 for the class of a labelled tweet and 0 for the others.
        log_odds: (n, classes), of the labelled tweets.
    """
    start = logit((outcomes.sum(axis=0) + 0.5) / (len(outcomes) + 1))
    fit = Recalibration(start, np.full_like(start, _SLOPE))
    for _ in range(_MAX_STEPS):
        predicted = fit.probabilities(log_odds)
        errors = outcomes - predicted
        weights = predicted * (1 - predicted)
        weighted = weights * log_odds
        by_intercept = errors.sum(axis=0) - _INTERCEPT_PENALTY * (fit.intercept - start)
        by_slope = (errors * log_odds).sum(axis=0) - _SLOPE_PENALTY * (fit.slope - _SLOPE)
        # The Hessian [[a, b], [b, c]].
        a = weights.sum(axis=0) + _INTERCEPT_PENALTY
        b = weighted.sum(axis=0)
        c = (weighted * log_odds).sum(axis=0) + _SLOPE_PENALTY
        determinant = a * c - b**2
        intercept_step = (c * by_intercept - b * by_slope) / determinant
        slope_step = (a * by_slope - b * by_intercept) / determinant
        length = np.hypot(intercept_step, slope_step)
        scale = _MAX_STEP_LENGTH / np.maximum(length, _MAX_STEP_LENGTH)
        fit = Recalibration(fit.intercept + scale * intercept_step, fit.slope + scale * slope_step)
        if length.max() < _CONVERGED:
            break
    return fit


def labelled_shares(outcomes: Array, predicted: Array, mean_predicted: Array, tweets: int) -> Shares:
    """The mean prediction of all tweets plus the mean error on the labelled ones, scaled so that shares add up to 1.

    If all predictions are 0, these are the shares by labels alone.

    Args:
        outcomes: as in `recalibrate`.
        predicted: (n, classes), recalibrated probabilities of the labelled tweets.
        mean_predicted: (classes,), their mean over all tweets.
        tweets: the number of all tweets, labelled or not, from which the sample was drawn.
    """
    n = len(outcomes)
    errors = outcomes - predicted
    shares = np.clip(mean_predicted + errors.mean(axis=0), 0, 1)
    shares = shares / shares.sum(axis=-1, keepdims=True)
    # The variance as in the adjusted R squared with one predictor, the log-odds.
    error_variance = errors.var(axis=0) * (n - 1) / (n - 2)
    variance = np.maximum(outcomes.var(axis=0), _SMALLEST)
    # The share of the labels' variance that the predictions explain. Few labels of a class overestimate it, so it is
    # multiplied by k / (k + 2), where k is the number of labels of the class or of all others, the smaller of the two.
    explained = np.clip(1 - error_variance / variance, 0, 0.99)
    of_class = outcomes.sum(axis=0)
    rarer = np.minimum(of_class, n - of_class)
    explained = explained * rarer / (rarer + 2)
    finite_population_correction = (tweets - n) / (tweets - 1)
    return _with_interval(shares, n / (1 - explained), finite_population_correction)


def _with_interval(shares: Array, worth: Array, correction: float) -> Shares:
    """Wilson's interval for `worth` labels, the variance multiplied by `correction`."""
    unit = correction / worth
    shrinkage = _QUANTILE**2 * unit
    middle = (shares + shrinkage / 2) / (1 + shrinkage)
    variance = shares * (1 - shares) * unit + shrinkage * unit / 4
    margin = _QUANTILE * np.sqrt(variance) / (1 + shrinkage)
    return Shares(shares, np.maximum(middle - margin, 0), np.minimum(middle + margin, 1), worth)


def estimate_shares(
    probabilities: Probabilities,
    labels: ClassIndices,
    class_names: Sequence[Any],
    groups: Sequence[Any] | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> pd.DataFrame:
    """The share of each class among all tweets and within groups of them.

    The recalibration is fitted on all labels; the mean error of a group is that of its own labelled tweets.

    Args:
        probabilities: (n, classes), a model's for all tweets.
        labels: (n,), the index of the class of each tweet, UNLABELLED for those without a label. Which tweets have a
            label must be random.
        groups: (n,), the group of each tweet; tweets with a missing value are of no group.
        threshold: the model's decision threshold, for the shares of counted predictions.

    Returns:
        A row for each group and class, as `sentiment.SentimentClassifier.share` describes it.

    Raises:
        UsageError: there are fewer than MIN_LABELS labels, or a group is called `all`, the name of all tweets together.
    """
    n = len(labels)
    labelled = labels != UNLABELLED
    if labelled.sum() < MIN_LABELS:
        raise UsageError(f"{labelled.sum()} labelled tweets: at least {MIN_LABELS} are needed; 200 are better")
    identity = np.eye(len(class_names))
    outcomes = identity[labels]  # read only where there is a label
    counted = identity[predicted_classes(probabilities, threshold)]
    model_log_odds = log_odds(probabilities)
    predicted = recalibrate(outcomes[labelled], model_log_odds[labelled]).probabilities(model_log_odds)
    rows_by_group: list[tuple[Any, Any]] = [(ALL_TWEETS, np.arange(n))]
    if groups is not None:
        indices = pd.Series(np.arange(n)).groupby(np.asarray(groups, object)).indices
        if ALL_TWEETS in indices:
            raise UsageError(f"{ALL_TWEETS!r} is the name of all tweets together; give that group another name")
        rows_by_group += indices.items()
    tables = []
    for _, rows in rows_by_group:
        with_label = rows[labelled[rows]]
        labelled_outcomes = outcomes[with_label]
        columns: dict[str, Any] = {"tweets": len(rows), "labels": len(with_label)}
        columns["labels_of_class"] = labelled_outcomes.sum(axis=0).astype(int)
        worth = np.full(len(class_names), len(rows))  # as if each prediction were a label
        columns |= _columns("counted", _with_interval(counted[rows].mean(axis=0), worth, 1.0))
        if len(with_label) >= MIN_LABELS:
            nothing = np.zeros(len(class_names))
            alone = labelled_shares(labelled_outcomes, nothing, nothing, len(rows))
            together = labelled_shares(
                labelled_outcomes, predicted[with_label], predicted[rows].mean(axis=0), len(rows)
            )
            columns |= _columns("labels_alone", _bounded(alone, labelled_outcomes))
            columns |= _columns("share", _bounded(together, labelled_outcomes))
            columns["worth"] = together.worth
        tables.append(pd.DataFrame(columns, index=pd.Index(class_names)))
    return pd.concat(tables, keys=[group for group, _ in rows_by_group], names=["group", "class"])


def _bounded(shares: Shares, outcomes: Array) -> Shares:
    """Shares, NaN where a class or all others have too few labels; the interval begins at 0 or ends at 1 there."""
    of_class = outcomes.sum(axis=0)
    is_rare = of_class < _MIN_LABELS_OF_CLASS
    is_nearly_all = len(outcomes) - of_class < _MIN_LABELS_OF_CLASS
    share = np.where(is_rare | is_nearly_all, np.nan, shares.share)
    low = np.where(is_rare, 0.0, shares.low)
    high = np.where(is_nearly_all, 1.0, shares.high)
    return Shares(share, low, high, shares.worth)


def _columns(name: str, shares: Shares) -> dict[str, Array]:
    return {name: shares.share, f"{name}_low": shares.low, f"{name}_high": shares.high}
