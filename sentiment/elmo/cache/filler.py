"""Computes the shards of a cache of ELMo vectors: in one process, or in several that share the work."""

import os
import random
import time
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch

from sentiment.console import Progress
from sentiment.elmo.cache.files import CacheFolder, CachePart, spans_of
from sentiment.elmo.cache.plan import CachePlan, Span
from sentiment.elmo.encoder import ElmoEncoder, Encoded, Layer, NumberedTweets
from sentiment.errors import LockedError
from sentiment.lock import ProcessLock

_WAIT_SECONDS = 0.5
_SAMPLE_TWEETS = 512
_TYPES_AT_ONCE = 4096

STORED = torch.float16
"""The type of stored vectors of the LSTM layers: to 2e-4 relative, in half the bytes of float32."""


class CacheFiller:
    """Computes shards that are missing.

    Args:
        types: the distinct tokens of the corpus, to which the plan refers.
        build_encoder: called once, when the first shard has to be computed.
        progress: called between batches; what it raises ends the work, and complete shards stay.
    """

    def __init__(
        self,
        folder: CacheFolder,
        plan: CachePlan,
        types: Sequence[str],
        build_encoder: Callable[[], ElmoEncoder],
        progress: Progress,
    ) -> None:
        self._folder, self._plan, self._types = folder, plan, types
        self._build_encoder, self._progress = build_encoder, progress

    @cached_property
    def _encoder(self) -> ElmoEncoder:
        return self._build_encoder()

    @cached_property
    def _type_shards(self) -> list[np.ndarray]:
        return [self._folder.read("types", shard) for shard in range(len(self._plan.type_spans))]

    def fill_types(self) -> None:
        """Complete the table of types, together with other processes."""
        self._share(("types",), self._write_types)

    def fill_layers(self, parts: Sequence[CachePart]) -> None:
        """Complete these layers, together with other processes; the table of types must be complete."""
        if parts:
            self._share(parts, self._write_tweets)

    def measure(self, layers: Sequence[Layer]) -> float:
        """Tokens per second on a sample of the corpus, without the table of types."""
        tweets = 0, min(_SAMPLE_TWEETS, len(self._plan.offsets) - 1)
        types, numbered = self._numbered(tweets)
        vectors = self._encoder.type_vectors([self._types[number] for number in types])
        start = time.perf_counter()
        self._encode(numbered, vectors, layers, tweets)
        if self._encoder.device.type == "cuda":
            torch.cuda.synchronize(self._encoder.device)
        return max(len(numbered.numbers), 1) / (time.perf_counter() - start)

    def _share(self, parts: Sequence[CachePart], write: Callable[[int, Sequence[CachePart]], None]) -> None:
        """Compute the shards that no other process computes, and wait for those that others do."""
        total = len(spans_of(self._plan, parts[0]))
        pending = list(range(total))
        # Processes that start together begin at different shards and seldom meet.
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

    def _missing(self, shard: int, parts: Sequence[CachePart]) -> list[CachePart]:
        return [part for part in parts if self._folder.record(part, shard) is None]

    def _compute(
        self, shard: int, parts: Sequence[CachePart], write: Callable[[int, Sequence[CachePart]], None]
    ) -> bool:
        """Compute a shard unless another process does so; whether it is complete now."""
        try:
            with ProcessLock(self._folder.claim_file(parts[0], shard), "computes these ELMo vectors"):
                if missing := self._missing(shard, parts):
                    write(shard, missing)
        except LockedError:
            return False
        return True

    def _write_types(self, shard: int, _: Sequence[CachePart]) -> None:
        start, end = self._plan.type_spans[shard]
        table = np.empty((end - start, self._encoder.vector_size // 2), np.float32)
        for first in range(start, end, _TYPES_AT_ONCE):
            last = min(first + _TYPES_AT_ONCE, end)
            table[first - start : last - start] = self._encoder.type_vectors(self._types[first:last]).cpu().numpy()
            self._progress("ELMo vectors of types", last, self._plan.types)
        self._folder.write_shard("types", shard, table, {})

    def _write_tweets(self, shard: int, parts: Sequence[CachePart]) -> None:
        tweets = self._plan.tweet_spans[shard]
        types, numbered = self._numbered(tweets)
        vectors = torch.from_numpy(rows_of(self._type_shards, types)).to(self._encoder.device)
        wanted: list[Layer] = [part for part in parts if part != "types"]
        encoded = self._encode(numbered, vectors, wanted, tweets)
        for layer, values in encoded.layers.items():
            if layer != "token":
                notes = _saturation(values, self._encoder.options.lstm.proj_clip)
                self._folder.write_shard(layer, shard, values.cpu().numpy(), notes)

    def _numbered(self, tweets: Span) -> tuple[np.ndarray, NumberedTweets]:
        """The indices of the types in some tweets, ascending, and the tweets as numbers of these types."""
        first, last = self._plan.token_span(tweets)
        types, numbers = np.unique(self._plan.token_types[first:last], return_inverse=True)
        return types, NumberedTweets(numbers.astype(np.int64), self._plan.offsets[tweets[0] : tweets[1] + 1] - first)

    def _encode(
        self, numbered: NumberedTweets, vectors: torch.Tensor, layers: Sequence[Layer], tweets: Span
    ) -> Encoded:
        def check() -> None:
            self._progress("ELMo", tweets[0], len(self._plan.offsets) - 1)

        return self._encoder.encode_numbered(numbered, vectors, layers, dtype=STORED, check=check)


def rows_of(shards: Sequence[np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """Rows of an array that is cut into shards.

    Args:
        numbers: (rows,): their indices in the whole array, ascending.
    """
    bounds = np.cumsum([0, *map(len, shards)])
    cuts = np.searchsorted(numbers, bounds)
    pieces = [
        shard[numbers[first:last] - start]
        for shard, start, first, last in zip(shards, bounds, cuts, cuts[1:], strict=False)
    ]
    return np.concatenate(pieces)


def _saturation(vectors: torch.Tensor, clip: float | None) -> dict[str, float]:
    """The largest absolute value, and the share of values at or beyond the model's clip."""
    size = vectors.abs()
    notes = {"largest_value": float(size.max()) if size.numel() else 0.0}
    if clip is not None and size.numel():
        notes["share_at_or_beyond_clip"] = float((size >= clip).float().mean())
    return notes
