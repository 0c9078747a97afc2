"""Where tweets come from: the sources that are named in `sentiment.data`, and tables of the user's own.

Also fetches files, from any of several mirrors: resumed, checked by SHA-256, put in place whole.
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from sentiment.config import ColumnConfig, DataConfig, LabelConfig, LabelledTable
from sentiment.console import Progress
from sentiment.data import SOURCE_CHOICES, SOURCES
from sentiment.data.tables import (
    DELIMITERS,
    ReadRows,
    Row,
    TableRecord,
    about_rows,
    csv_records,
    form_of,
    has_header,
    open_table,
    read_lines,
    read_rows,
    translated_errors,
)
from sentiment.errors import DataError, DownloadError
from sentiment.files import named_path, sha256_of
from sentiment.runs.records import NEGATIVE, POSITIVE
from sentiment.runs.run_dir import Results

# --- fetching -------------------------------------------------------------------------------------------------------

_TIMEOUT_SECONDS = 30
_ATTEMPTS = 3
_BLOCK = 1 << 18
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Remote:
    """A file whose content is known before it is fetched."""

    name: str
    urls: Sequence[str]  # mirrors, in the order in which they are tried
    size: int | None  # in bytes; None takes what the server says
    sha256: str  # empty if the publisher gives none

    def is_at(self, path: Path) -> bool:
        return self.size in (None, path.stat().st_size) and (not self.sha256 or sha256_of(path) == self.sha256)


def download(remote: Remote, folder: Path, progress: Progress) -> Path:
    """Fetch a file unless it is there; a DownloadError says what was tried.

    A partial download stays in `<name>.part`, where the next call continues it.
    """
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if target.exists():
        if remote.is_at(target):
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
            if size == expected and remote.is_at(part):
                return part.replace(target)
            if size < expected:
                failures.append(f"{url}: ended after {size:,} of {expected:,} bytes")
            else:
                failures.append(f"{url}: what it gives ({size:,} bytes) is not the expected file")
                part.unlink()
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error}") from None
    raise _not_fetched(target, failures)


def _not_fetched(target: Path, failures: Iterable[str]) -> DownloadError:
    tried = "\n  ".join(dict.fromkeys(failures))
    return DownloadError(
        f"{target.name} could not be fetched:\n  {tried}\nwhere there is no network, put the file at {target}"
    )


def _fetch(url: str, part: Path, remote: Remote, progress: Progress) -> int:
    """Append what is missing to `part`, or start again if the server cannot continue; the size of the whole file."""
    done, size = part.stat().st_size if part.exists() else 0, remote.size
    if size is None and done:
        done -= 1  # of a file that is whole no server gives the rest
        os.truncate(part, done)
    if size is not None and done >= size:
        return size
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        if not (response.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            done = 0
        told = response.headers.get("Content-Length", "")
        size = size or (done + int(told) if told.isdecimal() else 0)
        if not size:
            raise http.client.HTTPException("does not say how large the file is; name another mirror")
        with open(part, "ab" if done else "wb") as file:
            # One byte more than expected shows that it is another file.
            while done <= size and (block := response.read1(_BLOCK)):
                file.write(block)
                done += len(block)
                progress(f"fetching {remote.name}", done, size)
    return size


def addresses(places: Iterable[str], names: Sequence[str]) -> list[str]:
    """The addresses at which a file may be found: under each of its names in each place, a folder or an address."""
    urls = (place if "://" in place else named_path(place).resolve().as_uri() for place in places)
    return [f"{url.rstrip('/')}/{name}" for url in urls for name in names]


# --- named data sets and tables -------------------------------------------------------------------------------------

TABLE = "table"  # the data set of a run on the user's own file
# 1,000 of VADER's clearly positive or negative tweets, which come with the program.
_SAMPLE_FILE = Path(__file__).with_name("sample_tweets") / "tweets.csv"

# The source archive of PyPI, which holds the 4,200 rated tweets of Hutto & Gilbert (2014).
VADER, VADER_ARCHIVE = "vader", "vaderSentiment-3.3.2.tar.gz"
VADER_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
VADER_TWEETS_SHA256 = "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f"
_VADER_INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_NEUTRAL_BAND = 0.5  # ratings go from -4 to 4; tweets whose mean rating is nearer to zero have no label
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
_ARCHIVES = {SENTIMENT140: ARCHIVE.name, VADER: VADER_ARCHIVE}
_FORMAT_140 = ColumnConfig(label=0, id=1, user=4, text=5), LabelConfig(negative=("0",), positive=("4",), ignored=("2",))


@dataclass(frozen=True)
class TweetFile:
    """A file of tweets that can be read any number of times."""

    name: str  # what messages call it: its path, or the name in the configuration
    sha256: str  # of the bytes that the rows come from
    form: str  # how these bytes are read; two forms may read the same bytes differently
    read: Callable[[], ReadRows]  # all rows in file order
    total: int | None = None  # the number of rows, or about, if it is known beforehand


@dataclass(frozen=True)
class OpenedSource:
    """The files that the tweets of a configuration come from."""

    dataset: str  # that the tweets belong to
    main: TweetFile
    tests: Mapping[str, TweetFile] = field(default_factory=dict)  # besides the split of `main`, by name
    extra_train: tuple[TweetFile, ...] = ()  # for training alone


def open_source(config: DataConfig, results: Results) -> OpenedSource:
    """The files that a configuration asks for; its test sets join those that the source brings, or replace them.

    No row is read yet, and nothing is fetched; a file on disk is hashed. A DataError names one that cannot be used.
    """
    own = LabelledTable(path=config.source, columns=config.columns, labels=config.labels)
    opened = _open(own, results, "data")
    tests = dict(opened.tests)
    for name, table in config.foreign_tests.items():
        found = _open(table, results, f"data.tests.{name}")
        # The tweets that its publishers test on, where they say which, else all of it.
        tests[name] = next(iter(found.tests.values()), found.main)
    extra = [_open(of, results, f"data.extra_train.{place}").main for place, of in enumerate(config.extra_train)]
    return replace(opened, tests=dict(sorted(tests.items())), extra_train=tuple(extra))


def missing_tweets(source: str, results: Results) -> str | None:
    """What a run still needs to read a source, with the command that fetches it; None if all is there."""
    if source not in SOURCES:
        path = named_path(source)
        missing = "is a directory; name a file in it" if path.is_dir() else f"no such file; valid: {SOURCE_CHOICES}"
        return None if path.exists() and not path.is_dir() else missing
    if source == "sample" or (results.downloads / _ARCHIVES[source]).exists():
        return None
    return f"its tweets are not in {results.downloads}; fetch them with `sentiment data {source}`"


def fetch_tweets(source: str, results: Results, progress: Progress) -> None:
    """Put the archive of a source into the downloads, unless it is there or the source has none."""
    if source == SENTIMENT140:
        download(ARCHIVE, results.downloads, progress)
    elif source == VADER:
        progress(f"fetching {VADER_ARCHIVE}", 0, None)
        fetch_vader(results)


def open_file(path: Path, columns: ColumnConfig, labels: LabelConfig | None, field: str = "data") -> TweetFile:
    """A table on disk, which is hashed; one in the form of Sentiment140 has its own columns and labels.

    Args:
        labels: what the values of the label column mean; None leaves all rows without a label.
        field: of the configuration, which says the columns and labels, for messages.
    """
    if not path.exists():
        hint = "download it first; " if str(path).startswith("http") else ""
        raise DataError(f"{path}: no such file; {hint}valid: {SOURCE_CHOICES}")
    state, sha256, form = _state_of(path), cached_sha256(path), form_of(path)
    if is_sentiment140(path):
        form, (columns, labels) = SENTIMENT140, _FORMAT_140
    table_of = partial(open_table, path, lambda _: has_header(columns))
    if form in DELIMITERS and (delimiter := table_of().delimiter) != DELIMITERS[form]:
        form = f"{form} {delimiter}"

    def read() -> ReadRows:
        yield from read_rows(table_of(), columns, labels, str(path), field)
        if _state_of(path) != state:
            raise DataError(f"{path}: was changed while it was read; give the same command again when it is whole")

    return TweetFile(str(path), sha256, form, read, about_rows(path))


def _state_of(path: Path) -> tuple[int, ...]:
    """What changes with a file's content; unlike the time of modification, nobody can set that of the last change."""
    with translated_errors(path):
        found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache  # the runs of a grid read the same files
def _sha256_of(path: Path, _state: tuple[int, ...]) -> str:
    with translated_errors(path):
        return sha256_of(path)


def cached_sha256(path: Path) -> str:
    """The SHA-256 of a file, which is read unless this process has read it and it is unchanged."""
    return _sha256_of(path, _state_of(path))


def _open(table: LabelledTable, results: Results, field: str) -> OpenedSource:
    if table.path == SENTIMENT140:
        return _open_archive(SENTIMENT140, results.downloads / ARCHIVE.name, ARCHIVE.sha256)
    if table.path == VADER:  # small enough to be fetched when a run first reads it
        read = lambda: read_vader(fetch_vader(results))  # noqa: E731
        return OpenedSource(VADER, TweetFile(VADER, VADER_TWEETS_SHA256, VADER, read))
    if table.path == "sample":
        return OpenedSource("sample", replace(open_file(_SAMPLE_FILE, ColumnConfig(), LabelConfig()), name="sample"))
    path = named_path(table.path)
    if path.is_file() and form_of(path) == "zip":
        return _open_archive(str(path), path, cached_sha256(path))
    main = open_file(path, table.columns, table.labels, field)
    whole = main.form == SENTIMENT140 and (main.total or 0) >= MEMBER_ROWS[TRAINING]
    return OpenedSource(SENTIMENT140 if whole else TABLE, main)  # only the complete file counts as Sentiment140


def is_sentiment140(path: Path) -> bool:
    """Whether a file is CSV in the form of Sentiment140, judged by its first row: six columns without a header."""
    record = next(csv_records(partial(read_lines, path), ",", str(path)), None) if form_of(path) == "csv" else None
    if not isinstance(record, TableRecord) or len(record.fields) != 6:
        return False
    target, _, date, *_ = record.fields
    return target in ("0", "2", "4") and date.count(":") == 2


def _open_archive(name: str, path: Path, sha256: str) -> OpenedSource:
    def read(member: str) -> ReadRows:
        if not path.exists():
            raise DataError(f"{path}: no such file; `sentiment data {SENTIMENT140}` fetches it")
        if cached_sha256(path) != sha256:
            raise DataError(f"{path}: is not the expected file; delete it and run `sentiment data {SENTIMENT140}`")
        count = 0
        for row in read_rows(open_table(path, lambda _: False, member), *_FORMAT_140, f"{path}:{member}"):
            count += 1
            yield row
        if count != MEMBER_ROWS[member]:
            raise DataError(f"{path}:{member}: has {count:,} rows where {MEMBER_ROWS[member]:,} are expected")

    main, manual = (
        TweetFile(f"{name}:{member}", sha256, f"{SENTIMENT140}/{member}", partial(read, member), rows)
        for member, rows in MEMBER_ROWS.items()
    )
    return OpenedSource(SENTIMENT140, main, {"manual": manual})


def fetch_vader(results: Results) -> Path:
    """Fetch VADER's archive (2 MB) into the downloads, unless it is there, with pip, which knows the index and proxy.

    It runs the setup script of the archive to prepare metadata, but checks the hash before.
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
    raise _not_fetched(target, ["pip says:", *pip.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]])


def read_vader(archive: Path) -> ReadRows:
    """VADER's tweets, labelled by the sign of their mean rating unless it is near zero; nothing is unpacked on disk."""
    try:
        with tarfile.open(archive) as outer, tarfile.open(fileobj=outer.extractfile(_VADER_INNER_ARCHIVE)) as inner:
            content = (inner.extractfile(_VADER_MEMBER) or io.BytesIO()).read()
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError) as error:
        raise DataError(f"{archive}: is damaged, delete it: {error}") from None
    if hashlib.sha256(content).hexdigest() != VADER_TWEETS_SHA256:
        raise DataError(f"{archive}: its {_VADER_MEMBER} is not the expected file; delete the archive")
    for line, (number, mean, text) in enumerate((one.split("\t") for one in content.decode().split("\r\n")), start=1):
        rating = float(mean)
        label = None if abs(rating) < _NEUTRAL_BAND else POSITIVE if rating > 0 else NEGATIVE
        yield Row(number, None, label, text, line)
