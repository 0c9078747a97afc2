"""Makes a corpus: rows of all files are cleaned, tokenised, rid of duplicates and split, in memory that is bounded."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.corpus.corpus_files import NO_TOKEN, CorpusWriter, ExtraTally, Prepared, RowArrays, Tally, TestCount
from sentiment.data.corpus.split import (
    TEST,
    TRAIN,
    UNKNOWN,
    TweetForms,
    author_form,
    author_key,
    folded_part_code,
    key_of,
    part_code,
    thinning_of,
)
from sentiment.data.data_source import OpenedSource, TweetFile
from sentiment.data.tables.rows import Refusal, Row
from sentiment.data.text import Tokenizer
from sentiment.processes import WorkerProcesses, available_cores, in_order

ALL_KEPT, ROW_LIMIT, TRAIN_LIMIT = range(3)
"""Whether a row is left out, and by which limit: of all rows, or of the training part."""


class DigestRequest(NamedTuple):
    """A batch of rows to digest, as plain lists, which are sent to another process quickly."""

    texts: Sequence[str]
    users: Sequence[str | None]
    part: int | None
    """Of all rows; None divides them into parts."""
    bound: float
    """Rows whose thinning number (see `split.thinning_of`) is not below this are left out."""
    train_bound: float
    """The same for rows of the training part."""


@dataclass(frozen=True)
class Digest:
    """A batch of rows as compact arrays, in the order of the rows."""

    keys: npt.NDArray[np.int64]  # (rows,), equal for the same tweet
    authors: npt.NDArray[np.int64]  # (rows,), equal for the same author, or split.UNKNOWN
    parts: npt.NDArray[np.int8]  # (rows,)
    limits: npt.NDArray[np.int8]  # (rows,), ALL_KEPT, or the limit that leaves a row out, with its tokens
    lengths: npt.NDArray[np.int64]  # (rows,)
    token_ids: npt.NDArray[np.int32]  # (tokens,), index into `types`
    types: list[str]  # of this batch


class Digester:
    """Digests batches as a configuration says; it keeps a cache of words between batches."""

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self._tokenizer = Tokenizer(config.text)
        self._forms = TweetForms(beside=self._tokenizer)

    def __call__(self, job: DigestRequest) -> Digest:
        """Tokenise each row, hash it, and assign it to a part."""
        tokens = list(map(self._tokenizer, job.texts))
        forms = list(map(self._forms.of, job.texts, tokens))
        authors = list(map(author_form, job.users))
        keys = np.array(list(map(key_of, forms)), np.int64)
        parts, thinning = self._parts(job.part, authors, forms), thinning_of(keys)
        limits = np.where((parts == TRAIN) & (thinning >= job.train_bound), TRAIN_LIMIT, ALL_KEPT)
        limits[thinning >= job.bound] = ROW_LIMIT
        token_ids: list[int] = []
        index: dict[str, int] = {}
        for number in np.flatnonzero(limits == ALL_KEPT).tolist():
            token_ids += [index.setdefault(token, len(index)) for token in tokens[number]]
        return Digest(
            keys=keys,
            authors=np.array(list(map(author_key, authors)), np.int64),
            parts=parts,
            limits=limits.astype(np.int8),
            lengths=np.array(list(map(len, tokens)), np.int64),
            token_ids=np.array(token_ids, np.int32),
            types=list(index),
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


_digester: Digester | None = None


def start_worker(config: DataConfig) -> None:
    """Make this process a worker."""
    global _digester
    _digester = Digester(config)


def digest_in_worker(job: DigestRequest) -> Digest:
    """Digest a batch in a process that `start_worker` has prepared."""
    if _digester is None:
        raise RuntimeError("start_worker has not been called in this process")
    return _digester(job)


_BATCH_ROWS = 4096
# With fewer batches, starting processes costs more than it saves.
_BATCHES_WORTH_WORKERS = 20
# Batches in flight per worker: enough that no worker waits while this process writes, few enough for any memory.
_AHEAD = 4
# The one process that writes could not keep more workers than this busy.
_MOST_WORKERS = 8


class RowBatch(NamedTuple):
    """Labelled rows of one file that are digested together; part and bounds are those of `DigestRequest`."""

    rows: list[Row]
    part: int | None
    bound: float
    train_bound: float
    extra: ExtraTally | None
    """Counts of the rows' file, if it is for training alone."""

    @property
    def is_test(self) -> bool:
        """Whether the file is a further test set."""
        return self.part is not None and self.part > TEST

    def job(self) -> DigestRequest:
        """What a worker needs to know of these rows."""
        return DigestRequest(
            [row.text for row in self.rows],
            [row.user for row in self.rows],
            self.part,
            self.bound,
            self.train_bound,
        )


class Preparation:
    """One pass over the source files; in memory it keeps a hash of each tweet, the types, and a few batches.

    Args:
        config: how tweets are cleaned, split and thinned.
        source: the files to read.
        writer: takes the rows that are kept.
        progress: told how many rows are read.
        train_bound: as in `DigestRequest`.
    """

    def __init__(
        self,
        config: DataConfig,
        source: OpenedSource,
        writer: CorpusWriter,
        progress: Progress,
        train_bound: float = 1.0,
    ) -> None:
        self._config = config
        self._main, self._tests, self._extra = source.main, source.tests, source.extra_train
        self._writer = writer
        self._progress = progress
        self._train_bound = train_bound
        self._tally = Tally(source.tests)
        # What nothing that is trained on may have: keys of tweets and of authors. Those of validation and test are only
        # needed where further tables are read: within one table the split itself keeps authors and copies apart.
        self._held_out: set[int] = set()
        self._held_out_authors: set[int] = set()
        self._held_out_by_unknown = False
        self._withheld: set[int] = set()
        # Labels of the tweets that were read, by their keys: of each further test set, and of all other files.
        self._seen_there: dict[int | None, dict[int, int]] = defaultdict(dict)
        self._seen: dict[int, int] = {}
        self._index: dict[str, int] = {}  # number of each type

    def run(self, workers: int | None = None) -> Prepared:
        """Read, digest and write all rows.

        Args:
            workers: number of processes; None takes the cores that this process may use. The result does not depend on
                it.

        Raises:
            DataError: a file cannot be used.
            ConfigError: a file lacks a configured column.
        """
        for batch, digest in self._digested(self._batches(), workers or min(_MOST_WORKERS, available_cores())):
            self._take(batch, digest)
        report = self._tally.report(self._main.name, len(self._index))
        return Prepared(list(self._index), np.array(sorted(self._withheld), np.int64), report)

    def _batches(self) -> Iterator[RowBatch]:
        # First, because nothing of them may be trained on.
        for part, (name, file) in enumerate(self._tests.items(), start=TEST + 1):
            before = self._tally.read
            yield from self._labelled(file, name, 1.0, part)
            self._tally.tests[name] = TestCount(file=file.name, read=self._tally.read - before)
        yield from self._labelled(self._main, "tweets", self._bound())
        # Last, when all is known that is held out.
        for file, table in zip(self._extra, self._config.extra_train, strict=True):
            extra = ExtraTally(file.name, table.weight)
            self._tally.extra_train.append(extra)
            yield from self._labelled(file, "further training tweets", 1.0, TRAIN, extra)

    def _bound(self) -> float:
        if self._config.max_rows is None:
            return 1.0
        count = sum(isinstance(row, Row) and row.label is not None for row in self._main.read())
        return min(1.0, self._config.max_rows / max(1, count))

    def _labelled(
        self, file: TweetFile, what: str, bound: float, part: int | None = None, extra: ExtraTally | None = None
    ) -> Iterator[RowBatch]:
        """The labelled rows of a file in batches; the other rows are counted."""
        tally, prefix = self._tally, "" if part is None else f"{extra.name if extra else what}: "
        rows: list[Row] = []
        number = 0
        for number, row in enumerate(file.read(), start=1):
            tally.read += 1
            if isinstance(row, Refusal):
                tally.refuse(prefix + row.reason, row.line)
                continue
            if row.lines > 1:
                tally.span(row.line)
            if row.label is None:
                tally.ignored += 1
            else:
                rows.append(row)
            if len(rows) == _BATCH_ROWS:
                yield RowBatch(rows, part, bound, self._train_bound, extra)
                rows = []
                self._progress(f"preparing {what}", number, file.total)
        if rows:
            yield RowBatch(rows, part, bound, self._train_bound, extra)
        if extra:
            extra.read = number
        self._progress(f"preparing {what}", number, number)

    def _digested(self, batches: Iterator[RowBatch], workers: int) -> Iterator[tuple[RowBatch, Digest]]:
        head = list(islice(batches, _BATCHES_WORTH_WORKERS))
        if workers == 1 or len(head) < _BATCHES_WORTH_WORKERS:
            digester = Digester(self._config)
            for batch in chain(head, batches):
                yield batch, digester(batch.job())
            return
        with WorkerProcesses(workers, "tweets were prepared", start_worker, self._config) as pool:
            submit = partial(pool.submit, digest_in_worker)
            yield from in_order(chain(head, batches), lambda batch: submit(batch.job()), _AHEAD * workers)

    def _take(self, batch: RowBatch, digest: Digest) -> None:
        """Decide which rows are kept, and write them."""
        keep = self._decide(batch, digest)
        rows = [row for row, stays in zip(batch.rows, keep.tolist(), strict=True) if stays]
        if not rows:
            return
        of_tokens = np.repeat(keep, np.where(digest.limits, 0, digest.lengths))
        used, token_ids = _renumbered(digest.token_ids[of_tokens], len(digest.types))
        numbers = [self._index.setdefault(digest.types[local], len(self._index)) for local in used.tolist()]
        labels = np.array([row.label for row in rows], np.int8)
        kept = (digest.parts[keep], digest.lengths[keep], digest.keys[keep], digest.authors[keep])
        weights = np.full(len(rows), batch.extra.weight if batch.extra else 1, np.float32)
        of_rows = RowArrays(labels, *kept, weights)
        self._writer.add(rows, of_rows, np.array(numbers, np.int32)[token_ids])

    def _decide(self, batch: RowBatch, digest: Digest) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Which rows are kept. Only earlier rows of the main table decide about its validation and test rows."""
        tally = self._tally
        seen = self._seen_there[batch.part] if batch.is_test else self._seen
        keep = np.zeros(len(batch.rows), np.bool_)
        names = (digest.keys, digest.authors, digest.parts, digest.limits, digest.lengths)
        columns = (column.tolist() for column in names)
        for number, (row, key, author, part, limit, length) in enumerate(zip(batch.rows, *columns, strict=True)):
            label = row.label or 0
            if limit == ROW_LIMIT:
                tally.thinned += 1
                if part != TRAIN or author in self._held_out_authors:  # of an author whose other tweets are held out
                    self._withheld.add(key)
                    seen.setdefault(key, label)
                continue
            # Whatever becomes of the row: a copy of it by another author, in another part, must not take its place.
            is_copy, first = key in seen, seen.setdefault(key, label)
            if not length:
                tally.refuse(NO_TOKEN, row.line)
            elif is_copy and not (batch.extra and key in self._held_out):
                tally.duplicates += 1
                tally.contradictory += first != label
            elif part == TRAIN and self._is_held_out(key, author, batch.extra):
                self._withheld.add(key)
            elif limit == TRAIN_LIMIT:
                tally.surplus += 1
            else:
                keep[number] = True
                tally.keep(part, label, length)
                self._remember(key, author, part, batch)
        return keep

    def _remember(self, key: int, author: int, part: int, batch: RowBatch) -> None:
        """What later rows depend on of a row that is kept."""
        if batch.extra:
            batch.extra.kept += 1
            batch.extra.unknown_authors += author == UNKNOWN or self._held_out_by_unknown
            return
        if batch.part is None and part != TRAIN and any(key in seen for seen in self._seen_there.values()):
            self._tally.tested_twice += 1
        if batch.is_test or (self._extra and part != TRAIN):
            self._held_out.add(key)
            self._held_out_by_unknown |= author == UNKNOWN
            if author != UNKNOWN:
                self._held_out_authors.add(author)

    def _is_held_out(self, key: int, author: int, extra: ExtraTally | None) -> bool:
        """Whether a row that would be trained on has a text or an author that is held out; it is then counted."""
        by_text, by_author = key in self._held_out, author in self._held_out_authors
        if extra:
            extra.held_out_texts += by_text
            extra.held_out_authors += by_author and not by_text
        else:
            self._tally.reserved += by_text or by_author
        return by_text or by_author


def _renumbered(
    numbers: "np.ndarray[tuple[int], np.dtype[np.int32]]", count: int
) -> "tuple[np.ndarray[tuple[int], np.dtype[np.intp]], np.ndarray[tuple[int], np.dtype[np.intp]]]":
    """As `np.unique` with `return_inverse`, for numbers below `count`: without sorting them, ten times as fast."""
    occurs = np.zeros(count, np.bool_)
    occurs[numbers] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[numbers]
