"""Predictions for texts and for files of any size, in the order of their rows."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from sentiment.config import ColumnConfig
from sentiment.console import Progress
from sentiment.data.sources import about_rows
from sentiment.data.tables import (
    TEXT_NAMES,
    OpenedTable,
    Refusal,
    RowCounter,
    TableRecord,
    flat_fields,
    has_header,
    open_table,
    why_no_text,
)
from sentiment.data.text import TokenRows, start_tokenizing, tokenize_in_worker
from sentiment.errors import UsageError
from sentiment.files import write_named
from sentiment.inference.output import row_writer, written_form
from sentiment.models.text_model import Reading, TextModel
from sentiment.processes import WorkerProcesses, available_cores, in_order
from sentiment.runs.records import THRESHOLD, Answer, answer

CHUNK = 16_384
"""Texts that are best read together: sorted by length, they make batches that are full."""
NO_WORDS = "no usable words"
"""Why a text has no prediction of which the model knows nothing."""

# With fewer chunks, starting processes costs more than it saves.
_CHUNKS_WORTH_PROCESSES = 4
# Threads suffice for a model, which computes without Python's lock; more would hold up what reads and writes.
_MOST_THREADS = 4
_MOST_PROCESSES = 3

_Chunk = TypeVar("_Chunk")


def answers(model: TextModel, reading: Reading, threshold: float) -> Iterator[Answer | None]:
    """The label of each text and how probable it is; None where the model knows nothing of a text."""
    names = model.config.data.label_names
    for score, usable in zip(reading.probabilities.tolist(), reading.usable.tolist(), strict=True):
        yield answer(score, names, threshold) if usable else None


def read_in_parallel(
    model: TextModel, chunks: Iterator[_Chunk], texts_of: Callable[[_Chunk], list[str]]
) -> Iterator[tuple[_Chunk, Reading]]:
    """Each chunk with what a model says of its texts, in order; while some are computed, the next ones are read.

    Raises:
        DataError: a process was killed.
    """
    cores = 1 if model.sequential else available_cores()
    threads = min(_MOST_THREADS, cores)
    head = list(islice(chunks, _CHUNKS_WORTH_PROCESSES))
    processes = min(_MOST_PROCESSES, cores // 2) if len(head) == _CHUNKS_WORTH_PROCESSES else 0
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(threads, "predict", None if cores == 1 else _use_one_core)
        stack.callback(pool.shutdown, cancel_futures=True)
        tokenizing = None
        if processes:
            purpose, config = "texts were tokenised", model.config.data.text
            tokenizing = stack.enter_context(WorkerProcesses(processes, purpose, start_tokenizing, config))

        def submit(chunk: _Chunk) -> "Future[Reading]":
            if tokenizing is None:
                return pool.submit(model.read_texts, texts_of(chunk))
            return pool.submit(_read_rows, model, tokenizing.submit(tokenize_in_worker, texts_of(chunk)))

        yield from in_order(chain(head, chunks), submit, threads + 1 + 2 * processes)


def _use_one_core() -> None:
    """Let this thread compute by itself, if a model has loaded torch."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def _read_rows(model: TextModel, rows: "Future[TokenRows]") -> Reading:
    return model.read(rows.result())


class _Row(NamedTuple):
    record: TableRecord
    text: str
    refused: str | None
    """Why there can be no prediction; None if there can be one."""


@dataclass
class PredictedFile:
    """What became of the rows of a file.

    Attributes:
        refused: rows without a prediction.
        shortened: rows with fields that are not written.
    """

    rows: int = 0
    refused: RowCounter = field(default_factory=RowCounter)
    shortened: RowCounter = field(default_factory=RowCounter)

    def count(self, row: _Row, said: Answer | None, header: Sequence[str]) -> None:
        """Count what is to be told of a row; `header` has the columns that are written, none if all fields are."""
        if said is None:
            self.refused.add(row.refused or NO_WORDS, row.record.line)
        if header and row.record.whole and not flat_fields(row.record.whole).keys() <= {*header}:
            self.shortened.add("have fields that the first object lacks; these are left out", row.record.line)

    def render_lines(self) -> list[str]:
        """What is to be told about the rows."""
        lines = [f"{rows.count:,} without a prediction: {why} ({rows})" for why, rows in self.refused.counted().items()]
        return lines + [f"{rows.count:,} {what} ({rows})" for what, rows in self.shortened.counted().items()]


def predict_file(
    model: TextModel,
    source: Path,
    target: Path,
    column: str | None,
    progress: Progress,
    threshold: float = THRESHOLD,
) -> PredictedFile:
    """Write a file with every row of `source`, the predicted label, and the label's probability.

    A row without a readable text, or without a word that the model knows, keeps its place, with both left empty, and is
    counted. Texts are written as they are. The file appears when it is complete.

    Args:
        model: a trained model.
        source: CSV, TSV or JSON Lines, which may be compressed (`.gz`), Parquet, or a workbook.
        target: the file to write, in the form that its name says; without an ending it is CSV. From JSON Lines to JSON
            Lines and from Parquet to Parquet values keep their types.
        column: the column of the texts; None takes the one that the run was trained on, or the only one.
        progress: told how many rows are written.
        threshold: the label is positive from this probability on.

    Raises:
        DataError: the source cannot be read.
        UsageError: there is no such column, or several are called so, or the target is the source, or in no known form.
    """
    if source.exists() and target.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the file that is read, and would be overwritten; give --out another name")
    columns, form = model.config.data.columns, written_form(target)
    table = open_table(source, lambda first: _names_columns(first, column, columns))
    place = _text_place(table, column, columns.text, source)
    header = table.names
    if form not in ("csv", "tsv") and (twice := [name for name in header if header.count(name) > 1]):
        raise UsageError(f"{source}: several columns are called {twice[0]!r}, which only .csv and .tsv can hold")
    outcome, total = PredictedFile(), about_rows(source)

    def write(file: BinaryIO) -> None:
        with row_writer(target, file, header, source if table.form == "parquet" else None) as write_row:
            for chunk, reading in read_in_parallel(model, _chunks(table, place), _texts):
                predictions = answers(model, reading, threshold)
                for row in chunk:
                    said = None if row.refused else next(predictions)
                    write_row(row.record, said)
                    outcome.count(row, said, () if form == "jsonl" else header)
                outcome.rows += len(chunk)
                progress(f"reading {source.name}", outcome.rows, None if total is None else max(total, outcome.rows))

    write_named(target, write)
    return outcome


def _chunks(table: OpenedTable, place: int) -> Iterator[list[_Row]]:
    records = table.read(range(len(table.names)))
    while chunk := [_row(record, table, place) for record in islice(records, CHUNK)]:
        yield chunk


def _row(record: TableRecord | Refusal, table: OpenedTable, place: int) -> _Row:
    if isinstance(record, Refusal):
        return _Row(TableRecord(record.line, [None] * len(table.names)), "", record.reason)
    fields = record.fields
    if len(fields) == len(table.names):
        reason = why_no_text(fields[place])
        return _Row(record, fields[place], reason)
    last = len(table.names) - 1  # which takes what is too much, so that nothing is lost
    surplus = " " if table.form == "tsv" else table.delimiter  # a line of TSV could not be written with it
    fields = [*fields[:last], surplus.join(fields[last:]), *[None] * (last - len(fields))]
    return _Row(record._replace(fields=fields), "", "wrong number of fields")


def _texts(chunk: Sequence[_Row]) -> list[str]:
    return [row.text for row in chunk if not row.refused]


def _names_columns(first: Sequence[str], column: str | None, trained: ColumnConfig) -> bool:
    """Whether a table's first row names its columns; a single column may be a list of tweets without a name."""
    if column is None and len(first) == 1 and has_header(trained):
        return first[0].strip().lower() in (str(trained.text).lower(), *TEXT_NAMES)
    return column is not None or has_header(trained)


def _text_place(table: OpenedTable, column: str | None, trained: str | int, source: Path) -> int:
    header = table.names
    if column is None and len(header) == 1:
        return 0
    if column is None and isinstance(trained, int) and trained < len(table.names):
        return trained
    wanted = column if column is not None else str(trained)
    if header.count(wanted) == 1:
        return header.index(wanted)
    found = ", ".join(map(repr, header))
    if wanted in header:
        raise UsageError(f"{source}: several columns are called {wanted!r}; rename all but one: {found}")
    raise UsageError(f"{source}: has no column {wanted!r}; --column names the one with the tweets: {found}")
