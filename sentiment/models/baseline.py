"""The linear baseline: naive Bayes log-count ratios of n-grams and AFINN word ratings, into a logistic regression.

Wang and Manning (2012), "Baselines and Bigrams". Fitted once for a corpus and kept in its folder. Features are hashed
word unigrams and bigrams, and character n-grams within words. N-grams are computed once per word type and not per
tweet, which is faster than scikit-learn's vectorizers.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # imports its submodules on first use; networks need none of them

from sentiment.config import RunConfig
from sentiment.console import Progress, silent, visible
from sentiment.data.corpus import Corpus
from sentiment.data.text import Flags, Floats, Rows, Tokenizer, TokenRows
from sentiment.errors import RunDirError
from sentiment.files import write_atomically
from sentiment.metrics import Probabilities, with_first_class
from sentiment.models.lexicon import FEATURES, rate_rows, rating_features
from sentiment.models.text_model import Predictions, TextModel, calibrated, check_arrays
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import Part

Keys = npt.NDArray[np.uint64]

# The increment and the multipliers of splitmix64 (Steele, Lea & Flood 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
# Lengths of character n-grams; a token is padded with a space on each side.
_MIN_ORDER = 2
_MAX_ORDER = 5
_BLOCK_ROWS = 16_384
_CACHED_ROWS = 1_024  # whose features stay in the processor's cache, which halves the time of TF-IDF

# The highest bit of a key: in sorted keys, word unigrams and bigrams come first, then character n-grams.
_CHARACTER_BIT = np.uint64(1 << 63)


class NGramCounter:
    """Counts n-grams in tweets whose token ids index one list of types."""

    def __init__(self, types: Sequence[str]) -> None:
        self._words = _word_keys(types)
        owners, grams = _character_keys(types)
        # Parallel arrays: the type _owners[i] contains the n-gram _grams[i].
        self._owners = np.concatenate([np.arange(len(types)), owners])
        self._grams = np.concatenate([self._words, grams])

    def frequent(self, rows: TokenRows, min_count: int, max_features: int) -> Keys:
        """The `max_features` most frequent n-grams among those that occur at least `min_count` times; sorted."""
        occurrences = np.bincount(rows.token_ids, minlength=len(self._words))
        grams, inverse = np.unique(self._grams, return_inverse=True)
        gram_counts = np.bincount(inverse, occurrences[self._owners], len(grams))
        bigrams, bigram_counts = np.unique(self._bigrams(rows)[0], return_counts=True)
        keys = np.concatenate([grams, bigrams])
        counts = np.concatenate([gram_counts, bigram_counts])
        is_frequent = counts >= min_count
        keys = keys[is_frequent]
        # Ties go to the lowest hash, so that the selection is deterministic.
        order = np.lexsort((keys, -counts[is_frequent]))
        return np.unique(keys[order[:max_features]])

    def counts(self, rows: TokenRows, keys: Keys) -> Any:
        """Occurrences of each n-gram of `keys` in each tweet: a sparse float32 matrix (rows, keys), indices sorted."""
        type_counts = _count_matrix(self._owners, self._grams, keys, len(self._words))
        blocks = []
        for first in range(0, max(rows.size, 1), _BLOCK_ROWS):
            block = rows.take(np.arange(first, min(first + _BLOCK_ROWS, rows.size)))
            ones = np.ones(len(block.token_ids), np.float32)
            tokens = scipy.sparse.csr_matrix(
                (ones, block.token_ids, block.offsets), shape=(block.size, len(self._words))
            )
            bigrams, owners = self._bigrams(block)
            counts = tokens @ type_counts + _count_matrix(owners, bigrams, keys, block.size)
            counts.sort_indices()
            blocks.append(counts)
        return scipy.sparse.vstack(blocks, format="csr")

    def with_known_word(self, rows: TokenRows, keys: Keys) -> Flags:
        """Whether any of a tweet's words is among the unigrams of `keys`; shape (rows,)."""
        _, is_known = _columns(self._words, keys)
        return rows.have_type(is_known)

    def _bigrams(self, rows: TokenRows) -> tuple[Keys, Rows]:
        """The keys of all word bigrams, and the row that each is in."""
        words = self._words[rows.token_ids]
        owners = rows.owners
        same_tweet = owners[1:] == owners[:-1]
        keys = _mixed(words[:-1][same_tweet] * _STEP + words[1:][same_tweet])
        return keys & ~_CHARACTER_BIT, owners[1:][same_tweet]


def _count_matrix(owners: Rows, grams: Keys, keys: Keys, size: int) -> Any:
    """Occurrences of each n-gram of the sorted `keys` in each of `size` owners; other n-grams are ignored."""
    columns, is_known = _columns(grams, keys)
    ones = np.ones(is_known.sum(), np.float32)
    return scipy.sparse.csr_matrix((ones, (owners[is_known], columns[is_known])), (size, len(keys)))


def _columns(grams: Keys, keys: Keys) -> tuple[Rows, Flags]:
    """The index of each n-gram in the sorted `keys`, and whether it is there."""
    columns = np.searchsorted(keys, grams)
    last = np.minimum(columns, max(len(keys) - 1, 0))
    is_known = keys[last] == grams if len(keys) else np.zeros(len(grams), bool)
    return columns, is_known


def _word_keys(types: Sequence[str]) -> Keys:
    digests = [hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest() for word in types]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64) & ~_CHARACTER_BIT


def _character_keys(types: Sequence[str]) -> tuple[Rows, Keys]:
    """For each character n-gram of each type: the index of the type, and the n-gram's key."""
    text = "".join(f" {word} " for word in types).encode("utf-32-le", "surrogatepass")
    letters = np.frombuffer(text, "<u4").astype(np.uint64)
    lengths = np.array([len(word) + 2 for word in types], np.int64)
    owners = np.repeat(np.arange(len(types)), lengths)
    remaining = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(letters))
    padded = np.concatenate([letters, np.zeros(_MAX_ORDER, np.uint64)])
    gram_owners = []
    keys = []
    rolling = np.zeros(len(letters), np.uint64)
    for order in range(1, _MAX_ORDER + 1):
        following = padded[order - 1 : order - 1 + len(letters)]
        rolling = _mixed(rolling * _STEP + following + np.uint64(order))
        if order >= _MIN_ORDER:
            inside = remaining >= order
            gram_owners.append(owners[inside])
            keys.append(rolling[inside] | _CHARACTER_BIT)
    return np.concatenate(gram_owners), np.concatenate(keys)


def _mixed(values: Keys) -> Keys:
    for shift, factor in zip((30, 27), _MIX, strict=True):
        values = (values ^ (values >> np.uint64(shift))) * factor
    return np.asarray(values ^ (values >> np.uint64(31)))


def tfidf(counts: Any, idf: Floats, keys: Keys) -> Any:
    """TF-IDF with sublinear tf, (1 + log(count)) * idf, L2-normalised; overwrites `counts`.

    Word and character features of a tweet are normalised separately, because the many character n-grams would dominate.
    Results do not depend on the position in the matrix, as they may with NumPy's SIMD sums and logarithms.
    """
    words = np.searchsorted(keys, _CHARACTER_BIT)
    for first in range(0, counts.shape[0], _CACHED_ROWS):
        ends = counts.indptr[first : first + _CACHED_ROWS + 1]
        block = slice(ends[0], ends[-1])
        numbers = counts.data[block].astype(np.int64)
        columns = counts.indices[block]
        logarithms = 1 + np.log(np.arange(1, numbers.max(initial=1) + 1))
        values = logarithms[numbers - 1] * idf[columns]
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        vectors = 2 * rows + (columns >= words)
        squares = np.bincount(vectors, values**2)
        counts.data[block] = values / np.sqrt(squares)[vectors]
    return counts


def features(keys: Keys, idf: Floats, counts: Any, rows: TokenRows, has_ratings: bool) -> Any:
    """TF-IDF of `counts`, which is overwritten, then `rating_features` if rated: sparse float32, (rows, features)."""
    values = tfidf(counts, idf, keys)
    if not has_ratings:
        return values
    return scipy.sparse.hstack([values, scipy.sparse.csr_matrix(rating_features(rows))], format="csr")


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

    def classify(self, rows: TokenRows) -> Predictions:
        """A text is usable if one of its words is a feature, a negation, or rated by AFINN.

        Otherwise only pieces of words are known, which say little: nearly every string has some.
        """
        counter = NGramCounter(rows.types)
        counts = counter.counts(rows, self.keys)
        has_ratings = self.weights.shape[1] > len(self.keys)
        values = features(self.keys, self.idf, counts, rows, has_ratings)
        has_rated_word = np.diff(values[:, len(self.keys) :].indptr) > 0
        return Predictions(self.probabilities(values), counter.with_known_word(rows, self.keys) | has_rated_word)

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
_FEW = 20_000  # with fewer training rows, the penalty is chosen by cross-validation on them
_LARGE = 200_000  # with at least as many training rows, the penalty is not searched
_FOLDS = 5
_MAX_ITERATIONS = 1000
_TOLERANCE = 1e-6
_FOLD_TOLERANCE = 1e-4  # in cross-validation, which takes most of the time
_WEIGHT_ERROR = 0.25  # of a rough fit, in weights that the penalty alone determines
_MAX_FEATURES = 1 << 20
_C_VALUES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # C is the inverse of the L2 penalty
_DEFAULT_C = 1.0


@dataclass(frozen=True)
class TextsInMemory(TokenRows):
    """Labelled texts without a corpus on disk; see `Corpus` for the attributes.

    From 20,000 texts on every tenth is a validation text, from 200,000 on none is, since no penalty is searched.
    """

    labels: npt.NDArray[np.int8]
    weights: Floats
    class_count: int
    is_english: bool

    def rows(self, part: Part) -> Rows:
        numbers = np.arange(self.size)
        is_validation = (numbers % 10 == 0) & (_FEW <= self.size < _LARGE)
        return np.flatnonzero(is_validation == (part == "validation"))


LabelledRows = Corpus | TextsInMemory


def fit_linear_model(corpus: LabelledRows, progress: Progress) -> tuple[LinearModel, dict[str, Any]]:
    """Fit the linear baseline of a corpus on its training part only; deterministic.

    With fewer than 20,000 training tweets its penalty is chosen by cross-validation on them, because a few hundred
    validation tweets are too few to choose between penalties; with fewer than 200,000, on the validation part; with
    more it is fixed. Sample weights are used both for fitting and for scoring.

    Returns:
        The model; and its settings for the run's record: its penalty, how that was chosen, and its n-grams.
    """
    from threadpoolctl import threadpool_limits

    train = corpus.rows("train")
    counter = NGramCounter(corpus.types)
    progress(_ACTIVITY, 0, None)
    with threadpool_limits(1):  # sums in another order have other last digits
        keys = counter.frequent(corpus.take(train), _min_df(len(train)), _MAX_FEATURES)
        design = _DesignMatrix(corpus, keys, lambda rows: counter.counts(corpus.take(rows), keys), train)
        model = None
        if len(train) >= _LARGE:
            method = "fixed"
            c = _DEFAULT_C
        elif len(train) < _FEW:
            method = "cross-validation"
            c = _by_cross_validation(corpus, counter, progress)
        else:
            method = "validation"
            model = design.fitter()(_DEFAULT_C)
            c = _by_validation(design, model, corpus.rows("validation"))
        if model is None or c != _DEFAULT_C:
            model = design.fitter()(c)
    return model, {"C": c, "C_chosen_by": method, "min_df": design.min_df, "features": len(model.keys)}


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
        self._values = features(self._keys, self._idf, counts, corpus.take(rows), corpus.is_english)
        self._values.data *= self._feature_scale[self._values.indices]

    def fitter(self, tolerance: float = _TOLERANCE) -> Callable[[float], LinearModel]:
        """A function that fits with a value of C, each time starting from its previous fit."""
        regressions = self._regressions("lbfgs")
        return lambda c: self._fit(regressions, c, tolerance)

    def rough_fitter(self, start: LinearModel) -> Callable[[float], LinearModel]:
        """Like `fitter`, but precise enough for comparing values of C only; the first fit starts from a model.

        From such a start Newton's method takes a third of the time of L-BFGS.
        """
        regressions = self._regressions("newton-cg")
        for regression, weights, intercept in zip(regressions, start.weights, start.intercepts, strict=True):
            regression.coef_ = (weights / self._feature_scale)[np.newaxis]
            regression.intercept_ = np.array([intercept])
        # Where the penalty alone determines a weight w, the gradient is that of the penalty, w / (C n).
        return lambda c: self._fit(regressions, c, _WEIGHT_ERROR / (c * len(self._labels)))

    def _regressions(self, solver: str) -> list[Any]:
        from sklearn.linear_model import LogisticRegression

        settings = {"solver": solver, "max_iter": _MAX_ITERATIONS, "warm_start": True, "random_state": 0}
        return [LogisticRegression(**settings) for _ in self._regressed]

    def _fit(self, regressions: Sequence[Any], c: float, tolerance: float) -> LinearModel:
        for label, regression in zip(self._regressed, regressions, strict=True):
            regression.set_params(C=c, tol=tolerance).fit(self._values, self._labels == label, self._weights)
        weights = [regression.coef_[0].astype(np.float32) * self._feature_scale for regression in regressions]
        intercepts = [float(regression.intercept_[0]) for regression in regressions]
        return LinearModel(self._keys, self._idf, np.stack(weights), np.array(intercepts))

    def scorer(self, rows: Rows) -> Callable[[LinearModel], float]:
        """A function that gives a fit's mean log-likelihood of the labels of other rows.

        The log-likelihood separates penalties whose predictions differ for only a few tweets.
        """
        texts = self._corpus.take(rows)
        labels = self._corpus.labels[rows].astype(np.int64)
        weights = self._corpus.weights[rows]
        counts = self._count(rows)[:, self._kept]
        values = features(self._keys, self._idf, counts, texts, self._corpus.is_english)

        def score(model: LinearModel) -> float:
            likelihoods = np.take_along_axis(model.probabilities(values), labels[:, None], axis=1)[:, 0]
            return float(np.average(np.log(np.maximum(likelihoods, 1e-12)), weights=weights))

        return score

    def _naive_bayes(self, counts: Any) -> Floats:
        """sqrt(1 + r^2) of each feature; r^2 is the mean over the regressions of the squared log-ratio."""
        lengths = np.diff(counts.indptr)
        size = counts.shape[1]
        labels = np.repeat(self._labels, lengths)
        weights = np.repeat(self._weights, lengths)
        squares = []
        for label in self._regressed:
            inside = labels == label
            positive = np.bincount(counts.indices[inside], weights[inside], size) + 1.0
            negative = np.bincount(counts.indices[~inside], weights[~inside], size) + 1.0
            ratio = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
            squares.append(ratio**2)
        return np.asarray(np.sqrt(1 + np.mean(squares, axis=0)), np.float32)


def _by_cross_validation(corpus: LabelledRows, counter: NGramCounter, progress: Progress) -> float:
    """The value of C that is best on folds of the training rows, each predicted by a fit on the others."""
    train = corpus.rows("train")
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

    fold_scores = []
    sizes = []
    for fold in range(fold_count):
        held_out = train[folds == fold]
        design = _DesignMatrix(corpus, keys, counts_of, train[folds != fold])
        fold_scores.append(map(design.scorer(held_out), map(design.fitter(_FOLD_TOLERANCE), _C_VALUES)))
        sizes.append(corpus.weights[held_out].sum())

    def mean_scores() -> Iterator[float]:
        for tried, scores in enumerate(zip(*fold_scores, strict=True)):
            progress(f"{_ACTIVITY}: choosing its penalty", tried, len(_C_VALUES))
            yield np.average(scores, weights=sizes)

    return _best(_C_VALUES, mean_scores())


def _by_validation(design: _DesignMatrix, default: LinearModel, rows: Rows) -> float:
    """The value of C that is best on validation rows.

    Weaker penalties than the default are tried first, stronger ones only if none of them is better.

    Args:
        default: the fit with the default value.
    """
    score = design.scorer(rows)

    def scores(c_values: list[float]) -> Iterator[float]:
        fit = design.rough_fitter(default)
        yield score(default)
        for c in c_values[1:]:
            yield score(fit(c))

    weaker = [_DEFAULT_C, *(c for c in _C_VALUES if c > _DEFAULT_C)]
    stronger = [_DEFAULT_C, *(c for c in reversed(_C_VALUES) if c < _DEFAULT_C)]
    best = _best(weaker, scores(weaker))
    return best if best != _DEFAULT_C else _best(stronger, scores(stronger))


def _best(c_values: Sequence[float], scores: Iterable[float]) -> float:
    """The value of C with the highest score, the first of equal ones; stops at the first drop of the score."""
    best_c = _DEFAULT_C
    best_score = -math.inf
    for c, score in zip(c_values, scores, strict=False):
        if score < best_score:
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
    if config.training.class_weights == "balanced":
        weight_of_class = len(classes) / (class_count * np.bincount(classes))
        weights = weight_of_class[classes].astype(np.float32)
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
        with ProcessLock(corpus.baselines_file.with_suffix(".lock"), "fits the linear baseline", progress):
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
    later_classes = model.classify(corpus).probabilities[:, 1:].astype(np.float32)
    compound = rate_rows(corpus, measured_rows if corpus.is_english else measured_rows[:0], progress)
    arrays: dict[str, Any] = {
        "others": later_classes,
        "compound": compound,
        "settings": np.array(json.dumps(settings)),
        "model": np.frombuffer(model.to_bytes(), np.uint8),
    }
    write_atomically(corpus.baselines_file, lambda file: np.savez(file, **arrays))
    return Baselines(later_classes, compound, model, settings)
