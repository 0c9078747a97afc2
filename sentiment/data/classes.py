"""The ordered classes of tweets: their names, the labels that mean each of them, and the labels that are left out.

Of other packages, only pydantic is imported.
"""

import json
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import PlainSerializer, PlainValidator, SerializationInfo

from sentiment.errors import UsageError

Labels = tuple[str, ...]
# What lower-cased labels mean: the index of a class, or None for a label that the data leaves out.
Meanings = Mapping[str, int | None]

IGNORED = "ignored"  # in a configuration, the name that stands for the labels of no class
MIN_CLASSES = 2
MAX_CLASSES = 20
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_ZEROS = re.compile(r"^([+-]?\d+)\.0+$")


_FORM = "must name classes, as in {negative: [neg], positive: [pos]}"


class OtherClassesError(UsageError, ValueError):
    """Raised if a table's classes are not those of the data."""


@dataclass(frozen=True)
class Classes:
    """The classes of tweets, from the most negative to the most positive one.

    Attributes:
        names: of the classes.
        labels: of each class; they are compared by `word_of`.
        ignored: the labels of no class: their rows are counted, but not used.
    """

    names: tuple[str, ...]
    labels: tuple[Labels, ...]
    ignored: Labels = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a mapping of names to labels, as in a configuration, or pairs of them.

        Also text such as `negative=1,2 neutral=3 positive=4,5`. A word without `=`, or a name in place of a pair, is a
        class whose only label is its name.

        Raises:
            ValueError: it has another form, or the classes are too few, too many, ambiguous or in the wrong order.
        """
        if isinstance(value, cls):
            return value
        labels: dict[str, Labels] = {}
        for name, of_class in _pairs(value):
            if not isinstance(name, str) or not name:
                raise ValueError(f"{name!r} is not the name of a class")
            if name in labels:
                raise ValueError(f"names the class {name!r} twice; write all of its labels as {name}=LABEL,LABEL")
            labels[name] = as_labels(of_class)
        ignored = labels.pop(IGNORED, ())
        classes = cls(tuple(labels), tuple(labels.values()), ignored)
        classes._check()
        return classes

    def _check(self) -> None:
        if not MIN_CLASSES <= len(self.names) <= MAX_CLASSES:
            names = ", ".join(self.names) or "none"
            raise ValueError(f"{MIN_CLASSES} to {MAX_CLASSES} classes are needed, not {names}")
        known = self.understand(self.names)
        order = [word for words in known.labels for word in words] if known else []
        # Numbers may have any order: only the user knows which one is the most negative.
        if order and order != [*map(word_of, self.names)] and not order[0].isdecimal():
            raise ValueError(f"classes go from the most negative to the most positive one: {', '.join(order)}")
        # A name is the label that a person writes for its class, whatever labels the table has.
        own = [(name, *labels) for name, labels in self.by_name.items()]
        words = [word for labels in (*own, self.ignored) for word in {*map(word_of, labels)}]
        ambiguous = sorted({word for word in words if words.count(word) > 1})
        if ambiguous:
            raise ValueError(f"each label must have one meaning, but {ambiguous} have several")

    @property
    def by_name(self) -> dict[str, Labels]:
        """The labels of each class."""
        return dict(zip(self.names, self.labels, strict=True))

    def stored(self) -> dict[str, Labels]:
        """A mapping that `parse` reads."""
        return self.by_name | {IGNORED: self.ignored}

    @cached_property
    def meanings(self) -> dict[str, int | None]:
        """The index of the class that each lower-cased label means; None: ignored."""
        meanings: dict[str, int | None] = {}
        for index, labels in enumerate(self.labels):
            meanings |= dict.fromkeys(map(word_of, labels), index)
        return meanings | dict.fromkeys(map(word_of, self.ignored))

    @classmethod
    def understand(cls, values: Iterable[str]) -> Self | None:
        """The classes that values of a label column name, in their order; None if they are unknown.

        A class is called by the first of its known words, spelled as in the column if it occurs there.
        """
        spelled = {word_of(value): value for value in values}
        if {"1", "4"} <= spelled.keys():
            return None
        for scale in _SCALES:
            used = [tuple(word for word in words if word in spelled) for words in scale]
            classes = {spelled.get(words[0], words[0]): own for words, own in zip(scale, used, strict=True) if own}
            if len(classes) > 1 and sum(map(len, used)) == len(spelled):
                return cls(tuple(classes), tuple(classes.values()))
        return None

    def renamed(self, names: Sequence[str]) -> Self:
        """The labels of the classes `names`, in their order, in a table of these classes.

        Classes of the same name are the same. Labels of any other class are ignored, unless there are as many names as
        classes: then the order decides.

        Raises:
            OtherClassesError: no class corresponds to a name, or the order contradicts a name.
        """
        origins = {name: name for name in self.names if name in names}
        if len(origins) < len(self.names) == len(names):
            by_order = dict(zip(names, self.names, strict=True))
            origins = by_order if all(by_order[name] == name for name in origins) else {}
        if not origins:
            raise OtherClassesError(
                f"the table's classes ({', '.join(self.names)}) are not {', '.join(names)}, neither by their names nor "
                f"by their order; name them so in labels or by --classes, and the labels of any other class {IGNORED}"
            )
        labels = self.by_name
        own = tuple(labels.pop(origins[name]) if name in origins else () for name in names)
        others = [label for of_class in labels.values() for label in of_class]
        return type(self)(tuple(names), own, tuple(sorted([*self.ignored, *others])))

    @classmethod
    def of_option(cls, text: str) -> Self:
        """The classes that `--classes` names.

        Raises:
            UsageError: as `parse`.
        """
        try:
            return cls.parse(text)
        except ValueError as error:
            raise UsageError(f"--classes {shlex.quote(text)}: {error}") from None

    def with_names(self) -> Self:
        """These classes, of which each has its own name among its labels."""
        labels = [tuple(sorted({*own, name})) for name, own in self.by_name.items()]
        return replace(self, labels=tuple(labels))

    def extended_by(self, values: Collection[str]) -> Self | None:
        """These classes if they have all of the lower-cased values, else those of known words that include them.

        None if it is unclear what the values mean.
        """
        if {*values} <= self.meanings.keys():
            return self
        classes = self.understand([*values, *self.meanings])
        return classes if classes and {*self.names} <= {*classes.names} else None

    def answer_meanings(self, further: Self | None = None) -> dict[str, int | None]:
        """What each lower-cased answer of a predictor or a person means, as `meanings`.

        Known are the names of the classes, usual words for two classes of which none is neutral, and the labels of
        these classes and of `further`, which are classes of the same names or in the same order.

        Raises:
            OtherClassesError: `further` has none of these classes.
        """
        named = {word_of(name): index for index, name in enumerate(self.names)}
        meanings: dict[str, int | None] = {**named}
        if len(self.names) == MIN_CLASSES and "neutral" not in self.names:
            meanings |= DEFAULT_CLASSES.meanings
        meanings |= self.meanings
        meanings |= named
        if further is not None:
            meanings |= further.renamed(self.names).meanings
        return meanings

    def sheet_meanings(self) -> dict[str, int | None]:
        """What each lower-cased label on a sheet means, as `answer_meanings`.

        Numbers mean nothing, unless a class is called so: they may be the keys of the page, or of another scale.
        """
        names = [*map(word_of, self.names)]
        meanings = self.answer_meanings().items()
        return {word: meaning for word, meaning in meanings if word in names or not is_number(word)}

    def ignoring(self, labels: Iterable[str]) -> Self:
        """These classes, with labels ignored that mean none of them."""
        new = {label for label in labels if word_of(label) not in self.meanings}
        return replace(self, ignored=tuple(sorted({*self.ignored, *new})))

    def option(self) -> str:
        """The option that names these classes and their labels, quoted for a shell."""
        words = []
        for name, labels in self.by_name.items():
            words.append(name if labels == (name,) else f"{name}={','.join(labels)}")
        if all(re.fullmatch(r"[\w.+-]+(=[\w.+,-]+)?", word) for word in words):
            return f"--classes {shlex.quote(' '.join(words))}"
        return f"--set {shlex.quote(f'data.labels={json.dumps(self.by_name, ensure_ascii=False)}')}"

    def is_ambiguous(self, values: Collection[str]) -> bool:
        """Whether, if these are the default classes, the meaning of a column's lower-cased values is ambiguous.

        0 and 1 are negative and positive, and so are 0 and 4, as in Sentiment140. Any other numbers may be a scale,
        whose lower end or middle may be 1. Whether neutral tweets are a class, or are left out, has to be said.
        """
        return self == DEFAULT_CLASSES and ({"1", "4"} <= {*values} or "neutral" in values)

    def check_scale(self, values: Collection[str], column: str) -> None:
        """Refuse a column with the numbers of several classes, but not of all: they may be those of another scale.

        So 0 and 1 may be the lower two of negative, neutral and positive, or negative and positive.

        Args:
            values: those of the label column, lower-cased.
            column: the file and the column, for the message.

        Raises:
            UsageError: says how to name their classes.
        """
        numbers = {word: index for word, index in self.meanings.items() if index is not None and is_number(word)}
        used = {numbers.get(value) for value in values}
        if None in used or not 1 < len(used) < len({*numbers.values()}):
            return
        ends = (self.names[0], self.names[-1])
        other = Classes(ends, tuple((value,) for value in sorted(values)[:2]))
        raise UsageError(
            f"{column} has only some of the numbers that are classes here, so that another scale may be meant: "
            f"{self.option()} is the known one; another one would be {other.option()}"
        )


def word_of(label: str) -> str:
    """What labels are compared by: not case, surrounding white space, or the decimal zeros of a whole number.

    pandas writes these zeros if a label is missing: the numbers of such a column are floating-point numbers.
    """
    return _ZEROS.sub(r"\1", label.strip().lower())


def _pairs(value: object) -> Iterator[tuple[object, object]]:
    """The names and the labels that `Classes.parse` reads."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, str):
        for word in value.split():
            name, equals, labels = word.partition("=")
            yield name, labels.split(",") if equals else name
    elif isinstance(value, list | tuple):
        for item in value:
            match item:
                case str():
                    yield item, item
                case [name, labels]:
                    yield name, labels
                case _:
                    raise ValueError(_FORM)
    else:
        raise ValueError(_FORM)


def as_labels(value: object) -> Labels:
    """Labels of a class: one or several, integers and booleans by their JSON text.

    Raises:
        ValueError: a label is something else.
    """
    labels = value if isinstance(value, list | tuple) else (value,)
    texts = []
    for label in labels:
        if not isinstance(label, str | int):
            raise ValueError(f"{label!r} is not a label; labels are texts, integers or booleans")
        texts.append(label if isinstance(label, str) else json.dumps(label))
    return tuple(texts)


def is_number(label: str) -> bool:
    """Whether a label is written as a number."""
    return _NUMBER.fullmatch(label) is not None


# Numbers: only 0 and 1, or 0 and 4 as in Sentiment140, are understood. Any others have to be assigned.
_NEGATIVE = ("0", "negative", "neg")
_NEUTRAL = ("neutral",)
_POSITIVE = ("1", "4", "positive", "pos")
DEFAULT_CLASSES = Classes(("negative", "positive"), (_NEGATIVE, _POSITIVE), _NEUTRAL)


def polar_classes(
    names: Sequence[str], negative: Labels = _NEGATIVE, neutral: Labels = _NEUTRAL, positive: Labels = _POSITIVE
) -> Classes:
    """The classes `names` in a file with negative, neutral and positive tweets.

    A class called `neutral` has the neutral labels. Of two other classes neither has them: they are ignored.

    Raises:
        OtherClassesError: none of `names` is one of the file's classes.
    """
    classes = Classes(("negative", "positive"), (negative, positive), neutral)
    if len(names) > MIN_CLASSES or "neutral" in names:
        classes = Classes(("negative", "neutral", "positive"), (negative, neutral, positive))
    return classes.renamed(names)


# Scales of known words: each line has the classes from the most negative to the most positive one, with their words.
# A column is understood if all its values are words of one scale.
_SCALE_LINES = """
negative neg neg. 0 | neutral neu neu. | positive pos pos. 1 4
negativ | neutral | positiv
n | p
- | +
bad | neutral | good
sad | neutral | happy
unhappy | neutral | happy
angry | neutral | happy
dislike | neutral | like
hate | neutral | love
"""
_SCALES = [[words.split() for words in line.split("|")] for line in _SCALE_LINES.strip().splitlines()]


def _in_file(classes: Classes, info: SerializationInfo) -> object:
    """In JSON pairs, since objects there have no order; the two default classes are in alphabetical order anyway."""
    labels = classes.stored()
    if info.mode == "python" or classes.names == DEFAULT_CLASSES.names:
        return labels
    return [*labels.items()]


# Whether all classes weigh the same in training; `auto`: where one is rare.
ClassWeights = Literal["auto", "none", "balanced"]
# As a field of a configuration.
ConfiguredClasses = Annotated[Classes, PlainValidator(Classes.parse), PlainSerializer(_in_file)]
