"""Sums over whole tweets, from which allennlp's `do_layer_norm` follows for any batch that holds them.

allennlp normalises a layer by the mean and variance of all of its values in a batch, those of the marks before and
after each sentence included. A classifier never reads the marks' vectors, so that they are not kept: their part in
both statistics is, in two numbers for each tweet and layer.
"""

import numpy as np
import torch

SUMS = 2
"""Of the values, and of their squares."""


def row_sums(vectors: torch.Tensor) -> torch.Tensor:
    """(rows, SUMS) of float64: of each row's values and of their squares."""
    return torch.stack([one.sum(1, dtype=torch.float64) for one in (vectors, vectors * vectors)], 1)


def tweet_sums(sums: torch.Tensor, rows: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
    """Add up the rows of each tweet.

    Args:
        sums: (rows, SUMS) from `row_sums`.
        rows: (positions,): the row of each position, tweet by tweet.
        lengths: (tweets,): positions of each, at least one.

    Returns:
        (tweets, SUMS) of float64, on the device of `sums`.
    """
    starts = np.cumsum(lengths) - lengths
    return torch.from_numpy(np.add.reduceat(sums.cpu().numpy()[rows], starts)).to(sums.device)


def with_counts(sums: torch.Tensor, lengths: np.ndarray, size: int) -> torch.Tensor:
    """Put before the sums of each layer how many values they are of.

    Args:
        sums: (tweets, layers, SUMS).
        lengths: (tweets,): tokens of each tweet, without its two marks.
        size: values of a vector.

    Returns:
        (tweets, layers, 1 + SUMS) of float64.
    """
    counts = torch.from_numpy((lengths + 2) * size).to(sums)
    return torch.cat([counts[:, None, None].expand(-1, sums.shape[1], 1), sums], 2)
