"""Cuts batches from a flat array of tokens on the device, mostly of tweets of equal length, in a reproducible order."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sentiment.data.vocabulary import PADDING, UNKNOWN
from sentiment.tokens import Floats, Indices, Integers, Rows

Layers = Mapping[str, Tensor]  # an encoder's vectors of some tweets, by the name of their layer

# Tokens in a batch that is measured. On a GPU enough to keep it busy, and few enough for the memory of any; on a CPU so
# few that the states fit into a core's cache.
_GPU_TOKENS = 16_384
_CPU_TOKENS = 4096

_PREFETCH_POOL = ThreadPoolExecutor(1, thread_name_prefix="batches")


@dataclass(frozen=True)
class Batch:
    """The tweets that a model reads at once."""

    rows: Tensor  # (batch,) int64, indices of the tweets in their store
    token_ids: Tensor  # (batch, time) int64, PADDING after the end of a tweet
    lengths: Tensor  # (batch,) int64, at least 1
    labels: Tensor  # (batch,) int64, indices of classes
    padded: bool  # whether the lengths differ; a Python bool, which avoids a device synchronisation
    weights: Tensor | None = None  # (batch,) float32, sample weights in the loss; None: uniform
    polarity: Tensor | None = None  # (batch, time) float32, word ratings; None where no model reads them
    layers: Layers = field(default_factory=dict)  # an encoder's, as `TweetVectors.gather`

    @property
    def mask(self) -> Tensor:
        """True where there is a token. Shape (batch, time)."""
        positions = torch.arange(self.token_ids.shape[1], device=self.lengths.device)
        return positions < self.lengths[:, None]


class TweetVectors(Protocol):
    """Vectors of the tokens of tweets, in one or several layers, which training does not change."""

    # Whether to prefetch the next batch while the model is trained on the current one.
    prefetch: bool

    def gather(self, rows: Rows, longest: int) -> Layers:
        """The vectors of each layer, zeros after the end of a tweet. Shape (rows, longest, vector), float32.

        Args:
            rows: indices of the tweets in their store.
            longest: number of tokens of the longest one.
        """


class TokenStore:
    """The vocabulary indices of many tweets, one after another in one array on the device.

    An empty tweet is read as one unknown token, because a recurrent network needs at least one time step.

    Args:
        token_ids: (tokens,)
        offsets: (tweets + 1,) where each tweet starts and the last one ends.
        labels: (tweets,) indices of classes; arbitrary if they are not known.
        vectors: of the same tweets, for models that read them.
        polarity: (tokens,) for models that read it.
    """

    def __init__(
        self,
        token_ids: Indices,
        offsets: Integers,
        labels: Indices,
        device: torch.device,
        vectors: TweetVectors | None = None,
        polarity: Floats | None = None,
    ) -> None:
        lengths = np.diff(offsets)
        empty = offsets[:-1][lengths == 0]
        token_ids = np.insert(token_ids, empty, UNKNOWN)
        if polarity is not None:
            polarity = np.insert(polarity, empty, 0)
        self.lengths: Rows = np.maximum(lengths, 1)
        offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self.device = device
        self.vectors = vectors
        self._token_ids = torch.from_numpy(token_ids.astype(np.int32)).to(device)
        self._polarity = None if polarity is None else torch.from_numpy(polarity).to(device)
        self._offsets = torch.from_numpy(offsets.astype(np.int64)).to(device)
        self._labels = torch.from_numpy(labels.astype(np.int64)).to(device)
        self._weights: Tensor | None = None

    def weigh(self, weights: npt.NDArray[np.floating]) -> None:
        """Set the sample weights of the loss, shape (tweets,); without a call they are uniform."""
        self._weights = torch.from_numpy(weights.astype(np.float32)).to(self.device)

    def epoch(self, rows: Rows, batch_size: int, seed: int, epoch: int) -> "BatchPlan":
        """The batches of one epoch; they depend only on the arguments, so that a resumed run sees the same ones.

        The rows are shuffled, sorted by length (with a stable sort, which keeps the shuffled order within a length) and
        cut into batches, whose order is shuffled in turn. Nearly every batch then holds tweets of one length and needs
        no padding. Each `epoch`, counted from 0, has an order of its own.
        """
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        shuffled: Rows = generator.permutation(rows)
        ordered = shuffled[np.argsort(self.lengths[shuffled], kind="stable")]
        starts = np.arange(0, len(ordered), batch_size)
        generator.shuffle(starts)
        return BatchPlan(self, ordered, [(start, min(start + batch_size, len(rows))) for start in starts.tolist()])

    def in_order_of_length(self, rows: Rows) -> "BatchPlan":
        """Each of `rows` once, the shortest first, in batches as the device likes them."""
        max_tokens = _CPU_TOKENS if self.device.type == "cpu" else _GPU_TOKENS  # a single tweet may have more
        ordered = rows[np.argsort(self.lengths[rows], kind="stable")]
        lengths = self.lengths[ordered]
        spans: list[tuple[int, int]] = []
        start = 0
        while start < len(ordered):
            # The last tweet of a span is the longest, so it determines how many tokens the padded batch has.
            candidates = lengths[start : start + max_tokens]
            tokens = np.arange(1, len(candidates) + 1) * candidates
            end = start + max(int(np.searchsorted(tokens, max_tokens, side="right")), 1)
            spans.append((start, end))
            start = end
        return BatchPlan(self, ordered, spans)

    def batch(self, rows: Tensor, longest: int, padded: bool, layers: Layers) -> Batch:
        """Collate the tweets `rows` (batch,), on the device, into a batch padded to `longest` tokens."""
        starts = self._offsets[rows]
        lengths = self._offsets[rows + 1] - starts
        positions = torch.arange(longest, device=self.device)
        inside = positions < lengths[:, None]
        tokens = torch.where(inside, starts[:, None] + positions, 0)
        token_ids = torch.where(inside, self._token_ids[tokens], PADDING).long()
        weights = None if self._weights is None else self._weights[rows]
        polarity = None if self._polarity is None else torch.where(inside, self._polarity[tokens], 0)
        return Batch(rows, token_ids, lengths, self._labels[rows], padded, weights, polarity, layers)


class BatchPlan:
    """Assignment of tweets to batches, which are collated lazily."""

    def __init__(self, store: TokenStore, ordered: Rows, spans: list[tuple[int, int]]) -> None:
        self.rows = ordered
        self._store = store
        self._spans = spans
        self._ordered = torch.from_numpy(ordered).to(store.device)
        self._next: tuple[int, Future[Layers]] | None = None

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, number: int) -> Batch:
        start, end = self._spans[number]
        lengths = self._store.lengths[self.rows[start:end]]  # ascending
        layers = self._layers(number)
        return self._store.batch(self._ordered[start:end], int(lengths[-1]), bool(lengths[0] != lengths[-1]), layers)

    def __iter__(self) -> Iterator[Batch]:
        return (self[number] for number in range(len(self)))

    def _layers(self, number: int) -> Layers:
        """The vectors of a batch; if `vectors.prefetch`, those of the next batch are fetched in the background."""
        vectors = self._store.vectors
        if vectors is None:
            return {}
        if self._next is not None and self._next[0] == number:
            layers = self._next[1].result()
        else:
            layers = self._gather(vectors, number)
        if vectors.prefetch and number + 1 < len(self):
            self._next = number + 1, _PREFETCH_POOL.submit(self._gather, vectors, number + 1)
        return layers

    def _gather(self, vectors: TweetVectors, number: int) -> Layers:
        start, end = self._spans[number]
        rows = self.rows[start:end]
        return vectors.gather(rows, int(self._store.lengths[rows[-1]]))
