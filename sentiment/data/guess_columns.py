"""Guesses from the first rows of a table which columns hold texts and labels, and what the labels mean.

What a configuration says is never replaced. A guess is a value of the configuration, and is told as such.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from sentiment.config import ColumnConfig, DataConfig, RunConfig, Values, is_path
from sentiment.config_file import difference, dotted, resolve, yaml_text
from sentiment.console import visible
from sentiment.data.formats import Refusal
from sentiment.data.labels import (
    IGNORED,
    LabelMapping,
    check_scale,
    class_names,
    classes_option,
    is_ambiguous,
    is_number,
    known_classes,
    label_meanings,
)
from sentiment.data.sources import TweetFile, columns_140, is_sentiment140, labels_140, open_file
from sentiment.data.tables import (
    TEXT_NAMES,
    Column,
    OpenedTable,
    RowCounter,
    abbreviated,
    as_text,
    open_table,
)
from sentiment.errors import UsageError
from sentiment.files import user_path

SAMPLE_ROWS = 2_000
LABEL_NAMES = ("label", "labels", "sentiment", "polarity", "class", "target", "airline_sentiment", "mood", "emotion")
_USUAL_NAMES = {"text": TEXT_NAMES, "label": LABEL_NAMES}
_MAX_CATEGORIES = 10
_ROUNDED = re.compile(r"\d([.,]\d{1,9})?E\+\d+")  # a long number as spreadsheets show it, and save it as CSV
_SHOWN_ROWS = 5
_SHOWN_WIDTH = 60


@dataclass(frozen=True)
class Sample:
    """The first rows of a table.

    Attributes:
        keys: of each column its name, or its position if several columns have that name or there is no header.
        columns: the values of each column.
        remarks: what is to be told about the file, whatever is read from it.
        row_remarks: what is to be told about these rows, which may be mistakes in the file.
    """

    table: OpenedTable
    keys: list[Column]
    columns: list[list[str]]
    remarks: list[str]
    row_remarks: list[str]

    @classmethod
    def of(cls, path: Path, expected: Collection[object]) -> Self:
        """Read the first rows of a table.

        Args:
            expected: as in `open_table`.

        Raises:
            DataError: as `open_table`.
        """
        table = open_table(path, expected)
        names = table.names
        records = [*islice(table.read_all(), SAMPLE_ROWS)]
        counter = RowCounter()
        complete = []
        for record in records:
            if isinstance(record, Refusal):
                continue
            counter.add_remarks(record)
            if len(record.fields) == len(names):
                complete.append(record.fields)
        columns = [[as_text(fields[index]) for fields in complete] for index in range(len(names))]
        among = f"of the first {SAMPLE_ROWS:,} rows, " if len(records) == SAMPLE_ROWS else ""
        row_remarks = [f"{among}{line}" for line in counter.lines()]
        remarks = []
        if len(table.sheets) > 1:
            others = ", ".join(map(repr, table.sheets[1:]))
            remarks.append(f"sheet {table.sheets[0]!r} is read; not read: {others}")
        if not table.has_header:
            remarks.append("the file has no header: the first line is a tweet; columns are numbered from 0")
        keys = [name if table.indices(name) == [index] else index for index, name in enumerate(names)]
        return cls(table, keys, columns, remarks, row_remarks)

    def values(self, key: Column) -> list[str] | None:
        """The values of the column of a name or position; None unless there is exactly one."""
        indices = self.table.indices(key)
        return self.columns[indices[0]] if len(indices) == 1 else None

    def has_own(self, key: Column) -> bool:
        """Whether a key that is not given for this table fits it: positions only fit a table without a header."""
        return self.values(key) is not None and (isinstance(key, str) or not self.table.has_header)

    def find(self, role: str, option: str) -> Column:
        """The one column that can hold the texts or the labels, by its name, else by its values.

        Raises:
            UsageError: there is none, or there are several; lists the columns and the option that names one.
        """
        named = [self.keys[index] for index in self.table.usual_indices(_USUAL_NAMES[role])]
        pairs = [*zip(self.keys, self.columns, strict=True)]
        found = named or [key for key, values in pairs if can_hold(role, values)]
        if len(found) == 1:
            return found[0]
        shown = [f"{key!r} (such as {_shortened(next(filter(None, values), ''))!r})" for key, values in pairs]
        raise UsageError(
            f"{self.table.path}: {len(found)} columns can hold the {role}s; name the right one with {option}. "
            f"Columns: {abbreviated(shown, '; ')}"
        )


def can_hold(role: str, values: Iterable[str]) -> bool:
    """Whether values can be those of the column of the texts (`text`) or of the labels (`label`)."""
    rows = [value.strip() for value in values]
    distinct = {*rows} - {""}
    holds_sentences = 2 * sum(" " in value for value in distinct) > len(distinct) > len(rows) / 2
    if role == "text":
        return holds_sentences
    return not holds_sentences and 1 < len(distinct) <= min(_MAX_CATEGORIES, len(rows) / 2)


# The options that take the place of guesses, in all commands that read a table.
_OPTIONS = {
    "data.columns.text": "--text-column",
    "data.columns.label": "--label-column",
    "data.labels": "--classes",
}


@dataclass(frozen=True)
class Guess:
    """How a table is interpreted: what a configuration has to say besides, and what is to be told."""

    sample: Sample
    changes: Values  # guessed configuration values by dotted name
    remarks: list[str]

    def messages(self) -> list[str]:
        lines = [*self.remarks]
        for name, value in self.changes.items():
            option = _OPTIONS.get(name, f"--set {name}=...")
            lines.append(f"guessed {name}: {yaml_text(value)} ({option} says otherwise)")
        return [f"{self.sample.table.path.name}: {line}" for line in lines]

    def preview(self, data: DataConfig) -> list[str]:
        """The parsed first rows with the resolved configuration, and the YAML lines that say the same."""
        texts = self.sample.values(data.columns.text) or []
        labels = self.sample.values(data.columns.label) or []
        meanings = label_meanings(data.labels)
        names: dict[int | None, str] = {None: "left out"}
        names.update(enumerate(data.label_names))
        lines = [f"{self.sample.table.path}: columns {abbreviated([*map(repr, self.sample.keys)])}", *self.messages()]
        for label, text in zip(labels[:_SHOWN_ROWS], texts, strict=False):
            word = label.strip().lower()
            name = names[meanings[word]] if word in meanings else "unknown"
            lines.append(f"{name:<10}  {visible(label):<10}  {_shortened(text)}")
        counts = [f"{value!r} {count:,}" for value, count in Counter(labels).most_common()]
        settings = [f"    {name}: {yaml_text(value)}" for name, value in difference(data, DataConfig()).items()]
        lines.append(f"labels in the first {len(labels):,} rows: {abbreviated(counts)}")
        return [*lines, "", "the same as lines of a run's file:", "  data:", *settings]


def resolve_with_guesses(
    values: Mapping[str, Any], given: Collection[str], parameters: Mapping[str, Any], origin: str
) -> tuple[RunConfig, Guess | None]:
    """Resolve a configuration, guessing unspecified columns and labels; also returns the guess.

    Args:
        values, parameters, origin: as `sentiment.config_file.resolve` takes them.
        given: dotted names of explicitly set fields.
    """
    run = resolve(values, parameters, origin)
    found = guess(run.data, {*given, *parameters, *dotted(parameters)})
    if found is None:
        return run, None
    return resolve(values, {**parameters, **found.changes}, origin), found


def guess(config: DataConfig, given: Collection[str]) -> Guess | None:
    """Interpret the table of a configuration; None if it has none, or the table has an error that its reader raises.

    Args:
        given: dotted names of explicitly set fields.

    Raises:
        UsageError: several columns fit, or the meaning of the labels is unclear; lists candidates and options.
    """
    path = user_path(config.source)
    if not is_path(config.source) or not path.is_file():
        return None
    is_known = is_sentiment140(path)
    columns = columns_140(config.columns) if is_known else config.columns
    sample = Sample.of(path, [column for _, column in columns])
    keys = dict(columns)
    for role, key in columns:
        if not is_known and f"data.columns.{role}" not in given and key is not None and not sample.has_own(key):
            keys[role] = sample.find(role, f"--set data.columns.{role}=NAME") if role in _USUAL_NAMES else None
    if not sample.columns[0] or any(key is not None and sample.values(key) is None for key in keys.values()):
        return None
    texts = sample.values(keys["text"]) or []
    values = [value.strip() for value in sample.values(keys["label"]) or []]
    if is_known:
        labels = labels_140(config.labels)
    else:
        labels = _labels(f"{path}: column {keys['label']!r}", values, texts, config.labels, given)
    changes: Values = {}
    for role, key in config.columns:
        if keys[role] != key:
            changes[f"data.columns.{role}"] = keys[role]
    if labels != config.labels:
        changes["data.labels"] = {name: [*words] for name, words in labels.items()}
    remarks = [*sample.row_remarks, *sample.remarks, *_remarks(config, given, values, labels)]
    if keys["user"] is not None:
        rounded = [*filter(_ROUNDED.fullmatch, sample.values(keys["user"]) or [])]
        if rounded:
            remarks.append(f"a spreadsheet has rounded authors, such as {rounded[0]}, so that several count as one")
    return Guess(sample, changes, remarks)


def _remarks(config: DataConfig, given: Collection[str], values: Iterable[str], labels: LabelMapping) -> list[str]:
    """What is to be told about the values of the label column."""
    remarks = []
    counts = Counter(value for value in values if value)
    meanings = label_meanings(labels)
    if {*counts} == {"0", "1"} and not _are_given("data.labels", given):
        zero, one = (class_names(labels)[meanings[value] or 0] for value in ("0", "1"))
        option = classes_option({zero: "1", one: "0"})
        remarks.append(f"label '1' is taken as {one} and '0' as {zero}; {option} swaps them")
    # The words that got a meaning here; if the classes were guessed as well, that of a class.
    left_out = {*meanings} - label_meanings(config.labels).keys()
    shown = [f"{value!r} ({count:,})" for value, count in counts.items() if value.lower() in left_out]
    if shown and config.labels.keys() - {IGNORED} == labels.keys() - {IGNORED}:
        remarks.append(f"labels that belong to no class: {', '.join(shown)}")
    return remarks


def text_column(
    path: Path, column: Column | None, trained: ColumnConfig, option: str = "--text-column"
) -> tuple[OpenedTable, int, list[str]]:
    """A table of tweets to classify, the index of its text column, and what to tell.

    Args:
        column: the column that is given; None: that of the training table, else the one that can hold texts.
        trained: the columns of the training table.
        option: the option that names the column, for messages.

    Raises:
        DataError: as `open_table`.
        ConfigError, UsageError: no column has this name or can hold texts, or several do.
    """
    sample = Sample.of(path, [trained.text if column is None else column])
    remarks = [*sample.remarks]
    if column is None:
        if is_sentiment140(path):
            column = columns_140(ColumnConfig()).text
        elif len(sample.columns) == 1:
            column = 0
        elif sample.has_own(trained.text):
            column = trained.text
        else:
            column = sample.find("text", f"{option}=NAME")
            remarks.append(f"texts are taken from column {column!r}; {option}=NAME names another")
    return sample.table, sample.table.index(column, f"{path}: {option}"), remarks


def file_without_labels(
    path: Path,
    column: Column | None,
    trained: ColumnConfig,
    option: str = "--text-column",
    further: Sequence[Column] = (),
    id_column: Column | None = None,
) -> tuple[TweetFile, list[str]]:
    """A table of tweets whose labels are not read, and what to tell; arguments and errors as in `text_column`.

    Args:
        further: as in `read_rows`.
        id_column: the column of ids; None: the id of a row is its line.
    """
    _, index, remarks = text_column(path, column, trained, option)
    return open_file(path, ColumnConfig(text=index, id=id_column), None, further=further), remarks


def _shortened(text: str) -> str:
    return visible(text if len(text) <= _SHOWN_WIDTH else f"{text[:_SHOWN_WIDTH]}…")


# --- labels ---------------------------------------------------------------------------------------------------------


def _are_given(section: str, given: Collection[str]) -> bool:
    return any(name == section or name.startswith(f"{section}.") for name in given)


def _labels(
    column: str, values: Collection[str], texts: Iterable[str], labels: LabelMapping, given: Collection[str]
) -> LabelMapping:
    """The labels of each class: the configured ones, or what the values of the label column mean.

    If classes are given, but nothing of what is to be ignored, all other values are ignored, which is told.

    Args:
        column: the file and the column, for messages.
        texts: parallel to `values`.

    Raises:
        UsageError: the meaning of a value is unclear: an unknown word, or a number other than 0 and 1 (or 0 and 4).
    """
    counts = Counter(value for value in values if value)
    words = {value.lower() for value in counts}
    unknown = words - label_meanings(labels).keys()
    if "data.labels" in given and not labels.get(IGNORED):
        return {**labels, IGNORED: tuple(sorted(unknown))}
    if _are_given("data.labels", given):
        return labels
    check_scale(labels, words, column)
    if not unknown and not is_ambiguous(labels, words):
        return labels
    classes = known_classes(counts)
    if classes:
        return {**classes, IGNORED: ()}
    lines = []
    for value, count in counts.most_common():
        examples = [_shortened(text) for own, text in zip(values, texts, strict=True) if own == value]
        lines.append(f"  {value!r} ({count:,}): {' | '.join(examples[:3])}")
    shown = abbreviated(lines, "\n")
    raise UsageError(f"{column} has labels whose meaning is not known:\n{shown}\n{_how_to_name([*counts])}")


def _how_to_name(values: Sequence[str]) -> str:
    """How to name the classes of a label column with these values."""
    values = values[:_MAX_CATEGORIES]
    if not all(map(is_number, values)):
        option = classes_option({value: [value] for value in values})
        return (
            "Put these in order, from the most negative class to the most positive one, and leave out what is no "
            f"class: {option}"
        )
    scale = sorted(values, key=float)
    half = len(scale) // 2
    classes = {"negative": scale[:half], "neutral": scale[half:-half], "positive": scale[-half:]}
    return f"If it is a scale from negative to positive: {classes_option(classes)}"
