"""A table of tweets at a path: the name gives its format, and the configuration its columns and labels."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sentiment.config import ColumnConfig, DataConfig
from sentiment.data.data_source import TABLE, DataSource, OpenedSource, TweetFile, source_choices
from sentiment.data.tables import sentiment140
from sentiment.data.tables.delimited import read_delimited, reading_of
from sentiment.data.tables.delimiter import delimiter_of
from sentiment.data.tables.named_fields import count_parquet_rows, read_json_lines, read_parquet
from sentiment.data.tables.rows import LabelReader, Rows
from sentiment.data.tables.source_hash import UnchangedFile, remembered, source_sha256
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named
from sentiment.run_dir import Results

DELIMITERS = {"csv": ",", "tsv": "\t"}
_FORMS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".zip": "zip",
}
_BLOCK = 1 << 20
_PACKABLE = ("csv", "tsv", "jsonl")


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
        sha256 = source_sha256(path, results)
        if form == "zip":
            return sentiment140.open_archive(str(path), sha256, partial(sentiment140.read_member, path))
        rows = remembered(path, results, "rows", about_rows)
        total = int(rows) if rows.isdigit() else None
        if form == "csv" and sentiment140.is_sentiment140(path):
            return sentiment140.open_csv(path, sha256, total)
        reader = labels(str(path))
        if form in DELIMITERS:
            delimiter = delimiter_of(path)
            read = partial(read_delimited, path, delimiter, columns, reader)
            reading = remembered(path, results, "reading", lambda file: reading_of(file, delimiter))
            form = f"{form} {'' if delimiter == DELIMITERS[form] else delimiter}{reading}".rstrip(" ")
        else:
            read = partial({"jsonl": read_json_lines, "parquet": read_parquet}[form], path, columns, reader)
        return OpenedSource(TABLE, TweetFile(str(path), sha256, form, partial(unchanged.rows, read), total))

    def missing(self, results: Results) -> str | None:  # noqa: ARG002
        """Why there is no table at the path; None if there is one."""
        if self._path.is_dir():
            return "is a directory; name a file in it"
        return None if self._path.exists() else f"no such file; valid: {source_choices()}"


def about_rows(path: Path) -> str:
    """The number of a plain file's lines, or of Parquet's rows; empty if that would take as long as reading it."""
    form = form_of(path)
    if path.suffix.lower() == ".gz":
        return ""
    if form == "parquet":
        return str(count_parquet_rows(path) or "")
    with open_named(path) as file:
        return str(sum(block.count(b"\n") for block in iter(partial(file.read, _BLOCK), b"")))


def told_as_of(field: str, file: TweetFile) -> TweetFile:
    """The same file; mistakes in its columns and labels are told as those of another field than `data`."""

    def rows() -> Rows:
        try:
            yield from file.read()
        except (ConfigError, DataError) as error:
            message = str(error).replace("data.columns.", "columns.").replace("data.labels.", "labels.")
            raise type(error)(f"{field}: {message}") from None

    return replace(file, read=rows)


def form_of(path: Path) -> str:
    """How a file is to be read, by the end of its name: csv, tsv, jsonl, parquet or zip.

    Raises:
        DataError: the name says nothing known.
    """
    packed = path.suffix.lower() == ".gz"
    form = _FORMS.get((path.with_suffix("") if packed else path).suffix.lower())
    if form is None or (packed and form not in _PACKABLE):
        valid = ".csv, .tsv, .jsonl (each also with .gz), .parquet, or Sentiment140's .zip"
        raise DataError(f"{path}: cannot tell the format from the name; valid endings: {valid}")
    return form
