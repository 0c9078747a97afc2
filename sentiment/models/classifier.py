"""Classifiers from token vectors to one logit (embedding, recurrent layers, pooling), and what reads texts with one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sentiment.config import AnyEncoder, EmbeddingConfig, ModelConfig, RunConfig
from sentiment.data.batches import EVALUATION_TOKENS, Batch, Rows, TokenStore
from sentiment.data.text import Tokenizer, TokenRows
from sentiment.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from sentiment.encoders.cache import Encoder, FreshVectors, build_encoder, layers_of
from sentiment.encoders.elmo import LAYERS, ScalarMix
from sentiment.encoders.finetuned import FineTuned
from sentiment.encoders.pretrained import find_model
from sentiment.errors import RunDirError
from sentiment.models.lexicon import token_polarity
from sentiment.models.text_model import Predictions, Probabilities, TextModel, calibrated
from sentiment.runs.records import NETWORK, EncoderRecord
from sentiment.runs.run_dir import Results


class Dropout(nn.Dropout):
    """`nn.Dropout`, with the same random numbers: values, gradients and the generator's state afterwards are its own.

    torch draws each mask as Bernoulli numbers, for which it takes a double from the generator, one call each. It draws
    a tensor of doubles from the same numbers twice as fast; a test compares the two.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training or values.device.type != "cpu" or not 0 < self.p < 1:
            return super().forward(values)
        kept = 1 - self.p
        mask = torch.empty_like(values, dtype=torch.float64).uniform_() < kept
        return values * mask.to(values.dtype).div_(kept)


class LearnedEmbedding(nn.Module):
    """One learned vector for each type in the vocabulary, and how positive the word is rated if that is asked for.

    They begin with given values (vocabulary_size, config.size), else with normal numbers; a token has `size` numbers.
    """

    def __init__(
        self, vocabulary_size: int, config: EmbeddingConfig, vectors: npt.NDArray[np.float32] | None = None
    ) -> None:
        super().__init__()
        self.size = config.size + config.polarity
        sketch = torch.get_default_device().type == "meta"  # drawing what has no values would load torch's compiler
        empty = torch.empty(vocabulary_size, config.size) if sketch else None
        self.table = nn.Embedding(vocabulary_size, config.size, padding_idx=PADDING, _weight=empty)
        with torch.no_grad():
            if vectors is not None:
                self.table.weight.copy_(torch.from_numpy(vectors))
            elif not sketch:
                self.table.weight.normal_(std=config.initial_std)
                self.table.weight[PADDING].zero_()
        self.table.weight.requires_grad_(config.trainable)
        self.token_dropout = config.token_dropout
        self.dropout = Dropout(config.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors of shape (batch, time, size); those at padded positions have no meaning."""
        token_ids = batch.token_ids
        if self.training and self.token_dropout:
            hidden = torch.rand(token_ids.shape, device=token_ids.device) < self.token_dropout
            token_ids = torch.where(hidden & (token_ids != PADDING), UNKNOWN, token_ids)
        vectors: torch.Tensor = self.dropout(self.table(token_ids))
        return vectors if batch.polarity is None else torch.cat([vectors, batch.polarity[:, :, None]], dim=2)


class FrozenEmbedding(nn.Module):
    """Vectors of a frozen encoder: a layer or a learned mixture of ELMo's, alone or concatenated with learned ones.

    Peters et al. (2018), https://arxiv.org/abs/1802.05365, equation 1 and the "enhanced" vectors [x; ELMo].
    Transformers have one layer, of which the vectors of whole tweets have one time step. A token has `size` numbers.
    """

    def __init__(self, config: AnyEncoder, vector_size: int, learned: LearnedEmbedding | None) -> None:
        super().__init__()
        self.learned = learned
        self.size = vector_size + (learned.size if learned else 0)
        self.mix = ScalarMix(len(LAYERS)) if config.layers == "mix" else None
        self._layer = config.layers
        self.dropout = Dropout(config.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors of shape (batch, time, size)."""
        read = [batch.layers[layer] for layer in (LAYERS if self.mix else (self._layer,))]
        vectors = self.dropout(self.mix(read) if self.mix else read[0])
        return vectors if self.learned is None else torch.cat([vectors, self.learned(batch)], dim=2)

    def mixture(self) -> list[float] | None:
        """The weight of each layer, from the context-free one to the top, with sum 1; None without a mixture."""
        return None if self.mix is None else torch.softmax(self.mix.weights.detach().double(), 0).tolist()


# Vectors of tweets (batch, size), and as in `Output` the attention that they were made with, and its penalty.
Pooled = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def _mean(states: torch.Tensor, batch: Batch, _forward_size: int) -> torch.Tensor:
    total = states.masked_fill(~batch.mask[..., None], 0).sum(1) if batch.padded else states.sum(1)
    return total / batch.lengths[:, None]


def _max(states: torch.Tensor, batch: Batch, _forward_size: int) -> torch.Tensor:
    return states.masked_fill(~batch.mask[..., None], -torch.inf).amax(1) if batch.padded else states.amax(1)


def _last(states: torch.Tensor, batch: Batch, forward_size: int) -> torch.Tensor:
    """The last state of each direction: the backward network ends at a tweet's first token."""
    if batch.padded:
        is_last = torch.arange(states.shape[1], device=states.device) == batch.lengths[:, None] - 1
        forward = (states[..., :forward_size] * is_last[..., None]).sum(1)
    else:
        forward = states[:, -1, :forward_size]
    return torch.cat([forward, states[:, 0, forward_size:]], dim=1)


FIXED_POOLINGS: Mapping[str, tuple[Callable[[torch.Tensor, Batch, int], torch.Tensor], ...]] = {
    "last": (_last,),
    "mean": (_mean,),
    "max": (_max,),
    "mean+max": (_mean, _max),
    "only": (lambda states, _batch, _forward_size: states[:, 0],),
}


class FixedPooling(nn.Module):
    """Means, maxima or last states, concatenated; of one state for the `whole` tweet that one. Vectors have `size`."""

    def __init__(self, state_size: int, config: ModelConfig, whole: bool = False) -> None:
        super().__init__()
        self.functions = FIXED_POOLINGS["only" if whole else config.pooling]
        self.size = state_size * len(self.functions)
        self._forward_size = state_size // (2 if config.bidirectional else 1)

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Pool states of shape (batch, time, state_size); those at padded positions have no meaning."""
        return torch.cat([pool(states, batch, self._forward_size) for pool in self.functions], dim=1), None, None


class SelfAttention(nn.Module):
    """Structured self-attention of Lin et al. (2017), https://arxiv.org/abs/1703.03130.

    A = softmax(W2 tanh(W1 H^T)) gives r distributions ("hops") over the tokens; a tweet's vector consists of the r rows
    of A H, concatenated. The penalty ||A A^T - I||^2 (Frobenius norm, mean over the batch) is small if the hops weight
    different tokens. Vectors have `size` numbers.
    """

    def __init__(self, state_size: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config.attention
        self.size = state_size * self.config.r
        self.hidden = nn.Linear(state_size, self.config.d_a, bias=False)
        self.hops = nn.Linear(self.config.d_a, self.config.r, bias=False)

    def forward(self, states: torch.Tensor, batch: Batch) -> Pooled:
        """Shape (batch, r * state_size); with the penalty in training, if it has a weight."""
        scores = self.hops(torch.tanh(self.hidden(states))).transpose(1, 2)  # (batch, r, time)
        if batch.padded:
            scores = scores.masked_fill(~batch.mask[:, None], -torch.inf)
        attention = torch.softmax(scores.float(), dim=2).to(states.dtype)
        penalty, vectors = None, (attention @ states).flatten(1)
        if self.config.penalty and self.training:
            overlap = attention @ attention.transpose(1, 2) - torch.eye(self.config.r, device=attention.device)
            penalty = self.config.penalty * overlap.square().sum((1, 2)).mean()
        return vectors, attention, penalty


CELLS: Mapping[str, Callable[..., nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentLayers(nn.Module):
    """Layers of one-way networks; those of the second direction read each tweet from its end.

    `nn.LSTM(bidirectional=True)` would need packed sequences, with which cuDNN and oneDNN do not use their fast
    kernels, and `nn.LSTM(dropout=...)` has a random state on the GPU that cannot be saved. One-way layers on reversed
    tweets, with dropout between them, need neither. States have `size` numbers, hidden_size for each direction.
    """

    def __init__(self, input_size: int, config: ModelConfig) -> None:
        super().__init__()
        directions = 2 if config.bidirectional else 1
        self.size = config.hidden_size * directions
        sizes = [input_size] + [self.size] * (config.layers - 1)
        cell = CELLS[config.cell]
        self.forward_nets = nn.ModuleList(cell(size, config.hidden_size, batch_first=True) for size in sizes)
        self.backward_nets = nn.ModuleList(
            cell(size, config.hidden_size, batch_first=True) for size in sizes if config.bidirectional
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """States of all tokens, the forward half first. Shape (batch, time, size)."""
        positions = _swapped_positions(batch) if self.backward_nets and batch.padded else None
        for layer, net in enumerate(self.forward_nets):
            if layer:
                vectors = self.dropout(vectors)
            states, _ = net(vectors)
            if self.backward_nets:
                backward, _ = self.backward_nets[layer](turn_around(vectors, positions))
                states = torch.cat([states, turn_around(backward, positions)], dim=2)
            vectors = states
        return vectors


def _swapped_positions(batch: Batch) -> torch.Tensor:
    """For each position of the flattened batch, where its token is after each tweet was reversed: (batch * time,)."""
    rows, time = batch.token_ids.shape
    positions = torch.arange(time, device=batch.lengths.device).expand(rows, time)
    lengths = batch.lengths[:, None]
    swapped = torch.where(positions < lengths, lengths - 1 - positions, positions)
    return (swapped + torch.arange(rows, device=swapped.device)[:, None] * time).flatten()


class _Reverse(torch.autograd.Function):
    """Reversal is its own inverse, so that its gradient is a gather as well, which is deterministic on every device."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
        ctx.positions = positions
        if positions is None:
            return states.flip(1)
        return states.flatten(0, 1).index_select(0, positions).view_as(states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return turn_around(gradients[0], ctx.positions), None


# Reverses each tweet of (batch, time, size); `positions` are `_swapped_positions`, None if no tweet is padded.
turn_around: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor] = _Reverse.apply


class Output(NamedTuple):
    """A classifier's output for a batch."""

    logits: torch.Tensor  # (batch,), above 0 for positive sentiment
    attention: torch.Tensor | None  # (batch, r, time) with attention pooling, the weights of each hop sum to 1
    penalty: torch.Tensor | None  # (), a term of the training loss


class HiddenLayers(nn.Module):
    """Linear layers with ReLU on a tweet's pooled vector, with dropout between them: a feed-forward network."""

    def __init__(self, input_size: int, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.hidden_size
        sizes = [input_size] + [config.hidden_size] * (config.layers - 1)
        self.layers = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in sizes)
        self.dropout = Dropout(config.dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        for number, layer in enumerate(self.layers):
            vectors = torch.relu(layer(self.dropout(vectors) if number else vectors))
        return vectors


class Classifier(nn.Module):
    """Classifies tweets from the vectors of any token embedding, or from one vector each (`whole`)."""

    def __init__(
        self, embedding: LearnedEmbedding | FrozenEmbedding | FineTuned, config: ModelConfig, whole: bool = False
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = RecurrentLayers(embedding.size, config) if config.kind == "rnn" else None
        states = self.encoder.size if self.encoder else embedding.size
        attentive = config.pooling == "attention" and not whole
        self.pooling = SelfAttention(states, config) if attentive else FixedPooling(states, config, whole)
        self.hidden = HiddenLayers(self.pooling.size, config) if config.kind == "feed_forward" else None
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(self.hidden.size if self.hidden else self.pooling.size, 1)

    def forward(self, batch: Batch) -> Output:
        states = self.embedding(batch)
        if self.encoder is not None:
            states = self.encoder(states, batch)
        vectors, attention, penalty = self.pooling(states, batch)
        if self.hidden is not None:
            vectors = self.hidden(vectors)
        return Output(self.output(self.dropout(vectors)).squeeze(1), attention, penalty)

    def trainable_parameters(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]


def sketch_classifier(config: RunConfig, vocabulary_size: int, reads: int | FineTuned | None = None) -> Classifier:
    """What `build_classifier` would make, without values: takes no memory, and no numbers from torch's generator.

    torch raises a RuntimeError if a tensor would be larger than it can count.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return build_classifier(config, vocabulary_size, reads=reads)


def build_classifier(
    config: RunConfig,
    vocabulary_size: int,
    vectors: npt.NDArray[np.float32] | None = None,
    reads: int | FineTuned | None = None,
) -> Classifier:
    """The model of a configuration, on the CPU, with random weights from torch's generator.

    Args:
        vocabulary_size: number of learned token vectors, with those for padding and unknown tokens.
        vectors: initial token vectors, (vocabulary_size, embedding.size); None initialises them randomly.
        reads: the size of the vectors of the encoder that the configuration names, or the encoder itself where it is
            trained; None if it names none.
    """
    if isinstance(reads, FineTuned) and config.encoder is not None:
        mean = config.model.model_copy(update={"pooling": "mean"})
        return Classifier(reads, mean, whole=config.encoder.pooling == "first")
    if config.any_encoder is None or not isinstance(reads, int):
        return Classifier(LearnedEmbedding(vocabulary_size, config.embedding, vectors), config.model)
    beside = config.any_encoder.combine == "beside"
    learned = LearnedEmbedding(vocabulary_size, config.embedding, vectors) if beside else None
    return Classifier(FrozenEmbedding(config.any_encoder, reads, learned), config.model, config.reads_tweet_vectors)


def input_ids(model: Classifier, vocabulary: Vocabulary, rows: TokenRows) -> tuple[npt.NDArray[np.integer], Rows]:
    """Numbers of tokens, (n,), in a model's vocabulary or that of the encoder that it trains; and their offsets."""
    if isinstance(model.embedding, FineTuned):
        return model.embedding.pieces(rows)
    return vocabulary.encode(rows.types)[rows.token_ids], rows.offsets


# Of a batch whose states stay in a CPU core's cache; those of evaluation are larger, for GPUs.
_BATCH_TOKENS = 4096


def predict(
    model: Classifier,
    store: TokenStore,
    rows: Rows,
    check: Callable[[], None] = lambda: None,
    most_tokens: int = EVALUATION_TOKENS,
) -> Probabilities:
    """Probability of positive sentiment for each of `rows`, in their order, of shape (len(rows),).

    `check` is called between batches, and may end the evaluation by an error.
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
        encoder: Encoder | FineTuned | None,  # computes vectors for networks that read them, or is a part of the model
        device: torch.device,
        temperature: float,
    ) -> None:
        self.config, self.sequential = config, encoder is not None
        self.tokenize, self._vocabulary = Tokenizer(config.data.text), vocabulary
        self._model, self._encoder = model.eval().to(device), None if isinstance(encoder, FineTuned) else encoder
        self._device, self._temperature = device, temperature

    def classify(self, rows: TokenRows) -> Predictions:
        """See `TextModel`; it knows tokens that have a vector of their own, and with an encoder all of them."""
        if not rows.size:
            return Predictions(np.empty(0), np.empty(0, bool))
        most_tokens = _BATCH_TOKENS if self._device.type == "cpu" else EVALUATION_TOKENS
        said = predict(self._model, self._store(rows), np.arange(rows.size), most_tokens=most_tokens)
        token_ids = self._vocabulary.encode(rows.types)[rows.token_ids]
        known = np.concatenate([[0], np.cumsum((token_ids != UNKNOWN) | bool(self.config.any_encoder))])
        return Predictions(calibrated(said, self._temperature), np.diff(known[rows.offsets]) > 0)

    def attention(self, tokens: list[str]) -> list[float] | None:
        """The mean over all hops; None for a text without tokens too."""
        (batch,) = self._store(TokenRows.of_tweets([tokens])).in_order_of_length(np.zeros(1, np.int64))
        hops = attention_of(self._model, batch)
        return None if hops is None or not tokens else hops[0].mean(0).tolist()

    def _store(self, rows: TokenRows) -> TokenStore:
        encoder, section, device = self._encoder, self.config.any_encoder, self._device
        vectors = FreshVectors(encoder, rows.tokens, layers_of(section), device) if encoder and section else None
        polarity = token_polarity(rows) if self.config.embedding.polarity else None
        return TokenStore(*input_ids(self._model, self._vocabulary, rows), None, device, vectors, polarity)


def encoder_of(
    config: RunConfig, recorded: EncoderRecord | None, results: Results, device: torch.device
) -> Encoder | FineTuned | None:
    """What computes the vectors that a run was trained with, or began with, as it is `recorded`; None if it reads none.

    Raises:
        SentimentError: it is missing, damaged, or another one.
    """
    model = find_model(config, results)
    if config.any_encoder is None or model is None:
        return None
    if recorded and recorded.fingerprint != model.fingerprint:
        raise RunDirError(f"{config.title}: was trained with other weights than {config.any_encoder.model!r} has here")
    return (
        FineTuned(model, config.encoder)
        if config.encoder and config.finetunes
        else build_encoder(config.any_encoder, model, device)
    )
