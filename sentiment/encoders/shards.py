"""Shards of encoder vectors: how they are cut, computed and laid out. What this module imports decides their bits.

Each layer is stored in shards (`first-00000.npy`) with one float16 row per token or tweet. ELMo's layer `token` has a
float32 row for each type, from which the other layers are computed. Each file ends with a checksum of its content,
which is compared when the shard is opened.
"""

import hashlib
import io
import itertools
import os
import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sentiment.errors import EncoderError
from sentiment.tokens import BATCH_TWEETS, Integers, Rows, TokenRows, Tweets, batches_by_length, positions_of

if TYPE_CHECKING:
    from sentiment.console import Progress
    from sentiment.encoders.batches import Layers

BY_TYPE = "token"  # the layer with a vector for each type
BY_TWEET = "tweet"  # the layer with a vector for each tweet
# Fewer shards than the files that a process may open, and so many tokens in each that a small corpus has few shards.
_MAX_SHARDS = 256
_MIN_TOKENS = 1 << 14
_TYPES_PER_SHARD = 1 << 16
_TYPES_BATCH = 4096
# A shard ends with the SHA-256 of all bytes before it, which numpy does not read.
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_CHUNK_BYTES = 1 << 20
COMPUTED_AGAIN = "delete it if it is still there, and run the same command again, which computes it again"

Span = tuple[int, int]  # first index, and last index + 1
File = tuple[Path, bytes]


class Encoder(Protocol):
    """Encodes tweets independently of each other."""

    vector_size: int

    def encode(self, tweets: Tweets, layers: Collection[str]) -> "Layers":
        """Encode tokenised tweets; each of `layers` is float32, (tokens of all tweets, vector) or (tweets, vector)."""


@runtime_checkable
class ReadsTypeVectors(Protocol):
    """An encoder that need not compute the vectors of types again."""

    def use_type_vectors(self, types: Sequence[str], vectors: Sequence[np.ndarray]) -> None: ...


def shard_spans(offsets: Integers) -> list[Span]:
    """The range of tweets in each shard of a layer; `offsets`, (tweets + 1,), are the tweets' first tokens."""
    per_shard = max(_MIN_TOKENS, -(-int(offsets[-1]) // _MAX_SHARDS))
    cuts = np.searchsorted(offsets, np.arange(per_shard, offsets[-1], per_shard))
    return list(itertools.pairwise(np.unique([0, *cuts, len(offsets) - 1]).tolist()))


class Shards:
    """The shards of some tweets' vectors in a folder, any of which may be missing.

    Args:
        vector_size: the numbers of a vector.
        by_type: whether the encoder has a layer `BY_TYPE`.
    """

    def __init__(self, tweets: TokenRows, folder: Path, vector_size: int, *, by_type: bool) -> None:
        self._tweets = tweets
        self.folder = folder
        self.vector_size = vector_size
        self._by_type = by_type

    @cached_property
    def tweet_spans(self) -> list[Span]:
        return shard_spans(self._tweets.offsets)

    def spans(self, layer: str) -> list[Span]:
        """The range of rows (of types, tweets or tokens) in each shard of a layer."""
        if layer == BY_TYPE:
            types = len(self._tweets.types)
            return list(itertools.pairwise([*range(0, types, _TYPES_PER_SHARD), types]))
        if layer == BY_TWEET:
            return self.tweet_spans
        offsets = self._tweets.offsets
        return [(int(offsets[first]), int(offsets[last])) for first, last in self.tweet_spans]

    def rows_of(self, layer: str, tweets: Rows) -> tuple[Rows, Rows]:
        """First row and number of rows of each tweet in a layer.

        For BY_TYPE, its tokens in the corpus: `types_of` gives the row of each.
        """
        if layer == BY_TWEET:
            return tweets, np.ones_like(tweets)
        starts: Rows = self._tweets.offsets[tweets]
        return starts, self._tweets.offsets[tweets + 1] - starts

    def types_of(self, tokens: Rows) -> Rows:
        return np.asarray(self._tweets.token_ids[tokens], np.int64)

    def shard_file(self, layer: str, shard: int) -> Path:
        return self.folder / f"{layer}-{shard:05d}.npy"

    def _shard_files(self, layer: str) -> list[Path]:
        return [self.shard_file(layer, shard) for shard in range(len(self.spans(layer)))]

    def missing(self, layer: str) -> list[int]:
        return [shard for shard, path in enumerate(self._shard_files(layer)) if not path.exists()]

    def is_complete(self, layers: Collection[str]) -> bool:
        return not any(map(self.missing, self._needed(layers)))

    def size(self, layers: Collection[str], missing: bool = False) -> int:
        """Size in bytes of these layers and their prerequisites; with `missing`, only of missing shards."""
        size = 0
        for layer in self._needed(layers):
            row_bytes = self.vector_size * _stored_type(layer).itemsize
            for (start, end), path in zip(self.spans(layer), self._shard_files(layer), strict=True):
                if not (missing and path.exists()):
                    size += (end - start) * row_bytes
        return size

    def shards(self, layer: str, progress: "Progress") -> list[np.memmap[Any, Any]]:
        """Read-only memory maps of the shards of a complete layer, each (rows, vector).

        All shards are read once to compare their checksums: 1 GB per second of processor time.

        Raises:
            EncoderError: a shard is missing, cannot be read, or has changed since it was written.
        """
        shards = []
        for number, path in enumerate(self._shard_files(layer)):
            progress(f"checking vectors of {layer}", number, None)
            try:
                if not _checksum_matches(path):
                    with suppress(OSError):  # in a folder of somebody else it stays
                        path.unlink()
                    raise ValueError("its content does not match its checksum")
                shards.append(np.load(path, mmap_mode="r"))
            except (OSError, ValueError) as error:
                raise EncoderError(f"{path}: this shard of vectors cannot be used: {error}; {COMPUTED_AGAIN}") from None
        return shards

    def _needed(self, layers: Collection[str]) -> list[str]:
        """The layers to compute: for ELMo, BY_TYPE first, since the others are computed from it."""
        others = [layer for layer in layers if layer != BY_TYPE]
        return [BY_TYPE, *others] if self._by_type else others

    def computed(self, layers: Collection[str], encoder: Encoder, progress: "Progress") -> Iterator[File]:
        """Compute the missing shards of these layers: the path and the content of each, to be written before the next.

        Raises:
            EncoderError: a number is not finite in the stored type.
        """
        if self._by_type:
            while missing := self.missing(BY_TYPE):
                yield self._types(random.choice(missing), encoder, progress)
            if isinstance(encoder, ReadsTypeVectors):
                encoder.use_type_vectors(self._tweets.types, self.shards(BY_TYPE, progress))
        others = [layer for layer in layers if layer != BY_TYPE]
        while missing := sorted({shard for layer in others for shard in self.missing(layer)}):
            yield from self._vectors(random.choice(missing), others, encoder, self._tokens_outside(missing), progress)

    def _tokens_outside(self, shards: Sequence[int]) -> int:
        """The number of tokens in all shards but these, which are still missing: what is done, for the progress bar."""
        offsets = self._tweets.offsets
        spans = [self.tweet_spans[shard] for shard in shards]
        return int(offsets[-1] - sum(offsets[last] - offsets[first] for first, last in spans))

    def _types(self, shard: int, encoder: Encoder, progress: "Progress") -> File:
        start, end = self.spans(BY_TYPE)[shard]
        table = np.empty((end - start, self.vector_size), _stored_type(BY_TYPE))
        for first in range(start, end, _TYPES_BATCH):
            progress("vectors of types", first, len(self._tweets.types))
            types = self._tweets.types[first : min(first + _TYPES_BATCH, end)]
            vectors = encoder.encode([[token] for token in types], [BY_TYPE])[BY_TYPE]
            table[first - start :][: len(types)] = vectors.cpu().numpy()
        return _shard(self.shard_file(BY_TYPE, shard), table)

    def _vectors(
        self, shard: int, layers: list[str], encoder: Encoder, done: int, progress: "Progress"
    ) -> Iterator[File]:
        first, last = self.tweet_spans[shard]
        tweets = [self._tweets.tokens(row) for row in range(first, last)]
        lengths = np.fromiter(map(len, tweets), np.int64)
        first_rows = {}
        arrays = {}
        for layer in layers:
            start, end = self.spans(layer)[shard]
            first_rows[layer] = start
            arrays[layer] = np.empty((end - start, self.vector_size), _stored_type(layer))
        for chosen in batches_by_length(lengths, BATCH_TWEETS):
            progress("vectors of tweets", done, len(self._tweets.token_ids))
            for layer, vectors in encoder.encode([tweets[index] for index in chosen], layers).items():
                starts, counts = self.rows_of(layer, first + chosen)
                arrays[layer][positions_of(starts - first_rows[layer], counts)] = vectors.half().cpu().numpy()
            done += int(lengths[chosen].sum())
        for layer, values in arrays.items():
            yield _shard(self.shard_file(layer, shard), values)


def _shard(path: Path, vectors: npt.NDArray[Any]) -> File:
    if not np.isfinite(vectors).all():
        raise EncoderError(f"{path}: vectors of this encoder are not numbers, or too large for {vectors.dtype}")
    content = io.BytesIO()
    np.save(content, vectors)
    content.write(hashlib.sha256(content.getbuffer()).digest())
    return path, content.getvalue()


def _stored_type(layer: str) -> np.dtype[Any]:
    """The type of the stored numbers; float16 has a relative error of at most 5e-4 and needs half the bytes."""
    return np.dtype(np.float32 if layer == BY_TYPE else np.float16)


def _checksum_matches(path: Path) -> bool:
    """Whether the content of a shard is what was written, read in chunks because shards may be large."""
    with open(path, "rb") as file:
        remaining = os.fstat(file.fileno()).st_size - _CHECKSUM_BYTES
        checksum = hashlib.sha256()
        while chunk := file.read(max(0, min(remaining, _CHUNK_BYTES))):
            checksum.update(chunk)
            remaining -= len(chunk)
        return file.read() == checksum.digest()
