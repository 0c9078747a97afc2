"""Counts of rows by what is wrong with them, with the lines where the first few stand."""

from collections import Counter
from collections.abc import Iterable

from sentiment.records import Record

_EXAMPLES = 5

SPANNING = "span several lines"
"""What is said of records with line breaks in quotes, since a quote too many would look the same."""


class CountedLines(Record):
    """Rows with one thing in common."""

    count: int
    lines: list[int]
    """Where the first few begin, counted from 1."""

    def __str__(self) -> str:
        """The lines, as in `line 3, 8, …`."""
        return f"line {', '.join(map(str, self.lines))}" + (", …" if self.count > len(self.lines) else "")


class RowCounter:
    """Counts rows by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lines: dict[str, list[int]] = {}

    def add(self, reason: str, line: int) -> None:
        """Count a row."""
        self._counts[reason] += 1
        examples = self._lines.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(line)

    def total(self, apart_from: Iterable[str] = ()) -> int:
        """The number of rows that were counted for other reasons than these."""
        return self._counts.total() - sum(self._counts[reason] for reason in apart_from)

    def counted(self) -> dict[str, CountedLines]:
        """The rows by reason, in the order in which the reasons were first met."""
        return {reason: CountedLines(count=count, lines=self._lines[reason]) for reason, count in self._counts.items()}

    def most_common(self, apart_from: Iterable[str] = ()) -> str:
        """All reasons but these, the most frequent first, as in `12 empty text (line 3, 8); 1 empty label (line 4)`."""
        found = sorted(self.counted().items(), key=lambda pair: -pair[1].count)
        return "; ".join(f"{rows.count:,} {reason} ({rows})" for reason, rows in found if reason not in apart_from)
