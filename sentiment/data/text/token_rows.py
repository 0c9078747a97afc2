"""Tweets as rows of token numbers: what a corpus holds, and what processes send each other."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class TokenRows(NamedTuple):
    """Tweets as rows of token numbers."""

    types: Sequence[str]
    token_ids: npt.NDArray[np.integer[Any]]  # (tokens,), index into `types`
    offsets: npt.NDArray[np.int64]  # (rows + 1,)

    @classmethod
    def of_tweets(cls, tweets: Iterable[Sequence[str]]) -> "TokenRows":
        """Those of tokenised texts."""
        index: dict[str, int] = {}
        token_ids: list[int] = []
        ends = [0]
        for tokens in tweets:
            token_ids += [index.setdefault(token, len(index)) for token in tokens]
            ends.append(len(token_ids))
        return cls(list(index), np.array(token_ids, np.int32), np.array(ends, np.int64))

    @property
    def size(self) -> int:
        """The number of tweets."""
        return len(self.offsets) - 1

    def tokens(self, row: int) -> list[str]:
        """The tokens of one tweet."""
        return [self.types[number] for number in self.token_ids[self.offsets[row] : self.offsets[row + 1]].tolist()]

    def take(self, rows: npt.NDArray[np.int64]) -> "TokenRows":
        """The chosen rows, in their order."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return TokenRows(self.types, np.asarray(self.token_ids)[places], offsets)
