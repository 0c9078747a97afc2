"""Makes a corpus: rows of all files are cleaned, tokenised, rid of duplicates and split; no text stays in memory."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.sources import OpenedSource, TweetFile
from sentiment.data.tables import CountedLines, Refusal, Row, RowCounter
from sentiment.data.text import (
    UNKNOWN,
    Tokenizer,
    TokenRows,
    TweetForms,
    author_form,
    author_key,
    key_of,
    stable_unit,
    thinning_of,
)
from sentiment.errors import DataError
from sentiment.processes import WorkerProcesses, available_cores, in_order
from sentiment.runs.records import PARTS, Part, Record

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# The codes of a row's part are positions in PARTS; those of further test sets come behind, in the order of their names.
TRAIN, VALIDATION, TEST = range(len(PARTS))


def part_code(author: str, form: str, config: DataConfig) -> int:
    """TRAIN, VALIDATION or TEST, by the author if known, so that all tweets of an author are in one part.

    With folds each author, or text, is in the test part of one fold and of no other.

    Args:
        author: the author's form.
        form: the tweet's form, which decides if the author is not known.
    """
    whose, kind = (author, "user") if author else (form, "text")
    validation_fraction, folds = config.validation_fraction, config.folds
    if folds is None:
        unit = stable_unit(whose, kind)
        if unit < config.test_fraction:
            return TEST
        return VALIDATION if unit < config.test_fraction + validation_fraction else TRAIN
    if int(stable_unit(whose, f"{kind}, folds") * folds) + 1 == config.fold:
        return TEST
    of_the_rest = validation_fraction * folds / (folds - 1)
    return VALIDATION if stable_unit(whose, f"{kind}, validation of fold {config.fold}") < of_the_rest else TRAIN


# Why a row is not kept, though it could be read.
DUPLICATE = "duplicates dropped"
CONTRADICTION = "duplicates dropped, whose label is the other one"
RESERVED = "dropped from training since a further test set holds their text or author"
IGNORED = "left out: neutral or ignored label"
HELD_OUT = "of data.extra_train dropped since validation or test hold their text or author"
SURPLUS = "left out by data.train_rows"
NO_TOKEN = "no token left"  # noqa: S105
# A stray quote would look the same, so that these rows are told.
SPANNING = "span several lines, as their quotes say"


class PartCount(Record):
    """The size of one part."""

    rows: int
    positive: int


class TableCount(Record):
    """What became of the rows of a further table.

    Attributes:
        kept: in a test set of its own, or in the training part.
        held_out: of a table for training alone, left out since validation or test hold the text or the author.
        unknown_authors: kept of such a table, although authors of validation or test may have written them: one of the
            two authors is not known.
    """

    file: str
    read: int
    kept: int
    held_out: int
    unknown_authors: int


class CorpusReport(Record):
    """What became of the rows: kept, left out and refused add up to `read`.

    Attributes:
        tests: further test sets by name.
        extra_train: tables for training alone.
        read: rows of the source and of all further tables.
        left_out: rows by the reason, such as DUPLICATE.
        refused: rows that cannot be used, by the reason.
        spanning: rows that span several lines, whatever became of them.
    """

    source: str
    tests: dict[str, TableCount]
    extra_train: tuple[TableCount, ...]
    read: int
    kept: int
    left_out: dict[str, int]
    refused: dict[str, CountedLines]
    spanning: dict[str, CountedLines]
    parts: dict[Part, PartCount]
    tokens: int
    types: int

    def render_lines(self) -> list[str]:
        lines = [f"{self.source}: {self.read:,} rows read, {self.kept:,} kept"]
        lines += [f"  {count:,} {reason}" for reason, count in self.left_out.items()]
        lines += [f"  {rows.count:,} refused: {reason} ({rows})" for reason, rows in self.refused.items()]
        lines += [f"  {rows.count:,} {what} ({rows})" for what, rows in self.spanning.items()]
        for extra in self.extra_train:
            held_out = f"{extra.held_out:,} left out since validation or test hold their text or author"
            lines.append(f"  {extra.file}: {extra.kept:,} of {extra.read:,} rows kept for training; {held_out}")
            if extra.unknown_authors:
                lines.append(
                    f"    {extra.unknown_authors:,} of the kept rows may be by authors of validation or test: one of "
                    "the tables does not name authors (columns.user)"
                )
        for part, count in self.parts.items():
            of = f" of {self.tests[part].read:,} rows of {self.tests[part].file}" if part in self.tests else ""
            lines.append(f"  {part}: {count.rows:,} tweets{of}, {count.positive / count.rows:.1%} positive")
        lines.append(f"  {self.tokens:,} tokens of {self.types:,} types, {self.tokens / self.kept:.1f} per tweet")
        return lines


class _Digest(NamedTuple):
    """A lot of rows as compact arrays, in the order of the rows.

    Attributes:
        keys: (rows,) equal for the same tweet.
        authors: (rows,) equal for the same author, or UNKNOWN.
        surplus: (rows,) whether `train_rows` leaves a row out, with its tokens.
        lengths: (rows,) tokens, also of rows that are left out.
        tokens: of the rows that are no surplus.
    """

    keys: npt.NDArray[np.int64]
    authors: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int8]
    surplus: npt.NDArray[np.bool_]
    lengths: npt.NDArray[np.int64]
    tokens: TokenRows


# Texts, users, and the part of all rows or None.
_Job = tuple[Sequence[str], Sequence[str | None], int | None]


class _Digester:
    """Tokenises rows, hashes them and assigns them to parts; it keeps a cache of words between lots.

    Args:
        train_bound: training rows whose thinning number is not below this are left out.
    """

    def __init__(self, config: DataConfig, train_bound: float) -> None:
        self._config, self._train_bound = config, train_bound
        self._tokenizer = Tokenizer(config.text)
        self._forms = TweetForms(beside=self._tokenizer)

    def __call__(self, job: _Job) -> _Digest:
        texts, users, part = job
        tokens = list(map(self._tokenizer, texts))
        forms = list(map(self._forms.of, texts, tokens))
        authors = list(map(author_form, users))
        keys = np.array(list(map(key_of, forms)), np.int64)
        if part is None:
            codes = [part_code(author, form, self._config) for author, form in zip(authors, forms, strict=True)]
        else:
            codes = [part] * len(forms)
        parts = np.array(codes, np.int8)
        surplus = (parts == TRAIN) & (thinning_of(keys) >= self._train_bound)
        return _Digest(
            keys=keys,
            authors=np.array(list(map(author_key, authors)), np.int64),
            parts=parts,
            surplus=surplus,
            lengths=np.array(list(map(len, tokens)), np.int64),
            tokens=TokenRows.of_tweets(tokens[number] for number in np.flatnonzero(~surplus).tolist()),
        )


_digester: _Digester


def _start_worker(what: tuple[DataConfig, float]) -> None:
    global _digester
    _digester = _Digester(*what)


def _digest_in_worker(job: _Job) -> _Digest:
    return _digester(job)


_LOT_ROWS = 4096
# With fewer lots, starting processes costs more than it saves.
_LOTS_WORTH_WORKERS = 20
# Lots in flight per worker: enough that no worker waits while this process writes, few enough for any memory.
_AHEAD = 4
# The one process that writes could not keep more workers than this busy.
_MOST_WORKERS = 8
_REFUSED_AT_MOST, _ALWAYS_TOLERATED = 0.05, 10
# The arrays of a corpus that have a piece of each lot; `offsets` are lengths until all are known.
_PIECES = {
    "token_ids": np.int32,
    "offsets": np.int64,
    "labels": np.int8,
    "parts": np.int8,
    "keys": np.int64,
    "authors": np.int64,
    "weights": np.float32,
}
ARRAYS = (*_PIECES, "withheld")


class _Lot(NamedTuple):
    """Labelled rows of one file.

    Attributes:
        of: the name of the test set, or the number of the table for training alone; None is the source itself.
    """

    rows: list[Row]
    of: str | int | None
    part: int | None

    def job(self) -> _Job:  # plain lists are sent to another process quickly
        return [row.text for row in self.rows], [row.user for row in self.rows], self.part


class Preparation:
    """Prepares the rows of a source.

    Args:
        train_bound: training rows whose thinning number (see `thinning_of`) is not below this are left out.
    """

    def __init__(self, config: DataConfig, source: OpenedSource, progress: Progress, train_bound: float) -> None:
        self._config, self._source = config, source
        self._progress, self._train_bound = progress, train_bound
        self._part_names = (*PARTS, *source.tests)
        # What later rows depend on. Held out are tweets and authors of further test sets, and of the validation and
        # test parts if further tables are read: within one table the split itself keeps authors and copies apart.
        self._held_out: set[int] = set()
        self._held_out_authors: set[int] = set()
        self._held_out_by_unknown = False
        self._withheld: set[int] = set()
        # Labels of the tweets that were read, by their keys: of each further test set, and of all other files.
        self._seen: dict[str | None, dict[int, int]] = defaultdict(dict)
        self._index: dict[str, int] = {}  # number of each type
        self._pieces: dict[str, list[npt.NDArray[Any]]] = {name: [np.zeros(0, of)] for name, of in _PIECES.items()}
        self._rows_written = 0
        self._of: dict[str | int | None, Counter[str]] = defaultdict(Counter)
        self._left_out: Counter[str] = Counter()
        self._refused, self._spanning = RowCounter(), RowCounter()

    def run(
        self, tweets_file: Path, workers: int | None = None
    ) -> tuple[dict[str, npt.NDArray[Any]], list[str], CorpusReport]:
        """Read, digest and write all rows.

        Args:
            tweets_file: is written as the rows come.
            workers: number of processes; None takes the cores that this process may use. The result does not depend on
                it.

        Returns:
            The arrays of the corpus by name, the types in the order of their numbers, and what became of the rows.

        Raises:
            DataError: a file cannot be used, or the rows are not enough.
            ConfigError: a file lacks a configured column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"row": pa.int64(), "id": pa.string(), "part": pa.dictionary(pa.int8(), pa.string())}
        columns |= {"label": pa.int8(), "text": pa.string(), "tokens": pa.int32()}
        with pq.ParquetWriter(tweets_file, pa.schema(columns), compression="zstd") as writer:
            for lot, digest in self._digested(workers or min(_MOST_WORKERS, available_cores())):
                self._take(lot, digest, writer)
        name, read = self._source.main.name, sum(of["read"] for of in self._of.values())
        if not read:
            raise DataError(f"{name}: holds no rows")
        malformed = self._refused.total(apart_from=[NO_TOKEN])
        if malformed > max(_ALWAYS_TOLERATED, _REFUSED_AT_MOST * read):
            raise DataError(
                f"{name}: {malformed:,} of {read:,} rows are malformed, more than {_REFUSED_AT_MOST:.0%}: "
                f"{self._refused.most_common(apart_from=[NO_TOKEN])}"
            )
        arrays = {name: np.concatenate(pieces) for name, pieces in self._pieces.items()}
        arrays["offsets"] = np.concatenate([[0], np.cumsum(arrays["offsets"])])
        arrays["withheld"] = np.array(sorted(self._withheld), np.int64)
        return arrays, list(self._index), self._report(arrays, read)

    def _lots(self) -> Iterator[_Lot]:
        # First, because nothing of them may be trained on.
        for part, (name, file) in enumerate(self._source.tests.items(), start=TEST + 1):
            yield from self._labelled(file, name, part)
        yield from self._labelled(self._source.main, None, None)
        # Last, when all is known that is held out.
        for number, file in enumerate(self._source.extra_train):
            yield from self._labelled(file, number, TRAIN)

    def _labelled(self, file: TweetFile, of: str | int | None, part: int | None) -> Iterator[_Lot]:
        what = of if isinstance(of, str) else "tweets" if of is None else "further training tweets"
        prefix = "" if of is None else f"{of if isinstance(of, str) else file.name}: "
        rows: list[Row] = []
        number = 0
        for number, row in enumerate(file.read(), start=1):
            if isinstance(row, Refusal):
                self._refused.add(prefix + row.reason, row.line)
                continue
            if row.lines > 1:
                self._spanning.add(SPANNING, row.line)
            if row.label is None:
                self._left_out[IGNORED] += 1
            else:
                rows.append(row)
            if len(rows) == _LOT_ROWS:
                yield _Lot(rows, of, part)
                rows = []
                self._progress(f"preparing {what}", number, file.total)
        if rows:
            yield _Lot(rows, of, part)
        self._of[of]["read"] = number
        self._progress(f"preparing {what}", number, number)

    def _digested(self, workers: int) -> Iterator[tuple[_Lot, _Digest]]:
        lots, what = self._lots(), (self._config, self._train_bound)
        head = list(islice(lots, _LOTS_WORTH_WORKERS))
        if workers == 1 or len(head) < _LOTS_WORTH_WORKERS:
            digester = _Digester(*what)
            for lot in chain(head, lots):
                yield lot, digester(lot.job())
            return
        with WorkerProcesses(workers, "tweets were prepared", _start_worker, what) as pool:
            submit = partial(pool.submit, _digest_in_worker)
            yield from in_order(chain(head, lots), lambda lot: submit(lot.job()), _AHEAD * workers)

    def _take(self, lot: _Lot, digest: _Digest, writer: "pq.ParquetWriter") -> None:
        import pyarrow as pa

        keep = self._decide(lot, digest)
        rows = [row for row, stays in zip(lot.rows, keep.tolist(), strict=True) if stays]
        of_tokens = digest.tokens.take(np.flatnonzero(keep[~digest.surplus]))
        used, token_ids = _renumbered(of_tokens.token_ids, len(of_tokens.types))
        numbers = [self._index.setdefault(of_tokens.types[local], len(self._index)) for local in used.tolist()]
        weight = self._config.extra_train[lot.of].weight if isinstance(lot.of, int) else 1.0
        labels, parts = np.array([row.label for row in rows], np.int8), digest.parts[keep]
        lengths, keys, authors = digest.lengths[keep], digest.keys[keep], digest.authors[keep]
        weights = np.full(len(rows), weight, np.float32)
        new: tuple[npt.NDArray[Any], ...] = (
            np.array(numbers, np.int32)[token_ids],
            lengths,
            labels,
            parts,
            keys,
            authors,
            weights,
        )
        for pieces, piece in zip(self._pieces.values(), new, strict=True):
            pieces.append(piece)
        columns = [
            pa.array(np.arange(self._rows_written, self._rows_written + len(rows))),
            pa.array([row.id for row in rows], pa.string()),
            pa.DictionaryArray.from_arrays(pa.array(parts), pa.array(self._part_names)),
            pa.array(labels),
            pa.array([row.text for row in rows], pa.string()),
            pa.array(lengths.astype(np.int32)),
        ]
        if rows:
            writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
        self._rows_written += len(rows)

    def _decide(self, lot: _Lot, digest: _Digest) -> npt.NDArray[np.bool_]:
        """Which rows are kept. Only earlier rows of the main table decide about its validation and test rows."""
        left_out, seen = self._left_out, self._seen[lot.of if isinstance(lot.of, str) else None]
        extra = isinstance(lot.of, int)
        keep = np.zeros(len(lot.rows), np.bool_)
        columns = (digest.keys, digest.authors, digest.parts, digest.surplus, digest.lengths)
        values = zip(lot.rows, *(column.tolist() for column in columns), strict=True)
        for number, (row, key, author, part, is_surplus, length) in enumerate(values):
            label = row.label or 0
            # Whatever becomes of the row: a copy of it by another author, in another part, must not take its place.
            is_copy, first = key in seen, seen.setdefault(key, label)
            if not length:
                self._refused.add(NO_TOKEN, row.line)
            elif is_copy and not (extra and key in self._held_out):
                left_out[DUPLICATE if first == label else CONTRADICTION] += 1
            elif part == TRAIN and (key in self._held_out or author in self._held_out_authors):
                self._withheld.add(key)
                left_out[HELD_OUT if extra else RESERVED] += 1
                self._of[lot.of]["held_out"] += 1
            elif is_surplus:
                left_out[SURPLUS] += 1
            else:
                keep[number] = True
                self._remember(key, author, part, lot.of)
        return keep

    def _remember(self, key: int, author: int, part: int, of: str | int | None) -> None:
        """What a row that is kept means for later ones."""
        self._of[of]["kept"] += 1
        if isinstance(of, int):
            self._of[of]["unknown_authors"] += author == UNKNOWN or self._held_out_by_unknown
        elif of is not None or (part != TRAIN and self._source.extra_train):
            self._held_out.add(key)
            self._held_out_by_unknown |= author == UNKNOWN
            self._held_out_authors |= {author} - {UNKNOWN}

    def _report(self, arrays: dict[str, npt.NDArray[Any]], read: int) -> CorpusReport:
        parts = {}
        for code, part in enumerate(self._part_names):
            labels = arrays["labels"][arrays["parts"] == code]
            parts[part] = PartCount(rows=len(labels), positive=int(labels.sum()))
            if part not in PARTS and not len(labels):
                raise DataError(f"data.tests.{part}: {self._source.tests[part].name} has no usable row")
            if part in PARTS and not 0 < labels.sum() < len(labels):
                refused = f"; refused were {self._refused.most_common()}" if self._refused.total() else ""
                raise DataError(
                    f"{self._source.main.name}: the {part} part has {labels.sum():,} positive and "
                    f"{len(labels) - labels.sum():,} negative tweets, but both are needed; {len(arrays['labels']):,} "
                    f"of {read:,} rows are used{refused}: name all values of the label column (data.labels.positive, "
                    "--positive VALUE; the same for negative), or give more tweets (some hundreds are needed for any "
                    "conclusion), larger fractions for validation and test, or a larger data.train_rows"
                )
        return CorpusReport(
            source=self._source.main.name,
            tests={name: self._count_of(name, file) for name, file in self._source.tests.items()},
            extra_train=tuple(self._count_of(*one) for one in enumerate(self._source.extra_train)),
            read=read,
            kept=len(arrays["labels"]),
            left_out=dict(self._left_out),
            refused=self._refused.counted(),
            spanning=self._spanning.counted(),
            parts=parts,
            tokens=len(arrays["token_ids"]),
            types=len(self._index),
        )

    def _count_of(self, of: str | int, file: TweetFile) -> TableCount:
        counts = {name: self._of[of][name] for name in TableCount.model_fields if name != "file"}
        return TableCount.model_validate(counts | {"file": file.name})


def _renumbered(numbers: npt.NDArray[Any], count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """As `np.unique` with `return_inverse`, for numbers below `count`: without sorting them, ten times as fast."""
    occurs = np.zeros(count, np.bool_)
    occurs[numbers] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[numbers]
