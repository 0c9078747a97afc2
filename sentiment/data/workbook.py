"""Reads the rows of an .xlsx workbook."""

import datetime
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sentiment.data.text_files import TableRecord, state_of, translated_errors
from sentiment.errors import DataError, in_one_line
from sentiment.files import open_user_file

_MAX_ROWS = 1_048_576  # Excel's own limit
# Limits on the XML of the sheet and the shared strings: a small file can hold any amount of it. At the limit a sheet
# takes about a minute to read. A million rows of six columns are below it.
_MAX_BYTES = 1 << 29
_MAX_TAGS = 40_000_000
_BLOCK = 1 << 20


class Sheet(NamedTuple):
    """The rows of a sheet, the length of the longest, and the names of all visible sheets, the read one first."""

    rows: list[list[Any]]
    width: int
    names: list[str]

    def records(self) -> Iterator[TableRecord]:
        """An empty row yields a record with no fields."""
        for line, row in enumerate(self.rows, start=1):
            yield TableRecord(line, [*row, *repeat(None, self.width - len(row))] if row else [])


def read_sheet(path: Path) -> Sheet:
    """Read the first visible sheet of a workbook; a sheet that was just read, and has not changed, is not read again.

    Trailing empty cells are trimmed, since one stray cell far to the right would pad every row.

    Raises:
        DataError: the file is not a workbook, has no visible sheet, or is too large.
    """
    return _read_sheet(path, state_of(path))


@lru_cache(maxsize=1)  # its columns are guessed from a workbook before its tweets are read: 100,000 rows take 10 s
def _read_sheet(path: Path, _state: tuple[int, ...]) -> Sheet:
    import openpyxl

    with translated_errors(path), open_user_file(path) as file:
        try:
            book = openpyxl.load_workbook(_checked(file, path), read_only=True, data_only=True, keep_links=False)
            visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            if not visible:
                raise DataError(f"{path}: has no visible sheet")
            rows = _rows_of(visible[0], path)
        except DataError:
            raise
        except Exception as error:  # openpyxl raises many exception types
            raise DataError(f"{path}: cannot be read as a workbook: {in_one_line(error)}") from None
    return Sheet(rows, max(map(len, rows), default=0), [sheet.title for sheet in visible])


def _checked(file: BinaryIO, path: Path) -> BinaryIO:
    """Return the file after checking how large it is when decompressed."""
    size = 0
    tags = 0
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if not name.endswith(".xml"):
                continue
            with archive.open(name) as part:
                while block := part.read(_BLOCK):
                    size += len(block)
                    tags += block.count(b"<")
                    if size > _MAX_BYTES or tags > _MAX_TAGS:
                        raise DataError(f"{path}: is too large for a workbook; save the table as .csv or .parquet")
    file.seek(0)
    return file


def _rows_of(sheet: Any, path: Path) -> list[list[Any]]:
    sheet.reset_dimensions()  # stored dimensions are often wrong
    rows: list[list[Any]] = []
    for cells in sheet.rows:
        row = [None if cell.data_type == "e" else _value(cell.value) for cell in cells]  # "e": a formula with an error
        while row and row[-1] in (None, ""):
            row.pop()
        rows.append(row)
        if len(rows) > _MAX_ROWS:
            raise DataError(f"{path}: has more than {_MAX_ROWS:,} rows; save the table as .csv or .parquet")
    return rows


def _value(value: Any) -> Any:
    """A cell with a date only is a date, not midnight."""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date()
    return value
