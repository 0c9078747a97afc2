"""Fitting the linear baseline: its n-grams, their weights by naive Bayes, and a penalty that is no guess."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.console import Progress
from sentiment.data.corpus.corpus import Corpus
from sentiment.data.text.token_rows import TokenRows
from sentiment.models.baseline.linear_model import Features, LinearModel, beside, tfidf
from sentiment.models.baseline.ngrams import NGramCounter, first_of_characters
from sentiment.models.baseline.polarity import polarity

Rows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

_WHAT = "fitting the linear baseline"
_TINY = 100  # with fewer training rows, n-grams that occur only once are features as well
_FEW = 20_000  # with fewer training rows, the penalty is chosen by cross-validation on them
_LARGE = 200_000  # with at least as many training rows, the penalty is not searched
_FOLDS = 5
_MOST_ITERATIONS = 1000
_MOST_FEATURES = 1 << 20
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # values of C, the inverse L2 penalty
_STRENGTH_UNSEARCHED = 1.0


def _negative_loss(labels: npt.NDArray[Any], probabilities: Probabilities, weights: npt.NDArray[Any]) -> float:
    """It tells penalties apart that differ by a handful of tweets, and suits probabilities that are averaged."""
    right = np.where(labels == 1, probabilities, 1 - probabilities)
    return float(np.average(np.log(np.maximum(right, 1e-12)), weights=weights))


def fit_linear_model(corpus: Corpus, progress: Progress) -> LinearModel:
    """The linear baseline of a corpus, fitted on its training part alone; the same corpus gives the same numbers.

    Its penalty is chosen by cross-validation on the training part where tweets are few, since a few hundred validation
    tweets cannot tell one from another, else on the validation part. A row's weight counts wherever its label does.

    Args:
        progress: told what is done.
    """
    from threadpoolctl import threadpool_limits

    train = corpus.rows("train")
    rows = TokenRows(corpus.types, corpus.token_ids, corpus.offsets)
    tweets = _Tweets(NGramCounter(corpus.types), rows, np.asarray(corpus.labels), np.asarray(corpus.weights))
    progress(_WHAT, 0, None)
    with threadpool_limits(1):  # sums in another order have other last digits
        design = _Design(tweets, train)
        if len(train) >= _LARGE:
            chosen, how = _STRENGTH_UNSEARCHED, "fixed"
        elif len(train) < _FEW:
            chosen, how = _by_cross_validation(tweets, train, progress), "cross-validation"
        else:
            scores = design.scores(corpus.rows("validation"), until_worse=True)
            chosen, how = _best(np.array(scores)), "validation"
        (fit,) = design.fits((chosen,))
    settings = {"C": chosen, "C_chosen_by": how, **design.settings()}
    return LinearModel(design.features, fit.weights, fit.intercept, settings)


@dataclass(frozen=True)
class _Tweets:
    """Labelled tweets and what counts their n-grams."""

    counter: NGramCounter
    rows: TokenRows
    labels: npt.NDArray[Any]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Fit:
    weights: npt.NDArray[np.float32]
    intercept: float


class _Design:
    """Some rows as features, for fits with several penalties.

    Naive Bayes weighting (Wang & Manning 2012) multiplies a feature by r, the log-ratio of its frequencies in positive
    and negative tweets. Here each feature x stands beside r x. A penalised model of both, w x + v r x with the penalty
    w^2 + v^2, is the same as one of the single feature sqrt(1 + r^2) x with one weight, so that nothing is doubled.
    """

    def __init__(self, tweets: _Tweets, rows: Rows) -> None:
        self._tweets = tweets
        self._labels, self._weights = tweets.labels[rows], tweets.weights[rows]
        chosen = tweets.rows.take(rows)
        self._least = 2 if len(rows) >= _TINY else 1
        keys = tweets.counter.frequent(chosen, self._least, _MOST_FEATURES)
        counts = tweets.counter.counts(chosen, keys)
        frequencies = np.bincount(counts.indices, minlength=len(keys))
        if not (known := frequencies >= self._least).all():
            keys, counts, frequencies = keys[known], counts[:, known], frequencies[known]
        idf = (np.log((1 + len(rows)) / (1 + frequencies)) + 1).astype(np.float32)
        self.features = Features(keys, idf)
        self._scale = self._naive_bayes(counts)
        ngrams = tfidf(counts, idf, first_of_characters(keys))
        ngrams.data *= self._scale[ngrams.indices]
        self._values = beside(ngrams, polarity(chosen))

    def fits(self, strengths: tuple[float, ...]) -> Iterator[_Fit]:
        """A fit for each strength, each begun where the one before ended."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(tol=1e-6, max_iter=_MOST_ITERATIONS, warm_start=True, random_state=0)
        for strength in strengths:
            model.set_params(C=strength).fit(self._values, self._labels, self._weights)
            weights = model.coef_[0].astype(np.float32)
            weights[: len(self._scale)] *= self._scale
            yield _Fit(weights, float(model.intercept_[0]))

    def scores(self, rows: Rows, until_worse: bool = False) -> list[float]:
        """How good the fit with each of `_STRENGTHS` is on other rows.

        Args:
            until_worse: leave out what follows the first that is worse than one before; the weaker the penalty, the
                longer a fit takes.
        """
        from scipy.special import expit

        values = self.features.of(self._tweets.counter, self._tweets.rows.take(rows))
        labels, weights = self._tweets.labels[rows], self._tweets.weights[rows]
        scores: list[float] = []
        for fit in self.fits(_STRENGTHS):
            scores.append(_negative_loss(labels, expit(values @ fit.weights + fit.intercept), weights))
            if until_worse and scores[-1] < max(scores):
                break
        return scores

    def settings(self) -> dict[str, Any]:
        """What it is made of, for the record."""
        return {"min_df": self._least, "features": len(self.features.keys)}

    def _naive_bayes(self, counts: Any) -> npt.NDArray[np.float32]:
        """sqrt(1 + r^2) of each feature, from the numbers of positive and negative tweets that have it."""
        lengths, size = np.diff(counts.indptr), counts.shape[1]
        positive, weights = np.repeat(self._labels == 1, lengths), np.repeat(self._weights, lengths)
        having = [np.bincount(counts.indices[of], weights[of], size) + 1.0 for of in (positive, ~positive)]
        ratio = np.log(having[0] / having[0].sum()) - np.log(having[1] / having[1].sum())
        scale: npt.NDArray[np.float32] = np.sqrt(1 + ratio**2).astype(np.float32)
        return scale


def _by_cross_validation(tweets: _Tweets, train: Rows, progress: Progress) -> float:
    """The strength that is best on folds of the training rows, each predicted by a fit on the others."""
    labels = tweets.labels[train]
    folds = np.empty(len(train), np.int64)
    number = min(_FOLDS, int(np.bincount(labels, minlength=2).min()))
    if number < 2:
        return _STRENGTH_UNSEARCHED
    shuffled = np.random.default_rng(0).permutation(len(train))
    for label in (0, 1):  # each fold has its share of both labels
        of_label = shuffled[labels[shuffled] == label]
        folds[of_label] = np.arange(len(of_label)) % number
    scores = np.zeros(len(_STRENGTHS))
    for fold in range(number):
        progress(f"{_WHAT}: choosing its penalty", fold, number)
        design = _Design(tweets, train[folds != fold])
        scores += np.array(design.scores(train[folds == fold])) * tweets.weights[train[folds == fold]].sum()
    return _best(scores)


def _best(scores: npt.NDArray[np.float64]) -> float:
    """Of equally good ones the first, which has the strongest penalty."""
    return _STRENGTHS[int(np.argmax(scores))]
