"""The vectors of a layer in memory, in a table of types or on disk, from which batches are gathered in the same way."""

import os
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sentiment.data.batches import Rows
from sentiment.elmo.files import DIRECTIONS
from sentiment.errors import ElmoError

_CAN_ANNOUNCE = hasattr(os, "posix_fadvise")  # not on macOS


class LayerRows(Protocol):
    """The vectors of one layer for all tokens of a cache."""

    def gather(self, starts: Rows, lengths: Rows, longest: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """The vectors of some tweets side by side.

        Args:
            starts: (tweets,): index of the first token of each.
            lengths: (tweets,): tokens of each.
            longest: at least the largest length.
            dtype: of the result; None: that of the stored values.

        Returns:
            (tweets, longest, vector), zeros after a tweet's end.
        """


class MemoryRows:
    """A layer in RAM or in GPU memory; values: (tokens, vector)."""

    def __init__(self, values: torch.Tensor) -> None:
        self._values = values

    def gather(self, starts: Rows, lengths: Rows, longest: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """As `LayerRows.gather`, on the device of the values."""
        tokens = torch.from_numpy(_runs(starts, lengths)).to(self._values.device)
        return _side_by_side(self._values.index_select(0, tokens), lengths, longest, dtype)


class TypeRows:
    """The context-free layer: each token has the vector of its type, twice.

    Args:
        table: (types, vector / 2).
        token_types: (tokens,): index into the table.
    """

    def __init__(self, table: torch.Tensor, token_types: npt.NDArray[np.int32]) -> None:
        self._table, self._token_types = table, token_types

    def gather(self, starts: Rows, lengths: Rows, longest: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """As `LayerRows.gather`, on the device of the table."""
        types = torch.from_numpy(self._token_types[_runs(starts, lengths)]).to(self._table.device)
        return _side_by_side(self._table.index_select(0, types), lengths, longest, dtype).repeat(1, 1, DIRECTIONS)


class DiskRows:
    """A layer on disk: one read per tweet; all reads of a batch are announced to the system before the first one.

    The system then reads many blocks at once, whereas a memory map waits for one page after another.

    Args:
        shards: memory maps of whole files, for their paths, offsets, shapes and types only.
    """

    def __init__(self, shards: Sequence["np.memmap[Any, Any]"]) -> None:
        self._paths = [str(shard.filename) for shard in shards]
        self._files = [os.open(path, os.O_RDONLY) for path in self._paths]
        self._headers = np.array([shard.offset for shard in shards])
        self._first_tokens = np.cumsum([0, *map(len, shards)])[:-1]
        self._size, self._dtype = shards[0].shape[1], shards[0].dtype
        weakref.finalize(self, _close, self._files)

    def gather(self, starts: Rows, lengths: Rows, longest: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """As `LayerRows.gather`, on the CPU.

        Raises:
            ElmoError: a file cannot be read.
        """
        ends = np.cumsum(lengths)
        found = np.empty((int(ends[-1]), self._size), self._dtype)
        width = self._size * self._dtype.itemsize
        shards = np.searchsorted(self._first_tokens, starts, side="right") - 1
        places = self._headers[shards] + (starts - self._first_tokens[shards]) * width
        reads = list(zip(shards.tolist(), places.tolist(), (ends - lengths).tolist(), ends.tolist(), strict=True))
        if _CAN_ANNOUNCE:
            for shard, place, start, end in reads:
                os.posix_fadvise(self._files[shard], place, (end - start) * width, os.POSIX_FADV_WILLNEED)
        for shard, place, start, end in reads:
            self._read(shard, place, found[start:end])
        return _side_by_side(torch.from_numpy(found), lengths, longest, dtype)

    def _read(self, shard: int, place: int, target: npt.NDArray[Any]) -> None:
        left = target.reshape(-1).view(np.uint8).data
        while left:
            try:
                count = os.preadv(self._files[shard], [left], place)
            except OSError as error:
                raise ElmoError(f"{self._paths[shard]}: cannot be read: {error}") from error
            if count == 0:
                raise ElmoError(f"{self._paths[shard]}: was truncated after it had been opened")
            left, place = left[count:], place + count


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


def _runs(starts: Rows, lengths: Rows) -> Rows:
    """Concatenated arange(start, start + length) of all tweets."""
    within: Rows = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return within + np.repeat(starts, lengths)


def _side_by_side(vectors: torch.Tensor, lengths: Rows, longest: int, dtype: torch.dtype | None) -> torch.Tensor:
    """From (tokens, vector) to (tweets, longest, vector), zeros after a tweet's end."""
    vectors = vectors.to(dtype or vectors.dtype)
    tweets, size = len(lengths), vectors.shape[1]
    if len(vectors) == tweets * longest:
        return vectors.view(tweets, longest, size)
    padded = vectors.new_zeros(tweets * longest, size)
    places = torch.from_numpy(_runs(np.arange(tweets) * longest, lengths)).to(vectors.device)
    return padded.index_copy_(0, places, vectors).view(tweets, longest, size)
