"""The one schema of a run: what is trained on which data, how, and (apart from its identity) on what machine."""

from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sentiment.files import fingerprint

Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Treatment = Literal["keep", "mask", "remove"]
Labels = Annotated[tuple[str, ...], Field(strict=False)]

# What a run is about is its identity; on which machine and how often it saves is not.
OPERATIONAL_SECTIONS = ("description", "tracking", "runtime")


class Section(BaseModel):
    """Base of all sections: frozen, and strict about unknown keys, types and ranges."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ColumnConfig(Section):
    """Which columns of a table hold what: a header's name, or a position counted from 0."""

    text: str | int = "text"
    """The tweet."""
    label: str | int = "label"
    """The class; `labels` says what its values mean."""
    user: str | int | None = None
    """The author; where there is one, all tweets of an author stand on the same side of the split."""
    id: str | int | None = None
    """The tweet's own identifier; without one, the row's number in its file."""


class LabelConfig(Section):
    """What the values of the label column mean, compared as text without case or outer blanks."""

    negative: Labels = ("0", "-1", "negative", "neg")
    positive: Labels = ("1", "4", "positive", "pos")
    ignored: Labels = ("2", "neutral")
    """Rows with these labels are counted and left out."""

    @model_validator(mode="after")
    def _labels_are_disjoint(self) -> Self:
        groups = [{label.strip().lower() for label in group} for group in (self.negative, self.positive, self.ignored)]
        shared = groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        if shared:
            raise ValueError(f"each label may have one meaning only, but {sorted(shared)} have several")
        return self


class TextConfig(Section):
    """How a tweet's text becomes tokens, in the order of the fields."""

    unescape_html: bool = True
    """`&amp;` becomes `&`, `&lt;3` becomes `<3`; without it entities are torn into meaningless pieces."""
    urls: Treatment = "mask"
    """`mask` puts one token `<url>` for every link, so that thousands of types seen once become one."""
    mentions: Treatment = "mask"
    """`mask` puts one token `<user>` for every @name: that somebody is addressed counts, not who."""
    hashtags: Literal["keep", "split", "remove"] = "keep"
    """`split` drops the `#`, so that `#happy` shares the meaning of `happy`."""
    emoticons: Treatment = "keep"
    """`mask` puts `<smile>`, `<frown>` or `<emoticon>`; `remove` shows what words alone can do."""
    shorten_elongations: bool = True
    """`sooooo` becomes `sooo`: three repeats at most, so that emphasis stays visible but spellings unite."""
    lowercase: bool = True
    """All words in lower case (emoticons such as `:D` keep theirs); ELMo wants this off."""
    stop_words: Literal["none", "all", "keep_negations"] = "none"
    """`all` removes NLTK's English list, negations included, and costs accuracy; `keep_negations` spares those."""


class VocabularyConfig(Section):
    """Which token types get a vector of their own; all others share the one for unknown tokens."""

    min_count: PositiveInt = 2
    """A type must occur this often in the training part."""
    max_size: PositiveInt = 50_000
    """At most this many types, the most frequent first."""


class DataConfig(Section):
    """Where the tweets come from, how they are labelled, cleaned and split."""

    source: str = "vader"
    """`vader` (4,200 rated tweets), `sample` (some of them), `sentiment140`, or the path of a table."""
    second_test: str | None = None
    """Path of a second test set with the same columns; `sentiment140` brings its own, 498 tweets labelled by hand."""
    columns: ColumnConfig = ColumnConfig()
    labels: LabelConfig = LabelConfig()
    neutral_band: Annotated[float, Field(ge=0)] = 0.5
    """Rated tweets (`vader`: -4 to 4) whose mean rating is nearer to zero than this are left out."""
    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    max_rows: PositiveInt | None = None
    """Keep about this many rows, chosen by the hash that also splits; None keeps all."""
    text: TextConfig = TextConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction + test_fraction must be below 1, or no row is left to train on")
        return self


class EmbeddingConfig(Section):
    """Vectors of the tokens, learned with the model."""

    size: PositiveInt = 100
    """Numbers per token."""
    initial_std: PositiveFloat = 0.1
    """Standard deviation of the random numbers that vectors start from; larger ones change more slowly."""
    pretrained: str | None = None
    """A text file of vectors (GloVe or word2vec format) from which known tokens start; its width must be `size`."""
    trainable: bool = True
    """Whether training changes the vectors."""
    dropout: Probability = 0.0
    """Share of each token vector's numbers that is zeroed in training."""
    token_dropout: Probability = 0.0
    """Share of the tokens that is read as unknown in training, which keeps small data from being learned by heart."""


class ElmoConfig(Section):
    """Vectors of a frozen, published ELMo model (Peters et al. 2018), computed once per corpus and then read."""

    model: str = "small"
    """`small`, `medium`, `original`, `original-5.5b` (`make elmo-weights` fetches them), `tiny` (random numbers, for
    tests) or the folder of a model in the same format."""
    layers: Literal["token", "first", "top", "mix"] = "mix"
    """The context-free vectors, those of either LSTM layer, or a mean of all three with learned weights."""
    combine: Literal["alone", "beside"] = "beside"
    """Whether the classifier reads ELMo alone, or ELMo beside the learned vectors of `embedding`."""
    dropout: Probability = 0.0
    """Share of each ELMo vector's numbers that is zeroed in training."""
    layer_norm: bool = False
    """With `mix`: whether each layer is brought to mean 0 and variance 1 first."""
    state: Literal["zero", "warm", "carry"] = "warm"
    """In which an LSTM begins a tweet: `zero`; `warm`, always that after a fixed text, which is much nearer to the
    running state that the model was trained with; `carry`, what the batch before left, as allennlp does: for comparison
    only, since vectors then depend on the order of batches."""
    backend: Literal["own", "allennlp"] = "own"
    """Whose code computes: this project's, or allennlp's, which is slow."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the encoder's matrix products."""
    storage: Literal["fp16", "fp32"] = "fp16"
    """Of the cached vectors."""
    cache: Literal["on", "off"] = "on"
    """`off` computes the vectors anew for every batch, as is always done with state `carry` or backend `allennlp`."""

    @property
    def cached(self) -> bool:
        """Whether the vectors are computed once."""
        return self.cache == "on" and self.state != "carry" and self.backend == "own"

    @model_validator(mode="after")
    def _backend_has_the_precision(self) -> Self:
        if self.backend == "allennlp" and self.precision != "fp32":
            raise ValueError(f"precision {self.precision!r} is not known to backend 'allennlp'; valid there: fp32")
        return self


class AttentionConfig(Section):
    """Structured self-attention (Lin et al. 2017): A = softmax(W2 tanh(W1 H^T)), r weighted means of the states H."""

    d_a: PositiveInt = 10
    """Units of the hidden layer."""
    r: PositiveInt = 5
    """Hops: how many distributions over the tokens."""
    penalty: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the mean of ||A A^T - I||^2 (Frobenius), which pushes the hops apart."""


class ModelConfig(Section):
    """The classifier between the token vectors and the one logit."""

    kind: Literal["feed_forward", "rnn"] = "rnn"
    """`feed_forward` pools the token vectors themselves; `rnn` pools the states of a recurrent net."""
    cell: Literal["lstm", "gru"] = "lstm"
    hidden_size: PositiveInt = 64
    """Units per layer and direction."""
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    bidirectional: bool = True
    pooling: Literal["last", "mean", "max", "mean+max", "attention"] = "mean+max"
    """How the states of all tokens become one vector; `last` takes the last state of each direction."""
    dropout: Probability = 0.0
    """Between layers and before the output."""
    attention: AttentionConfig = AttentionConfig()
    """Used with `pooling: attention` only."""

    @model_validator(mode="after")
    def _a_feed_forward_net_has_no_last_state(self) -> Self:
        if self.kind == "feed_forward" and self.pooling == "last":
            raise ValueError("pooling 'last' needs model.kind 'rnn'; valid here: mean, max, mean+max, attention")
        return self


class EarlyStoppingConfig(Section):
    """When to end before the last epoch, and which epoch's weights are the best."""

    metric: Literal["loss", "accuracy", "f1"] = "loss"
    """Of the validation part; loss is better when lower, the others when higher."""
    patience: PositiveInt | None = 3
    """End after this many epochs without a better value; None trains all epochs."""


class TrainingConfig(Section):
    """Optimisation: binary cross-entropy on logits."""

    optimizer: Literal["adam", "adamw", "rmsprop", "adagrad", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    clip: PositiveFloat | None = 1.0
    """Largest norm of the gradient of all weights together; None does not clip."""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """The optimiser's weight decay."""
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Automatic mixed precision with bf16 or fp16 (with gradient scaling); CUDA only."""
    log_every: PositiveInt = 50
    """Steps between two rows of training loss in the metric log; each epoch adds one row of all metrics."""
    accuracies: Annotated[tuple[Fraction, ...], Field(strict=False)] = (0.7, 0.75, 0.78, 0.8, 0.85)
    """Validation accuracies for which the result says after how many epochs they were first reached."""
    overfit_gap: Fraction = 0.05
    """A run overfits if, at its best epoch, training accuracy exceeds validation accuracy by more than this."""


class TrackingConfig(Section):
    """Where the metric log is copied to; `metrics.jsonl` is always written."""

    wandb: Literal["auto", "offline", "online", "disabled"] = "auto"
    """Weights & Biases; `auto` is `offline` in Slurm's tasks and `disabled` elsewhere."""
    project: str = "sentiment"
    """At W&B."""
    entity: str | None = None
    """The user or team at W&B that runs belong to; None takes the account's own."""


class CheckpointConfig(Section):
    """When to save; by default as often as is optimal for the measured cost of saving (Young 1974)."""

    every_steps: PositiveInt | None = None
    """Save after every so many steps instead."""
    mtbf_hours: PositiveFloat = 6.0
    """Mean time between failures that Young's interval, sqrt(2 x cost x MTBF), assumes."""


class RuntimeConfig(Section):
    """The machine: none of it is part of the run's identity."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """`auto` takes the first CUDA GPU, else the CPU."""
    threads: PositiveInt | None = None
    """CPU threads for tensor operations; None takes the cores that this process may use, at most 8."""
    deterministic: bool = True
    """Refuse operations whose result differs from call to call, so that a resumed run equals an uninterrupted one."""
    time_limit_seconds: PositiveFloat | None = None
    """Save and stop before this much time has passed, where Slurm does not set an end (SLURM_JOB_END_TIME)."""
    checkpoint: CheckpointConfig = CheckpointConfig()


class RunConfig(Section):
    """One resolved configuration: all that a run needs to know."""

    description: str = ""
    """What the run is for, in a sentence; not part of its identity."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Of the weights, the order of the batches and dropout."""
    data: DataConfig = DataConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    elmo: ElmoConfig | None = None
    """None trains without ELMo."""
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tracking: TrackingConfig = TrackingConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    def identity(self) -> dict[str, Any]:
        """The resolved configuration without operational and absent sections, as plain JSON values."""
        values = self.model_dump(mode="json")
        absent = {name for name, value in values.items() if value is None}
        return {name: value for name, value in values.items() if name not in {*OPERATIONAL_SECTIONS, *absent}}

    def unused_fields(self) -> tuple[str, ...]:
        """How the dotted names of fields begin that do nothing in this run."""
        unused: tuple[str, ...] = () if self.model.pooling == "attention" else ("model.attention.",)
        if self.model.kind == "feed_forward":
            unused += ("model.cell", "model.bidirectional")
        if self.elmo and self.elmo.combine == "alone":
            unused += ("embedding.",)
        if self.elmo and self.elmo.layers != "mix":
            unused += ("elmo.layer_norm",)
        return unused

    def fingerprint(self) -> str:
        """SHA-256 of the identity: equal for two configurations that ask the same question."""
        return fingerprint(self.identity())

    @property
    def run_id(self) -> str:
        """A readable prefix and 8 hexadecimal digits of the fingerprint; a valid file name."""
        return f"{self._prefix()}-{self.fingerprint()[:8]}"

    def _prefix(self) -> str:
        model = self.model
        name = "ff" if model.kind == "feed_forward" else ("bi" if model.bidirectional else "") + model.cell
        depth = f"{model.layers}x" if model.layers > 1 else ""
        elmo = f"elmo_{PurePath(self.elmo.model).name}_{self.elmo.layers}-" if self.elmo else ""
        return f"{elmo}{name}{depth}{model.hidden_size}-{model.pooling.replace('+', '_')}-s{self.seed}"
