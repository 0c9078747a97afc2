"""Batches straight from a flat array on the device: of equal length where the data allow, in a repeatable order."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from sentiment.data.vocabulary import PADDING, UNKNOWN

Rows = npt.NDArray[np.int64]

# Tokens in a batch for evaluation; large enough to keep the processor busy, small enough for any memory.
EVALUATION_TOKENS = 16_384

_AHEAD = ThreadPoolExecutor(1, thread_name_prefix="batches")


@dataclass(frozen=True)
class Batch:
    """Tweets side by side."""

    rows: torch.Tensor  # (batch,) int64, numbers of the tweets in their store
    token_ids: torch.Tensor  # (batch, time) int64, PADDING after a tweet's end
    lengths: torch.Tensor  # (batch,) int64, at least 1
    labels: torch.Tensor  # (batch,) float32, 0 or 1
    padded: bool  # whether the lengths differ; known without asking the device
    layers: Mapping[str, torch.Tensor] = field(default_factory=dict)  # (batch, time, vector) float32, with ELMo only

    @property
    def mask(self) -> torch.Tensor:
        """True where there is a token. Shape (batch, time)."""
        positions = torch.arange(self.token_ids.shape[1], device=self.lengths.device)
        return positions < self.lengths[:, None]


class TweetVectors(Protocol):
    """Vectors of all tokens of tweets, in one or several layers, that training does not change."""

    ahead: bool
    """Whether it pays to gather a batch while the one before is trained on."""

    def gather(self, rows: Rows, longest: int) -> Mapping[str, torch.Tensor]:
        """Each layer (rows, longest, vector) of float32 on the store's device, zeros after a tweet's end."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Recurrent state to checkpoint, on which the vectors of the next batch depend; empty if there is none."""

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state_dict` returned."""


class TokenStore:
    """The vocabulary indices of many tweets, one after another, resident on the device.

    Args:
        token_ids: (tokens,) indices into the vocabulary.
        offsets: (tweets + 1,) where each tweet starts and the last one ends. An empty tweet is read as one
            unknown token, since a recurrent net needs a step to have a state.
        labels: (tweets,) 0 or 1; None where they are not known (all are then 0).
        vectors: of the same tweets, for models that read them.
    """

    def __init__(
        self,
        token_ids: npt.NDArray[np.integer],
        offsets: npt.NDArray[np.int64],
        labels: npt.NDArray[np.integer] | None,
        device: torch.device,
        vectors: TweetVectors | None = None,
    ) -> None:
        lengths = np.diff(offsets)
        self.lengths: Rows = np.maximum(lengths, 1)
        if (lengths == 0).any():
            token_ids = np.insert(token_ids, offsets[:-1][lengths == 0], UNKNOWN)
            offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self.device = device
        self.vectors = vectors
        self._token_ids = torch.from_numpy(token_ids.astype(np.int32)).to(device)
        self._starts = torch.from_numpy(offsets[:-1].astype(np.int64)).to(device)
        values = np.zeros(len(self.lengths)) if labels is None else labels
        self._host_labels = values.astype(np.int8)
        self._labels = torch.from_numpy(values.astype(np.float32)).to(device)

    def __len__(self) -> int:
        return len(self.lengths)

    def labels_of(self, rows: Rows) -> npt.NDArray[np.int8]:
        """0 or 1 for each of `rows`."""
        return self._host_labels[rows]

    def epoch(self, rows: Rows, batch_size: int, seed: int, epoch: int) -> "EpochPlan":
        """The batches of one epoch: a function of its arguments alone, so that a resumed run meets the same ones.

        Shuffled rows are put in order of length (a stable sort keeps the shuffle within a length), cut, and the
        batches shuffled: nearly all then hold one length and need no padding.
        """
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        shuffled: Rows = generator.permutation(rows)
        ordered = shuffled[np.argsort(self.lengths[shuffled], kind="stable")]
        starts = np.arange(0, len(ordered), batch_size)
        generator.shuffle(starts)
        return EpochPlan(self, ordered, [(start, min(start + batch_size, len(rows))) for start in starts.tolist()])

    def in_order_of_length(self, rows: Rows) -> "EpochPlan":
        """All rows once, shortest first, in large batches for evaluation."""
        ordered = rows[np.argsort(self.lengths[rows], kind="stable")]
        spans = []
        start = 0
        lengths: Rows = self.lengths[ordered]
        while start < len(ordered):
            # The last tweet of a span is its longest and decides how many tokens there are, padding included.
            candidates = lengths[start : start + EVALUATION_TOKENS]
            tokens = np.arange(1, len(candidates) + 1) * candidates
            end = start + max(int(np.searchsorted(tokens, EVALUATION_TOKENS, side="right")), 1)
            spans.append((start, end))
            start = end
        return EpochPlan(self, ordered, spans)

    def batch(self, rows: torch.Tensor, longest: int, padded: bool, layers: Mapping[str, torch.Tensor]) -> Batch:
        """Gather the tweets `rows` (int64, on the device), the longest of which has `longest` tokens."""
        positions = torch.arange(longest, device=self.device)
        lengths = self._row_lengths(rows) if padded else torch.full_like(rows, longest)
        where = self._starts[rows, None] + positions
        if padded:
            inside = positions < lengths[:, None]
            where = torch.where(inside, where, 0)
            token_ids = torch.where(inside, self._token_ids[where], PADDING)
        else:
            token_ids = self._token_ids[where]
        return Batch(rows, token_ids.long(), lengths, self._labels[rows], padded, layers)

    def _row_lengths(self, rows: torch.Tensor) -> torch.Tensor:
        ends = torch.cat([self._starts[1:], self._starts.new_tensor([len(self._token_ids)])])
        return ends[rows] - self._starts[rows]


class EpochPlan:
    """Which tweets come in which batch; batches are made when asked for."""

    def __init__(self, store: TokenStore, ordered: Rows, spans: list[tuple[int, int]]) -> None:
        self.rows = ordered
        self._store = store
        self._spans = spans
        self._ordered = torch.from_numpy(ordered).to(store.device)
        self._next: tuple[int, Future[Mapping[str, torch.Tensor]]] | None = None

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, number: int) -> Batch:
        start, end = self._spans[number]
        lengths = self._store.lengths[self.rows[start:end]]  # ascending
        layers = self._layers(number)
        return self._store.batch(self._ordered[start:end], int(lengths[-1]), bool(lengths[0] != lengths[-1]), layers)

    def __iter__(self) -> Iterator[Batch]:
        return (self[number] for number in range(len(self)))

    def _layers(self, number: int) -> Mapping[str, torch.Tensor]:
        """The vectors of a batch; where it pays, those of the next one are on their way afterwards."""
        vectors = self._store.vectors
        if vectors is None:
            return {}
        if self._next is not None and self._next[0] == number:
            layers = self._next[1].result()
        else:
            layers = self._gather(vectors, number)
        if vectors.ahead and number + 1 < len(self):
            self._next = number + 1, _AHEAD.submit(self._gather, vectors, number + 1)
        return layers

    def _gather(self, vectors: TweetVectors, number: int) -> Mapping[str, torch.Tensor]:
        start, end = self._spans[number]
        rows = self.rows[start:end]
        return vectors.gather(rows, int(self._store.lengths[rows[-1]]))
