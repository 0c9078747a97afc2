"""Guesses from the first rows of a table which columns hold texts and labels, and what the labels mean.

What a configuration says is never replaced. Each guess is a finding that is told, and a value of the configuration.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self

from sentiment.config import ColumnConfig, DataConfig, RunConfig, Values, is_path
from sentiment.config_file import difference, dotted, resolve, yaml_text
from sentiment.console import visible
from sentiment.data.formats import Refusal
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
from sentiment.data.sources import columns_140, is_sentiment140, labels_140
from sentiment.data.tables import TEXT_NAMES, Column, OpenedTable, RowCounter, abbreviated, as_text, open_table
from sentiment.data.text import stop_words
from sentiment.errors import UsageError
from sentiment.files import user_path

SAMPLE_ROWS = 2_000
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
_USUAL_NAMES = {"text": TEXT_NAMES, "label": LABEL_NAMES}
_LABELS = "data.labels"


@dataclass(frozen=True)
class TableColumn:
    """A column with its values in the first rows; `key` is its name, or its position if no other one is unique."""

    key: Column
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
class Sample:
    """The first rows of a table, by column."""

    table: OpenedTable
    columns: list[TableColumn]
    remarks: list[str]  # on rows that may be mistakes in the file

    @classmethod
    def of(cls, path: Path, expected: Collection[object]) -> Self:
        """Read the first rows of a table.

        Args:
            expected: names that columns may have.

        Raises:
            DataError: the file cannot be read, or holds no rows.
        """
        table = open_table(path, expected)
        counter = RowCounter()
        rows = []
        width = len(table.names)
        for record in islice(table.read_all(), SAMPLE_ROWS):
            if isinstance(record, Refusal):
                continue
            for remark in record.remarks:
                counter.add(remark, record.line)
            if len(record.fields) == width:
                rows.append([as_text(field) for field in record.fields])
        columns = []
        for index, name in enumerate(table.names):
            is_unique = table.has_header and table.names.count(name) == 1
            columns.append(TableColumn(name if is_unique else index, [row[index] for row in rows]))
        return cls(table, columns, counter.lines())

    def column(self, key: Column) -> TableColumn | None:
        """The column of a name or position; None unless there is exactly one."""
        indices = self.table.indices(key)
        return self.columns[indices[0]] if len(indices) == 1 else None

    def has_own(self, key: Column) -> bool:
        """Whether a key that is not given for this table fits it: positions only fit a table without a header."""
        return self.column(key) is not None and (isinstance(key, str) or not self.table.has_header)

    def find(self, role: str, option: str, findings: list[str]) -> TableColumn:
        """The one column that can hold the texts or the labels, by its name or its values; a finding says which.

        Raises:
            UsageError: there is none, or there are several; lists the columns and the option that names one.
        """
        reason = "by its name"
        named = zip(self.table.names, self.columns, strict=True)
        candidates = [column for name, column in named if name.strip().lower() in _USUAL_NAMES[role]]
        if not candidates:
            reason = f"the only one that can hold {role}s"
            candidates = [column for column in self.columns if column.can_hold(role)]
        if len(candidates) != 1:
            examples = [_shortened(next(iter(column.counts), "")) for column in self.columns]
            pairs = zip(self.columns, examples, strict=True)
            shown = [f"{column.key!r} (such as {example!r})" for column, example in pairs]
            raise UsageError(
                f"{self.table.path}: {len(candidates)} columns can hold the {role}s; name the right one with {option}. "
                f"Columns: {abbreviated(shown, '; ')}"
            )
        findings.append(f"{role}s are taken from column {candidates[0].key!r} ({reason}); {option} names another")
        return candidates[0]

    def findings(self) -> list[str]:
        """What is to be told about the file besides the remarks, whatever is read from it."""
        lines = []
        sheets = self.table.sheets
        if len(sheets) > 1:
            lines.append(f"sheet {sheets[0]!r} is read; not read: {', '.join(map(repr, sheets[1:]))}")
        if not self.table.has_header:
            lines.append("the file has no header: the first line is a tweet; columns are numbered from 0")
        return lines


@dataclass(frozen=True)
class Guess:
    """How a table is interpreted: what a configuration has to say besides, and a sentence for each finding."""

    sample: Sample
    text: TableColumn
    label: TableColumn
    changes: Values  # guessed configuration values by dotted name
    findings: list[str]

    def messages(self) -> list[str]:
        return [f"{self.sample.table.path.name}: {finding}" for finding in self.findings]

    def preview(self, data: DataConfig) -> list[str]:
        """Preview of the parsed first rows with the resolved configuration, and the YAML lines that say the same."""
        columns = [repr(column.key) for column in self.sample.columns]
        counts = [f"{value!r} {count:,}" for value, count in self.label.counts.most_common()]
        settings = [f"    {name}: {yaml_text(value)}" for name, value in difference(data, DataConfig()).items()]
        return [
            f"{self.sample.table.path}: columns {abbreviated(columns)}",
            f"text is column {self.text.key!r}, the label column {self.label.key!r}",
            *self.findings,
            "",
            *self._shown_rows(data.labels),
            f"labels in the first {len(self.label.values):,} rows: {abbreviated(counts)}",
            "",
            "the same as lines of a run's file:",
            "  data:",
            *settings,
        ]

    def _shown_rows(self, labels: LabelMapping) -> list[str]:
        names = class_names(labels)
        meanings = label_meanings(labels)
        rows = [("class", "label", "text")]
        for label, text in zip(self.label.values[:_SHOWN_ROWS], self.text.values, strict=False):
            index = meanings.get(label.strip().lower())
            name = "left out" if index is None else names[index]
            rows.append((name, visible(label), _shortened(text)))
        name_width, label_width, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
        return [f"{name:<{name_width}}  {label:<{label_width}}  {text}" for name, label, text in rows]


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
    sample = Sample.of(path, [column for _, column in config.columns])
    if not sample.columns[0].values:
        return None
    columns = config.columns
    labels: LabelMapping = config.labels
    findings = [*sample.remarks, *sample.findings()]
    is_known = is_sentiment140(path)
    if is_known:
        findings.append("is in the format of Sentiment140, whose columns and labels are known")
        columns = columns_140(columns)
        labels = labels_140(labels)
    found: dict[str, TableColumn] = {}
    changes: Values = {}
    for role, configured in columns:
        name = f"data.columns.{role}"
        key = configured
        if name not in given and not is_known and configured is not None and not sample.has_own(configured):
            key = None
            if role in _USUAL_NAMES:
                found[role] = sample.find(role, f"--set {name}=NAME", findings)
                key = found[role].key
        if key is not None and role not in found:
            column = sample.column(key)
            if column is None:
                return None
            found[role] = column
        if key != getattr(config.columns, role):
            changes[name] = key
    if config.is_english and (words := _words_of_another_language(found["text"].values)):
        findings.append(
            f"frequent words such as {', '.join(words)} are not among the usual English ones; if this is another "
            "language, --set data.language=CODE (de, es, ...) leaves the English lexicon, ratings and check list out"
        )
    labels = labels if is_known else _labels(path, found["text"], found["label"], labels, given, findings)
    if labels != config.labels:
        changes[_LABELS] = {name: list(values) for name, values in labels.items()}
    return Guess(sample, found["text"], found["label"], changes, findings)


def text_column(
    path: Path, column: Column | None, trained: ColumnConfig, option: str = "--text-column"
) -> tuple[OpenedTable, int, list[str]]:
    """A table of tweets to classify, the index of its text column, and findings to tell.

    Args:
        column: the column that is given; None: that of the training table, else the one that can hold texts.
        trained: the columns of the training table.
        option: the option that names the column, for messages.

    Raises:
        DataError: the file cannot be read, or holds no rows.
        ConfigError, UsageError: no column has this name or can hold texts, or several do.
    """
    sample = Sample.of(path, [trained.text if column is None else column])
    findings = sample.findings()
    if column is None:
        if is_sentiment140(path):
            column = columns_140(ColumnConfig()).text
        elif len(sample.columns) == 1:
            column = 0
        elif sample.has_own(trained.text):
            column = trained.text
        else:
            column = sample.find("text", f"{option}=NAME", findings).key
    return sample.table, sample.table.index(column, f"{path}: {option}"), findings


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
