"""From source files to a corpus: batches are digested on all cores, and one process writes them in order."""

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from sentiment.allocation import available_cores
from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.corpus.corpus_files import CorpusWriter
from sentiment.data.corpus.corpus_report import NO_TOKEN, CorpusReport, ExtraTally, Tally
from sentiment.data.corpus.digester import (
    ROW_LIMIT,
    TRAIN_LIMIT,
    Digest,
    Digester,
    DigestRequest,
    Role,
    digest_in_worker,
    start_worker,
)
from sentiment.data.corpus.split import TRAIN
from sentiment.data.data_source import OpenedSource, TweetFile
from sentiment.data.tables.rows import Refusal, Row
from sentiment.worker_processes import WorkerProcesses, in_order

_BATCH_ROWS = 4096
# With fewer batches, starting processes costs more than it saves.
_BATCHES_WORTH_WORKERS = 20
# Batches in flight per worker: enough that no worker waits while this process writes, few enough for any memory.
_AHEAD = 4
# The one process that writes could not keep more workers than this busy.
_MOST_WORKERS = 8


class RowBatch(NamedTuple):
    """Labelled rows of one file that are digested together; role and bounds are those of `DigestRequest`."""

    rows: list[Row]
    role: Role
    bound: float
    train_bound: float
    extra: ExtraTally | None
    """Counts of the rows' file, if it is for training alone."""

    def job(self) -> DigestRequest:
        """What a worker needs to know of these rows."""
        return DigestRequest(
            [row.text for row in self.rows],
            [row.user for row in self.rows],
            self.role,
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
        self._main, self._second_test, self._extra = source.main, source.second_test, source.extra_train
        self._writer = writer
        self._progress = progress
        self._train_bound = train_bound
        self._tally = Tally()
        self._reserved: set[int] = set()
        self._held_out_keys: set[int] = set()  # these two only where tables for training alone are read
        self._held_out_users: set[str] = set()
        self._seen: dict[int, int] = {}  # label of each tweet that was kept, by its key
        self._index: dict[str, int] = {}  # number of each type

    def run(self, workers: int | None = None) -> tuple[list[str], CorpusReport]:
        """Read, digest and write all rows.

        Args:
            workers: number of processes; None takes the cores that this process may use. The result does not depend on
                it.

        Returns:
            The types in the order of their numbers, and the report.

        Raises:
            DataError: a file cannot be used.
            ConfigError: a file lacks a configured column.
        """
        for batch, digest in self._digested(self._batches(), workers or min(_MOST_WORKERS, available_cores())):
            self._take(batch, digest)
        types = list(self._index)
        second_test = None if self._second_test is None else self._second_test.name
        return types, self._tally.report(self._main.name, second_test, len(types))

    def _batches(self) -> Iterator[RowBatch]:
        # The second test set is read first, because its tweets must not be used elsewhere.
        if self._second_test is not None:
            yield from self._labelled(self._second_test, "second test set", 1.0)
        yield from self._labelled(self._main, "tweets", self._bound())
        # Last, when it is known which texts and authors are held out.
        for file in self._extra:
            yield from self._labelled(file, "further training tweets", 1.0)

    def _bound(self) -> float:
        if self._config.max_rows is None:
            return 1.0
        count = sum(isinstance(row, Row) and row.label is not None for row in self._main.read())
        return min(1.0, self._config.max_rows / max(1, count))

    def _labelled(self, file: TweetFile, role: Role, bound: float) -> Iterator[RowBatch]:
        """The labelled rows of a file in batches; the other rows are counted."""
        tally, extra = self._tally, None
        if role == "further training tweets":
            extra = ExtraTally(file.name)
            tally.extra_train.append(extra)
        prefix = "" if role == "tweets" else "second test set: " if extra is None else f"{file.name}: "
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
                yield RowBatch(rows, role, bound, self._train_bound, extra)
                rows = []
                self._progress(f"preparing {role}", number, file.total)
        if rows:
            yield RowBatch(rows, role, bound, self._train_bound, extra)
        if extra:
            extra.read = number
        self._progress(f"preparing {role}", number, number)

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
        of_tokens = np.repeat(keep, digest.lengths)
        used, token_ids = _renumbered(digest.token_ids[of_tokens], len(digest.types))
        numbers = [self._index.setdefault(digest.types[local], len(self._index)) for local in used.tolist()]
        labels = np.array([row.label for row in rows], np.int8)
        self._writer.add(rows, labels, digest.parts[keep], digest.lengths[keep], np.array(numbers, np.int32)[token_ids])

    def _decide(self, batch: RowBatch, digest: Digest) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        tally, seen = self._tally, self._seen
        keep = np.zeros(len(batch.rows), np.bool_)
        columns = (digest.keys.tolist(), digest.parts.tolist(), digest.limits.tolist(), digest.lengths.tolist())
        for number, (row, key, part, limit, length) in enumerate(zip(batch.rows, *columns, strict=True)):
            label = row.label or 0
            if limit:
                tally.thinned += limit == ROW_LIMIT
                tally.surplus += limit == TRAIN_LIMIT
            elif not length:
                tally.refuse(NO_TOKEN, row.line)
            elif key in self._reserved and batch.role == "tweets":
                tally.reserved += 1
            elif batch.extra and self._is_held_out(key, row.user, batch.extra):
                pass  # counted
            elif key in seen:
                tally.duplicates += 1
                tally.contradictory += seen[key] != label
            else:
                keep[number] = True
                seen[key] = label
                tally.keep(part, label, length)
                self._remember(row, key, part, batch)
        return keep

    def _remember(self, row: Row, key: int, part: int, batch: RowBatch) -> None:
        """What later rows depend on of a row that is kept."""
        if batch.role == "second test set":
            self._reserved.add(key)
        if batch.extra:
            batch.extra.kept += 1
        elif self._extra and part != TRAIN:
            self._held_out_keys.add(key)
            if row.user:
                self._held_out_users.add(row.user)

    def _is_held_out(self, key: int, user: str | None, extra: ExtraTally) -> bool:
        """Whether the validation part or a test part has the text or the author of a row, which is then counted."""
        if key in self._held_out_keys:
            extra.held_out_texts += 1
            return True
        extra.held_out_authors += user in self._held_out_users
        return user in self._held_out_users


def _renumbered(
    numbers: "np.ndarray[tuple[int], np.dtype[np.int32]]", count: int
) -> "tuple[np.ndarray[tuple[int], np.dtype[np.intp]], np.ndarray[tuple[int], np.dtype[np.intp]]]":
    """As `np.unique` with `return_inverse`, for numbers below `count`: without sorting them, ten times as fast."""
    occurs = np.zeros(count, np.bool_)
    occurs[numbers] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[numbers]
