"""A trained model that turns texts into probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sentiment.config import RunConfig
from sentiment.data.batches import TokenStore, TweetVectors
from sentiment.data.text.tokenizer import Tokenizer
from sentiment.data.vocabulary import UNKNOWN, Vocabulary
from sentiment.elmo.backends import Encoder, build_encoder
from sentiment.elmo.cache.cache import layers_of
from sentiment.elmo.vectors import FreshVectors
from sentiment.errors import CheckpointError, RunDirError
from sentiment.models.classifier import Classifier, build_classifier
from sentiment.records import NETWORK, Result, RunRecord
from sentiment.run_dir import RunDir
from sentiment.training.checkpoint import Checkpoints, read_checkpoint, weights_sha256
from sentiment.training.encoding import find_model
from sentiment.training.evaluation import attention_of, predict
from sentiment.training.metrics import Probabilities
from sentiment.whole_run import check_vocabulary, read_whole, refuse_incomplete

_CPU = torch.device("cpu")

# Of a batch whose states stay in a CPU core's cache; those of evaluation are larger, for GPUs.
_BATCH_TOKENS = 4096


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


class Predictor:
    """Cleans, tokenises and classifies texts as the network of a run did."""

    name = NETWORK

    def __init__(
        self,
        config: RunConfig,
        vocabulary: Vocabulary,
        model: Classifier,
        encoder: Encoder | None = None,
        marks_count: bool = True,
    ) -> None:
        """Use a trained model.

        Args:
            encoder: computes ELMo vectors, for models that read them.
            marks_count: as `ElmoRecord.marks_count` of the model's training.
        """
        self.config = config
        self._tokenize = Tokenizer(config.data.text)
        self._vocabulary = vocabulary
        self._model = model.eval()
        self._encoder, self._marks_count = encoder, marks_count

    @property
    def sequential(self) -> bool:
        """Whether it reads ELMo vectors."""
        return self._encoder is not None

    def predict(self, text: str) -> Prediction:
        """Classify one text, and give the attention weights that the model has."""
        tokens = self._tokenize(text)
        store = self._store([tokens])
        probability = float(predict(self._model, store, np.zeros(1, dtype=np.int64))[0])
        attention = attention_of(self._model, store.in_order_of_length(np.zeros(1, dtype=np.int64))[0])
        usable = self._knows(tokens)
        if attention is None or not tokens:
            return Prediction(tokens, probability, usable, None)
        return Prediction(tokens, probability, usable, attention[0].mean(0).tolist())

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts."""
        if not texts:
            return Reading(np.empty(0), np.empty(0, bool))
        tweets = [self._tokenize(text) for text in texts]
        probabilities = predict(self._model, self._store(tweets), np.arange(len(texts)), most_tokens=_BATCH_TOKENS)
        return Reading(probabilities, np.array([self._knows(tokens) for tokens in tweets]))

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Probability of positive sentiment for each text. Shape (len(texts),)."""
        return self.read(texts).probabilities

    def _knows(self, tokens: list[str]) -> bool:
        """Whether a token has a vector of its own; ELMo has one for each."""
        return bool(tokens) and (self._encoder is not None or bool((self._vocabulary.encode(tokens) != UNKNOWN).any()))

    def _store(self, tweets: list[list[str]]) -> TokenStore:
        offsets = np.cumsum([0, *map(len, tweets)], dtype=np.int64)
        token_ids = self._vocabulary.encode([token for tokens in tweets for token in tokens])
        return TokenStore(token_ids, offsets, None, _CPU, self._vectors(tweets))

    def _vectors(self, tweets: list[list[str]]) -> TweetVectors | None:
        if self._encoder is None or self.config.elmo is None:
            return None
        layers = layers_of(self.config.elmo, self._marks_count)
        return FreshVectors(self._encoder, tweets.__getitem__, layers, _CPU)


def load_predictor(run_dir: RunDir) -> Predictor:
    """A predictor with the weights of a run's best epoch so far, on the CPU; the run need not be completed.

    Raises:
        RunDirError: the files are not all of one run, or the weights were trained with another ELMo model.
        ElmoError: the ELMo model is missing or damaged.
        CheckpointError: no epoch is saved yet, or the weights are damaged.
    """
    run = read_whole(run_dir)
    config = run.config
    weights = _best_weights(run_dir, run.result)
    check_vocabulary(run_dir, run.record)
    vocabulary = Vocabulary.read(run_dir.vocabulary_file)
    encoder = _encoder(config, run_dir, run.record)
    model = build_classifier(config, len(vocabulary), elmo_size=encoder.vector_size if encoder else None)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunDirError(f"{run_dir.path}: the weights do not fit config.json and vocabulary.txt: {error}") from None
    elmo = run.record.elmo if run.record else None
    return Predictor(config, vocabulary, model, encoder, marks_count=elmo is None or elmo.marks_count)


def _encoder(config: RunConfig, run_dir: RunDir, record: RunRecord | None) -> Encoder | None:
    """An encoder of the ELMo model that the run was trained with; None if it reads no ELMo vectors."""
    model = find_model(config, run_dir.results)
    if config.elmo is None or model is None:
        return None
    if record is not None and record.elmo is not None and record.elmo.fingerprint != model.fingerprint:
        raise RunDirError(f"{run_dir.path}: was trained with other ELMo weights than {model.weights_path}")
    return build_encoder(config.elmo, model, _CPU)


def _best_weights(run_dir: RunDir, result: Result | None) -> dict[str, torch.Tensor]:
    if result:
        refuse_incomplete(run_dir)
    if run_dir.best_weights.exists():
        best = _weights_in(read_checkpoint(run_dir.best_weights).get("weights"), run_dir.best_weights)
        if result and weights_sha256(best) != result.weights_sha256:
            raise CheckpointError(f"{run_dir.best_weights}: holds other weights than those of the result")
        return best
    state, damaged = Checkpoints(run_dir.checkpoints).newest()
    if state is None:
        raise CheckpointError("\n".join(damaged) or f"{run_dir.path}: no epoch is saved yet; train it first")
    stopping = state.get("early_stopping")
    so_far = stopping.get("best_weights") if isinstance(stopping, dict) else None
    return _weights_in(so_far or state.get("model"), run_dir.checkpoints)


def _weights_in(value: object, path: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint holds as weights, if it is that: a checksum says only that it was written so.

    Raises:
        CheckpointError: it is not.
    """
    if not isinstance(value, dict) or not all(isinstance(one, torch.Tensor) for one in value.values()):
        raise CheckpointError(f"{path}: holds no weights of a model")
    if not all(bool(torch.isfinite(one).all()) for one in value.values()):
        raise CheckpointError(f"{path}: holds weights that are not finite, so that all predictions would be nonsense")
    return value
