"""Looks at the first rows of a table, and guesses which columns hold texts and labels and what the labels mean."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.config import ColumnConfig, DataConfig, LabelConfig, RunConfig, is_path
from sentiment.config_file import resolve, yaml_text
from sentiment.console import visible
from sentiment.data.sources import is_sentiment140
from sentiment.data.tables import DELIMITERS, TEXT_NAMES, as_text, form_of, label_meanings, open_table
from sentiment.data.text_files import TableRecord
from sentiment.errors import UsageError
from sentiment.files import named_path
from sentiment.runs.records import NEGATIVE, POSITIVE

SAMPLE_ROWS = 2_000
_LONGEST_NAME, _MOST_WORDS_OF_A_NAME = 40, 3
_FEW_VALUES = 10
_SHOWN_VALUES, _SHOWN_ROWS, _SHOWN_WIDTH = 6, 5, 60
LABEL_NAMES = ("label", "labels", "sentiment", "polarity", "class", "target", "airline_sentiment", "mood", "emotion")
# Pairs of words of which nobody doubts which is which: negative, positive.
_PAIRS = (("sad", "happy"), ("bad", "good"), ("unhappy", "happy"), ("negativ", "positiv"), ("n", "p"), ("-", "+"),
          ("-1.0", "1.0"), ("neg.", "pos."), ("angry", "happy"), ("dislike", "like"), ("hate", "love"))  # fmt: skip
_TEXT, _LABEL = "data.columns.text", "data.columns.label"
_NEGATIVE, _POSITIVE = "data.labels.negative", "data.labels.positive"


@dataclass(frozen=True)
class TableColumn:
    """A column, as far as the first rows show it; its key is its position if the file names no columns."""

    key: str | int
    values: list[str]

    @property
    def name(self) -> str:
        return repr(self.key) if isinstance(self.key, str) else f"number {self.key}"

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(value.strip() for value in self.values if value.strip())

    def can_hold(self, role: str) -> bool:
        """Whether it can be the column of the texts (`text`) or of the labels (`label`)."""
        different, rows = len(self.counts), len(self.values)
        sentences = 2 * sum(" " in value for value in self.counts) > different > rows / 2
        if role == "text":
            return sentences
        return not sentences and 1 < different <= min(_FEW_VALUES, rows / 2)


@dataclass(frozen=True)
class TableGuess:
    """How a table is read."""

    path: Path
    columns: list[TableColumn]
    text: TableColumn
    label: TableColumn
    labels: LabelConfig
    guessed: dict[str, Any]  # what nobody had said: values of fields by dotted name
    reasons: list[str]  # why each was guessed so, a sentence each

    def told(self) -> list[str]:
        return [f"{self.path.name}: {reason}" for reason in self.reasons if self.guessed]

    def preview(self) -> list[str]:
        """The first rows as they are understood, and the lines of a run's file that say the same."""
        lines = [f"{self.path}: columns {', '.join(one.name for one in self.columns)}"]
        lines += [f"text is column {self.text.name}, the label column {self.label.name}", *self.reasons, ""]
        words = {0: "negative", 1: "positive", None: "left out"}
        meanings = {label: words[meaning] for label, meaning in label_meanings(self.labels).items()}
        width = max(len(visible(value)) for value in [*self.label.values[:_SHOWN_ROWS], "label"])
        lines.append(f"{'meaning':<9} {'label':<{width}}  text")
        for label, text in list(zip(self.label.values, self.text.values, strict=True))[:_SHOWN_ROWS]:
            shown = visible(text if len(text) <= _SHOWN_WIDTH else f"{text[:_SHOWN_WIDTH]}…")
            lines.append(f"{meanings.get(label.strip().lower(), '?'):<9} {visible(label):<{width}}  {shown}")
        counts = ", ".join(f"{value!r} {count:,}" for value, count in self.label.counts.most_common(_SHOWN_VALUES))
        lines += [f"labels in the first {len(self.label.values):,} rows: {counts}", ""]
        lines += ["lines of a run's file that say so:", "  data:", f"    source: {yaml_text(str(self.path))}"]
        lines.append(f"    columns: {{text: {yaml_text(self.text.key)}, label: {yaml_text(self.label.key)}}}")
        if self.labels != LabelConfig():
            lines.append(f"    labels: {yaml_text(self.labels.model_dump(mode='json'))}")
        return lines


def resolve_with_guesses(
    values: Mapping[str, Any], given: Collection[str], parameters: Mapping[str, Any], origin: str
) -> tuple[RunConfig, TableGuess | None]:
    """A configuration with guesses where nobody has said how its table is read, and what was understood of that.

    Args:
        values, parameters, origin: as `sentiment.config_file.resolve` takes them.
        given: dotted names of those of `values` that somebody has set.
    """
    run = resolve(values, parameters, origin)
    found = guess_table(run.data, {*given, *parameters})
    return (resolve(values, {**found.guessed, **parameters}, origin) if found else run), found


def guess_table(config: DataConfig, given: Collection[str]) -> TableGuess | None:
    """How the table of a configuration is to be read; None if nothing is to guess, or reading will report it.

    A UsageError where several columns or labels fit shows them, and the options that choose.

    Args:
        given: dotted names of the fields that somebody has set.
    """
    path = named_path(config.source)
    if not is_path(config.source) or not path.is_file() or form_of(path) == "zip" or is_sentiment140(path):
        return None
    columns = _first_rows(path, config.columns)
    if not columns or not columns[0].values:
        return None
    reasons = []
    if isinstance(columns[0].key, int) and not {_TEXT, _LABEL} & {*given}:
        reasons.append("the first line is a tweet like the others, so that columns are numbered from 0")
    text = _column(path, columns, "text", config.columns.text, _TEXT in given, reasons)
    label = _column(path, columns, "label", config.columns.label, _LABEL in given, reasons)
    if text is None or label is None:
        return None
    found = ((_TEXT, text.key, config.columns.text), (_LABEL, label.key, config.columns.label))
    guessed: dict[str, Any] = {name: key for name, key, usual in found if key != usual}
    labels = config.labels
    if not {_NEGATIVE, _POSITIVE} & {*given} and {one.lower() for one in label.counts} - label_meanings(labels).keys():
        negative, positive = _meant_pair(path, label)
        guessed |= {_NEGATIVE: [negative], _POSITIVE: [positive]}
        reasons.append(f"label {positive!r} is taken for positive and {negative!r} for negative")
        labels = labels.model_copy(update={"negative": (negative,), "positive": (positive,)})
    return TableGuess(path, columns, text, label, labels, guessed, reasons)


def _first_rows(path: Path, configured: ColumnConfig) -> list[TableColumn]:
    table = open_table(path, lambda _: False)
    found = islice(table.read(range(len(table.names))), SAMPLE_ROWS + 1)
    rows = [[as_text(value) for value in one.fields] for one in found if isinstance(one, TableRecord)]
    keys: list[Any] = table.names
    if table.form in (*DELIMITERS, "xlsx"):
        whole = [[field.strip() for field in fields] for fields in rows if len(fields) == len(keys)]
        first, *rows = whole or [[]]  # none if what comes before them is refused
        names = {configured.text, configured.label, configured.user, configured.id}
        is_header = names & {*first} or not _looks_like_data(first, rows)
        keys, rows = (first, rows) if is_header else (list(range(len(first))), [first, *rows])
    return [TableColumn(key, [fields[place] for fields in rows]) for place, key in enumerate(keys)]


def _looks_like_data(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a tweet like the others: it repeats a label of theirs, or is a sentence itself."""
    values = [{fields[place] for fields in rows} for place in range(len(first))]
    repeats = any(name and name in of and len(of) <= _FEW_VALUES for name, of in zip(first, values, strict=True))
    return repeats or any(len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS_OF_A_NAME for name in first)


def _column(
    path: Path, columns: list[TableColumn], role: str, configured: str | int, given: bool, reasons: list[str]
) -> TableColumn | None:
    """The column of the texts or of the labels; None if a column is configured that is not there."""
    if isinstance(configured, int):
        return columns[configured] if 0 <= configured < len(columns) else None
    called_so = [one for one in columns if one.key == configured]
    if called_so or given:
        return called_so[0] if len(called_so) == 1 else None
    usual = TEXT_NAMES if role == "text" else LABEL_NAMES
    named = [one for one in columns if str(one.key).strip().lower() in usual]
    fitting = named or [one for one in columns if one.can_hold(role)]
    if len(fitting) != 1:
        shown = [f"{one.name} (such as {visible(next(iter(one.counts), '')[:_SHOWN_WIDTH])!r})" for one in columns]
        raise UsageError(
            f"{path}: {'several columns' if fitting else 'no column'} can hold the {role}s; name it with "
            f"--{role}-column. Columns: {'; '.join(shown)}"
        )
    why = "by its name" if named else f"the only one that can hold {role}s"
    reasons.append(f"{role}s are taken from column {fitting[0].name} ({why}); --{role}-column names another")
    return fitting[0]


def known_pair(labels: Collection[str]) -> tuple[str, str] | None:
    """The negative and the positive one of two labels, if they are words that everybody knows."""
    values = {value.lower(): value for value in labels}
    for negative, positive in _PAIRS:
        if values.keys() == {negative, positive}:
            return values[negative], values[positive]
    return None


def _meant_pair(path: Path, column: TableColumn) -> tuple[str, str]:
    if pair := known_pair(column.counts):
        return pair
    values = {value.lower() for value in column.counts}
    most = column.counts.most_common(_SHOWN_VALUES)
    found = ", ".join(f"{visible(value)!r} ({count:,})" for value, count in most)
    more = ", ..." if len(values) > _SHOWN_VALUES else ""
    first, second = [*(value for value, _ in most), "VALUE"][:2]
    say = f"--positive {yaml_text(first)} --negative {yaml_text(second)}, or the other way round"
    meanings = label_meanings(LabelConfig())
    if {NEGATIVE, POSITIVE} <= {meanings.get(value) for value in values}:
        others = [value for value in column.counts if meanings.get(value.lower()) is None]
        say = f"--set 'data.labels.ignored={yaml_text(others[:_SHOWN_VALUES])}' leaves other rows out"
    elif len(values) > 2:
        say += "; --set data.labels.ignored=VALUE leaves the rows of another one out"
    if values >= {"1", "2", "4", "5"}:
        say = "--positive 4 --positive 5 --negative 1 --negative 2 --set data.labels.ignored=3"
    raise UsageError(
        f"{path}: column {column.name} has labels whose meaning is not known: {found}{more}. Say which are which: {say}"
    )
