"""Which word comes next: an adaptive softmax (Grave et al. 2017), which both directions share."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from sentiment.elmo.encoder.products import Library
from sentiment.elmo.language_model.products import product

# The most frequent words are distinguished at once; of the others first only which group they belong to.
_GROUPS = (1_000, 8_000, 40_000)
# By this factor the vectors of each further group are shorter.
_SHORTER = 2


class NextWord(nn.Module):
    """The probability of each word of a vocabulary, which begins with the most frequent ones.

    Exact, unlike a sampled softmax: its mean is the logarithm of the perplexity. Edouard Grave et al. (2017),
    https://arxiv.org/abs/1609.04309.
    """

    def __init__(self, vector_size: int, words: int, library: Library) -> None:
        """Args: words: of the vocabulary."""
        super().__init__()
        ends = [*(end for end in _GROUPS if end < words), words]
        self._first, self._library = ends[0], library
        self._groups = list(pairwise(ends))
        self.first = _Linear(vector_size, self._first + len(self._groups), library)
        self.shorter = nn.ParameterList()
        self.others = nn.ModuleList()
        for number, (start, end) in enumerate(self._groups, start=1):
            size = max(vector_size // _SHORTER**number, 1)
            self.shorter.append(nn.Parameter(torch.randn(vector_size, size) * vector_size**-0.5))
            self.others.append(_Linear(size, end - start, library))

    def forward(self, vectors: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """The negative logarithm of the probability of each word, (positions,).

        Args:
            vectors: (positions, vector).
            words: (positions,) of int64.
        """
        chosen = words.clamp(max=self._first - 1)
        for number, (start, end) in enumerate(self._groups):
            chosen = torch.where((words >= start) & (words < end), self._first + number, chosen)
        found = F.cross_entropy(self.first(vectors), chosen, reduction="none")
        for (start, end), shorter, group in zip(self._groups, self.shorter, self.others, strict=True):
            rows = torch.nonzero((words >= start) & (words < end)).squeeze(1)
            if len(rows):
                short = product(
                    vectors.index_select(0, rows), shorter, shorter.new_zeros(shorter.shape[1]), self._library
                )
                within = F.cross_entropy(group(short), words[rows] - start, reduction="none")
                found = found.index_add(0, rows, within)
        return found


class _Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int, library: Library) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(inputs, outputs) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._library = library

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return product(vectors, self.matrix, self.bias, self._library)
