"""What all trained models do with texts, and what they answer; loads no torch, which a linear baseline does without."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sentiment.config import RunConfig
from sentiment.data.text import Tokenizer, TokenRows
from sentiment.models.baseline import LinearModel
from sentiment.models.calibration import Probabilities, calibrated
from sentiment.models.lexicon import lexicon_scores
from sentiment.runs.records import BASELINE, BOTH, LEXICON


class Reading(NamedTuple):
    """What a model says of several texts."""

    probabilities: Probabilities  # (n,), of positive sentiment
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


class _WithoutAttention:
    """What classifies one text as it does several, without weights of tokens."""

    sequential = False

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, as it is."""
        return text.split()

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts."""
        raise NotImplementedError

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        return self.read([" ".join(rows.tokens(row)) for row in range(rows.size)])

    def predict(self, text: str) -> Prediction:
        """Classify one text."""
        (probability,), (usable,) = self.read([text])
        return Prediction([], float(probability), bool(usable), None)


class BaselinePredictor(_WithoutAttention):
    """Classifies texts by the linear baseline of a run."""

    name = BASELINE

    def __init__(self, config: RunConfig, model: LinearModel, temperature: float) -> None:
        """Args: temperature: that calibrates what it says."""
        self.config = config
        self._model, self._temperature = model, temperature
        self._tokenizer = Tokenizer(config.data.text)

    def tokenize(self, text: str) -> list[str]:
        """The tokens that the run's network reads as well."""
        return self._tokenizer(text)

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts; one without any known n-gram, of characters too, is not usable."""
        return self.read_rows(TokenRows.of_tweets(map(self.tokenize, texts)))

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        probabilities, usable = self._model.judge(rows)
        return Reading(calibrated(probabilities, self._temperature), usable)


class LexiconPredictor(_WithoutAttention):
    """Classifies texts by VADER's lexicon, which no run has trained."""

    name = LEXICON

    def __init__(self, config: RunConfig) -> None:
        """Args: config: of the run that it stands beside."""
        self.config = config

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts as they are, uncleaned."""
        return Reading(lexicon_scores(texts), np.array([bool(text.strip()) for text in texts], bool))


@dataclass(frozen=True)
class MeanPredictor:
    """The mean of several models' probabilities, calibrated."""

    name: str
    members: tuple[TextModel, ...]
    temperature: float = 1.0

    @property
    def config(self) -> RunConfig:
        """That of the first member."""
        return self.members[0].config

    @property
    def sequential(self) -> bool:
        """Whether any member is."""
        return any(member.sequential for member in self.members)

    def predict(self, text: str) -> Prediction:
        """Classify one text; the weights of its tokens are those of the first member that has any."""
        said = [member.predict(text) for member in self.members]
        attentive = next((one for one in said if one.attention is not None), said[0])
        mean = np.mean([[one.probability for one in said]], axis=1)
        probability = float(calibrated(mean, self.temperature)[0])
        return Prediction(attentive.tokens, probability, any(one.usable for one in said), attentive.attention)

    def tokenize(self, text: str) -> list[str]:
        """The tokens of the first member, whose run cleans as those of the others do."""
        return self.members[0].tokenize(text)

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts; usable is what any member knows something of."""
        return self.read_rows(TokenRows.of_tweets(map(self.tokenize, texts)))

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        readings = [member.read_rows(rows) for member in self.members]
        mean = np.mean([one.probabilities for one in readings], axis=0)
        return Reading(calibrated(mean, self.temperature), np.any([one.usable for one in readings], axis=0))


def models_of_a_run(network: TextModel, baseline: TextModel, temperature: float) -> list[TextModel]:
    """What a run is measured with, in the order of tables: both models, their mean, and the lexicon.

    Args:
        temperature: of the mean.
    """
    both = MeanPredictor(BOTH, (network, baseline), temperature)
    return [network, baseline, both, LexiconPredictor(network.config)]
