"""The LSTM state in which a tweet begins: zeros, or one fixed state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from sentiment.elmo.options import DIRECTIONS, Lstm
from sentiment.files import fingerprint

StateMode = Literal["zero", "warm"]

WARM_TEXT = (
    "The weather was fine on Sunday , so we took the train to the coast and walked along the beach until the evening .",
    "I had a really good time with my friends , thank you all for coming !",
    "He said that he could not come because he had to work late again .",
)
"""The state after these sentences is `warm`. Tokens stand between spaces; the fingerprints of caches depend on them."""


@dataclass(frozen=True)
class LstmState:
    """The recurrent state of all layers and both directions, one for each of some tweets."""

    hidden: torch.Tensor
    """(layers, directions, tweets, vector) of float32"""
    cells: torch.Tensor
    """(layers, directions, tweets, cells) of float32"""

    @classmethod
    def zeros(cls, options: Lstm, tweets: int, device: torch.device) -> "LstmState":
        """The state of an LSTM that has read nothing."""
        hidden = torch.zeros(options.n_layers, DIRECTIONS, tweets, options.projection_dim, device=device)
        return cls(hidden, torch.zeros(options.n_layers, DIRECTIONS, tweets, options.dim, device=device))

    @classmethod
    def of_directions(cls, parts: Sequence[Sequence[torch.Tensor]]) -> "LstmState":
        """Forward and backward, each hidden state (layers, tweets, vector) and cells (layers, tweets, cells)."""
        return cls(*(torch.stack(both, dim=1) for both in zip(*parts, strict=True)))

    def expand(self, tweets: int) -> "LstmState":
        """One tweet's state, for many."""
        return LstmState(self.hidden.expand(-1, -1, tweets, -1), self.cells.expand(-1, -1, tweets, -1))


def state_record(mode: StateMode) -> dict[str, str]:
    """What a cache or a run records of the state in which its tweets began."""
    record: dict[str, str] = {"state": mode}
    return record | {"text_sha256": fingerprint(WARM_TEXT)} if mode == "warm" else record
