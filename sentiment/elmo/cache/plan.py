"""Which tweets of a corpus are encoded, and in which shards: its distinct tweets; a function of the corpus alone."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.data.corpus.corpus import Corpus

# No more shards than a process may open files, and none so small that a small corpus has hundreds.
_MOST_SHARDS = 256
_LEAST_TOKENS = 1 << 14
_TYPES_PER_SHARD = 1 << 16

Span = tuple[int, int]
"""First index and last index + 1."""


@dataclass(frozen=True)
class CachePlan:
    """The distinct tweets of a corpus, one after another; rows with the same tokens share one."""

    tweet_of_row: npt.NDArray[np.int32]
    """(rows of the corpus,): the distinct tweet in each row."""
    offsets: npt.NDArray[np.int64]
    """(tweets + 1,): tweet k has the tokens from `offsets[k]` to `offsets[k + 1]`."""
    token_types: npt.NDArray[np.int32]
    """(tokens,): index of each token's type among the types of the corpus."""
    types: int
    """Number of types, the distinct tokens of the corpus."""

    def check(self) -> None:
        """Check that all numbers refer to something.

        Raises:
            ValueError: says which do not.
        """
        for name in ("tweet_of_row", "offsets", "token_types"):
            array = getattr(self, name)
            if array.ndim != 1 or array.dtype.kind != "i":
                raise ValueError(f"{name} has {array.ndim} dimensions of {array.dtype}, one of whole numbers is needed")
        if not isinstance(self.types, int) or not _within(self.token_types, self.types):
            raise ValueError(f"token_types holds numbers that are not below types = {self.types!r}")
        ends = self.offsets[:1].tolist(), self.offsets[-1:].tolist()
        if ends != ([0], [self.tokens]) or not (np.diff(self.offsets) >= 0).all():
            raise ValueError(f"offsets do not rise from 0 to {self.tokens:,}")
        if not _within(self.tweet_of_row, len(self.offsets) - 1):
            raise ValueError("tweet_of_row holds numbers of no tweet")

    @property
    def tokens(self) -> int:
        """Number of tokens of all distinct tweets."""
        return len(self.token_types)

    @property
    def type_spans(self) -> list[Span]:
        """The range of types in each shard of the table of types."""
        starts = [*range(0, self.types, _TYPES_PER_SHARD), self.types]
        return list(pairwise(starts))

    @property
    def tweet_spans(self) -> list[Span]:
        """The range of tweets in each shard of a layer."""
        per_shard = max(_LEAST_TOKENS, -(-self.tokens // _MOST_SHARDS))
        cuts = np.searchsorted(self.offsets, np.arange(per_shard, self.tokens, per_shard))
        bounds = np.unique([0, *cuts, len(self.offsets) - 1]).tolist()
        return list(pairwise(bounds))

    def token_span(self, tweets: Span) -> Span:
        """The range of tokens of a range of tweets."""
        return int(self.offsets[tweets[0]]), int(self.offsets[tweets[1]])


def _within(numbers: npt.NDArray[Any], bound: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < bound)


def plan_cache(corpus: Corpus) -> CachePlan:
    """Find the distinct tweets of a corpus, in the order of their first rows."""
    known: dict[bytes, int] = {}
    token_ids, bounds = np.ascontiguousarray(corpus.token_ids), corpus.offsets.tolist()
    tweets = (token_ids[start:end].tobytes() for start, end in pairwise(bounds))
    tweet_of_row = np.fromiter((known.setdefault(tokens, len(known)) for tokens in tweets), np.int32)
    token_types = np.frombuffer(b"".join(known), token_ids.dtype)
    lengths = np.fromiter(map(len, known), np.int64, len(known)) // token_ids.itemsize
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return CachePlan(tweet_of_row, offsets, token_types.astype(np.int32, copy=False), len(corpus.types))
