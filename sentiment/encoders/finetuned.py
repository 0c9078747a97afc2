"""A pretrained transformer as a part of a classifier, which is trained with it."""

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.encoders.batches import Batch
from sentiment.encoders.pretrained import EncoderFiles, HubFiles
from sentiment.encoders.transformer import Transformer
from sentiment.processes import bring_compiler_back
from sentiment.tokens import Integers, TokenRows


class FineTuned(nn.Module):
    """Gives the hidden states of subword tokens, with the dropout of the model's own configuration.

    Attributes:
        size: numbers per state.

    Raises:
        EncoderError: as for `Transformer`.
    """

    def __init__(self, model: EncoderFiles) -> None:
        super().__init__()
        if not isinstance(model, HubFiles):
            raise TypeError(f"{model} is no transformer")
        bring_compiler_back()
        with torch.device("cpu"):  # its weights are read also where those of other layers have no values
            self._encoder = Transformer(model)
        self.size = self._encoder.vector_size
        self.network = self._encoder.network.requires_grad_(True)
        self.network.pooler = nn.Identity()  # nothing here reads its output, so its weights would stay as they are

    def pieces(self, rows: TokenRows) -> tuple[npt.NDArray[np.int32], Integers]:
        """The ids of the subword tokens of all tweets, (pieces,), and the tweets' offsets, (tweets + 1,)."""
        pieces = self._encoder.pieces(list(rows))
        offsets = np.cumsum([0, *map(len, pieces)])
        return np.fromiter(itertools.chain.from_iterable(pieces), np.int32, offsets[-1]), offsets

    def forward(self, batch: Batch) -> torch.Tensor:
        """States of shape (batch, time, size); those at padded positions have no meaning."""
        mask = batch.mask.long() if batch.padded else None
        states: torch.Tensor = self.network(input_ids=batch.token_ids, attention_mask=mask).last_hidden_state
        return states
