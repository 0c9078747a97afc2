"""What columns and labels of somebody's table mean, where the configuration doesn't say it and only one answer fits.

Nothing is guessed where two answers are possible: then the message shows both, and the options that decide.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentiment.characters import visible
from sentiment.config import ColumnConfig, DataConfig, LabelConfig
from sentiment.config_file import yaml_text
from sentiment.data.table_sample import TableColumn, TableSample, sample_table
from sentiment.data.tables.columns import TEXT_NAMES
from sentiment.errors import UsageError
from sentiment.files import named_path

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
