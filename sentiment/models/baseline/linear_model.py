"""The linear baseline as a model: from a tweet's n-grams and rated words to a probability, and from a file and back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from sentiment.characters import visible
from sentiment.data.text.token_rows import TokenRows
from sentiment.errors import RunDirError
from sentiment.files import read_named
from sentiment.models.baseline.ngrams import Keys, NGramCounter, first_of_characters
from sentiment.models.baseline.polarity import FEATURES, lexicon_fingerprint, polarity
from sentiment.record_files import in_a_line
from sentiment.records import Record

Numbers = npt.NDArray[np.float32]

_MOST_BYTES = 1_000_000_000
_ROWS = 65_536


class _Header(Record):
    """What of a model is no array."""

    format: Literal["linear baseline, 3"] = "linear baseline, 3"
    lexicon: str
    """Fingerprint of the rated words."""
    intercept: float
    settings: dict[str, Any]


@dataclass(frozen=True)
class Features:
    """The n-grams that a model knows, and how much the mere rarity of each weighs."""

    keys: Keys  # (n-grams,), sorted
    idf: Numbers  # (n-grams,)

    def of(self, counter: NGramCounter, rows: TokenRows) -> Any:
        """TF-IDF of tweets with logarithmic counts, see `tfidf`, then `polarity`: sparse float32, (rows, features)."""
        ngrams = tfidf(counter.counts(rows, self.keys), self.idf, first_of_characters(self.keys))
        return beside(ngrams, polarity(rows))


@dataclass(frozen=True)
class LinearModel:
    """Logistic regression on the n-grams of a tweet, and on the values that a lexicon gives its words."""

    features: Features
    weights: Numbers  # (features,): those of n-grams, then those of `polarity`
    intercept: float
    settings: dict[str, Any]
    """How it was made, for the record: its penalty and how that was chosen."""

    def probabilities(self, rows: TokenRows) -> npt.NDArray[np.float64]:
        """Probability of positive sentiment of each tweet, whatever the tweets around it. Shape (rows,)."""
        return self.judge(rows)[0]

    def judge(self, rows: TokenRows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """The same, and whether the model knows any n-gram of each tweet, or the lexicon any word."""
        from scipy.special import expit

        counter = NGramCounter(rows.types)
        logits, known = [np.empty(0)], [np.empty(0, bool)]
        for first in range(0, rows.size, _ROWS):
            block = rows.take(np.arange(first, min(first + _ROWS, rows.size)))
            values = self.features.of(counter, block)
            logits.append(values @ self.weights.astype(np.float64) + self.intercept)
            known.append(np.diff(values.indptr) > 0)
        return expit(np.concatenate(logits)), np.concatenate(known)

    def write(self, file: BinaryIO) -> None:
        """Write it in the format of safetensors: plain numbers, and the settings as JSON in the header."""
        from safetensors.numpy import save

        header = _Header(lexicon=lexicon_fingerprint(), intercept=self.intercept, settings=self.settings)
        arrays: dict[str, npt.NDArray[Any]] = {
            "keys": self.features.keys,
            "idf": self.features.idf,
            "weights": self.weights,
        }
        # One entry, since several would stand in another order each time.
        file.write(save(arrays, {"model": header.model_dump_json()}))

    @classmethod
    def read(cls, path: Path) -> "LinearModel":
        """The model in a file.

        Raises:
            RunDirError: it is missing, cannot be read, or is no such model.
        """
        try:
            content = read_named(path, _MOST_BYTES)
        except OSError as error:
            raise RunDirError(f"{path}: holds no linear baseline: {error}") from None
        return cls.from_bytes(content, str(path))

    @classmethod
    def from_bytes(cls, content: bytes, path: str) -> "LinearModel":
        """The model that `write` wrote, its content checked: it may have been made by hand.

        Args:
            path: where it was, for messages.

        Raises:
            RunDirError: it is no such model.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(content)
            length = int.from_bytes(content[:8], "little")  # of the header, which holds what is no array
            header = _Header.model_validate_json(json.loads(content[8 : 8 + length])["__metadata__"]["model"])
            keys, idf, weights = arrays["keys"], arrays["idf"], arrays["weights"]
        except ValidationError as error:
            raise RunDirError(f"{path}: holds no linear baseline: {in_a_line(error)}") from None
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise RunDirError(f"{path}: holds no linear baseline: {visible(str(error))}") from None
        if keys.dtype != np.uint64 or keys.ndim != 1 or not bool((keys[:-1] < keys[1:]).all()):
            raise RunDirError(f"{path}: holds no linear baseline: keys is no row of ascending hashes")
        for name, values, n in (("idf", idf, len(keys)), ("weights", weights, len(keys) + len(FEATURES))):
            if values.dtype != np.float32 or values.shape != (n,) or not bool(np.isfinite(values).all()):
                raise RunDirError(f"{path}: holds no linear baseline: {name} is not {n:,} finite float32")
        if header.lexicon != lexicon_fingerprint():
            raise RunDirError(f"{path}: was fitted with another list of rated words than the package afinn holds here")
        return cls(Features(keys, idf), weights, header.intercept, header.settings)


def beside(ngrams: Any, dense: npt.NDArray[np.float32]) -> Any:
    """Further columns of a sparse matrix, (rows, all columns); zeros in them are not stored."""
    from scipy import sparse

    return sparse.hstack([ngrams, sparse.csr_matrix(dense)], format="csr")


def tfidf(counts: Any, idf: Numbers, words: int) -> Any:
    """Turn counts of n-grams into 1 + log(count), times their rarity, over the length of the tweet's vector.

    The n-grams of words make one vector and those of characters another, as the many characters would drown the words.
    Nothing depends on where in the matrix a number stands, as it may with NumPy's faster sums and logarithms.

    Args:
        words: the number of columns that are n-grams of words, which come first.
    """
    for first in range(0, counts.shape[0], _ROWS):  # a block at a time, since numbers of 64 bits need much room
        ends = counts.indptr[first : first + _ROWS + 1]
        block = slice(ends[0], ends[-1])
        numbers, columns = counts.data[block].astype(np.int64), counts.indices[block]
        logarithms = 1 + np.log(np.arange(1, numbers.max(initial=1) + 1))
        values = logarithms[numbers - 1] * idf[columns]
        vectors = 2 * np.repeat(np.arange(len(ends) - 1), np.diff(ends)) + (columns >= words)
        lengths = np.sqrt(np.bincount(vectors, values**2))
        counts.data[block] = values / lengths[vectors]
    return counts
