"""The share of each class in a set of tweets: predictions for all, corrected by the labels of a random sample.

Counting predictions is biased, and its interval is far too narrow (Egami et al. 2023, arXiv:2306.04746). Labels of a
random sample alone are unbiased. Prediction-powered inference (Angelopoulos et al. 2023, Science 382; PPI++,
arXiv:2311.01453) adds to the mean prediction of all tweets the mean error on the labelled ones: unbiased as well, and
the more precise, the better the predictions. Its intervals are too narrow for rare classes and overconfident models.
Here the predictions are first recalibrated on the labels, and the interval is Wilson's (1927) with the effective sample
size. What labels are `worth` is told as the number of labels that alone would give an interval as narrow; both are
drawn without replacement from the same tweets.

Labels may be drawn within strata, such as days: all tweets together then have the mean of the strata's shares, weighted
by their numbers of tweets (Cochran 1977, Sampling Techniques, chapter 5).

The tweets are on the first axis of an array, and the classes on the last one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, ndtri

from sentiment.errors import UsageError
from sentiment.runs.records import DEFAULT_THRESHOLD
from sentiment.statistics import MIN_LABELS, check_enough
from sentiment.statistics.metrics import UNLABELLED, ClassIndices, Flags, Probabilities, predicted_classes
from sentiment.statistics.wilson import wilson_bounds

Array = npt.NDArray[np.float64]

ALL_TWEETS = "all"  # the name of the group of all tweets
# With fewer labels of a class, or of all other classes together, its share gets an upper or a lower bound only.
MIN_LABELS_OF_CLASS = 5
_MIN_LABELS_OF_STRATUM = 3  # without them, nothing of a stratum is known
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
    unit: Array  # the variance of a share p is p (1 - p) times this


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
    error_variance = errors.var(axis=0) * (n - 1) / max(n - 2, 1)
    variance = np.maximum(outcomes.var(axis=0), _SMALLEST)
    # The share of the labels' variance that the predictions explain. Few labels of a class overestimate it, so it is
    # multiplied by k / (k + 2), where k is the number of labels of the class or of all others, the smaller of the two.
    explained = np.clip(1 - error_variance / variance, 0, 0.99)
    of_class = outcomes.sum(axis=0)
    rarer = np.minimum(of_class, n - of_class)
    explained = explained * rarer / (rarer + 2)
    finite_population_correction = (tweets - n) / max(tweets - 1, 1)
    return _with_interval(shares, finite_population_correction * (1 - explained) / n)


def combined_shares(strata: Sequence[Shares], sizes: Sequence[int]) -> Shares:
    """The shares in all strata together, by those in each of them.

    The interval is combined from theirs (Zou and Donner 2008, "Construction of confidence limits about effect
    measures"): a normal one, with the variances of a few labels, would be too narrow where a class is rare in a large
    stratum.

    Args:
        sizes: the number of tweets of each stratum.
    """
    share, low, high, variance = np.zeros((4, *strata[0].share.shape))
    for weight, stratum in zip(np.array(sizes) / sum(sizes), strata, strict=True):
        share += weight * stratum.share
        low += (weight * (stratum.share - stratum.low)) ** 2
        high += (weight * (stratum.high - stratum.share)) ** 2
        variance += weight**2 * np.maximum(stratum.share * (1 - stratum.share), _SMALLEST) * stratum.unit
    unit = variance / np.maximum(share * (1 - share), _SMALLEST)
    return Shares(share, np.maximum(share - np.sqrt(low), 0), np.minimum(share + np.sqrt(high), 1), unit)


def _with_interval(shares: Array, unit: Array) -> Shares:
    """Wilson's interval, as if 1 / `unit` labels were drawn with replacement."""
    with np.errstate(divide="ignore"):
        worth = 1 / unit
    return Shares(shares, *wilson_bounds(shares, worth), unit)


def strata_of(groups: Sequence[Any]) -> npt.NDArray[np.int64]:
    """The stratum of each tweet whose group is asked for: its group, or one for all that have no share of their own.

    These are the tweets of groups with fewer than MIN_LABELS tweets, and those with a missing group.
    """
    values = pd.Series(groups, dtype=object)
    is_large = values.map(values.value_counts()) >= MIN_LABELS
    strata, _ = pd.factorize(values.where(is_large), sort=True, use_na_sentinel=False)
    return np.asarray(strata, np.int64)


def check_names(groups: Sequence[Any]) -> None:
    """Raises UsageError if a group has the name of all tweets together."""
    if ALL_TWEETS in {*groups}:
        raise UsageError(f"{ALL_TWEETS!r} is the name of all tweets together; give that group another name")


def labels_needed(tweets: int, half_width: float) -> int:
    """How many random labels of so many tweets give any share an interval of at most this half-width.

    That is the half-width of Wilson's interval at a share of a half.
    """
    square = (2 * half_width) ** 2
    unit = square / (1 - square) / _QUANTILE**2
    return int(np.ceil(labels_alone(tweets, unit)))


def labels_alone(tweets: int, unit: float | Array) -> float | Array:
    """How many of so many tweets, drawn without replacement, give the variance `unit` of `Shares` by labels alone."""
    return tweets / (unit * (tweets - 1) + 1)


def estimate_shares(
    probabilities: Probabilities,
    labels: ClassIndices,
    class_names: Sequence[Any],
    groups: Sequence[Any] | None = None,
    strata: ClassIndices | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> pd.DataFrame:
    """The share of each class among all tweets and within groups of them.

    The recalibration is fitted on all labels; the mean error of a group is that of its own labelled tweets.

    Args:
        probabilities: (n, classes), a predictor's for all tweets; rows of 0 where it gives no class.
        labels: (n,), the index of the class of each tweet, UNLABELLED for those without a label. Which tweets of a
            stratum have a label must be random.
        groups: (n,), the group of each tweet; tweets with a missing value are of no group.
        strata: (n,), as `strata_of` gives it, if the labelled tweets were drawn within groups; None: from all tweets.
        threshold: the model's decision threshold, for the shares of counted predictions.

    Returns:
        A row for each group and class, as `sentiment.SentimentClassifier.share` describes it.

    Raises:
        UsageError: there are fewer than MIN_LABELS labels, or fewer than three of a stratum, or a group is called
            `all`, the name of all tweets together.
    """
    n = len(labels)
    labelled = labels != UNLABELLED
    check_enough(int(labelled.sum()))
    identity = np.eye(len(class_names))
    outcomes = identity[labels]  # read only where there is a label
    has_class = probabilities.sum(axis=1, keepdims=True) > 0
    counted = identity[predicted_classes(probabilities, threshold)] * has_class
    model_log_odds = log_odds(np.where(has_class, probabilities, 1 / len(class_names)))
    predicted = recalibrate(outcomes[labelled], model_log_odds[labelled]).probabilities(model_log_odds)
    if strata is None:
        strata = np.zeros(n, np.int64)
    everything = np.arange(n)
    rows_by_group: dict[Any, Any] = {ALL_TWEETS: everything}
    if groups is not None:
        check_names(groups)
        rows_by_group |= pd.Series(everything).groupby(np.asarray(groups, object)).indices
    tables = {}
    for group, rows in rows_by_group.items():
        with_label = rows[labelled[rows]]
        columns: dict[str, Any] = {"tweets": len(rows), "labels": len(with_label)}
        columns["labels_of_class"] = outcomes[with_label].sum(axis=0).astype(int)
        as_if_labels = np.full(len(class_names), 1 / len(rows))
        columns |= _columns("counted", _with_interval(counted[rows].mean(axis=0), as_if_labels))
        # The labels of a group are a random sample of it; those of all tweets may be one of each stratum.
        strata_of_rows = strata[rows] if rows is everything else np.zeros(len(rows), np.int64)
        shares = _estimate(rows, strata_of_rows, labelled, outcomes, predicted)
        columns |= _columns("share", shares) | {"worth": labels_alone(len(rows), shares.unit)}
        tables[group] = pd.DataFrame(columns, [*class_names])
    table: pd.DataFrame = pd.concat(tables, names=["group", "class"])
    return table


def _estimate(rows: ClassIndices, strata: ClassIndices, labelled: Flags, outcomes: Array, predicted: Array) -> Shares:
    """The shares in some rows by labels and predictions together; NaN with too few labels.

    Args:
        strata: (rows,), parallel to `rows`.
        labelled, outcomes, predicted: of all tweets, (n,) and (n, classes).

    Raises:
        UsageError: a stratum has too few labels.
    """
    all_labels = outcomes[rows[labelled[rows]]]
    if len(all_labels) < MIN_LABELS:
        return Shares(*np.full((4, outcomes.shape[1]), np.nan))
    shares = []
    sizes = []
    for stratum in np.unique(strata):
        inside = rows[strata == stratum]
        with_label = inside[labelled[inside]]
        if len(with_label) < min(_MIN_LABELS_OF_STRATUM, len(inside)):
            raise UsageError(
                f"a group has {len(with_label)} labels, so that all tweets together have no share; label at least "
                f"{_MIN_LABELS_OF_STRATUM} of each group, from the top of the sheet"
            )
        mean_predicted = predicted[inside].mean(axis=0)
        shares.append(labelled_shares(outcomes[with_label], predicted[with_label], mean_predicted, len(inside)))
        sizes.append(len(inside))
    return _bounded(combined_shares(shares, sizes), all_labels)


def _bounded(shares: Shares, outcomes: Array) -> Shares:
    """Shares, NaN where a class or all others have too few labels; the interval begins at 0 or ends at 1 there."""
    of_class = outcomes.sum(axis=0)
    is_rare = of_class < MIN_LABELS_OF_CLASS
    is_nearly_all = len(outcomes) - of_class < MIN_LABELS_OF_CLASS
    share = np.where(is_rare | is_nearly_all, np.nan, shares.share)
    low = np.where(is_rare, 0.0, shares.low)
    high = np.where(is_nearly_all, 1.0, shares.high)
    return Shares(share, low, high, shares.unit)


def _columns(name: str, shares: Shares) -> dict[str, Array]:
    return {name: shares.share, f"{name}_low": shares.low, f"{name}_high": shares.high}
