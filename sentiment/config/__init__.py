"""The one schema of a run: what is trained on which data, how, and (apart from its identity) on what machine.

Pure pydantic: reading a configuration loads neither torch nor any data.
"""

import os
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

# Else a statement for each `as`:
# isort: off
from sentiment.config.sections import (
    ELMO_MODELS as ELMO_MODELS,
    PARTS as PARTS,
    WORD2VEC as WORD2VEC,
    AttentionConfig as AttentionConfig,
    ColumnConfig as ColumnConfig,
    DataConfig as DataConfig,
    EarlyStoppingConfig as EarlyStoppingConfig,
    ElmoConfig as ElmoConfig,
    EmbeddingConfig as EmbeddingConfig,
    EncoderConfig as EncoderConfig,
    LabelConfig as LabelConfig,
    LabelledTable as LabelledTable,
    ModelConfig as ModelConfig,
    PartName as PartName,
    PositiveFloat as PositiveFloat,
    PositiveInt as PositiveInt,
    RuntimeConfig as RuntimeConfig,
    Section as Section,
    TextConfig as TextConfig,
    TextFile as TextFile,
    TrackingConfig as TrackingConfig,
    TrainingConfig as TrainingConfig,
    VectorsConfig as VectorsConfig,
    VocabularyConfig as VocabularyConfig,
    is_path,
)

# isort: on
from sentiment.files import fingerprint

# What does not change a run's weights: why it is trained, where it is logged, and on what machine it is computed.
OPERATIONAL_SECTIONS = ("description", "tracking", "runtime")


class RunConfig(Section):
    """One resolved configuration: everything that a run needs to know.

    Two configurations ask the same question if their `canonical` forms are equal. `sentiment.config_file.resolve`
    returns canonical configurations only, so that all spellings of a question get one run id.

    Attributes:
        description: what the run is for, in one sentence; not part of its identity.
        seed: determines the initial weights, the order of the batches and dropout.
        vectors: only used where `embedding.pretrained` is `word2vec`; None is then the same as all defaults.
        elmo: None, or `elmo.model: none`, trains without ELMo.
        encoder: None, or `encoder.model: none`, trains without a pretrained transformer. A run has one or ELMo, not
            both.
    """

    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    data: DataConfig = DataConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    vectors: VectorsConfig | None = None
    elmo: ElmoConfig | None = None
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
        if self.encoder and self.reads_tweets and self.model.kind == "rnn":
            use = self.encoder.use
            raise ValueError(f"encoder.use {use!r} gives one vector a tweet; valid model.kind: linear, feed_forward")
        return self

    @property
    def frozen(self) -> ElmoConfig | EncoderConfig | None:
        """The pretrained model whose vectors are read, which training does not change unless it is fine-tuned."""
        return self.elmo or self.encoder

    @property
    def run_id(self) -> str:
        """A readable prefix and the first 8 hexadecimal digits of the fingerprint; a valid file name."""
        return f"{self.title}-{self.fingerprint()[:8]}"

    def __repr__(self) -> str:
        return f"RunConfig({self.title})"  # all of its values would hide what a classifier of scikit-learn shows beside

    @property
    def title(self) -> str:
        """The readable prefix of the run id; many runs may share it."""
        model, frozen = self.model, self.frozen
        depth = f"{model.layers}x" if model.layers > 1 else ""
        name = "ff" if model.kind == "feed_forward" else ("bi" if model.bidirectional else "") + model.cell
        name = "linear" if model.kind == "linear" else f"{name}{depth}{model.hidden_size}"
        reads = f"{PurePath(frozen.model).name}_{frozen.layers}-" if frozen else ""
        pooling = "" if self.reads_tweets else f"-{model.pooling.replace('+', '_')}"
        return f"{'elmo_' if self.elmo else ''}{reads}{name}{pooling}-s{self.seed}"

    @property
    def reads_tweets(self) -> bool:
        """Whether its net reads one vector for a tweet, so that there is nothing to pool."""
        return self.encoder is not None and self.encoder.use != "tokens"

    @property
    def finetunes(self) -> bool:
        return self.encoder is not None and self.encoder.use == "finetune"

    def fingerprint(self) -> str:
        return fingerprint(self.identity())

    def identity(self) -> dict[str, Any]:
        """The configuration without operational and absent sections, as plain JSON values."""
        values = self.model_dump(mode="json")
        if self.encoder and self.encoder.trained_layers is None:
            del values["encoder"]["trained_layers"]  # so that ids are those of the time before it
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
        learns = values["embedding"]["pretrained"] == WORD2VEC
        values["vectors"] = (values["vectors"] or VectorsConfig().model_dump()) if learns else None
        values["data"]["tests"] = {name: table.model_dump() for name, table in plain.data.foreign_tests.items()}
        return type(self).model_validate(values)

    def respelled(self, spell: Callable[[str], str]) -> Self:
        """This configuration with all paths in it as `spell` writes them; names of data sets and models stay.

        A path that is then spelled like such a name is written `./NAME`.
        """
        values = self.model_dump()
        data = values["data"]
        for file in values["vectors"]["unlabelled"] if values["vectors"] else ():
            file["path"] = spell(file["path"])
        further = (*data["tests"].values(), *data["extra_train"])
        for named, field in ((data, "source"), *((table, "path") for table in further)):
            if is_path(named[field]):
                path = spell(named[field])  # which may be called like a built-in source
                named[field] = path if is_path(path) else f"./{path}"
        for section, field, named in (
            (values["embedding"], "pretrained", (WORD2VEC,)),
            (values["elmo"] or {}, "model", ELMO_MODELS),
        ):
            if section.get(field) not in (None, *named):
                path = spell(section[field])
                section[field] = f"./{path}" if path in (*named, "none") else path
        if self.encoder and self.encoder.is_folder:
            path = spell(self.encoder.model)
            values["encoder"]["model"] = path if path.startswith((".", "/", "~")) else f"./{path}"
        return type(self).model_validate(values)

    def unused_fields(self) -> tuple[str, ...]:
        """Dotted names of the fields that have no effect in this run; a final dot stands for a whole section."""
        data, embedding, elmo, model = self.data, self.embedding, self.elmo, self.model
        encoder = self.encoder
        cases: list[tuple[bool, tuple[str, ...]]] = [
            (model.pooling != "attention", ("model.attention.",)),
            (model.kind != "rnn", ("model.cell", "model.bidirectional")),
            (model.kind == "linear", ("model.hidden_size", "model.layers")),
            (self.reads_tweets, ("model.pooling", "model.attention.")),
            (encoder is not None, ("embedding.", "vectors.", "data.vocabulary.")),
            (encoder is not None and encoder.is_folder, ("encoder.revision",)),
            (encoder is not None and encoder.use == "tokens", ("encoder.pooling",)),
            (encoder is not None and encoder.cached, ("encoder.trained_layers",)),
            (encoder is not None and not encoder.cached, ("encoder.dropout",)),
            (embedding.pretrained is not None, ("embedding.initial_std",)),
            (embedding.pretrained != WORD2VEC, ("vectors.",)),
            (data.folds is not None, ("data.test_fraction",)),
            (not data.source_is_path, ("data.columns.", "data.labels.")),
        ]
        if elmo is not None:
            cases += [
                (elmo.combine == "alone", ("embedding.", "vectors.", "data.vocabulary.")),
                (elmo.layers == "token", ("elmo.state",)),  # the context-free vectors come from before the LSTM
                (elmo.backend == "allennlp", ("elmo.cache",)),
            ]
        return tuple(name for applies, names in cases if applies for name in names)

    def on_the_machine_of(self, other: "RunConfig") -> Self:
        """This question with the operational sections of another configuration."""
        return self.model_copy(update={name: getattr(other, name) for name in OPERATIONAL_SECTIONS})


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
