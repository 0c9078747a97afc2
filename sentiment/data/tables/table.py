"""A table as a source of tweets: how it is read, and its hash by content."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sentiment.config import ColumnConfig, DataConfig
from sentiment.data.data_source import TABLE, DataSource, OpenedSource, TweetFile, source_choices
from sentiment.data.tables import sentiment140
from sentiment.data.tables.opened import DELIMITERS, delimiter_of, form_of, is_packed, open_table, opened_parquet
from sentiment.data.tables.rows import Columns, LabelReader, Rows, has_header, translated_errors
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named, sha256_of
from sentiment.runs.run_dir import Results

# A file that was changed within the clock's last tick could change again without another time.
_SETTLED_NS = 2_000_000_000

_State = tuple[int, ...]
_hashes: dict[_State, str] = {}
"""Those of this process: the runs of a grid read the same files. Hashing takes a second for 1.8 GB, so that nothing
on disk has to be trusted instead."""


def source_sha256(path: Path) -> str:
    """The SHA-256 of a file, which is read unless this process has read it and it is unchanged.

    Raises:
        DataError: the file is missing or unreadable.
    """
    state = _state_of(path)
    if state in _hashes:
        return _hashes[state]
    with translated_errors(path):
        found = sha256_of(path)
    if time.time_ns() - max(state[-2:]) > _SETTLED_NS:
        _hashes[state] = found
    return found


class UnchangedFile:
    """A file as it is now, before it is hashed; tells whether rows that are read later belong to the hash.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = _state_of(path)

    def rows(self, read: Callable[[], Rows]) -> Rows:
        """The rows that `read` gives.

        Raises:
            DataError: the file is another one after they are read.
        """
        yield from read()
        if _state_of(self._path) != self._state:
            raise DataError(
                f"{self._path}: was changed while it was read; give the same command again when it is whole"
            )


def _state_of(path: Path) -> _State:
    """What changes with a file's content; unlike the time of modification, nobody can set that of the last change."""
    with translated_errors(path):
        found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


_BLOCK = 1 << 20


class TableSource(DataSource):
    """A file of the user's own, also one in the format of Sentiment140."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, config: DataConfig, results: Results) -> OpenedSource:
        """Identify the file and its format.

        Raises:
            DataError: the file is missing, unreadable or of an unknown format.
        """
        return self.open_with(config.columns, partial(LabelReader.from_config, config.labels), results)

    def open_with(self, columns: ColumnConfig, labels: Callable[[str], LabelReader], results: Results) -> OpenedSource:
        """Identify the file and its format, for columns and labels of its own; Sentiment140's format has others.

        Args:
            labels: makes what reads them, given the file's name.

        Raises:
            DataError: the file is missing, unreadable or of an unknown format.
        """
        path = self._path
        if missing := self.missing(results):
            raise DataError(f"{path}: {missing}")
        form = form_of(path)
        unchanged = UnchangedFile(path)
        sha256 = source_sha256(path)
        if form == "zip":
            return sentiment140.open_archive(
                str(path), sha256, lambda member: unchanged.rows(partial(sentiment140.read_member, path, member))
            )
        total = about_rows(path)
        if form == "csv" and sentiment140.is_sentiment140(path):
            read = partial(unchanged.rows, partial(sentiment140.read_csv, path))
            return sentiment140.open_csv(path, sha256, read, total)
        if form in DELIMITERS and (delimiter := delimiter_of(path)) != DELIMITERS[form]:
            form = f"{form} {delimiter}"
        read = partial(unchanged.rows, partial(_read_rows, path, columns, labels(str(path))))
        return OpenedSource(TABLE, TweetFile(str(path), sha256, form, read, total))

    def missing(self, results: Results) -> str | None:  # noqa: ARG002
        """Why there is no table at the path; None if there is one."""
        if self._path.is_dir():
            return "is a directory; name a file in it"
        return None if self._path.exists() else f"no such file; valid: {source_choices()}"


def _read_rows(path: Path, config: ColumnConfig, labels: LabelReader) -> Rows:
    """The rows of a table; without a header line if all columns are given by position.

    Raises:
        DataError: the file cannot be read, or a label is unknown.
        ConfigError: a column is missing, or several have its name.
    """
    table = open_table(path, lambda _: has_header(config))
    columns = Columns.find(config, table.names, str(path))
    for record in table.records(columns.places()):
        yield columns.row(record, labels)


def about_rows(path: Path) -> int | None:
    """The number of a plain file's lines, or of Parquet's rows; None if that would take as long as reading it.

    Raises:
        DataError: the file cannot be read.
    """
    form = form_of(path)
    if is_packed(path) or form == "xlsx":
        return None
    if form == "parquet":
        with opened_parquet(path) as opened:
            return int(opened.metadata.num_rows)
    with translated_errors(path), open_named(path) as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, _BLOCK), b""))


def told_as_of(field: str, file: TweetFile) -> TweetFile:
    """The same file; mistakes in its columns and labels are told as those of another field than `data`."""

    def rows() -> Rows:
        try:
            yield from file.read()
        except (ConfigError, DataError) as error:
            message = str(error).replace("data.columns.", "columns.").replace("data.labels.", "labels.")
            raise type(error)(f"{field}: {message}") from None

    return replace(file, read=rows)
