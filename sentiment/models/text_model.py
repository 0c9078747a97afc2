"""What all trained models do with texts, and what they answer; loads no torch, which a linear baseline does without."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import RunConfig
from sentiment.console import visible
from sentiment.data.text import TokenRows
from sentiment.errors import RunDirError
from sentiment.models.calibration import Probabilities, calibrated

_LONGEST_NAME = 100


class Reading(NamedTuple):
    """What a model says of several texts."""

    probabilities: Probabilities  # (n,), of positive sentiment
    usable: npt.NDArray[np.bool_]  # (n,), False where the model knows nothing of a text


class TextModel:
    """Classifies texts: a network, a baseline, a lexicon, or a mean of several; each says `tokenize` and `read`.

    Attributes:
        name: what it is, in words.
        config: that of its run.
        sequential: whether it uses all cores by itself, so that nothing is gained by reading several lots at once.
    """

    name: str
    config: RunConfig
    sequential = False

    def tokenize(self, text: str) -> list[str]:
        """The tokens that a text is read as."""
        raise NotImplementedError

    def read(self, rows: TokenRows) -> Reading:
        """Classify tokenised texts; no prediction depends on the other texts."""
        raise NotImplementedError

    def read_texts(self, texts: Sequence[str]) -> Reading:
        """Tokenise and classify texts."""
        return self.read(TokenRows.of_tweets(map(self.tokenize, texts)))

    def attention(self, tokens: list[str]) -> list[float] | None:  # noqa: ARG002
        """The weight of each token, with sum 1; None for models without attention."""
        return None


class MeanModel(TextModel):
    """The mean of several models' probabilities, calibrated; it knows what any of them knows."""

    def __init__(self, name: str, members: Sequence[TextModel], temperature: float = 1.0) -> None:
        """Args: members: whose runs clean texts alike."""
        self.name, self.members, self.temperature = name, members, temperature
        self.config = members[0].config
        self.sequential = any(member.sequential for member in members)

    def tokenize(self, text: str) -> list[str]:
        """Those of the first member."""
        return self.members[0].tokenize(text)

    def read(self, rows: TokenRows) -> Reading:
        """See `TextModel`."""
        readings = [member.read(rows) for member in self.members]
        mean = np.mean([one.probabilities for one in readings], axis=0)
        return Reading(calibrated(mean, self.temperature), np.any([one.usable for one in readings], axis=0))

    def attention(self, tokens: list[str]) -> list[float] | None:
        """That of the first member that has any."""
        found = (member.attention(tokens) for member in self.members)
        return next((weights for weights in found if weights is not None), None)


def check_arrays(place: str, found: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Refuse arrays or tensors that are not what a model needs: the file may be damaged, or made by hand.

    Args:
        place: where they were stored, for messages.
        wanted: type and shape of each, as `described` writes them.

    Raises:
        RunDirError: one is missing, unknown, of another type or shape, or not finite.
    """
    for name in sorted(wanted.keys() | found.keys()):
        shown = visible(name)[:_LONGEST_NAME]
        stored = described(found[name]) if name in found else "missing"
        expected = wanted.get(name, "nothing of this name")
        if stored != expected:
            raise RunDirError(f"{place}: holds no such model: {shown} is {stored}, expected is {expected}")
        if not np.isfinite(np.asarray(found[name])).all():
            raise RunDirError(f"{place}: holds weights that are not finite (in {shown})")


def described(array: Any) -> str:
    """The type and the shape of an array or tensor, such as `float32 (3, 4)`."""
    return f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"
