"""The vectors of an encoder that runs read: of a corpus computed once, kept on disk and read by batches; or fresh ones.

A cache is a folder that is named by a fingerprint of all that its vectors depend on. Each layer lies in shards
(`first-00000.npy`) of one float16 row per token or tweet. ELMo's layer `token` has a float32 row for each type, from
which the others are computed.

Nothing is locked. A shard gets its name when it is whole. Any number of processes take missing shards at random; of two
that compute the same one the second throws its own away. A checksum at the end of a file tells whether it has changed.
"""

import hashlib
import io
import itertools
import os
import random
import shutil
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sentiment.config import AnyEncoder, ElmoConfig, EncoderConfig
from sentiment.console import Progress, silent
from sentiment.data.batches import Rows
from sentiment.data.corpus import TYPES, Corpus
from sentiment.encoders.elmo import BATCH_TWEETS, LAYERS, ElmoEncoder, batches_by_length
from sentiment.encoders.elmo_files import read_weights
from sentiment.encoders.pretrained import ElmoFiles, EncoderFiles, HubFiles
from sentiment.errors import EncoderError, MemoryExhaustedError
from sentiment.files import as_json, fingerprint, sha256_of, write_once
from sentiment.runs.run_dir import Results

# Raise this when the same corpus and model would give other vectors or files.
_FORMAT_VERSION = 6

# The layers with a vector for each type, and for each tweet.
BY_TYPE, BY_TWEET = "token", "tweet"
# No more shards than a process may open files, and none so small that a small corpus has hundreds.
_MOST_SHARDS = 256
_LEAST_TOKENS = 1 << 14
_TYPES_PER_SHARD = 1 << 16
_TYPES_AT_ONCE = 4096
# A shard ends with the SHA-256 of all bytes before it, which numpy does not read.
_SEAL_BYTES = hashlib.sha256().digest_size

Place = Literal["GPU memory", "disk"]
Span = tuple[int, int]  # first index, and last index + 1


class Encoder(Protocol):
    """What computes vectors of tweets, each tweet's from the tweet alone."""

    vector_size: int

    def encode(self, tweets: Sequence[Sequence[str]], layers: Collection[str]) -> Mapping[str, torch.Tensor]:
        """The layers asked for of tokenised tweets, float32: (tokens of all tweets, vector), or (tweets, vector)."""


def build_encoder(config: AnyEncoder, model: EncoderFiles, device: torch.device) -> Encoder:
    """The encoder that a configuration asks for: our ELMo, allennlp's, or a transformer."""
    if isinstance(config, EncoderConfig) and isinstance(model, HubFiles):
        from sentiment.encoders.transformer import Transformer  # loads transformers

        return Transformer(model, config.pooling, device)
    if not isinstance(config, ElmoConfig) or not isinstance(model, ElmoFiles):
        raise TypeError(f"{model} is not what {config} names")
    if config.backend == "own":
        weights = read_weights(model.weights_path, model.options)
        return ElmoEncoder(model.options, weights, state=config.state, precision=config.precision, device=device)
    from sentiment.encoders.allennlp import ReferenceElmo  # loads allennlp

    return ReferenceElmo(model.options_path, model.weights_path, state=config.state, device=device)


def layers_of(config: AnyEncoder) -> tuple[str, ...]:
    return LAYERS if config.layers == "mix" else (config.layers,)


def shard_spans(offsets: npt.NDArray[np.int64]) -> list[Span]:
    """The range of tweets in each shard of a layer; `offsets`, (tweets + 1,), are those of their tokens."""
    per_shard = max(_LEAST_TOKENS, -(-int(offsets[-1]) // _MOST_SHARDS))
    cuts = np.searchsorted(offsets, np.arange(per_shard, offsets[-1], per_shard))
    return list(itertools.pairwise(np.unique([0, *cuts, len(offsets) - 1]).tolist()))


class VectorCache:
    """The vectors of one corpus by one encoder; each shard may be there or not."""

    def __init__(self, corpus: Corpus, config: AnyEncoder, model: EncoderFiles, results: Results) -> None:
        self._corpus, self._config, self._model, self.vector_size = corpus, config, model, model.vector_size
        self._by_type = isinstance(model, ElmoFiles)
        # Not the corpus itself: folds of the same tweets differ in nothing that is read here.
        tweets = [sha256_of(corpus.path / name) for name in (TYPES, "token_ids.npy", "offsets.npy")]
        settings = config.model_dump(include={"state", "precision"} if self._by_type else {"pooling"})
        self._identity = {"format_version": _FORMAT_VERSION, "tweets": tweets, "model": model.fingerprint} | settings
        self.folder = results.encoder_caches / fingerprint(self._identity)[:16]

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
        """Where the rows of some tweets begin in a layer, and how many each has; of BY_TYPE those of their tokens."""
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
        """Bytes of these layers with what they are computed from, or of what is missing of both."""
        return sum(
            (end - start) * self.vector_size * _stored(layer).itemsize
            for layer in self._needed(layers)
            for (start, end), path in zip(self.spans(layer), self._shard_files(layer), strict=True)
            if not (missing and path.exists())
        )

    def fill(self, layers: Collection[str], device: torch.device, progress: Progress = silent) -> None:
        """Compute what is missing of these layers; processes that do so at once share the work.

        Raises:
            EncoderError: the disk has too little room or cannot be written, or the model's file is damaged.
            MemoryExhaustedError: the GPU's memory does not hold the model.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            needed, free = self.size(layers, missing=True) / 1e9, shutil.disk_usage(self.folder).free / 1e9
            if needed > free:
                raise EncoderError(f"{self.folder}: needs {needed:.3g} GB, but {free:.3g} GB are free there")
            write_once(self.folder / "cache.json", as_json(self._identity))  # for people
            self._compute(layers, build_encoder(self._config, self._model, device), progress)
        except torch.OutOfMemoryError as error:
            raise MemoryExhaustedError("the GPU's memory does not hold the encoder") from error
        except OSError as error:
            goes_on = "complete shards stay, and the same command goes on"
            raise EncoderError(f"{self.folder}: the vectors cannot be written: {error}; {goes_on}") from error

    def discard_damaged(self, layers: Collection[str], progress: Progress = silent) -> list[Path]:
        """Delete, and return, shards that have changed since they were written, so that they are computed again."""
        found = []
        for layer in self._needed(layers):
            for shard, path in enumerate(self._shard_files(layer)):
                progress(f"checking vectors of {layer}", shard, None)
                if path.exists() and not _is_sealed(path.read_bytes()):
                    path.unlink(missing_ok=True)
                    found.append(path)
        return found

    def shards(self, layer: str) -> list[np.memmap[Any, Any]]:
        """Read-only memory maps of the shards of a complete layer, each (rows, vector)."""
        try:
            return [np.load(path, mmap_mode="r") for path in self._shard_files(layer)]
        except (OSError, ValueError) as error:
            again = "`sentiment prepare encode` with the run's file computes it again"
            raise EncoderError(f"{self.folder}: a shard of {layer!r} cannot be read ({error}); {again}") from None

    def _needed(self, layers: Collection[str]) -> list[str]:
        """What has to be there for these layers: with the vectors of single tokens, which come first."""
        return [*([BY_TYPE] if self._by_type else []), *(layer for layer in layers if layer != BY_TYPE)]

    def _compute(self, layers: Collection[str], encoder: Encoder, progress: Progress) -> None:
        needed = self._needed(layers)
        if self._by_type:
            while missing := self.missing(BY_TYPE):
                self._write_types(random.choice(missing), encoder, progress)
            if isinstance(encoder, ElmoEncoder):
                encoder.learn(self._corpus.types, self.shards(BY_TYPE))
        while missing := sorted({shard for layer in needed if layer != BY_TYPE for shard in self.missing(layer)}):
            offsets, spans = self._corpus.offsets, (self.tweet_spans[shard] for shard in missing)
            done = int(offsets[-1] - sum(offsets[last] - offsets[first] for first, last in spans))
            self._write_tweets(random.choice(missing), needed, encoder, done, progress)

    def _write_types(self, shard: int, encoder: Encoder, progress: Progress) -> None:
        start, end = self.spans(BY_TYPE)[shard]
        table = np.empty((end - start, self.vector_size), _stored(BY_TYPE))
        for first in range(start, end, _TYPES_AT_ONCE):
            progress("vectors of types", first, len(self._corpus.types))
            types = self._corpus.types[first : min(first + _TYPES_AT_ONCE, end)]
            vectors = encoder.encode([[token] for token in types], [BY_TYPE])[BY_TYPE]
            table[first - start :][: len(types)] = vectors.cpu().numpy()
        self._write_shard(self.shard_file(BY_TYPE, shard), table)

    def _write_tweets(self, shard: int, layers: list[str], encoder: Encoder, done: int, progress: Progress) -> None:
        first, last = self.tweet_spans[shard]
        tweets = [self._corpus.tokens(row) for row in range(first, last)]
        lengths = np.fromiter(map(len, tweets), np.int64)
        spans = {layer: self.spans(layer)[shard] for layer in layers if shard in self.missing(layer)}
        found = {name: np.empty((end - start, self.vector_size), _stored(name)) for name, (start, end) in spans.items()}
        for chosen in batches_by_length(lengths, BATCH_TWEETS):
            progress("vectors of tweets", done, len(self._corpus.token_ids))
            for layer, vectors in encoder.encode([tweets[number] for number in chosen], list(spans)).items():
                starts, counts = self.rows_of(layer, first + chosen)
                found[layer][positions_of(starts - spans[layer][0], counts)] = vectors.half().cpu().numpy()
            done += int(lengths[chosen].sum())
        for layer, values in found.items():
            self._write_shard(self.shard_file(layer, shard), values)

    def _write_shard(self, path: Path, vectors: npt.NDArray[Any]) -> None:
        content = io.BytesIO()
        np.save(content, vectors)
        content.write(hashlib.sha256(content.getbuffer()).digest())
        write_once(path, lambda file: file.write(content.getbuffer()))


def _stored(layer: str) -> np.dtype[Any]:
    """The type of stored values; float16 is right to 2e-4 relative, in half the bytes."""
    return np.dtype(np.float32 if layer == BY_TYPE else np.float16)


def _is_sealed(content: bytes) -> bool:
    whole = memoryview(content)
    return hashlib.sha256(whole[:-_SEAL_BYTES]).digest() == whole[-_SEAL_BYTES:]


class DiskRows:
    """A layer on disk: one read per tweet, all of a batch announced to the system before the first.

    It then reads many blocks at once, whereas a memory map, as the `shards` are, waits for one page after another.
    """

    def __init__(self, shards: Sequence["np.memmap[Any, Any]"]) -> None:
        self._files = [os.open(str(shard.filename), os.O_RDONLY) for shard in shards]
        for file in self._files:
            weakref.finalize(self, os.close, file)
        self._folder = Path(str(shards[0].filename)).parent
        self._headers = np.array([shard.offset for shard in shards])
        self._first_tokens = np.cumsum([0, *map(len, shards)])[:-1]
        self._size, self._dtype = shards[0].shape[1], shards[0].dtype

    def gather(self, starts: Rows, lengths: Rows) -> torch.Tensor:
        """Some tweets' vectors, (tokens, vector), on the CPU; an EncoderError says that a file was truncated since.

        Args:
            starts, lengths: (tweets,): index of the first token of each, and how many it has.
        """
        width = self._size * self._dtype.itemsize
        shards = np.searchsorted(self._first_tokens, starts, side="right") - 1
        places = self._headers[shards] + (starts - self._first_tokens[shards]) * width
        files = [self._files[shard] for shard in shards]
        reads = list(zip(files, (lengths * width).tolist(), places.tolist(), strict=True))
        if hasattr(os, "posix_fadvise"):  # not on macOS
            for file, size, place in reads:
                os.posix_fadvise(file, place, size, os.POSIX_FADV_WILLNEED)
        content = bytearray().join(os.pread(file, size, place) for file, size, place in reads)
        if len(content) < lengths.sum() * width:
            raise EncoderError(f"{self._folder}: a shard was truncated after it had been opened")
        return torch.from_numpy(np.frombuffer(content, self._dtype).reshape(-1, self._size))


def positions_of(starts: Rows, lengths: Rows) -> Rows:
    """arange(start, start + length) of each tweet, one after the other."""
    within: Rows = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return within + np.repeat(starts, lengths)


def side_by_side(vectors: torch.Tensor, lengths: Rows, longest: int) -> torch.Tensor:
    """From (tokens, vector) to (tweets, longest, vector), zeros after a tweet's end."""
    tweets, size = len(lengths), vectors.shape[1]
    if len(vectors) == tweets * longest:
        return vectors.view(tweets, longest, size)
    padded = vectors.new_zeros(tweets * longest, size)
    places = torch.from_numpy(positions_of(np.arange(tweets) * longest, lengths)).to(vectors.device)
    return padded.index_copy_(0, places, vectors).view(tweets, longest, size)


class CachedVectors:
    """Reads some layers of a complete cache, for `device`; an EncoderError says that a file cannot be read.

    Batches are the same from each place. What the system keeps of files in memory is read as fast as from an array.
    """

    def __init__(self, cache: VectorCache, layers: Sequence[str], device: torch.device, place: Place) -> None:
        self._cache, self._device, self.ahead = cache, device, place == "disk"
        home = device if place == "GPU memory" else torch.device("cpu")
        self._layers: dict[str, DiskRows | torch.Tensor] = {}
        for layer in layers:
            shards, on_disk = cache.shards(layer), place == "disk" and layer != BY_TYPE
            self._layers[layer] = DiskRows(shards) if on_disk else _in_memory(shards, home)

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        found = {}
        for name, layer in self._layers.items():
            starts, counts = self._cache.rows_of(name, rows)
            if isinstance(layer, DiskRows):
                vectors = layer.gather(starts, counts)
            else:
                tokens = positions_of(starts, counts)
                places = self._cache.types_of(tokens) if name == BY_TYPE else tokens
                vectors = layer.index_select(0, torch.from_numpy(places).to(layer.device))
            padded = side_by_side(vectors, counts, 1 if name == BY_TWEET else longest)
            # To a GPU as they are stored, which is often in half the bytes.
            found[name] = padded.to(self._device, non_blocking=True).float()
        return found


def _in_memory(shards: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """All shards one after the other; at most one of them is in memory twice."""
    row = torch.from_numpy(np.array(shards[0][0])).to(device)
    whole = row.new_empty(sum(map(len, shards)), len(row))
    for part, shard in zip(torch.split(whole, [*map(len, shards)]), shards, strict=True):
        part.copy_(torch.from_numpy(np.array(shard)))
    return whole


class FreshVectors:
    """Computes the vectors for each batch; `tokens` gives those of the tweet in a row."""

    ahead = False

    def __init__(
        self, encoder: Encoder, tokens: Callable[[int], Sequence[str]], layers: Sequence[str], device: torch.device
    ) -> None:
        self._encoder, self._tokens, self._layers, self._device = encoder, tokens, layers, device

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        tweets = list(map(self._tokens, rows.tolist()))
        lengths = np.fromiter(map(len, tweets), np.int64)
        encoded = self._encoder.encode(tweets, self._layers)
        return {
            name: (values[:, None] if name == BY_TWEET else side_by_side(values, lengths, longest)).to(self._device)
            for name, values in encoded.items()
        }
