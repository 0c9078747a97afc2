"""The input of ELMo: for each token fifty character ids, its UTF-8 bytes between marks for its beginning and end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

CHARACTERS = 50
"""Character ids per token; longer tokens are cut, possibly inside a character."""

# All ids are one more than the rows of the weight file, where bytes begin at 0: here 0 means "no token".
_SENTENCE_START, _SENTENCE_END, _WORD_START, _WORD_END = 257, 258, 259, 260
NO_CHARACTER = 261
"""Fills the rest after a token's end. It has a learned vector and takes part in the maximum over positions."""
CHARACTER_KINDS = 262
"""Ids are from 0 to 261."""

SENTENCE_START, SENTENCE_END = "<S>", "</S>"
"""The marks before and after each sentence. Tokens of a text that are spelled like them get the same ids."""
_BOUNDARIES = {SENTENCE_START: _SENTENCE_START, SENTENCE_END: _SENTENCE_END}


def character_ids(tokens: Sequence[str]) -> np.ndarray:
    """The ids of the characters of tokens (Peters et al. 2018), numbered as in bilm-tf and allennlp.

    Any string may be a token, also the empty one. Lone surrogates, which have no UTF-8 form, are left out.

    Returns:
        (tokens, 50) of int64, each from 1 to 261.
    """
    encoded = [token.encode("utf-8", "ignore")[: CHARACTERS - 2] for token in tokens]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    ids = np.full((len(encoded), CHARACTERS), NO_CHARACTER, np.int64)
    ids[:, 0] = _WORD_START
    used = np.arange(CHARACTERS - 2) < lengths[:, None]
    ids[:, 1:-1][used] = np.frombuffer(b"".join(encoded), np.uint8).astype(np.int64) + 1
    ids[np.arange(len(encoded)), lengths + 1] = _WORD_END
    for row, token in enumerate(tokens):
        if token in _BOUNDARIES:
            ids[row] = [_WORD_START, _BOUNDARIES[token], _WORD_END] + [NO_CHARACTER] * (CHARACTERS - 3)
    return ids


def batch_to_ids(batch: Sequence[Sequence[str]]) -> "torch.Tensor":
    """The character ids of a batch of tokenised sentences, as `batch_to_ids` of allennlp returns them.

    Returns:
        (sentences, tokens of the longest, 50) of int64; zeros after the end of shorter sentences.
    """
    import torch  # not at the top: looking for a model's files must not load it

    lengths = np.fromiter(map(len, batch), np.int64, len(batch))
    ids = np.zeros((len(batch), lengths.max(initial=0), CHARACTERS), np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = character_ids([token for sentence in batch for token in sentence])
    return torch.from_numpy(ids)
