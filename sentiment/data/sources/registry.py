"""Which files a configuration means, and how each is read."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sentiment.config import DataConfig
from sentiment.data.sources import sentiment140, vader
from sentiment.data.sources.source_hash import source_sha256
from sentiment.data.tables.delimited import read_delimited
from sentiment.data.tables.labels import LabelReader
from sentiment.data.tables.named_fields import read_json_lines, read_parquet
from sentiment.data.tables.rows import Rows, Source
from sentiment.errors import DataError
from sentiment.files import sha256_of
from sentiment.run_dir import Results

VADER, SAMPLE, SENTIMENT140 = "vader", "sample", "sentiment140"
_SAMPLE_FILE = Path(__file__).with_name("sample") / "tweets.csv"

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
_PACKABLE = ("csv", "tsv", "jsonl")


def open_sources(config: DataConfig, results: Results) -> tuple[Source, Source | None]:
    """The main source and the second test set, if there is one; nothing is fetched or read yet but for its hash.

    Raises:
        DataError: a file is missing, unreadable or of an unknown format.
    """
    if config.source == VADER:
        main, own_test = _vader(config, results), None
    elif config.source == SAMPLE:
        main, own_test = replace(_open_path(_SAMPLE_FILE, DataConfig(), results)[0], name=SAMPLE), None
    elif config.source == SENTIMENT140:
        main, own_test = _published_sentiment140(results)
    else:
        main, own_test = _open_path(Path(config.source).expanduser(), config, results)
    if config.second_test is None:
        return main, own_test
    return main, _open_path(Path(config.second_test).expanduser(), config, results)[0]


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


def _vader(config: DataConfig, results: Results) -> Source:
    def read() -> Rows:
        return vader.read_vader(vader.fetch_vader(results), config.neutral_band)

    return Source(VADER, vader.TWEETS_SHA256, "vader", read, vader.TWEETS)


def _published_sentiment140(results: Results) -> tuple[Source, Source]:
    expected = sentiment140.ARCHIVE
    archive = results.downloads / expected.name

    def read(member: str) -> Rows:
        if not archive.exists():
            raise DataError(f"{archive}: no such file; `make data DATA=sentiment140` fetches it")
        if sha256_of(archive) != expected.sha256:
            raise DataError(f"{archive}: is not the expected file; delete it and run `make data DATA=sentiment140`")
        return sentiment140.read_member(archive, member)

    return _members(SENTIMENT140, expected.sha256, read)


def _members(name: str, sha256: str, read: Callable[[str], Rows]) -> tuple[Source, Source]:
    main, test = (
        Source(f"{name}:{member}", sha256, f"sentiment140/{member}", partial(read, member), rows)
        for member, rows in sentiment140.MEMBER_ROWS.items()
    )
    return main, test


def _open_path(path: Path, config: DataConfig, results: Results) -> tuple[Source, Source | None]:
    if not path.exists():
        raise DataError(
            f"{path}: no such file; data.source is {VADER}, {SAMPLE}, {SENTIMENT140} or the path of a table"
        )
    if path.is_dir():
        raise DataError(f"{path}: is a directory; name a file in it")
    form = form_of(path)
    sha256 = source_sha256(path, results)
    if form == "zip":
        return _members(str(path), sha256, partial(sentiment140.read_member, path))
    if form == "csv" and sentiment140.is_sentiment140(path):
        return Source(str(path), sha256, "sentiment140", partial(sentiment140.read_csv, path)), None
    labels = LabelReader.from_config(config.labels, str(path))
    if form in DELIMITERS:
        read = partial(read_delimited, path, DELIMITERS[form], config.columns, labels)
    else:
        read = partial({"jsonl": read_json_lines, "parquet": read_parquet}[form], path, config.columns, labels)
    return Source(str(path), sha256, form, read), None
