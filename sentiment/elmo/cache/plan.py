"""What is encoded of a corpus: its distinct tweets, cut into shards; a function of the corpus alone."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sentiment.data.corpus.corpus import Corpus

# Not more shards than a process may have open files, nor so small ones that a small corpus has hundreds.
_MOST_SHARDS = 256
_LEAST_TOKENS = 1 << 14
_TYPES_PER_SHARD = 1 << 16

Span = tuple[int, int]


@dataclass(frozen=True)
class CachePlan:
    """Distinct tweets one after another; rows of the corpus with the same tokens share one."""

    tweet_of_row: npt.NDArray[np.int32]  # (rows of the corpus,)
    offsets: npt.NDArray[np.int64]  # (tweets + 1,), where each tweet begins and the last one ends
    token_types: npt.NDArray[np.int32]  # (tokens,), index into the types of the corpus
    types: int
    """Distinct tokens of the corpus."""

    @property
    def tokens(self) -> int:
        """Of all distinct tweets together."""
        return len(self.token_types)

    @property
    def type_spans(self) -> list[Span]:
        """First and last + 1 of the types in each shard of the table of types."""
        starts = [*range(0, self.types, _TYPES_PER_SHARD), self.types]
        return list(pairwise(starts))

    @property
    def tweet_spans(self) -> list[Span]:
        """First and last + 1 of the tweets in each shard of a layer."""
        per_shard = max(_LEAST_TOKENS, -(-self.tokens // _MOST_SHARDS))
        cuts = np.searchsorted(self.offsets, np.arange(per_shard, self.tokens, per_shard))
        bounds = np.unique([0, *cuts, len(self.offsets) - 1]).tolist()
        return list(pairwise(bounds))

    def token_span(self, tweets: Span) -> Span:
        """First and last + 1 of the tokens of some tweets."""
        return int(self.offsets[tweets[0]]), int(self.offsets[tweets[1]])


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
