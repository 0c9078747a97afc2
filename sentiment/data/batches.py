"""Batches cut from a flat array of tokens on the device, mostly of tweets of equal length, in a reproducible order."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from sentiment.data.vocabulary import PADDING, UNKNOWN

Rows = npt.NDArray[np.int64]

EVALUATION_TOKENS = 16_384  # in a batch: enough to keep the processor busy, few enough for any memory

_AHEAD = ThreadPoolExecutor(1, thread_name_prefix="batches")


@dataclass(frozen=True)
class Batch:
    """The tweets that a model reads at once."""

    rows: torch.Tensor  # (batch,) int64, positions of the tweets in their store
    token_ids: torch.Tensor  # (batch, time) int64, PADDING after the end of a tweet
    lengths: torch.Tensor  # (batch,) int64, at least 1
    labels: torch.Tensor  # (batch,) float32, 0 or 1
    padded: bool  # whether the lengths differ; known on the host, so that the device need not be asked
    weights: torch.Tensor | None = None  # (batch,) float32, how much each counts in the loss; None: all alike
    polarity: torch.Tensor | None = None  # (batch, time) float32, of rated words; None where no model reads it
    layers: Mapping[str, torch.Tensor] = field(default_factory=dict)  # an encoder's, as `TweetVectors.gather`

    @property
    def mask(self) -> torch.Tensor:
        """True where there is a token. Shape (batch, time)."""
        positions = torch.arange(self.token_ids.shape[1], device=self.lengths.device)
        return positions < self.lengths[:, None]


class TweetVectors(Protocol):
    """Vectors of the tokens of tweets, in one or several layers, which training does not change."""

    # Whether to gather the next batch while the model is trained on the current one.
    ahead: bool

    def gather(self, rows: Rows, longest: int) -> Mapping[str, torch.Tensor]:
        """The vectors of each layer, zeros after the end of a tweet. Shape (rows, longest, vector), float32.

        Args:
            rows: positions of the tweets in their store, of which the `longest` has so many tokens.
        """


class TokenStore:
    """The vocabulary indices of many tweets, one after another in one array on the device.

    An empty tweet is read as one unknown token, because a recurrent network needs at least one time step.

    Args:
        token_ids: (tokens,)
        offsets: (tweets + 1,) where each tweet starts and the last one ends.
        labels: (tweets,) 0 or 1; None if they are not known (all are 0 then).
        vectors: of the same tweets, for models that read them.
        polarity: (tokens,) for models that read it.
    """

    def __init__(
        self,
        token_ids: npt.NDArray[np.integer],
        offsets: npt.NDArray[np.int64],
        labels: npt.NDArray[np.integer] | None,
        device: torch.device,
        vectors: TweetVectors | None = None,
        polarity: npt.NDArray[np.float32] | None = None,
    ) -> None:
        lengths = np.diff(offsets)
        self.lengths: Rows = np.maximum(lengths, 1)
        if (lengths == 0).any():
            token_ids = np.insert(token_ids, offsets[:-1][lengths == 0], UNKNOWN)
            if polarity is not None:
                polarity = np.insert(polarity, offsets[:-1][lengths == 0], 0)
            offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self.device = device
        self.vectors = vectors
        self._token_ids = torch.from_numpy(token_ids.astype(np.int32)).to(device)
        self._polarity = None if polarity is None else torch.from_numpy(polarity).to(device)
        self._offsets = torch.from_numpy(offsets.astype(np.int64)).to(device)
        values = np.zeros(len(self.lengths)) if labels is None else labels
        self._labels = torch.from_numpy(values.astype(np.float32)).to(device)
        self._weights: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def weigh(self, weights: npt.NDArray[np.floating]) -> None:
        """Let tweets count differently in the loss; without this, all count alike. Shape (tweets,)."""
        self._weights = torch.from_numpy(weights.astype(np.float32)).to(self.device)

    def epoch(self, rows: Rows, batch_size: int, seed: int, epoch: int) -> "EpochPlan":
        """The batches of one epoch; they depend on the arguments alone, so that a resumed run sees the same ones.

        The rows are shuffled, sorted by length (with a stable sort, which keeps the shuffled order within a length) and
        cut into batches, whose order is shuffled in turn. Nearly every batch then holds tweets of one length and needs
        no padding. Each `epoch`, counted from 0, has an order of its own.
        """
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        shuffled: Rows = generator.permutation(rows)
        ordered = shuffled[np.argsort(self.lengths[shuffled], kind="stable")]
        starts = np.arange(0, len(ordered), batch_size)
        generator.shuffle(starts)
        return EpochPlan(self, ordered, [(start, min(start + batch_size, len(rows))) for start in starts.tolist()])

    def in_order_of_length(self, rows: Rows, most_tokens: int = EVALUATION_TOKENS) -> "EpochPlan":
        """Each of `rows` once, the shortest first, in batches of `most_tokens`; a single tweet may have more."""
        ordered = rows[np.argsort(self.lengths[rows], kind="stable")]
        start, spans, lengths = 0, list[tuple[int, int]](), self.lengths[ordered]
        while start < len(ordered):
            # The last tweet of a span is the longest, so that it determines how many tokens the padded batch has.
            candidates = lengths[start : start + most_tokens]
            tokens = np.arange(1, len(candidates) + 1) * candidates
            end = start + max(int(np.searchsorted(tokens, most_tokens, side="right")), 1)
            spans.append((start, end))
            start = end
        return EpochPlan(self, ordered, spans)

    def batch(self, rows: torch.Tensor, longest: int, padded: bool, layers: Mapping[str, torch.Tensor]) -> Batch:
        """Put tweets together: `rows` (batch,) on the device, of which the `longest` has so many tokens."""
        positions = torch.arange(longest, device=self.device)
        starts = self._offsets[rows]
        lengths = self._offsets[rows + 1] - starts if padded else torch.full_like(rows, longest)
        where = starts[:, None] + positions
        if padded:
            inside = positions < lengths[:, None]
            where = torch.where(inside, where, 0)
            token_ids = torch.where(inside, self._token_ids[where], PADDING)
        else:
            token_ids = self._token_ids[where]
        weights = None if self._weights is None else self._weights[rows]
        polarity = None if self._polarity is None else self._polarity[where]
        if polarity is not None and padded:
            polarity = torch.where(inside, polarity, 0)
        return Batch(rows, token_ids.long(), lengths, self._labels[rows], padded, weights, polarity, layers)


class EpochPlan:
    """Which tweets form which batch; a batch is put together when it is asked for."""

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
        """The vectors of a batch; if `vectors.ahead`, gathering those of the next batch is started."""
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
