"""A pretrained transformer as the trained part of a classifier: all of its layers, or the upper ones."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.config import EncoderConfig
from sentiment.data.batches import Batch
from sentiment.data.text import TokenRows
from sentiment.encoders.pretrained import EncoderFiles, HubFiles
from sentiment.encoders.transformer import Transformer
from sentiment.errors import EncoderError


class FineTuned(nn.Module):
    """States of the pieces of tweets, each of `size` numbers; dropout is that of the model's own configuration.

    Its `state_dict` lacks the weights that training leaves alone, which are those of the model's files.

    Raises:
        EncoderError: as `Transformer`, or the model has fewer layers than are to be trained.
    """

    def __init__(self, model: EncoderFiles, config: EncoderConfig) -> None:
        super().__init__()
        if not isinstance(model, HubFiles):
            raise TypeError(f"{model} is no transformer")
        self._encoder = Transformer(model)
        self.size, self.network = self._encoder.vector_size, self._encoder.network
        trained: nn.Module = self.network
        if wanted := config.trained_layers:
            count = self.network.config.num_hidden_layers
            stacks = (one for one in self.network.modules() if isinstance(one, nn.ModuleList) and len(one) == count)
            if wanted > count or (layers := next(stacks, None)) is None:
                raise EncoderError(f"encoder.trained_layers = {wanted}: {config.model!r} has {count} layers")
            trained = layers[-wanted:]
        trained.requires_grad_(True)
        if (pooler := getattr(self.network, "pooler", None)) is not None:
            pooler.requires_grad_(False)  # nothing here reads it
        self.untrained = {f"network.{name}" for name, one in self.network.named_parameters() if not one.requires_grad}
        self.register_state_dict_post_hook(_leave_out_untrained)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_miss_no_untrained)  # type: ignore[no-untyped-call]

    def pieces(self, rows: TokenRows) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The numbers of the pieces of tweets, (pieces,), and the tweets' offsets, (tweets + 1,)."""
        pieces = self._encoder.pieces(list(rows))
        offsets = np.cumsum([0, *map(len, pieces)])
        return np.fromiter(itertools.chain.from_iterable(pieces), np.int32, offsets[-1]), offsets

    def forward(self, batch: Batch) -> torch.Tensor:
        """Shape (batch, time, size); states at padded positions have no meaning."""
        mask = batch.mask.long() if batch.padded else None
        states: torch.Tensor = self.network(input_ids=batch.token_ids, attention_mask=mask).last_hidden_state
        return states


# Functions of the module, since others cannot be pickled.
def _leave_out_untrained(tuned: FineTuned, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    for name in tuned.untrained:
        del state[prefix + name]


def _miss_no_untrained(tuned: FineTuned, keys: Any) -> None:
    keys.missing_keys[:] = [key for key in keys.missing_keys if key.removeprefix("embedding.") not in tuned.untrained]
