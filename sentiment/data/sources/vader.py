"""The 4,200 rated tweets of Hutto & Gilbert (2014), from the source archive of vaderSentiment 3.3.2 on PyPI."""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.data_source import DataSource, OpenedSource, TweetFile
from sentiment.data.tables.rows import Refusal, Row, Rows
from sentiment.errors import DataError, DownloadError
from sentiment.files import sha256_of
from sentiment.runs.records import NEGATIVE, POSITIVE
from sentiment.runs.run_dir import Results

REQUIREMENT = "vaderSentiment==3.3.2"
ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
ARCHIVE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
TWEETS_SHA256 = "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f"
TWEETS = 4200

_INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_MEMBER = "hutto_ICWSM_2014/tweets_GroundTruth.txt"
_TIMEOUT_SECONDS = 600


class Vader(DataSource):
    """Small enough to be fetched when a run first reads it; ratings near zero are left out (`data.neutral_band`)."""

    archive = ARCHIVE

    def open(self, config: DataConfig, results: Results) -> OpenedSource:
        """The one file that is needed, which is fetched when it is read."""

        def read() -> Rows:
            return read_vader(fetch_vader(results), config.neutral_band)

        return OpenedSource(self.name, TweetFile(self.name, TWEETS_SHA256, self.name, read, TWEETS))

    def fetch(self, results: Results, progress: Progress) -> None:
        """Fetch the archive (2 MB) with pip, which shows no progress here.

        Raises:
            DownloadError: pip could not get it; the message says where to put the file by hand.
        """
        progress(f"fetching {ARCHIVE}", 0, None)
        fetch_vader(results)


def fetch_vader(results: Results) -> Path:
    """Fetch the archive into the downloads, unless it is there, with this interpreter's pip.

    pip knows the user's index and proxy. It runs the setup script of the archive to prepare metadata, but checks the
    hash before.

    Raises:
        DownloadError: pip could not get it; the message says where to put the file by hand.
    """
    target = results.downloads / ARCHIVE
    if target.exists() and sha256_of(target) == ARCHIVE_SHA256:
        return target
    try:
        results.downloads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=results.downloads, prefix=".pip-") as folder:
            complaint = _download_with_pip(Path(folder))
            fetched = Path(folder) / ARCHIVE
            if not complaint and fetched.exists() and sha256_of(fetched) == ARCHIVE_SHA256:
                fetched.replace(target)
                return target
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error}") from None
    raise DownloadError(
        f"{ARCHIVE} could not be fetched; pip says:\n{complaint or 'nothing'}\n"
        f"where there is no network, put the file (SHA-256 {ARCHIVE_SHA256[:12]}…) at {target}"
    )


def read_vader(archive: Path, neutral_band: float) -> Rows:
    """The tweets, labelled by the sign of their mean rating.

    Args:
        archive: the source archive of vaderSentiment.
        neutral_band: tweets whose rating is zero or nearer to zero than this have no label.

    Raises:
        DataError: the archive is damaged or not the expected one.
    """
    for line, text in enumerate(_tweets_file(archive).split("\r\n"), start=1):
        fields = text.split("\t")
        if len(fields) != 3:
            yield Refusal(line, "wrong number of fields")
            continue
        rating = float(fields[1])
        label = None if rating == 0 or abs(rating) < neutral_band else POSITIVE if rating > 0 else NEGATIVE
        yield Row(fields[0], None, label, fields[2], line)


def _download_with_pip(folder: Path) -> str:
    """Let pip put the archive into `folder`; returns the end of its error output, or the empty text on success."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{ARCHIVE_SHA256}\n", encoding="utf-8")
    options = ["--quiet", "--no-input", "--no-deps", "--no-binary", "vaderSentiment", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "-r", str(requirements)]
    try:
        outcome = subprocess.run(  # noqa: S603  # a fixed command
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT_SECONDS} seconds"
    if outcome.returncode == 0:
        return ""
    return "\n".join(f"  {line}" for line in outcome.stderr.strip().splitlines()[-5:]) or f"exit {outcome.returncode}"


def _tweets_file(archive: Path) -> str:
    """The text of the file with the tweets, unpacked in memory, so that no path in the archive is written to."""
    try:
        with (
            tarfile.open(archive) as outer,
            tarfile.open(fileobj=io.BytesIO(_member(outer, _INNER_ARCHIVE))) as inner,
        ):
            content = _member(inner, _MEMBER)
    except (tarfile.TarError, OSError, EOFError, KeyError) as error:
        raise DataError(f"{archive}: is damaged, delete it: {error}") from None
    if hashlib.sha256(content).hexdigest() != TWEETS_SHA256:
        raise DataError(f"{archive}: its {_MEMBER} is not the expected file; delete the archive")
    return content.decode("utf-8")


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no file")
    with file:
        return file.read()


SOURCE = Vader()
