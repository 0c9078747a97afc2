"""Where the vectors of a layer are: in memory, in a table of types, or on disk; a batch is gathered from any alike."""

import os
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sentiment.data.batches import Rows
from sentiment.elmo.options import DIRECTIONS
from sentiment.errors import ElmoError

# Reads of a batch that wait for the disk at the same time.
_READERS = 8


class LayerRows(Protocol):
    """Vectors of one layer of all tokens of a cache."""

    def gather(self, starts: Rows, lengths: Rows, longest: int) -> torch.Tensor:
        """(tweets, longest, vector) from the first token of each tweet on, zeros after its end."""


class MemoryRows:
    """A layer in RAM or in GPU memory."""

    def __init__(self, values: torch.Tensor) -> None:
        """Args: values: (tokens, vector)."""
        self._values = values

    def gather(self, starts: Rows, lengths: Rows, longest: int) -> torch.Tensor:
        """As `LayerRows.gather`, on the device of the values."""
        positions, outside = _positions(starts, lengths, longest)
        return _select(self._values, positions, outside)


class TypeRows:
    """The context-free layer: each token has the vector of its type, twice."""

    def __init__(self, table: torch.Tensor, token_types: npt.NDArray[np.int32]) -> None:
        """Args: table: (types, vector / 2); token_types: (tokens,)."""
        self._table, self._token_types = table, token_types

    def gather(self, starts: Rows, lengths: Rows, longest: int) -> torch.Tensor:
        """As `LayerRows.gather`, on the device of the table."""
        positions, outside = _positions(starts, lengths, longest)
        types = self._token_types[positions].astype(np.int64)
        return _select(self._table, types, outside).repeat(1, 1, DIRECTIONS)


class DiskRows:
    """A layer on disk: each tweet is one read from its shard's file, and several reads wait for the disk at once.

    A memory map would wait for one page after the other.
    """

    def __init__(self, shards: Sequence[npt.NDArray[Any]], paths: Sequence[Path]) -> None:
        """Args: shards: maps of the files, for their sizes and types only."""
        self._paths = paths
        self._files = [os.open(path, os.O_RDONLY) for path in paths]
        self._headers = np.array([path.stat().st_size for path in paths]) - [shard.nbytes for shard in shards]
        self._first_tokens = np.cumsum([0, *map(len, shards)])[:-1]
        self._size, self._dtype = shards[0].shape[1], shards[0].dtype
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="elmo")
        weakref.finalize(self, _close, self._files, self._readers)

    def gather(self, starts: Rows, lengths: Rows, longest: int) -> torch.Tensor:
        """As `LayerRows.gather`, on the CPU.

        Raises:
            ElmoError: a file cannot be read.
        """
        found = np.zeros((len(starts), longest, self._size), self._dtype)
        shards = np.searchsorted(self._first_tokens, starts, side="right") - 1
        width = self._size * self._dtype.itemsize
        places = self._headers[shards] + (starts - self._first_tokens[shards]) * width

        def read(tweets: Iterable[int]) -> None:
            for tweet in tweets:
                self._read(int(shards[tweet]), int(places[tweet]), found[tweet, : lengths[tweet]])

        # In the order of the file, in as many pieces as there are readers.
        pieces = np.array_split(np.argsort(starts, kind="stable"), _READERS)
        list(self._readers.map(read, pieces))
        return torch.from_numpy(found)

    def _read(self, shard: int, place: int, target: npt.NDArray[Any]) -> None:
        left = target.reshape(-1).view(np.uint8).data
        while left:
            try:
                count = os.preadv(self._files[shard], [left], place)
            except OSError as error:
                raise ElmoError(f"{self._paths[shard]}: cannot be read: {error}") from error
            if count == 0:
                raise ElmoError(f"{self._paths[shard]}: has become shorter since it was opened")
            left, place = left[count:], place + count


def _close(files: Sequence[int], readers: ThreadPoolExecutor) -> None:
    readers.shutdown(wait=False)  # the last reference may end in one of the readers themselves
    for file in files:
        os.close(file)


def _positions(starts: Rows, lengths: Rows, longest: int) -> tuple[Rows, npt.NDArray[np.bool_] | None]:
    """Numbers of tokens, (tweets, longest), and where there is none; None if every tweet is as long as the longest."""
    steps = np.arange(longest)
    positions = starts[:, None] + steps
    if (lengths == longest).all():
        return positions, None
    outside = steps >= lengths[:, None]
    positions[outside] = 0
    return positions, outside


def _select(values: torch.Tensor, numbers: Rows, outside: npt.NDArray[np.bool_] | None) -> torch.Tensor:
    index = torch.from_numpy(numbers.reshape(-1)).to(values.device)
    if not len(values):  # nothing but empty tweets
        return values.new_zeros(*numbers.shape, values.shape[1])
    chosen = values.index_select(0, index).view(*numbers.shape, values.shape[1])
    if outside is not None:
        chosen.masked_fill_(torch.from_numpy(outside).to(values.device)[:, :, None], 0)
    return chosen
