"""The n-grams of tweets: hashed word unigrams and bigrams, and character n-grams within words, with their TF-IDF.

They are computed once per word type and not per tweet, which is faster than scikit-learn's vectorizers.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # imports its submodules on first use; networks need none of them

from sentiment.console import Progress, silent
from sentiment.data.text import is_emoticon
from sentiment.tokens import Flags, Floats, Rows, TokenRows, positions_of

Keys = npt.NDArray[np.uint64]

# The increment and the multipliers of splitmix64 (Steele, Lea & Flood 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
# Lengths of character n-grams; a token is padded with a space on each side.
_MIN_ORDER = 2
_MAX_ORDER = 5
_BLOCK_ROWS = 1_024  # whose n-grams stay in the processor's cache
_CACHED_ROWS = 1_024  # whose features stay in the processor's cache, which halves the time of TF-IDF

# The highest bit of a key: in sorted keys, word unigrams and bigrams come first, then character n-grams.
_CHARACTER_BIT = np.uint64(1 << 63)


class NGramCounter:
    """Counts n-grams in tweets whose token ids index one list of types, ignoring the case of words.

    `progress` is called between blocks of tweets, and may interrupt.
    """

    def __init__(self, types: Sequence[str], progress: Progress = silent) -> None:
        self._progress = progress
        types = [word if is_emoticon(word) else word.lower() for word in types]
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
        return scipy.sparse.vstack([counts for _, counts in self.blocks(rows, keys)], format="csr")

    def blocks(self, rows: TokenRows, keys: Keys) -> Iterator[tuple[slice, Any]]:
        """The matrix of `counts` in blocks of rows: where each block is, and its rows; at least one, if empty."""
        columns, is_known = _columns(self._grams, keys)
        owners = self._owners[is_known]
        of_types = columns[is_known][np.argsort(owners, kind="stable")]  # the columns of all types, in their order
        lengths = np.bincount(owners, minlength=len(self._words))
        starts = np.cumsum(lengths) - lengths
        for first in range(0, max(rows.size, 1), _BLOCK_ROWS):
            self._progress("counting n-grams", first, rows.size)
            where = slice(first, min(first + _BLOCK_ROWS, rows.size))
            block = rows.take(np.arange(where.start, where.stop))
            numbers = lengths[block.token_ids]  # of n-grams in each token
            of_tokens = of_types[positions_of(starts[block.token_ids], numbers)]
            bigrams, bigram_owners = self._bigrams(block)
            of_bigrams, is_known = _columns(bigrams, keys)
            owners = np.concatenate([np.repeat(block.owners, numbers), bigram_owners[is_known]])
            columns = np.concatenate([of_tokens, of_bigrams[is_known]])
            yield where, _count_matrix(owners, columns, (block.size, len(keys)))

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


def _count_matrix(owners: Rows, columns: Rows, shape: tuple[int, int]) -> Any:
    """How often each pair of a row and a column occurs; sorting them is faster than scipy's sparse products."""
    bits = shape[1].bit_length()
    pairs, counts = np.unique((owners << bits) | columns, return_counts=True)
    offsets = np.searchsorted(pairs >> bits, np.arange(shape[0] + 1))
    indices = pairs & ((1 << bits) - 1)
    return scipy.sparse.csr_matrix((counts.astype(np.float32), indices, offsets), shape)


def _columns(grams: Keys, keys: Keys) -> tuple[Rows, Flags]:
    """The index of each n-gram in the sorted `keys`, and whether it is there."""
    order = np.argsort(grams)  # in this order they are found three times as fast, since neighbours share memory
    columns = np.empty(len(grams), np.int64)
    columns[order] = np.searchsorted(keys, grams[order])
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
