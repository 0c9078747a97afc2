"""Classifiers from token vectors to logits (embedding, recurrent layers, pooling), and the `TextModel` of one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sentiment.config import AnyEncoder, EmbeddingConfig, ModelConfig, RunConfig
from sentiment.data.text import Tokenizer
from sentiment.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from sentiment.encoders.batches import EVALUATION_TOKENS, Batch, TokenStore
from sentiment.encoders.cache import FreshVectors, build_encoder, layers_of
from sentiment.encoders.elmo import LAYERS, ScalarMix
from sentiment.encoders.finetuned import FineTuned
from sentiment.encoders.pretrained import EncoderFiles, find_model
from sentiment.encoders.shards import Encoder
from sentiment.errors import RunDirError
from sentiment.models.lexicon import token_ratings
from sentiment.models.text_model import Predictions, TextModel, calibrated
from sentiment.runs.records import EncoderRecord
from sentiment.runs.run_dir import Results
from sentiment.statistics.metrics import Probabilities
from sentiment.tokens import Flags, Floats, Indices, Rows, TokenRows


class Dropout(nn.Dropout):
    """Bitwise the same as `nn.Dropout` (values, gradients, the generator's state afterwards), but faster on a CPU.

    `nn.Dropout` draws one double per element by `bernoulli_`. `uniform_` on a tensor of doubles draws the same numbers
    twice as fast; a test compares the two.
    """

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or values.device.type != "cpu" or not 0 < self.p < 1:
            return super().forward(values)
        keep_probability = 1 - self.p
        mask = torch.empty_like(values, dtype=torch.float64).uniform_() < keep_probability
        return values * mask.to(values.dtype).div_(keep_probability)


class LearnedEmbedding(nn.Module):
    """A learned vector for each type of the vocabulary, with the token's polarity appended if configured.

    Args:
        vectors: initial values, (vocabulary_size, config.size); None draws them from a normal distribution.

    Attributes:
        size: numbers per token.
    """

    def __init__(self, vocabulary_size: int, config: EmbeddingConfig, vectors: Floats | None = None) -> None:
        super().__init__()
        self.size = config.size + config.polarity
        weight = torch.empty(vocabulary_size, config.size)
        self.table = nn.Embedding(vocabulary_size, config.size, padding_idx=PADDING, _weight=weight)
        if not weight.is_meta:  # normal_ on this device would import torch's compiler
            self._initialise(config.initial_std, vectors)
        self.token_dropout = config.token_dropout
        self.dropout = Dropout(config.dropout)

    @torch.no_grad()
    def _initialise(self, std: float, vectors: Floats | None) -> None:
        self.table.reset_parameters()  # draws numbers, and so determines which ones the next layers get
        if vectors is not None:
            self.table.weight.copy_(torch.from_numpy(vectors))
        else:
            self.table.weight.normal_(std=std)
            self.table.weight[PADDING].zero_()

    def forward(self, batch: Batch) -> Tensor:
        """Vectors of shape (batch, time, size); those at padded positions have no meaning."""
        token_ids = batch.token_ids
        if self.training and self.token_dropout:
            dropped = torch.rand(token_ids.shape, device=token_ids.device) < self.token_dropout
            token_ids = torch.where(dropped & (token_ids != PADDING), UNKNOWN, token_ids)
        vectors: Tensor = self.dropout(self.table(token_ids))
        if batch.polarity is None:
            return vectors
        return torch.cat([vectors, batch.polarity[:, :, None]], dim=2)


class FrozenEmbedding(nn.Module):
    """Vectors of a frozen encoder: a layer or a learned mixture of ELMo's, alone or concatenated with learned ones.

    Peters et al. (2018), https://arxiv.org/abs/1802.05365, equation 1 and the "enhanced" vectors [x; ELMo].
    A transformer provides one layer; for vectors of whole tweets it has a single time step.

    Attributes:
        size: numbers per token.
    """

    def __init__(self, config: AnyEncoder, vector_size: int, learned: LearnedEmbedding | None) -> None:
        super().__init__()
        self.learned = learned
        self.size = vector_size + (learned.size if learned else 0)
        self.mix = ScalarMix(len(LAYERS)) if config.layers == "mix" else None
        self._layers = layers_of(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Vectors of shape (batch, time, size)."""
        layers = [batch.layers[layer] for layer in self._layers]
        vectors: Tensor = self.dropout(self.mix(layers) if self.mix else layers[0])
        if self.learned is None:
            return vectors
        return torch.cat([vectors, self.learned(batch)], dim=2)

    def mixture_weights(self) -> list[float] | None:
        """The weight of each layer, from the context-free one to the top, with sum 1; None without a mixture."""
        if self.mix is None:
            return None
        return torch.softmax(self.mix.weights.detach().double(), 0).tolist()


# The vectors of tweets, (batch, size), and the attention weights and the penalty as in `Output`.
Pooled = tuple[Tensor, Tensor | None, Tensor | None]


# Pools states, (batch, time, state), of a batch; the last argument is the size of the forward half of a state.
Pool = Callable[[Tensor, Batch, int], Tensor]


def _mean(states: Tensor, batch: Batch, _forward_size: int) -> Tensor:
    total = states.masked_fill(~batch.mask[..., None], 0).sum(1) if batch.padded else states.sum(1)
    return total / batch.lengths[:, None]


def _max(states: Tensor, batch: Batch, _forward_size: int) -> Tensor:
    return states.masked_fill(~batch.mask[..., None], -torch.inf).amax(1) if batch.padded else states.amax(1)


def _last(states: Tensor, batch: Batch, forward_size: int) -> Tensor:
    """The last state of each direction; that of the backward network is at a tweet's first token."""
    if batch.padded:
        is_last = torch.arange(states.shape[1], device=states.device) == batch.lengths[:, None] - 1
        forward = (states[..., :forward_size] * is_last[..., None]).sum(1)
    else:
        forward = states[:, -1, :forward_size]
    return torch.cat([forward, states[:, 0, forward_size:]], dim=1)


FIXED_POOLINGS: Mapping[str, Sequence[Pool]] = {
    "last": (_last,),
    "mean": (_mean,),
    "max": (_max,),
    "mean+max": (_mean, _max),
    "only": (lambda states, _batch, _forward_size: states[:, 0],),
}


class FixedPooling(nn.Module):
    """The mean, the maximum or the last of the states, or several of them concatenated.

    Args:
        one_state: the input has a single state per tweet, which is returned.

    Attributes:
        size: numbers per tweet.
    """

    def __init__(self, state_size: int, config: ModelConfig, one_state: bool = False) -> None:
        super().__init__()
        self.functions = FIXED_POOLINGS["only" if one_state else config.pooling]
        self.size = state_size * len(self.functions)
        self._forward_size = state_size // (2 if config.bidirectional else 1)

    def forward(self, states: Tensor, batch: Batch) -> Pooled:
        """Pool states of shape (batch, time, state_size); those at padded positions have no meaning."""
        pooled = [pool(states, batch, self._forward_size) for pool in self.functions]
        return torch.cat(pooled, dim=1), None, None


class SelfAttention(nn.Module):
    """Structured self-attention of Lin et al. (2017), https://arxiv.org/abs/1703.03130.

    A = softmax(W2 tanh(W1 H^T)) gives r distributions ("hops") over the tokens; a tweet's vector consists of the r rows
    of A H, concatenated. The penalty ||A A^T - I||^2 (Frobenius norm, mean over the batch) is small if each hop weights
    few tokens, and no two hops the same ones.

    Attributes:
        size: numbers per tweet.
    """

    def __init__(self, state_size: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config.attention
        self.size = state_size * self.config.r
        self.hidden = nn.Linear(state_size, self.config.d_a, bias=False)
        self.hops = nn.Linear(self.config.d_a, self.config.r, bias=False)

    def forward(self, states: Tensor, batch: Batch) -> Pooled:
        """Vectors of shape (batch, r * state_size); the penalty is None in evaluation or if its weight is 0."""
        scores = self.hops(torch.tanh(self.hidden(states))).transpose(1, 2)  # (batch, r, time)
        if batch.padded:
            scores = scores.masked_fill(~batch.mask[:, None], -torch.inf)
        attention = torch.softmax(scores.float(), dim=2).to(states.dtype)
        vectors = (attention @ states).flatten(1)
        if not (self.config.penalty and self.training):
            return vectors, attention, None
        overlap = attention @ attention.transpose(1, 2) - torch.eye(self.config.r, device=attention.device)
        penalty = self.config.penalty * overlap.square().sum((1, 2)).mean()
        return vectors, attention, penalty


CELLS: Mapping[str, Callable[..., nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentLayers(nn.Module):
    """A stack of unidirectional RNNs for each direction; the backward ones read reversed tweets.

    `nn.LSTM(bidirectional=True)` would need packed sequences, with which cuDNN and oneDNN do not use their fast
    kernels, and `nn.LSTM(dropout=...)` has a random state on the GPU that cannot be saved. Unidirectional layers on
    reversed tweets, with dropout between them, need neither.

    Attributes:
        size: numbers per state: hidden_size times the number of directions.
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

    def forward(self, vectors: Tensor, batch: Batch) -> Tensor:
        """States of all tokens, the forward half first. Shape (batch, time, size)."""
        positions = _swapped_positions(batch) if self.backward_nets and batch.padded else None
        for layer, net in enumerate(self.forward_nets):
            if layer:
                vectors = self.dropout(vectors)
            states, _ = net(vectors)
            if self.backward_nets:
                backward, _ = self.backward_nets[layer](reverse_tweets(vectors, positions))
                states = torch.cat([states, reverse_tweets(backward, positions)], dim=2)
            vectors = states
        return vectors


def _swapped_positions(batch: Batch) -> Tensor:
    """(batch * time,): for each position of the flattened batch, the position of its token in the reversed tweets."""
    rows, time = batch.token_ids.shape
    positions = torch.arange(time, device=batch.lengths.device).expand(rows, time)
    lengths = batch.lengths[:, None]
    swapped = torch.where(positions < lengths, lengths - 1 - positions, positions)
    return (swapped + torch.arange(rows, device=swapped.device)[:, None] * time).flatten()


class _Reverse(torch.autograd.Function):
    """Reversal is its own inverse, so its gradient is a gather as well, which is deterministic on every device."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, positions: Tensor | None) -> Tensor:
        ctx.positions = positions
        if positions is None:
            return states.flip(1)
        return states.flatten(0, 1).index_select(0, positions).view_as(states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return reverse_tweets(gradients[0], ctx.positions), None


# Reverses each tweet of (batch, time, size); `positions` are `_swapped_positions`, None if no tweet is padded.
reverse_tweets: Callable[[Tensor, Tensor | None], Tensor] = _Reverse.apply


class Output(NamedTuple):
    """A classifier's output for a batch."""

    logits: Tensor  # (batch, classes); of two classes (batch, 1), the log-odds of the second one
    attention: Tensor | None  # (batch, r, time) with attention pooling, the weights of each hop sum to 1
    penalty: Tensor | None  # (), a term of the training loss


class HiddenLayers(nn.Module):
    """Linear layers with ReLU on a tweet's pooled vector, with dropout between them: a feed-forward network."""

    def __init__(self, input_size: int, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.hidden_size
        sizes = [input_size] + [config.hidden_size] * (config.layers - 1)
        self.layers = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in sizes)
        self.dropout = Dropout(config.dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            vectors = torch.relu(layer(self.dropout(vectors) if number else vectors))
        return vectors


class Classifier(nn.Module):
    """Classifies tweets from the vectors of any token embedding, or from a single vector per tweet (`one_state`)."""

    def __init__(
        self,
        embedding: LearnedEmbedding | FrozenEmbedding | FineTuned,
        config: ModelConfig,
        classes: int,
        one_state: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = RecurrentLayers(embedding.size, config) if config.kind == "rnn" else None
        states = self.encoder.size if self.encoder else embedding.size
        attentive = config.pooling == "attention" and not one_state
        self.pooling = SelfAttention(states, config) if attentive else FixedPooling(states, config, one_state)
        self.hidden = HiddenLayers(self.pooling.size, config) if config.kind == "feed_forward" else None
        self.dropout = Dropout(config.dropout)
        logits = 1 if classes == 2 else classes
        self.output = nn.Linear(self.hidden.size if self.hidden else self.pooling.size, logits)

    def forward(self, batch: Batch) -> Output:
        states = self.embedding(batch)
        if self.encoder is not None:
            states = self.encoder(states, batch)
        vectors, attention, penalty = self.pooling(states, batch)
        if self.hidden is not None:
            vectors = self.hidden(vectors)
        return Output(self.output(self.dropout(vectors)), attention, penalty)


def build_classifier(
    config: RunConfig,
    vocabulary_size: int,
    files: EncoderFiles | None = None,
    vectors: Floats | None = None,
) -> Classifier:
    """Build the network of a configuration, with random weights from torch's generator.

    On torch's device `meta`, weights have a shape and no values, apart from those of an encoder that is fine-tuned.

    Args:
        vocabulary_size: number of learned token vectors, including those for padding and unknown tokens.
        files: the files of the run's encoder; None for a run without one.
        vectors: initial token vectors, (vocabulary_size, embedding.size); None initialises them randomly.
    """
    classes = len(config.data.label_names)
    section = config.any_encoder
    if section is None or files is None:
        return Classifier(LearnedEmbedding(vocabulary_size, config.embedding, vectors), config.model, classes)
    if config.finetunes:
        return Classifier(FineTuned(files), config.model.model_copy(update={"pooling": "mean"}), classes)
    learned = None
    if section.combine == "beside":
        learned = LearnedEmbedding(vocabulary_size, config.embedding, vectors)
    embedding = FrozenEmbedding(section, files.vector_size, learned)
    return Classifier(embedding, config.model, classes, config.reads_tweet_vectors)


def input_ids(model: Classifier, vocabulary: Vocabulary, rows: TokenRows) -> tuple[Indices, Rows]:
    """Token ids (n,) in the vocabulary of the model, or of the encoder that it fine-tunes; and the tweets' offsets."""
    if isinstance(model.embedding, FineTuned):
        return model.embedding.pieces(rows)
    return vocabulary.encode(rows.types)[rows.token_ids], rows.offsets


# Tokens per batch on a CPU, so that the states fit into a core's cache; EVALUATION_TOKENS is for GPUs.
_BATCH_TOKENS = 4096


def predict(
    model: Classifier,
    store: TokenStore,
    rows: Rows,
    check: Callable[[], None] = lambda: None,
    max_tokens: int = EVALUATION_TOKENS,
) -> Probabilities:
    """Probabilities of the classes for each of `rows`, in their order, of shape (len(rows), classes).

    Args:
        check: called between batches; may raise to abort the evaluation.
        max_tokens: of a batch, with padding.
    """
    logits = []
    with evaluation_mode(model):
        for batch in store.in_order_of_length(rows, max_tokens):
            check()
            logits.append(model(batch).logits)
    by_length = _probabilities(torch.cat(logits).double()).cpu().numpy()
    probabilities = np.empty(by_length.shape)
    probabilities[np.argsort(store.lengths[rows], kind="stable")] = by_length
    return probabilities


def _probabilities(logits: Tensor) -> Tensor:
    """The probabilities of the classes, (tweets, classes), from logits as in `Output`."""
    if logits.shape[1] > 1:
        return torch.softmax(logits, dim=1)
    second = torch.sigmoid(logits)
    return torch.cat([1 - second, second], dim=1)


def attention_of(model: Classifier, batch: Batch) -> Tensor | None:
    """The attention weight of each token in each hop, (batch, r, time); None for a model without attention."""
    with evaluation_mode(model):
        attention: Tensor | None = model(batch).attention
    return attention


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Disable dropout and gradients within the context, and restore the previous mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


class NetworkModel(TextModel):
    """Classifies texts by the network of a run."""

    kind = "network"

    def __init__(
        self,
        config: RunConfig,
        vocabulary: Vocabulary,
        model: Classifier,
        encoder: Encoder | None,
        device: torch.device,
        temperature: float,
    ) -> None:
        """Move the model to `device`; `encoder` is as `frozen_encoder` returns it."""
        self.config = config
        self.uses_all_cores = config.any_encoder is not None
        self.tokenize = Tokenizer(config.data.text)
        self._vocabulary = vocabulary
        self._model = model.eval().to(device)
        self._encoder = encoder
        self._device = device
        self._temperature = temperature

    def classify(self, rows: TokenRows) -> Predictions:
        """See `TextModel`. Known tokens are those of the vocabulary; with an encoder, all tokens."""
        if not rows.size:
            return Predictions(np.empty((0, len(self.config.data.label_names))), np.empty(0, bool))
        max_tokens = _BATCH_TOKENS if self._device.type == "cpu" else EVALUATION_TOKENS
        probabilities = predict(self._model, self._store(rows), np.arange(rows.size), max_tokens=max_tokens)
        return Predictions(calibrated(probabilities, self._temperature), self._usable(rows))

    def attention(self, tokens: list[str]) -> list[float] | None:
        """Attention weights averaged over all hops; None without attention, and for a text without tokens."""
        (batch,) = self._store(TokenRows.of_tweets([tokens])).in_order_of_length(np.zeros(1, np.int64))
        hops = attention_of(self._model, batch)
        if hops is None or not tokens:
            return None
        return hops[0].mean(0).tolist()

    def _usable(self, rows: TokenRows) -> Flags:
        if self.config.any_encoder:
            return np.diff(rows.offsets) > 0
        return rows.have_type(self._vocabulary.encode(rows.types) != UNKNOWN)

    def _store(self, rows: TokenRows) -> TokenStore:
        section = self.config.any_encoder
        vectors = None
        if self._encoder and section:
            vectors = FreshVectors(self._encoder, rows, layers_of(section), self._device)
        polarity = token_ratings(rows) if self.config.embedding.polarity else None
        ids, offsets = input_ids(self._model, self._vocabulary, rows)
        no_labels = np.zeros(rows.size, np.int64)
        return TokenStore(ids, offsets, no_labels, self._device, vectors, polarity)


def recorded_files(config: RunConfig, recorded: EncoderRecord | None, results: Results) -> EncoderFiles | None:
    """The files of the encoder that a run was trained with, or whose weights it started from; None without one.

    Args:
        recorded: the run's record of the encoder, which is compared with the files; None compares nothing.

    Raises:
        EncoderError: the encoder is missing or damaged.
        RunDirError: the files here are not those of the record.
    """
    files = find_model(config, results)
    if recorded and files and recorded.fingerprint != files.fingerprint:
        raise RunDirError(
            f"{config.title}: was trained with other weights than those of {recorded.model!r} on this machine"
        )
    return files


def frozen_encoder(config: RunConfig, files: EncoderFiles | None, device: torch.device) -> Encoder | None:
    """The encoder whose vectors a network reads; None without one, or if it is fine-tuned, a part of the network."""
    section = config.any_encoder
    if section is None or files is None or config.finetunes:
        return None
    return build_encoder(section, files, device)
