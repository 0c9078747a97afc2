"""The Sentiment140 format: six quoted columns without a header, in a CSV file or in the archive of its publishers."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sentiment.data.data_source import OpenedSource, TweetFile
from sentiment.data.tables.opened import ReadLines, delimited_records
from sentiment.data.tables.rows import (
    Columns,
    LabelReader,
    Rows,
    TableRecord,
    decode_lines,
    read_lines,
    translated_errors,
)
from sentiment.errors import DataError
from sentiment.files import open_named
from sentiment.runs.records import NEGATIVE, POSITIVE

DATASET = "sentiment140"
TRAINING = "training.1600000.processed.noemoticon.csv"
MANUAL_TEST = "testdata.manual.2009.06.14.csv"
MEMBER_ROWS = {TRAINING: 1_600_000, MANUAL_TEST: 498}

_COLUMNS = Columns(label=0, id=1, user=4, text=5, width=6)
_MEANINGS = {"0": NEGATIVE, "2": None, "4": POSITIVE}


def open_archive(name: str, sha256: str, read: Callable[[str], Rows]) -> OpenedSource:
    """The publishers' archive: its training file, and its tweets labelled by hand as the test set `manual`.

    Args:
        name: the archive's name in messages.
        sha256: of the archive.
        read: gives the rows of a file in the archive, by the file's name.
    """
    main, manual = (
        TweetFile(f"{name}:{member}", sha256, f"{DATASET}/{member}", partial(read, member), rows)
        for member, rows in MEMBER_ROWS.items()
    )
    return OpenedSource(DATASET, main, {"manual": manual})


def open_csv(path: Path, sha256: str, read: Callable[[], Rows], total: int | None) -> OpenedSource:
    """A CSV file in this format; with fewer rows than the publishers' training file, it is a part of the data set."""
    file = TweetFile(str(path), sha256, DATASET, read, total)
    return OpenedSource(DATASET, file, complete_rows=MEMBER_ROWS[TRAINING])


def is_sentiment140(path: Path) -> bool:
    """Whether a CSV file has the form of Sentiment140, judged by its first row; False if there is none."""
    try:
        record = next(delimited_records(partial(read_lines, path), ",", str(path)), None)
    except DataError:
        return False  # reading the rows will say what is wrong
    if not isinstance(record, TableRecord) or len(record.fields) != _COLUMNS.width:
        return False
    return record.fields[_COLUMNS.label] in _MEANINGS and record.fields[2].count(":") == 2


def read_csv(path: Path) -> Rows:
    """Rows of a CSV file in this format.

    Raises:
        DataError: the file cannot be read, or a label is not 0, 2 or 4.
    """
    return _rows(partial(read_lines, path), str(path))


def read_member(archive: Path, member: str) -> Rows:
    """Rows of a file in the publishers' archive, which is not unpacked.

    Raises:
        DataError: the archive is damaged, or lacks the member or some of its rows.
    """
    name = f"{archive}:{member}"
    count = 0
    with translated_errors(archive):
        try:
            with open_named(archive) as whole, zipfile.ZipFile(whole) as opened:
                for row in _rows(partial(_member_lines, opened, member, name), name):
                    count += 1
                    yield row
        except KeyError:
            raise DataError(f"{archive}: holds no {member}; is it the archive of Sentiment140?") from None
        except (zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{archive}: is damaged or no zip archive: {error}") from None
    if count != MEMBER_ROWS[member]:
        raise DataError(f"{name}: has {count:,} rows where {MEMBER_ROWS[member]:,} are expected")


def _member_lines(archive: zipfile.ZipFile, member: str, name: str) -> Iterator[str]:
    with archive.open(member) as file:
        yield from decode_lines(file, name)  # type: ignore[arg-type]


def _rows(read: ReadLines, name: str) -> Rows:
    labels = LabelReader(_MEANINGS, name, "0 is negative, 2 neutral, 4 positive in Sentiment140")
    for record in delimited_records(read, ",", name):
        if not isinstance(record, TableRecord) or record.fields:
            yield _COLUMNS.row(record, labels)
