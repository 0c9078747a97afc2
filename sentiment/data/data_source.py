"""What a data source is, and which ones there are.

Each module of the package `sentiment.data.sources` is a named data source. Configurations ask for it by the module's
name, and its `SOURCE` says how the tweets are opened, what is missing before they can be read, and how that is fetched.
There is no other list of data sources: training, the command line, grids, `jobs doctor` and the records that the report
reads all ask here, so that a new source is one module. Any other name is the path of a table
(`sentiment.data.tables.table`).

Every `--help` loads this module, so it imports nothing slow.
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sentiment.data import sources

if TYPE_CHECKING:
    from sentiment.config import DataConfig
    from sentiment.console import Progress
    from sentiment.data.tables.rows import Rows
    from sentiment.runs.run_dir import Results

TABLE = "table"
"""The data set of a run on the user's own file."""


@dataclass(frozen=True)
class TweetFile:
    """A file of tweets that can be read any number of times."""

    name: str
    """What messages call it: its path, or the name in the configuration."""
    sha256: str
    """Of the bytes that the rows come from."""
    form: str
    """How these bytes are read; two forms may read the same bytes differently."""
    read: Callable[[], "Rows"]
    """Reads all rows in file order. Raises DataError, or ConfigError if the file lacks a configured column."""
    total: int | None = None
    """The number of rows, or about, if it is known beforehand; for progress alone."""


@dataclass(frozen=True)
class OpenedSource:
    """The files that the tweets of a configuration come from."""

    dataset: str
    """The name of the data set that the tweets belong to."""
    main: TweetFile
    tests: Mapping[str, TweetFile] = field(default_factory=dict)
    """Test sets besides the split of `main`, by name."""
    extra_train: tuple[TweetFile, ...] = ()
    """Further tweets for training alone."""
    complete_rows: int = 0
    """The size of the data set where `main` may be only a part of it."""

    def dataset_of(self, rows: int) -> str:
        """The name of the data set, given how many rows were read: a part of a data set is a table like any other."""
        return self.dataset if rows >= self.complete_rows else TABLE


class DataSource(ABC):
    """A place that tweets come from."""

    archive: str | None = None
    """The name of the file that `fetch` puts into the downloads; None if there is nothing to fetch."""

    @property
    def name(self) -> str:
        """The name of its module, by which configurations ask for it."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def open(self, config: "DataConfig", results: "Results") -> OpenedSource:
        """Find the files and identify their content; rows are read later, and nothing is fetched.

        Args:
            config: says how labels, columns and ratings are read, where the source leaves that open.

        Raises:
            DataError: a file is missing, unreadable or of an unknown format.
        """

    def missing(self, results: "Results") -> str | None:
        """What a run still needs to read these tweets, with the command that fetches it; None if all is there."""
        if self.archive is None or (results.downloads / self.archive).exists():
            return None
        return f"its tweets are not in {results.downloads}; fetch them with `make data DATA={self.name}`"

    def fetch(self, results: "Results", progress: "Progress") -> None:  # noqa: B027  # most have nothing to fetch
        """Put what `missing` names into the downloads, unless it is there.

        Raises:
            DownloadError: it could not be fetched; the message says what was tried.
        """


def source_names() -> list[str]:
    """The names of all data sources, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(sources.__path__))


def source_choices() -> str:
    """What `data.source` may be, for messages and help texts."""
    return ", ".join(source_names()) + " or the path of a table"
