"""What a value of the label column means."""

from collections.abc import Mapping
from typing import Any

from sentiment.config import LabelConfig
from sentiment.errors import DataError

NEGATIVE, POSITIVE = 0, 1


class LabelReader:
    """Reads labels as a `LabelConfig` says: without case or outer blanks, and 1.0 like 1.

    Args:
        name: of the file, for messages.
        advice: what to do about an unknown label, for messages.
    """

    def __init__(self, meanings: Mapping[str, int | None], name: str, advice: str) -> None:
        self._meanings = meanings
        self._name = name
        self._advice = advice

    @classmethod
    def from_config(cls, config: LabelConfig, name: str) -> "LabelReader":
        """A reader for tables whose labels the configuration explains."""
        groups = ((config.negative, NEGATIVE), (config.positive, POSITIVE), (config.ignored, None))
        meanings = {label.strip().lower(): meaning for group, meaning in groups for label in group}
        advice = "add it to data.labels.negative, .positive or .ignored"
        return cls(meanings, name, advice)

    def __call__(self, value: Any, line: int) -> int | None:
        """0, 1, or None for a label that is to be ignored.

        Raises:
            DataError: the label is unknown.
        """
        text = as_text(value).strip().lower()
        try:
            return self._meanings[text]
        except KeyError:
            known = ", ".join(map(repr, self._meanings))
            raise DataError(
                f"{self._name}:{line}: unknown label {_shortened(as_text(value))!r}; known are {known}: {self._advice}"
            ) from None


def as_text(value: Any) -> str:
    """A cell as text: nothing for a missing one, and whole numbers without a point."""
    if value is None or value != value:  # not a number is the one value that differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
