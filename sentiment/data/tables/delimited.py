"""Records of CSV and TSV files: which lines belong together, and what their fields are.

A line is a record. A quoted field spans lines only if the whole file is CSV as RFC 4180 has it, and only if the lines
that it joins could not be rows themselves: two stray quotes would join all rows between them. A line whose quotes are
not those of CSV is split at each delimiter, and keeps its quotes.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, count, islice
from pathlib import Path

from sentiment.data.tables.lines import CutLine, read_lines
from sentiment.data.tables.rows import Refusal, TableRecord
from sentiment.errors import DataError

ReadLines = Callable[[], Iterator[str]]
"""Reads the lines of a file, with their ends, from its beginning."""

_CHARACTERS_AT_ONCE = 1 << 15
_JUDGED_LINES = 2_000
_FEW_VALUES = 10
_MOST = 0.9
_HEAD_LINES = 50
_OTHERS = (";", "\t", "|")
# Of the lines after the first, how many must have as many fields; tweets hold semicolons and line breaks themselves.
_SHARE = 0.8
# A tweet of several lines may have one by chance that looks like a row; two stray quotes join more.
_COINCIDENCE = 3
_RECORD = r'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)(?:,(?:"(?:[^"]++|"")*+"|[^",\r\n]*+))*+\r?\n?'
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_TOO_LONG = "x" * (csv.field_size_limit() + 1)


def delimited_records(read: ReadLines, delimiter: str, name: str) -> Iterator[TableRecord | Refusal]:
    """The records of a file; a blank line is one without fields, and a line that is too long is refused.

    Args:
        read: called a second time if a quoted field seems to span lines.
        delimiter: between fields.
        name: the file's name, for messages.

    Raises:
        DataError: a quoted field spans lines that could as well be rows.
    """
    lines, line, spans, literal = read(), 1, None, False
    for block in _blocks(lines):
        if line == 1:  # a program that quotes all texts also quotes their column's name
            literal = delimiter == "\t" and '"' not in block[0]
        if not (literal and any('"' in one for one in block)) and (records := _plain(block, delimiter)):
            yield from map(TableRecord, count(line), records)
            line += len(block)
            continue
        for place, text in enumerate(block):
            found = _alone(text, delimiter, literal)
            if found is None and spans is None:
                spans = _spans_lines(read, delimiter, name, literal)
            if found is None and spans:
                yield from _as_csv(chain(block[place:], lines), delimiter, line)
                return
            if isinstance(found, str):
                yield Refusal(line, found)
            else:
                yield TableRecord(line, _split(text, delimiter) if found is None else found)
            line += 1


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """The first line alone, so that an error in a later one does not hide it; then many at once, which is faster."""
    for first in lines:
        yield [first]
        break
    block, characters = [], 0
    for line in lines:
        block.append(line)
        characters += len(line)
        if characters >= _CHARACTERS_AT_ONCE:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _plain(block: list[str], delimiter: str) -> list[list[str]]:
    """The fields of lines, if each of them is a record of CSV by itself; else none."""
    if CutLine in map(type, block):
        return []
    try:
        # A quote that is open after the last line takes the line that is added here into its field.
        *records, end = csv.reader([*block, "\n"], delimiter=delimiter, strict=True)
    except csv.Error:
        return []
    return records if not end and len(records) == len(block) else []


def _alone(line: str, delimiter: str, literal: bool) -> list[str] | str | None:
    """The fields of a line by itself, or why it is refused; None if a quote that opens in it does not close.

    Args:
        literal: quotes that a field does not need belong to its text.
    """
    if isinstance(line, CutLine):
        line = _TOO_LONG
    try:
        fields = next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "field larger" in str(error):
            return f"not a valid line: {error}"
        return None if "unexpected end" in str(error) else _split(line, delimiter)
    return _split(line, delimiter) if literal and _needless_quotes(line, delimiter) else fields


def _as_csv(lines: Iterable[str], delimiter: str, first: int) -> Iterator[TableRecord | Refusal]:
    taken: list[str] = []
    reader = csv.reader(_copied(_cut(lines), taken), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        try:
            fields = next(reader, None)
        except csv.Error:
            found = _alone(taken[0], delimiter, literal=False)
            yield Refusal(first, found) if isinstance(found, str) else TableRecord(first, found or [])
        else:
            if fields is None:
                return
            yield TableRecord(first, fields, len(taken))
        first += len(taken)


def _cut(lines: Iterable[str]) -> Iterator[str]:
    return (_TOO_LONG if isinstance(line, CutLine) else line for line in lines)


def _split(line: str, delimiter: str) -> list[str]:
    return line.rstrip("\r\n").split(delimiter)


def _needless_quotes(line: str, delimiter: str) -> bool:
    return re.search(f'(?:^|{delimiter})"[^"{delimiter}\r\n]+"(?:[{delimiter}\r\n]|$)', line) is not None


def _spans_lines(read: ReadLines, delimiter: str, name: str, literal: bool) -> bool:
    """Whether quoted fields of a file span lines: it is CSV as a whole, and the lines that they join are no rows.

    Raises:
        DataError: they could be rows, and nothing tells.
    """
    rows = _RowLikeness(read, delimiter)
    like_rows: list[TableRecord] = []
    others = 0
    even, by_program = True, False
    try:
        for record, text in _strict_records(read, delimiter, literal):
            even &= len(record.fields) in (0, rows.width)
            if record.lines == 1:
                by_program |= '"' in text and any(delimiter in field or '"' in field for field in record.fields)
            elif len(record.fields) != rows.width:
                return False
            elif all(map(rows.is_like, text.removesuffix("\n").split("\n"))):
                like_rows.append(record._replace(fields=[]))
            else:
                others += 1
    except csv.Error:
        return False
    longest = max(like_rows, key=lambda record: record.lines, default=TableRecord(0, [], 0))
    stray = longest.lines > _COINCIDENCE
    if rows.telling and stray and not others:
        return False
    if (others and not stray) if rows.telling else (others > len(like_rows) or (by_program and even)):
        return True
    raise DataError(
        f"{name}:{longest.line}: a quote opens here and closes in line {longest.line + longest.lines - 1}, but each of "
        "these lines could be a row of its own; double the quotes that belong to texts, or give the table as JSON "
        "Lines or Parquet"
    )


def _strict_records(read: ReadLines, delimiter: str, literal: bool) -> Iterator[tuple[TableRecord, str]]:
    """The records of a file with their text, without lines that are too long.

    Raises:
        csv.Error: the file is not CSV as RFC 4180 has it.
    """
    strict = re.compile(_RECORD.replace(",", re.escape(delimiter)))
    taken: list[str] = []
    reader = csv.reader(_copied(_cut(read()), taken), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        try:
            fields = next(reader, None)
        except csv.Error:
            if len(taken) == 1 and '"' not in taken[0]:  # too long, or with a carriage return inside of it
                continue
            raise
        if fields is None:
            return
        text = "".join(taken)
        if '"' in text and not (strict.fullmatch(text) and not (literal and _needless_quotes(text, delimiter))):
            raise csv.Error("a quote in a field that is not quoted")
        yield TableRecord(reader.line_num - len(taken) + 1, fields, len(taken)), text


def _copied(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _is_number(value: str) -> bool:
    """Whether a value is a number or numbers, as a date is."""
    return _LETTER.search(value) is None and _DIGIT.search(value) is not None


class _RowLikeness:
    """Judges whether a line could be a row, by the columns that have few values or numbers in the first rows."""

    def __init__(self, read: ReadLines, delimiter: str) -> None:
        self._delimiter = delimiter
        head = [line for line in islice(_cut(read()), _JUDGED_LINES) if line.strip()]
        found = [_alone(line, delimiter, literal=False) or _split(line, delimiter) for line in head]
        first, *others = [fields for fields in found if isinstance(fields, list)] or [[]]
        self.width = len(first)
        rows = [fields for fields in others if len(fields) == self.width]
        self.telling: list[tuple[int, frozenset[str]]] = []
        """Positions of such columns, and their values; none of those of numbers."""
        for place, values in enumerate(zip(*rows, strict=True)):
            common = Counter(values).most_common(_FEW_VALUES)
            if sum(map(_is_number, values)) >= _MOST * len(rows):
                self.telling.append((place, frozenset()))
            elif len(rows) >= 2 * len(common) and sum(count for _, count in common) >= _MOST * len(rows):
                self.telling.append((place, frozenset(value for value, _ in common)))

    def is_like(self, line: str) -> bool:
        """Whether a line has enough fields, and in these columns, counted from either end, such values; or is blank."""
        fields = [field.strip('"') for field in line.split(self._delimiter)]
        return not line.strip() or (
            len(fields) >= self.width
            and all(
                any(value in known if known else _is_number(value) for value in (fields[place], fields[end]))
                for place, known in self.telling
                for end in [place - self.width]
            )
        )


def delimiter_of(path: Path) -> str:
    """A tab for names that end in `.tsv` or `.tab`; else a comma, unless the first lines know none.

    Another delimiter (semicolon, tab or bar) is taken if the first line, which should name the columns, holds it and no
    comma, and most of the next lines hold it as often or more often. Spreadsheets write semicolons in many countries.

    Raises:
        DataError: the file cannot be read.
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    try:
        with closing(read_lines(path)) as lines:
            first, *others = [line for line in islice(lines, _HEAD_LINES) if line.strip()] or [""]
    except DataError:
        return ","  # reading the rows will say what is wrong
    if "," in first:
        return ","
    for delimiter in _OTHERS:
        count = first.count(delimiter)
        if count and sum(line.count(delimiter) >= count for line in others) >= _SHARE * len(others):
            return delimiter
    return ","
