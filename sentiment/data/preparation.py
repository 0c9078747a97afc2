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
from sentiment.data.tables import SPANNING, CountedLines, Refusal, Row, RowCounter
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
    import pyarrow as pa
    import pyarrow.parquet as pq

# The codes of a row's part are positions in PARTS; those of further test sets come behind, in the order of their names.
TRAIN, VALIDATION, TEST = range(len(PARTS))


def part_code(author: str, form: str, validation_fraction: float, test_fraction: float) -> int:
    """TRAIN, VALIDATION or TEST, by the author if known, so that all tweets of an author are in one part.

    Args:
        author: the author's form.
        form: the tweet's form, which decides if the author is not known.
        validation_fraction: expected share of the tweets that are in the validation part.
        test_fraction: the same for the test part.
    """
    unit = stable_unit(author, "user") if author else stable_unit(form, "text")
    if unit < test_fraction:
        return TEST
    return VALIDATION if unit < test_fraction + validation_fraction else TRAIN


def folded_part_code(author: str, form: str, folds: int, fold: int, validation_fraction: float) -> int:
    """The same in cross-validation: each author, or text, is in the test part of one fold and of no other.

    Args:
        folds: number of test parts.
        fold: which of them is meant, counted from 1.
        validation_fraction: expected share of all tweets that are in the validation part.
    """
    whose, kind = (author, "user") if author else (form, "text")
    if int(stable_unit(whose, f"{kind}, folds") * folds) == fold - 1:
        return TEST
    of_the_rest = validation_fraction * folds / (folds - 1)
    return VALIDATION if stable_unit(whose, f"{kind}, validation of fold {fold}") < of_the_rest else TRAIN


class PartCount(Record):
    """The size of one part."""

    rows: int
    positive: int


class TestCount(Record):
    """A further test set: the table's name and number of rows; its tweets that are kept stand among the parts."""

    file: str
    read: int


class ExtraCount(Record):
    """What became of the rows of one table for training alone; all are in the sums of the report as well.

    Attributes:
        held_out_texts: left out since the validation part or a test part has the same tweet.
        held_out_authors: left out since the validation part or a test part has another tweet of the author.
        unknown_authors: kept, although an author of validation or test may have written them: one of the two authors is
            not known.
    """

    name: str
    read: int
    kept: int
    held_out_texts: int
    held_out_authors: int
    unknown_authors: int


class CorpusReport(Record):
    """What became of the rows: kept, duplicates, reserved, ignored, thinned, held out, in surplus and refused add up to
    `read`.

    Attributes:
        tests: further test sets by name.
        read: rows of the source, of further test sets and of tables for training alone.
        duplicates: rows that are the same tweet as an earlier row.
        contradictory: duplicates whose label differs from that of the row that was kept.
        reserved: training rows whose text or author is in a further test set.
        tested_twice: validation and test rows that a further test set has as well.
        ignored: rows with a label or a rating that the configuration leaves out.
        thinned: rows left out because of `max_rows`.
        held_out: rows for training alone whose text or author is in the validation part or a test part.
        surplus: training rows left out because of `train_rows`.
        refused: by reason.
        spanning: rows that span several lines, whatever became of them.
    """

    source: str
    tests: dict[str, TestCount]
    read: int
    kept: int
    duplicates: int
    contradictory: int
    reserved: int
    tested_twice: int
    ignored: int
    thinned: int
    held_out: int
    surplus: int
    extra_train: tuple[ExtraCount, ...]
    refused: dict[str, CountedLines]
    spanning: CountedLines
    parts: dict[Part, PartCount]
    tokens: int
    types: int

    def render_lines(self) -> list[str]:
        """The report as lines of text for a terminal."""
        losses = (
            (self.duplicates, f"duplicates dropped, {self.contradictory:,} of them with the other label"),
            (self.reserved, "dropped from training since a further test set holds their text or author"),
            (self.ignored, "left out: neutral or ignored label"),
            (self.thinned, "left out by data.max_rows"),
            (self.held_out, "of data.extra_train dropped since validation or test hold their text or author"),
            (self.surplus, "left out by data.train_rows"),
            *((rows.count, f"refused: {reason} ({rows})") for reason, rows in self.refused.items()),
            (self.spanning.count, f"{SPANNING} ({self.spanning}), as their quotes say"),
        )
        lines = [f"{self.source}: {self.read:,} rows read, {self.kept:,} kept"]
        lines += [f"  {count:,} {what}" for count, what in losses if count]
        for extra in self.extra_train:
            lines.append(
                f"  {extra.name}: {extra.kept:,} of {extra.read:,} rows kept for training; of validation or test have "
                f"{extra.held_out_texts:,} the text and {extra.held_out_authors:,} the author, and left out"
            )
            if extra.unknown_authors:
                lines.append(
                    f"    {extra.unknown_authors:,} of the kept rows may be by authors of validation or test: one of "
                    "the tables does not name authors (columns.user)"
                )
        if self.tested_twice:
            lines.append(f"  {self.tested_twice:,} tweets of validation or test are in a further test set as well")
        for part, count in self.parts.items():
            of = f" of {self.tests[part].read:,} rows of {self.tests[part].file}" if part in self.tests else ""
            lines.append(f"  {part}: {count.rows:,} tweets{of}, {count.positive / count.rows:.1%} positive")
        lines.append(f"  {self.tokens:,} tokens of {self.types:,} types, {self.tokens / self.kept:.1f} per tweet")
        return lines


# Whether a row is left out, and by which limit: of all rows, or of the training part.
ALL_KEPT, ROW_LIMIT, TRAIN_LIMIT = range(3)


class RowTexts(NamedTuple):
    """What a worker needs to know of a batch of rows, as plain lists, which are sent to another process quickly.

    Attributes:
        part: of all rows; None divides them into parts.
        bound: rows whose thinning number (see `split.thinning_of`) is not below this are left out.
    """

    texts: Sequence[str]
    users: Sequence[str | None]
    part: int | None
    bound: float


class Digest(NamedTuple):
    """A batch of rows as compact arrays, in the order of the rows.

    Attributes:
        keys: (rows,) equal for the same tweet.
        authors: (rows,) equal for the same author, or split.UNKNOWN.
        limits: (rows,) ALL_KEPT, or the limit that leaves a row out, with its tokens.
        lengths: (rows,) tokens, also of rows that are left out.
        tokens: of the rows that no limit leaves out.
    """

    keys: npt.NDArray[np.int64]
    authors: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int8]
    limits: npt.NDArray[np.int8]
    lengths: npt.NDArray[np.int64]
    tokens: TokenRows


class Digester:
    """Digests batches as a configuration says; it keeps a cache of words between batches.

    Args:
        train_bound: training rows whose thinning number is not below this are left out.
    """

    def __init__(self, config: DataConfig, train_bound: float) -> None:
        self._config, self._train_bound = config, train_bound
        self._tokenizer = Tokenizer(config.text)
        self._forms = TweetForms(beside=self._tokenizer)

    def __call__(self, job: RowTexts) -> Digest:
        """Tokenise each row, hash it, and assign it to a part."""
        tokens = list(map(self._tokenizer, job.texts))
        forms = list(map(self._forms.of, job.texts, tokens))
        authors = list(map(author_form, job.users))
        keys = np.array(list(map(key_of, forms)), np.int64)
        parts, thinning = self._parts(job.part, authors, forms), thinning_of(keys)
        limits = np.where((parts == TRAIN) & (thinning >= self._train_bound), TRAIN_LIMIT, ALL_KEPT)
        limits[thinning >= job.bound] = ROW_LIMIT
        return Digest(
            keys=keys,
            authors=np.array(list(map(author_key, authors)), np.int64),
            parts=parts,
            limits=limits.astype(np.int8),
            lengths=np.array(list(map(len, tokens)), np.int64),
            tokens=TokenRows.of_tweets(tokens[number] for number in np.flatnonzero(limits == ALL_KEPT).tolist()),
        )

    def _parts(self, part: int | None, authors: Sequence[str], forms: Sequence[str]) -> npt.NDArray[np.int8]:
        config = self._config
        if part is not None:
            return np.full(len(forms), part, np.int8)
        whose, share = zip(authors, forms, strict=True), config.validation_fraction
        if config.folds is not None and config.fold is not None:
            folds, fold = config.folds, config.fold
            codes = [folded_part_code(author, form, folds, fold, share) for author, form in whose]
        else:
            codes = [part_code(author, form, share, config.test_fraction) for author, form in whose]
        return np.array(codes, np.int8)


_digester: Digester


def start_worker(what: tuple[DataConfig, float]) -> None:
    """Make this process a worker, with the arguments of its Digester."""
    global _digester
    _digester = Digester(*what)


def digest_in_worker(job: RowTexts) -> Digest:
    """Digest a batch in a process that `start_worker` has prepared."""
    return _digester(job)


_BATCH_ROWS = 4096
# With fewer batches, starting processes costs more than it saves.
_BATCHES_WORTH_WORKERS = 20
# Batches in flight per worker: enough that no worker waits while this process writes, few enough for any memory.
_AHEAD = 4
# The one process that writes could not keep more workers than this busy.
_MOST_WORKERS = 8
NO_TOKEN = "no token left"  # noqa: S105
_REFUSED_AT_MOST, _ALWAYS_TOLERATED = 0.05, 10


def _schema() -> "pa.Schema":
    import pyarrow as pa

    part = pa.dictionary(pa.int8(), pa.string())
    columns = {"row": pa.int64(), "id": pa.string(), "part": part, "label": pa.int8(), "text": pa.string()}
    return pa.schema(columns | {"tokens": pa.int32()})


class _RowBatch(NamedTuple):
    """Labelled rows of one file; `extra` is the number of a table for training alone."""

    rows: list[Row]
    part: int | None
    bound: float
    extra: int | None

    def texts(self) -> RowTexts:
        return RowTexts([row.text for row in self.rows], [row.user for row in self.rows], self.part, self.bound)


class Preparation:
    """Prepares the rows of a source, which are written to `tweets_file` as they come.

    Args:
        train_bound: training rows whose thinning number is not below this are left out.
    """

    def __init__(
        self, config: DataConfig, source: OpenedSource, tweets_file: Path, progress: Progress, train_bound: float
    ) -> None:
        self._config, self._source, self._tweets_file = config, source, tweets_file
        self._progress, self._train_bound = progress, train_bound
        self._part_names = (*PARTS, *source.tests)
        # What later rows depend on. Held out are tweets and authors of further test sets, and of the validation and
        # test parts if further tables are read: within one table the split itself keeps authors and copies apart.
        self._held_out: set[int] = set()
        self._held_out_authors: set[int] = set()
        self._held_out_by_unknown = False
        self._withheld: set[int] = set()
        # Labels of the tweets that were read, by their keys: of each further test set, and of all other files.
        self._seen_there: dict[int | None, dict[int, int]] = defaultdict(dict)
        self._seen: dict[int, int] = {}
        self._index: dict[str, int] = {}  # number of each type
        self._pieces: list[tuple[npt.NDArray[Any], ...]] = []
        self._rows_written = 0
        self._counts: Counter[str] = Counter()
        self._of_tests: dict[str, TestCount] = {}
        self._of_extra: list[Counter[str]] = [Counter() for _ in source.extra_train]
        self._refused, self._spanning = RowCounter(), RowCounter()

    def run(self, workers: int | None = None) -> tuple[dict[str, npt.NDArray[Any]], list[str], CorpusReport]:
        """Read, digest and write all rows.

        Args:
            workers: number of processes; None takes the cores that this process may use. The result does not depend on
                it.

        Returns:
            The arrays of the corpus by name, the types in the order of their numbers, and what became of the rows.

        Raises:
            DataError: a file cannot be used, or the rows are not enough.
            ConfigError: a file lacks a configured column.
        """
        import pyarrow.parquet as pq

        with pq.ParquetWriter(self._tweets_file, _schema(), compression="zstd") as writer:
            for batch, digest in self._digested(self._batches(), workers or min(_MOST_WORKERS, available_cores())):
                self._take(batch, digest, writer)
        name, read = self._source.main.name, self._counts["read"]
        if not read:
            raise DataError(f"{name}: holds no rows")
        malformed = self._refused.total(apart_from=[NO_TOKEN])
        if malformed > max(_ALWAYS_TOLERATED, _REFUSED_AT_MOST * read):
            raise DataError(
                f"{name}: {malformed:,} of {read:,} rows are malformed, more than {_REFUSED_AT_MOST:.0%}: "
                f"{self._refused.most_common(apart_from=[NO_TOKEN])}"
            )
        arrays = self._arrays()
        return arrays, list(self._index), self._report(arrays)

    def _batches(self) -> Iterator[_RowBatch]:
        config = self._config
        # First, because nothing of them may be trained on.
        for part, (name, file) in enumerate(self._source.tests.items(), start=TEST + 1):
            before = self._counts["read"]
            yield from self._labelled(file, name, f"{name}: ", part=part)
            self._of_tests[name] = TestCount(file=file.name, read=self._counts["read"] - before)
        bound = 1.0
        if config.max_rows is not None:
            count = sum(isinstance(row, Row) and row.label is not None for row in self._source.main.read())
            bound = min(1.0, config.max_rows / max(1, count))
        yield from self._labelled(self._source.main, "tweets", "", bound)
        # Last, when all is known that is held out.
        for number, file in enumerate(self._source.extra_train):
            before = self._counts["read"]
            yield from self._labelled(file, "further training tweets", f"{file.name}: ", part=TRAIN, extra=number)
            self._of_extra[number]["read"] = self._counts["read"] - before

    def _labelled(
        self,
        file: TweetFile,
        what: str,
        prefix: str,
        bound: float = 1.0,
        *,
        part: int | None = None,
        extra: int | None = None,
    ) -> Iterator[_RowBatch]:
        rows: list[Row] = []
        number = 0
        for number, row in enumerate(file.read(), start=1):
            self._counts["read"] += 1
            if isinstance(row, Refusal):
                self._refused.add(prefix + row.reason, row.line)
                continue
            if row.lines > 1:
                self._spanning.add(SPANNING, row.line)
            if row.label is None:
                self._counts["ignored"] += 1
            else:
                rows.append(row)
            if len(rows) == _BATCH_ROWS:
                yield _RowBatch(rows, part, bound, extra)
                rows = []
                self._progress(f"preparing {what}", number, file.total)
        if rows:
            yield _RowBatch(rows, part, bound, extra)
        self._progress(f"preparing {what}", number, number)

    def _digested(self, batches: Iterator[_RowBatch], workers: int) -> Iterator[tuple[_RowBatch, Digest]]:
        what, head = (self._config, self._train_bound), list(islice(batches, _BATCHES_WORTH_WORKERS))
        if workers == 1 or len(head) < _BATCHES_WORTH_WORKERS:
            digester = Digester(*what)
            for batch in chain(head, batches):
                yield batch, digester(batch.texts())
            return
        with WorkerProcesses(workers, "tweets were prepared", start_worker, what) as pool:
            submit = partial(pool.submit, digest_in_worker)
            yield from in_order(chain(head, batches), lambda batch: submit(batch.texts()), _AHEAD * workers)

    def _take(self, batch: _RowBatch, digest: Digest, writer: "pq.ParquetWriter") -> None:
        import pyarrow as pa

        keep = self._decide(batch, digest)
        rows = [row for row, stays in zip(batch.rows, keep.tolist(), strict=True) if stays]
        if not rows:
            return
        of_tokens = digest.tokens.take(np.flatnonzero(keep[digest.limits == ALL_KEPT]))
        used, token_ids = _renumbered(of_tokens.token_ids, len(of_tokens.types))
        numbers = [self._index.setdefault(of_tokens.types[local], len(self._index)) for local in used.tolist()]
        labels, parts = np.array([row.label for row in rows], np.int8), digest.parts[keep]
        weight = 1.0 if batch.extra is None else self._config.extra_train[batch.extra].weight
        self._pieces.append(
            (
                np.array(numbers, np.int32)[token_ids],
                *(digest.lengths[keep], labels, parts, digest.keys[keep], digest.authors[keep]),
                np.full(len(rows), weight, np.float32),
            )
        )
        columns = [
            pa.array(np.arange(self._rows_written, self._rows_written + len(rows))),
            pa.array([row.id for row in rows], pa.string()),
            pa.DictionaryArray.from_arrays(pa.array(parts), pa.array(self._part_names)),
            pa.array(labels),
            pa.array([row.text for row in rows], pa.string()),
            pa.array(digest.lengths[keep].astype(np.int32)),
        ]
        writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
        self._rows_written += len(rows)

    def _decide(self, batch: _RowBatch, digest: Digest) -> npt.NDArray[np.bool_]:
        """Which rows are kept. Only earlier rows of the main table decide about its validation and test rows."""
        counts, is_test = self._counts, batch.part is not None and batch.part > TEST
        seen = self._seen_there[batch.part] if is_test else self._seen
        keep = np.zeros(len(batch.rows), np.bool_)
        columns = (digest.keys, digest.authors, digest.parts, digest.limits, digest.lengths)
        values = zip(batch.rows, *(column.tolist() for column in columns), strict=True)
        for number, (row, key, author, part, limit, length) in enumerate(values):
            label = row.label or 0
            if limit == ROW_LIMIT:
                counts["thinned"] += 1
                if part != TRAIN or author in self._held_out_authors:  # of an author whose other tweets are held out
                    self._withheld.add(key)
                    seen.setdefault(key, label)
                continue
            # Whatever becomes of the row: a copy of it by another author, in another part, must not take its place.
            is_copy, first = key in seen, seen.setdefault(key, label)
            if not length:
                self._refused.add(NO_TOKEN, row.line)
            elif is_copy and not (batch.extra is not None and key in self._held_out):
                counts["duplicates"] += 1
                counts["contradictory"] += first != label
            elif part == TRAIN and self._is_held_out(key, author, batch.extra):
                self._withheld.add(key)
            elif limit == TRAIN_LIMIT:
                counts["surplus"] += 1
            else:
                keep[number] = True
                self._remember(key, author, part, batch)
        return keep

    def _remember(self, key: int, author: int, part: int, batch: _RowBatch) -> None:
        if batch.extra is not None:
            self._of_extra[batch.extra]["kept"] += 1
            self._of_extra[batch.extra]["unknown_authors"] += author == UNKNOWN or self._held_out_by_unknown
            return
        if batch.part is None and part != TRAIN and any(key in seen for seen in self._seen_there.values()):
            self._counts["tested_twice"] += 1
        if batch.part is not None or (self._of_extra and part != TRAIN):
            self._held_out.add(key)
            self._held_out_by_unknown |= author == UNKNOWN
            if author != UNKNOWN:
                self._held_out_authors.add(author)

    def _is_held_out(self, key: int, author: int, extra: int | None) -> bool:
        """Whether a row that would be trained on has a text or an author that is held out; it is then counted."""
        by_text, by_author = key in self._held_out, author in self._held_out_authors
        if extra is not None:
            self._of_extra[extra]["held_out_texts"] += by_text
            self._of_extra[extra]["held_out_authors"] += by_author and not by_text
        else:
            self._counts["reserved"] += by_text or by_author
        return by_text or by_author

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        names = ("token_ids", "offsets", "labels", "parts", "keys", "authors", "weights")
        pieces = zip(*self._pieces, strict=True) if self._pieces else [[np.zeros(0, np.int64)] for _ in names]
        arrays = {name: np.concatenate(list(piece)) for name, piece in zip(names, pieces, strict=True)}
        arrays["offsets"] = np.concatenate([[0], np.cumsum(arrays["offsets"])])  # of lengths
        arrays["withheld"] = np.array(sorted(self._withheld), np.int64)
        return arrays

    def _report(self, arrays: dict[str, npt.NDArray[Any]]) -> CorpusReport:
        parts = {}
        for code, part in enumerate(self._part_names):
            labels = arrays["labels"][arrays["parts"] == code]
            parts[part] = PartCount(rows=len(labels), positive=int(labels.sum()))
            if part in self._of_tests and not len(labels):
                raise DataError(f"data.tests.{part}: {self._of_tests[part].file} has no usable row")
            if part in PARTS and not 0 < labels.sum() < len(labels):
                refused = f"; refused were {self._refused.most_common()}" if self._refused.total() else ""
                used = f"{len(arrays['labels']):,} of {self._counts['read']:,} rows are used{refused}"
                raise DataError(
                    f"{self._source.main.name}: the {part} part has {labels.sum():,} positive and "
                    f"{len(labels) - labels.sum():,} negative tweets, but both are needed; {used}: name all values of "
                    "the label column (data.labels.positive, --positive VALUE; the same for negative), or give more "
                    "tweets (some hundreds are needed for any conclusion), larger fractions for validation and test, "
                    "or a larger data.max_rows or data.train_rows"
                )
        extra = [
            ExtraCount.model_validate({field: counts[field] for field in ExtraCount.model_fields} | {"name": file.name})
            for file, counts in zip(self._source.extra_train, self._of_extra, strict=True)
        ]
        counted = {name: self._counts[name] for name in CorpusReport.model_fields}
        found = {
            "source": self._source.main.name,
            "tests": self._of_tests,
            "kept": len(arrays["labels"]),
            "held_out": sum(one.held_out_texts + one.held_out_authors for one in extra),
            "extra_train": tuple(extra),
            "refused": self._refused.counted(),
            "spanning": self._spanning.counted().get(SPANNING, CountedLines(count=0, lines=[])),
            "parts": parts,
            "tokens": len(arrays["token_ids"]),
            "types": len(self._index),
        }
        return CorpusReport.model_validate(counted | found)


def _renumbered(numbers: npt.NDArray[Any], count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """As `np.unique` with `return_inverse`, for numbers below `count`: without sorting them, ten times as fast."""
    occurs = np.zeros(count, np.bool_)
    occurs[numbers] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[numbers]
