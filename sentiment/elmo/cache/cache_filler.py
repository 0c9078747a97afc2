"""The shards of a cache of ELMo vectors are computed: by one process, or by many that share the work."""

import os
import random
import time
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch

from sentiment.config import ElmoConfig
from sentiment.console import Progress
from sentiment.elmo.cache.cache_files import CacheFolder, Part, spans_of
from sentiment.elmo.cache.cache_plan import CachePlan, Span
from sentiment.elmo.encoder.encoder import ElmoEncoder, Layer
from sentiment.elmo.encoder.packing import NumberedTweets
from sentiment.elmo.models import ModelFiles
from sentiment.errors import LockedError
from sentiment.lock import ProcessLock

STORAGE = {"fp16": torch.float16, "fp32": torch.float32}

_WAIT_SECONDS = 0.5
_SAMPLE_TWEETS = 512
_TYPES_AT_ONCE = 4096


def build_elmo(config: ElmoConfig, model: ModelFiles, device: torch.device) -> ElmoEncoder:
    """Our encoder as a configuration wants it.

    Raises:
        ElmoError: a part of the model's file is damaged.
    """
    weights = model.read_weights()
    return ElmoEncoder(model.options, weights, state=config.state, precision=config.precision, device=device)


class CacheFiller:
    """Computes shards; the encoder is built when the first one needs it."""

    def __init__(
        self,
        folder: CacheFolder,
        plan: CachePlan,
        types: Sequence[str],
        model: ModelFiles,
        config: ElmoConfig,
        device: torch.device,
        progress: Progress,
    ) -> None:
        """Args: types: the distinct tokens of the corpus, to which the plan refers."""
        self._folder, self._plan, self._types = folder, plan, types
        self._model, self._config, self._device, self._progress = model, config, device, progress

    @cached_property
    def _elmo(self) -> ElmoEncoder:
        return build_elmo(self._config, self._model, self._device)

    @cached_property
    def _type_shards(self) -> list[np.ndarray]:
        return [self._folder.read("types", shard) for shard in range(len(self._plan.type_spans))]

    def share(self, parts: Sequence[Part], write: Callable[[int, Sequence[Part]], None]) -> None:
        """Compute all shards of these parts that no other process computes, and wait for those."""
        if not parts:
            return
        total = len(spans_of(self._plan, parts[0]))
        pending = list(range(total))
        # Processes that start together begin at different places and seldom meet.
        random.Random(os.getpid()).shuffle(pending)
        while pending:
            left: list[int] = []
            for number, shard in enumerate(pending, start=1):
                if self._missing(shard, parts) and not self._compute(shard, parts, write):
                    left.append(shard)
                done = total - len(pending) + number - len(left)
                self._progress(f"ELMo {'types' if parts[0] == 'types' else 'shards'}", done, total)
            if len(left) == len(pending):
                self._progress("ELMo, waiting for shards of other processes", total - len(left), total)
                time.sleep(_WAIT_SECONDS)
            pending = left

    def _missing(self, shard: int, parts: Sequence[Part]) -> list[Part]:
        return [part for part in parts if self._folder.record(part, shard) is None]

    def _compute(self, shard: int, parts: Sequence[Part], write: Callable[[int, Sequence[Part]], None]) -> bool:
        """Whether the shard is there now; not if another process is at it."""
        try:
            with ProcessLock(self._folder.claim_file(parts[0], shard), "computes these ELMo vectors"):
                if missing := self._missing(shard, parts):
                    write(shard, missing)
        except LockedError:
            return False
        return True

    def write_types(self, shard: int, _: Sequence[Part]) -> None:
        """Context-free vectors of some types of the corpus."""
        start, end = self._plan.type_spans[shard]
        vectors = []
        for first in range(start, end, _TYPES_AT_ONCE):
            types = self._types[first : min(first + _TYPES_AT_ONCE, end)]
            vectors.append(self._elmo.type_vectors(types).cpu().numpy())
            self._progress("ELMo vectors of types", first + len(types), self._plan.types)
        table = np.concatenate(vectors) if vectors else np.empty((0, self._model.options.lstm.projection_dim), "f4")
        self._folder.write_shard("types", shard, table, {})

    def write_tweets(self, shard: int, parts: Sequence[Part]) -> None:
        """Vectors of some tweets."""
        for part, vectors in self._encode(self._plan.tweet_spans[shard], parts).items():
            notes = _notes(vectors, self._model.options.lstm.proj_clip)
            self._folder.write_shard(part, shard, vectors.cpu().numpy(), notes)

    def measure(self, parts: Sequence[Part]) -> float:
        """Tokens per second on a sample of the corpus, without the table of types."""
        tweets = 0, min(_SAMPLE_TWEETS, len(self._plan.offsets) - 1)
        first, last = self._plan.token_span(tweets)
        types, numbers = np.unique(self._plan.token_types[first:last], return_inverse=True)
        vectors = self._elmo.type_vectors([self._types[number] for number in types])
        start = time.perf_counter()
        self._run(tweets, parts, numbers, vectors)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return max(last - first, 1) / (time.perf_counter() - start)

    def _encode(self, tweets: Span, parts: Sequence[Part]) -> dict[Part, torch.Tensor]:
        first, last = self._plan.token_span(tweets)
        types, numbers = np.unique(self._plan.token_types[first:last], return_inverse=True)
        vectors = torch.from_numpy(rows_of(self._type_shards, types)).to(self._device)
        return self._run(tweets, parts, numbers, vectors)

    def _run(
        self, tweets: Span, parts: Sequence[Part], numbers: np.ndarray, vectors: torch.Tensor
    ) -> dict[Part, torch.Tensor]:
        offsets = self._plan.offsets[tweets[0] : tweets[1] + 1] - self._plan.offsets[tweets[0]]
        wanted: list[Layer] = [part for part in parts if part != "types"]
        encoded = self._elmo.encode_numbered(
            NumberedTweets(numbers.astype(np.int64), offsets),
            vectors,
            wanted,
            dtype=STORAGE[self._config.storage],
            check=lambda: self._progress("ELMo", tweets[0], len(self._plan.offsets) - 1),
        )
        return {part: encoded.layers[part] for part in parts if part != "types"}


def rows_of(shards: Sequence[np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """Rows of an array that is cut into shards, by ascending numbers."""
    bounds = np.cumsum([0, *map(len, shards)])
    cuts = np.searchsorted(numbers, bounds)
    pieces = [
        shard[numbers[first:last] - start]
        for shard, start, first, last in zip(shards, bounds, cuts, cuts[1:], strict=False)
    ]
    return np.concatenate(pieces)


def _notes(vectors: torch.Tensor, clip: float | None) -> dict[str, float]:
    """What tells whether a model saturates: its largest value, and the share of those at or beyond its clip."""
    size = vectors.abs()
    notes = {"largest_value": float(size.max()) if size.numel() else 0.0}
    if clip is not None and size.numel():
        notes["share_at_or_beyond_clip"] = float((size >= clip).float().mean())
    return notes
