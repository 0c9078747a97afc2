"""A trained model as something to ask: texts in, probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sentiment.config import RunConfig
from sentiment.data.batches import TokenStore
from sentiment.data.text import Tokenizer
from sentiment.data.vocabulary import Vocabulary
from sentiment.errors import CheckpointError, RunDirError
from sentiment.models.classifier import Classifier, build_classifier
from sentiment.run_dir import RunDir
from sentiment.training.checkpoint import Checkpoints, read_checkpoint
from sentiment.training.evaluation import attention_of, predict
from sentiment.training.metrics import Probabilities


@dataclass(frozen=True)
class Prediction:
    """What the model says of one text."""

    tokens: list[str]
    probability: float
    """Of positive sentiment."""
    attention: list[float] | None
    """Each token's weight, the mean over all hops; None without attention (or without tokens)."""


class Predictor:
    """Cleans, tokenises and classifies as the run did."""

    def __init__(self, config: RunConfig, vocabulary: Vocabulary, model: Classifier) -> None:
        self.config = config
        self._tokenize = Tokenizer(config.data.text)
        self._vocabulary = vocabulary
        self._model = model.eval()

    def predict(self, text: str) -> Prediction:
        """Classify one text and say what it rests on."""
        tokens = self._tokenize(text)
        store = self._store([tokens])
        probability = float(predict(self._model, store, np.zeros(1, dtype=np.int64))[0])
        attention = attention_of(self._model, store.in_order_of_length(np.zeros(1, dtype=np.int64))[0])
        if attention is None or not tokens:
            return Prediction(tokens, probability, None)
        return Prediction(tokens, probability, attention[0].mean(0).tolist())

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Probability of positive sentiment for each text. Shape (len(texts),)."""
        if not texts:
            return np.empty(0)
        store = self._store([self._tokenize(text) for text in texts])
        return predict(self._model, store, np.arange(len(texts)))

    def _store(self, tweets: list[list[str]]) -> TokenStore:
        offsets = np.cumsum([0, *map(len, tweets)], dtype=np.int64)
        token_ids = self._vocabulary.encode([token for tokens in tweets for token in tokens])
        return TokenStore(token_ids, offsets, None, torch.device("cpu"))


def load_predictor(run_dir: RunDir) -> Predictor:
    """The best epoch's weights of a run, completed or not, on the CPU.

    Raises:
        RunDirError: there are no weights yet, or they do not fit the run's configuration.
        CheckpointError: the weights are damaged.
    """
    config = run_dir.read_config()
    weights = _best_weights(run_dir)
    vocabulary = Vocabulary.read(run_dir.vocabulary_file)
    model = build_classifier(config, len(vocabulary))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunDirError(f"{run_dir.path}: the weights do not fit config.json and vocabulary.txt: {error}") from None
    return Predictor(config, vocabulary, model)


def _best_weights(run_dir: RunDir) -> dict[str, torch.Tensor]:
    if run_dir.best_weights.exists():
        best: dict[str, torch.Tensor] = read_checkpoint(run_dir.best_weights)["weights"]
        return best
    state, damaged = Checkpoints(run_dir.checkpoints).newest()
    if state is None:
        raise CheckpointError("\n".join(damaged) or f"{run_dir.path}: no epoch is saved yet; train it first")
    so_far: dict[str, torch.Tensor] = state["early_stopping"]["best_weights"] or state["model"]
    return so_far
