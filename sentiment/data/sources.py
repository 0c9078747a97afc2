"""Opens the sources of tweets: the built-in data sets and the user's own tables."""

import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cache, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import IO, cast

from sentiment.config import ColumnConfig, DataConfig, LabelledTable
from sentiment.console import Progress, silent
from sentiment.data.built_in import BUILT_IN, SAMPLE, SENTIMENT140, SOURCE_CHOICES, TWEETEVAL, VADER
from sentiment.data.classes import DEFAULT_CLASSES, Classes, polar_classes
from sentiment.data.rows import Row, RowCounter, RowIterator, by_part, estimated_rows, read_rows
from sentiment.data.table import AUTHOR_NAMES, HEAD_ROWS, Column, Refusal, Table, format_of
from sentiment.data.table_files import open_table
from sentiment.errors import DataError, MissingFileError, SentimentError
from sentiment.files import fingerprint, sha256_of, state_of, translated_errors, user_path
from sentiment.runs.run_dir import Results

TABLE = "table"  # name of the data set that is a user's own table


@dataclass(frozen=True)
class TweetFile:
    """A file of tweets that can be read any number of times."""

    name: str  # for messages: its path, or the name in the configuration
    sha256: str  # of the bytes that the rows come from
    format: str  # format and delimiter: the same bytes may be read in different ways
    read: Callable[[], RowIterator]  # all rows in file order
    total: int | None = None  # approximate number of rows, if known beforehand
    field: str = "data"  # the section of the configuration that describes it
    has_labels: bool = True  # whether labels are read; a row without one is then ignored
    has_ids: bool = True  # otherwise the id of a row is its line
    # Returns the name of a column that may hold the authors, but is not configured; None if there is none.
    unused_author_column: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class OpenedSource:
    """The opened files of a configuration."""

    dataset: str  # name of the data set
    main: TweetFile
    tests: Mapping[str, TweetFile] = dataclass_field(default_factory=dict)  # external test sets, by name
    extra_train: tuple[TweetFile, ...] = ()  # used only for training
    unlabelled: tuple[TweetFile, ...] = ()  # used only to learn word vectors

    @property
    def to_test_on(self) -> TweetFile:
        """The published test set of a built-in source that has one, otherwise the whole file."""
        return next(iter(self.tests.values()), self.main)


def open_source(config: DataConfig, results: Results) -> OpenedSource:
    """Open the files of a configuration; configured test sets are added to the source's own, or override them.

    Hashes files on disk, and recognises their format; returns no rows and downloads nothing.

    Raises:
        DataError: names a file that cannot be used.
    """
    source = _open(_main_table(config), results, "data")
    tests = dict(source.tests)
    for name, table in config.external_tests.items():
        tests[name] = _open(table, results, f"data.tests.{name}").to_test_on
    extra_train = []
    for index, extra_table in enumerate(config.extra_train):
        extra_train.append(_open(extra_table, results, f"data.extra_train.{index}").main)
    return replace(source, tests=dict(sorted(tests.items())), extra_train=tuple(extra_train))


def open_to_test(config: DataConfig, table: Table | None, results: Results) -> TweetFile:
    """The tweets of a configuration to test on: those of its table, if it is open, else `OpenedSource.to_test_on`."""
    if table is None:
        return open_source(config, results).to_test_on
    return open_file(table, config.columns, config.labels)


_ROWS_BETWEEN_MESSAGES = 4096


def usable_rows(
    file: TweetFile, left_out: RowCounter, progress: Progress, leave_out: Collection[str] = ()
) -> Iterator[Row]:
    """Yield the rows to test on; count the others in `left_out`. If labels are read, each of the rows has one.

    Args:
        leave_out: reasons for which any number of rows may be refused.

    Raises:
        DataError: of all rows more than MAX_REFUSED are refused for other reasons: an estimate would be of a remainder.
    """
    refused = RowCounter()
    number = -1
    for number, row in enumerate(file.read()):
        if number % _ROWS_BETWEEN_MESSAGES == 0:
            progress(f"reading {file.name}", number, file.total)
        if isinstance(row, Refusal):
            left_out.add(row.reason, row.line)
            refused.add(row.reason, row.line)
        elif row.label is None and file.has_labels:
            left_out.add("ignored label", row.line)
        elif row.part not in (None, "test"):
            left_out.add("not of the test part", row.line)
        else:
            yield row
    refused.check(file.name, number + 1, leave_out)


def source_problem(source: str, results: Results) -> str | None:
    """Which files of a built-in source are missing and how to fetch them; None if nothing is missing."""
    if source not in BUILT_IN or all((results.downloads / file.name).exists() for file in BUILT_IN[source].files):
        return None
    return f"its tweets are not in {results.downloads}; fetch them with `{results.command('data', source)}`"


def table_problems(config: DataConfig, results: Results) -> Iterator[str]:
    """Yield for each table and built-in source of a run why it is not there, or why its first rows cannot be read."""
    tables = {"data.source": _main_table(config)}
    tables |= {f"data.tests.{name}.path": table for name, table in config.tests.items()}
    tables |= {f"data.extra_train.{index}.path": table for index, table in enumerate(config.extra_train)}
    for name, table in tables.items():
        problem = source_problem(table.path, results)
        if problem is None and table.path not in BUILT_IN:
            try:
                rows = _open(table, results, name.rpartition(".")[0]).main.read()
                list(islice(rows, HEAD_ROWS))
            except SentimentError as error:
                problem = str(error).removeprefix(f"{user_path(table.path)}: ")
        if problem:
            yield f"{name} = {table.path!r}: {problem}"


def _main_table(config: DataConfig) -> LabelledTable:
    return LabelledTable(path=config.source, columns=config.columns, labels=config.labels, quotes=config.quotes)


def fetch_tweets(source: str, results: Results, progress: Progress) -> None:
    """Download the files of a source, unless they exist or the source has none."""
    if source in BUILT_IN:
        from sentiment.download import download  # imports what speaks HTTP, which a table does not need

        for file in BUILT_IN[source].files:
            download(file, results.downloads, progress)


def _open(table: LabelledTable, results: Results, field: str) -> OpenedSource:
    classes = table.labels or DEFAULT_CLASSES
    if table.path in BUILT_IN:
        return _open_built_in(table.path, results, classes)
    return OpenedSource(TABLE, open_file(user_path(table.path), table.columns, classes, field, table.quotes))


# --- built-in data sets ---------------------------------------------------------------------------------------------

ReadBuiltIn = Callable[[Path, Classes], RowIterator]  # from the folder for downloads
_FETCHED_WHEN_READ = 10_000_000  # bytes; a larger data set is fetched by `sentiment data` alone, never by a run


def _open_built_in(name: str, results: Results, classes: Classes) -> OpenedSource:
    files = BUILT_IN[name].files
    sha256 = fingerprint([file.sha256 for file in files])

    def read(read_part: ReadBuiltIn) -> RowIterator:
        if sum(file.size or 0 for file in files) > _FETCHED_WHEN_READ and source_problem(name, results):
            raise DataError(f"{name}: {source_problem(name, results)}")
        fetch_tweets(name, results, silent)  # checks the files that are there
        yield from read_part(results.downloads, classes)

    main = TweetFile(name, sha256, name, partial(read, READERS[name]))
    tests = {}
    for test, read_test in PUBLISHED_TESTS.get(name, {}).items():
        full_name = f"{name}:{test}"
        tests[test] = TweetFile(full_name, sha256, full_name, partial(read, read_test))
    return OpenedSource(name, main, tests)


# 1,000 of VADER's clearly positive or negative tweets, bundled with the program.
_SAMPLE_FILE = Path(__file__).with_name("sample_tweets") / "tweets.csv"


def _read_sample(_folder: Path, classes: Classes) -> RowIterator:
    return read_rows(open_table(_SAMPLE_FILE, header=True), ColumnConfig(), classes, SAMPLE)


# The 4,200 rated tweets of Hutto & Gilbert (2014) are in an archive inside of the archive.
_VADER_INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_VADER_MEMBER = "hutto_ICWSM_2014/tweets_GroundTruth.txt"
_NEUTRAL_BAND = 0.5  # ratings go from -4 to 4; tweets with a mean rating nearer to zero are neutral


def _read_vader(folder: Path, classes: Classes) -> RowIterator:
    """Yield VADER's tweets: negative, neutral or positive by their mean rating; unpacks nothing on disk."""
    with (
        tarfile.open(folder / BUILT_IN[VADER].files[0].name) as outer,
        tarfile.open(fileobj=outer.extractfile(_VADER_INNER_ARCHIVE)) as inner,
    ):
        content = cast(IO[bytes], inner.extractfile(_VADER_MEMBER)).read()
    for line, record in enumerate(content.decode().split("\r\n"), start=1):
        number, mean, text = record.split("\t")
        rating = float(mean)
        label = "positive" if rating > 0 else "negative"
        if abs(rating) < _NEUTRAL_BAND:
            label = "neutral"
        yield Row(number, None, classes.meanings[label], text, line)


_TWEETEVAL_LABELS = {"0": "negative", "1": "neutral", "2": "positive"}


def _read_tweeteval(folder: Path, classes: Classes) -> RowIterator:
    """Yield TweetEval's tweets; those of the training part come last, when all that are held out are known."""

    def lines(name: str) -> list[str]:
        return (folder / TWEETEVAL / name).read_bytes().decode().removesuffix("\n").split("\n")

    for part, name in (("test", "test"), ("validation", "val"), ("train", "train")):
        pairs = zip(lines(f"{name}_text.txt"), lines(f"{name}_labels.txt"), strict=True)
        for line, (text, label) in enumerate(pairs, start=1):
            label_index = classes.meanings[_TWEETEVAL_LABELS[label.strip()]]
            yield Row(f"{name}-{line}", None, label_index, text, line, part)


# Go, Bhayani & Huang (2009): 1.6 million tweets labelled by their emoticons, 498 labelled by hand.
TRAINING = "training.1600000.processed.noemoticon.csv"
MANUAL_TEST = "testdata.manual.2009.06.14.csv"
_COLUMNS_140 = ColumnConfig(label=0, id=1, user=4, text=5)


def _read_sentiment140(member: str, folder: Path, classes: Classes) -> RowIterator:
    table = open_table(folder / BUILT_IN[SENTIMENT140].files[0].name, header=False, quotes=True, member=member)
    own = polar_classes(classes.names, ("0",), ("2",), ("4",))
    return read_rows(table, _COLUMNS_140, own, f"{SENTIMENT140}:{member}")


READERS: Mapping[str, ReadBuiltIn] = {
    SAMPLE: _read_sample,
    SENTIMENT140: partial(_read_sentiment140, TRAINING),
    TWEETEVAL: _read_tweeteval,
    VADER: _read_vader,
}
PUBLISHED_TESTS: Mapping[str, Mapping[str, ReadBuiltIn]] = {
    SENTIMENT140: {"manual": partial(_read_sentiment140, MANUAL_TEST)}
}


# --- tables ---------------------------------------------------------------------------------------------------------


def open_file(
    source: Path | Table,
    columns: ColumnConfig,
    classes: Classes | None,
    field: str = "data",
    quotes: bool | None = None,
    further: Sequence[Column] = (),
) -> TweetFile:
    """Hash a table on disk, and open it once its rows are read, unless it is open.

    Args:
        classes: None reads no labels.
        field: the configuration section of the columns and labels, for messages.
        quotes: as in `open_table`.
        further: as in `read_rows`.
    """
    path = source.path if isinstance(source, Table) else source
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; valid: {SOURCE_CHOICES}")
    state = state_of(path)
    sha256 = cached_sha256(path)

    @cache
    def table() -> Table:
        if isinstance(source, Table):
            return source
        return open_table(path, [column for _, column in columns], quotes=quotes)

    def read() -> RowIterator:
        rows = partial(read_rows, table(), columns, classes, str(path), field, further)
        yield from rows() if columns.part is None else by_part(rows)
        if state_of(path) != state:
            raise DataError(f"{path}: changed while it was read; run the same command again once the file is complete")

    def unused_author_column() -> str | None:
        used = {column for _, column in columns}
        names = [table().names[index] for index in table().usual_indices(AUTHOR_NAMES)]
        return None if columns.user is not None else next((name for name in names if name not in used), None)

    return TweetFile(
        name=str(path),
        sha256=sha256,
        format=format_of(path),
        read=read,
        total=estimated_rows(path),
        field=field,
        has_labels=classes is not None,
        has_ids=columns.id is not None,
        unused_author_column=unused_author_column,
    )


@lru_cache  # the runs of a grid read the same files
def _sha256_of(path: Path, _state: tuple[int, ...]) -> str:
    with translated_errors(path):
        return sha256_of(path)


def cached_sha256(path: Path) -> str:
    """SHA-256 of a file, cached per process until the file changes."""
    return _sha256_of(path, state_of(path))
