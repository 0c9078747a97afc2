"""A pretrained transformer as the trained part of a classifier: all of its layers, or the upper ones."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.data.batches import Batch
from sentiment.data.text import TokenRows
from sentiment.encoders.pretrained import EncoderFiles, HubFiles
from sentiment.encoders.transformer import Transformer


class FineTuned(nn.Module):
    """Hidden states of subword tokens, of dimension `size`; with the dropout of the model's own configuration.

    Its `state_dict` omits frozen weights; these are loaded from the model's files.

    Raises:
        EncoderError: as for `Transformer`.
    """

    def __init__(self, model: EncoderFiles) -> None:
        super().__init__()
        if not isinstance(model, HubFiles):
            raise TypeError(f"{model} is no transformer")
        self._encoder = Transformer(model)
        self.size = self._encoder.vector_size
        self.network = self._encoder.network
        self.network.requires_grad_(True)
        if (pooler := getattr(self.network, "pooler", None)) is not None:
            pooler.requires_grad_(False)  # its output is not used here
        parameters = self.network.named_parameters()
        self.frozen = {f"network.{name}" for name, parameter in parameters if not parameter.requires_grad}
        self.register_state_dict_post_hook(_leave_out_frozen)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_ignore_missing_frozen)  # type: ignore[no-untyped-call]

    def pieces(self, rows: TokenRows) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The ids of the subword tokens of all tweets, (pieces,), and the tweets' offsets, (tweets + 1,)."""
        pieces = self._encoder.pieces(list(rows))
        offsets = np.cumsum([0, *map(len, pieces)])
        return np.fromiter(itertools.chain.from_iterable(pieces), np.int32, offsets[-1]), offsets

    def forward(self, batch: Batch) -> torch.Tensor:
        """States of shape (batch, time, size); those at padded positions have no meaning."""
        mask = batch.mask.long() if batch.padded else None
        states: torch.Tensor = self.network(input_ids=batch.token_ids, attention_mask=mask).last_hidden_state
        return states


# Module-level functions, because closures cannot be pickled.
def _leave_out_frozen(tuned: FineTuned, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    for name in tuned.frozen:
        del state[prefix + name]


def _ignore_missing_frozen(tuned: FineTuned, keys: Any) -> None:
    keys.missing_keys[:] = [key for key in keys.missing_keys if key.removeprefix("embedding.") not in tuned.frozen]
