"""Encoder vectors for runs: cached on disk for a corpus, or computed for each batch.

A cache is a folder that is named by a fingerprint of all that its vectors depend on. Each layer is stored in shards
(`first-00000.npy`) with one float16 row per token or tweet. ELMo's layer `token` has a float32 row for each type, from
which the other layers are computed.

There are no locks: shards are written atomically. Any number of processes compute missing shards in random order; if
two processes compute the same shard, the second result is discarded. Each file ends with a checksum of its content,
which is compared when the shard is opened; a shard that has changed is deleted, and computed again by the next run.
"""

import hashlib
import io
import itertools
import os
import random
import shutil
import weakref
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sentiment.config import AnyEncoder, EncoderConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus import TYPES, Corpus
from sentiment.data.text import Integers, Rows, TokenRows, Tweets, positions_of
from sentiment.encoders.batches import Layers
from sentiment.encoders.elmo import BATCH_TWEETS, LAYERS, ElmoEncoder, batches_by_length
from sentiment.encoders.elmo_files import read_weights
from sentiment.encoders.pretrained import ElmoFiles, EncoderFiles, HubFiles
from sentiment.errors import EncoderError, RunDirError
from sentiment.files import delete_leftovers, fingerprint, sha256_of, write_once
from sentiment.processes import Stopwatch
from sentiment.runs.records import CacheRecord, ComputeTime
from sentiment.runs.run_dir import Results, read_record, sealed

# Increase it whenever the same corpus and model would give other vectors or files.
_FORMAT_VERSION = 6

BY_TYPE = "token"  # the layer with a vector for each type
BY_TWEET = "tweet"  # the layer with a vector for each tweet
# Fewer shards than the files that a process may open, and so many tokens in each that a small corpus has few shards.
_MAX_SHARDS = 256
_MIN_TOKENS = 1 << 14
_TYPES_PER_SHARD = 1 << 16
_TYPES_BATCH = 4096
# Files with the compute time of each process that computed vectors.
_COMPUTE_TIME = "compute-time"
# A shard ends with the SHA-256 of all bytes before it, which numpy does not read.
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_CHUNK_BYTES = 1 << 20
_HINT = "delete it if it is still there, and run the same command again, which computes it again"

Storage = Literal["GPU memory", "disk"]
Span = tuple[int, int]  # first index, and last index + 1


class Encoder(Protocol):
    """Encodes tweets independently of each other."""

    vector_size: int

    def encode(self, tweets: Tweets, layers: Collection[str]) -> Layers:
        """Encode tokenised tweets; each of `layers` is float32, (tokens of all tweets, vector) or (tweets, vector)."""


def build_encoder(config: AnyEncoder, encoder_files: EncoderFiles, device: torch.device) -> Encoder:
    """Build the encoder of a configuration: our ELMo, allennlp's, or a transformer."""
    if isinstance(encoder_files, HubFiles):
        from sentiment.encoders.transformer import Transformer  # loads transformers

        return Transformer(encoder_files, device, config.precision)
    if isinstance(config, EncoderConfig):
        raise TypeError(f"{encoder_files} does not fit {config}")
    if config.backend == "own":
        weights = read_weights(encoder_files.weights_path, encoder_files.options)
        return ElmoEncoder(
            encoder_files.options, weights, state=config.state, precision=config.precision, device=device
        )
    from sentiment.encoders.allennlp import ReferenceElmo  # loads allennlp

    return ReferenceElmo(encoder_files.options_path, encoder_files.weights_path, state=config.state, device=device)


def layers_of(config: AnyEncoder) -> tuple[str, ...]:
    """The layers that the runs of a configuration read."""
    return LAYERS if config.layers == "mix" else (config.layers,)


def shard_spans(offsets: Integers) -> list[Span]:
    """The range of tweets in each shard of a layer; `offsets`, (tweets + 1,), are the tweets' first tokens."""
    per_shard = max(_MIN_TOKENS, -(-int(offsets[-1]) // _MAX_SHARDS))
    cuts = np.searchsorted(offsets, np.arange(per_shard, offsets[-1], per_shard))
    return list(itertools.pairwise(np.unique([0, *cuts, len(offsets) - 1]).tolist()))


class VectorCache:
    """The vectors of one corpus from one encoder, given by its files; any of its shards may be missing."""

    def __init__(self, corpus: Corpus, config: AnyEncoder, encoder_files: EncoderFiles, results: Results) -> None:
        self._corpus = corpus
        self._config = config
        self._encoder_files = encoder_files
        self.vector_size = encoder_files.vector_size
        self._by_type = isinstance(encoder_files, ElmoFiles)
        # The corpus's files and not its fingerprint, because folds of the same tweets share the vectors.
        tweets = [sha256_of(corpus.path / name) for name in (TYPES, "token_ids.npy", "offsets.npy")]
        settings = config.model_dump(include={"state", "precision"})
        identity = [_FORMAT_VERSION, tweets, encoder_files.fingerprint, settings]
        self.folder = results.encoder_caches / fingerprint(identity)[:16]

    @cached_property
    def tweet_spans(self) -> list[Span]:
        return shard_spans(self._corpus.offsets)

    def spans(self, layer: str) -> list[Span]:
        """The range of rows (of types, tweets or tokens) in each shard of a layer."""
        if layer == BY_TYPE:
            types = len(self._corpus.types)
            return list(itertools.pairwise([*range(0, types, _TYPES_PER_SHARD), types]))
        if layer == BY_TWEET:
            return self.tweet_spans
        offsets = self._corpus.offsets
        return [(int(offsets[first]), int(offsets[last])) for first, last in self.tweet_spans]

    def rows_of(self, layer: str, tweets: Rows) -> tuple[Rows, Rows]:
        """First row and number of rows of each tweet in a layer.

        For BY_TYPE, its tokens in the corpus: `types_of` gives the row of each.
        """
        if layer == BY_TWEET:
            return tweets, np.ones_like(tweets)
        starts: Rows = self._corpus.offsets[tweets]
        return starts, self._corpus.offsets[tweets + 1] - starts

    def types_of(self, tokens: Rows) -> Rows:
        return np.asarray(self._corpus.token_ids[tokens], np.int64)

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

    def fill(self, layers: Collection[str], device: torch.device, progress: Progress = silent) -> "Encoder":
        """Compute the missing shards of these layers; several processes share the work. Returns the encoder.

        Raises:
            EncoderError: the disk has too little room or cannot be written, the model's file is damaged, or its vectors
                are not finite.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            delete_leftovers(self.folder)
            needed = self.size(layers, missing=True) / 1e9
            free = shutil.disk_usage(self.folder).free / 1e9
            if needed > free:
                raise EncoderError(f"{self.folder}: needs {needed:.3g} GB, but {free:.3g} GB are free there")
            stopwatch = Stopwatch(device.type == "cuda")
            try:
                encoder = build_encoder(self._config, self._encoder_files, device)
                self._compute(layers, encoder, progress)
            finally:
                with suppress(OSError):  # on a full disk the time is not recorded
                    taken = ComputeTime(**stopwatch.read())
                    write_once(self.folder / f"{_COMPUTE_TIME}-{uuid4().hex}.json", sealed(taken))
        except OSError as error:
            hint = "complete shards are kept; run the same command again to continue"
            raise EncoderError(f"{self.folder}: the vectors cannot be computed and written: {error}; {hint}") from error
        return encoder

    def record(self) -> CacheRecord:
        """The name of this cache, and the compute time of all processes that have computed its vectors."""
        cpu_seconds = gpu_seconds = 0.0
        for file in self.folder.glob(f"{_COMPUTE_TIME}-*.json"):
            with suppress(RunDirError):  # a damaged file stops no run
                if time := read_record(file, ComputeTime):
                    cpu_seconds += time.cpu_seconds
                    gpu_seconds += time.gpu_seconds
        return CacheRecord(folder=self.folder.name, cpu_seconds=cpu_seconds, gpu_seconds=gpu_seconds)

    def shards(self, layer: str, progress: Progress) -> list[np.memmap[Any, Any]]:
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
                raise EncoderError(f"{path}: this shard of vectors cannot be used: {error}; {_HINT}") from None
        return shards

    def _needed(self, layers: Collection[str]) -> list[str]:
        """The layers to compute: for ELMo, BY_TYPE first, since the others are computed from it."""
        others = [layer for layer in layers if layer != BY_TYPE]
        return [BY_TYPE, *others] if self._by_type else others

    def _compute(self, layers: Collection[str], encoder: Encoder, progress: Progress) -> None:
        if self._by_type:
            while missing := self.missing(BY_TYPE):
                self._write_types(random.choice(missing), encoder, progress)
            if isinstance(encoder, ElmoEncoder):
                encoder.use_type_vectors(self._corpus.types, self.shards(BY_TYPE, progress))
        others = [layer for layer in layers if layer != BY_TYPE]
        while missing := sorted({shard for layer in others for shard in self.missing(layer)}):
            self._write_tweets(random.choice(missing), others, encoder, self._tokens_outside(missing), progress)

    def _tokens_outside(self, shards: Sequence[int]) -> int:
        """The number of tokens in all shards but these, which are still missing: what is done, for the progress bar."""
        offsets = self._corpus.offsets
        spans = [self.tweet_spans[shard] for shard in shards]
        return int(offsets[-1] - sum(offsets[last] - offsets[first] for first, last in spans))

    def _write_types(self, shard: int, encoder: Encoder, progress: Progress) -> None:
        start, end = self.spans(BY_TYPE)[shard]
        table = np.empty((end - start, self.vector_size), _stored_type(BY_TYPE))
        for first in range(start, end, _TYPES_BATCH):
            progress("vectors of types", first, len(self._corpus.types))
            types = self._corpus.types[first : min(first + _TYPES_BATCH, end)]
            vectors = encoder.encode([[token] for token in types], [BY_TYPE])[BY_TYPE]
            table[first - start :][: len(types)] = vectors.cpu().numpy()
        self._write_shard(self.shard_file(BY_TYPE, shard), table)

    def _write_tweets(self, shard: int, layers: list[str], encoder: Encoder, done: int, progress: Progress) -> None:
        first, last = self.tweet_spans[shard]
        tweets = [self._corpus.tokens(row) for row in range(first, last)]
        lengths = np.fromiter(map(len, tweets), np.int64)
        first_rows = {}
        arrays = {}
        for layer in layers:
            start, end = self.spans(layer)[shard]
            first_rows[layer] = start
            arrays[layer] = np.empty((end - start, self.vector_size), _stored_type(layer))
        for chosen in batches_by_length(lengths, BATCH_TWEETS):
            progress("vectors of tweets", done, len(self._corpus.token_ids))
            for layer, vectors in encoder.encode([tweets[index] for index in chosen], layers).items():
                starts, counts = self.rows_of(layer, first + chosen)
                arrays[layer][positions_of(starts - first_rows[layer], counts)] = vectors.half().cpu().numpy()
            done += int(lengths[chosen].sum())
        for layer, values in arrays.items():
            self._write_shard(self.shard_file(layer, shard), values)

    def _write_shard(self, path: Path, vectors: npt.NDArray[Any]) -> None:
        """Write a shard.

        Raises:
            EncoderError: a number is not finite in the stored type.
        """
        if not np.isfinite(vectors).all():
            raise EncoderError(f"{path}: vectors of this encoder are not numbers, or too large for {vectors.dtype}")
        content = io.BytesIO()
        np.save(content, vectors)
        content.write(hashlib.sha256(content.getbuffer()).digest())
        write_once(path, lambda file: file.write(content.getbuffer()))


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


class DiskRows:
    """Reads a layer from disk by one pread per tweet, after posix_fadvise prefetch hints for the whole batch.

    The system then reads many blocks at once. A memory map, as in `shards`, would wait for one page after another.
    """

    def __init__(self, shards: Sequence["np.memmap[Any, Any]"]) -> None:
        self._files = [os.open(str(shard.filename), os.O_RDONLY) for shard in shards]
        for file in self._files:
            weakref.finalize(self, os.close, file)
        self._folder = Path(str(shards[0].filename)).parent
        self._headers = np.array([shard.offset for shard in shards])
        self._first_tokens = np.cumsum([0, *map(len, shards)])[:-1]
        self._size = shards[0].shape[1]
        self._dtype = shards[0].dtype

    def gather(self, starts: Rows, lengths: Rows) -> Tensor:
        """The vectors of some tweets, (tokens, vector), on the CPU.

        Args:
            starts: (tweets,), index of each tweet's first token.
            lengths: (tweets,), number of each tweet's tokens.

        Raises:
            EncoderError: a file was truncated after it was opened.
        """
        width = self._size * self._dtype.itemsize
        shards = np.searchsorted(self._first_tokens, starts, side="right") - 1
        byte_offsets = self._headers[shards] + (starts - self._first_tokens[shards]) * width
        files = [self._files[shard] for shard in shards]
        reads = list(zip(files, (lengths * width).tolist(), byte_offsets.tolist(), strict=True))
        if hasattr(os, "posix_fadvise"):  # not on macOS
            for file, size, byte_offset in reads:
                os.posix_fadvise(file, byte_offset, size, os.POSIX_FADV_WILLNEED)
        content = bytearray().join(os.pread(file, size, byte_offset) for file, size, byte_offset in reads)
        if len(content) < lengths.sum() * width:
            raise EncoderError(f"{self._folder}: a shard was truncated after it was opened; {_HINT}")
        return torch.from_numpy(np.frombuffer(content, self._dtype).reshape(-1, self._size))


def pad_tweets(vectors: Tensor, lengths: Rows, longest: int) -> Tensor:
    """From (tokens, vector) to (tweets, longest, vector), with zeros after a tweet's end."""
    tweets = len(lengths)
    size = vectors.shape[1]
    if len(vectors) == tweets * longest:
        return vectors.view(tweets, longest, size)
    padded = vectors.new_zeros(tweets * longest, size)
    rows = torch.from_numpy(positions_of(np.arange(tweets) * longest, lengths)).to(vectors.device)
    return padded.index_copy_(0, rows, vectors).view(tweets, longest, size)


class CachedVectors:
    """Reads layers of a complete cache for `device`.

    Batches are the same whatever the storage is. Files in the page cache are read as fast as arrays.

    Raises:
        EncoderError: a shard cannot be read or is damaged.
    """

    def __init__(
        self,
        cache: VectorCache,
        layers: Sequence[str],
        device: torch.device,
        storage: Storage,
        progress: Progress = silent,
    ) -> None:
        self.cache = cache
        self._device = device
        self.prefetch = storage == "disk"
        self._layers: dict[str, DiskRows | Tensor] = {}
        for layer in layers:
            shards = cache.shards(layer, progress)
            if storage == "disk" and layer != BY_TYPE:
                self._layers[layer] = DiskRows(shards)
            else:
                self._layers[layer] = _in_memory(shards, torch.device("cpu") if storage == "disk" else device)

    def gather(self, rows: Rows, longest: int) -> Layers:
        batch = {}
        for name, layer in self._layers.items():
            starts, counts = self.cache.rows_of(name, rows)
            if isinstance(layer, DiskRows):
                vectors = layer.gather(starts, counts)
            else:
                positions = positions_of(starts, counts)
                if name == BY_TYPE:
                    positions = self.cache.types_of(positions)
                vectors = layer.index_select(0, torch.from_numpy(positions).to(layer.device))
            padded = pad_tweets(vectors, counts, 1 if name == BY_TWEET else longest)
            # Transfer in the stored type (often float16), which halves the bytes.
            batch[name] = padded.to(self._device, non_blocking=True).float()
        return batch


def _in_memory(shards: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Concatenate all shards; at most one shard is in memory twice."""
    row = torch.from_numpy(np.array(shards[0][0])).to(device)
    sizes = [len(shard) for shard in shards]
    table = row.new_empty(sum(sizes), len(row))
    for part, shard in zip(torch.split(table, sizes), shards, strict=True):
        part.copy_(torch.from_numpy(np.array(shard)))
    return table


class FreshVectors:
    """Computes the vectors for each batch."""

    prefetch = False

    def __init__(self, encoder: Encoder, tweets: TokenRows, layers: Sequence[str], device: torch.device) -> None:
        self._encoder = encoder
        self._tweets = tweets
        self._layers = layers
        self._device = device

    def gather(self, rows: Rows, longest: int) -> Layers:
        tweets = list(self._tweets.take(rows))
        lengths = np.fromiter(map(len, tweets), np.int64)
        batch = {}
        for layer, vectors in self._encoder.encode(tweets, self._layers).items():
            padded = vectors[:, None] if layer == BY_TWEET else pad_tweets(vectors, lengths, longest)
            batch[layer] = padded.to(self._device)
        return batch
