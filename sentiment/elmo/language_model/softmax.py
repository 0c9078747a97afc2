"""Which word comes next: an adaptive softmax (Grave et al. 2017), which both directions share."""

import torch
from torch import nn

# The most frequent words are distinguished at once; of the others first only which group they belong to.
_GROUPS = (2_000, 10_000, 50_000)
# By this factor the vectors of each further group are shorter.
_SHORTER = 2.0


class NextWord(nn.Module):
    """The probability of each word of a vocabulary, which begins with the most frequent ones.

    Exact, unlike a sampled softmax: what it returns is the perplexity's logarithm. Edouard Grave et al. (2017),
    https://arxiv.org/abs/1609.04309.
    """

    def __init__(self, vector_size: int, words: int) -> None:
        """Args: words: of the vocabulary, at least 2."""
        super().__init__()
        groups = [first for first in _GROUPS if first < words] or [words // 2]
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(vector_size, words, groups, _SHORTER)

    def forward(self, vectors: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """The negative logarithm of the probability of each word, (positions,).

        Args:
            vectors: (positions, vector).
            words: (positions,) of int64.
        """
        result: torch.Tensor = -self.softmax(vectors, words).output
        return result
