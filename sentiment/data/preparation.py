"""Prepares a corpus: reads the rows of all files, tokenises them, drops duplicates, and splits them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, DataConfig
from sentiment.console import Progress
from sentiment.data.copies import KnownTweets, beginning_of
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import OpenedSource, TweetFile
from sentiment.data.table import Refusal
from sentiment.data.text import Tokenizer, TweetForms, author_form, author_key, key_of, stable_uniform
from sentiment.errors import DataError
from sentiment.processes import without_garbage_collection
from sentiment.runs.corpus_records import DUPLICATE, CorpusReport, CountedRows, PartCount, TableCount
from sentiment.tokens import TokenCollector

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# What a row of the main table contributes to `table_sha256`.
_IDENTITY = np.dtype([("key", "i8"), ("author", "i8"), ("label", "i1"), ("part", "S10")])
# A row of the corpus, apart from its tokens.
_ROW = np.dtype(
    [("labels", "i1"), ("parts", "i1"), ("keys", "i8"), ("beginnings", "u4"), ("authors", "i8"), ("weights", "f4")]
)
ARRAYS = (*(_ROW.names or ()), "token_ids", "offsets")

# The code of a row's part is an index into PARTS; external test sets follow, sorted by name.
TRAIN, VALIDATION, TEST = range(len(PARTS))
UNLABELLED = -1  # as part, after all others, and as label: a text that only word vectors are learned from


def part_code(author: str, form: str, config: DataConfig) -> int:
    """TRAIN, VALIDATION or TEST, by hash of the author, or of the text if the author is unknown.

    So all tweets of an author are in one part. With folds each author, or text, is tested in exactly one fold.

    Args:
        author: normalised name; empty if unknown.
        form: normalised text.
    """
    group = author or form
    kind = "user" if author else "text"
    folds = config.folds
    if folds is None:
        unit = stable_uniform(group, kind)
        if unit < config.test_fraction:
            return TEST
        return VALIDATION if unit < config.test_fraction + config.validation_fraction else TRAIN
    if int(stable_uniform(group, f"{kind}, folds") * folds) + 1 == config.fold:
        return TEST
    share_of_remaining = config.validation_fraction * folds / (folds - 1)
    unit = stable_uniform(group, f"{kind}, validation of fold {config.fold}")
    return VALIDATION if unit < share_of_remaining else TRAIN


# Reasons to drop a valid row, besides DUPLICATE.
CONTRADICTION = "duplicates dropped that have another label"
IGNORED_LABEL = "left out: ignored label"
HELD_OUT = "dropped from training because their text or author is in validation or a test set"
TESTED = "dropped from validation because their text or author is in an external test set"
OTHER_PART = "left out: belongs to another part of its data set"
SURPLUS = "left out by data.train_rows"
NO_TOKEN = "left out: no token left"  # noqa: S105


_CHUNK_ROWS = 4096  # processed at once
_ALWAYS_TOLERATED = 10


@dataclass
class _Table:
    """A file, and what has become of its rows.

    Attributes:
        name: for messages: that of the test set, or the file's.
        part: the code of the part of all of its tweets; None for the source, whose tweets are in several parts.
        seen: the labels of the tweets seen so far, by key; a test set has its own, the other files share one.
        weight: of its tweets.
        read, kept: the numbers of its rows.
        refused: its malformed rows.
    """

    file: TweetFile
    name: str
    part: int | None
    seen: dict[int, int | None]
    weight: float = 1.0
    read: int = 0
    kept: int = 0
    refused: RowCounter = field(default_factory=RowCounter)

    @property
    def is_test(self) -> bool:
        return self.part is not None and self.part > TEST

    @property
    def count(self) -> TableCount:
        return TableCount(read=self.read, kept=self.kept)


class _Tweet(NamedTuple):
    """A row that is not malformed."""

    row: Row
    tokens: list[str]
    form: str  # normalised text
    key: int
    author: int
    part: int

    @property
    def compared(self) -> tuple[int, int, str, str]:
        """What `KnownTweets` compares."""
        return self.key, self.author, self.row.text, self.form


class PreparedTweets(NamedTuple):
    """What is known of the tweets of a corpus besides the file that holds their texts.

    Attributes:
        arrays: those of `Corpus`, by name.
        types: in the order of their ids.
        sha256_of_tweets: of the ids, lines and texts of all tweets, in order.
    """

    arrays: dict[str, npt.NDArray[Any]]
    types: Sequence[str]
    report: CorpusReport
    sha256_of_tweets: str


class Preparation:
    """Prepares the rows of a source.

    Args:
        surplus: the keys of training tweets to leave out.
        is_fit: whether any number of rows may be refused, and parts may lack classes.
    """

    def __init__(
        self, config: DataConfig, source: OpenedSource, surplus: set[int], progress: Progress, is_fit: bool = False
    ) -> None:
        self._is_fit = is_fit
        self._config = config
        self._surplus = surplus
        self._progress = progress
        self._tokenizer = Tokenizer(config.text)
        self._forms = TweetForms(run_tokenizer=self._tokenizer)
        self._part_names = (*PARTS, *source.tests, "unlabelled")
        self._tested = KnownTweets()  # external test sets, of which no tweet validates
        # Validation and test, if other tables are read for training or the parts are given. Within one table, the split
        # by hash keeps an author's tweets and equal normalised texts together. It may part a tweet and a cut copy of
        # less than twelve words: five of the 49,142 tweets of a sample of Sentiment140 are such, or only begin alike.
        self._held_out = KnownTweets()
        tests = enumerate(source.tests.items(), start=len(PARTS))
        self._tests = {name: _Table(file, name, part, {}) for part, (name, file) in tests}
        seen: dict[int, int | None] = {}
        self._main = _Table(source.main, source.main.name, None, seen)
        extra = zip(source.extra_train, config.extra_train, strict=True)
        self._extra_train = [_Table(file, file.name, TRAIN, seen, section.weight) for file, section in extra]
        self._unlabelled = [_Table(file, file.name, UNLABELLED, seen) for file in source.unlabelled]
        # Test sets are read first and extra training tables last, when all held-out tweets are known.
        self._tables = [*self._tests.values(), self._main, *self._extra_train, *self._unlabelled]
        self._tokens = TokenCollector()
        self._chunks = [np.empty(0, _ROW)]
        self._digest = sha256()
        self._identities: list[npt.NDArray[Any]] = []  # what `table_sha256` is made of
        self._left_out: Counter[str] = Counter()
        self._remarks = RowCounter()

    @without_garbage_collection()
    def run(self, tweets_file: Path) -> PreparedTweets:
        """Read and tokenise all rows, and write those that are kept; no text stays in memory."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"id": pa.string(), "part": pa.string(), "label": pa.int8(), "text": pa.string(), "line": pa.int64()}
        with pq.ParquetWriter(tweets_file, pa.schema(columns), compression="zstd") as writer:
            for table in self._tables:
                self._read(table, writer)
        tokens = self._tokens.rows()
        rows = np.concatenate(self._chunks)
        arrays = {name: rows[name] for name in rows.dtype.names or ()}
        arrays |= {"token_ids": tokens.token_ids, "offsets": tokens.offsets}
        report = self._report(arrays, len(tokens.types))
        self._check(report)
        return PreparedTweets(arrays, tokens.types, report, self._digest.hexdigest())

    def _read(self, table: _Table, writer: "pq.ParquetWriter") -> None:
        of_table = "" if table is self._main else f"{table.name}: "
        progress = f"preparing {Path(table.name).name}"
        own_part = "train" if table.part == TRAIN else "test"
        rows: list[Row] = []
        for row in table.file.read():
            table.read += 1
            if isinstance(row, Refusal):
                table.refused.add(f"{of_table}{row.reason}", row.line)
                continue
            for remark in row.remarks:
                self._remarks.add(remark if table is self._main else f"of {table.name} {remark}", row.line)
            if row.label is None and table.file.has_labels:
                self._left_out[IGNORED_LABEL] += 1
            elif table is not self._main and row.part not in (None, own_part):
                self._left_out[OTHER_PART] += 1
            else:
                rows.append(row)
            if len(rows) == _CHUNK_ROWS:
                self._write_kept_rows(rows, table, writer)
                rows = []
                self._progress(progress, table.read, table.file.total)
        self._write_kept_rows(rows, table, writer)
        if table.part != UNLABELLED and not self._is_fit:
            table.refused.check(table.file.name, table.read, self._config.leave_out, _ALWAYS_TOLERATED)
        self._progress(progress, table.read, table.read)

    def _write_kept_rows(self, rows: list[Row], table: _Table, writer: "pq.ParquetWriter") -> None:
        """Assign token ids to the rows that are kept, and write them."""
        import pyarrow as pa

        tweets = [self._tokenized(row, table) for row in rows]
        if table is self._main:
            identities = [(tweet.key, tweet.author, tweet.row.label, tweet.row.part or "") for tweet in tweets]
            self._identities.append(np.array(identities, _IDENTITY))
        values = []
        written = []
        hashed = []
        for tweet in tweets:
            if not self._keep(table, tweet):
                continue
            row = tweet.row
            label = UNLABELLED if row.label is None else row.label
            values.append((label, tweet.part, tweet.key, beginning_of(tweet.form), tweet.author, table.weight))
            written.append((row.id or str(row.line), self._part_names[tweet.part], label, row.text, row.line))
            hashed.append(f"{row.id}\0{row.line}\0{row.text}\0")
            self._tokens.add(tweet.tokens)
        self._digest.update("".join(hashed).encode())
        self._chunks.append(np.array(values, _ROW))
        if written:
            columns = [*map(list, zip(*written, strict=True))]
            writer.write_table(pa.table(columns, schema=writer.schema))

    def _tokenized(self, row: Row, table: _Table) -> _Tweet:
        """A row with its tokens and its part."""
        tokens = self._tokenizer(row.text)
        form = self._forms.of(row.text, tokens)
        author = author_form(row.user)
        if table.part is not None:
            part = table.part
        elif row.part is not None:
            part = PARTS.index(row.part)
        else:
            part = part_code(author, form, self._config)
        return _Tweet(row, tokens, form, key_of(form), author_key(author), part)

    def _keep(self, table: _Table, tweet: _Tweet) -> bool:
        """Whether a row is kept. Counts it, and holds validation and test tweets out from later tables."""
        reason = self._reason_to_drop(table, tweet)
        if reason:
            self._left_out[reason] += 1
            return False
        table.kept += 1
        if table.is_test:
            self._tested.add(*tweet.compared)
        elif tweet.part in (VALIDATION, TEST) and (self._extra_train or self._unlabelled or tweet.row.part):
            self._held_out.add(*tweet.compared)
        return True

    def _reason_to_drop(self, table: _Table, tweet: _Tweet) -> str | None:
        label = tweet.row.label
        is_copy = tweet.key in table.seen
        # Add the key even if the row is dropped: otherwise a copy by another author could enter another part.
        first_label = table.seen.setdefault(tweet.key, label)
        if not tweet.tokens:
            return NO_TOKEN
        if self._tested and not table.is_test and tweet.part != TEST and self._tested.has(*tweet.compared):
            return TESTED if tweet.part == VALIDATION else HELD_OUT
        if self._held_out and tweet.part in (TRAIN, UNLABELLED) and self._held_out.has(*tweet.compared):
            return HELD_OUT
        if is_copy:
            return DUPLICATE if first_label == label or label is None else CONTRADICTION
        return SURPLUS if tweet.part == TRAIN and tweet.key in self._surplus else None

    def _report(self, arrays: dict[str, npt.NDArray[Any]], types: int) -> CorpusReport:
        names = self._config.label_names
        parts = {}
        for code, part in enumerate(self._part_names[:UNLABELLED]):
            labels = arrays["labels"][arrays["parts"] == code]
            parts[part] = PartCount(rows=len(labels), classes=np.bincount(labels, minlength=len(names)).tolist())
        refused: dict[str, CountedRows] = {}
        unnamed_authors = {}
        for table in self._tables:
            refused |= table.refused.counted()
            column = table.file.unused_author_column()
            if column is not None:
                unnamed_authors[table.file.field] = column
        identities = np.unique(np.concatenate(self._identities))
        tests = {name: table.count for name, table in self._tests.items()}
        extra_train = tuple(table.count for table in self._extra_train)
        unlabelled = tuple(table.count for table in self._unlabelled)
        read = sum(table.read for table in self._tables)
        return CorpusReport(
            classes=list(names),
            tests=tests,
            extra_train=extra_train,
            unlabelled=unlabelled,
            read=read,
            kept=len(arrays["labels"]),
            left_out=dict(self._left_out),
            refused=refused,
            remarks=self._remarks.counted(),
            parts=parts,
            tokens=len(arrays["token_ids"]),
            types=types,
            table_sha256=sha256(identities.tobytes()).hexdigest(),
            unnamed_authors=unnamed_authors,
        )

    def _check(self, report: CorpusReport) -> None:
        """Raises DataError if the source or another file is empty, or a part lacks a class."""
        main = self._main
        if not main.read:
            raise DataError(f"{main.name}: holds no rows")
        for table in (*self._tests.values(), *self._unlabelled):
            if not table.kept:
                raise DataError(f"{table.file.field}: {table.file.name} has no usable row")
        for part in () if self._is_fit else PARTS:
            counts = zip(report.classes, report.parts[part].classes, strict=True)
            missing = ", ".join(repr(name) for name, count in counts if not count)
            if missing:
                raise DataError(
                    f"{main.name}: the {part} part has no tweet of the class {missing}; {main.kept:,} of "
                    f"{main.read:,} rows are used; unusable: {main.refused.summary() or 'none'}.\n"
                    "If labels are missing: name all values of the label column (data.labels, --classes).\n"
                    "If the class is rare: join it with its neighbour, or leave it out (data.labels.ignored).\n"
                    f"If there are few tweets: add some hundreds, {self._larger_part(part)}."
                )

    def _larger_part(self, part: str) -> str:
        if self._config.has_own_parts:
            return f"to the {part} part, which the table itself names"
        return "or set larger data.validation_fraction, data.test_fraction or data.train_rows"
