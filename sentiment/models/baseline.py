"""The linear baseline: naive Bayes log-count ratios of n-grams and a lexicon's values, into a logistic regression.

Wang and Manning (2012), "Baselines and Bigrams". Fitted once for a corpus and kept beside it. The n-grams of words and
their pairs, and of characters within words, are counted by their hashes once for each type of word, which is faster
than scikit-learn's vectorizers, which look at each tweet.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import expit

from sentiment.config import RunConfig
from sentiment.console import Progress, silent, visible
from sentiment.data.corpus import Corpus
from sentiment.data.text import Tokenizer, TokenRows
from sentiment.errors import RunDirError
from sentiment.files import write_atomically
from sentiment.models.lexicon import FEATURES, polarity, rate_rows
from sentiment.models.text_model import Predictions, TextModel, calibrated, check_arrays
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import BASELINE

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

# Odd numbers of splitmix64, which mixes well (Steele, Lea & Flood 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_CHARACTERS = (2, 5)  # of a token, whose begin and end count as a blank each
_ROWS_AT_ONCE = 16_384

# The highest bit of a key: words and their pairs come first in sorted keys, then what is made of characters.
_OF_CHARACTERS = np.uint64(1 << 63)


class NGramCounter:
    """Counts the n-grams of tweets that are made of one set of types, which their rows number."""

    def __init__(self, types: Sequence[str]) -> None:
        self._words = _word_keys(types)
        owners, grams = _character_keys(types)
        # Side by side, each pair says that a type has an n-gram within it.
        self._owners = np.concatenate([np.arange(len(types)), owners])
        self._grams = np.concatenate([self._words, grams])

    def frequent(self, rows: TokenRows, least: int, most: int) -> Keys:
        """The n-grams that occur at least `least` times, the `most` most frequent of them; sorted."""
        occurrences = np.bincount(rows.token_ids, minlength=len(self._words))
        within, place = np.unique(self._grams, return_inverse=True)
        pairs, of_pairs = np.unique(self._pairs(rows)[0], return_counts=True)
        keys = np.concatenate([within, pairs])
        counts = np.concatenate([np.bincount(place, occurrences[self._owners], len(within)), of_pairs])
        keys, counts = keys[counts >= least], counts[counts >= least]
        # Of equally frequent ones those with the lowest hash, so that it is the same everywhere.
        return np.unique(keys[np.lexsort((keys, -counts))[:most]])

    def counts(self, rows: TokenRows, keys: Keys) -> Any:
        """How often each tweet has each n-gram of `keys`: a sparse float32 matrix (rows, keys) with sorted indices."""
        of_types = _indicators(self._owners, self._grams, keys, len(self._words))
        blocks = []
        for first in range(0, max(rows.size, 1), _ROWS_AT_ONCE):
            block = rows.take(np.arange(first, min(first + _ROWS_AT_ONCE, rows.size)))
            ones = np.ones(len(block.token_ids), np.float32)
            tokens = sparse.csr_matrix((ones, block.token_ids, block.offsets), shape=(block.size, len(self._words)))
            pairs, owners = self._pairs(block)
            blocks.append(tokens @ of_types + _indicators(owners, pairs, keys, block.size))
            blocks[-1].sort_indices()
        return sparse.vstack(blocks, format="csr")

    def _pairs(self, rows: TokenRows) -> tuple[Keys, Rows]:
        keys = self._words[rows.token_ids]
        owners = np.repeat(np.arange(rows.size), np.diff(rows.offsets))
        inside = owners[1:] == owners[:-1]
        return _mixed(keys[:-1][inside] * _STEP + keys[1:][inside]) & ~_OF_CHARACTERS, owners[1:][inside]


def _indicators(owners: Rows, grams: Keys, keys: Keys, size: int) -> Any:
    """How often each of `size` owners has each n-gram of the sorted `keys`; others do not count."""
    places = np.searchsorted(keys, grams)
    known = (np.append(keys, np.uint64(0))[places] == grams) & (places < len(keys))
    return sparse.csr_matrix((np.ones(known.sum(), np.float32), (owners[known], places[known])), (size, len(keys)))


def _word_keys(types: Sequence[str]) -> Keys:
    digests = (hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in types)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64) & ~_OF_CHARACTERS


def _character_keys(types: Sequence[str]) -> tuple[Rows, Keys]:
    """The characters' n-grams in each type, and the number of the type that each is in."""
    text = "".join(f" {one} " for one in types).encode("utf-32-le", "surrogatepass")
    letters = np.frombuffer(text, "<u4").astype(np.uint64)
    lengths = np.array([len(one) + 2 for one in types], np.int64)
    owners = np.repeat(np.arange(len(types)), lengths)
    remaining = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(letters))
    padded = np.concatenate([letters, np.zeros(_CHARACTERS[1], np.uint64)])
    found = []
    rolling = np.zeros(len(letters), np.uint64)
    for order in range(1, _CHARACTERS[1] + 1):
        following = padded[order - 1 : order - 1 + len(letters)]
        rolling = _mixed(rolling * _STEP + following + np.uint64(order))
        if order >= _CHARACTERS[0]:
            inside = remaining >= order
            found.append((owners[inside], rolling[inside] | _OF_CHARACTERS))
    of_types, keys = zip(*found, strict=True)
    return np.concatenate(of_types), np.concatenate(keys)


def _mixed(values: Keys) -> Keys:
    for shift, factor in zip((30, 27), _MIX, strict=True):
        values = (values ^ (values >> np.uint64(shift))) * factor
    return np.asarray(values ^ (values >> np.uint64(31)))


def tfidf(counts: Any, idf: Numbers, keys: Keys) -> Any:
    """Turn counts of n-grams into 1 + log(count), times their rarity, over the length of the tweet's vector.

    The n-grams of words, which come first in sorted `keys`, make one vector and those of characters another, as the
    many characters would drown the words. Nothing depends on where in the matrix a number stands, as it may with
    NumPy's faster sums and logarithms.
    """
    words = np.searchsorted(keys, _OF_CHARACTERS)
    for first in range(0, counts.shape[0], _ROWS_AT_ONCE):  # a block at a time, since numbers of 64 bits need much room
        ends = counts.indptr[first : first + _ROWS_AT_ONCE + 1]
        block = slice(ends[0], ends[-1])
        numbers, columns = counts.data[block].astype(np.int64), counts.indices[block]
        logarithms = 1 + np.log(np.arange(1, numbers.max(initial=1) + 1))
        values = logarithms[numbers - 1] * idf[columns]
        vectors = 2 * np.repeat(np.arange(len(ends) - 1), np.diff(ends)) + (columns >= words)
        counts.data[block] = values / np.sqrt(np.bincount(vectors, values**2))[vectors]
    return counts


def features(keys: Keys, idf: Numbers, counts: Any, rows: TokenRows) -> Any:
    """TF-IDF of the counts of `keys`, which are overwritten, then `polarity`: sparse float32, (rows, features)."""
    return sparse.hstack([tfidf(counts, idf, keys), sparse.csr_matrix(polarity(rows))], format="csr")


@dataclass(frozen=True)
class LinearModel:
    """Logistic regression on the n-grams of a tweet, and on the values that a lexicon gives its words."""

    keys: Keys  # (n-grams,), sorted
    idf: Numbers  # (n-grams,), how much the mere rarity of each weighs
    weights: Numbers  # (features,): those of n-grams, then those of `polarity`
    intercept: float

    def classify(self, rows: TokenRows) -> Predictions:
        """Usable is where it knows an n-gram, or the lexicon a word: `features` store no zeros."""
        values = features(self.keys, self.idf, NGramCounter(rows.types).counts(rows, self.keys), rows)
        logits = values @ self.weights.astype(np.float64) + self.intercept
        return Predictions(expit(logits), np.diff(values.indptr) > 0)

    def to_bytes(self) -> bytes:
        from safetensors.numpy import save

        arrays: dict[str, npt.NDArray[Any]] = {"keys": self.keys, "idf": self.idf, "weights": self.weights}
        return save(arrays | {"intercept": np.array([self.intercept])})

    @classmethod
    def from_bytes(cls, content: bytes, place: str) -> "LinearModel":
        """The model that `to_bytes` gave at a `place`; a RunDirError says that it is no such model."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(content)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunDirError(f"{place}: holds no linear baseline: {visible(str(error))}") from None
        n = arrays["keys"].size if "keys" in arrays else 0
        wanted = {"keys": f"uint64 ({n},)", "idf": f"float32 ({n},)", "weights": f"float32 ({n + len(FEATURES)},)"}
        check_arrays(place, arrays, wanted | {"intercept": "float64 (1,)"})
        return cls(arrays["keys"], arrays["idf"], arrays["weights"], float(arrays["intercept"][0]))


class BaselineModel(TextModel):
    """Classifies texts by the linear baseline of a run."""

    name = BASELINE

    def __init__(self, config: RunConfig, model: LinearModel, temperature: float) -> None:
        self.config, self.tokenize = config, Tokenizer(config.data.text)
        self._model, self._temperature = model, temperature

    def classify(self, rows: TokenRows) -> Predictions:
        probabilities, usable = self._model.classify(rows)
        return Predictions(calibrated(probabilities, self._temperature), usable)


_WHAT = "fitting the linear baseline"
_TINY = 100  # with fewer training rows, n-grams that occur only once are features as well
_FEW = 20_000  # with fewer training rows, the penalty is chosen by cross-validation on them
_LARGE = 200_000  # with at least as many training rows, the penalty is not searched
_FOLDS = 5
_MOST_ITERATIONS = 1000
_MOST_FEATURES = 1 << 20
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # values of C, the inverse L2 penalty
_STRENGTH_UNSEARCHED = 1.0


def fit_linear_model(corpus: Corpus, progress: Progress) -> tuple[LinearModel, dict[str, Any]]:
    """The linear baseline of a corpus, fitted on its training part alone; the same corpus gives the same numbers.

    Its penalty is chosen by cross-validation on the training part where tweets are few, since a few hundred validation
    tweets cannot tell one from another, else on the validation part. A row's weight counts wherever its label does.

    Returns:
        The model; and for the record how it was made: its penalty, how that was chosen, and from which n-grams.
    """
    from threadpoolctl import threadpool_limits

    train, counter = corpus.rows("train"), NGramCounter(corpus.types)
    progress(_WHAT, 0, None)
    with threadpool_limits(1):  # sums in another order have other last digits
        design = _Design(corpus, counter, train)
        if len(train) >= _LARGE:
            chosen, how = _STRENGTH_UNSEARCHED, "fixed"
        elif len(train) < _FEW:
            chosen, how = _by_cross_validation(corpus, counter, progress), "cross-validation"
        else:
            chosen, how = _best(design.scores(corpus.rows("validation"), until_worse=True)), "validation"
        (model,) = design.fits((chosen,))
    return model, {"C": chosen, "C_chosen_by": how, "min_df": design.least, "features": len(model.keys)}


class _Design:
    """Some rows as features, for fits with several penalties.

    Naive Bayes weighting (Wang & Manning 2012) multiplies a feature by r, the log-ratio of its frequencies in positive
    and negative tweets. Here each feature x stands beside r x. A penalised model of both, w x + v r x with the penalty
    w^2 + v^2, is the same as one of the single feature sqrt(1 + r^2) x with one weight, so that nothing is doubled.
    """

    def __init__(self, corpus: Corpus, counter: NGramCounter, rows: Rows) -> None:
        self._corpus, self._counter = corpus, counter
        self._labels, self._weights = corpus.labels[rows], corpus.weights[rows]
        texts, self.least = corpus.take(rows), 2 if len(rows) >= _TINY else 1
        keys = counter.frequent(texts, self.least, _MOST_FEATURES)
        counts = counter.counts(texts, keys)
        frequencies = np.bincount(counts.indices, minlength=len(keys))
        known = frequencies >= self.least  # not an n-gram that is twice in one tweet and in no other
        self._keys, counts, frequencies = keys[known], counts[:, known], frequencies[known]
        self._idf = (np.log((1 + len(rows)) / (1 + frequencies)) + 1).astype(np.float32)
        self._scale = np.append(self._naive_bayes(counts), np.ones(len(FEATURES), np.float32))
        self._values = features(self._keys, self._idf, counts, texts)
        self._values.data *= self._scale[self._values.indices]

    def fits(self, strengths: Sequence[float]) -> Iterator[LinearModel]:
        """A fit for each strength, each begun where the one before ended."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(tol=1e-6, max_iter=_MOST_ITERATIONS, warm_start=True, random_state=0)
        for strength in strengths:
            model.set_params(C=strength).fit(self._values, self._labels, self._weights)
            weights = model.coef_[0].astype(np.float32) * self._scale
            yield LinearModel(self._keys, self._idf, weights, float(model.intercept_[0]))

    def scores(self, rows: Rows, until_worse: bool = False) -> list[float]:
        """How good the fit with each of `_STRENGTHS` is on other rows: the mean log-likelihood of their labels, which
        tells penalties apart that differ by a handful of tweets. `until_worse` leaves out the weaker, slower ones.
        """
        texts, labels, weights = self._corpus.take(rows), self._corpus.labels[rows], self._corpus.weights[rows]
        values = features(self._keys, self._idf, self._counter.counts(texts, self._keys), texts)
        scores: list[float] = []
        for fit in self.fits(_STRENGTHS):
            said = expit(values @ fit.weights + fit.intercept)
            of_label = np.maximum(np.where(labels == 1, said, 1 - said), 1e-12)
            scores.append(float(np.average(np.log(of_label), weights=weights)))
            if until_worse and scores[-1] < max(scores):
                break
        return scores

    def _naive_bayes(self, counts: Any) -> Numbers:
        """sqrt(1 + r^2) of each feature, from the numbers of positive and negative tweets that have it."""
        lengths, size = np.diff(counts.indptr), counts.shape[1]
        positive, weights = np.repeat(self._labels == 1, lengths), np.repeat(self._weights, lengths)
        having = [np.bincount(counts.indices[of], weights[of], size) + 1.0 for of in (positive, ~positive)]
        ratio = np.log(having[0] / having[0].sum()) - np.log(having[1] / having[1].sum())
        return np.asarray(np.sqrt(1 + ratio**2), np.float32)


def _by_cross_validation(corpus: Corpus, counter: NGramCounter, progress: Progress) -> float:
    """The strength that is best on folds of the training rows, each predicted by a fit on the others."""
    train = corpus.rows("train")
    labels = corpus.labels[train]
    number = min(_FOLDS, int(np.bincount(labels, minlength=2).min()))
    if number < 2:
        return _STRENGTH_UNSEARCHED
    folds = np.empty(len(train), np.int64)
    shuffled = np.random.default_rng(0).permutation(len(train))
    for label in (0, 1):  # each fold has its share of both labels
        of_label = shuffled[labels[shuffled] == label]
        folds[of_label] = np.arange(len(of_label)) % number
    scores = np.zeros(len(_STRENGTHS))
    for fold in range(number):
        progress(f"{_WHAT}: choosing its penalty", fold, number)
        design, left = _Design(corpus, counter, train[folds != fold]), train[folds == fold]
        scores += np.array(design.scores(left)) * corpus.weights[left].sum()
    return _best(scores)


def _best(scores: Sequence[float] | npt.NDArray[np.float64]) -> float:
    return _STRENGTHS[int(np.argmax(scores))]  # of equally good ones the first, which has the strongest penalty


@dataclass(frozen=True)
class Baselines:
    """What the runs on a corpus are compared with."""

    linear: Numbers  # (rows,), probabilities of the linear baseline, not calibrated
    lexicon: Numbers  # (rows,), as VADER's lexicon sees them; NaN for rows that are not measured
    model: LinearModel
    settings: dict[str, Any]  # how that was made


def corpus_baselines(corpus: Corpus, measured: Rows, progress: Progress = silent) -> Baselines:
    """The baselines of a corpus, cached in its folder: of several processes one makes them, and damaged ones anew.

    The lexicon rates the `measured` rows, which takes long; they are always the same for a corpus.
    """
    if (found := _cached(corpus)) is None:
        with ProcessLock(corpus.baselines_file.with_suffix(".lock"), "fits the linear baseline", progress):
            found = _cached(corpus) or _made(corpus, measured, progress)
    return found


def _cached(corpus: Corpus) -> Baselines | None:
    path = corpus.baselines_file
    try:  # the checksums in a zip tell what is damaged
        with np.load(path) as arrays:
            model = LinearModel.from_bytes(arrays["model"].tobytes(), str(path))
            return Baselines(arrays["linear"], arrays["lexicon"], model, json.loads(str(arrays["settings"])))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RunDirError):
        return None


def _made(corpus: Corpus, measured: Rows, progress: Progress) -> Baselines:
    model, settings = fit_linear_model(corpus, progress)
    linear = model.classify(corpus).probabilities.astype(np.float32)
    found = Baselines(linear, rate_rows(corpus, measured, progress), model, settings)
    arrays: dict[str, Any] = {"linear": linear, "lexicon": found.lexicon, "settings": np.array(json.dumps(settings))}
    arrays["model"] = np.frombuffer(model.to_bytes(), np.uint8)
    write_atomically(corpus.baselines_file, lambda file: np.savez(file, **arrays))
    return found
