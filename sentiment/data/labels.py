"""The ordered classes of tweets, and the label values of each: their schema, scales of known words, and look-up.

Of other packages, only pydantic is imported.
"""

import json
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from sentiment.errors import UsageError


def as_string_list(value: object) -> list[object]:
    """Accept a single label instead of a list, and turn integers and booleans into their JSON text."""
    labels = value if isinstance(value, list | tuple) else (value,)
    return [json.dumps(label) if type(label) in (int, bool) else label for label in labels]


LabelMapping = Mapping[str, tuple[str, ...]]
# What lower-cased labels mean: the index of a class, or None for a label that the data leaves out.
Meanings = Mapping[str, int | None]
LabelValues = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(as_string_list)]

IGNORED = "ignored"  # not a class: rows with these labels are counted but not used
MIN_CLASSES = 2
MAX_CLASSES = 20


def class_names(labels: Mapping[str, object]) -> tuple[str, ...]:
    """The names of the classes, from the most negative to the most positive."""
    return tuple(name for name in labels if name != IGNORED)


def as_mapping(labels: object) -> object:
    """Accept text such as `negative=1,2 neutral=3 positive=4,5`, and pairs as `_stored_labels` returns them.

    A word without `=`, or a name in place of a pair, is a class whose only label is its name.
    """
    if isinstance(labels, str):
        classes: dict[str, list[str]] = {}
        for word in labels.split():
            name, equals, values = word.partition("=")
            if name in classes:
                raise ValueError(f"names the class {name!r} twice; write all of its labels as {name}=LABEL,LABEL")
            classes[name] = values.split(",") if equals else [name]
        return classes
    if isinstance(labels, list | tuple):
        pairs = [(name, name) if isinstance(name, str) else name for name in labels]
        try:
            return dict(pairs)
        except (TypeError, ValueError):
            raise ValueError("must name classes, as in {negative: [neg], positive: [pos]}") from None
    return labels


def _checked_labels(labels: LabelMapping) -> LabelMapping:
    names = class_names(labels)
    if not MIN_CLASSES <= len(names) <= MAX_CLASSES:
        raise ValueError(f"{MIN_CLASSES} to {MAX_CLASSES} classes are needed, not {', '.join(names) or 'none'}")
    order = [word for words in (known_classes(names) or {}).values() for word in words]
    # Numbers may have any order: only the user knows which one is the most negative.
    if order and order != [name.lower() for name in names] and not order[0].isdecimal():
        raise ValueError(f"classes go from the most negative to the most positive one: {', '.join(order)}")
    counts: Counter[str] = Counter()
    for values in labels.values():
        counts.update({value.strip().lower() for value in values})
    ambiguous = sorted(value for value, count in counts.items() if count > 1)
    if ambiguous:
        raise ValueError(f"each label must have one meaning, but {ambiguous} have several")
    return labels


def _stored_labels(labels: LabelMapping) -> object:
    """Pairs, since objects in JSON files have no order; the two default classes are in alphabetical order anyway."""
    return labels if class_names(labels) == class_names(DEFAULT_LABELS) else list(labels.items())


# The labels of each class, from the most negative class to the most positive one, and those in IGNORED. Labels are
# compared ignoring case and surrounding white space.
ClassLabels = Annotated[
    dict[Annotated[str, Field(min_length=1)], LabelValues],
    BeforeValidator(as_mapping),
    AfterValidator(_checked_labels),
    PlainSerializer(_stored_labels, when_used="json"),
]

# Numbers: only 0 and 1, or 0 and 4 as in Sentiment140, are understood. Any others have to be assigned.
_NEGATIVE = ("0", "negative", "neg")
_NEUTRAL = ("neutral",)
_POSITIVE = ("1", "4", "positive", "pos")
DEFAULT_LABELS = {"negative": _NEGATIVE, "positive": _POSITIVE, IGNORED: _NEUTRAL}


class OtherClassesError(UsageError, ValueError):
    """Raised if a table's classes are not those of the data."""


def with_names(labels: LabelMapping, names: Sequence[str]) -> LabelMapping:
    """Rename the classes of a table's labels to `names`, in the order of `names`.

    Classes of the same name are the same. Labels of any other class are ignored, unless the table has as many classes
    as there are names: then the order decides.

    Raises:
        OtherClassesError: no class of the table corresponds to a name, or the order contradicts a name.
    """
    own = class_names(labels)
    origins = {name: name for name in own if name in names}
    if len(origins) < len(own) == len(names):
        by_order = dict(zip(names, own, strict=True))
        origins = by_order if all(by_order[name] == name for name in origins) else {}
    if not origins:
        raise OtherClassesError(
            f"the table's classes ({', '.join(own)}) are not {', '.join(names)}, neither by their names nor by their "
            f"order; name them so in labels or by --classes, and the labels of any other class {IGNORED}"
        )
    renamed = {name: labels[origins[name]] if name in origins else () for name in names}
    ignored = [value for name in {*labels} - {*origins.values()} for value in labels[name]]
    return renamed | {IGNORED: tuple(sorted(ignored))}


def polar_labels(
    names: Sequence[str],
    negative: tuple[str, ...] = _NEGATIVE,
    neutral: tuple[str, ...] = _NEUTRAL,
    positive: tuple[str, ...] = _POSITIVE,
) -> LabelMapping:
    """The labels of the classes `names` in a file with negative, neutral and positive tweets.

    A class called `neutral` has the neutral labels. Of two other classes neither has them: they are ignored.

    Raises:
        OtherClassesError: none of `names` is one of the file's classes.
    """
    labels = {"negative": negative, "positive": positive, IGNORED: neutral}
    if len(names) > MIN_CLASSES or "neutral" in names:
        labels = {"negative": negative, "neutral": neutral, "positive": positive}
    return with_names(labels, names)


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


def known_classes(values: Iterable[str]) -> LabelMapping | None:
    """The classes that values of a label column name, in their order, with their values; None if they are unknown.

    A class is called by the first of its known words, spelled as in the column if it occurs there.
    """
    spelled = {value.lower(): value for value in values}
    if {"1", "4"} <= spelled.keys():
        return None
    for scale in _SCALES:
        classes = {}
        for words in scale:
            used_words = tuple(word for word in words if word in spelled)
            if used_words:
                classes[spelled.get(words[0], words[0])] = used_words
        if len(classes) > 1 and {*chain.from_iterable(classes.values())} == spelled.keys():
            return classes
    return None


def classes_option(labels: Mapping[str, Collection[str]]) -> str:
    """The option that names these classes and labels, quoted for a shell."""
    words = []
    for name, values in labels.items():
        if [*values] == [name]:
            words.append(name)
        elif values:
            words.append(f"{name}={','.join(values)}")
    if all(re.fullmatch(r"[\w.+-]+(=[\w.+,-]+)?", word) for word in words):
        return f"--classes {shlex.quote(' '.join(words))}"
    mapping = {name: list(values) for name, values in labels.items()}
    return f"--set {shlex.quote(f'data.labels={json.dumps(mapping, ensure_ascii=False)}')}"


def label_meanings(labels: LabelMapping) -> dict[str, int | None]:
    """Map each lower-cased value of the label column to the index of its class, or None (ignored)."""
    meanings: dict[str, int | None] = {}
    for index, name in enumerate(class_names(labels)):
        meanings |= {label.strip().lower(): index for label in labels[name]}
    return meanings | {label.strip().lower(): None for label in labels.get(IGNORED, ())}


_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def is_number(label: str) -> bool:
    """Whether a label is written as a number."""
    return _NUMBER.fullmatch(label) is not None


def check_scale(labels: LabelMapping, values: Collection[str], column: str) -> None:
    """Refuse a column with the numbers of several classes, but not of all: they may be those of another scale.

    So 0 and 1 may be the lower two of negative, neutral and positive, or negative and positive.

    Args:
        values: those of the label column, lower-cased.
        column: the file and the column, for the message.

    Raises:
        UsageError: says how to name their classes.
    """
    meanings = label_meanings(labels)
    numbers = {value: index for value, index in meanings.items() if index is not None and is_number(value)}
    used = {numbers[value] for value in values if value in numbers}
    if not 1 < len(used) < len({*numbers.values()}) or not {*values} <= numbers.keys():
        return
    names = class_names(labels)
    known = classes_option({name: labels[name] for name in names})
    other = classes_option(dict(zip((names[0], names[-1]), ([value] for value in sorted(values)), strict=False)))
    raise UsageError(
        f"{column} has only some of the numbers that are classes here, so that another scale may be meant: {known} is "
        f"the known one; another one would be {other}"
    )


def is_ambiguous(labels: LabelMapping, values: Collection[str]) -> bool:
    """Whether, with the default `labels`, the meaning of the lower-cased `values` of a table's column is ambiguous.

    0 and 1 are negative and positive, and so are 0 and 4, as in Sentiment140. Any other numbers may be a scale, whose
    lower end or middle may be 1. Whether neutral tweets are a class, or are left out, has to be said.
    """
    return labels == DEFAULT_LABELS and ({"1", "4"} <= {*values} or "neutral" in values)
