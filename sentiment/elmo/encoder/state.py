"""The LSTM state in which a tweet begins: nothing, one fixed state, or what the tweet before left."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import pad

from sentiment.elmo.options import DIRECTIONS, Lstm
from sentiment.files import fingerprint

StateMode = Literal["zero", "warm", "carry"]

WARM_TEXT = (
    "The weather was fine on Sunday , so we took the train to the coast and walked along the beach until the evening .",
    "I had a really good time with my friends , thank you all for coming !",
    "He said that he could not come because he had to work late again .",
)
"""Sentences after which the state `warm` is taken; tokens stand between spaces. Fingerprints depend on them."""


@dataclass(frozen=True)
class LstmState:
    """What an LSTM remembers, of all layers and both directions, for some tweets."""

    hidden: torch.Tensor
    """(layers, directions, tweets, vector)"""
    cells: torch.Tensor
    """(layers, directions, tweets, cells)"""

    @classmethod
    def zeros(cls, options: Lstm, tweets: int, device: torch.device) -> "LstmState":
        """The state that remembers nothing."""
        hidden = torch.zeros(options.n_layers, DIRECTIONS, tweets, options.projection_dim, device=device)
        return cls(hidden, torch.zeros(options.n_layers, DIRECTIONS, tweets, options.dim, device=device))

    @property
    def tweets(self) -> int:
        """For how many tweets."""
        return self.hidden.shape[2]

    def repeated(self, tweets: int) -> "LstmState":
        """One tweet's state for many."""
        return LstmState(self.hidden.expand(-1, -1, tweets, -1), self.cells.expand(-1, -1, tweets, -1))

    def chosen(self, places: torch.Tensor) -> "LstmState":
        """The states at some places."""
        return LstmState(self.hidden.index_select(2, places), self.cells.index_select(2, places))

    def extended(self, tweets: int) -> "LstmState":
        """For at least so many tweets; the new ones remember nothing."""
        missing = max(0, tweets - self.tweets)
        added = (0, 0, 0, missing)
        return LstmState(pad(self.hidden, added), pad(self.cells, added))

    def updated(self, places: torch.Tensor, new: "LstmState") -> "LstmState":
        """With new states at some places and the old ones elsewhere."""
        return LstmState(self.hidden.index_copy(2, places, new.hidden), self.cells.index_copy(2, places, new.cells))


def state_record(mode: StateMode) -> dict[str, str]:
    """What a cache or a run has to remember of the state in which its tweets began."""
    record: dict[str, str] = {"state": mode}
    return record | {"text_sha256": fingerprint(WARM_TEXT)} if mode == "warm" else record
