"""The one schema of a run: what is trained on which data, how, and (apart from its identity) on what machine.

Pure pydantic: reading a configuration loads neither torch nor any data.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sentiment.files import fingerprint

Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=1_000_000)]  # of a vector
PositiveFloat = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Base of all sections: frozen, and strict about unknown keys, types and ranges."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _texts_can_be_written_down(cls, values: Any) -> Any:
        """A file name in another encoding reaches Python as a text that JSON cannot store."""
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str) and not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
                raise ValueError(f"{name} = {value!r} is not UTF-8; rename what it names")
        return values


Treatment = Literal["keep", "mask", "remove"]
_NUMBER = re.compile(r"\s*[-+]?[\d.]*\s*")
PARTS = ("train", "validation", "test")  # of a run's own tweets
_SAME_TWEETS = {"sample": "vader"}  # the one is a part of the other


def _as_texts(value: object) -> object:
    """One label stands for a list of one, and no text for what JSON calls it: `data.labels.positive=happy`, `=1`."""
    one_by_one = value if isinstance(value, list | tuple) else (value,)
    return [json.dumps(one) if type(one) in (int, bool) else one for one in one_by_one]


Labels = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_as_texts)]


class ColumnConfig(Section):
    """Which columns of a table are read: names from its header, or positions counted from 0."""

    text: str | int = "text"
    label: str | int = "label"  # `labels` says what its values mean
    user: str | int | None = None  # the author; with it, all tweets of an author are on the same side of the split
    id: str | int | None = None  # without it, the number of the row is taken


class LabelConfig(Section):
    """What the values of the label column mean; they are compared as text, without case and surrounding blanks.

    A label that is given a meaning leaves the default lists of the others.
    """

    negative: Labels = ("0", "-1", "negative", "neg")
    positive: Labels = ("1", "4", "positive", "pos")
    ignored: Labels = ("2", "neutral")  # rows with these labels are counted but not used

    @model_validator(mode="after")
    def _labels_are_disjoint(self) -> Self:
        names = ("negative", "positive", "ignored")
        given = {label.strip().lower() for name in self.model_fields_set for label in getattr(self, name)}
        for name in {*names} - self.model_fields_set:
            self.__dict__[name] = tuple(label for label in getattr(self, name) if label not in given)
        meant = Counter(one for name in names for one in {label.strip().lower() for label in getattr(self, name)})
        if shared := sorted(label for label, meanings in meant.items() if meanings > 1):
            raise ValueError(f"each label must have one meaning, but {shared} have several")
        return self


class TextConfig(Section):
    """How a tweet's text is cleaned, in the order of the fields, before it is split into tokens."""

    unescape_html: bool = True  # `&lt;3` becomes `<3`; otherwise entities are split into pieces
    urls: Treatment = "mask"  # every link becomes the token `<url>`
    mentions: Treatment = "mask"  # every @name becomes the token `<user>`
    hashtags: Literal["keep", "split", "remove"] = "keep"  # `split` removes the `#`: `#happy` and `happy` are the same
    emoticons: Treatment = "keep"  # `mask` makes of them `<smile>`, `<frown>` or `<emoticon>`
    shorten_elongations: bool = True  # `sooooo` becomes `sooo`, so that emphasis has fewer spellings
    lowercase: bool = True  # but for emoticons such as `:D`; turn it off for ELMo
    # `all` removes NLTK's English stop words, with negations, which costs accuracy.
    stop_words: Literal["none", "all", "keep_negations"] = "none"


class VocabularyConfig(Section):
    """Which token types have a vector of their own; all others share the vector for unknown tokens."""

    min_count: PositiveInt = 2  # a type must occur at least this often in the training part
    max_size: PositiveInt = 50_000  # so many types at most, the most frequent ones


def _test_name(name: str) -> str:
    if name in PARTS:
        raise ValueError(f"{name!r} is a part of the run's own tweets; give the test set another name")
    return name


def _matching(pattern: str, valid: str) -> AfterValidator:
    """A text of this pattern; a mistake is told in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!r} is not {valid}")
        return text

    return AfterValidator(check)


_LETTERS_FIRST = _matching("[A-Za-z][A-Za-z0-9_-]*", "valid; a name has letters, digits, _ and -, a letter first")
PartName = Annotated[str, Field(max_length=40), _LETTERS_FIRST]
TestName = Annotated[PartName, AfterValidator(_test_name)]


class LabelledTable(Section):
    """A further table of labelled tweets, or a built-in source, as in `data.source`."""

    path: str
    columns: ColumnConfig = ColumnConfig()
    labels: LabelConfig = LabelConfig()


class ExtraTable(LabelledTable):
    """A table for training alone."""

    # How often each of its tweets counts, where one of the source counts once, in what is learned from labels: a few
    # tweets that people rated can so hold their own against many that emoticons labelled.
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0


def is_path(source: str) -> bool:
    """Whether a source is a file's, by its ending or a separator; the name of a built-in one has neither."""
    return bool(PurePath(source).suffix) or source.startswith("~") or os.sep in source


def is_folder(model: str) -> bool:
    """Whether an encoder is a folder's path; names on the Hub hold a slash as well."""
    return model.startswith((".", "/", "~"))


class DataConfig(Section):
    """Where the tweets come from, and how they are labelled, cleaned and split."""

    # `vader` (4,200 rated tweets), `sample` (1,000 of them), `sentiment140`, or the path of a table.
    source: str = "vader"
    # To test on alone, by name: `{airline: {path: airline.csv}}`. No tweet of theirs is trained on, nor any of their
    # authors; validation and test stay as they are. A source of the run's own tweets has no effect; of `sentiment140`
    # the 498 tweets labelled by hand are taken, which it brings as `manual` where it is the `source`.
    tests: Annotated[dict[TestName, LabelledTable], Field(max_length=100)] = {}
    columns: ColumnConfig = ColumnConfig()
    labels: LabelConfig = LabelConfig()
    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    text: TextConfig = TextConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    # Left out are those whose text or author stands in the validation part or in a test part.
    extra_train: Annotated[tuple[ExtraTable, ...], Field(strict=False)] = ()
    # Train on so many of the training tweets, chosen by hash: a smaller number's are among a larger one's, and
    # validation and test stay as they are.
    train_rows: PositiveInt | None = None
    # Divide the tweets into so many test parts by hash, in place of one of `test_fraction`: with all folds run, each
    # tweet is tested once. For small data; the report puts the folds' predictions together.
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    fold: PositiveInt | None = None  # which of the folds is the test part, counted from 1

    @property
    def label_names(self) -> tuple[str, str]:
        """What the negative and the positive label are called: as in the user's table where that says it in words."""

        def word(usual: str) -> str:
            labels = getattr(self.labels, usual)
            own = [label.strip() for label in labels if not _NUMBER.fullmatch(label)]
            return own[0] if own and labels != getattr(LabelConfig(), usual) else usual

        return word("negative"), word("positive")

    @property
    def foreign_tests(self) -> dict[str, LabelledTable]:
        """The test sets that have an effect: not those of the tweets that the source has itself. Sorted by name."""
        own = _SAME_TWEETS.get(self.source, self.source)
        return {
            name: table for name, table in sorted(self.tests.items()) if _SAME_TWEETS.get(table.path, table.path) != own
        }

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.folds is None and self.fold is not None:
            raise ValueError(f"fold {self.fold} needs data.folds, the number of folds; data.folds=5 is usual")
        if self.folds is not None and (self.fold is None or self.fold > self.folds):
            raise ValueError(f"data.fold is {self.fold}; with data.folds={self.folds} it must be 1 to {self.folds}")
        name = f"1 / {self.folds} folds" if self.folds else "test_fraction"
        if self.validation_fraction + (1 / self.folds if self.folds else self.test_fraction) >= 1:
            raise ValueError(f"validation_fraction + {name} must be below 1; otherwise no row is left to train on")
        return self


WORD2VEC = "word2vec"  # the value of `embedding.pretrained` that is learned as this section says


class TextFile(Section):
    """A file of tweets of which only the text is read."""

    path: str  # one tweet a line (`.txt`), or a table in any format that `data.source` takes; each also with `.gz`
    column: str | int = "text"  # of a table: its name, or position from 0; Sentiment140's needs none


class VectorsConfig(Section):
    """Skip-gram with negative sampling (Mikolov et al. 2013)."""

    # Besides the text of the training part; what stands in the validation or test part is left out of it.
    unlabelled: Annotated[tuple[TextFile, ...], Field(strict=False)] = ()
    window: PositiveInt = 5  # largest distance between two tokens of which one predicts the other
    min_count: PositiveInt = 3  # a type must occur at least this often in the text
    negative: PositiveInt = 5  # random types beside each true one
    epochs: PositiveInt = 10
    # That of the run changes nothing in the vectors, so that runs with different seeds share them.
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    # Which types the model knows: those of the labelled training tweets (`data.vocabulary`), or after these also all
    # others that have a vector, up to `data.vocabulary.max_size`.
    vocabulary: Literal["training", "vectors"] = "vectors"


CellName = Literal["lstm", "gru"]
PoolingName = Literal["last", "mean", "max", "mean+max", "attention"]
POOLING_NAMES = get_args(PoolingName)

# Values of `elmo.model` that are names; any other value is the path of a folder.
ELMO_MODELS = ("small", "medium", "original", "original-5.5b", "tiny")


class EmbeddingConfig(Section):
    """Token vectors that are learned with the model."""

    size: Size = 100
    initial_std: PositiveFloat = 0.1  # of the random vectors that it starts from; larger ones change more slowly
    # What it starts from: `word2vec`, learned from text as the section `vectors` says (`sentiment prepare vectors`, or
    # by the first run); or a text file in the format of GloVe or word2vec. None, also written `none`: random vectors.
    pretrained: str | None = None
    trainable: bool = True
    dropout: Probability = 0.0  # fraction of each token vector's numbers that is set to zero in training
    token_dropout: Probability = 0.0  # fraction of the tokens that is read as unknown in training
    # One number more: how positive people rated the word, turned after a negation; also where it is read as unknown.
    polarity: bool = False

    @field_validator("pretrained", mode="before")
    @classmethod
    def _none_may_be_a_word(cls, value: object) -> object:
        """W&B's agent writes None as a text; a file of this name is written `./none`."""
        return None if value == "none" else value


class ElmoConfig(Section):
    """Vectors of a frozen, published ELMo model (Peters et al. 2018), computed once per corpus and then read."""

    # `small`, `medium`, `original` or `original-5.5b` (`sentiment prepare elmo` fetches them), `tiny` (random weights
    # for tests), or the path of a folder with a model in their format. `none` is no ELMo.
    model: str = "small"
    # The context-free vectors, those of the first or top LSTM layer, or a learned weighted mean of all.
    layers: Literal["token", "first", "top", "mix"] = "mix"
    combine: Literal["alone", "beside"] = "beside"  # beside the learned vectors of `embedding`
    dropout: Probability = 0.0  # fraction of each ELMo vector's numbers that is set to zero in training
    # The LSTMs' state at the beginning of a tweet: zero, or that after a fixed text, much closer to the running state
    # that published models were trained with.
    state: Literal["zero", "warm"] = "warm"
    backend: Literal["own", "allennlp"] = "own"  # this project's, or allennlp's, which is slow
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of the encoder's matrix products
    cache: Literal["on", "off"] = "on"  # `off` computes the vectors again for each batch, as backend `allennlp` does

    @property
    def cached(self) -> bool:
        return self.cache == "on" and self.backend == "own"

    @model_validator(mode="after")
    def _backend_has_the_precision(self) -> Self:
        if self.backend == "allennlp" and self.precision != "fp32":
            raise ValueError(f"backend 'allennlp' does not support precision {self.precision!r}; valid: fp32")
        return self


class EncoderConfig(Section):
    """A pretrained transformer, whose vectors are read in place of learned ones."""

    # A name on the Hugging Face Hub that `sentiment prepare encoder` has fetched, or a folder, with `./`, `/` or `~`
    # first. `none` is no encoder.
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str = "main"  # the branch, tag or commit that was fetched
    # Frozen, with vectors computed once per corpus: one for each token, the mean of its pieces; or one for the whole
    # tweet, for `model.kind: linear` and `feed_forward`. `finetune` gives these and trains the transformer as well,
    # with its own dropout; the learning rate rises for a tenth of all steps, then falls to zero.
    use: Literal["tokens", "tweet", "finetune"] = "tokens"
    trained_layers: PositiveInt | None = None  # by `finetune`: so many of the upper layers; None trains all weights
    pooling: Literal["mean", "first"] = "mean"  # over a tweet's pieces, as in sentence-transformers; or its first piece
    dropout: Probability = 0.0  # fraction of each frozen vector's numbers that is set to zero in training
    combine: ClassVar[str] = "alone"

    @property
    def cached(self) -> bool:
        """Whether it is frozen, so that its vectors are computed once and stored."""
        return self.use != "finetune"

    @property
    def is_folder(self) -> bool:
        return is_folder(self.model)

    @property
    def layers(self) -> str:
        return "pieces" if self.use == "tokens" else self.use


class AttentionConfig(Section):
    """Structured self-attention (Lin et al. 2017) on states H: A = softmax(W2 tanh(W1 H^T)) weights r means A H."""

    d_a: Size = 10  # units of its hidden layer
    r: Size = 5  # number of hops, that is, of distributions over the tokens
    penalty: Annotated[float, Field(ge=0)] = 0.0  # weight of the mean of ||A A^T - I||^2 in the loss: hops then differ


class ModelConfig(Section):
    """The classifier, from token vectors to one logit: see `sentiment.models.classifier`."""

    # `rnn` pools the states of a recurrent network, the others the token vectors themselves; `linear` then has the
    # output layer alone, and `feed_forward` has hidden ones before it.
    kind: Literal["linear", "feed_forward", "rnn"] = "rnn"
    cell: CellName = "lstm"
    hidden_size: Size = 64  # units per layer and direction
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    bidirectional: bool = True
    pooling: PoolingName = "mean+max"  # how all states become one vector; `last` takes the last of each direction
    dropout: Probability = 0.0  # between layers, and before the output
    attention: AttentionConfig = AttentionConfig()  # only used with `pooling: attention`

    @model_validator(mode="after")
    def _feed_forward_network_has_no_last_state(self) -> Self:
        if self.kind != "rnn" and self.pooling == "last":
            valid = ", ".join(name for name in POOLING_NAMES if name != "last")
            raise ValueError(f"pooling 'last' needs model.kind 'rnn'; valid with {self.kind!r}: {valid}")
        return self


class EarlyStoppingConfig(Section):
    """When training ends before the last epoch, and which epoch's weights are kept as the best."""

    metric: Literal["loss", "accuracy", "f1"] = "loss"  # on the validation part
    patience: PositiveInt | None = 3  # epochs without improvement after which it ends; None trains all epochs


class TrainingConfig(Section):
    """How the weights are optimised; the loss is binary cross-entropy on logits."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    clip: PositiveFloat | None = 1.0  # largest norm of the gradient, taken over all weights
    l2: Annotated[float, Field(ge=0)] = 0.0  # the optimiser's weight decay
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    # bf16 and fp16: automatic mixed precision with gradient scaling, on CUDA GPUs alone; predictions are in fp32.
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    log_every: PositiveInt = 50  # steps between two rows of training loss in the metric log
    overfit_gap: Fraction = 0.05  # a run overfits if, at the best epoch, training accuracy is higher by more than this


class TrackingConfig(Section):
    """Where the metric log is copied to; `metrics.jsonl` itself is always written."""

    # Of Weights & Biases: `auto` is `online` under `wandb agent`, `offline` in Slurm tasks, and `disabled` elsewhere.
    wandb: Literal["auto", "offline", "online", "disabled"] = "auto"
    project: str = "sentiment"
    entity: str | None = None  # the user or team; None is the default of the account


class CheckpointConfig(Section):
    """How often to save; by default so that saves take a hundredth of the time."""

    every_steps: PositiveInt | None = None


class RuntimeConfig(Section):
    """The machine and its limits; nothing here is part of the run's identity."""

    # `auto` is the first CUDA GPU, or the CPU if there is none.
    device: Annotated[str, _matching("auto|cpu|cuda(:[0-9]+)?", "a device; valid: auto, cpu, cuda, cuda:1")] = "auto"
    threads: PositiveInt | None = None  # None is the number of cores that this process may use, at most 8
    deterministic: bool = True  # refuse nondeterministic operations, so that a resumed run equals an uninterrupted one
    same_hardware: bool = False  # refuse to resume on another processor or GPU, where the last digits may differ
    time_limit_seconds: PositiveFloat | None = None  # save and stop before; the time of Slurm's job is one as well
    checkpoint: CheckpointConfig = CheckpointConfig()
    # If the newest checkpoint is of another version of the program: refuse it, begin the run anew, or go on all the
    # same, which is recorded and shown in the report.
    other_code: Literal["refuse", "restart", "continue"] = "refuse"


AnyEncoder = ElmoConfig | EncoderConfig
# What does not change a run's weights: why it is trained, where it is logged, and on what machine it is computed.
OPERATIONAL_SECTIONS = ("description", "tracking", "runtime")


class RunConfig(Section):
    """One resolved configuration: everything that a run needs to know.

    Two configurations ask the same question if their `canonical` forms are equal. `sentiment.config_file.resolve`
    returns canonical configurations only, so that all spellings of a question get one run id.
    """

    description: str = ""  # what the run is for, in one sentence; not part of its identity
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1  # of the initial weights, the order of the batches and dropout
    data: DataConfig = DataConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    vectors: VectorsConfig | None = None  # for `embedding.pretrained: word2vec`; None is then the same as all defaults
    elmo: ElmoConfig | None = None  # None, or `elmo.model: none`, trains without; a run has one or an encoder, not both
    encoder: EncoderConfig | None = None
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tracking: TrackingConfig = TrackingConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @field_validator("elmo", "encoder", mode="before")
    @classmethod
    def _no_model_is_no_section(cls, values: Any) -> Any:
        """`elmo.model: none`, so that a grid can compare with it; a folder of this name is written `./none`."""
        return None if isinstance(values, dict) and values.get("model") == "none" else values

    @model_validator(mode="after")
    def _reads_what_its_encoder_gives(self) -> Self:
        if self.encoder and self.elmo:
            raise ValueError("elmo and encoder are both set; set elmo.model or encoder.model to none")
        if self.encoder and self.reads_tweet_vectors and self.model.kind == "rnn":
            use = self.encoder.use
            raise ValueError(f"encoder.use {use!r} gives one vector a tweet; valid model.kind: linear, feed_forward")
        return self

    @property
    def any_encoder(self) -> "AnyEncoder | None":
        """The section of the pretrained model whose vectors are read, frozen or fine-tuned."""
        return self.elmo or self.encoder

    @property
    def run_id(self) -> str:
        """A readable prefix and the first 8 hexadecimal digits of the fingerprint; a valid file name."""
        return f"{self.title}-{self.fingerprint()[:8]}"

    def __repr__(self) -> str:
        return f"RunConfig({self.title})"  # all values would drown the other parameters of an estimator

    @property
    def title(self) -> str:
        """The readable prefix of the run id; many runs may share it."""
        model, encoder = self.model, self.any_encoder
        depth = f"{model.layers}x" if model.layers > 1 else ""
        name = "ff" if model.kind == "feed_forward" else ("bi" if model.bidirectional else "") + model.cell
        name = "linear" if model.kind == "linear" else f"{name}{depth}{model.hidden_size}"
        reads = f"{PurePath(encoder.model).name}_{encoder.layers}-" if encoder else ""
        pooling = "" if self.reads_tweet_vectors else f"-{model.pooling.replace('+', '_')}"
        return f"{'elmo_' if self.elmo else ''}{reads}{name}{pooling}-s{self.seed}"

    @property
    def reads_tweet_vectors(self) -> bool:
        """Whether its net reads one vector for each tweet, so that there is nothing to pool."""
        return self.encoder is not None and self.encoder.use != "tokens"

    @property
    def finetunes(self) -> bool:
        return self.encoder is not None and self.encoder.use == "finetune"

    def fingerprint(self) -> str:
        return fingerprint(self.identity())

    def identity(self) -> dict[str, Any]:
        """The configuration without operational and absent sections, as plain JSON values."""
        values = self.model_dump(mode="json")
        absent = {name for name, value in values.items() if value is None}
        return {name: value for name, value in values.items() if name not in {*OPERATIONAL_SECTIONS, *absent}}

    def canonical(self) -> Self:
        """The spelling that stands for all configurations which ask the same question.

        Fields without effect have their defaults. Paths are written in one way: without `~`, `./` and `a/../`, and
        relative to the current working directory if they lie in it. Run ids thus survive when a clone of the project
        is moved, and differ for files outside of it that differ in their place.
        """
        plain = self.respelled(_plain_path)  # first, since paths are compared below
        values = plain.model_dump()
        defaults = RunConfig(
            elmo=self.elmo and ElmoConfig(),
            encoder=self.encoder and EncoderConfig(),
            vectors=self.vectors and VectorsConfig(),
        ).model_dump()
        values = _with_defaults(values, defaults, plain.unused_fields())
        values["vectors"] = (values["vectors"] or {}) if values["embedding"]["pretrained"] == WORD2VEC else None
        values["data"]["tests"] = {name: table.model_dump() for name, table in plain.data.foreign_tests.items()}
        return type(self).model_validate(values)

    def respelled(self, spell: Callable[[str], str]) -> Self:
        """This configuration with all paths in it as `spell` writes them; names of data sets and models stay.

        A path that is then spelled like such a name is written `./NAME`.
        """
        values = self.model_dump()
        data, vectors, elmo, encoder = (values[name] for name in ("data", "vectors", "elmo", "encoder"))
        sources = [(data, "source"), *((one, "path") for one in (*data["tests"].values(), *data["extra_train"]))]
        # Sections and fields that hold a path, and what tells names from paths there.
        fields: list[tuple[dict[str, Any], str, Callable[[str], bool]]] = [
            *((section, field, lambda text: not is_path(text)) for section, field in sources),
            *((file, "path", lambda _: False) for file in (vectors["unlabelled"] if vectors else ())),
            (values["embedding"], "pretrained", (WORD2VEC, "none").__contains__),
            (elmo or {}, "model", (*ELMO_MODELS, "none").__contains__),
            (encoder or {}, "model", lambda text: not is_folder(text)),
        ]
        for section, field, is_name in fields:
            if section.get(field) is not None and not is_name(section[field]):
                path = spell(section[field])
                section[field] = f"./{path}" if is_name(path) else path
        return type(self).model_validate(values)

    def unused_fields(self) -> tuple[str, ...]:
        """Dotted names of the fields that have no effect in this run; a final dot stands for a whole section."""
        data, embedding, elmo, model = self.data, self.embedding, self.elmo, self.model
        encoder = self.encoder
        cases: list[tuple[bool, tuple[str, ...]]] = [
            (model.pooling != "attention", ("model.attention.",)),
            (model.kind != "rnn", ("model.cell", "model.bidirectional")),
            (model.kind == "linear", ("model.hidden_size", "model.layers")),
            (self.reads_tweet_vectors, ("model.pooling", "model.attention.")),
            (encoder is not None, ("embedding.", "vectors.", "data.vocabulary.")),
            (encoder is not None and encoder.is_folder, ("encoder.revision",)),
            (encoder is not None and encoder.use == "tokens", ("encoder.pooling",)),
            (encoder is not None and encoder.cached, ("encoder.trained_layers",)),
            (encoder is not None and not encoder.cached, ("encoder.dropout",)),
            (embedding.pretrained is not None, ("embedding.initial_std",)),
            (embedding.pretrained != WORD2VEC, ("vectors.",)),
            (data.folds is not None, ("data.test_fraction",)),
            (not is_path(data.source), ("data.columns.", "data.labels.")),
        ]
        if elmo is not None:
            cases += [
                (elmo.combine == "alone", ("embedding.", "vectors.", "data.vocabulary.")),
                (elmo.layers == "token", ("elmo.state",)),  # the context-free vectors come from before the LSTM
                (elmo.backend == "allennlp", ("elmo.cache",)),
            ]
        return tuple(name for applies, names in cases if applies for name in names)


def _with_defaults(
    values: dict[str, Any], defaults: dict[str, Any], unused: tuple[str, ...], prefix: str = ""
) -> dict[str, Any]:
    """Nested `values` in which fields whose dotted names begin like one of `unused` are those of `defaults`."""
    changed = {}
    for name, value in values.items():
        if isinstance(value, dict) and defaults[name]:
            changed[name] = _with_defaults(value, defaults[name], unused, f"{prefix}{name}.")
        else:
            changed[name] = defaults[name] if f"{prefix}{name}".startswith(unused) else value
    return changed


def _plain_path(path: str) -> str:
    """The usual spelling of a path, as long as it leads to the same file."""
    expanded = os.path.expanduser(path)  # noqa: PTH111 - Path's fails for a user who does not exist
    plain = os.path.normpath(expanded)
    for here in (str(Path.cwd()), os.environ.get("PWD", "")):  # the shell's name of it may lead over a symbolic link
        if here and PurePath(plain).is_absolute() and PurePath(plain).is_relative_to(here):
            plain = os.path.relpath(plain, here)
    # `a/..` leads elsewhere where `a` is a symbolic link.
    return plain if os.path.realpath(plain) == os.path.realpath(expanded) else expanded
