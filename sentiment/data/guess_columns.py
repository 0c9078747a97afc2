"""Looks at the first rows of a table, and guesses which columns hold texts and labels and what the labels mean."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.config import ColumnConfig, DataConfig, LabelConfig
from sentiment.config_file import yaml_text
from sentiment.console import visible
from sentiment.data.rows import TEXT_NAMES, as_text
from sentiment.data.sources import is_sentiment140
from sentiment.data.tables import DELIMITERS, TableRecord, form_of, open_table
from sentiment.errors import UsageError
from sentiment.files import named_path

SAMPLE_ROWS = 2_000
_LONGEST_NAME, _MOST_WORDS_OF_A_NAME = 40, 3
_FEW_VALUES = 10
_SHOWN_VALUES, _SHOWN_ROWS, _SHOWN_WIDTH = 6, 5, 60
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_FORMS = {"jsonl": "JSON Lines", "parquet": "Parquet", "xlsx": "a workbook"}
_LABEL_NAMES = ("label", "labels", "sentiment", "polarity", "class", "target", "airline_sentiment", "mood", "emotion")
_INDEX_NAMES = ("", "index", "id", "unnamed: 0", "row", "no", "nr")
# Pairs of words of which nobody doubts which is which: negative, positive.
_PAIRS = (("sad", "happy"), ("bad", "good"), ("unhappy", "happy"), ("negativ", "positiv"), ("n", "p"), ("-", "+"),
          ("-1.0", "1.0"), ("neg.", "pos."), ("angry", "happy"), ("dislike", "like"), ("hate", "love"))  # fmt: skip
_NEGATIVE, _POSITIVE = "data.labels.negative", "data.labels.positive"


@dataclass(frozen=True)
class TableColumn:
    """A column, as far as the first rows show it; its key is its position if the file names no columns."""

    key: str | int
    values: list[str]

    @property
    def name(self) -> str:
        """As messages call it."""
        return repr(self.key) if isinstance(self.key, str) else f"number {self.key}"

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs, without empty ones and outer blanks."""
        return Counter(value.strip() for value in self.values if value.strip())

    def can_hold(self, role: str) -> bool:
        """Whether it can be the column of the texts (`text`) or of the labels (`label`)."""
        different, rows = len(self.counts), len(self.values)
        numbers_rows = different == rows > 1 and all(value.lstrip("-").isdigit() for value in self.counts)
        if numbers_rows or str(self.key).strip().lower() in _INDEX_NAMES:
            return False
        sentences = 2 * sum(" " in value for value in self.counts) > different > rows / 2
        if role == "text":
            return sentences
        return not sentences and 0 < different <= _FEW_VALUES and (different <= rows / 2 or rows < 5)


@dataclass(frozen=True)
class Understanding:
    """How a table is read.

    Attributes:
        form: of the file, in words.
        named: whether the file names its columns.
        guessed: what nobody had said: values of fields by dotted name.
        reasons: why each was guessed so, a sentence each.
    """

    path: Path
    form: str
    columns: list[TableColumn]
    named: bool
    labels: LabelConfig
    chosen: dict[str, TableColumn] = field(default_factory=dict)
    guessed: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def text(self) -> TableColumn:
        """The column of the texts."""
        return self.chosen["text"]

    @property
    def label(self) -> TableColumn:
        """The column of the labels."""
        return self.chosen["label"]

    def told(self) -> list[str]:
        """Lines that say what was guessed; none if nothing was."""
        return [f"{self.path.name}: {reason}" for reason in self.reasons]

    def preview(self) -> list[str]:
        """The first rows as they are understood, and the lines of a run's file that say the same."""
        meaning = _meanings(self.labels)
        lines = [f"{self.path}: {self.form}; columns {', '.join(one.name for one in self.columns)}"]
        lines += [f"text is column {self.text.name}, the label column {self.label.name}", *self.reasons, ""]
        width = max(len(visible(value)) for value in [*self.label.values[:_SHOWN_ROWS], "label"])
        lines.append(f"{'meaning':<9} {'label':<{width}}  text")
        for label, text in list(zip(self.label.values, self.text.values, strict=True))[:_SHOWN_ROWS]:
            shown = visible(text if len(text) <= _SHOWN_WIDTH else f"{text[:_SHOWN_WIDTH]}…")
            lines.append(f"{meaning.get(label.strip().lower(), '?'):<9} {visible(label):<{width}}  {shown}")
        counts = ", ".join(f"{value!r} {count:,}" for value, count in self.label.counts.most_common(_SHOWN_VALUES))
        lines += [f"labels in the first {len(self.label.values):,} rows: {counts}", ""]
        lines += ["lines of a run's file that say so:", "  data:", f"    source: {yaml_text(str(self.path))}"]
        lines.append(f"    columns: {{text: {yaml_text(self.text.key)}, label: {yaml_text(self.label.key)}}}")
        if self.labels != LabelConfig():
            words = {name: list(words) for name, words in self.labels.model_dump().items()}
            lines.append(f"    labels: {yaml_text(words)}")
        return lines


def understand(config: DataConfig, given: Collection[str]) -> Understanding | None:
    """How the table of a configuration is to be read; None if that needs no guess, or reading will say what is wrong.

    Args:
        given: dotted names of the fields that somebody has set.

    Raises:
        UsageError: several columns or labels fit; the message shows them, and the options that choose.
        DataError: the file cannot be read.
    """
    path = named_path(config.source)
    if not config.source_is_path or not path.is_file() or form_of(path) == "zip" or is_sentiment140(path):
        return None
    form, columns, named = _first_rows(path, config.columns)
    if not columns or not columns[0].values:
        return None
    found = Understanding(path, form, columns, named, config.labels)
    if not named and not {"data.columns.text", "data.columns.label"} & {*given}:
        found.reasons.append("the first line is a tweet like the others, so that columns are numbered from 0")
    for role, usual in (("text", TEXT_NAMES), ("label", _LABEL_NAMES)):
        configured = getattr(config.columns, role)
        column = _column(found, role, configured, f"data.columns.{role}" in given, usual)
        if column is None:
            return None
        found.chosen[role] = column
        if column.key != configured:
            found.guessed[f"data.columns.{role}"] = column.key
    if {_NEGATIVE, _POSITIVE} & {*given}:
        return found
    return _with_labels(found)


def _first_rows(path: Path, configured: ColumnConfig) -> tuple[str, list[TableColumn], bool]:
    """How a table is written, in words, its columns, and whether it names them."""
    table = open_table(path, lambda _: False)
    found = islice(table.read(range(len(table.names))), SAMPLE_ROWS + 1)
    rows = [[_shown_value(value) for value in one.fields] for one in found if isinstance(one, TableRecord)]
    keys: list[Any] = table.names
    if table.form in (*DELIMITERS, "xlsx"):
        whole = [[field.strip() for field in fields] for fields in rows if len(fields) == table.width]
        first, *others = whole or [[]]  # none if what comes before them is refused
        names = {configured.text, configured.label, configured.user, configured.id}
        named = bool(names & set(first)) or not _looks_like_data(first, others)
        keys, rows = (first, others) if named else (list(range(len(first))), [first, *others])
    form = f"{_DELIMITERS[table.delimiter]} between fields" if table.form in DELIMITERS else _FORMS[table.form]
    columns = [TableColumn(key, [fields[place] for fields in rows]) for place, key in enumerate(keys)]
    return form, columns, all(isinstance(key, str) for key in keys)


def _shown_value(value: Any) -> str:
    """A value as text; none for what holds other values, whose fields are columns themselves."""
    return "" if isinstance(value, dict | list) else as_text(value)


def _looks_like_data(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a tweet like the others: it repeats a label of theirs, or is a sentence itself."""
    for place, name in enumerate(first):
        values = {fields[place] for fields in rows}
        if name and name in values and len(values) <= _FEW_VALUES:
            return True
        if len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS_OF_A_NAME:
            return True
    return False


def _column(
    table: Understanding, role: str, configured: str | int, is_given: bool, usual: Collection[str]
) -> TableColumn | None:
    """The column of the texts or of the labels; None if a column is configured that is not there."""
    if isinstance(configured, int):
        return table.columns[configured] if 0 <= configured < len(table.columns) else None
    called_so = [one for one in table.columns if one.key == configured]
    if called_so or is_given:
        return called_so[0] if len(called_so) == 1 else None
    named = [one for one in table.columns if str(one.key).strip().lower() in usual]
    fitting = named or [one for one in table.columns if one.can_hold(role)]
    option = f"--{role}-column"
    if len(fitting) == 1:
        why = "by its name" if named else f"the only one that can hold {role}s"
        table.reasons.append(f"{role}s are taken from column {fitting[0].name} ({why}); {option} names another")
        return fitting[0]
    which = "several columns" if fitting else "no column"
    shown = [f"{one.name} (such as {visible(next(iter(one.counts), '')[:_SHOWN_WIDTH])!r})" for one in table.columns]
    raise UsageError(f"{table.path}: {which} can hold the {role}s; name it with {option}. Columns: {'; '.join(shown)}")


def _with_labels(table: Understanding) -> Understanding:
    """The same with the meaning of the labels: as configured, unless two words occur that everybody knows."""
    counts = table.label.counts
    values = {value.lower(): value for value in counts}
    if not values.keys() - _meanings(table.labels).keys():
        return table
    for pair in _PAIRS:
        if values.keys() == {*pair}:
            negative, positive = (values[word] for word in pair)
            table.guessed.update({_NEGATIVE: [negative], _POSITIVE: [positive]})
            table.reasons.append(f"label {positive!r} is taken for positive and {negative!r} for negative")
            labels = table.labels.model_copy(update={"negative": (negative,), "positive": (positive,)})
            return replace(table, labels=labels)
    found = ", ".join(f"{visible(value)!r} ({count:,})" for value, count in counts.most_common(_SHOWN_VALUES))
    more = ", ..." if len(counts) > _SHOWN_VALUES else ""
    first, second = [*(value for value, _ in counts.most_common(2)), "VALUE"][:2]
    say = f"--positive {yaml_text(first)} --negative {yaml_text(second)}, or the other way round"
    if values.keys() >= {"1", "2", "4", "5"}:
        say = "--positive 4 --positive 5 --negative 1 --negative 2 --set data.labels.ignored=3"
    raise UsageError(
        f"{table.path}: column {table.label.name} has labels whose meaning is not known: {found}{more}. Say which are "
        f"which: {say}"
    )


def _meanings(labels: LabelConfig) -> dict[str, str]:
    groups = (("negative", labels.negative), ("positive", labels.positive), ("left out", labels.ignored))
    return {word.strip().lower(): meaning for meaning, words in groups for word in words}
