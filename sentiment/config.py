"""Configuration schema of a run: data, model, training, and the machine, which is not part of a run's identity.

Only pydantic is imported: reading a configuration loads neither torch nor any data.
"""

import os
import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from sentiment.data.built_in import BUILT_IN, whole_source
from sentiment.data.classes import DEFAULT_CLASSES, Classes, ClassWeights, ConfiguredClasses, polar_classes
from sentiment.data.table import Reason
from sentiment.files import fingerprint, plain_path

Values = dict[str, Any]  # of the fields of a section by name, or of all fields by dotted name
Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=1_000_000)]  # of a vector
PositiveFloat = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Base of all sections: frozen, and strict about unknown keys, types and ranges."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Treatment = Literal["keep", "mask", "remove"]
PARTS = ("train", "validation", "test")  # of a run's own tweets


class ColumnConfig(Section):
    """The columns to read from a table: names from its header, or positions counted from 0."""

    text: str | int = "text"
    label: str | int = "label"  # `labels` says what its values mean
    user: str | int | None = None  # the author; with it, all tweets of an author are in the same part
    id: str | int | None = None  # default: the line number; in Parquet and .xlsx files the row number
    # The part of a tweet: train, validation (dev, val) or test; None: by hash. Stored configurations omit None.
    part: Annotated[str | int | None, Field(exclude_if=lambda column: column is None)] = None


# Whether quotes enclose fields in a delimited file; False: they are characters. None: they do, but where a text in
# quotes seems to hold rows, that is asked. Stored configurations omit None.
Quotes = Annotated[bool | None, Field(exclude_if=lambda quotes: quotes is None)]

Reasons = Annotated[
    tuple[Annotated[Reason, Field(strict=False)], ...], Field(strict=False, exclude_if=lambda reasons: not reasons)
]


class TextConfig(Section):
    """Cleaning of a tweet's text, in the order of the fields, before it is split into tokens.

    HTML entities are always unescaped (`&lt;3` becomes `<3`), and elongations shortened (`sooooo` becomes `sooo`).
    """

    urls: Treatment = "mask"  # `mask` replaces each link by the token `<url>`
    mentions: Treatment = "mask"  # `mask` replaces each @name by the token `<user>`
    hashtags: Literal["keep", "split", "remove"] = "keep"  # `split` removes the `#`: `#happy` and `happy` are the same
    lowercase: bool = True  # except emoticons; turn it off for ELMo; with an `encoder`, its own tokeniser decides
    # `all` removes NLTK's English stop words including negations, which lowers accuracy.
    stop_words: Literal["none", "all", "keep_negations"] = "none"


class VocabularyConfig(Section):
    """Selection of the token types that get a vector of their own; all others share the vector of unknown tokens."""

    min_count: PositiveInt = 2  # a type must occur at least this often in the training part
    max_size: PositiveInt = 50_000  # maximum size; the most frequent types are kept


def _checked_test_name(name: str) -> str:
    if name in PARTS:
        raise ValueError(f"{name!r} names a part of the run's own tweets; give the test set another name")
    return name


def _matching(pattern: str, valid: str) -> AfterValidator:
    """A validator that raises unless a text matches `pattern`; `valid` completes the error message."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"{text!r} is not {valid}")
        return text

    return AfterValidator(check)


_LETTERS_FIRST = _matching(
    "[A-Za-z][A-Za-z0-9_-]*", "valid; a name starts with a letter, followed by letters, digits, _ or -"
)
Language = Annotated[str, _matching("[a-z]{2,3}", "the code of a language, such as en or de")]
Device = Annotated[str, _matching("auto|cpu|cuda(:(0|[1-9][0-9]?))?", "a device; valid: auto, cpu, cuda, cuda:1")]
PartName = Annotated[str, Field(max_length=40), _LETTERS_FIRST]
TestName = Annotated[PartName, AfterValidator(_checked_test_name)]


class LabelledTable(Section):
    """An additional table of labelled tweets, or a built-in source, as in `data.source`."""

    path: str
    columns: ColumnConfig = ColumnConfig()
    quotes: Quotes = None
    labels: ConfiguredClasses | None = None  # of the data's classes; None: those of `data.labels`


class ExtraTable(LabelledTable):
    """A table used only for training."""

    # Sample weight of each of its tweets in the loss; tweets of the source have weight 1. A weight above 1 lets a few
    # hand-labelled tweets balance many distantly labelled ones.
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0


def is_path(source: str) -> bool:
    """Whether a source is the path of a file or folder: it has an extension or a separator, or begins with `~`."""
    return bool(PurePath(source).suffix) or source.startswith("~") or os.sep in source


def is_source_name(source: str) -> bool:
    """Whether a source is the name of a built-in one: anything but a path."""
    return not is_path(source)


def is_folder(model: str) -> bool:
    """Whether an encoder is given as a folder path; a slash alone does not tell, since Hub names contain one."""
    return model.startswith((".", "/", "~"))


class DataConfig(Section):
    """Source of the tweets, and how they are labelled, cleaned and split."""

    # `vader` (4,200 rated tweets), `sample` (1,000 of them), `sentiment140`, `tweeteval`, or the path of a table.
    source: str = "vader"
    # External test sets, by name: `{airline: {path: airline.csv}}`. Their tweets and authors are excluded from
    # training. Of `sentiment140` the 498 hand-labelled tweets are used; as `data.source` it adds the test set `manual`.
    tests: Annotated[dict[TestName, LabelledTable], Field(max_length=100)] = {}
    columns: ColumnConfig = ColumnConfig()
    quotes: Quotes = None
    leave_out: Reasons = ()  # of all tables
    # Rated words, lexicon and check list are English, and left out for another language. Stored files omit `en`.
    language: Annotated[Language, Field(exclude_if=lambda code: code == "en")] = "en"
    # Of a built-in source, only the names and their number have an effect; `tweeteval` has three classes by default.
    labels: ConfiguredClasses = DEFAULT_CLASSES
    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    text: TextConfig = TextConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    # Additional training tables; tweets whose text or author is in validation or in a test set are dropped.
    extra_train: Annotated[tuple[ExtraTable, ...], Field(strict=False)] = ()
    # Size of the training subset, chosen by hash: subsets are nested, and validation and test do not change.
    train_rows: PositiveInt | None = None
    # Cross-validation folds, formed by hash, in place of `test_fraction`; the report pools their test predictions.
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    fold: PositiveInt | None = None  # the fold that is tested on, counted from 1

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the classes, from the most negative to the most positive."""
        return self.labels.names

    @property
    def is_english(self) -> bool:
        """Whether the English word ratings, lexicon and check list fit the tweets."""
        return self.language == "en"

    @property
    def has_own_parts(self) -> bool:
        """Whether the source says which of its tweets are for training, validation and test."""
        if self.source in BUILT_IN:
            return BUILT_IN[self.source].has_parts
        return is_path(self.source) and self.columns.part is not None

    @property
    def external_tests(self) -> dict[str, LabelledTable]:
        """The test sets, sorted by name, but for parts of `source` itself, such as `manual` of Sentiment140."""
        own = whole_source(self.source)
        return {name: table for name, table in sorted(self.tests.items()) if whole_source(table.path) != own}

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _all_tables_have_the_same_classes(self) -> Self:
        """Give the labels of all tables the names and the order of the data's classes."""
        is_default = self.source in BUILT_IN and "labels" not in self.model_fields_set
        names = BUILT_IN[self.source].classes if is_default else self.label_names

        def labels_of(path: str, labels: Classes) -> Classes:
            return polar_classes(names) if is_source_name(path) else labels.renamed(names)

        def relabelled(table: LabelledTable) -> LabelledTable:
            return table.model_copy(update={"labels": labels_of(table.path, table.labels or own)})

        own = labels_of(self.source, self.labels)
        self.__dict__["tests"] = {name: relabelled(table) for name, table in self.tests.items()}
        self.__dict__.update(labels=own, extra_train=tuple(map(relabelled, self.extra_train)))
        return self

    @model_validator(mode="after")
    def _split_is_possible(self) -> Self:
        if self.folds is not None and self.has_own_parts:
            raise ValueError(f"data.folds is {self.folds}, but the tweets of {self.source} have parts of their own")
        if self.folds is None and self.fold is not None:
            raise ValueError(f"fold {self.fold} needs data.folds, the number of folds; data.folds=5 is usual")
        if self.folds is not None and (self.fold is None or self.fold > self.folds):
            raise ValueError(f"data.fold is {self.fold}; with data.folds={self.folds} it must be 1 to {self.folds}")
        name = f"1/{self.folds}, the share of a fold," if self.folds else "test_fraction"
        if self.validation_fraction + (1 / self.folds if self.folds else self.test_fraction) >= 1:
            raise ValueError(f"validation_fraction plus {name} must be below 1; otherwise no row is left to train on")
        return self


WORD2VEC = "word2vec"  # this value of `embedding.pretrained` learns the vectors as VectorsConfig describes


class TextFile(Section):
    """A file of tweets whose text is read, without labels."""

    path: str  # one tweet a line (`.txt`), or a table in any format that `data.source` takes; each also with `.gz`
    column: str | int = "text"  # of a table: name, or index from 0
    quotes: Quotes = None


class VectorsConfig(Section):
    """Skip-gram with negative sampling (Mikolov et al. 2013).

    The model knows the types of the training tweets, and others that have a vector, up to `data.vocabulary.max_size`.
    """

    # Unlabelled text used besides the training tweets; tweets of validation and test are excluded.
    unlabelled: Annotated[tuple[TextFile, ...], Field(strict=False)] = ()
    epochs: PositiveInt = 10
    # Independent of the run's seed, so that runs with different seeds share the vectors.
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1


CellName = Literal["lstm", "gru"]
PoolingName = Literal["last", "mean", "max", "mean+max", "attention"]
POOLING_NAMES = get_args(PoolingName)

# Values of `elmo.model` that are names; any other value is the path of a folder.
ELMO_MODELS = ("small", "medium", "original", "original-5.5b")


class EmbeddingConfig(Section):
    """Token vectors that are learned with the model."""

    size: Size = 100
    initial_std: PositiveFloat = 0.1  # standard deviation of the random initial vectors; larger ones change more slowly
    # Initial vectors: `word2vec`, learned as the section `vectors` says by the first run that needs them; or a text
    # file in the format of GloVe or word2vec. None, also written `none`: random vectors.
    pretrained: str | None = None
    dropout: Probability = 0.0  # dropout rate on token vectors
    token_dropout: Probability = 0.0  # word dropout: probability of replacing a token by the unknown token
    # Append the word's AFINN rating as one more feature, its sign flipped after a negation; also for unknown tokens.
    polarity: bool = False

    @field_validator("pretrained", mode="before")
    @classmethod
    def _none_may_be_a_word(cls, value: object) -> object:
        """Files of grids may write `none`, as of an encoder; a file of this name is written `./none`."""
        return None if value == "none" else value


# Precision in which a frozen encoder computes. `bf16` changes the last digits of its vectors, and is about twice as
# fast on processors and GPUs with instructions for it; on others it is slow.
EncoderPrecision = Literal["fp32", "bf16"]


class ElmoConfig(Section):
    """Vectors of a frozen, published ELMo model (Peters et al. 2018), computed once per corpus and then read."""

    # `small`, `medium`, `original` or `original-5.5b` (`sentiment prepare elmo` fetches them), or the path of a folder
    # with a model in their format. `none`: do not use ELMo.
    model: str = "small"
    # `token`: the context-free vectors; `first`, `top`: an LSTM layer; `mix`: a learned weighted mean of all three.
    layers: Literal["token", "first", "top", "mix"] = "mix"
    combine: Literal["alone", "beside"] = "beside"  # `beside`: concatenated with the learned vectors of `embedding`
    dropout: Probability = 0.0  # dropout rate on ELMo vectors
    # Initial state of the LSTMs for each tweet: zero, or the state after a fixed text (`warm`), which is closer to the
    # state in training: the published models were trained on consecutive text, without resetting it.
    state: Literal["zero", "warm"] = "warm"
    backend: Literal["own", "allennlp"] = "own"  # this project's, or allennlp's, which is slow
    precision: EncoderPrecision = "fp32"

    @property
    def cached(self) -> bool:
        """Whether the vectors are computed once and stored; backend `allennlp` computes them again for each batch."""
        return self.backend == "own"


class EncoderConfig(Section):
    """A pretrained transformer, whose vectors replace learned ones."""

    # A name on the Hugging Face Hub that `sentiment prepare encoder` has fetched, or a folder, with `./`, `/` or `~`
    # first. `none`: do not use an encoder.
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str = "main"  # the branch, tag or commit that was fetched
    # `tokens` and `tweet` freeze the transformer and compute its vectors once per corpus: one per token (the mean of
    # its subword tokens), or one per tweet, for `model.kind: linear` and `feed_forward`. `finetune` uses one vector per
    # tweet and also trains the transformer, with the dropout of its own configuration: the learning rate has a linear
    # warm-up over 10 % of the steps, then a linear decay to zero.
    use: Literal["tokens", "tweet", "finetune"] = "tokens"
    dropout: Probability = 0.0  # dropout rate on frozen vectors
    precision: EncoderPrecision = "fp32"
    combine: ClassVar[str] = "alone"  # as `ElmoConfig.combine`

    @property
    def cached(self) -> bool:
        """Whether the transformer is frozen, so that its vectors are computed once and stored."""
        return self.use != "finetune"

    @property
    def is_folder(self) -> bool:
        return is_folder(self.model)

    @property
    def layers(self) -> str:
        """The name that its vectors have in the cache, as `ElmoConfig.layers`: "pieces" for tokens, else `use`."""
        return "pieces" if self.use == "tokens" else self.use


class AttentionConfig(Section):
    """Structured self-attention (Lin et al. 2017) on states H: A = softmax(W2 tanh(W1 H^T)) weights r means A H."""

    d_a: Size = 10  # units of its hidden layer; the name is the paper's, as that of `r`
    r: Size = 5  # number of hops, that is, of distributions over the tokens
    penalty: Annotated[float, Field(ge=0)] = 0.0  # weight of the mean of ||A A^T - I||^2 in the loss: hops then differ


class ModelConfig(Section):
    """The classifier, from token vectors to logits: see `sentiment.models.classifier`."""

    # `rnn` pools the states of a recurrent network, the others pool the token vectors. After pooling, `linear` adds
    # only an output layer; `feed_forward` adds hidden layers before it.
    kind: Literal["linear", "feed_forward", "rnn"] = "rnn"
    cell: CellName = "lstm"
    hidden_size: Size = 64  # units per layer and direction
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    bidirectional: bool = True
    pooling: PoolingName = "mean+max"  # of all states into one vector; `last`: the last of each direction
    dropout: Probability = 0.0  # between layers, and before the output
    attention: AttentionConfig = AttentionConfig()  # only used with `pooling: attention`

    @model_validator(mode="after")
    def _feed_forward_network_has_no_last_state(self) -> Self:
        if self.kind != "rnn" and self.pooling == "last":
            valid = ", ".join(name for name in POOLING_NAMES if name != "last")
            raise ValueError(f"pooling 'last' needs model.kind 'rnn'; valid with {self.kind!r}: {valid}")
        return self


class EarlyStoppingConfig(Section):
    """Early stopping, and the choice of the best epoch, whose weights are kept."""

    metric: Literal["loss", "accuracy", "macro_recall", "macro_f1"] = "loss"  # on the validation part
    patience: PositiveInt | None = 3  # epochs without improvement before training stops; None: never stop early


class TrainingConfig(Section):
    """Optimisation of the weights; the loss is cross-entropy on logits."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    clip: PositiveFloat | None = 1.0  # largest norm of the gradient, taken over all weights
    l2: Annotated[float, Field(ge=0)] = 0.0  # the optimiser's weight decay; decoupled with adamw
    # `balanced`: all classes weigh the same in the loss, and for the baseline. `auto`: they do where one has less than
    # half of an even share of the training tweets. Stored files omit `auto`.
    class_weights: Annotated[ClassWeights, Field(exclude_if=lambda weights: weights == "auto")] = "auto"
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    # bf16 and fp16: automatic mixed precision with gradient scaling, on CUDA GPUs only; predictions are in fp32.
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    log_every: PositiveInt = 50  # steps between two rows of training loss in the metric log


class TrackingConfig(Section):
    """Logging to Weights & Biases, besides `metrics.jsonl`, which is always written."""

    # `auto`: `online` under `wandb agent`, `offline` in Slurm tasks where wandb is installed, `disabled` elsewhere.
    wandb: Literal["auto", "offline", "online", "disabled"] = "auto"
    project: str = "sentiment"


class CheckpointConfig(Section):
    """Checkpoint interval; by default saving takes about 1 % of the training time."""

    every_steps: PositiveInt | None = None


class RuntimeConfig(Section):
    """Machine and limits; nothing here is part of the run's identity."""

    # `auto`: the first CUDA GPU, or the CPU if there is none.
    device: Device = "auto"
    threads: PositiveInt | None = None  # None: as many as this process has cores, at most 8 and OMP_NUM_THREADS
    same_hardware: bool = False  # refuse to resume on another processor or GPU, where the last digits may differ
    time_limit_seconds: PositiveFloat | None = None  # save and stop before this limit; a Slurm job's limit holds too
    checkpoint: CheckpointConfig = CheckpointConfig()
    # If the newest checkpoint was written by other code: stop with an error, restart the run, or resume anyway, which
    # is recorded and shown in the report.
    other_code: Literal["refuse", "restart", "continue"] = "refuse"


AnyEncoder = ElmoConfig | EncoderConfig
# Fields that do not affect a run's identity: its description, and the sections on logging and the machine.
OPERATIONAL_FIELDS = ("description", "tracking", "runtime")
# These, and how often the training loss is logged.
_WITHOUT_EFFECT_ON_WEIGHTS: dict[str, Any] = dict.fromkeys(OPERATIONAL_FIELDS, True) | {"training": {"log_every"}}


class RunConfig(Section):
    """One resolved configuration: everything that a run needs to know.

    Two configurations are equivalent if their `canonical` forms are equal. `sentiment.config_file.resolve` returns
    canonical configurations only, so that equivalent configurations get the same run id.
    """

    description: str = ""  # what the run is for, in one sentence; not part of its identity
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1  # of the initial weights, the order of the batches and dropout
    data: DataConfig = DataConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    vectors: VectorsConfig | None = None  # for `embedding.pretrained: word2vec`; None is then the same as all defaults
    elmo: ElmoConfig | None = None  # None or `elmo.model: none`: no ELMo; a run cannot have both `elmo` and `encoder`
    encoder: EncoderConfig | None = None
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tracking: TrackingConfig = TrackingConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @field_validator("elmo", "encoder", mode="before")
    @classmethod
    def _no_model_is_no_section(cls, values: Any) -> Any:
        """`elmo.model: none` lets a grid compare with no encoder; a folder of this name is written `./none`."""
        return None if isinstance(values, dict) and values.get("model") == "none" else values

    @model_validator(mode="after")
    def _encoder_fits_model(self) -> Self:
        if self.encoder and self.elmo:
            raise ValueError("elmo and encoder are both set; set elmo.model or encoder.model to none")
        if self.encoder and self.reads_tweet_vectors and self.model.kind == "rnn":
            use = self.encoder.use
            raise ValueError(f"encoder.use {use!r} gives one vector per tweet; valid model.kind: linear, feed_forward")
        return self

    @property
    def any_encoder(self) -> "AnyEncoder | None":
        """The section of the pretrained model, ELMo or a transformer; None if the vectors are learned."""
        return self.elmo or self.encoder

    @property
    def run_id(self) -> str:
        """A readable prefix and the first 8 hexadecimal digits of the fingerprint; a valid file name."""
        return f"{self.title}-{self.fingerprint()[:8]}"

    def __repr__(self) -> str:
        return f"RunConfig({self.title})"  # a full dump would clutter the repr of a scikit-learn estimator

    @property
    def title(self) -> str:
        """The readable prefix of the run id; many runs may share it."""
        model = self.model
        encoder = self.any_encoder
        depth = f"{model.layers}x" if model.layers > 1 else ""
        name: str = "ff" if model.kind == "feed_forward" else model.kind
        if model.kind == "rnn":
            name = ("bi" if model.bidirectional else "") + model.cell
        if model.kind != "linear":
            name += f"{depth}{model.hidden_size}"
        reads = f"{'_'.join(PurePath(encoder.model).name.split())}_{encoder.layers}-" if encoder else ""
        pooling = "" if self.reads_tweet_vectors else f"-{model.pooling.replace('+', '_')}"
        return f"{'elmo_' if self.elmo else ''}{reads}{name}{pooling}-s{self.seed}"

    @property
    def reads_tweet_vectors(self) -> bool:
        """Whether the network reads one vector per tweet, so that nothing is pooled."""
        return self.encoder is not None and self.encoder.use != "tokens"

    @property
    def finetunes(self) -> bool:
        return self.encoder is not None and self.encoder.use == "finetune"

    def fingerprint(self) -> str:
        return fingerprint(self.identity())

    def without(self, *names: str) -> Self:
        """A copy, not validated again, in which fields such as `seed` and `data.fold` have their defaults."""
        copy = self
        for name in names:
            section, _, field = name.rpartition(".")
            changed = getattr(copy, section) if section else copy
            changed = changed.model_copy(update={field: type(changed).model_fields[field].default})
            copy = copy.model_copy(update={section: changed}) if section else changed
        return copy

    def identity(self) -> Values:
        """The configuration without operational fields and absent sections, as plain JSON values."""
        values = self.model_dump(mode="json", exclude=_WITHOUT_EFFECT_ON_WEIGHTS)
        return {name: value for name, value in values.items() if value is not None}

    def canonical(self) -> Self:
        """The canonical form of all equivalent configurations.

        Fields without effect have their defaults. Paths are written in one way: without `~`, `./` and `a/../`, and
        relative to the current working directory if they lie in it. So moving a clone does not change run ids, while
        files at different paths outside it give different ids.
        """
        plain = self.with_paths(plain_path)  # first, since paths are compared below
        defaults = RunConfig(
            elmo=self.elmo and ElmoConfig(),
            encoder=self.encoder and EncoderConfig(),
            vectors=self.vectors and VectorsConfig(),
        ).model_dump()
        values = _with_defaults(plain.model_dump(), defaults, plain.unused_fields())
        values["vectors"] = (values["vectors"] or {}) if values["embedding"]["pretrained"] == WORD2VEC else None
        values["data"]["text"]["lowercase"] = self.data.text.lowercase and self.encoder is None
        values["data"]["tests"] = {name: table.model_dump() for name, table in plain.data.external_tests.items()}
        return type(self).model_validate(values)

    def with_paths(self, convert: Callable[[str], str]) -> Self:
        """A copy with `convert` applied to all paths; names of data sets and models are unchanged.

        A path that `convert` turns into such a name is written `./NAME`.
        """

        def convert_field(section: Values | None, field: str, is_name: Callable[[str], bool]) -> None:
            if section is None or section[field] is None or is_name(section[field]):
                return
            path = convert(section[field])
            section[field] = f"./{path}" if is_name(path) else path

        values = self.model_dump()
        data = values["data"]
        convert_field(data, "source", is_source_name)
        for table in (*data["tests"].values(), *data["extra_train"]):
            convert_field(table, "path", is_source_name)
        if values["vectors"]:
            for file in values["vectors"]["unlabelled"]:
                convert_field(file, "path", lambda _: False)
        convert_field(values["embedding"], "pretrained", (WORD2VEC, "none").__contains__)
        convert_field(values["elmo"], "model", (*ELMO_MODELS, "none").__contains__)
        convert_field(values["encoder"], "model", lambda text: not is_folder(text))
        return type(self).model_validate(values)

    def unused_fields(self) -> tuple[str, ...]:
        """Dotted names of the fields that have no effect in this run; a section ends in a dot."""
        kind = self.model.kind
        elmo = self.elmo
        pretrained = self.embedding.pretrained
        has_no_learned_vectors = self.encoder is not None or (elmo is not None and elmo.combine == "alone")
        has_own_parts = self.data.has_own_parts
        is_unused = {
            "model.attention.": self.reads_tweet_vectors or self.model.pooling != "attention",
            "model.pooling": self.reads_tweet_vectors,
            "model.cell": kind != "rnn",
            "model.bidirectional": kind != "rnn",
            "model.hidden_size": kind == "linear",
            "model.layers": kind == "linear",
        }
        is_unused |= {
            "embedding.": has_no_learned_vectors,
            "embedding.initial_std": pretrained is not None,
            "embedding.polarity": not self.data.is_english,
            "vectors.": has_no_learned_vectors or pretrained != WORD2VEC,
            "data.vocabulary.": has_no_learned_vectors,
        }
        is_unused |= {
            "encoder.revision": self.encoder is not None and self.encoder.is_folder,
            "encoder.dropout": self.finetunes,
            "encoder.precision": self.finetunes,
            "elmo.state": elmo is not None and elmo.layers == "token",  # its vectors come from before the LSTM
            "elmo.precision": elmo is not None and not elmo.cached,
        }
        is_unused |= {
            "data.test_fraction": has_own_parts or self.data.folds is not None,
            "data.validation_fraction": has_own_parts,
            "data.columns.": not is_path(self.data.source),
        }
        return tuple(field for field, unused in is_unused.items() if unused)


def _with_defaults(values: Values, defaults: Values, unused: tuple[str, ...], prefix: str = "") -> Values:
    """`values`, with every field whose dotted name starts with an element of `unused` reset to its default."""
    changed: Values = {}
    for name, value in values.items():
        changed[name] = 0.0 if value == 0 and isinstance(value, float) else value  # -0.0 is no other question
        if isinstance(value, dict) and defaults[name]:
            changed[name] = _with_defaults(value, defaults[name], unused, f"{prefix}{name}.")
        elif f"{prefix}{name}".startswith(unused):
            changed[name] = defaults.get(name)
    return changed
