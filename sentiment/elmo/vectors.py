"""The vectors of the tweets of a batch, read from a cache or computed for each batch."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from sentiment.data.batches import Rows
from sentiment.elmo.backends import Encoder
from sentiment.elmo.cache.cache import VectorCache
from sentiment.elmo.cache.layer_rows import DiskRows, LayerRows, MemoryRows, TypeRows
from sentiment.elmo.cache.placement import Place
from sentiment.elmo.cache.plan import CachePlan
from sentiment.elmo.encoder import Layer


class CachedVectors:
    """Reads the layers of a cache.

    Args:
        device: on which the vectors are wanted.
        ahead: whether it pays to read a batch before it is asked for.
    """

    def __init__(
        self,
        plan: CachePlan,
        layers: dict[Layer, LayerRows],
        device: torch.device,
        ahead: bool,
    ) -> None:
        self._plan, self._layers, self._device = plan, layers, device
        self.ahead = ahead
        # Vectors go to a GPU as they are stored, which is often in half the bytes.
        self._dtype = torch.float32 if device.type == "cpu" else None

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        """Each layer of these rows of the corpus, as `TweetVectors.gather`."""
        tweets = self._plan.tweet_of_row[rows]
        starts = self._plan.offsets[tweets]
        lengths = self._plan.offsets[tweets + 1] - starts
        return {
            name: layer.gather(starts, lengths, longest, self._dtype).to(self._device, non_blocking=True).float()
            for name, layer in self._layers.items()
        }


class FreshVectors:
    """Computes the vectors for each batch.

    Args:
        tokens_of: the tokens of the tweet in a row.
        device: on which the vectors are wanted.
    """

    ahead = False

    def __init__(
        self,
        encoder: Encoder,
        tokens_of: Callable[[int], Sequence[str]],
        layers: Sequence[Layer],
        device: torch.device,
    ) -> None:
        self._encoder, self._tokens_of, self._layers, self._device = encoder, tokens_of, layers, device

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        """As `CachedVectors.gather`."""
        tweets = [self._tokens_of(row) for row in rows.tolist()]
        encoded = self._encoder.encode(tweets, self._layers, max(len(tweets), 1))
        starts, lengths = encoded.offsets[:-1], np.diff(encoded.offsets)
        return {
            name: MemoryRows(values).gather(starts, lengths, longest).to(self._device).float()
            for name, values in encoded.layers.items()
        }


def open_vectors(cache: VectorCache, layers: Sequence[Layer], device: torch.device, place: Place) -> CachedVectors:
    """Open a complete cache; batches are the same from each place.

    Args:
        device: on which the vectors are wanted.
        place: where the vectors are held.

    Raises:
        ElmoError: a file is missing or cannot be read.
    """
    home = device if place == "GPU memory" else torch.device("cpu")
    rows: dict[Layer, LayerRows] = {}
    for layer in layers:
        if layer == "token":
            rows[layer] = TypeRows(_in_memory(cache.shards("types"), home), cache.plan.token_types)
        elif place == "disk":
            rows[layer] = DiskRows(cache.shards(layer))
        else:
            rows[layer] = MemoryRows(_in_memory(cache.shards(layer), home))
    return CachedVectors(cache.plan, rows, device, ahead=home != device or place == "disk")


def _in_memory(shards: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """All shards one after the other; at most one of them is in memory twice."""
    dtype = torch.from_numpy(np.empty(0, shards[0].dtype)).dtype
    whole = torch.empty(sum(map(len, shards)), shards[0].shape[1], dtype=dtype, device=device)
    start = 0
    for shard in shards:
        whole[start : start + len(shard)] = torch.from_numpy(np.array(shard))
        start += len(shard)
    return whole
