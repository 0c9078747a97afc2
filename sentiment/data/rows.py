"""The tweets in a table: its rows with text, class, author and part, and how refused ones are counted."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from sentiment.config import PARTS, ColumnConfig
from sentiment.console import plural
from sentiment.data.classes import IGNORED, Classes, word_of
from sentiment.data.table import Column, RawRow, Reason, Refusal, Table, as_text, format_of
from sentiment.errors import DataError, shortened
from sentiment.files import LINE_LIMIT, is_gzipped, open_user_file, translated_errors
from sentiment.runs.corpus_records import CountedRows
from sentiment.runs.records import Part

# A table is refused if a larger share of its rows cannot be used, but for those that are to be left out for a reason.
MAX_REFUSED = 0.05


class Row(NamedTuple):
    """A tweet as read from its source."""

    id: str  # the line if its table has no ids; empty if its cell is
    user: str | None
    label: int | None  # the index of its class; None: ignored, or the table is read without labels
    text: str
    line: int  # as in RawRow
    part: Part | None = None  # one of PARTS; None: its source does not say
    remarks: tuple[str, ...] = ()  # as in RawRow
    further: tuple[str, ...] = ()  # the cells of further columns that are asked for


RowIterator = Iterator[Row | Refusal]


def estimated_rows(path: Path) -> int | None:
    """Estimate the number of rows as the number of lines; None for formats whose lines cannot be counted quickly."""
    if is_gzipped(path) or format_of(path) in ("parquet", "xlsx"):
        return None
    with translated_errors(path), open_user_file(path) as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, LINE_LIMIT), b""))


_PARTS = {name: name for name in PARTS} | {
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}
_MAX_SHOWN_LABEL = 60


def read_rows(
    table: Table,
    columns: ColumnConfig,
    classes: Classes | None,
    name: str,
    field: str = "data",
    further: Sequence[Column] = (),
) -> RowIterator:
    """The tweets of a table.

    Args:
        classes: None reads no labels.
        name: the file's name, for messages.
        field: the configuration section of the columns and labels, for messages.
        further: columns whose cells are given as `Row.further`.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: a column is missing, or several have its name.
    """
    indices = {}
    for role, column in columns:
        if column is not None and (classes or role != "label"):
            indices[role] = table.index(column, f"{name}: {field}.columns.{role}")
    further_indices = [table.index(column, name) for column in further]
    label_of = _label_reader(classes, name, field) if classes else None
    for record in table.read({*indices.values(), *further_indices}):
        if isinstance(record, Refusal):
            yield record
            continue
        line, fields, _, remarks = record
        cells = {role: as_text(fields[index]) for role, index in indices.items()}
        problem = text_problem(fields[indices["text"]])
        if label_of and not problem and not cells["label"].strip():
            problem = Reason.EMPTY_LABEL
        if problem:
            yield Refusal(line, problem)
            continue
        label = label_of(cells["label"], line) if label_of else None
        part = _part_of(cells["part"], f"{name}:{line}") if "part" in cells else None
        identifier = cells["id"].strip() if "id" in cells else str(line)
        user = cells.get("user", "").strip() or None
        further_cells = tuple([as_text(fields[index]).strip() for index in further_indices])
        yield Row(identifier, user, label, cells["text"], line, part, remarks, further_cells)


_NO_TEXTS = (dict, list, bytes)


def text_problem(value: object) -> Reason | None:
    """Why a cell cannot be the text of a tweet; None if it can, as a number can, which other formats store as text."""
    if isinstance(value, _NO_TEXTS):
        return Reason.NO_TEXT
    return None if as_text(value).strip() else Reason.EMPTY_TEXT


def _part_of(value: str, origin: str) -> Part:
    part = _PARTS.get(value.strip().lower())
    if part is None:
        raise DataError(f"{origin}: {shortened(value)!r} is not a part; valid are {', '.join(_PARTS)}")
    return part


def _label_reader(classes: Classes, name: str, field: str) -> Callable[[str, int], int | None]:
    """A function from a label and its line to the index of a class, or None for an ignored label."""
    meanings = classes.meanings
    words: dict[str, str] = {}  # by the labels that occur

    def label_of(label: str, line: int) -> int | None:
        if label in words:
            return meanings[words[label]]
        word = words[label] = word_of(label)
        if word not in meanings or classes.is_ambiguous({*words.values()}):
            problem = "ambiguous" if word in meanings else "unknown"
            raise DataError(
                f"{name}:{line}: {problem} label {shortened(label, _MAX_SHOWN_LABEL)!r} "
                f"(known are {', '.join(map(repr, meanings))}): name the classes, from the most negative to the most "
                f"positive, and the labels of each in {field}.labels, and those to leave out in "
                f"{field}.labels.{IGNORED}"
            )
        return meanings[word]

    return label_of


def by_part(read: Callable[[], RowIterator]) -> RowIterator:
    """Yield the rows of a table that names their parts, in the order test, validation, train.

    So all held-out tweets are known before the first one for training. Refused rows are yielded with the test part.
    """
    for part in reversed(PARTS):
        for row in read():
            row_part = "test" if isinstance(row, Refusal) else row.part
            if row_part == part:
                yield row


_MAX_EXAMPLES = 5


class RowCounter:
    """Counts rows by reason."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = defaultdict(list)

    def add(self, reason: str, line: int) -> None:
        self._lines[reason].append(line)

    def add_remarks(self, row: Row | RawRow) -> None:
        for remark in row.remarks:
            self.add(remark, row.line)

    def total(self) -> int:
        return sum(map(len, self._lines.values()))

    def check(self, name: str, rows: int, leave_out: Collection[str], tolerated: int = 0) -> None:
        """Refuse a table of which too many rows are counted here.

        Args:
            name: of the file.
            rows: all of its rows.
            leave_out: reasons for which any number of rows may be refused.
            tolerated: how many rows may be refused however few there are.

        Raises:
            DataError: names the reasons, and how to leave the rows out.
        """
        others = [reason for reason in self._lines if not reason.endswith(tuple(leave_out))]
        number = sum(map(self.count, others))
        if number > max(tolerated, MAX_REFUSED * rows):
            known = [reason for reason in Reason if any(other.endswith(reason) for other in others)]
            leave = " ".join(f"--leave-out {quote(reason)}" for reason in known)
            advice = f", or leave them out: {leave} (data.leave_out)" if known else ""
            raise DataError(
                f"{name}: {number:,} of {rows:,} rows cannot be used, more than {MAX_REFUSED:.0%}, so that the others "
                f"may not stand for all: {self.summary()}; mend them{advice}"
            )

    def count(self, reason: str) -> int:
        return len(self._lines.get(reason, ()))

    def counted(self) -> dict[str, CountedRows]:
        return {name: CountedRows(count=len(lines), lines=lines[:_MAX_EXAMPLES]) for name, lines in self._lines.items()}

    def lines(self) -> list[str]:
        """A line for each reason, as in `2 rows of several lines (line 3, 8)`."""
        return [f"{plural(rows.count, 'row')} {reason} ({rows})" for reason, rows in self.counted().items()]

    def lines_left_out(self, scored: Collection[str | None] = ()) -> list[str]:
        """A line for each reason, as in `  2 left out: empty text (line 3, 8)`.

        Args:
            scored: the reasons that are no more than remarks on rows, which are scored.
        """
        lines = []
        for reason, rows in self.counted().items():
            verb = "scored" if reason in scored else "left out"
            lines.append(f"  {rows.count:,} {verb}: {reason} ({rows})")
        return lines

    def summary(self) -> str:
        """All reasons, the most frequent first, as in `12 empty text (line 3, 8); 1 empty label (line 4)`."""
        reasons = sorted(self.counted().items(), key=lambda reason: -reason[1].count)
        return "; ".join(f"{rows.count:,} {reason} ({rows})" for reason, rows in reasons)
