"""The sections `embedding`, `elmo` and `model`, from tokens to one logit."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from sentiment.config.pretraining import PRETRAINED, PRETRAINED_MODELS
from sentiment.config.section import PositiveFloat, Probability, Section, Size
from sentiment.config.vectors import PUBLISHED_VECTORS

CellName = Literal["lstm", "gru"]
PoolingName = Literal["last", "mean", "max", "mean+max", "attention"]
POOLING_NAMES = get_args(PoolingName)

ELMO_MODELS = ("small", "medium", "original", "original-5.5b", "tiny")
"""Values of `elmo.model` that are names; any other value is the path of a folder."""


class EmbeddingConfig(Section):
    """Token vectors that are learned with the model."""

    size: Size = 100
    """Numbers per token."""
    initial_std: PositiveFloat = 0.1
    """Standard deviation of the initial random vectors; the larger it is, the slower they change relatively."""
    pretrained: str | None = None
    """Initial vectors of known tokens, each of `size` numbers: `word2vec` or `fasttext`, learned from text as the
    section `vectors` says (`make vectors`, or by the first run); `glove-twitter-25`, `-50`, `-100` or `-200`, published
    (`make vectors` fetches them); or the path of a text file in the format of GloVe or word2vec. None, also written
    `none`, starts from random ones."""
    trainable: bool = True
    """Whether training changes the vectors."""
    dropout: Probability = 0.0
    """Fraction of each token vector's numbers that is set to zero in training."""
    token_dropout: Probability = 0.0
    """Fraction of the tokens that is read as unknown in training, which reduces overfitting on small corpora."""
    polarity: bool = False
    """Whether each vector has one number more: how positive people rated the word, turned after a negation. It stays as
    it is where the token is read as unknown."""

    @field_validator("pretrained", mode="before")
    @classmethod
    def _none_may_be_a_word(cls, value: object) -> object:
        """W&B's agent writes None as a text; a file of this name is written `./none`."""
        return None if value == "none" else value

    @model_validator(mode="after")
    def _published_vectors_have_their_size(self) -> Self:
        size = PUBLISHED_VECTORS.get(self.pretrained or "", self.size)
        if size != self.size:
            raise ValueError(
                f"{self.pretrained} has {size} numbers per token, but size is {self.size}; set it to {size}"
            )
        return self


class ElmoConfig(Section):
    """Vectors of a frozen, published ELMo model (Peters et al. 2018), computed once per corpus and then read."""

    model: str = "small"
    """`small`, `medium`, `original` or `original-5.5b` (`make elmo-weights` downloads them), `tiny` (random weights for
    tests), the path of a folder or zip with a model in their format, or `pretrained/` with `tweet`, `small`, `medium`,
    `original` or `tiny`: a model of this size, trained on the run's own text as the section `pretraining` says (`make
    pretrain`). `none` is no ELMo."""
    layers: Literal["token", "first", "top", "mix"] = "mix"
    """The context-free vectors, those of the first or the top LSTM layer, or a learned weighted mean of all three."""
    combine: Literal["alone", "beside"] = "beside"
    """Whether the classifier reads ELMo's vectors alone, or concatenated with the learned vectors of `embedding`."""
    dropout: Probability = 0.0
    """Fraction of each ELMo vector's numbers that is set to zero in training."""
    state: Literal["zero", "warm"] = "warm"
    """The LSTMs' state at the beginning of a tweet: `zero`, with which own models are trained, and their default; or
    `warm`, the state after a fixed text, much closer to the running state that published ones were trained with."""
    backend: Literal["own", "allennlp"] = "own"
    """The implementation that computes the vectors: this project's, or allennlp's, which is slow."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the encoder's matrix products."""
    cache: Literal["on", "off"] = "on"
    """`off` computes the vectors again for each batch; with backend `allennlp` that is always done."""

    @model_validator(mode="before")
    @classmethod
    def _own_models_begin_with_zeros(cls, values: Any) -> Any:
        """Unless the configuration says otherwise."""
        own = isinstance(values, dict) and str(values.get("model", "")).startswith(PRETRAINED)
        return {"state": "zero", **values} if own else values

    @field_validator("model")
    @classmethod
    def _own_model_has_a_known_size(cls, model: str) -> str:
        if model.startswith(PRETRAINED) and model not in PRETRAINED_MODELS:
            raise ValueError(f"is no size of an own model; valid: {', '.join(PRETRAINED_MODELS)}")
        return model

    @property
    def pretrained(self) -> bool:
        """Whether it is a model that is trained on the run's own text."""
        return self.model in PRETRAINED_MODELS

    @property
    def cached(self) -> bool:
        """Whether the vectors are computed once and stored."""
        return self.cache == "on" and self.backend == "own"

    @model_validator(mode="after")
    def _backend_has_the_precision(self) -> Self:
        if self.backend == "allennlp" and self.precision != "fp32":
            raise ValueError(f"backend 'allennlp' does not support precision {self.precision!r}; valid: fp32")
        return self


class AttentionConfig(Section):
    """Structured self-attention (Lin et al. 2017) on states H: A = softmax(W2 tanh(W1 H^T)) weights r means A H."""

    d_a: Size = 10
    """Units of its hidden layer."""
    r: Size = 5
    """Number of hops, that is, of distributions over the tokens."""
    penalty: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the mean of ||A A^T - I||^2 (Frobenius norm) in the loss, which makes hops differ."""


class ModelConfig(Section):
    """The classifier: from token vectors to one logit."""

    kind: Literal["feed_forward", "rnn"] = "rnn"
    """`feed_forward` pools the token vectors themselves; `rnn` pools the states of a recurrent network."""
    cell: CellName = "lstm"
    """Of the recurrent network, see `sentiment.models.rnn`."""
    hidden_size: Size = 64
    """Units per layer and direction."""
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    bidirectional: bool = True
    pooling: PoolingName = "mean+max"
    """How all states become one vector, see `sentiment.models.pooling`; `last` takes the last of each direction."""
    dropout: Probability = 0.0
    """Between layers, and before the output."""
    attention: AttentionConfig = AttentionConfig()
    """Only used with `pooling: attention`."""

    @model_validator(mode="after")
    def _feed_forward_network_has_no_last_state(self) -> Self:
        if self.kind == "feed_forward" and self.pooling == "last":
            valid = ", ".join(name for name in POOLING_NAMES if name != "last")
            raise ValueError(f"pooling 'last' needs model.kind 'rnn'; valid with 'feed_forward': {valid}")
        return self


class CombinationConfig(Section):
    """A mean of the networks of completed runs, which `python -m sentiment combine` writes and nobody trains."""

    members: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
    """Their places in the folder of runs, such as `single/bilstm64-mean_max-s1-a61ddac4`."""
