"""Sentiment140 (Go, Bhayani & Huang 2009): 1.6 million tweets labelled by their emoticons, and 498 labelled by hand."""

from functools import partial

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.data_source import DataSource, OpenedSource
from sentiment.data.download import Remote, download
from sentiment.data.tables.rows import Rows
from sentiment.data.tables.sentiment140 import open_archive, read_member
from sentiment.errors import DataError
from sentiment.files import sha256_of
from sentiment.runs.run_dir import Results

ARCHIVE = Remote(
    name="trainingandtestdata.zip",
    urls=(
        "https://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
        "http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
    ),
    size=81_363_704,
    sha256="004a3772c8a7ff9bbfeb875880f47f0679d93fc63e5cf9cff72d54a8a6162e57",
)


class Sentiment140(DataSource):
    """The archive of the publishers; the tweets labelled by hand are its test set `manual`."""

    archive = ARCHIVE.name

    def open(self, config: DataConfig, results: Results) -> OpenedSource:  # noqa: ARG002
        """Both files of the archive, which is looked for only when they are read."""
        return open_archive(self.name, ARCHIVE.sha256, partial(self._read, results))

    def fetch(self, results: Results, progress: Progress) -> None:
        """Fetch the archive (81 MB), from where an earlier attempt was cut off.

        Raises:
            DownloadError: no mirror gave the expected file; the message says what was tried.
        """
        download(ARCHIVE, results.downloads, progress)

    def _read(self, results: Results, member: str) -> Rows:
        path = results.downloads / ARCHIVE.name
        if not path.exists():
            raise DataError(f"{path}: no such file; `make data DATA={self.name}` fetches it")
        if sha256_of(path) != ARCHIVE.sha256:
            raise DataError(f"{path}: is not the expected file; delete it and run `make data DATA={self.name}`")
        return read_member(path, member)


SOURCE = Sentiment140()
