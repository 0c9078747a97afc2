"""Encoder vectors for runs: cached on disk for a corpus, or computed for each batch.

A cache is a folder that is named by a fingerprint of all that its vectors depend on: the tokens, the model's files, and
the code of the modules that compute them (`sentiment.encoders.shards`, the encoder's, and what these import).

There are no locks: shards are written atomically. Any number of processes compute missing shards in random order; if
two processes compute the same shard, the second result is discarded. A shard that has changed since it was written is
deleted, and computed again by the next run.
"""

import os
import shutil
import weakref
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from sentiment.config import AnyEncoder, EncoderConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus import TYPES, Corpus
from sentiment.encoders.allennlp import ReferenceElmo
from sentiment.encoders.batches import Layers
from sentiment.encoders.elmo import LAYERS, ElmoEncoder
from sentiment.encoders.pretrained import ElmoFiles, EncoderFiles
from sentiment.encoders.shards import BY_TWEET, BY_TYPE, COMPUTED_AGAIN, Encoder, Shards
from sentiment.encoders.transformer import Transformer
from sentiment.errors import EncoderError, RunDirError
from sentiment.files import delete_leftovers, fingerprint, sha256_of, write_once
from sentiment.processes import Stopwatch, bring_compiler_back
from sentiment.runs.code_version import code_of
from sentiment.runs.records import CacheRecord, ComputeTime
from sentiment.runs.run_dir import Results, read_record, sealed
from sentiment.tokens import Rows, TokenRows, positions_of

# Files with the compute time of each process that computed vectors.
_COMPUTE_TIME = "compute-time"

Storage = Literal["GPU memory", "disk"]


def encoder_type(config: AnyEncoder) -> type[ElmoEncoder | ReferenceElmo | Transformer]:
    """The class of a configuration's encoder: our ELMo, allennlp's, or a transformer."""
    if isinstance(config, EncoderConfig):
        return Transformer
    return ElmoEncoder if config.backend == "own" else ReferenceElmo


def build_encoder(config: AnyEncoder, encoder_files: EncoderFiles, device: torch.device) -> Encoder:
    """Build the encoder of a configuration. Raises EncoderError if the model's files are damaged."""
    if isinstance(config, EncoderConfig):
        bring_compiler_back()  # transformers imports parts of it
    build: Callable[..., Encoder] = encoder_type(config).built
    return build(config, encoder_files, device)


def layers_of(config: AnyEncoder) -> tuple[str, ...]:
    """The layers that the runs of a configuration read."""
    return LAYERS if config.layers == "mix" else (config.layers,)


class VectorCache(Shards):
    """The vectors of one corpus from one encoder, given by its files; any of its shards may be missing."""

    def __init__(self, corpus: Corpus, config: AnyEncoder, encoder_files: EncoderFiles, results: Results) -> None:
        self._config = config
        self._encoder_files = encoder_files
        # The corpus's files and not its fingerprint, because folds of the same tweets share the vectors.
        tweets = [sha256_of(corpus.path / name) for name in (TYPES, "token_ids.npy", "offsets.npy")]
        settings = config.model_dump(include={"state", "precision"})
        code = code_of(encoder_type(config).__module__, Shards.__module__)
        identity = fingerprint([code, tweets, encoder_files.fingerprint, settings])
        folder = results.encoder_caches / identity[:16]
        super().__init__(corpus, folder, encoder_files.vector_size, by_type=isinstance(encoder_files, ElmoFiles))

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
                for path, content in self.computed(layers, encoder, progress):
                    write_once(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
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


class DiskRows:
    """Reads a layer from disk by one pread per tweet, after posix_fadvise prefetch hints for the whole batch.

    The system then reads many blocks at once. A memory map, as in `shards`, would read one page after another.
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
            raise EncoderError(f"{self._folder}: a shard was truncated after it was opened; {COMPUTED_AGAIN}")
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
