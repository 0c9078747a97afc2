"""The vectors of a corpus by an encoder: computed once, kept on disk, and read by batches.

A cache is a folder that is named by a fingerprint of all that its vectors depend on. Each layer lies in shards
(`first-00000.npy`): one row of float16 per token of the corpus' distinct tweets. Only the layer of single tokens
(`token-00000.npy`) has one row of float32 for each type; the others are computed from it.

Nothing is locked. A shard gets its name when it is whole, so a file that is there is complete. Any number of processes
take missing shards at random; of two that compute the same one the second throws its own away. A checksum at the end
of each file tells whether its content has changed since.
"""

import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sentiment.console import Progress, silent
from sentiment.data.batches import Rows
from sentiment.data.corpus.corpus import Corpus
from sentiment.elmo.encoder import BATCH_TWEETS, LAYERS, Encoder, Layer, batches_by_length
from sentiment.elmo.products import Library
from sentiment.errors import ElmoError
from sentiment.files import as_json, fingerprint, write_once

# Raise this when the same corpus and model would give other vectors or files.
_FORMAT_VERSION = 2

# No more shards than a process may open files, and none so small that a small corpus has hundreds.
_MOST_SHARDS = 256
_LEAST_TOKENS = 1 << 14
_TYPES_PER_SHARD = 1 << 16
_TYPES_AT_ONCE = 4096
_SAMPLE_TWEETS = 512

# A shard ends with the SHA-256 of all bytes before it.
_SEAL_BYTES = hashlib.sha256().digest_size
_BLOCK = 1 << 20

Place = Literal["GPU memory", "RAM", "disk"]
Span = tuple[int, int]
"""First index and last index + 1."""

_CAN_ANNOUNCE = hasattr(os, "posix_fadvise")  # not on macOS

BuildEncoder = Callable[[torch.device, Library | None], Encoder]
"""On a device, with a library of matrix products; None: the fastest one here."""


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

    @classmethod
    def of(cls, corpus: Corpus) -> "CachePlan":
        """Find the distinct tweets of a corpus, in the order of their first rows."""
        known: dict[bytes, int] = {}
        token_ids, bounds = np.ascontiguousarray(corpus.token_ids), corpus.offsets.tolist()
        tweets = (token_ids[start:end].tobytes() for start, end in itertools.pairwise(bounds))
        tweet_of_row = np.fromiter((known.setdefault(tokens, len(known)) for tokens in tweets), np.int32)
        token_types = np.frombuffer(b"".join(known), token_ids.dtype)
        lengths = np.fromiter(map(len, known), np.int64, len(known)) // token_ids.itemsize
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return cls(tweet_of_row, offsets, token_types.astype(np.int32, copy=False), len(corpus.types))

    @property
    def tokens(self) -> int:
        """Number of tokens of all distinct tweets."""
        return len(self.token_types)

    @cached_property
    def tweet_spans(self) -> list[Span]:
        """The range of tweets in each shard of a layer."""
        per_shard = max(_LEAST_TOKENS, -(-self.tokens // _MOST_SHARDS))
        cuts = np.searchsorted(self.offsets, np.arange(per_shard, self.tokens, per_shard))
        bounds = np.unique([0, *cuts, len(self.offsets) - 1]).tolist()
        return list(itertools.pairwise(bounds))

    def rows(self, layer: Layer) -> list[Span]:
        """The range of types, or of tokens, in each shard of a layer."""
        if layer == "token":
            return list(itertools.pairwise([*range(0, self.types, _TYPES_PER_SHARD), self.types]))
        return [(int(self.offsets[first]), int(self.offsets[last])) for first, last in self.tweet_spans]


@dataclass(frozen=True)
class Volume:
    """The size of some layers of a cache with that of single tokens, and how much of it is missing."""

    bytes: int
    missing_bytes: int
    missing_tokens: int
    """Of distinct tweets for which a layer is missing."""


class VectorCache:
    """The vectors of one corpus by one encoder; each shard may be there or not.

    Args:
        identity: plain values, which with the corpus say all that the vectors depend on.
        vector_size: values per token and layer.
        build: makes the encoder when vectors have to be computed.
        caches: the folder that holds a folder for each cache.
    """

    def __init__(
        self, corpus: Corpus, identity: dict[str, Any], vector_size: int, build: BuildEncoder, caches: Path
    ) -> None:
        self._corpus, self._build, self.vector_size = corpus, build, vector_size
        self._identity = {"format_version": _FORMAT_VERSION, "corpus": corpus.fingerprint} | identity
        self.folder = caches / fingerprint(self._identity)[:16]
        self._record = self.folder / "cache.json"

    @cached_property
    def plan(self) -> CachePlan:
        """Which tweets are encoded, and in which shards."""
        return CachePlan.of(self._corpus)

    @property
    def library(self) -> Library | None:
        """Which one multiplies the matrices, as the first process decided; None before that.

        Raises:
            ElmoError: its record is damaged.
        """
        try:
            library: Library = json.loads(self._record.read_bytes())["products"]
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ElmoError(f"{self._record}: is damaged ({error}); delete its folder, which is filled again") from None
        return library

    def shard_file(self, layer: Layer, shard: int) -> Path:
        """The array with the vectors of some types or tokens."""
        return self.folder / f"{layer}-{shard:05d}.npy"

    def missing(self, layer: Layer) -> list[int]:
        """Numbers of the shards of a layer that are not there."""
        return [n for n in range(len(self.plan.rows(layer))) if not self.shard_file(layer, n).exists()]

    def is_complete(self, layers: Collection[Layer]) -> bool:
        """Whether nothing of these layers is missing."""
        return not any(map(self.missing, _with_token(layers)))

    def fill(
        self,
        layers: Collection[Layer],
        device: torch.device,
        progress: Progress = silent,
        library: Library | None = None,
    ) -> None:
        """Compute what is missing of these layers; any number of processes may do so at once and share the work.

        Args:
            device: for the encoder.
            progress: called between batches; what it raises ends the work, and complete shards stay.
            library: that multiplies the matrices if this is the first process; None: the fastest one here.

        Raises:
            ElmoError: the disk has too little room or cannot be written, the model's file is damaged, or torch lacks
                the library with which the cache was begun.
        """
        if self.is_complete(layers):
            return
        rest = [layer for layer in _with_token(layers) if layer != "token"]
        with _disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._insist_on_room(layers)
            encoder = self._begin(device, library)
            while missing := self.missing("token"):
                self._write_types(random.choice(missing), encoder, progress)
            if rest:
                encoder.learn(self._corpus.types, self.shards("token"))
            while missing := sorted({shard for layer in rest for shard in self.missing(layer)}):
                self._write_tweets(random.choice(missing), rest, encoder, progress)
            for leftover in self.folder.glob(".*.tmp"):  # of processes that were killed
                leftover.unlink(missing_ok=True)

    def discard_damaged(self, layers: Collection[Layer], suspicious_only: bool) -> list[Path]:
        """Delete shards whose content has changed since they were written, so that they are computed again.

        Args:
            suspicious_only: read only files whose time of modification has changed: all were given that of the
                cache's record.

        Returns:
            The paths of the deleted shards.
        """
        found, date = [], _date_of(self._record) if self._record.exists() else None
        for layer in _with_token(layers):
            for path in (self.shard_file(layer, shard) for shard in range(len(self.plan.rows(layer)))):
                if not path.exists() or (suspicious_only and _date_of(path) == date):
                    continue
                if not _is_sealed(path):
                    path.unlink(missing_ok=True)
                    found.append(path)
        return found

    def shards(self, layer: Layer) -> list[np.memmap[Any, Any]]:
        """Read-only memory maps of the shards of a complete layer, each (types or tokens, vector).

        Raises:
            ElmoError: a shard is missing or is no array.
        """
        return [_read_shard(self.shard_file(layer, shard)) for shard in range(len(self.plan.rows(layer)))]

    def size(self, layer: Layer, shards: Iterable[int] | None = None) -> int:
        """Bytes of some shards of a layer; None: of all."""
        spans = self.plan.rows(layer)
        rows = sum(end - start for start, end in (spans if shards is None else [spans[shard] for shard in shards]))
        return rows * self.vector_size * _stored(layer).itemsize

    def volume(self, layers: Collection[Layer]) -> Volume:
        """The size of these layers; nothing is written, and no model is read."""
        missing = {layer: self.missing(layer) for layer in _with_token(layers)}
        tweets = {shard for layer, shards in missing.items() if layer != "token" for shard in shards}
        spans = self.plan.rows("top")
        return Volume(
            bytes=sum(map(self.size, missing)),
            missing_bytes=sum(self.size(layer, shards) for layer, shards in missing.items()),
            missing_tokens=sum(spans[shard][1] - spans[shard][0] for shard in tweets),
        )

    def tokens_per_second(self, layers: Collection[Layer], device: torch.device) -> float:
        """How many are computed on this device, measured on a sample, without the vectors of single tokens."""
        tweets = self._tweets((0, min(_SAMPLE_TWEETS, len(self.plan.offsets) - 1)))
        types = sorted({token for tweet in tweets for token in tweet})
        encoder = self._build(device, self.library)
        encoder.learn(types, [_encode_types(encoder, types)])
        start = time.perf_counter()
        encoder.encode(tweets, [layer for layer in layers if layer != "token"], BATCH_TWEETS)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return max(sum(map(len, tweets)), 1) / (time.perf_counter() - start)

    def _begin(self, device: torch.device, library: Library | None) -> Encoder:
        """The encoder, by the library that the first process chose."""
        encoder = self._build(device, self.library or library)
        # A date in the past, so that a change leaves a file with another one, in whole seconds too.
        record = as_json(self._identity | {"products": encoder.library})
        _write_dated(self._record, record, int(time.time()) - 1)
        return encoder if self.library == encoder.library else self._build(device, self.library)

    def _insist_on_room(self, layers: Collection[Layer]) -> None:
        needed, free = self.volume(layers).missing_bytes, shutil.disk_usage(self.folder).free
        if needed > free:
            raise ElmoError(f"{self.folder}: needs {needed / 1e9:.3g} GB, but {free / 1e9:.3g} GB are free there")

    def _write_types(self, shard: int, encoder: Encoder, progress: Progress) -> None:
        start, end = self.plan.rows("token")[shard]
        table = np.empty((end - start, self.vector_size), _stored("token"))
        for first in range(start, end, _TYPES_AT_ONCE):
            progress("ELMo vectors of types", first, self.plan.types)
            last = min(first + _TYPES_AT_ONCE, end)
            table[first - start : last - start] = _encode_types(encoder, self._corpus.types[first:last])
        self._write_shard("token", shard, table)

    def _write_tweets(self, shard: int, layers: Sequence[Layer], encoder: Encoder, progress: Progress) -> None:
        first, last = self.plan.tweet_spans[shard]
        tweets = self._tweets((first, last))
        offsets = self.plan.offsets[first : last + 1] - self.plan.offsets[first]
        wanted = [layer for layer in layers if not self.shard_file(layer, shard).exists()]
        found = {layer: np.empty((offsets[-1], self.vector_size), _stored(layer)) for layer in wanted}
        done = self.plan.tokens - self.volume(layers).missing_tokens
        for chosen in batches_by_length(np.diff(offsets), BATCH_TWEETS):
            progress("ELMo vectors", done, self.plan.tokens)
            encoded = encoder.encode([tweets[number] for number in chosen], wanted, len(chosen))
            tokens = _tokens_of(offsets[chosen], np.diff(offsets)[chosen])
            for layer, vectors in encoded.layers.items():
                found[layer][tokens] = vectors.half().cpu().numpy()
            done += len(tokens)
        for layer, vectors_of_shard in found.items():
            self._write_shard(layer, shard, vectors_of_shard)

    def _write_shard(self, layer: Layer, shard: int, vectors: npt.NDArray[Any]) -> None:
        _write_dated(self.shard_file(layer, shard), partial(_write_sealed, vectors), _date_of(self._record))

    def _tweets(self, span: Span) -> list[list[str]]:
        """The tokens of distinct tweets."""
        types, offsets = self._corpus.types, self.plan.offsets[span[0] : span[1] + 1].tolist()
        tokens = [types[number] for number in self.plan.token_types[offsets[0] : offsets[-1]].tolist()]
        return [tokens[start - offsets[0] : end - offsets[0]] for start, end in itertools.pairwise(offsets)]


def _with_token(layers: Collection[Layer]) -> tuple[Layer, ...]:
    """What has to be there for these layers: always the vectors of single tokens, from which others are computed."""
    return tuple(layer for layer in LAYERS if layer == "token" or layer in layers)


def _stored(layer: Layer) -> np.dtype[Any]:
    """The type of stored values; float16 is right to 2e-4 relative, in half the bytes."""
    return np.dtype(np.float32 if layer == "token" else np.float16)


def _encode_types(encoder: Encoder, types: Sequence[str]) -> npt.NDArray[np.float32]:
    """(types, vector)"""
    encoded = encoder.encode([[token] for token in types], ["token"], len(types))
    vectors: npt.NDArray[np.float32] = encoded.layers["token"].cpu().numpy()
    return vectors


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ElmoError(
            f"{folder}: the ELMo vectors cannot be written: {error}; complete shards stay, and the same command goes on"
        ) from error


def _date_of(path: Path) -> int:
    """When it was modified last, in whole seconds since 1970, since some file systems keep no more."""
    return int(path.stat().st_mtime)


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)


def _write_dated(path: Path, write: Callable[[BinaryIO], object], date: int) -> None:
    """Write a file once, with a time of modification in seconds since 1970."""

    def write_and_date(file: BinaryIO) -> None:
        write(file)
        file.flush()
        os.utime(file.fileno(), (date, date))

    try:
        write_once(path, write_and_date)
    except OSError:
        # A process that wrote the same file and all others has taken the temporary one for a leftover.
        if not path.exists():
            raise


def _write_sealed(array: npt.NDArray[Any], file: BinaryIO) -> None:
    """Write an array as numpy does, and a seal, which numpy does not read."""
    hashed = _Hashed(file)
    np.lib.format.write_array(hashed, array)
    file.write(hashed.digest.digest())


def _is_sealed(path: Path) -> bool:
    """Whether the content of a shard is as it was written."""
    digest, left = hashlib.sha256(), path.stat().st_size - _SEAL_BYTES
    with open(path, "rb") as file:
        while left > 0 and (block := file.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
        return file.read() == digest.digest()


def _read_shard(path: Path) -> np.memmap[Any, Any]:
    try:
        array: np.memmap[Any, Any] = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ElmoError(
            f"{path}: cannot be read ({error}); delete it, and the same command computes it again"
        ) from None
    return array


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
    """A layer in RAM or in GPU memory.

    Args:
        values: (tokens, vector); or (types, vector), if tokens have the vectors of their types.
        types: (tokens,): the row of each token's type in `values`.
    """

    def __init__(self, values: torch.Tensor, types: npt.NDArray[np.int32] | None = None) -> None:
        self._values, self._types = values, types

    def gather(self, starts: Rows, lengths: Rows, longest: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """As `LayerRows.gather`, on the device of the values."""
        tokens = _tokens_of(starts, lengths)
        rows = torch.from_numpy(tokens if self._types is None else self._types[tokens]).to(self._values.device)
        return _side_by_side(self._values.index_select(0, rows), lengths, longest, dtype)


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


def _tokens_of(starts: Rows, lengths: Rows) -> Rows:
    """The indices of all tokens of some tweets: arange(start, start + length) of each, one after the other."""
    within: Rows = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return within + np.repeat(starts, lengths)


def _side_by_side(vectors: torch.Tensor, lengths: Rows, longest: int, dtype: torch.dtype | None) -> torch.Tensor:
    """From (tokens, vector) to (tweets, longest, vector), zeros after a tweet's end."""
    vectors = vectors.to(dtype or vectors.dtype)
    tweets, size = len(lengths), vectors.shape[1]
    if len(vectors) == tweets * longest:
        return vectors.view(tweets, longest, size)
    padded = vectors.new_zeros(tweets * longest, size)
    places = torch.from_numpy(_tokens_of(np.arange(tweets) * longest, lengths)).to(vectors.device)
    return padded.index_copy_(0, places, vectors).view(tweets, longest, size)


class CachedVectors:
    """Reads the layers of a cache.

    Args:
        device: on which the vectors are wanted.
        ahead: whether it pays to read a batch before it is asked for.
    """

    def __init__(
        self,
        plan: CachePlan,
        layers: dict[Layer, LayerRows],
        device: torch.device,
        ahead: bool,
    ) -> None:
        self._plan, self._layers, self._device = plan, layers, device
        self.ahead = ahead
        # Vectors go to a GPU as they are stored, which is often in half the bytes.
        self._dtype = torch.float32 if device.type == "cpu" else None

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        """Each layer of these rows of the corpus, as `TweetVectors.gather`."""
        tweets = self._plan.tweet_of_row[rows]
        starts = self._plan.offsets[tweets]
        lengths = self._plan.offsets[tweets + 1] - starts
        return {
            name: layer.gather(starts, lengths, longest, self._dtype).to(self._device, non_blocking=True).float()
            for name, layer in self._layers.items()
        }


def open_vectors(cache: VectorCache, layers: Sequence[Layer], device: torch.device, place: Place) -> CachedVectors:
    """Open a complete cache; batches are the same from each place.

    Args:
        device: on which the vectors are wanted.
        place: where the vectors are held.

    Raises:
        ElmoError: a file is missing or cannot be read.
    """
    home = device if place == "GPU memory" else torch.device("cpu")
    rows: dict[Layer, LayerRows] = {}
    for layer in layers:
        if layer == "token":
            rows[layer] = MemoryRows(_in_memory(cache.shards(layer), home), cache.plan.token_types)
        elif place == "disk":
            rows[layer] = DiskRows(cache.shards(layer))
        else:
            rows[layer] = MemoryRows(_in_memory(cache.shards(layer), home))
    return CachedVectors(cache.plan, rows, device, ahead=home != device or place == "disk")


def _in_memory(shards: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """All shards one after the other; at most one of them is in memory twice."""
    dtype = torch.from_numpy(np.empty(0, shards[0].dtype)).dtype
    whole = torch.empty(sum(map(len, shards)), shards[0].shape[1], dtype=dtype, device=device)
    start = 0
    for shard in shards:
        whole[start : start + len(shard)] = torch.from_numpy(np.array(shard))
        start += len(shard)
    return whole
