"""A network that reads texts: it cleans, tokenises and classifies them as in training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.config import RunConfig
from sentiment.data.batches import EVALUATION_TOKENS, Batch, Rows, TokenStore, TweetVectors
from sentiment.data.text import Tokenizer, TokenRows
from sentiment.data.vocabulary import UNKNOWN, Vocabulary
from sentiment.elmo.encoder import Encoder
from sentiment.elmo.models import find_elmo_of
from sentiment.elmo.vectors import FreshVectors, build_encoder, layers_of
from sentiment.errors import RunDirError
from sentiment.models.calibration import Probabilities, calibrated
from sentiment.models.classifier import Classifier
from sentiment.models.lexicon import token_polarity
from sentiment.models.text_model import Prediction, Reading
from sentiment.runs.records import NETWORK, ElmoRecord
from sentiment.runs.run_dir import Results


def predict(
    model: Classifier,
    store: TokenStore,
    rows: Rows,
    check: Callable[[], None] = lambda: None,
    most_tokens: int = EVALUATION_TOKENS,
) -> Probabilities:
    """Probability of positive sentiment for each of `rows`, in their order. Shape (len(rows),).

    Args:
        check: called between batches; an error that it raises ends the evaluation, which changes nothing.
        most_tokens: in a batch.
    """
    plan = store.in_order_of_length(rows, most_tokens)
    logits = []
    with evaluation_mode(model):
        for batch in plan:
            check()
            logits.append(model(batch).logits)
    by_length = torch.sigmoid(torch.cat(logits).double()).cpu().numpy()
    probabilities = np.empty(len(rows))
    probabilities[np.argsort(store.lengths[rows], kind="stable")] = by_length
    return probabilities


def attention_of(model: Classifier, batch: Batch) -> torch.Tensor | None:
    """The weight of each token in each hop, (batch, r, time); None for a model without attention."""
    with evaluation_mode(model):
        attention: torch.Tensor | None = model(batch).attention
    return attention


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Turn off dropout and gradients within the context, and restore the former mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


_CPU = torch.device("cpu")

# Of a batch whose states stay in a CPU core's cache; those of evaluation are larger, for GPUs.
_BATCH_TOKENS = 4096


class Predictor:
    """Cleans, tokenises and classifies texts as the network of a run did."""

    name = NETWORK

    def __init__(
        self,
        config: RunConfig,
        vocabulary: Vocabulary,
        model: Classifier,
        encoder: Encoder | None = None,
        device: torch.device = _CPU,
        temperature: float = 1.0,
    ) -> None:
        """Use a trained model.

        Args:
            encoder: computes ELMo vectors on the same device, for models that read them.
            temperature: that calibrates what it says.
        """
        self.config = config
        self.tokenize = Tokenizer(config.data.text)
        self._vocabulary = vocabulary
        self._model = model.eval().to(device)
        self._encoder = encoder
        self._device = device
        self._temperature = temperature

    @property
    def sequential(self) -> bool:
        """Whether it reads ELMo vectors."""
        return self._encoder is not None

    def predict(self, text: str) -> Prediction:
        """Classify one text, and give the attention weights that the model has."""
        tokens = self.tokenize(text)
        store, known = self._store(TokenRows.of_tweets([tokens]))
        probability = self._say(store, np.zeros(1, dtype=np.int64))[0]
        attention = attention_of(self._model, store.in_order_of_length(np.zeros(1, dtype=np.int64))[0])
        weights = None if attention is None or not tokens else attention[0].mean(0).tolist()
        return Prediction(tokens, float(probability), bool(known[0]), weights)

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts."""
        return self.read_rows(TokenRows.of_tweets(map(self.tokenize, texts)))

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        if not rows.size:
            return Reading(np.empty(0), np.empty(0, bool))
        store, known = self._store(rows)
        return Reading(self._say(store, np.arange(rows.size)), known)

    def _say(self, store: TokenStore, rows: Rows) -> Probabilities:
        most_tokens = _BATCH_TOKENS if self._device.type == "cpu" else EVALUATION_TOKENS
        return calibrated(predict(self._model, store, rows, most_tokens=most_tokens), self._temperature)

    def _store(self, rows: TokenRows) -> tuple[TokenStore, npt.NDArray[np.bool_]]:
        """The tweets, and of which the model knows a token by a vector of its own; ELMo has one for each."""
        token_ids = self._vocabulary.encode(rows.types)[rows.token_ids]
        known = np.ones(len(token_ids), bool) if self._encoder is not None else token_ids != UNKNOWN
        known_before = np.concatenate([[0], np.cumsum(known)])[rows.offsets]
        polarity = token_polarity(rows) if self.config.embedding.polarity else None
        store = TokenStore(token_ids, rows.offsets, None, self._device, self._vectors(rows), polarity)
        return store, np.diff(known_before) > 0

    def _vectors(self, rows: TokenRows) -> TweetVectors | None:
        if self._encoder is None or self.config.elmo is None:
            return None
        return FreshVectors(self._encoder, rows.tokens, layers_of(self.config.elmo), self._device)


def encoder_of(config: RunConfig, elmo: ElmoRecord | None, results: Results, device: torch.device) -> Encoder | None:
    """An encoder of the ELMo model that a run was trained with; None if it reads no ELMo vectors.

    Args:
        elmo: what the run records of the model.
        results: where the model is looked for.

    Raises:
        ElmoError: it is missing or damaged.
        RunDirError: it is another one.
    """
    known = elmo.fingerprint if elmo else None
    model = find_elmo_of(config, results, known)
    if config.elmo is None or model is None:
        return None
    if known is not None and known != model.fingerprint:
        raise RunDirError(f"{config.title}: was trained with other ELMo weights than {model.weights_path}")
    return build_encoder(config.elmo, model, device)
