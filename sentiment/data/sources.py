"""Opens the sources of tweets: the built-in data sets and the user's own tables.

Also downloads files from mirrors, with resume, SHA-256 check and atomic rename.
"""

import hashlib
import http.client
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cache, lru_cache, partial
from pathlib import Path

from sentiment.config import TWEETEVAL, ColumnConfig, DataConfig, LabelledTable
from sentiment.console import Progress, silent
from sentiment.data import SOURCE_CHOICES, SOURCES
from sentiment.data.labels import DEFAULT_LABELS, LabelMapping, class_names, label_meanings, polar_labels
from sentiment.data.tables import (
    DELIMITED,
    Row,
    RowCounter,
    RowIterator,
    by_part,
    estimated_rows,
    format_of,
    has_header,
    open_table,
    read_rows,
)
from sentiment.data.text_files import Refusal, TableRecord, csv_records, read_lines, state_of, translated_errors
from sentiment.errors import DataError, DownloadError
from sentiment.files import fingerprint, sha256_of, user_path
from sentiment.runs.run_dir import Results

# --- fetching -------------------------------------------------------------------------------------------------------

_TIMEOUT_SECONDS = 30
_ATTEMPTS = 3
_BLOCK = 1 << 18
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Remote:
    """A remote file with known size and checksum."""

    name: str
    urls: Sequence[str]  # mirrors, in the order in which they are tried
    size: int | None  # in bytes; None: use the server's Content-Length
    sha256: str  # empty if the publisher gives none

    def matches(self, path: Path) -> bool:
        return self.size in (None, path.stat().st_size) and (not self.sha256 or sha256_of(path) == self.sha256)


def download(remote: Remote, folder: Path, progress: Progress) -> Path:
    """Download a file unless it exists. A partial download stays in `<name>.part`, and the next call resumes it.

    Raises:
        DownloadError: lists the attempts.
    """
    target = folder / remote.name
    part = folder / f"{remote.name}.part"
    if target.exists():
        if remote.matches(target):
            return target
        raise DownloadError(f"{target}: is not the expected file (wrong size or SHA-256); delete it and try again")
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in (url for url in remote.urls for _ in range(_ATTEMPTS)):
            try:
                expected = _fetch(url, part, remote, progress)
            except _NETWORK_ERRORS as error:
                failures.append(f"{url}: {error}")
                continue
            size = part.stat().st_size
            if size == expected and remote.matches(part):
                return part.replace(target)
            if size < expected:
                failures.append(f"{url}: ended after {size:,} of {expected:,} bytes")
            else:
                failures.append(f"{url}: the returned file ({size:,} bytes) is not the expected file")
                part.unlink()
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error}") from None
    raise _download_error(target, failures)


def _download_error(target: Path, failures: Iterable[str]) -> DownloadError:
    tried = "\n  ".join(dict.fromkeys(failures))
    return DownloadError(
        f"{target.name} could not be fetched:\n  {tried}\nwhere there is no network, put the file at {target}"
    )


def _fetch(url: str, part: Path, remote: Remote, progress: Progress) -> int:
    """Append the missing bytes to `part`, or start again if the server cannot resume; returns the file's full size."""
    done = part.stat().st_size if part.exists() else 0
    size = remote.size
    if size is None and done:
        done -= 1  # ask for the last byte again: for a complete file the server would answer 416
        os.truncate(part, done)
    if size is not None and done >= size:
        return size
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        if not (response.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            done = 0
        content_length = response.headers.get("Content-Length", "")
        if not size and content_length.isdecimal():
            size = done + int(content_length)
        if not size:
            raise http.client.HTTPException("does not say how large the file is; name another mirror")
        with open(part, "ab" if done else "wb") as file:
            # A byte more than expected reveals another file.
            while done <= size and (block := response.read1(_BLOCK)):
                file.write(block)
                done += len(block)
                progress(f"fetching {remote.name}", done, size)
    return size


def candidate_urls(mirrors: Iterable[str], names: Sequence[str]) -> list[str]:
    """All candidate URLs of a file: each name under each mirror (a folder or a URL)."""
    urls = []
    for mirror in mirrors:
        base = mirror if "://" in mirror else user_path(mirror).resolve().as_uri()
        urls += [f"{base.rstrip('/')}/{name}" for name in names]
    return urls


# --- named data sets and tables -------------------------------------------------------------------------------------

TABLE = "table"  # name of the data set that is a user's own table
# 1,000 of VADER's clearly positive or negative tweets, bundled with the program.
_SAMPLE_FILE = Path(__file__).with_name("sample_tweets") / "tweets.csv"

# The source archive of PyPI, which holds the 4,200 rated tweets of Hutto & Gilbert (2014).
VADER = "vader"
VADER_ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
VADER_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
VADER_TWEETS_SHA256 = "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f"
_VADER_INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_NEUTRAL_BAND = 0.5  # ratings go from -4 to 4; tweets with a mean rating nearer to zero are neutral
_VADER_MEMBER = "hutto_ICWSM_2014/tweets_GroundTruth.txt"

# Go, Bhayani & Huang (2009): 1.6 million tweets labelled by their emoticons, 498 labelled by hand.
SENTIMENT140 = "sentiment140"
ARCHIVE = Remote(
    name="trainingandtestdata.zip",
    urls=(
        "https://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
        "http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
    ),
    size=81_363_704,
    sha256="004a3772c8a7ff9bbfeb875880f47f0679d93fc63e5cf9cff72d54a8a6162e57",
)
TRAINING = "training.1600000.processed.noemoticon.csv"
MANUAL_TEST = "testdata.manual.2009.06.14.csv"
MEMBER_ROWS = {TRAINING: 1_600_000, MANUAL_TEST: 498}

# Barbieri et al. (2020): the task of SemEval 2017, split by its authors. By file: its size in bytes and its SHA-256.
TWEETEVAL_URL = (
    "https://raw.githubusercontent.com/cardiffnlp/tweeteval/3eb5e91dd5070b5a5931df4e70cbab5978e3c50c/datasets/sentiment"
)
TWEETEVAL_FILES = {
    "test_text.txt": (1_156_877, "09a93a55c63fd93f97485ef7302889d7edb4091cd49733aa37da094f0bfa0675"),
    "test_labels.txt": (24_568, "6afb4afe9374d1f983bcf9a7c79b108d0f37fdf020a83f30488309bed215db9d"),
    "val_text.txt": (219_137, "e5b021e6fc45064c260b09814b803d8f56cada519c4d952d72f43d48a350a964"),
    "val_labels.txt": (4_000, "b4566926c72e2e4e2916c864def94e76c4cdde52446af2c7ba4fc2006e057e51"),
    "train_text.txt": (4_970_029, "368f01052ea6fd8ffc408a2a2e6ac9669e31542581a0396ef16591ea26eb98a6"),
    "train_labels.txt": (91_230, "122bfb1732fb6995b0e5c5f726c0ba457c469c3b6e60513007ce5037f23e65d4"),
}
_TWEETEVAL_LABELS = {"0": "negative", "1": "neutral", "2": "positive"}
# The file of each source that is downloaded last: if it is there, nothing is missing.
_LAST_FILES = {SENTIMENT140: ARCHIVE.name, VADER: VADER_ARCHIVE, TWEETEVAL: f"{TWEETEVAL}/train_labels.txt"}
COLUMNS_140 = ColumnConfig(label=0, id=1, user=4, text=5)
_AUTHOR_NAMES = ("user", "name", "author", "user_id", "author_id", "username", "user_name", "screen_name",
                 "user.id", "user.name", "user.screen_name")  # fmt: skip


@dataclass(frozen=True)
class TweetFile:
    """A file of tweets that can be read any number of times."""

    name: str  # for messages: its path, or the name in the configuration
    sha256: str  # of the bytes that the rows come from
    format: str  # format and delimiter: the same bytes may be read in different ways
    read: Callable[[], RowIterator]  # all rows in file order
    total: int | None = None  # approximate number of rows, if known beforehand
    field: str = "data"  # the section of the configuration that describes it
    # Returns the name of a column that may hold the authors, but is not configured; None if there is none.
    unused_author_column: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class OpenedSource:
    """The opened files of a configuration."""

    dataset: str  # name of the data set
    main: TweetFile
    tests: Mapping[str, TweetFile] = dataclass_field(default_factory=dict)  # external test sets, by name
    extra_train: tuple[TweetFile, ...] = ()  # used only for training

    @property
    def files(self) -> list[TweetFile]:
        return [self.main, *self.tests.values(), *self.extra_train]


def open_source(config: DataConfig, results: Results) -> OpenedSource:
    """Open the files of a configuration; configured test sets are added to the source's own, or override them.

    Hashes files on disk, and recognises their format; returns no rows and downloads nothing.

    Raises:
        DataError: names a file that cannot be used.
    """
    main_table = LabelledTable(path=config.source, columns=config.columns, labels=config.labels)
    source = _open(main_table, results, "data")
    tests = dict(source.tests)
    for name, table in config.external_tests.items():
        opened = _open(table, results, f"data.tests.{name}")
        # The published test set if there is one, otherwise the whole file.
        tests[name] = next(iter(opened.tests.values()), opened.main)
    extra_train = []
    for index, extra_table in enumerate(config.extra_train):
        extra_train.append(_open(extra_table, results, f"data.extra_train.{index}").main)
    return replace(source, tests=dict(sorted(tests.items())), extra_train=tuple(extra_train))


_ROWS_BETWEEN_MESSAGES = 4096


def labelled_rows(file: TweetFile, left_out: RowCounter, progress: Progress) -> Iterator[tuple[Row, int]]:
    """Yield the rows to test on, each with the index of its class; count the others in `left_out`."""
    for number, row in enumerate(file.read()):
        if number % _ROWS_BETWEEN_MESSAGES == 0:
            progress(f"reading {file.name}", number, file.total)
        if isinstance(row, Refusal):
            left_out.add(row.reason, row.line)
        elif row.label is None:
            left_out.add("ignored label", row.line)
        elif row.part not in (None, "test"):
            left_out.add("not of the test part", row.line)
        else:
            yield row, row.label


def source_problem(source: str, results: Results) -> str | None:
    """Message that says which file of a source is missing and how to fetch it; None if nothing is missing."""
    if source not in SOURCES:
        path = user_path(source)
        if path.is_dir():
            return "is a directory; name a file in it"
        return None if path.exists() else f"no such file; valid: {SOURCE_CHOICES}"
    if source == "sample" or (results.downloads / _LAST_FILES[source]).exists():
        return None
    return f"its tweets are not in {results.downloads}; fetch them with `sentiment data {source}`"


def fetch_tweets(source: str, results: Results, progress: Progress) -> None:
    """Download the files of a source, unless they exist or the source has none."""
    if source == SENTIMENT140:
        download(ARCHIVE, results.downloads, progress)
    elif source == VADER:
        progress(f"fetching {VADER_ARCHIVE}", 0, None)
        fetch_vader(results)
    elif source == TWEETEVAL:
        fetch_tweeteval(results, progress)


def open_file(path: Path, columns: ColumnConfig, labels: LabelMapping | None, field: str = "data") -> TweetFile:
    """Open and hash a table on disk; the format of Sentiment140 is recognised, whose columns and labels are known.

    Args:
        labels: the labels of each class; None reads no labels, except in the format of Sentiment140.
        field: the configuration section of the columns and labels, for messages.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; valid: {SOURCE_CHOICES}")
    state = state_of(path)
    sha256 = cached_sha256(path)
    format = format_of(path)
    if is_sentiment140(path):
        format = SENTIMENT140
        columns = COLUMNS_140
        labels = labels_140(labels or DEFAULT_LABELS)
    table_of = cache(partial(open_table, path, lambda _: has_header(columns)))
    if format in DELIMITED:
        format = f"{format} {table_of().delimiter}"

    def read() -> RowIterator:
        rows = partial(read_rows, table_of(), columns, labels, str(path), field)
        yield from rows() if columns.part is None else by_part(rows)
        if state_of(path) != state:
            raise DataError(f"{path}: changed while it was read; run the same command again once the file is complete")

    def unused_author_column() -> str | None:
        if columns.user is not None:
            return None
        names = [name for name in table_of().names if name.strip().lower() in _AUTHOR_NAMES]
        return next((name for name in names if name not in (columns.text, columns.label)), None)

    return TweetFile(str(path), sha256, format, read, estimated_rows(path), field, unused_author_column)


@lru_cache  # the runs of a grid read the same files
def _sha256_of(path: Path, _state: tuple[int, ...]) -> str:
    with translated_errors(path):
        return sha256_of(path)


def cached_sha256(path: Path) -> str:
    """SHA-256 of a file, cached per process until the file changes."""
    return _sha256_of(path, state_of(path))


def _open(table: LabelledTable, results: Results, field: str) -> OpenedSource:
    labels = table.labels or DEFAULT_LABELS
    if table.path == SENTIMENT140:
        return _open_archive(results.downloads / ARCHIVE.name, labels)
    # These two are small enough to be downloaded when a run first reads them.
    if table.path == VADER:
        read = lambda: read_vader(fetch_vader(results), labels)  # noqa: E731
        return OpenedSource(VADER, TweetFile(VADER, VADER_TWEETS_SHA256, VADER, read))
    if table.path == TWEETEVAL:
        read = lambda: read_tweeteval(fetch_tweeteval(results), labels)  # noqa: E731
        return OpenedSource(TWEETEVAL, TweetFile(TWEETEVAL, fingerprint(TWEETEVAL_FILES), TWEETEVAL, read))
    if table.path == "sample":
        return OpenedSource("sample", replace(open_file(_SAMPLE_FILE, ColumnConfig(), labels), name="sample"))
    main = open_file(user_path(table.path), table.columns, labels, field)
    # The whole data set at another path keeps its name, so that its card gives licence and citation.
    is_complete = main.format == SENTIMENT140 and (main.total or 0) >= MEMBER_ROWS[TRAINING]
    return OpenedSource(SENTIMENT140 if is_complete else TABLE, main)


def is_sentiment140(path: Path) -> bool:
    """Whether a file is CSV in the format of Sentiment140, judged by its first row: six columns without a header."""
    if format_of(path) != "csv":
        return False
    record = next(csv_records(partial(read_lines, path), ",", str(path)), None)
    if not isinstance(record, TableRecord) or len(record.fields) != 6:
        return False
    target, _, date, *_ = record.fields
    return target in ("0", "2", "4") and date.count(":") == 2


def labels_140(labels: LabelMapping) -> LabelMapping:
    """The labels of Sentiment140's format for the classes of `labels`."""
    return polar_labels(class_names(labels), ("0",), ("2",), ("4",))


def _open_archive(path: Path, labels: LabelMapping) -> OpenedSource:
    def read(member: str) -> RowIterator:
        if not path.exists():
            raise DataError(f"{path}: no such file; `sentiment data {SENTIMENT140}` fetches it")
        if cached_sha256(path) != ARCHIVE.sha256:
            raise DataError(f"{path}: is not the expected file; delete it and run `sentiment data {SENTIMENT140}`")
        table = open_table(path, lambda _: False, member)
        return read_rows(table, COLUMNS_140, labels_140(labels), f"{path}:{member}")

    files = []
    for member, rows in MEMBER_ROWS.items():
        format = f"{SENTIMENT140}/{member}"
        files.append(TweetFile(f"{SENTIMENT140}:{member}", ARCHIVE.sha256, format, partial(read, member), rows))
    return OpenedSource(SENTIMENT140, files[0], {"manual": files[1]})


def fetch_vader(results: Results) -> Path:
    """Download VADER's archive (2 MB) unless it exists, with pip, which uses the configured index and proxy.

    pip checks the hash, then runs the archive's setup script to prepare metadata.
    """
    target = results.downloads / VADER_ARCHIVE
    if target.exists():
        return target
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--no-binary"]
    command += ["vaderSentiment", "--require-hashes", "--dest"]
    try:
        results.downloads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=results.downloads, prefix=".pip-") as folder:
            file = Path(folder) / "requirements.txt"
            file.write_text(f"vaderSentiment==3.3.2 --hash=sha256:{VADER_SHA256}\n", encoding="utf-8")
            pip = subprocess.run([*command, folder, "-r", str(file)], stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
            if pip.returncode == 0:
                return Path(folder, VADER_ARCHIVE).replace(target)
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error}") from None
    raise _download_error(target, ["pip says:", *pip.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]])


def read_vader(archive: Path, labels: LabelMapping) -> RowIterator:
    """Yield VADER's tweets: negative, neutral or positive by their mean rating; unpacks nothing on disk."""
    meanings = label_meanings(labels)
    try:
        with tarfile.open(archive) as outer, tarfile.open(fileobj=outer.extractfile(_VADER_INNER_ARCHIVE)) as inner:
            content = (inner.extractfile(_VADER_MEMBER) or io.BytesIO()).read()
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError) as error:
        raise DataError(f"{archive}: is damaged, delete it: {error}") from None
    if hashlib.sha256(content).hexdigest() != VADER_TWEETS_SHA256:
        raise DataError(f"{archive}: its {_VADER_MEMBER} is not the expected file; delete the archive")
    for line, record in enumerate(content.decode().split("\r\n"), start=1):
        number, mean, text = record.split("\t")
        rating = float(mean)
        label = "positive" if rating > 0 else "negative"
        if abs(rating) < _NEUTRAL_BAND:
            label = "neutral"
        yield Row(number, None, meanings[label], text, line)


def fetch_tweeteval(results: Results, progress: Progress = silent) -> Path:
    """Download the files of TweetEval (6 MB) unless they exist; returns their folder."""
    folder = results.downloads / TWEETEVAL
    for name, (size, sha256) in TWEETEVAL_FILES.items():
        download(Remote(name, (f"{TWEETEVAL_URL}/{name}",), size, sha256), folder, progress)
    return folder


def read_tweeteval(folder: Path, labels: LabelMapping) -> RowIterator:
    """Yield TweetEval's tweets; those of the training part come last, when all that are held out are known."""
    meanings = label_meanings(labels)
    for part, name in (("test", "test"), ("validation", "val"), ("train", "train")):
        pairs = zip(read_lines(folder / f"{name}_text.txt"), read_lines(folder / f"{name}_labels.txt"), strict=True)
        for line, (text, label) in enumerate(pairs, start=1):
            meaning = meanings[_TWEETEVAL_LABELS[label.strip()]]
            yield Row(f"{name}-{line}", None, meaning, text.rstrip("\n"), line, part)
