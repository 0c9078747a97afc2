"""Tokens of many tweets as flat arrays: what tokenising returns and encoders and models read."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

import numpy as np
import numpy.typing as npt

# The tokens that stand for links, names and hashtags, where the configuration says so.
URL = "<url>"
USER = "<user>"
HASHTAG = "<hashtag>"

# Types of arrays; the shapes are given where they are used.
Integers = npt.NDArray[np.int64]
Rows = Integers  # indices of rows
Indices = npt.NDArray[np.integer[Any]]  # of types or classes, in any integer type
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Tweets = Sequence[Sequence[str]]  # the tokens of each tweet


@dataclass(frozen=True)
class TokenRows:
    """Token ids of many tweets as one flat array with offsets; can be iterated repeatedly."""

    types: Sequence[str]
    token_ids: Indices  # (tokens,), index into `types`
    offsets: Integers  # (rows + 1,)

    @classmethod
    def of_tweets(cls, tweets: Iterable[Sequence[str]]) -> "TokenRows":
        collector = TokenCollector()
        collector.add([*tweets])
        return collector.rows()

    @property
    def size(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[list[str]]:
        return map(self.tokens, range(self.size))

    def tokens(self, row: int) -> list[str]:
        return [self.types[number] for number in self.token_ids[self.offsets[row] : self.offsets[row + 1]].tolist()]

    @property
    def owners(self) -> Rows:
        """The row of each token, (tokens,)."""
        return np.repeat(np.arange(self.size), np.diff(self.offsets))

    def have_type(self, is_chosen: Flags) -> Flags:
        """Whether each tweet has a token of a chosen type, (rows,); `is_chosen` is of shape (types,)."""
        return np.bincount(self.owners, is_chosen[self.token_ids], self.size) > 0

    def take(self, rows: Rows) -> "TokenRows":
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return TokenRows(self.types, np.asarray(self.token_ids)[positions_of(starts, lengths)], offsets)

    def keep(self, is_kept: Flags) -> "TokenRows":
        """Tweets, with those types alone that occur in them, in the order in which they first do."""
        lengths = np.diff(self.offsets)
        token_ids = self.token_ids[np.repeat(is_kept, lengths)]
        firsts = np.full(len(self.types), len(token_ids))
        np.minimum.at(firsts, token_ids, np.arange(len(token_ids)))
        order = np.argsort(firsts, kind="stable")[: np.count_nonzero(firsts < len(token_ids))]
        new_ids = np.empty(len(self.types), np.int32)
        new_ids[order] = np.arange(len(order))
        offsets = np.concatenate([[0], np.cumsum(lengths[is_kept])])
        return TokenRows([self.types[number] for number in order.tolist()], new_ids[token_ids], offsets)


def positions_of(starts: Integers, lengths: Integers) -> Integers:
    """arange(start, start + length) of each tweet, concatenated."""
    first_positions = np.cumsum(lengths) - lengths
    shifts: Integers = np.repeat(starts - first_positions, lengths)
    return shifts + np.arange(lengths.sum())


class TokenCollector:
    """Collects the token ids of tweets; a new type gets the next id."""

    def __init__(self) -> None:
        self._ids = defaultdict[str, int]()
        self._ids.default_factory = self._ids.__len__
        self._token_ids = array("i")  # a list of Python's integers would take ten times as much memory
        self._ends = array("q", [0])

    def add(self, tweets: Tweets) -> None:
        ends = accumulate(map(len, tweets), initial=self._ends.pop())
        self._ends.extend(ends)
        self._token_ids.extend(map(self._ids.__getitem__, chain.from_iterable(tweets)))

    def rows(self) -> TokenRows:
        return TokenRows(list(self._ids), np.array(self._token_ids, np.int32), np.array(self._ends, np.int64))


# Larger batches are no faster: matrix products of 1024 rows run at the processor's limit.
BATCH_TWEETS = 1024


def batches_by_length(lengths: Integers, size: int) -> list[Integers]:
    """Indices of tweets in batches of similar length, longest first, so that an out-of-memory error occurs at once."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]
