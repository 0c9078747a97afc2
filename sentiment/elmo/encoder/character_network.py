"""From a token's characters to its vector: convolutions, maximum, highways and projection, once per distinct token."""

from collections.abc import Iterator

import numpy as np
import torch

from sentiment.elmo.encoder.characters import CHARACTERS, NO_CHARACTER
from sentiment.elmo.encoder.products import FixedWeights, Products
from sentiment.elmo.options import CharacterCnn
from sentiment.elmo.weights import Weights

# Tokens at a time: the result of a convolution stays in a core's cache until its maximum is taken. A GPU wants more.
_CHUNK_CPU, _CHUNK_GPU = 128, 4096


class CharacterNetwork:
    """The context-free part of ELMo (Peters et al. 2018; Kim et al. 2016), frozen.

    Args:
        products: how matrices are multiplied.
    """

    def __init__(self, options: CharacterCnn, weights: Weights, products: Products) -> None:
        def placed(array: np.ndarray) -> torch.Tensor:
            return products.place(torch.from_numpy(array))

        def multiplied(array: np.ndarray) -> FixedWeights:
            return products.with_matrix(torch.from_numpy(array))

        self._device = products.device
        self._activation = torch.relu if options.activation == "relu" else torch.tanh
        self._characters = placed(weights.characters)
        self._filters = [
            (width, multiplied(weight), placed(bias))
            for (width, _), (weight, bias) in zip(options.filters, weights.filters, strict=True)
        ]
        self._highways = [(multiplied(highway.weight), placed(highway.bias)) for highway in weights.highways]
        self._projection, self._projection_bias = multiplied(weights.projection), placed(weights.projection_bias)

    @torch.no_grad()
    def __call__(self, ids: np.ndarray) -> torch.Tensor:
        """Vectors of tokens.

        Args:
            ids: (tokens, 50) from `character_ids`.

        Returns:
            (tokens, vector) of float32, on the device of the weights.
        """
        vectors = torch.empty(len(ids), self._projection.outputs, device=self._device)
        for chunk in self._chunks(ids):
            features = self._features(torch.from_numpy(ids[chunk]).to(self._device))
            for weight, bias in self._highways:
                transformed, gate = weight.times(features, bias).chunk(2, dim=1)
                features = torch.lerp(features, torch.relu(transformed), torch.sigmoid(gate))
            chosen = torch.from_numpy(chunk).to(self._device)
            vectors[chosen] = self._projection.times(features, self._projection_bias).float()
        return vectors

    def _chunks(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """Indices of tokens of similar length, so that little is computed beyond their ends."""
        size = _CHUNK_GPU if self._device.type == "cuda" else _CHUNK_CPU
        order = np.argsort((ids != NO_CHARACTER).sum(1), kind="stable")
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _features(self, ids: torch.Tensor) -> torch.Tensor:
        """(tokens, features): the maximum of each filter over all positions."""
        longest = int((ids != NO_CHARACTER).sum(1).max())
        # All windows beyond the longest token see only "no character" and have one value: computing one is exact.
        widest = max(width for width, _, _ in self._filters)
        characters = self._characters[ids[:, : min(CHARACTERS, longest + widest)]]
        size, features = characters.shape[2], []
        for width, weight, bias in self._filters:
            windows = min(CHARACTERS, longest + width) - width + 1
            # A window is `width` vectors one after the other, so the convolution is one matrix product.
            strides = (characters.stride(0), size, 1)
            seen = characters.as_strided((len(ids), windows, width * size), strides)
            convolved = weight.times(seen.reshape(-1, width * size))
            # The bias is the same at each position, so it may follow the maximum.
            features.append(convolved.view(len(ids), windows, -1).amax(1).add_(bias))
        return self._activation(torch.cat(features, dim=1))
