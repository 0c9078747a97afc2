"""Looks at the first rows of a table, and guesses which columns hold texts and labels and what the labels mean."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.config import ColumnConfig, DataConfig, LabelConfig
from sentiment.config_file import yaml_text
from sentiment.console import visible
from sentiment.data.tables.opened import DELIMITERS, form_of, open_table
from sentiment.data.tables.rows import TEXT_NAMES, TableRecord, as_text
from sentiment.data.tables.sentiment140 import is_sentiment140
from sentiment.errors import UsageError
from sentiment.files import named_path

SAMPLE_ROWS = 2_000
_LONGEST_NAME = 40
_MOST_WORDS_OF_A_NAME = 3
FEW_VALUES = 10
"""A column with more different values holds no labels."""

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_FORMS = {"jsonl": "JSON Lines", "parquet": "Parquet", "xlsx": "a workbook"}


@dataclass(frozen=True)
class TableColumn:
    """A column, as far as the first rows show it."""

    key: str | int
    """Its name, or its position if the file names no columns."""
    values: list[str]

    @property
    def name(self) -> str:
        """As messages call it."""
        return repr(self.key) if isinstance(self.key, str) else f"number {self.key}"

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs, without empty ones and outer blanks."""
        return Counter(value.strip() for value in self.values if value.strip())

    @property
    def counts_rows(self) -> bool:
        """Whether it only numbers the rows or names them, as an index does."""
        whole = all(value.lstrip("-").isdigit() for value in self.counts)
        return whole and len(self.counts) == len(self.values) > 1

    @property
    def holds_sentences(self) -> bool:
        """Whether most values are several words, and hardly any stands twice."""
        several = sum(" " in value for value in self.counts)
        return several > len(self.counts) / 2 and len(self.counts) > len(self.values) / 2

    @property
    def holds_labels(self) -> bool:
        """Whether it has few values, and most of them more than once."""
        return 0 < len(self.counts) <= FEW_VALUES and (len(self.counts) <= len(self.values) / 2 or len(self.values) < 5)


@dataclass(frozen=True)
class TableSample:
    """The first rows of a table."""

    path: Path
    form: str
    """How it is read, in words."""
    columns: list[TableColumn]
    named: bool
    """Whether the file names its columns."""

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return len(self.columns[0].values) if self.columns else 0

    def column(self, key: str | int) -> TableColumn | None:
        """The column of this name or position; None if there is none, or several have the name."""
        if isinstance(key, int):
            return self.columns[key] if 0 <= key < len(self.columns) else None
        found = [column for column in self.columns if column.key == key]
        return found[0] if len(found) == 1 else None


def sample_table(path: Path, columns: ColumnConfig) -> TableSample | None:
    """The first rows of a table; None if its format says by itself what its columns mean.

    Args:
        columns: as they are configured; where one of these names stands in the first line, it names columns.

    Raises:
        DataError: the file cannot be read, or its form is unknown.
    """
    form = form_of(path)
    if form == "zip" or (form == "csv" and is_sentiment140(path)):
        return None
    table = open_table(path, lambda _: False)
    found = islice(table.records(range(len(table.names))), SAMPLE_ROWS + 1)
    rows = [[_shown_values(value) for value in one.fields] for one in found if isinstance(one, TableRecord)]
    keys: list[Any] = table.names
    if form in (*DELIMITERS, "xlsx"):
        whole = [[field.strip() for field in fields] for fields in rows if len(fields) == table.width]
        first, *others = whole or [[]]  # none if what comes before them is refused
        configured = {one for one in (columns.text, columns.label, columns.user, columns.id) if isinstance(one, str)}
        named = bool(configured & set(first)) or not _looks_like_data(first, others)
        keys, rows = (first, others) if named else (list(range(len(first))), [first, *others])
    sample = [TableColumn(key, [fields[place] for fields in rows]) for place, key in enumerate(keys)]
    words = f"{_DELIMITERS[table.delimiter]} between fields" if form in DELIMITERS else _FORMS[form]
    return TableSample(path, words, sample, named=not any(isinstance(key, int) for key in keys))


def _shown_values(value: Any) -> str:
    """A value as text; none for what holds other values, whose fields are columns themselves."""
    return "" if isinstance(value, dict | list) else as_text(value)


def _looks_like_data(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a tweet like the others: it repeats a label of theirs, or is a sentence itself."""
    for place, name in enumerate(first):
        values = {fields[place] for fields in rows}
        if name and name in values and len(values) <= FEW_VALUES:
            return True
        if len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS_OF_A_NAME:
            return True
    return False


_LABEL_NAMES = ("label", "labels", "sentiment", "polarity", "class", "target", "airline_sentiment", "mood", "emotion")
_INDEX_NAMES = ("", "index", "id", "unnamed: 0", "row", "no", "nr")
# Pairs of words of which nobody doubts which is which: negative, positive.
_PAIRS = (("sad", "happy"), ("bad", "good"), ("unhappy", "happy"), ("negativ", "positiv"), ("n", "p"), ("-", "+"),
          ("-1.0", "1.0"), ("neg.", "pos."), ("angry", "happy"), ("dislike", "like"), ("hate", "love"))  # fmt: skip
_SHOWN_VALUES = 6
_SHOWN_ROWS = 5
_SHOWN_WIDTH = 60
_TEXT, _LABEL = "data.columns.text", "data.columns.label"
_NEGATIVE, _POSITIVE = "data.labels.negative", "data.labels.positive"


@dataclass(frozen=True)
class Understanding:
    """How a table is read."""

    sample: TableSample
    text: TableColumn
    label: TableColumn
    labels: LabelConfig
    guessed: dict[str, Any]
    """What nobody had said: values of fields by dotted name."""
    reasons: list[str]
    """Why each was guessed so, a sentence each."""

    def told(self) -> list[str]:
        """Lines that say what was guessed; none if nothing was."""
        return [f"{self.sample.path.name}: {reason}" for reason in self.reasons]

    def preview(self) -> list[str]:
        """The first rows as they are understood, and the lines of a run's file that say the same."""
        meaning = _meanings(self.labels)
        lines = [
            f"{self.sample.path}: {self.sample.form}; columns {', '.join(one.name for one in self.sample.columns)}"
        ]
        lines += [f"text is column {self.text.name}, the label column {self.label.name}", *self.reasons, ""]
        width = max((len(visible(value)) for value in [*self.label.values[:_SHOWN_ROWS], "label"]), default=0)
        lines.append(f"{'meaning':<9} {'label':<{width}}  text")
        for label, text in list(zip(self.label.values, self.text.values, strict=True))[:_SHOWN_ROWS]:
            shown = visible(text if len(text) <= _SHOWN_WIDTH else f"{text[:_SHOWN_WIDTH]}…")
            lines.append(f"{meaning.get(label.strip().lower(), '?'):<9} {visible(label):<{width}}  {shown}")
        counts = ", ".join(f"{value!r} {count:,}" for value, count in self.label.counts.most_common(_SHOWN_VALUES))
        return [*lines, f"labels in the first {self.sample.rows:,} rows: {counts}", "", *self._config_lines()]

    def _config_lines(self) -> list[str]:
        usual = LabelConfig()
        lines = ["lines of a run's file that say so:", "  data:", f"    source: {yaml_text(str(self.sample.path))}"]
        lines.append(f"    columns: {{text: {yaml_text(self.text.key)}, label: {yaml_text(self.label.key)}}}")
        if self.labels != usual:
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
    if not config.source_is_path or not path.is_file():
        return None
    sample = sample_table(path, config.columns)
    if sample is None or not sample.rows:
        return None
    guessed: dict[str, Any] = {}
    reasons: list[str] = []
    if not sample.named and not {_TEXT, _LABEL} & {*given}:
        reasons.append("the first line is a tweet like the others, so that columns are numbered from 0")
    text = _column(sample, config.columns, _TEXT, given, reasons)
    label = _column(sample, config.columns, _LABEL, given, reasons)
    if text is None or label is None:
        return None
    guessed |= {name: one.key for name, one in ((_TEXT, text), (_LABEL, label)) if one.key != _configured(config, name)}
    labels = _labels(path, label, config.labels, given, reasons)
    if labels != config.labels:
        guessed |= {_NEGATIVE: list(labels.negative), _POSITIVE: list(labels.positive)}
    return Understanding(sample, text, label, labels, guessed, reasons)


def _configured(config: DataConfig, name: str) -> str | int:
    return config.columns.text if name == _TEXT else config.columns.label


def _column(
    sample: TableSample, config: ColumnConfig, name: str, given: Collection[str], reasons: list[str]
) -> TableColumn | None:
    """The column of the texts or of the labels; None if a column is configured that is not there."""
    key = config.text if name == _TEXT else config.label
    if (found := sample.column(key)) is not None and (sample.named or isinstance(key, int)):
        return found
    if name in given or sum(one.key == key for one in sample.columns) > 1:
        return None
    usual, option = (TEXT_NAMES, "--text-column") if name == _TEXT else (_LABEL_NAMES, "--label-column")
    named = [one for one in sample.columns if isinstance(one.key, str) and one.key.strip().lower() in usual]
    fitting = named or [one for one in sample.columns if _fits(one, name)]
    role = "texts" if name == _TEXT else "labels"
    if len(fitting) == 1:
        why = "by its name" if named else f"the only one that can hold {role}"
        reasons.append(f"{role} are taken from column {fitting[0].name} ({why}); {option} names another")
        return fitting[0]
    which = "several columns" if fitting else "no column"
    raise UsageError(
        f"{sample.path}: {which} can hold the {role}; name it with {option}. Columns: "
        + "; ".join(_shown(one) for one in sample.columns)
    )


def _fits(column: TableColumn, name: str) -> bool:
    if column.counts_rows or str(column.key).strip().lower() in _INDEX_NAMES:
        return False
    return column.holds_sentences if name == _TEXT else column.holds_labels and not column.holds_sentences


def _shown(column: TableColumn) -> str:
    example = next((value for value in column.values if value.strip()), "")
    return f"{column.name} (such as {visible(example[:_SHOWN_WIDTH])!r})"


def _labels(
    path: Path, column: TableColumn, config: LabelConfig, given: Collection[str], reasons: list[str]
) -> LabelConfig:
    """The meaning of the labels: as configured, unless the two that occur are two words that everybody knows."""
    known = _meanings(config)
    values = {value.lower(): value for value in column.counts}
    if not values.keys() - known.keys() or {_NEGATIVE, _POSITIVE} & {*given}:
        return config
    for negative, positive in _PAIRS:
        if values.keys() == {negative, positive}:
            words = values[negative], values[positive]
            reasons.append(f"label {words[1]!r} is taken for positive and {words[0]!r} for negative")
            return config.model_copy(update={"negative": (words[0],), "positive": (words[1],)})
    counts = column.counts.most_common(_SHOWN_VALUES + 1)
    found = ", ".join(f"{visible(value)!r} ({count:,})" for value, count in counts[:_SHOWN_VALUES])
    more = ", ..." if len(counts) > _SHOWN_VALUES else ""
    first, second = ([*(value for value, _ in counts), "VALUE"])[:2]
    example = "--positive 4 --positive 5 --negative 1 --negative 2 --set data.labels.ignored=3"
    usual = f"--positive {yaml_text(first)} --negative {yaml_text(second)}, or the other way round"
    raise UsageError(
        f"{path}: column {column.name} has labels whose meaning is not known: {found}{more}. Say which are which: "
        + (example if values.keys() >= {"1", "2", "4", "5"} else usual)
    )


def _meanings(labels: LabelConfig) -> dict[str, str]:
    groups = (("negative", labels.negative), ("positive", labels.positive), ("left out", labels.ignored))
    return {word.strip().lower(): meaning for meaning, words in groups for word in words}
