"""Tweets as numbers of their distinct tokens, and batches of them without padding: step by step, longest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NumberedTweets:
    """Tweets as numbers of distinct tokens (types)."""

    numbers: np.ndarray
    """(tokens,) of int64, all tweets one after the other."""
    offsets: np.ndarray
    """(tweets + 1,) of int64: tweet k is `numbers[offsets[k]:offsets[k + 1]]`."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(tweets,) of int64: tokens per tweet."""
        return np.diff(self.offsets)


def number_tweets(tweets: Sequence[Sequence[str]]) -> tuple[list[str], NumberedTweets]:
    """The distinct tokens in the order of their first occurrence, and the tweets as their numbers."""
    known: dict[str, int] = {}
    numbers = np.array([known.setdefault(token, len(known)) for tweet in tweets for token in tweet], np.int64)
    lengths = np.fromiter(map(len, tweets), np.int64, len(tweets))
    return list(known), NumberedTweets(numbers, np.concatenate([[0], np.cumsum(lengths)]))


def batches_by_length(lengths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Indices of tweets in batches of similar length, the longest first: lack of memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


@dataclass(frozen=True)
class PackedBatch:
    """A batch in the order in which an LSTM takes it: at each step one row of each tweet that has not ended.

    Both directions have steps of the same sizes, since the backward one begins at each tweet's own end. The positions
    of a tweet are its first mark, its tokens and its last mark.
    """

    tweets: np.ndarray
    """(tweets,) of int64: which tweet stands at which place of a step; the longest first."""
    step_sizes: list[int]
    """Rows of each step, never rising."""
    inputs: tuple[np.ndarray, np.ndarray]
    """Forward and backward, each (rows,): the number of the token or mark in a row."""
    rows: tuple[np.ndarray, np.ndarray]
    """Forward and backward, each (positions,): the row of each position, tweet by tweet in the order of `tweets`."""
    tokens: np.ndarray
    """(positions,): the index of each token in the numbers of all tweets, -1 for a mark."""


def pack(tweets: NumberedTweets, chosen: np.ndarray, first_mark: int, last_mark: int) -> PackedBatch:
    """Lay out the chosen tweets, each between its two marks.

    Args:
        chosen: (tweets of the batch,) of int64: their indices.
        first_mark: number of the mark before each tweet.
        last_mark: number of the mark after it.
    """
    chosen = chosen[np.argsort(-tweets.lengths[chosen], kind="stable")]
    lengths = tweets.lengths[chosen] + 2
    step_sizes = len(chosen) - np.cumsum(np.bincount(lengths))[:-1]
    step_starts = np.cumsum(step_sizes) - step_sizes
    place = np.repeat(np.arange(len(chosen)), lengths)
    step = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    last = lengths[place] - 1
    inside = (step > 0) & (step < last)
    tokens = np.where(inside, tweets.offsets[chosen][place] + step - 1, -1)
    numbers = np.where(step == 0, first_mark, last_mark)
    numbers[inside] = tweets.numbers[tokens[inside]]
    rows = (step_starts[step] + place, step_starts[last - step] + place)
    inputs = (np.empty_like(numbers), np.empty_like(numbers))
    for direction in range(2):
        inputs[direction][rows[direction]] = numbers
    return PackedBatch(chosen, step_sizes.tolist(), inputs, rows, tokens)
