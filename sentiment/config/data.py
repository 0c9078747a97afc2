"""The section `data`: where tweets come from, and what is done to them before any model sees them."""

import os
import re
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sentiment.config.sections import Fraction, PositiveInt, Section

LABELS = ("negative", "positive")
"""The words for the labels 0 and 1, where a table does not say its own."""

Treatment = Literal["keep", "mask", "remove"]
_NUMBER = re.compile(r"\s*[-+]?[\d.]*\s*")
PARTS = ("train", "validation", "test")
"""Of a run's own tweets."""
# Of the same people's tweets: `sample` is a part of `vader`.
_SAME_TWEETS = {"sample": "vader"}


def _as_texts(value: object) -> object:
    """One label stands for a list of one, and a whole number for its digits: `data.labels.positive=happy`, `=1`."""
    one_by_one = value if isinstance(value, list | tuple) else (value,)
    return [str(one) if type(one) is int else one for one in one_by_one]


Labels = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_as_texts)]


class ColumnConfig(Section):
    """Which columns of a table are read: names from its header, or positions counted from 0."""

    text: str | int = "text"
    """The tweet's text."""
    label: str | int = "label"
    """The tweet's class; `labels` says what its values mean."""
    user: str | int | None = None
    """The author. If it is given, all tweets of an author are on the same side of the split."""
    id: str | int | None = None
    """The tweet's identifier. If it is not given, the row's number in its file is taken."""


class LabelConfig(Section):
    """What the values of the label column mean; they are compared as text, without case and surrounding blanks.

    A label that is given a meaning leaves the default lists of the others.
    """

    negative: Labels = ("0", "-1", "negative", "neg")
    positive: Labels = ("1", "4", "positive", "pos")
    ignored: Labels = ("2", "neutral")
    """Rows with these labels are counted but not used."""

    @model_validator(mode="after")
    def _labels_are_disjoint(self) -> Self:
        names = ("negative", "positive", "ignored")
        given = {label.strip().lower() for name in self.model_fields_set for label in getattr(self, name)}
        for name in {*names} - self.model_fields_set:
            self.__dict__[name] = tuple(label for label in getattr(self, name) if label not in given)
        groups = [{label.strip().lower() for label in getattr(self, name)} for name in names]
        shared = groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        if shared:
            raise ValueError(f"each label must have one meaning, but {sorted(shared)} have several")
        return self


class TextConfig(Section):
    """How a tweet's text is cleaned, in the order of the fields, before it is split into tokens."""

    unescape_html: bool = True
    """`&amp;` becomes `&` and `&lt;3` becomes `<3`; otherwise entities are split into meaningless tokens."""
    urls: Treatment = "mask"
    """`mask` replaces every link by the token `<url>`, so that thousands of types seen once become one type."""
    mentions: Treatment = "mask"
    """`mask` replaces every @name by the token `<user>`, which keeps that somebody is addressed, but not who."""
    hashtags: Literal["keep", "split", "remove"] = "keep"
    """`split` removes the `#`, so that `#happy` and `happy` are the same token."""
    emoticons: Treatment = "keep"
    """`mask` replaces them by `<smile>`, `<frown>` or `<emoticon>`; `remove` shows what words alone achieve."""
    shorten_elongations: bool = True
    """`sooooo` becomes `sooo`: at most three repeats, so that emphasis stays visible with fewer spellings of a word."""
    lowercase: bool = True
    """Words are put into lower case; emoticons such as `:D` are not. Turn it off for ELMo, which reads capitals."""
    stop_words: Literal["none", "all", "keep_negations"] = "none"
    """`all` removes NLTK's English stop words, with negations, which costs accuracy; `keep_negations` keeps those."""


class VocabularyConfig(Section):
    """Which token types have a vector of their own; all others share the vector for unknown tokens."""

    min_count: PositiveInt = 2
    """A type must occur at least this often in the training part."""
    max_size: PositiveInt = 50_000
    """The largest number of types; the most frequent ones are kept."""


def _test_name(name: str) -> str:
    if name in PARTS:
        raise ValueError(f"{name!r} is a part of the run's own tweets; give the test set another name")
    return name


PartName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40)]
TestName = Annotated[PartName, AfterValidator(_test_name)]


class LabelledTable(Section):
    """A further table of labelled tweets."""

    path: str
    """In any format that `data.source` takes."""
    columns: ColumnConfig = ColumnConfig()
    labels: LabelConfig = LabelConfig()


class ExtraTable(LabelledTable):
    """A table for training alone."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """How often each of its tweets counts, where one of the source counts once: in the loss of the network, and in what
    the linear baseline learns from labels. A few tweets that people rated can so hold their own against many that
    emoticons labelled. What needs no label, as the vocabulary, counts each tweet once."""


def is_path(source: str) -> bool:
    """Whether a source is a file's, by its ending or a separator; the name of a built-in one has neither."""
    return bool(PurePath(source).suffix) or source.startswith("~") or os.sep in source


class DataConfig(Section):
    """Where the tweets come from, and how they are labelled, cleaned and split."""

    source: str = "vader"
    """`vader` (4,200 rated tweets), `sample` (1,000 of them), `sentiment140`, or the path of a table."""
    tests: Annotated[dict[TestName, LabelledTable], Field(max_length=100)] = {}  # noqa: RUF012 - pydantic copies it
    """Tables to test on alone, by name: `{airline: {path: airline.csv}}`. No tweet of theirs is trained on, nor any of
    their authors; validation and test stay as they are. `path` may name a built-in source, unless it has the run's own
    tweets; of `sentiment140` the 498 tweets labelled by hand are taken, which it brings as `manual` where it is the
    `source`."""
    columns: ColumnConfig = ColumnConfig()
    labels: LabelConfig = LabelConfig()
    neutral_band: Annotated[float, Field(ge=0)] = 0.5
    """Rated tweets (`vader`: from -4 to 4) whose mean rating is closer to zero than this are not used."""
    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    max_rows: PositiveInt | None = None
    """Keep about this many rows, chosen by the hash that also decides the split; None keeps all."""
    text: TextConfig = TextConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    extra_train: Annotated[tuple[ExtraTable, ...], Field(strict=False)] = ()
    """Further labelled tweets, for training alone. Those whose text or author stands in the validation part or in a
    test part are left out."""
    train_rows: PositiveInt | None = None
    """Train on this many of the training tweets only, chosen by hash: a smaller number's are among a larger one's, and
    validation and test stay as they are. None trains on all."""
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    """Divide the tweets into this many test parts by hash, in place of one of `test_fraction`: with all folds run, each
    tweet is tested once. For small data; the report puts the folds' predictions together."""
    fold: PositiveInt | None = None
    """Which of the `folds` is the test part, counted from 1."""

    @property
    def label_names(self) -> tuple[str, str]:
        """What the negative and the positive label are called: as in the user's table where that says it in words."""
        usual = LabelConfig()
        chosen = ((self.labels.negative, usual.negative, LABELS[0]), (self.labels.positive, usual.positive, LABELS[1]))
        words = [
            next((name.strip() for name in names if not _NUMBER.fullmatch(name)), word) if names != default else word
            for names, default, word in chosen
        ]
        return words[0], words[1]

    @property
    def source_is_path(self) -> bool:
        """Whether `source` names a file."""
        return is_path(self.source)

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
        tested = 1 / self.folds if self.folds else self.test_fraction
        if self.validation_fraction + tested >= 1:
            name = f"1 / {self.folds} folds" if self.folds else "test_fraction"
            raise ValueError(f"validation_fraction + {name} must be below 1; otherwise no row is left to train on")
        return self

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> Self:
        if self.folds is None and self.fold is not None:
            raise ValueError(f"fold {self.fold} needs data.folds, the number of folds; data.folds=5 is usual")
        if self.folds is not None and (self.fold is None or self.fold > self.folds):
            raise ValueError(f"data.fold is {self.fold}; with data.folds={self.folds} it must be 1 to {self.folds}")
        return self
