"""From a token's characters to its vector: convolutions, maximum, highways and projection, once per distinct token."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from sentiment.elmo.encoder.characters import CHARACTERS, NO_CHARACTER
from sentiment.elmo.options import CharacterCnn
from sentiment.elmo.weights import Weights

# Tokens at a time: what a convolution gives stays in a core's cache until its maximum is taken. A GPU wants more.
_CHUNK_CPU, _CHUNK_GPU = 128, 4096


class CharacterNetwork(nn.Module):
    """The context-free part of ELMo (Peters et al. 2018; Kim et al. 2016), frozen."""

    def __init__(self, options: CharacterCnn, weights: Weights, precision: torch.dtype) -> None:
        super().__init__()
        self._widths = [width for width, _ in options.filters]
        self._activation = torch.relu if options.activation == "relu" else torch.tanh
        self._highways = options.n_highway
        self._character_size = options.embedding.dim
        arrays = {"characters": weights.characters, "projection": weights.projection}
        for number, (weight, bias) in enumerate(weights.filters):
            arrays |= {f"filter_{number}": weight, f"filter_bias_{number}": bias}
        for number, highway in enumerate(weights.highways):
            arrays |= {f"highway_{number}": highway.weight, f"highway_bias_{number}": highway.bias}
        arrays["projection_bias"] = weights.projection_bias
        for name, array in arrays.items():
            # Not part of a checkpoint: the weights never change, and their file is known by its checksum.
            self.register_buffer(name, torch.from_numpy(array).to(precision), persistent=False)

    @torch.no_grad()
    def forward(self, ids: np.ndarray) -> torch.Tensor:
        """Vectors of tokens.

        Args:
            ids: (tokens, 50) from `character_ids`.

        Returns:
            (tokens, vector) of float32, on the device of the weights.
        """
        projection = self.get_buffer("projection")
        vectors = torch.empty(len(ids), projection.shape[1], device=projection.device)
        for chunk in self._chunks(ids):
            features = self._features(torch.from_numpy(ids[chunk]).to(projection.device))
            for number in range(self._highways):
                weight, bias = self.get_buffer(f"highway_{number}"), self.get_buffer(f"highway_bias_{number}")
                transformed, gate = torch.addmm(bias, features, weight).chunk(2, dim=1)
                features = torch.lerp(features, torch.relu(transformed), torch.sigmoid(gate))
            chosen = torch.from_numpy(chunk).to(vectors.device)
            vectors[chosen] = torch.addmm(self.get_buffer("projection_bias"), features, projection).float()
        return vectors

    def _chunks(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """Numbers of tokens, those of similar length together, so that little is computed beyond their ends."""
        size = _CHUNK_GPU if self.get_buffer("characters").is_cuda else _CHUNK_CPU
        order = np.argsort((ids != NO_CHARACTER).sum(1), kind="stable")
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _features(self, ids: torch.Tensor) -> torch.Tensor:
        """(tokens, features): the maximum of each filter over all positions."""
        longest = int((ids != NO_CHARACTER).sum(1).max())
        # All windows beyond the longest token see nothing but "no character" and agree: one of them is enough, exactly.
        characters = self.get_buffer("characters")[ids[:, : min(CHARACTERS, longest + max(self._widths))]]
        size, features = self._character_size, []
        for number, width in enumerate(self._widths):
            windows = min(CHARACTERS, longest + width) - width + 1
            # A window is `width` vectors one after the other, so the convolution is one matrix product.
            strides = (characters.stride(0), size, 1)
            seen = characters.as_strided((len(ids), windows, width * size), strides)
            found = seen.reshape(-1, width * size) @ self.get_buffer(f"filter_{number}")
            # The bias is the same at each position, so it may follow the maximum.
            features.append(found.view(len(ids), windows, -1).amax(1).add_(self.get_buffer(f"filter_bias_{number}")))
        return self._activation(torch.cat(features, dim=1))
