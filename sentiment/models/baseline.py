"""The linear baseline: naive Bayes log-count ratios of n-grams and AFINN word ratings, into a logistic regression.

Wang and Manning (2012), "Baselines and Bigrams". Fitted once for a corpus and kept in its folder.
"""

import json
import math
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy  # imports its submodules on first use; networks need none of them

from sentiment.config import RunConfig
from sentiment.console import Progress, silent, visible
from sentiment.data.corpus import Corpus, class_factors
from sentiment.data.text import Tokenizer
from sentiment.errors import RunDirError
from sentiment.files import delete_leftovers, write_atomically
from sentiment.models.lexicon import FEATURES, rate_rows, rating_features
from sentiment.models.ngrams import Keys, NGramCounter, tfidf
from sentiment.models.text_model import Predictions, TextModel, calibrated, check_arrays
from sentiment.processes import available_cores
from sentiment.runs.locks import Lock
from sentiment.runs.records import Part
from sentiment.statistics.metrics import Probabilities, with_first_class
from sentiment.tokens import Floats, Rows, TokenRows


def features(keys: Keys, idf: Floats, counts: Any, ratings: Floats) -> Any:
    """TF-IDF of `counts`, which is overwritten, then `ratings`: sparse float32, (rows, features)."""
    return scipy.sparse.hstack([tfidf(counts, idf, keys), scipy.sparse.csr_matrix(ratings)], format="csr")


def _ratings(rows: TokenRows, is_english: bool) -> Floats:
    """`rating_features`; none of texts in another language, (rows, 0)."""
    if is_english:
        return rating_features(rows)
    return np.empty((rows.size, 0), np.float32)


@dataclass(frozen=True)
class LinearModel:
    """Logistic regressions on the n-grams of a tweet and on the AFINN ratings of its words.

    Two classes have one regression, of the second class against the first; more have one for each class against all
    others, whose probabilities are normalised.
    """

    keys: Keys  # (n-grams,), sorted
    idf: Floats  # (n-grams,), inverse document frequency
    weights: Floats  # (regressions, features): those of n-grams, then those of `rating_features` if words are rated
    intercepts: npt.NDArray[np.float64]  # (regressions,)

    def classify(self, rows: TokenRows, progress: Progress = silent) -> Predictions:
        """A text is usable if one of its words is a feature, a negation, or rated by AFINN.

        Otherwise only pieces of words are known, which say little: nearly every string has some.
        """
        counter = NGramCounter(rows.types, progress)
        has_ratings = self.weights.shape[1] > len(self.keys)
        ratings = _ratings(rows, has_ratings)
        probabilities = []
        for block, counts in counter.blocks(rows, self.keys):  # the features of all rows may be gigabytes
            values = features(self.keys, self.idf, counts, ratings[block])
            probabilities.append(self.probabilities(values))
        usable = counter.with_known_word(rows, self.keys) | ratings.any(axis=1)
        return Predictions(np.concatenate(probabilities), usable)

    def probabilities(self, values: Any) -> Probabilities:
        """The probabilities of the classes, (rows, classes), from features as by `features`."""
        regressions = zip(self.weights.astype(np.float64), self.intercepts, strict=True)
        columns = [scipy.special.expit(values @ weights + intercept) for weights, intercept in regressions]
        stacked = np.stack(columns, axis=1)
        if len(columns) == 1:
            return with_first_class(stacked)
        return np.asarray(stacked / stacked.sum(axis=1, keepdims=True))

    def to_bytes(self) -> bytes:
        from safetensors.numpy import save

        return save(vars(self))

    @classmethod
    def from_bytes(cls, content: bytes, path: str, classes: int, has_ratings: bool = True) -> "LinearModel":
        """Inverse of `to_bytes`; `path` is for messages.

        Args:
            classes: the number of classes.
            has_ratings: whether there are weights of `rating_features`.

        Raises:
            RunDirError: `content` is not such a model.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(content)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunDirError(f"{path}: holds no linear baseline: {visible(str(error))}") from None
        n = arrays["keys"].size if "keys" in arrays else 0
        regressions = 1 if classes == 2 else classes
        expected = {
            "keys": f"uint64 ({n},)",
            "idf": f"float32 ({n},)",
            "weights": f"float32 ({regressions}, {n + has_ratings * len(FEATURES)})",
            "intercepts": f"float64 ({regressions},)",
        }
        check_arrays(path, arrays, expected)
        return cls(**arrays)


class BaselineModel(TextModel):
    """Classifies texts with the linear baseline of a run."""

    kind = "baseline"
    holds_gil = True

    def __init__(self, config: RunConfig, model: LinearModel, temperature: float) -> None:
        self.config = config
        self.tokenize = Tokenizer(config.data.text)
        self._model = model
        self._temperature = temperature

    def classify(self, rows: TokenRows) -> Predictions:
        probabilities, usable = self._model.classify(rows)
        return Predictions(calibrated(probabilities, self._temperature), usable)


_ACTIVITY = "fitting the linear baseline"
_TINY = 100  # with fewer training rows, n-grams that occur only once are features as well
_MAX_SEARCHED = 20_000  # as many training rows at most choose the penalty
_FOLDS = 3
_MAX_ITERATIONS = 1000
_SOLVER = "newton-cg"  # reaches a lower loss than L-BFGS, in half the time
_TOLERANCE = 1e-5  # with 1e-4, another C is chosen on some data than with any smaller one
_MAX_FEATURES = 1 << 20
_BLOCK_ROWS = 1 << 16  # whose features are counted at once
_C_VALUES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # C is the inverse of the L2 penalty
_DEFAULT_C = 1.0


@dataclass(frozen=True)
class TextsInMemory(TokenRows):
    """Labelled texts without a corpus on disk, all of which are training texts; see `Corpus` for the attributes."""

    labels: npt.NDArray[np.int8]
    weights: Floats
    class_count: int
    is_english: bool

    def rows(self, part: Part) -> Rows:
        return np.arange(self.size if part == "train" else 0)


LabelledRows: TypeAlias = Corpus | TextsInMemory


def fit_linear_model(corpus: LabelledRows, progress: Progress) -> tuple[LinearModel, dict[str, Any]]:
    """Fit the linear baseline of a corpus on its training part only; deterministic.

    Its penalty is chosen by cross-validation on the training tweets, of which at most 20,000 are drawn: validation
    tweets are often too few to choose between penalties. Sample weights are used both for fitting and for scoring.

    Returns:
        The model; and its settings for the run's record: its penalty and its n-grams.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    train = corpus.rows("train")
    counter = NGramCounter(corpus.types, progress)
    progress(_ACTIVITY, 0, None)
    with threadpool_limits(1), warnings.catch_warnings():  # sums in another order have other last digits
        warnings.simplefilter("ignore", ConvergenceWarning)  # of each iteration
        c = _by_cross_validation(corpus, counter, progress)
        keys = counter.frequent(corpus.take(train), _min_df(len(train)), _MAX_FEATURES)
        design = _DesignMatrix(corpus, keys, lambda rows: counter.counts(corpus.take(rows), keys), train)
        model = design.fitter(progress)(c)
    return model, {"C": c, "min_df": design.min_df, "features": len(model.keys)}


def _min_df(size: int) -> int:
    """In how many of the training rows an n-gram must be, to be a feature."""
    return 2 if size >= _TINY else 1


class _DesignMatrix:
    """The features of some rows, for fits with several penalties.

    Naive Bayes weighting (Wang & Manning 2012) multiplies a feature by r, the log-ratio of its frequencies in the
    tweets of a class and in all others. Here both x and r x are features. A penalised model of both, w x + v r x with
    the penalty w^2 + v^2, is equivalent to one feature sqrt(1 + r^2) x with one weight, so the columns need not be
    duplicated. All classes share the features: r^2 is the mean over the classes.
    """

    def __init__(self, corpus: LabelledRows, keys: Keys, count: Callable[[Rows], Any], rows: Rows) -> None:
        """`count` gives the occurrences of each n-gram of `keys` in each of some rows, (rows, keys)."""
        self._corpus = corpus
        self._count = count
        self._labels = corpus.labels[rows]
        self._regressed = range(1, 2) if corpus.class_count == 2 else range(corpus.class_count)
        self._weights = corpus.weights[rows]
        self.min_df = _min_df(len(rows))
        counts = count(rows)
        frequencies = np.bincount(counts.indices, minlength=len(keys))
        kept = frequencies >= self.min_df  # min_df counts tweets, not occurrences
        counts = counts[:, kept]
        self._kept = kept
        self._keys = keys[kept]
        self._idf = (np.log((1 + len(rows)) / (1 + frequencies[kept])) + 1).astype(np.float32)
        self._feature_scale = self._naive_bayes(counts)
        if corpus.is_english:
            self._feature_scale = np.append(self._feature_scale, np.ones(len(FEATURES), np.float32))
        self._values = self._features(rows, counts)
        self._values.data *= self._feature_scale[self._values.indices]

    def fitter(self, progress: Progress = silent) -> Callable[[float], LinearModel]:
        """A function that fits with a value of C, each time starting from its previous fit.

        An iteration goes on from the weights of the one before, so that `progress` may interrupt between them.
        """
        from sklearn.linear_model import LogisticRegression

        settings = {"solver": _SOLVER, "max_iter": 1, "tol": _TOLERANCE, "warm_start": True}
        regressions = [LogisticRegression(**settings) for _ in self._regressed]

        def fit(c: float) -> LinearModel:
            def fit_one(label: int, regression: LogisticRegression) -> None:
                regression.set_params(C=c)
                for _ in range(_MAX_ITERATIONS):
                    progress(_ACTIVITY, 0, None)
                    regression.fit(self._values, self._labels == label, self._weights)
                    if not regression.n_iter_[0]:  # it has converged
                        break

            with ThreadPoolExecutor(available_cores()) as pool:  # one class does not depend on another
                [*pool.map(fit_one, self._regressed, regressions)]
            weights = [regression.coef_[0].astype(np.float32) * self._feature_scale for regression in regressions]
            intercepts = [float(regression.intercept_[0]) for regression in regressions]
            return LinearModel(self._keys, self._idf, np.stack(weights), np.array(intercepts))

        return fit

    def scorer(self, rows: Rows) -> Callable[[LinearModel], float]:
        """A function that gives a fit's mean log-likelihood of the labels of other rows.

        The log-likelihood separates penalties whose predictions differ for only a few tweets.
        """
        labels = self._corpus.labels[rows].astype(np.int64)
        weights = self._corpus.weights[rows]
        values = self._features(rows, self._count(rows)[:, self._kept])

        def score(model: LinearModel) -> float:
            likelihoods = np.take_along_axis(model.probabilities(values), labels[:, None], axis=1)[:, 0]
            return float(np.average(np.log(np.maximum(likelihoods, 1e-12)), weights=weights))

        return score

    def _features(self, rows: Rows, counts: Any) -> Any:
        ratings = _ratings(self._corpus.take(rows), self._corpus.is_english)
        return features(self._keys, self._idf, counts, ratings)

    def _naive_bayes(self, counts: Any) -> Floats:
        """sqrt(1 + r^2) of each feature; r^2 is the mean over the regressions of the squared log-ratio."""
        size = counts.shape[1]
        frequencies = np.zeros((self._corpus.class_count, size))  # in how many tweets of each class, weighted
        for first in range(0, counts.shape[0], _BLOCK_ROWS):
            block = slice(first, first + _BLOCK_ROWS)
            lengths = np.diff(counts.indptr[first : first + _BLOCK_ROWS + 1])
            labels = np.repeat(self._labels[block], lengths)
            weights = np.repeat(self._weights[block], lengths)
            columns = counts.indices[counts.indptr[first] :][: len(labels)]
            for label, frequency in enumerate(frequencies):
                inside = labels == label
                frequency += np.bincount(columns[inside], weights[inside], size)
        squares = []
        for label in self._regressed:
            positive = frequencies[label] + 1.0
            negative = np.delete(frequencies, label, axis=0).sum(axis=0) + 1.0
            ratio = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
            squares.append(ratio**2)
        return np.asarray(np.sqrt(1 + np.mean(squares, axis=0)), np.float32)


def _by_cross_validation(corpus: LabelledRows, counter: NGramCounter, progress: Progress) -> float:
    """The value of C that is best on folds of training rows, each predicted by a fit on the others."""
    train = corpus.rows("train")
    if len(train) > _MAX_SEARCHED:
        train = np.sort(np.random.default_rng(0).choice(train, _MAX_SEARCHED, replace=False))
    labels = corpus.labels[train]
    smallest_class = int(np.bincount(labels, minlength=corpus.class_count).min())
    fold_count = min(_FOLDS, smallest_class)
    if fold_count < 2:
        return _DEFAULT_C
    folds = np.empty(len(train), np.int64)
    shuffled = np.random.default_rng(0).permutation(len(train))
    for label in range(corpus.class_count):  # each fold has the same share of all classes
        of_class = shuffled[labels[shuffled] == label]
        folds[of_class] = np.arange(len(of_class)) % fold_count
    texts = corpus.take(train)
    keys = counter.frequent(texts, _min_df(int((folds != 0).sum())), _MAX_FEATURES)  # the first fold is the largest
    counts = counter.counts(texts, keys)

    def counts_of(rows: Rows) -> Any:
        return counts[np.searchsorted(train, rows)]

    scores_of_folds = []
    sizes = []
    for fold in range(fold_count):
        held_out = train[folds == fold]
        design = _DesignMatrix(corpus, keys, counts_of, train[folds != fold])
        scores_of_folds.append(map(design.scorer(held_out), map(design.fitter(), _C_VALUES)))
        sizes.append(corpus.weights[held_out].sum())

    best_c = _DEFAULT_C
    best_score = -math.inf
    with ThreadPoolExecutor(available_cores()) as pool:  # one fold does not depend on another
        for tried, c in enumerate(_C_VALUES):
            progress(f"{_ACTIVITY}: choosing its penalty", tried, len(_C_VALUES))
            score = np.average([*pool.map(next, scores_of_folds)], weights=sizes)
            if score < best_score:  # the fits, which take long, end at the first drop
                break
            if score > best_score:
                best_c = c
                best_score = score
    return best_c


def fit_baseline(config: RunConfig, texts: Iterable[str], labels: Sequence[int]) -> LinearModel:
    """The linear baseline of texts without a corpus on disk; none of them is set aside for testing.

    Args:
        labels: the index of each text's class in `config.data.label_names`.
    """
    tokens = TokenRows.of_tweets(map(Tokenizer(config.data.text), texts))
    classes = np.array(labels, np.int8)
    class_count = len(config.data.label_names)
    weights = np.ones(len(classes), np.float32)
    factors = class_factors(classes, weights, class_count, config.training.class_weights)
    if factors is not None:
        weights = factors[classes].astype(np.float32)
    in_memory = TextsInMemory(
        tokens.types, tokens.token_ids, tokens.offsets, classes, weights, class_count, config.data.is_english
    )
    model, _ = fit_linear_model(in_memory, silent)
    return model


@dataclass(frozen=True)
class Baselines:
    """The baselines' predictions for a corpus, with which its runs are compared."""

    later_classes: Floats  # (rows, classes - 1), raw probabilities by the linear baseline of all classes but the first
    compound: Floats  # (rows,), VADER's compound scores, from -1 to 1; NaN for rows that are not rated
    model: LinearModel
    settings: dict[str, Any]  # of the linear model, see `fit_linear_model`


def load_or_fit_baselines(corpus: Corpus, measured_rows: Rows, progress: Progress = silent) -> Baselines:
    """The baselines of a corpus, cached in its folder: one of several processes fits them; damaged files are replaced.

    Args:
        measured_rows: the rows to rate with VADER's lexicon, which takes long; always the same for a corpus.
    """
    baselines = _cached(corpus)
    if baselines is None:
        with Lock(corpus.baselines_file.with_suffix(".lock"), "fits the linear baseline", progress):
            baselines = _cached(corpus) or _fit_and_store(corpus, measured_rows, progress)
    return baselines


def _cached(corpus: Corpus) -> Baselines | None:
    path = corpus.baselines_file
    try:  # a zip file has checksums
        with np.load(path) as arrays:
            model = LinearModel.from_bytes(arrays["model"].tobytes(), str(path), corpus.class_count, corpus.is_english)
            return Baselines(arrays["others"], arrays["compound"], model, json.loads(str(arrays["settings"])))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RunDirError):
        return None


def _fit_and_store(corpus: Corpus, measured_rows: Rows, progress: Progress) -> Baselines:
    model, settings = fit_linear_model(corpus, progress)
    later_classes = model.classify(corpus, progress).probabilities[:, 1:].astype(np.float32)
    compound = rate_rows(corpus, measured_rows if corpus.is_english else measured_rows[:0], progress)
    arrays: dict[str, Any] = {
        "others": later_classes,
        "compound": compound,
        "settings": np.array(json.dumps(settings)),
        "model": np.frombuffer(model.to_bytes(), np.uint8),
    }
    delete_leftovers(corpus.path)
    write_atomically(corpus.baselines_file, lambda file: np.savez(file, **arrays))
    return Baselines(later_classes, compound, model, settings)
