"""Counts of tokens, of pairs of tokens and of 2 to 5 characters of a token, each known by a hash of 64 bits."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.data.text.token_rows import TokenRows

Keys = npt.NDArray[np.uint64]

# Odd numbers of splitmix64, which mixes well (Steele, Lea & Flood 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_ROWS = 16_384
_CHARACTERS = (2, 5)  # of a token, whose begin and end count as a blank each

# The highest bit of a key: words and their pairs come first in sorted keys, then what is made of characters.
_OF_CHARACTERS = np.uint64(1 << 63)


class NGramCounter:
    """Counts the n-grams of tweets that are made of one set of types."""

    def __init__(self, types: Sequence[str]) -> None:
        """Prepare the n-grams within each type.

        Args:
            types: distinct tokens, as the rows to count number them.
        """
        self._words = _word_keys(types)
        owners, grams = _character_keys(types)
        self._owners = np.concatenate([np.arange(len(types)), owners])
        self._grams = np.concatenate([self._words, grams])
        """With the owner beside it, each says that a type has an n-gram within it."""

    def frequent(self, rows: TokenRows, least: int, most: int) -> Keys:
        """The n-grams that occur at least `least` times, the `most` most frequent of them; sorted."""
        occurrences = np.bincount(rows.token_ids, minlength=len(self._words))
        within, place = np.unique(self._grams, return_inverse=True)
        keys, counts = [within], [np.bincount(place, weights=occurrences[self._owners], minlength=len(within))]
        pairs, number = np.unique(self._pairs(rows)[0], return_counts=True)
        keys.append(pairs)
        counts.append(number.astype(np.float64))
        all_keys, numbers = np.concatenate(keys), np.concatenate(counts)
        chosen = numbers >= least
        if chosen.sum() > most:
            # Of equally frequent ones those with the lowest hash, so that it is the same everywhere.
            chosen = np.zeros(len(numbers), bool)
            chosen[np.lexsort((all_keys, -numbers))[:most]] = True
        return np.unique(all_keys[chosen])

    def counts(self, rows: TokenRows, keys: Keys) -> Any:
        """How often each tweet has each n-gram of `keys`: a sparse float32 matrix (rows, keys) with sorted indices."""
        from scipy import sparse

        columns, known = _places(keys, self._grams)
        of_types = sparse.csr_matrix(
            (np.ones(known.sum(), np.float32), (self._owners[known], columns[known])),
            shape=(len(self._words), len(keys)),
        )
        blocks = []
        for first in range(0, max(rows.size, 1), _ROWS):
            block = rows.take(np.arange(first, min(first + _ROWS, rows.size)))
            tokens = sparse.csr_matrix(
                (np.ones(len(block.token_ids), np.float32), block.token_ids, block.offsets),
                shape=(block.size, len(self._words)),
            )
            total = tokens @ of_types
            pairs, owners = self._pairs(block)
            columns, known = _places(keys, pairs)
            total = total + sparse.csr_matrix(
                (np.ones(known.sum(), np.float32), (owners[known], columns[known])), shape=(block.size, len(keys))
            )
            total.sort_indices()
            blocks.append(total)
        return sparse.vstack(blocks, format="csr")

    def _pairs(self, rows: TokenRows) -> tuple[Keys, npt.NDArray[np.int64]]:
        """The pairs of neighbouring tokens, and the row of each."""
        keys = self._words[rows.token_ids]
        owners = np.repeat(np.arange(rows.size), np.diff(rows.offsets))
        inside = owners[1:] == owners[:-1]
        return _mixed(keys[:-1][inside] * _STEP + keys[1:][inside]) & ~_OF_CHARACTERS, owners[1:][inside]


def _word_keys(types: Sequence[str]) -> Keys:
    digests = (hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in types)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64) & ~_OF_CHARACTERS


def _character_keys(types: Sequence[str]) -> tuple[npt.NDArray[np.int64], Keys]:
    """The characters' n-grams in each type, and the number of the type that each is in."""
    text = "".join(f" {one} " for one in types).encode("utf-32-le", "surrogatepass")
    letters = np.frombuffer(text, "<u4").astype(np.uint64)
    lengths = np.array([len(one) + 2 for one in types], np.int64)
    owners = np.repeat(np.arange(len(types)), lengths)
    ends = np.repeat(np.cumsum(lengths), lengths)
    places = np.arange(len(letters))
    padded = np.concatenate([letters, np.zeros(_CHARACTERS[1], np.uint64)])
    found_owners, found_keys = [], []
    rolling = np.zeros(len(letters), np.uint64)
    for order in range(1, _CHARACTERS[1] + 1):
        following = padded[order - 1 : order - 1 + len(letters)]
        rolling = _mixed(rolling * _STEP + following + np.uint64(order))
        if order >= _CHARACTERS[0]:
            inside = places + order <= ends
            found_owners.append(owners[inside])
            found_keys.append(rolling[inside] | _OF_CHARACTERS)
    return np.concatenate(found_owners), np.concatenate(found_keys)


def _mixed(values: Keys) -> Keys:
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    mixed: Keys = values ^ (values >> np.uint64(31))
    return mixed


def first_of_characters(keys: Keys) -> int:
    """The place in sorted keys from which on n-grams are made of characters; those before are of words."""
    return int(np.searchsorted(keys, _OF_CHARACTERS))


def _places(keys: Keys, wanted: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where each of `wanted` stands in the sorted `keys`, and whether it does."""
    places = np.searchsorted(keys, wanted)
    if not len(keys):
        return places, np.zeros(len(wanted), bool)
    known: npt.NDArray[np.bool_] = keys[np.minimum(places, len(keys) - 1)] == wanted
    return places, known
