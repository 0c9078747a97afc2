"""The ELMo vectors of a whole corpus, computed once and found again by a fingerprint of their origin."""

import contextlib
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sentiment.config import ElmoConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus.corpus import Corpus
from sentiment.elmo.backends import build_own_encoder
from sentiment.elmo.cache.files import FORMAT_VERSION, PARTS, CacheFolder, CachePart, spans_of
from sentiment.elmo.cache.filler import STORED, CacheFiller
from sentiment.elmo.cache.plan import CachePlan, Span, plan_cache
from sentiment.elmo.encoder import LAYERS, PRECISIONS, Layer
from sentiment.elmo.lstm import state_record
from sentiment.elmo.models import ModelFiles
from sentiment.elmo.products import Library, Products
from sentiment.errors import ElmoError
from sentiment.files import fingerprint


def layers_of(config: ElmoConfig) -> tuple[Layer, ...]:
    """What a classifier reads."""
    return LAYERS if config.layers == "mix" else (config.layers,)


def parts_of(layers: Collection[Layer]) -> tuple[CachePart, ...]:
    """The parts of a cache that these layers require; always the table of types, which the others are computed from."""
    return tuple(part for part in PARTS if part == "types" or part in layers)


@dataclass(frozen=True)
class Volume:
    """The size of some layers of a cache, and how much of it is missing."""

    bytes: int
    """Of these layers and the table of types."""
    missing_bytes: int
    """Of shards that are not complete."""
    missing_tokens: int
    """Of distinct tweets for which a layer is missing."""


@dataclass(frozen=True)
class CacheEstimate(Volume):
    """The size of some layers of a cache, and the speed at which they are computed."""

    tokens_per_second: float
    """Measured on a sample, on this machine."""

    @property
    def seconds(self) -> float:
        """Time to complete the layers on one such machine."""
        return self.missing_tokens / self.tokens_per_second


class VectorCache:
    """The vectors of one corpus by one model; each part of it may be complete or not.

    Args:
        config: state and precision of it identify the cache, together with corpus and model.
        caches: the folder that holds a folder for each cache.
    """

    def __init__(self, corpus: Corpus, config: ElmoConfig, model: ModelFiles, caches: Path) -> None:
        self._corpus, self._config, self._model = corpus, config, model
        self._identity: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "corpus": corpus.fingerprint,
            "model": model.fingerprint,
            **state_record(config.state),
            "precision": config.precision,
        }
        self.folder = CacheFolder(caches / fingerprint(self._identity)[:16])

    @cached_property
    def plan(self) -> CachePlan:
        """Which tweets are encoded, and in which shards.

        Raises:
            ElmoError: the plan on disk is damaged, or of another corpus.
        """
        plan = self.folder.read_plan() or plan_cache(self._corpus)
        if len(plan.tweet_of_row) != len(self._corpus.labels):
            raise ElmoError(f"{self.folder.path}: the cache is of another corpus; delete the folder")
        return plan

    @property
    def library(self) -> Library | None:
        """Which one multiplies the matrices, as the first process decided; None before that."""
        return self.folder.library()

    @property
    def identity(self) -> dict[str, Any]:
        """All that the bits of the vectors depend on."""
        return self._identity | {"products": self.library}

    @property
    def model_name(self) -> str:
        """Name of the model, as in a configuration."""
        return self._model.name

    @property
    def vector_size(self) -> int:
        """Values per token and layer."""
        return self._model.options.vector_size

    def missing(self, part: CachePart) -> list[int]:
        """Numbers of the shards of a part that are not complete."""
        return [shard for shard in range(len(spans_of(self.plan, part))) if self.folder.record(part, shard) is None]

    def is_complete(self, layers: Collection[Layer]) -> bool:
        """Whether nothing of these layers is missing."""
        return not any(self.missing(part) for part in parts_of(layers))

    def fill(
        self,
        layers: Collection[Layer],
        device: torch.device,
        progress: Progress = silent,
        library: Library | None = None,
    ) -> None:
        """Compute what is missing of these layers; any number of processes may do so at once and share the work.

        A shard that another live process computes is left to that process. When only such shards are left, they are
        waited for, and if the process dies, its shard is computed here.

        Args:
            device: for the encoder.
            progress: called between batches; what it raises ends the work, and complete shards stay.
            library: that multiplies the matrices if this is the first process; None: the fastest one here.

        Raises:
            ElmoError: the disk has too little room or cannot be written, the model's file is damaged, or torch lacks
                the library with which the cache was begun.
        """
        parts = parts_of(layers)
        self._settle(device, library)
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
        """Delete shards whose content has changed since they were written, so that they are computed again.

        Args:
            suspicious_only: read only files whose size or modification time has changed.

        Returns:
            The paths of the deleted shards.
        """
        found = []
        for part in parts_of(layers):
            for shard in self.folder.damaged(part, len(spans_of(self.plan, part)), suspicious_only):
                self.folder.discard(part, shard)
                found.append(self.folder.shard_file(part, shard))
        return found

    def shards(self, part: CachePart) -> list[np.memmap[Any, Any]]:
        """Read-only memory maps of the shards of a complete part, each (types or tokens, values).

        Raises:
            ElmoError: a shard is missing or is no array.
        """
        return [self.folder.read(part, shard) for shard in range(len(spans_of(self.plan, part)))]

    def size(self, part: CachePart, shards: Sequence[int] | None = None) -> int:
        """Bytes of some shards of a part; None: of all."""
        spans = spans_of(self.plan, part)
        chosen = spans if shards is None else [spans[shard] for shard in shards]
        if part == "types":
            return sum(end - start for start, end in chosen) * self.vector_size // 2 * 4
        return self._tokens(chosen) * self.vector_size * STORED.itemsize

    def bytes_of(self, layers: Collection[Layer]) -> int:
        """Bytes of memory that hold these layers."""
        return sum(self.size("types" if layer == "token" else layer) for layer in layers)

    def volume(self, layers: Collection[Layer]) -> Volume:
        """The size of these layers; nothing is written, and no model is read."""
        missing = {part: self.missing(part) for part in parts_of(layers)}
        spans = self.plan.tweet_spans
        tweets = {shard for part, shards in missing.items() if part != "types" for shard in shards}
        return Volume(
            bytes=sum(self.size(part) for part in missing),
            missing_bytes=sum(self.size(part, shards) for part, shards in missing.items()),
            missing_tokens=self._tokens([spans[shard] for shard in sorted(tweets)]),
        )

    def estimate(self, layers: Collection[Layer], device: torch.device) -> CacheEstimate:
        """The size of these layers and the speed of computing them, measured on a sample on this device."""
        rate = self._filler(device, silent).measure([layer for layer in layers if layer != "token"])
        return CacheEstimate(**vars(self.volume(layers)), tokens_per_second=rate)

    def _settle(self, device: torch.device, library: Library | None) -> None:
        """Decide which library multiplies the matrices, unless a process has done so."""
        if self.library is None:
            chosen = Products.choose(PRECISIONS[self._config.precision], device, library)
            with _disk_errors(self.folder.path):
                self.folder.settle_library(chosen.library)

    def _keep_plan(self) -> None:
        """Write the plan unless it is on disk, and read it as memory maps, which all processes share."""
        if self.folder.read_plan() is None:
            with _disk_errors(self.folder.path):
                self.folder.write_plan(self.plan, self.identity | {"name": self.model_name})
            del self.plan

    def _filler(self, device: torch.device, progress: Progress) -> CacheFiller:
        build = partial(build_own_encoder, self._config, self._model, device, self.library)
        return CacheFiller(self.folder, self.plan, self._corpus.types, build, progress)

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
