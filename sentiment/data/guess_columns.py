"""Guesses from the first rows of a table which columns hold texts and labels, and what the labels mean."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.config import ColumnConfig, DataConfig, RunConfig, Values, is_path
from sentiment.config_file import resolve, yaml_text
from sentiment.console import visible
from sentiment.data.labels import (
    DEFAULT_LABELS,
    IGNORED,
    LabelMapping,
    check_scale,
    class_names,
    classes_option,
    is_ambiguous,
    known_classes,
    label_meanings,
)
from sentiment.data.sources import COLUMNS_140, is_sentiment140, labels_140
from sentiment.data.tables import (
    DELIMITED,
    TEXT_NAMES,
    OpenedTable,
    abbreviated,
    as_text,
    column_indices,
    open_table,
)
from sentiment.data.text import stop_words
from sentiment.data.text_files import TableRecord
from sentiment.errors import UsageError
from sentiment.files import user_path

SAMPLE_ROWS = 2_000
_MAX_NAME_LENGTH = 40
_MAX_NAME_WORDS = 3
_MAX_CATEGORIES = 10
_SHOWN_VALUES = 6
_SHOWN_ROWS = 5
_SHOWN_WIDTH = 60
_FREQUENT_WORDS = 20
_SHOWN_WORDS = 5
_WORD = re.compile(r"(?<![@#\w/.])[^\W\d_]+")  # neither user names nor hashtags nor links
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_EXAMPLES = 3  # tweets that are shown of each label
LABEL_NAMES = ("label", "labels", "sentiment", "polarity", "class", "target", "airline_sentiment", "mood", "emotion")
_TEXT = "data.columns.text"
_LABEL = "data.columns.label"
_LABELS = "data.labels"


@dataclass(frozen=True)
class TableColumn:
    """A column with its values in the first rows; `key` is its name, or its index if there is no header."""

    key: str | int
    values: list[str]

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(value.strip() for value in self.values if value.strip())

    def can_hold(self, role: str) -> bool:
        """Whether it can be the column of the texts (`text`) or of the labels (`label`)."""
        distinct = len(self.counts)
        rows = len(self.values)
        holds_sentences = 2 * sum(" " in value for value in self.counts) > distinct > rows / 2
        if role == "text":
            return holds_sentences
        return not holds_sentences and 1 < distinct <= min(_MAX_CATEGORIES, rows / 2)


@dataclass(frozen=True)
class TableGuess:
    """How a table is interpreted, and which settings were guessed."""

    path: Path
    columns: list[TableColumn]
    text: TableColumn
    label: TableColumn
    labels: LabelMapping
    guessed: Values  # guessed configuration values by dotted name
    reasons: list[str]  # a sentence for each guess, and other remarks on the file

    def messages(self) -> list[str]:
        return [f"{self.path.name}: {reason}" for reason in self.reasons]

    def preview(self) -> list[str]:
        """Preview of the parsed first rows, and the equivalent YAML lines."""
        columns = [repr(column.key) for column in self.columns]
        lines = [f"{self.path}: columns {abbreviated(columns)}"]
        lines += [f"text is column {self.text.key!r}, the label column {self.label.key!r}", *self.reasons, ""]
        counts = [f"{value!r} {count:,}" for value, count in self.label.counts.most_common()]
        lines += [
            *self._shown_rows(),
            f"labels in the first {len(self.label.values):,} rows: {abbreviated(counts)}",
            "",
        ]
        settings: Values = {"source": str(self.path)}
        settings["columns"] = {"text": self.text.key, "label": self.label.key}
        if self.labels != DEFAULT_LABELS:
            settings["labels"] = dict(self.labels)
        lines += ["the same as lines of a run's file:", "  data:"]
        return lines + [f"    {name}: {yaml_text(value)}" for name, value in settings.items()]

    def _shown_rows(self) -> list[str]:
        names = class_names(self.labels)
        meanings = label_meanings(self.labels)
        rows = [("class", "label", "text")]
        for label, text in zip(self.label.values[:_SHOWN_ROWS], self.text.values, strict=False):
            index = meanings.get(label.strip().lower())
            name = "left out" if index is None else names[index]
            rows.append((name, visible(label), _shortened(text)))
        name_width, label_width, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
        return [f"{name:<{name_width}}  {label:<{label_width}}  {text}" for name, label, text in rows]


def resolve_with_guesses(
    values: Mapping[str, Any], given: Collection[str], parameters: Mapping[str, Any], origin: str
) -> tuple[RunConfig, TableGuess | None]:
    """Resolve a configuration, guessing unspecified columns and labels; also returns the guess.

    Args:
        values, parameters, origin: as `sentiment.config_file.resolve` takes them.
        given: dotted names of explicitly set fields.
    """
    run = resolve(values, parameters, origin)
    guess = guess_table(run.data, {*given, *parameters})
    if guess is None:
        return run, None
    return resolve(values, {**parameters, **guess.guessed}, origin), guess


def guess_table(config: DataConfig, given: Collection[str]) -> TableGuess | None:
    """Interpret the table of a configuration; None if it has none, or the table has an error that its reader raises.

    Args:
        given: dotted names of explicitly set fields.

    Raises:
        UsageError: several columns fit, or the meaning of the labels is unclear; lists candidates and options.
    """
    path = user_path(config.source)
    if not is_path(config.source) or not path.is_file():
        return None
    if is_sentiment140(path):
        columns, _ = sample_columns(path, COLUMNS_140)
        reason = "is in the format of Sentiment140, whose columns and labels are known"
        return TableGuess(path, columns, columns[5], columns[0], labels_140(config.labels), {}, [reason])
    columns, table = sample_columns(path, config.columns)
    if not columns or not columns[0].values:
        return None
    reasons = []
    if len(table.sheets) > 1:
        reasons.append(f"sheet {table.sheets[0]!r} is read; not read: {', '.join(map(repr, table.sheets[1:]))}")
    if isinstance(columns[0].key, int) and not {_TEXT, _LABEL} & {*given}:
        reasons.append("the file has no header: the first line is a tweet; columns are numbered from 0")
    text = _find_column(path, columns, "text", config.columns.text, _TEXT in given, reasons)
    label = _find_column(path, columns, "label", config.columns.label, _LABEL in given, reasons)
    if text is None or label is None:
        return None
    if config.is_english and (words := _words_of_another_language(text.values)):
        reasons.append(
            f"frequent words such as {', '.join(words)} are not among the usual English ones; if this is another "
            "language, --set data.language=CODE (de, es, ...) leaves the English lexicon, ratings and check list out"
        )
    guessed: Values = {}
    if text.key != config.columns.text:
        guessed[_TEXT] = text.key
    if label.key != config.columns.label:
        guessed[_LABEL] = label.key
    labels = _labels(path, text, label, config.labels, {*given}, reasons)
    if labels != config.labels:
        guessed[_LABELS] = {name: list(values) for name, values in labels.items()}
    return TableGuess(path, columns, text, label, labels, guessed, reasons)


# --- columns --------------------------------------------------------------------------------------------------------


def shared_columns(path: Path, configured: ColumnConfig) -> Values:
    """The configured columns that a table has, by field; without `part`, which another table may lack."""
    if not path.is_file():  # its reader raises the error
        return {}
    columns, _ = sample_columns(path, configured)
    names = {column.key for column in columns}
    return {field: name for field, name in configured.model_dump(exclude={"part"}).items() if name in names}


def sample_columns(path: Path, configured: ColumnConfig) -> tuple[list[TableColumn], OpenedTable]:
    """The columns of a table with their values in the first rows."""
    table = open_table(path, lambda _: False)
    records = islice(table.read_all(), SAMPLE_ROWS + 1)
    rows = [[as_text(value) for value in record.fields] for record in records if isinstance(record, TableRecord)]
    keys: list[Any] = table.names
    if table.format in (*DELIMITED, "xlsx"):
        complete = [[field.strip() for field in fields] for fields in rows if len(fields) == len(keys)]
        first, *rows = complete or [[]]  # empty if all sampled rows were refused
        configured_names = {configured.text, configured.label, configured.user, configured.id}
        keys = first
        if not configured_names & {*first} and _looks_like_data(first, rows):
            keys = list(range(len(first)))
            rows = [first, *rows]
    return [TableColumn(key, [fields[index] for fields in rows]) for index, key in enumerate(keys)], table


def _looks_like_data(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is data rather than a header: it repeats a label, or contains a sentence."""
    for index, name in enumerate(first):
        if len(name) > _MAX_NAME_LENGTH or len(name.split()) > _MAX_NAME_WORDS:
            return True
        values = {fields[index] for fields in rows}
        if name and name in values and len(values) <= _MAX_CATEGORIES:
            return True
    return False


def _find_column(
    path: Path, columns: list[TableColumn], role: str, configured: str | int, is_given: bool, reasons: list[str]
) -> TableColumn | None:
    """The column of the texts or of the labels; None if the configured column does not exist."""
    matching = [columns[index] for index in column_indices(configured, [column.key for column in columns])]
    if matching or is_given:
        return matching[0] if len(matching) == 1 else None
    usual_names = TEXT_NAMES if role == "text" else LABEL_NAMES
    candidates = [column for column in columns if str(column.key).strip().lower() in usual_names]
    reason = "by its name"
    if not candidates:
        candidates = [column for column in columns if column.can_hold(role)]
        reason = f"the only one that can hold {role}s"
    if len(candidates) != 1:
        shown = [f"{column.key!r} (such as {_shortened(next(iter(column.counts), ''))!r})" for column in columns]
        raise UsageError(
            f"{path}: {len(candidates)} columns can hold the {role}s; name the right one with --set "
            f"data.columns.{role}=NAME. Columns: {abbreviated(shown, '; ')}"
        )
    option = f"--set data.columns.{role}=NAME"
    reasons.append(f"{role}s are taken from column {candidates[0].key!r} ({reason}); {option} names another")
    return candidates[0]


def _words_of_another_language(texts: Iterable[str]) -> list[str]:
    """Up to 5 of the 20 most frequent words that are not English stop words, if at least 10 of these 20 are not."""
    counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
    frequent = [word for word, _ in counts.most_common(_FREQUENT_WORDS)]
    unknown = [word for word in frequent if word not in stop_words("all")]
    return unknown[:_SHOWN_WORDS] if len(frequent) == _FREQUENT_WORDS <= 2 * len(unknown) else []


def _shortened(text: str) -> str:
    return visible(text if len(text) <= _SHOWN_WIDTH else f"{text[:_SHOWN_WIDTH]}…")


# --- labels ---------------------------------------------------------------------------------------------------------


def _labels(
    path: Path, text: TableColumn, label: TableColumn, labels: LabelMapping, given: Collection[str], reasons: list[str]
) -> LabelMapping:
    """The labels of each class: the configured ones, or what the values of the label column mean.

    Raises:
        UsageError: the meaning of a value is unclear: an unknown word, or a number other than 0 and 1 (or 0 and 4).
    """
    values = {value.lower() for value in label.counts}
    unknown = values - label_meanings(labels).keys()
    if _LABELS in given and not labels.get(IGNORED):
        if unknown:
            shown = ", ".join(
                f"{value!r} ({label.counts[value]:,})" for value in label.counts if value.lower() in unknown
            )
            reasons.append(f"rows whose label belongs to no class are left out: {shown}")
        return {**labels, IGNORED: tuple(sorted(unknown))}
    if any(name.startswith(_LABELS) for name in given):
        return labels
    check_scale(labels, values, f"{path}: column {label.key!r}")
    if not unknown and not is_ambiguous(labels, values):
        if values == {"0", "1"}:
            names = class_names(labels)
            meanings = label_meanings(labels)
            zero, one = (names[meanings[value] or 0] for value in ("0", "1"))
            option = classes_option({zero: "1", one: "0"})
            reasons.append(f"label '1' is taken as {one} and '0' as {zero}; {option} swaps them")
        return labels
    classes = known_classes(label.counts)
    if classes is None:
        raise UsageError(
            f"{path}: column {label.key!r} has labels whose meaning is not known:\n{_label_examples(text, label)}\n"
            f"Say which are which, from the most negative class to the most positive one: {_proposed_option(label)}"
        )
    reasons.append(f"classes from negative to positive: {', '.join(classes)} ({classes_option(classes)})")
    return {**classes, IGNORED: ()}


def _label_examples(text: TableColumn, label: TableColumn) -> str:
    """A line for each of the most frequent labels: how many rows have it, and the first tweets that have it."""
    examples: dict[str, list[str]] = defaultdict(list)
    for value, tweet in zip(label.values, text.values, strict=True):
        if len(examples[value.strip()]) < _EXAMPLES:
            examples[value.strip()].append(_shortened(tweet))
    lines = [f"  {value!r} ({count:,}): {' | '.join(examples[value])}" for value, count in label.counts.most_common()]
    return abbreviated(lines, "\n")


def _proposed_option(label: TableColumn) -> str:
    """The option to propose for the classes of a label column."""
    values = [value for value, _ in label.counts.most_common(_SHOWN_VALUES)]
    if len(values) == len(label.counts) and all(map(_NUMBER.fullmatch, values)):
        scale = sorted(values, key=float)
        half = len(scale) // 2
        classes = {"negative": scale[:half], "neutral": scale[half:-half], "positive": scale[-half:]}
        return f"{classes_option(classes)}, if it is a scale from negative to positive"
    known = known_classes(value for value in values if value.lower() in label_meanings(DEFAULT_LABELS))
    if known:
        return f"{classes_option(known)} leaves out rows with other labels"
    return f"{classes_option({value: [value] for value in values})}, if this order is right"
