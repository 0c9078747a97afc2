"""What all trained models do with texts, and what they answer; loads no torch, which a linear baseline does without."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sentiment.config import RunConfig
from sentiment.data.text.token_rows import TokenRows


class Reading(NamedTuple):
    """What a model says of several texts."""

    probabilities: npt.NDArray[np.float64]  # (n,), of positive sentiment
    usable: npt.NDArray[np.bool_]  # (n,), False where the model knows nothing of a text


class TextModel(Protocol):
    """What classifies texts: a network, a baseline, or a mean of several."""

    @property
    def config(self) -> RunConfig:
        """That of its run; of the first of several runs."""

    @property
    def name(self) -> str:
        """What it is, in words."""

    @property
    def sequential(self) -> bool:
        """Whether it is to read texts in their order, not several lots of them side by side."""

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts; no prediction depends on the other texts."""

    def predict(self, text: str) -> "Prediction":
        """Classify one text, and say what was looked at."""

    def tokenize(self, text: str) -> list[str]:
        """The tokens that a text is read as."""

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one text."""

    tokens: list[str]
    probability: float
    """Of positive sentiment."""
    usable: bool
    """Whether the text has a word that the model knows."""
    attention: list[float] | None
    """The weight of each token, averaged over all hops; None for models without attention and texts without tokens."""
