"""A network that reads texts: it cleans, tokenises and classifies them as in training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from sentiment.config import RunConfig
from sentiment.data.batches import EVALUATION_TOKENS, Batch, Rows, TokenStore
from sentiment.data.text import Tokenizer, TokenRows
from sentiment.data.vocabulary import UNKNOWN, Vocabulary
from sentiment.encoders.cache import Encoder, FreshVectors, build_encoder, layers_of
from sentiment.encoders.models import find_model
from sentiment.errors import RunDirError
from sentiment.models.calibration import Probabilities, calibrated
from sentiment.models.classifier import Classifier
from sentiment.models.lexicon import token_polarity
from sentiment.models.text_model import Reading, TextModel
from sentiment.runs.records import NETWORK, EncoderRecord
from sentiment.runs.run_dir import Results

_CPU = torch.device("cpu")

# Of a batch whose states stay in a CPU core's cache; those of evaluation are larger, for GPUs.
_BATCH_TOKENS = 4096


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
    logits = []
    with evaluation_mode(model):
        for batch in store.in_order_of_length(rows, most_tokens):
            check()
            logits.append(model(batch).logits)
    probabilities = np.empty(len(rows))
    by_length = torch.sigmoid(torch.cat(logits).double()).cpu().numpy()
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


class NetworkModel(TextModel):
    """Classifies texts by the network of a run."""

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
        """Use a trained network.

        Args:
            encoder: computes vectors on the same device, for networks that read them.
            temperature: that calibrates what it says.
        """
        self.config, self.sequential = config, encoder is not None
        self._tokenizer, self._vocabulary = Tokenizer(config.data.text), vocabulary
        self._model, self._encoder = model.eval().to(device), encoder
        self._device, self._temperature = device, temperature

    def tokenize(self, text: str) -> list[str]:
        """As in training."""
        return self._tokenizer(text)

    def read(self, rows: TokenRows) -> Reading:
        """See `TextModel`; it knows tokens that have a vector of their own, and with ELMo all of them."""
        if not rows.size:
            return Reading(np.empty(0), np.empty(0, bool))
        token_ids = self._token_ids(rows)
        most_tokens = _BATCH_TOKENS if self._device.type == "cpu" else EVALUATION_TOKENS
        said = predict(self._model, self._store(rows), np.arange(rows.size), most_tokens=most_tokens)
        known = np.cumsum((token_ids != UNKNOWN) | (self._encoder is not None))
        usable = np.diff(np.concatenate([[0], known])[rows.offsets]) > 0
        return Reading(calibrated(said, self._temperature), usable)

    def attention(self, tokens: list[str]) -> list[float] | None:
        """The mean over all hops; None for a text without tokens too."""
        (batch,) = self._store(TokenRows.of_tweets([tokens])).in_order_of_length(np.zeros(1, np.int64))
        hops = attention_of(self._model, batch)
        return None if hops is None or not tokens else hops[0].mean(0).tolist()

    def _token_ids(self, rows: TokenRows) -> Rows:
        token_ids: Rows = self._vocabulary.encode(rows.types)[rows.token_ids]
        return token_ids

    def _store(self, rows: TokenRows) -> TokenStore:
        vectors = None
        if self._encoder is not None and self.config.frozen is not None:
            vectors = FreshVectors(self._encoder, rows.tokens, layers_of(self.config.frozen), self._device)
        polarity = token_polarity(rows) if self.config.embedding.polarity else None
        return TokenStore(self._token_ids(rows), rows.offsets, None, self._device, vectors, polarity)


def encoder_of(
    config: RunConfig, recorded: EncoderRecord | None, results: Results, device: torch.device
) -> Encoder | None:
    """What computes the vectors that a run was trained with; None if it reads none.

    Args:
        recorded: what the run says of the model.
        results: where the model is looked for.

    Raises:
        SentimentError: it is missing or damaged.
        RunDirError: it is another one.
    """
    known = recorded.fingerprint if recorded else None
    model = find_model(config, results, known)
    if config.frozen is None or model is None:
        return None
    if known is not None and known != model.fingerprint:
        raise RunDirError(f"{config.title}: was trained with other weights than {config.frozen.model!r} has here")
    return build_encoder(config.frozen, model, device)
