"""Guesses from the first rows of a table which columns hold texts and labels, and what the labels mean.

What a configuration says is never replaced. A guess is a value of the configuration, and is told as such.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from sentiment.config import ColumnConfig, DataConfig, RunConfig, Values, is_path
from sentiment.config_file import dotted, resolve, yaml_text
from sentiment.console import visible
from sentiment.data.classes import IGNORED, MAX_CLASSES, Classes, as_labels, is_number, word_of
from sentiment.data.rows import RowCounter
from sentiment.data.table import (
    HEAD_ROWS,
    LABEL_NAMES,
    ROUNDED,
    TEXT_NAMES,
    Column,
    RawRow,
    Reason,
    Table,
    abbreviated,
    are_few,
)
from sentiment.data.table_files import open_table
from sentiment.errors import UsageError, shortened
from sentiment.files import user_path

_USUAL_NAMES = {"text": TEXT_NAMES, "label": LABEL_NAMES}
_TIME = re.compile(r"\d:\d\d")
_SHOWN_ROWS = 5
_SHOWN_WIDTH = 60


def find_column(table: Table, role: str, option: str) -> Column:
    """The one column that can hold the texts or the labels, by its name, else by its values.

    Raises:
        UsageError: there is none, or there are several; lists the columns and the option that names one.
    """
    if role == "text" and len(table.names) == 1:
        return table.keys[0]
    named = [table.keys[index] for index in table.usual_indices(_USUAL_NAMES[role])]
    pairs = [*zip(table.keys, table.columns, strict=True)]
    candidates = named or [key for key, values in pairs if can_hold(role, values)]
    if len(candidates) == 1:
        return candidates[0]
    shown = [f"{key!r} (such as {_shown(next(filter(None, values), ''))!r})" for key, values in pairs]
    raise UsageError(
        f"{table.path}: {len(candidates)} columns can hold the {role}s; name the right one with {option}. "
        f"Columns: {abbreviated(shown, '; ')}"
    )


def can_hold(role: str, values: Iterable[str]) -> bool:
    """Whether values can be those of the column of the texts (`text`) or of the labels (`label`).

    Texts are mostly different and of several words, and not all of them hold a time of day, as dates do.
    """
    rows = [value.strip() for value in values]
    distinct = {*rows} - {""}
    holds_sentences = 2 * sum(" " in value for value in distinct) > len(distinct) > len(rows) / 2
    if role == "text":
        return holds_sentences and not all(map(_TIME.search, distinct))
    return not holds_sentences and len(distinct) > 1 and are_few(distinct, len(rows))


# The options that give fields of a configuration, where they are about the only table that a command reads.
OPTIONS: Mapping[str, str] = {
    "data.columns.text": "--text-column=NAME",
    "data.columns.label": "--label-column=NAME",
    "data.source": "--data",
    "data.labels": "--classes",
    "data.quotes": "--quotes",
    "data.leave_out": "--leave-out",
}


@dataclass(frozen=True)
class Guess:
    """How a table is interpreted: what a configuration has to say besides, and what is to be told."""

    table: Table
    changes: Values  # guessed configuration values by dotted name
    remarks: list[str]

    def messages(self) -> list[str]:
        return [f"{self.table.path.name}: {line}" for line in self.remarks]

    def preview(self, data: DataConfig) -> list[str]:
        """The parsed first rows with the resolved configuration, and the YAML lines that say the same."""
        texts = self.table.values(data.columns.text) or []
        labels = self.table.values(data.columns.label) or []
        names: dict[object, str] = {None: "left out", "": "unknown"} | dict(enumerate(data.label_names))
        lines = [f"{self.table.path}: columns {abbreviated([*map(repr, self.table.keys)])}", *self.messages()]
        for label, text in zip(labels[:_SHOWN_ROWS], texts, strict=False):
            name = names[data.labels.meanings.get(word_of(label), "")]
            lines.append(f"{name:<10}  {visible(label):<10}  {_shown(text)}")
        counts = [f"{value!r} {count:,}" for value, count in Counter(labels).most_common()]
        settings = [f"    {name}: {yaml_text(value)}" for name, value in data.model_dump(exclude_defaults=True).items()]
        lines.append(f"labels in the first {len(labels):,} rows: {abbreviated(counts)}")
        return [*lines, "", "the same as lines of a run's file:", "  data:", *settings]


def resolve_with_guesses(
    values: Mapping[str, Any],
    given: Collection[str],
    parameters: Mapping[str, Any],
    origin: str,
    table: Table | None = None,
    options: Mapping[str, str] = OPTIONS,
) -> tuple[RunConfig, Guess | None]:
    """Resolve a configuration, guessing unspecified columns and labels; also returns the guess.

    Args:
        values, parameters, origin: as `sentiment.config_file.resolve` takes them.
        given: dotted names of explicitly set fields.
        table: the source, if it is open.
        options: those that take the place of guesses, by dotted name; of a field without one, `--set` does.
    """
    parameters = _with_ignored(values, parameters)
    run = resolve(values, parameters, origin)
    found = guess(run.data, {*given, *parameters, *dotted(parameters)}, table, options)
    if found is None:
        return run, None
    return resolve(values, {**parameters, **found.changes}, origin), found


def _with_ignored(values: Mapping[str, Any], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters in which given classes keep the labels that are ignored besides, unless the classes name these."""
    try:
        classes = Classes.parse(parameters.get("data.labels"))
        configured = values.get("data", {}).get("labels")
        ignored = configured.get(IGNORED, ()) if isinstance(configured, Mapping) else ()
        ignored = as_labels(parameters.get(f"data.labels.{IGNORED}", ignored))
    except ValueError:  # `resolve` tells it
        return parameters
    others = {name: value for name, value in parameters.items() if name != f"data.labels.{IGNORED}"}
    return {**others, "data.labels": classes.ignoring(ignored).stored()}


def guess(
    config: DataConfig, given: Collection[str], table: Table | None = None, options: Mapping[str, str] = OPTIONS
) -> Guess | None:
    """Interpret the table of a configuration; None if it has none, or the table has an error that its reader raises.

    Args:
        given: dotted names of explicitly set fields.
        table: the source, if it is open.
        options: as `resolve_with_guesses` takes them.

    Raises:
        UsageError: several columns fit, or the meaning of the labels is unclear; lists candidates and options.
    """
    path = user_path(config.source)
    if not is_path(config.source) or not path.is_file():
        return None
    if table is None:
        table = open_table(path, [column for _, column in config.columns], quotes=config.quotes)
    columns = _columns(table, config.columns, given, options)
    if not table.columns[0] or any(key is not None and table.values(key) is None for key in columns.values()):
        return None
    labels = [value.strip() for value in table.values(columns["label"]) or []]
    texts = table.values(columns["text"]) or []
    column = f"column {columns['label']!r}"
    if columns["label"] != config.columns.label and not table.usual_indices(LABEL_NAMES):
        option = _option("data.columns.label", options)
        column = f"no column is named like labels ({option} names one); by its values {column}"
    classes = _classes(f"{path}: {column}", labels, texts, config.labels, given)
    changes: Values = {}
    for role, column in config.columns:
        if columns[role] != column:
            changes[f"data.columns.{role}"] = columns[role]
    if classes != config.labels:
        changes["data.labels"] = classes.stored()
    remarks = [*_remarks_on_rows(table), *table.remarks(), *_remarks_on_labels(config.labels, given, labels, classes)]
    rounded = [*filter(ROUNDED.fullmatch, table.values(columns["user"]) or [])]
    if rounded:
        remarks.append(f"a spreadsheet has rounded authors, such as {rounded[0]}, so that several count as one")
    for name, value in changes.items():
        if name not in given:
            remarks.append(_guessed(name, value, options))
    return Guess(table, changes, remarks)


def _option(name: str, options: Mapping[str, str]) -> str:
    return options.get(name, f"--set {name}=...")


def _guessed(name: str, value: object, options: Mapping[str, str]) -> str:
    return f"guessed {name}: {yaml_text(value)} ({_option(name, options)} says otherwise)"


def _columns(
    table: Table, configured: ColumnConfig, given: Collection[str], options: Mapping[str, str]
) -> dict[str, Column | None]:
    """The column of each role: the configured one, unless it is not given for this table, and does not fit it."""
    columns = dict(configured)
    for role, column in configured:
        if column is None or f"data.columns.{role}" in given or table.has_own(column):
            continue
        is_usual = role in _USUAL_NAMES
        columns[role] = find_column(table, role, _option(f"data.columns.{role}", options)) if is_usual else None
    return columns


def _remarks_on_rows(table: Table) -> list[str]:
    """What is to be told about the first rows, which may be mistakes in the file."""
    counter = RowCounter()
    for record in table.head:
        if isinstance(record, RawRow):
            counter.add_remarks(record)
    among = f"of the first {HEAD_ROWS:,} rows, " if len(table.head) == HEAD_ROWS else ""
    return [f"{among}{line}" for line in counter.lines()]


def _remarks_on_labels(
    configured: Classes, given: Collection[str], values: Iterable[str], classes: Classes
) -> list[str]:
    """What is to be told about the values of the label column, which are understood as those of `classes`."""
    remarks = []
    counts = Counter(filter(None, values))
    if {*map(word_of, counts)} == {"0", "1"} and not _are_classes_given(given):
        zero, one = (classes.names[classes.meanings[value] or 0] for value in ("0", "1"))
        swapped = Classes((zero, one), (("1",), ("0",)))
        remarks.append(f"label '1' is taken as {one} and '0' as {zero}; {swapped.option()} swaps them")
    # The words that got a meaning here; if the classes were guessed as well, that of a class.
    left_out = classes.meanings.keys() - configured.meanings.keys()
    shown = [f"{value!r} ({count:,})" for value, count in counts.items() if word_of(value) in left_out]
    if shown and configured.names == classes.names:
        remarks.append(f"labels that belong to no class: {', '.join(shown)}")
    return remarks


def _are_classes_given(given: Collection[str]) -> bool:
    return any(f"{name}.".startswith("data.labels.") for name in given)


def _classes(
    column: str, values: Sequence[str], texts: Sequence[str], configured: Classes, given: Collection[str]
) -> Classes:
    """The configured classes, or those that the values of a column mean.

    If classes are given, all other values are ignored, which is told.

    Args:
        column: the file and the column, for messages.
        texts: parallel to `values`.
        given: dotted names of explicitly set fields.

    Raises:
        UsageError: the meaning of a value is unclear: an unknown word, a number other than 0 and 1 (or 0 and 4), or 0
            and 1 in a column whose name does not say that they are sentiments.
    """
    counts = Counter(filter(None, values))
    words = {*map(word_of, counts)}
    if "data.labels" in given:
        return configured.ignoring(words)
    if _are_classes_given(given):
        return configured
    configured.check_scale(words, column)
    is_named = not words <= {"0", "1"} or column.strip("'").strip().lower().endswith(LABEL_NAMES)
    if is_named and words <= configured.meanings.keys() and not configured.is_ambiguous(words):
        return configured
    classes = Classes.understand(counts)
    if is_named and classes:
        return classes
    # Spellings that differ in upper and lower case are one label, shown in the most frequent one.
    spelled = {word_of(value): value for value, _ in reversed(counts.most_common())}
    ordered = Counter(word_of(value) for value in values if value).most_common()
    lines = []
    for word, count in ordered:
        examples = [_shown(text) for value, text in zip(values, texts, strict=True) if word_of(value) == word]
        lines.append(f"  {spelled[word]!r} ({count:,}): {' | '.join(examples[:3])}")
    shown = abbreviated(lines, "\n")
    how = _how_to_name([spelled[word] for word, _ in ordered])
    raise UsageError(f"{column} has labels whose meaning is not known:\n{shown}\n{how}")


def _how_to_name(values: Sequence[str]) -> str:
    """How to name the classes of a label column with these values."""
    values = values[:MAX_CLASSES]
    if not all(map(is_number, values)):
        classes = Classes(tuple(values), tuple((value,) for value in values))
        return (
            "Put these in order, from the most negative class to the most positive one, and leave out what is no "
            f"class: {classes.option()}"
        )
    scale = sorted(values, key=float)
    half = len(scale) // 2
    thirds = {"negative": scale[:half], "neutral": scale[half:-half], "positive": scale[-half:]}
    classes = Classes(tuple(filter(thirds.get, thirds)), tuple(tuple(third) for third in thirds.values() if third))
    return f"If it is a scale from negative to positive: {classes.option()}"


class Reading(NamedTuple):
    """How the texts of a table are read.

    Attributes:
        text_column: None: that of the training table, else the one that can hold texts.
        quotes: as in `open_table`.
        leave_out: as in `usable_rows`.
    """

    text_column: Column | None = None
    quotes: bool | None = None
    leave_out: tuple[Reason, ...] = ()

    def over(self, earlier: Self) -> Self:
        """This reading, with what it leaves open as in an earlier one."""
        pairs = zip(self, earlier, strict=True)
        return type(self)._make(before if own in (None, ()) else own for own, before in pairs)

    def parameters(self) -> Values:
        """The fields of a configuration that say the same, by dotted name; those that are left open are left out."""
        values: Values = {
            "data.columns.text": self.text_column,
            "data.quotes": self.quotes,
            "data.leave_out": [*self.leave_out] or None,
        }
        return {name: value for name, value in values.items() if value is not None}

    def words(self) -> list[str]:
        """The options as they are typed to repeat a command."""
        words = [] if self.text_column is None else ["--text-column", str(self.text_column)]
        if self.quotes is not None:
            words.append("--quotes" if self.quotes else "--no-quotes")
        for reason in self.leave_out:
            words += ["--leave-out", reason]
        return words


def open_texts(
    path: Path, trained: ColumnConfig, reading: Reading, further: Sequence[Column] = ()
) -> tuple[Table, int, list[str]]:
    """Open a table of tweets whose labels are not read; also returns what `find_texts` does.

    Args:
        trained: the columns of the training table.
        further: other columns that are given.

    Raises:
        SentimentError: as `open_table` and `find_texts`.
    """
    column = reading.text_column
    table = open_table(path, [trained.text if column is None else column, *further], quotes=reading.quotes)
    return table, *find_texts(table, column, trained)


def find_texts(
    table: Table, column: Column | None, trained: ColumnConfig, options: Mapping[str, str] = OPTIONS
) -> tuple[int, list[str]]:
    """The index of the column with texts, and what to tell of the table.

    Args:
        column: the column that is given; None: that of the training table, else the one that can hold texts.
        trained: the columns of the training table.
        options: as `resolve_with_guesses` takes them.

    Raises:
        ConfigError, UsageError: no column has this name or can hold texts, or several do.
    """
    name = "data.columns.text"
    remarks = table.remarks()
    if column is None:
        column = trained.text if table.has_own(trained.text) else find_column(table, "text", _option(name, options))
        if column != trained.text:
            remarks.append(_guessed(name, column, options))
    return table.index(column, f"{table.path}: {_option(name, options).partition('=')[0]}"), remarks


def _shown(text: str) -> str:
    return visible(shortened(text, _SHOWN_WIDTH))
