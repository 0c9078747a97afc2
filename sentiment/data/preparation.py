"""Prepares a corpus: reads the rows of all files, tokenises them, drops duplicates, and splits them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, DataConfig
from sentiment.console import Progress
from sentiment.data.copies import SEVERAL_LABELS, KnownTweets, beginning_of, have_several_labels
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import OpenedSource, TweetFile
from sentiment.data.table import Refusal
from sentiment.data.text import Tokenizer, TweetForms, author_form, author_key, key_of, stable_uniform
from sentiment.errors import DataError
from sentiment.processes import without_garbage_collection
from sentiment.runs.corpus_records import DUPLICATE, CorpusReport, CountedRows, PartCount, TableCount
from sentiment.tokens import Flags, Rows, TokenCollector

if TYPE_CHECKING:
    import pyarrow as pa

# What a row of the main table contributes to `table_sha256`.
_IDENTITY = np.dtype([("key", "i8"), ("author", "i8"), ("label", "i1"), ("part", "S10")])
# A tweet of the corpus, apart from its tokens.
_TWEET = np.dtype(
    [("labels", "i1"), ("parts", "i1"), ("keys", "i8"), ("beginnings", "u4"), ("authors", "i8"), ("weights", "f4")]
)
ARRAYS = (*(_TWEET.names or ()), "token_ids", "offsets")
# A row that is not malformed, with its origin, the table or the part that its table names, in the order in which these
# are read, and why it is dropped, an index into _REASONS.
_ROW = np.dtype([*_TWEET.descr, ("origins", "i2"), ("reasons", "i1")])
_OWN_PARTS = (None, *reversed(PARTS))  # in the order in which they are read

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
CONTRADICTION = f"left out: {SEVERAL_LABELS}"
IGNORED_LABEL = "left out: ignored label"
HELD_OUT = "dropped from training because their text or author is in validation or a test set"
TESTED = "dropped from validation because their text or author is in an external test set"
OTHER_PART = "left out: belongs to another part of its data set"
SURPLUS = "left out by data.train_rows"
NO_TOKEN = "left out: no token left"  # noqa: S105
KEPT = "kept"
_REASONS = (KEPT, NO_TOKEN, TESTED, HELD_OUT, CONTRADICTION, DUPLICATE, SURPLUS)

_CHUNK_ROWS = 4096  # processed at once
_ALWAYS_TOLERATED = 10


@dataclass(eq=False)
class _Table:
    """A file, and what has become of its rows.

    Attributes:
        name: for messages: that of the test set, or the file's.
        part: the code of the part of all of its tweets; None for the source, whose tweets are in several parts.
        weight: of its tweets.
        read, kept: the numbers of its rows.
        refused: its malformed rows.
    """

    file: TweetFile
    name: str
    part: int | None
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


def _drop(rows: npt.NDArray[Any], dropped: Rows, reason: str) -> None:
    """Give rows a reason to be dropped, unless they have one."""
    kept = dropped[rows["reasons"][dropped] == _REASONS.index(KEPT)]
    rows["reasons"][kept] = _REASONS.index(reason)


def _drop_copies(rows: npt.NDArray[Any]) -> None:
    """Drop all copies of a tweet with different labels, and all but one of other copies, whatever the order of rows.

    Of copies by several authors that of one of them is kept, by a hash. Labels are compared within a table, or within a
    part that a table names: what is held out must not depend on what is trained on. Of copies in several of these,
    those in the one that is read first count, whatever the labels of the others. Of 66,962 tweets of Sentiment140 45
    have both labels, and of 49,044 of SemEval 76 have several.
    """
    with_tokens = np.flatnonzero(rows["reasons"] != _REASONS.index(NO_TOKEN))
    tweets = rows[with_tokens]
    keys = tweets["keys"]
    origins = tweets["origins"]
    for origin in np.unique(origins).tolist():
        compared = np.flatnonzero(origins == origin)
        contradicted = compared[have_several_labels(keys[compared], tweets["labels"][compared])]
        _drop(rows, with_tokens[contradicted], CONTRADICTION)
    order = np.lexsort((tweets["authors"], origins, keys))
    is_copy = np.diff(keys[order]) == 0
    _drop(rows, with_tokens[order[1:][is_copy]], DUPLICATE)


def _identity_of(rows: npt.NDArray[Any]) -> str:
    """SHA-256 of the tweets of a table, whatever the order of its rows."""
    identities = np.empty(len(rows), _IDENTITY)
    for name in ("key", "author", "label"):
        identities[name] = rows[f"{name}s"]
    identities["part"] = np.array([part or "" for part in _OWN_PARTS], "S10")[rows["origins"] % len(_OWN_PARTS)]
    return sha256(np.unique(identities).tobytes()).hexdigest()


def _write_kept(is_kept: Flags, all_rows: Path, tweets_file: Path) -> str:
    """Write the rows that are kept; returns the SHA-256 of their ids, lines and texts."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    digest = sha256()
    start = 0
    with (
        pa.ipc.open_stream(str(all_rows)) as stream,
        pq.ParquetWriter(tweets_file, stream.schema, compression="zstd") as writer,
    ):
        for batch in stream:
            kept = batch.filter(pa.array(is_kept[start : start + len(batch)]))
            start += len(batch)
            hashed = pc.binary_join_element_wise(kept["id"], kept["line"].cast(pa.string()), kept["text"], "", "\0")
            digest.update("".join(hashed.to_pylist()).encode())
            writer.write_batch(kept)
    return digest.hexdigest()


class Preparation:
    """Prepares the rows of a source.

    Args:
        surplus: the keys of training tweets to leave out.
        is_fit: whether any number of rows may be refused, and parts may lack classes.
    """

    def __init__(
        self, config: DataConfig, source: OpenedSource, surplus: set[int], progress: Progress, is_fit: bool = False
    ) -> None:
        import pyarrow as pa

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
        # Test sets are read first and extra training tables last, when all held-out tweets are known.
        tests = enumerate(source.tests.items(), start=len(PARTS))
        self._tests = {name: _Table(file, name, part) for part, (name, file) in tests}
        self._main = _Table(source.main, source.main.name, None)
        extra = zip(source.extra_train, config.extra_train, strict=True)
        self._extra_train = [_Table(file, file.name, TRAIN, section.weight) for file, section in extra]
        self._unlabelled = [_Table(file, file.name, UNLABELLED) for file in source.unlabelled]
        self._tables = [*self._tests.values(), self._main, *self._extra_train, *self._unlabelled]
        self._tokens = TokenCollector()
        self._schema = pa.schema(
            {"id": pa.string(), "part": pa.string(), "label": pa.int8(), "text": pa.string(), "line": pa.int64()}
        )
        self._left_out: Counter[str] = Counter()
        self._remarks = RowCounter()

    @without_garbage_collection()
    def run(self, tweets_file: Path) -> PreparedTweets:
        """Read and tokenise all rows, and write those that are kept; no text stays in memory."""
        import pyarrow as pa

        all_rows = tweets_file.with_suffix(".arrow")
        chosen = []
        with pa.ipc.new_stream(str(all_rows), self._schema) as stream:
            for tables in (*([test] for test in self._tests.values()), self._tables[len(self._tests) :]):
                rows = np.concatenate([chunk for table in tables for chunk in self._read(table, stream)])
                _drop_copies(rows)
                chosen.append(rows)
        rows = np.concatenate(chosen)
        is_surplus = (rows["parts"] == TRAIN) & np.isin(rows["keys"], [*self._surplus])
        _drop(rows, np.flatnonzero(is_surplus), SURPLUS)
        is_kept = rows["reasons"] == _REASONS.index(KEPT)
        digest = _write_kept(is_kept, all_rows, tweets_file)
        all_rows.unlink()
        tokens = self._tokens.rows().keep(is_kept)
        arrays = {name: rows[name][is_kept] for name in _TWEET.names or ()}
        arrays |= {"token_ids": tokens.token_ids, "offsets": tokens.offsets}
        report = self._report(rows, arrays, len(tokens.types))
        self._check(report)
        return PreparedTweets(arrays, tokens.types, report, digest)

    def _read(self, table: _Table, stream: "pa.RecordBatchStreamWriter") -> Iterator[npt.NDArray[Any]]:
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
                yield self._stored(rows, table, stream)
                rows = []
                self._progress(progress, table.read, table.file.total)
        yield self._stored(rows, table, stream)
        if table.part != UNLABELLED and not self._is_fit:
            table.refused.check(table.file.name, table.read, self._config.leave_out, _ALWAYS_TOLERATED)
        self._progress(progress, table.read, table.read)

    def _stored(self, rows: list[Row], table: _Table, stream: "pa.RecordBatchStreamWriter") -> npt.NDArray[Any]:
        """Tokenise rows, and write them to a file; returns what decides which of them are kept."""
        import pyarrow as pa

        first_origin = self._tables.index(table) * len(_OWN_PARTS)
        values = []
        written = []
        tweets = []
        for row in rows:
            cleaned = self._tokenizer.clean(row.text)
            tokens = self._tokenizer.split(cleaned)
            form = self._forms.of(row.text, cleaned, tokens)
            key = key_of(form)
            author = author_form(row.user)
            part = table.part
            if part is None:
                part = part_code(author, form, self._config) if row.part is None else PARTS.index(row.part)
            compared = (key, author_key(author), row.text, form)
            reason = self._reason_to_drop(table, row, part, compared) if tokens else NO_TOKEN
            label = UNLABELLED if row.label is None else row.label
            origin = first_origin + _OWN_PARTS.index(row.part)
            facts = (label, part, key, beginning_of(form), compared[1], table.weight, origin, _REASONS.index(reason))
            values.append(facts)
            written.append((row.id or str(row.line), self._part_names[part], label, row.text, row.line))
            tweets.append(tokens)
        self._tokens.add(tweets)
        if written:
            stream.write_table(pa.table([*map(list, zip(*written, strict=True))], self._schema))
        return np.array(values, _ROW)

    def _reason_to_drop(self, table: _Table, row: Row, part: int, compared: tuple[int, int, str, str]) -> str:
        """The reason to drop a row for the sake of held-out tweets, of which it becomes one if there is none."""
        if self._tested and not table.is_test and part != TEST and self._tested.has(*compared):
            return TESTED if part == VALIDATION else HELD_OUT
        is_split_by_hash = table is self._main and row.part is None
        if self._held_out and part in (TRAIN, UNLABELLED) and not is_split_by_hash and self._held_out.has(*compared):
            return HELD_OUT
        if table.is_test:
            self._tested.add(*compared)
        elif part in (VALIDATION, TEST) and (self._extra_train or self._unlabelled or row.part):
            self._held_out.add(*compared)
        return KEPT

    def _report(self, rows: npt.NDArray[Any], arrays: dict[str, npt.NDArray[Any]], types: int) -> CorpusReport:
        names = self._config.label_names
        parts = {}
        for code, part in enumerate(self._part_names[:UNLABELLED]):
            labels = arrays["labels"][arrays["parts"] == code]
            parts[part] = PartCount(rows=len(labels), classes=np.bincount(labels, minlength=len(names)).tolist())
        refused: dict[str, CountedRows] = {}
        unnamed_authors = {}
        tables = rows["origins"] // len(_OWN_PARTS)
        for number, table in enumerate(self._tables):
            of_table = rows["reasons"][tables == number]
            numbers = Counter(dict(zip(_REASONS, np.bincount(of_table, minlength=len(_REASONS)).tolist(), strict=True)))
            table.kept = numbers.pop(KEPT)
            self._left_out += numbers
            refused |= table.refused.counted()
            column = table.file.unused_author_column()
            if column is not None:
                unnamed_authors[table.file.field] = column
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
            table_sha256=_identity_of(rows[tables == len(self._tests)]),
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
