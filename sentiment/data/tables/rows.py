"""The rows that every data source gives: labelled tweets, and refusals of what cannot be one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sentiment.config import LabelConfig
from sentiment.errors import DataError
from sentiment.records import NEGATIVE, POSITIVE


class TableRecord(NamedTuple):
    """A row of a table as it stands there."""

    line: int
    """Where it begins, counted from 1; in Parquet and workbooks the number of the row."""
    fields: Sequence[Any]
    """The values of the columns."""
    lines: int = 1
    """How many lines it spans."""
    whole: dict[str, Any] | None = None
    """The JSON object that it was."""


class Row(NamedTuple):
    """A tweet as its source has it."""

    id: str
    user: str | None
    label: int | None
    """NEGATIVE or POSITIVE; None if the label in the file says that the tweet is to be left out."""
    text: str
    line: int
    """Where the row begins in its file, counted from 1; in Parquet the number of the row."""
    lines: int = 1
    """How many lines of its file it spans."""


class Refusal(NamedTuple):
    """A row that cannot be used."""

    line: int
    reason: str


Rows = Iterator[Row | Refusal]


class LabelReader:
    """Turns the values of a label column into labels; ignores case and outer blanks, and reads 1.0 as 1.

    Args:
        meanings: the label of each value, in lower case; None for values whose rows are left out.
        name: the file's name, for messages.
        advice: what to do about an unknown value, for messages.
    """

    def __init__(self, meanings: Mapping[str, int | None], name: str, advice: str) -> None:
        self._meanings = meanings
        self._name = name
        self._advice = advice

    @classmethod
    def from_config(cls, config: LabelConfig, name: str) -> "LabelReader":
        """A reader for a table whose labels the configuration explains."""
        groups = ((config.negative, NEGATIVE), (config.positive, POSITIVE), (config.ignored, None))
        meanings = {label.strip().lower(): meaning for group, meaning in groups for label in group}
        advice = "add it to data.labels.negative, .positive or .ignored"
        return cls(meanings, name, advice)

    def __call__(self, value: Any, line: int) -> int | None:
        """NEGATIVE, POSITIVE, or None for a label that is to be ignored.

        Raises:
            DataError: the label is unknown.
        """
        if isinstance(value, str) and value in self._meanings:
            return self._meanings[value]
        try:
            return self._meanings[as_text(value).strip().lower()]
        except KeyError:
            known = ", ".join(map(repr, self._meanings))
            raise DataError(
                f"{self._name}:{line}: unknown label {_shortened(as_text(value))!r}; known are {known}: {self._advice}"
            ) from None


def as_text(value: Any) -> str:
    """A cell as text: the empty text for a missing value, and no decimal point in a whole number."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
