"""Rows of CSV and TSV files of any origin."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from sentiment.config import ColumnConfig
from sentiment.data.tables.columns import Columns, has_header
from sentiment.data.tables.lines import CutLine, read_lines
from sentiment.data.tables.rows import LabelReader, Refusal, Rows
from sentiment.errors import DataError

UNCLOSED = "a quote opens that is not properly closed"
# Raised whenever files with quoted fields that span lines are read as other records.
_READING = "2"
_SPANNED_LINES = 250
_CHARACTERS_AT_ONCE = 1 << 15
_SPANNED_CHARACTERS = 1 << 20


class DelimitedRecord(NamedTuple):
    """The fields of one row, which may span several lines."""

    line: int
    fields: list[str]
    lines: int = 1
    """How many lines it spans."""


def reading_of(path: Path, delimiter: str) -> str:
    """What identifies how a file's lines become records, besides its bytes: a part of a corpus's fingerprint.

    It is empty, as in earlier versions, if no quoted field spans lines, which is where these read other records.

    Raises:
        DataError: the file cannot be read.
    """
    records = delimited_records(read_lines(path), delimiter, skip_plain_lines=True)
    spans = any(one.reason == UNCLOSED if isinstance(one, Refusal) else one.lines > 1 for one in records)
    return _READING if spans else ""


def read_delimited(path: Path, delimiter: str, config: ColumnConfig, labels: LabelReader) -> Rows:
    """Rows of a CSV or TSV file; without a header line if all columns are given by position.

    Args:
        path: the file, which may be compressed (`.gz`).
        delimiter: between fields.
        config: the columns by name or position.
        labels: turns label fields into labels.

    Raises:
        DataError: the file or its header cannot be read, or a label is unknown.
        ConfigError: a column is missing.
    """
    columns: Columns | None = None
    for record in delimited_records(read_lines(path), delimiter):
        if isinstance(record, Refusal):
            if columns is None and has_header(config):
                raise DataError(f"{path}:{record.line}: the names of the columns cannot be read: {record.reason}")
            yield record
        elif columns is not None:
            yield columns.row(record.fields, record.line, labels, record.lines)
        elif has_header(config):
            columns = Columns.find(config, [field.strip() for field in record.fields], str(path))
        else:
            columns = Columns.find(config, [str(number) for number in range(len(record.fields))], str(path))
            yield columns.row(record.fields, record.line, labels, record.lines)


def delimited_records(
    lines: Iterable[str], delimiter: str, keep_blank_lines: bool = False, skip_plain_lines: bool = False
) -> Iterator[DelimitedRecord | Refusal]:
    """Split lines into fields; no line is lost: each belongs to a record, is blank, or is refused by itself.

    A line that is not CSV or has a field of more than 131,072 characters is refused. A quoted field may span lines, but
    only if it is closed where a field ends and the record has as many fields as the first one: a quote that nobody
    closed would swallow the tweets that follow, up to the next quote. Then the line with this quote is refused, and
    reading goes on with the next.

    Args:
        lines: with their ends.
        delimiter: between fields.
        keep_blank_lines: give them as records without fields, instead of skipping them.
        skip_plain_lines: leave out most of the records that are one line.
    """
    feed = _LineFeed(lines)
    reader = csv.reader(feed, delimiter=delimiter)
    width: int | None = None
    while True:
        # Not before the first record, so that whoever wants no more does not meet an error that comes later.
        while width and (plain := feed.take_plain_lines(delimiter)):
            if skip_plain_lines:
                continue
            for line, fields in enumerate(plain, start=feed.line - len(plain)):
                if fields or keep_blank_lines:
                    yield DelimitedRecord(line, fields)
        feed.begin_record()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Refusal(feed.line, UNCLOSED if feed.take_back() else f"not a valid line: {_explained(error)}")
            continue
        spans = len(feed.record) > 1 or feed.ended
        if spans and not _is_whole(feed.record, delimiter, width):
            feed.take_back()
            yield Refusal(feed.line, UNCLOSED)
        elif fields or keep_blank_lines:
            width = width or len(fields)
            yield DelimitedRecord(feed.line, fields, len(feed.record))


class _LineFeed:
    """Gives a CSV reader the lines of a record, which can be taken back but for the first."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self._characters = 0
        self.line = 1
        """The number of the record's first line."""
        self.record: list[str] = []
        self.ended = False
        """Whether the record wanted a line more than the file has."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if len(self.record) >= _SPANNED_LINES or self._characters > _SPANNED_CHARACTERS:
            raise csv.Error(f"a record of more than {_SPANNED_LINES:,} lines or {_SPANNED_CHARACTERS:,} characters")
        try:
            line = self._back.popleft() if self._back else next(self._lines)
        except StopIteration:
            self.ended = bool(self.record)
            raise
        self.record.append(line)
        self._characters += len(line)
        if isinstance(line, CutLine):
            raise csv.Error("field larger than field limit (131072)" if len(self.record) == 1 else "")
        return line

    def take_plain_lines(self, delimiter: str) -> list[list[str]]:
        """The fields of the next lines, read at once, if each of these lines is a record by itself; else none.

        It takes a third of the time. Lines that are not all plain are then read record by record.
        """
        if self._back:
            return []
        self.begin_record()
        lines = self._next_lines()
        try:
            # A quote that is open after the last line takes the line that is added here into its field.
            *records, end = (
                [["cut"]] if CutLine in map(type, lines) else csv.reader([*lines, "\n"], delimiter=delimiter)
            )
        except csv.Error:
            records, end = [], ["not CSV"]
        if end or len(records) != len(lines):
            self._back.extend(lines)
            return []
        self.line += len(lines)
        return records

    def _next_lines(self) -> list[str]:
        lines, characters = [], 0
        for line in self._lines:
            lines.append(line)
            characters += len(line)
            if characters >= _CHARACTERS_AT_ONCE:
                break
        return lines

    def begin_record(self) -> None:
        self.line += len(self.record)
        self.record = []
        self._characters = 0
        self.ended = False

    def take_back(self) -> bool:
        """Whether the record had more lines than one; all but its first will be given again."""
        self._back.extendleft(reversed(self.record[1:]))
        spanned = len(self.record) > 1
        self.record = self.record[:1]
        return spanned


def _is_whole(lines: list[str], delimiter: str, width: int | None) -> bool:
    """Whether lines are exactly one record whose quotes all stand at the ends of fields."""
    try:
        records = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return len(records) == 1 and width in (None, len(records[0]))


def _explained(error: csv.Error) -> str:
    """What is wrong with a line; Python's advice on a carriage return is for programmers."""
    return "a carriage return inside of it" if "new-line character" in str(error) else str(error)
