"""Frozen vectors of a whole corpus, computed once, found again by what they were made from."""

import contextlib
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from sentiment.config import ElmoConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus.corpus import Corpus
from sentiment.elmo.backends import build_own_encoder
from sentiment.elmo.cache.files import FORMAT_VERSION, PARTS, CacheFolder, CachePart, spans_of
from sentiment.elmo.cache.filler import CacheFiller
from sentiment.elmo.cache.plan import CachePlan, Span, plan_cache
from sentiment.elmo.encoder.encoder import Layer
from sentiment.elmo.encoder.state import state_record
from sentiment.elmo.models import ModelFiles
from sentiment.errors import ElmoError
from sentiment.files import fingerprint

_STORAGE = {"fp16": torch.float16, "fp32": torch.float32}


def layers_of(config: ElmoConfig) -> tuple[Layer, ...]:
    """The layers that a classifier reads."""
    return ("token", "first", "top") if config.layers == "mix" else (config.layers,)


def parts_of(layers: Collection[Layer]) -> tuple[CachePart, ...]:
    """The parts of a cache that hold these layers; the table of types is always one, since others rest on it."""
    return tuple(part for part in PARTS if part == "types" or part in layers)


@dataclass(frozen=True)
class Volume:
    """How much some layers are, and how much of it is not there."""

    bytes: int
    """Of all parts asked for."""
    missing_bytes: int
    missing_tokens: int


@dataclass(frozen=True)
class CacheEstimate(Volume):
    """What it takes to complete a cache."""

    tokens_per_second: float
    """Measured on a sample, on this machine."""

    @property
    def seconds(self) -> float:
        """On one such machine."""
        return self.missing_tokens / self.tokens_per_second


class VectorCache:
    """The vectors of one corpus under one model; complete in a part or not.

    Args:
        config: what of it matters is the state, the precision of computing and that of storing.
    """

    def __init__(self, corpus: Corpus, config: ElmoConfig, model: ModelFiles, caches: Path) -> None:
        self._corpus, self._config, self._model = corpus, config, model
        self.identity: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "corpus": corpus.fingerprint,
            "model": model.fingerprint,
            **state_record(config.state),
            "precision": config.precision,
            "storage": config.storage,
        }
        self.folder = CacheFolder(caches / fingerprint(self.identity)[:16])

    @cached_property
    def plan(self) -> CachePlan:
        """Which tweets are encoded, and in which shards; on disk as soon as anything is computed."""
        plan = self.folder.read_plan() or plan_cache(self._corpus)
        if len(plan.tweet_of_row) != len(self._corpus.labels):
            raise ElmoError(f"{self.folder.path}: the cache is not of this corpus; delete the folder")
        return plan

    @property
    def model_name(self) -> str:
        """Of the model, as a configuration names it."""
        return self._model.name

    @property
    def vector_size(self) -> int:
        """Values per token and layer."""
        return self._model.options.vector_size

    def missing(self, part: CachePart) -> list[int]:
        """Shards of a part that are not there."""
        return [shard for shard in range(len(spans_of(self.plan, part))) if self.folder.record(part, shard) is None]

    def is_complete(self, layers: Collection[Layer]) -> bool:
        """Whether all vectors of these layers are there."""
        return not any(self.missing(part) for part in parts_of(layers))

    def fill(self, layers: Collection[Layer], device: torch.device, progress: Progress = silent) -> None:
        """Compute what is missing of these layers, together with any other process that does the same.

        A shard that another live process computes is left to it; when nothing else is left, its end is waited for,
        and should it die, its shard is taken over.

        Args:
            progress: called between batches; what it raises ends the work, and complete shards stay.

        Raises:
            ElmoError: there is no room, the disk refuses, or the model's file is damaged.
        """
        parts = parts_of(layers)
        self._keep_plan()
        needed = sum(self.size(part, self.missing(part)) for part in parts)
        if needed > (free := shutil.disk_usage(self.folder.path).free):
            raise ElmoError(f"{self.folder.path}: needs {needed / 1e9:.3g} GB, but {free / 1e9:.3g} GB are free there")
        with _disk_errors(self.folder.path):
            filler = self._filler(device, progress)
            filler.fill_types()
            filler.fill_layers([part for part in parts if part != "types"])
            for part in parts:
                self.folder.complete(part, len(spans_of(self.plan, part)))
            self.folder.remove_leftovers()

    def discard_damaged(self, layers: Collection[Layer], suspicious_only: bool) -> list[Path]:
        """Forget shards whose content has changed since they were written, so that they can be computed again.

        Args:
            suspicious_only: read only files whose size or time of change is not that after writing.
        """
        found = []
        for part in parts_of(layers):
            for shard in self.folder.damaged(part, len(spans_of(self.plan, part)), suspicious_only):
                self.folder.discard(part, shard)
                found.append(self.folder.shard_file(part, shard))
        return found

    def shards(self, part: CachePart) -> list[npt.NDArray[Any]]:
        """Read-only maps of the shards of a complete part.

        Raises:
            ElmoError: one is missing or no array.
        """
        return [self.folder.read(part, shard) for shard in range(len(spans_of(self.plan, part)))]

    def shard_files(self, part: CachePart) -> list[Path]:
        """Paths of the shards of a part."""
        return [self.folder.shard_file(part, shard) for shard in range(len(spans_of(self.plan, part)))]

    def size(self, part: CachePart, shards: Sequence[int] | None = None) -> int:
        """Bytes of some shards of a part, or of all."""
        spans = spans_of(self.plan, part)
        chosen = spans if shards is None else [spans[shard] for shard in shards]
        if part == "types":
            return sum(end - start for start, end in chosen) * self.vector_size // 2 * 4
        return self._tokens(chosen) * self.vector_size * _STORAGE[self._config.storage].itemsize

    def bytes_of(self, layers: Collection[Layer]) -> int:
        """What it takes to hold these layers in memory."""
        return sum(self.size("types" if layer == "token" else layer) for layer in layers)

    def volume(self, layers: Collection[Layer]) -> Volume:
        """Bytes of these layers; nothing is written, and no model is read."""
        missing = {part: self.missing(part) for part in parts_of(layers)}
        spans = self.plan.tweet_spans
        tweets = {shard for part, shards in missing.items() if part != "types" for shard in shards}
        return Volume(
            bytes=sum(self.size(part) for part in missing),
            missing_bytes=sum(self.size(part, shards) for part, shards in missing.items()),
            missing_tokens=self._tokens([spans[shard] for shard in sorted(tweets)]),
        )

    def estimate(self, layers: Collection[Layer], device: torch.device) -> CacheEstimate:
        """Bytes and time of completing these layers, from the rate at which a sample is encoded here."""
        rate = self._filler(device, silent).measure([layer for layer in layers if layer != "token"])
        return CacheEstimate(**vars(self.volume(layers)), tokens_per_second=rate)

    def _keep_plan(self) -> None:
        """Write the plan, unless it is there, and read it as a map of what all processes share."""
        if self.folder.read_plan() is None:
            with _disk_errors(self.folder.path):
                self.folder.write_plan(self.plan, self.identity | {"name": self.model_name})
            del self.plan

    def _filler(self, device: torch.device, progress: Progress) -> CacheFiller:
        build = partial(build_own_encoder, self._config, self._model, device)
        storage = _STORAGE[self._config.storage]
        return CacheFiller(self.folder, self.plan, self._corpus.types, build, storage, progress)

    def _tokens(self, spans: Sequence[Span]) -> int:
        return sum(end - start for start, end in map(self.plan.token_span, spans))


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ElmoError(
            f"{folder}: the ELMo vectors cannot be written: {error}; complete shards stay, and the same command goes on"
        ) from error
