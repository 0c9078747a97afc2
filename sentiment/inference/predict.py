"""Predictions for texts and for files of any size, in the order of their rows."""

import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from sentiment.config import ColumnConfig
from sentiment.console import Progress
from sentiment.data.tables.opened import (
    DELIMITERS,
    NO_EXCEL,
    OpenedTable,
    Records,
    form_of,
    has_openpyxl,
    is_packed,
    open_table,
    opened_parquet,
)
from sentiment.data.tables.rows import SPANNING, TEXT_NAMES, Refusal, RowCounter, TableRecord, has_header, why_no_text
from sentiment.data.tables.table import about_rows
from sentiment.data.text import TokenRows, start_tokenizing, tokenize_in_worker
from sentiment.errors import DataError, UsageError
from sentiment.files import write_named
from sentiment.models.text_model import Reading, TextModel
from sentiment.processes import WorkerProcesses, available_cores, in_order
from sentiment.runs.records import THRESHOLD, Answer, answer

CHUNK = 16_384
"""Texts that are best read together: sorted by length, they make batches that are full."""

# With fewer chunks, starting processes costs more than it saves.
_CHUNKS_WORTH_PROCESSES = 4
# Threads suffice for a model, which computes without Python's lock; more would hold up what reads and writes.
_MOST_THREADS = 4
_MOST_PROCESSES = 3

_Chunk = TypeVar("_Chunk")


def read_side_by_side(
    model: TextModel, chunks: Iterator[_Chunk], texts_of: Callable[[_Chunk], list[str]]
) -> Iterator[tuple[_Chunk, Reading]]:
    """Each chunk with what a model says of its texts, in order; while some are computed, the next ones are read.

    Raises:
        DataError: a process was killed.
    """
    # ELMo's products use all cores by themselves, and a state that it carries along needs the order.
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
            texts = texts_of(chunk)
            if tokenizing is None:
                return pool.submit(model.read, texts)
            return pool.submit(_read_rows, model, tokenizing.submit(tokenize_in_worker, texts))

        yield from in_order(chain(head, chunks), submit, threads + 1 + 2 * processes)


def _use_one_core() -> None:
    """Let this thread compute by itself, if a model has loaded torch."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def _read_rows(model: TextModel, rows: "Future[TokenRows]") -> Reading:
    return model.read_rows(rows.result())


ADDED = ("label", "probability")
"""The columns that are added to those of the input, the second of them the label's probability; see `added_names`."""
NO_WORDS = "no usable words"
"""Why a text has no prediction of which the model knows nothing."""

_VALID = (
    "the name does not say a form to write; valid endings: .csv, .tsv, .jsonl (each also with .gz), .parquet, .xlsx"
)
_DIGITS = 6
_ROWS_OF_A_GROUP = 65_536
_MOST_ROWS = 1_048_576
_LONGEST_CELL = 32_767
_NO_CELL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


WriteRow = Callable[[TableRecord, Answer | None], None]


def added_names(header: Sequence[str]) -> list[str]:
    """What the added columns are called in a table that may have columns of these names."""
    names = []
    for name in ADDED:
        while name in header:
            name = f"predicted_{name}"
        names.append(name)
    return names


def answer_fields(label: str, probability: float | None) -> list[str]:
    """The added columns as text; both are empty where there is no prediction."""
    return [label, "" if probability is None else f"{probability:.{_DIGITS}f}"]


def written_form(target: Path) -> str:
    """How a file is written: as its name says, and as CSV if the name has no ending.

    Raises:
        UsageError: the name says a form that is not written.
    """
    try:
        form = form_of(target) if target.suffix else "csv"
    except DataError:
        form = "zip"
    if form == "zip":
        raise UsageError(f"{target}: {_VALID}")
    if form == "xlsx" and not has_openpyxl():
        raise UsageError(f"{target}: {NO_EXCEL}")
    return form


@contextmanager
def row_writer(target: Path, file: BinaryIO, header: Sequence[str]) -> Iterator[WriteRow]:
    """What writes a row, with the added columns last, to an open file; it is complete after the context.

    Args:
        target: its name says the form.
        header: the names of all columns.
    """
    form = written_form(target)
    if form in ("parquet", "xlsx"):
        with _parquet(file, header) if form == "parquet" else _workbook(target, file, header) as write:
            yield write
        return
    with gzip.GzipFile(target.stem, "wb", fileobj=file, mtime=0) if is_packed(target) else nullcontext(file) as opened:
        text = io.TextIOWrapper(opened, encoding="utf-8", newline="", write_through=True)
        if form == "jsonl":
            yield lambda record, answer: _write_object(text, target, header, record, answer)
        else:
            table = _Table(text, DELIMITERS[form])
            table.write(header)
            yield lambda record, answer: table.write([*map(_cell, record.fields), *_as_text(answer)])
        text.detach()


def _cell(value: Any) -> str:
    """A value as text, in JSON's words."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _as_text(answer: Answer | None) -> list[str]:
    return answer_fields(answer.label, answer.probability) if answer else answer_fields("", None)


class _Table:
    """Writes CSV that any reader reads back: Python's writer does not quote a lone carriage return."""

    def __init__(self, file: io.TextIOWrapper, delimiter: str) -> None:
        self._plain = csv.writer(file, lineterminator="\n", delimiter=delimiter)
        self._quoted = csv.writer(file, lineterminator="\n", delimiter=delimiter, quoting=csv.QUOTE_ALL)

    def write(self, fields: Sequence[str]) -> None:
        quoted = any("\r" in field for field in fields)
        (self._quoted if quoted else self._plain).writerow(fields)


def _write_object(
    file: io.TextIOWrapper, target: Path, header: Sequence[str], record: TableRecord, answer: Answer | None
) -> None:
    """Write a JSON object, whose values stay what they were."""
    label, probability = header[-2:]
    # NaN, which alone differs from itself, is not JSON.
    fields = (None if value != value else value for value in record.fields)
    values = dict(zip(header, fields, strict=False)) if record.whole is None else record.whole
    if label in values or probability in values:
        name = label if label in values else probability
        raise DataError(f"{target}: line {record.line} of the input has a field {name!r}, which the first one lacks")
    added = {label: answer and answer.label, probability: answer and round(answer.probability, _DIGITS)}
    file.write(json.dumps(values | added, ensure_ascii=False, default=str) + "\n")


@contextmanager
def _parquet(file: BinaryIO, header: Sequence[str]) -> Iterator[WriteRow]:
    """Columns of text, and the probability as a number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*((name, pa.string()) for name in header[:-1]), (header[-1], pa.float64())])
    waiting: list[list[Any]] = []
    with pq.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            columns = [list(column) for column in zip(*waiting, strict=True)] or [[] for _ in header]
            writer.write_table(pa.table(columns, schema=schema))
            waiting.clear()

        def write(record: TableRecord, answer: Answer | None) -> None:
            share = round(answer.probability, _DIGITS) if answer else None
            waiting.append([*map(_cell, record.fields), answer and answer.label, share])
            if len(waiting) >= _ROWS_OF_A_GROUP:
                flush()

        yield write
        flush()


def sheet_value(value: Any) -> Any:
    """What a cell holds: a number, unless it is an integer beyond the 15 digits that spreadsheets keep; else text."""
    exact = value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**15)
    return value if exact else _cell(value)


@contextmanager
def _workbook(target: Path, file: BinaryIO, header: Sequence[str]) -> Iterator[WriteRow]:
    """One sheet; texts that begin as formulas do stay texts."""
    import openpyxl  # type: ignore[import-untyped]
    from openpyxl.cell import WriteOnlyCell  # type: ignore[import-untyped]

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    number = 0

    def cell(value: Any) -> Any:
        kept = sheet_value(value)
        if isinstance(kept, str) and (len(kept) > _LONGEST_CELL or _NO_CELL.search(kept)):
            raise DataError(f"{target}: row {number} has a text that a workbook cannot hold; write .csv or .parquet")
        made = WriteOnlyCell(sheet, kept)
        if isinstance(kept, str):
            made.data_type = "s"
        return made

    def add(values: Iterable[Any]) -> None:
        nonlocal number
        number += 1
        if number > _MOST_ROWS:
            raise DataError(f"{target}: a workbook holds at most {_MOST_ROWS:,} rows; write .csv or .parquet")
        sheet.append([cell(value) for value in values])

    add(header)
    yield lambda record, answer: add([*record.fields, *(answer or (None, None))])
    book.save(file)


def predict_parquet(
    model: TextModel, source: Path, target: Path, place: int, progress: Progress, threshold: float
) -> tuple[int, RowCounter]:
    """Write a Parquet file with all columns of `source`, the predicted label and its probability.

    Args:
        place: the position of the column with the texts.
        threshold: the label is positive from this probability on.

    Returns:
        How many rows were written, and those of them without a prediction.

    Raises:
        DataError: the source cannot be read.
    """
    import pyarrow.parquet as pq

    refused, done = RowCounter(), 0

    def write(output: BinaryIO) -> None:
        nonlocal done
        with opened_parquet(source) as file:
            total = file.metadata.num_rows
            decide = partial(answer, names=model.config.data.label_names, threshold=threshold)
            nothing = Reading(np.empty(0), np.empty(0, bool))
            schema = _with_answers(_Batch(file.schema_arrow.empty_table(), [], []), nothing, decide, refused, 0).schema
            with pq.ParquetWriter(output, schema) as writer:
                for batch, reading in read_side_by_side(model, _batches(file, place), _Batch.usable_texts):
                    writer.write_table(_with_answers(batch, reading, decide, refused, done))
                    done += len(batch.texts)
                    progress(f"reading {source.name}", done, total)

    write_named(target, write)
    return done, refused


class _Batch(NamedTuple):
    """Rows of the file."""

    table: Any
    texts: list[Any]
    refusals: list[str | None]
    """Why there is no prediction for a row; None where there is one."""

    def usable_texts(self) -> list[str]:
        return [text for text, refusal in zip(self.texts, self.refusals, strict=True) if refusal is None]


def _batches(file: Any, place: int) -> Iterator[_Batch]:
    import pyarrow as pa

    for batch in file.iter_batches(batch_size=CHUNK):
        texts = batch.column(place).to_pylist()
        yield _Batch(pa.Table.from_batches([batch]), texts, [why_no_text(text) for text in texts])


def _with_answers(
    batch: _Batch, reading: Reading, decide: Callable[[float], Answer], refused: RowCounter, before: int
) -> Any:
    """The rows with both columns added, which are null where there is no prediction."""
    import pyarrow as pa

    answers = iter(zip(reading.probabilities.tolist(), reading.usable.tolist(), strict=True))
    labels: list[str | None] = []
    shares: list[float | None] = []
    for row, reason in enumerate(batch.refusals, start=before + 1):
        score, usable = next(answers) if reason is None else (0.0, False)
        label, share = decide(score) if usable else (None, None)
        labels.append(label)
        shares.append(share)
        if not usable:
            refused.add(reason or NO_WORDS, row)
    of_label, of_share = added_names(batch.table.column_names)
    table = batch.table.append_column(of_label, pa.array(labels, pa.string()))
    return table.append_column(of_share, pa.array(shares, pa.float64()))


_MORE_FIELDS = "have fields that the first object lacks; these are left out"


@dataclass(frozen=True)
class PredictedFile:
    """What became of the rows of a file."""

    rows: int
    refused: RowCounter = field(default_factory=RowCounter)
    """Rows without a prediction."""
    remarks: RowCounter = field(default_factory=RowCounter)
    """Rows with a prediction of which a reader should know something."""

    def render_lines(self) -> list[str]:
        """What is to be told about the rows."""
        lines = [f"{rows.count:,} without a prediction: {why} ({rows})" for why, rows in self.refused.counted().items()]
        return lines + [f"{rows.count:,} {what} ({rows})" for what, rows in self.remarks.counted().items()]


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
    columns, written = model.config.data.columns, written_form(target)
    table = open_table(source, lambda first: _names_columns(first, column, columns))
    place = _text_place(table, column, columns.text, source)
    if table.form == written == "parquet":
        return PredictedFile(*predict_parquet(model, source, target, place, progress, threshold))
    header = table.names[: table.width]
    if written == "jsonl" and (twice := [name for name in header if header.count(name) > 1]):
        raise UsageError(
            f"{source}: several columns are called {twice[0]!r}, of which a JSON object keeps one; write .csv"
        )
    outcome = PredictedFile(0)
    done, total = 0, about_rows(source)

    def write(file: BinaryIO) -> None:
        nonlocal done
        with row_writer(target, file, [*header, *added_names(header)]) as write_row:
            chunks = _chunks(table, place)
            for chunk, reading in read_side_by_side(model, chunks, _texts):
                for row, said in _answered(chunk, reading, model.config.data.label_names, threshold):
                    write_row(row.record, said)
                    _count(row, outcome, header if written != "jsonl" else None)
                done += len(chunk)
                progress(f"reading {source.name}", done, None if total is None else max(total, done))

    write_named(target, write)
    return PredictedFile(done, outcome.refused, outcome.remarks)


class _Row(NamedTuple):
    record: TableRecord
    text: str | None
    """None if there is none."""
    refused: str | None
    """Why there can be no prediction; None if there can be one."""


def _chunks(table: OpenedTable, place: int) -> Iterator[list[_Row]]:
    records: Records = table.records({*range(table.width), place})
    while chunk := [_row(record, table, place) for record in islice(records, CHUNK)]:
        yield chunk


def _row(record: TableRecord | Refusal, table: OpenedTable, place: int) -> _Row:
    if isinstance(record, Refusal):
        return _Row(TableRecord(record.line, [None] * table.width), None, record.reason)
    line, fields, lines, whole = record
    if len(fields) == len(table.names):
        refused = why_no_text(text := fields[place])
        row = record if len(fields) == table.width else TableRecord(line, fields[: table.width], lines, whole)
        return _Row(row, None if refused else text, refused)
    last = table.width - 1  # which takes what is too much, so that nothing is lost
    fields = [*fields[:last], table.delimiter.join(fields[last:]), *[None] * (last - len(fields))]
    return _Row(TableRecord(line, fields, lines), None, "wrong number of fields")


def _texts(chunk: Sequence[_Row]) -> list[str]:
    return [row.text for row in chunk if row.text is not None]


def _answered(
    chunk: Sequence[_Row], reading: Reading, names: tuple[str, str], threshold: float
) -> Iterator[tuple[_Row, Answer | None]]:
    """Each row, refused if the model knows none of its words, and the label with its probability."""
    predictions = zip(reading.probabilities.tolist(), reading.usable.tolist(), strict=True)
    for row in chunk:
        score, usable = next(predictions) if row.refused is None else (0.0, False)
        if usable:
            yield row, answer(score, names, threshold)
        else:
            yield row._replace(refused=row.refused or NO_WORDS), None


def _count(row: _Row, outcome: PredictedFile, header: Sequence[str] | None) -> None:
    """Count what is to be told of a row; `header` has the columns that are written, None if all fields are."""
    if row.refused:
        outcome.refused.add(row.refused, row.record.line)
    if row.record.lines > 1:
        outcome.remarks.add(SPANNING, row.record.line)
    if header and row.record.whole and not row.record.whole.keys() <= {*header}:
        outcome.remarks.add(_MORE_FIELDS, row.record.line)


def _names_columns(first: Sequence[str], column: str | None, trained: ColumnConfig) -> bool:
    """Whether a table's first row names its columns; a single column may be a list of tweets without a name."""
    if column is None and len(first) == 1 and has_header(trained):
        return first[0].strip().lower() in (str(trained.text).lower(), *TEXT_NAMES)
    return column is not None or has_header(trained)


def _text_place(table: OpenedTable, column: str | None, trained: str | int, source: Path) -> int:
    header = table.names
    if column is None and len(header) == 1:
        return 0
    if column is None and isinstance(trained, int) and trained < table.width:
        return trained
    wanted = column if column is not None else str(trained)
    if header.count(wanted) == 1:
        return header.index(wanted)
    found = ", ".join(map(repr, header))
    if wanted in header:
        raise UsageError(f"{source}: several columns are called {wanted!r}; rename all but one: {found}")
    raise UsageError(f"{source}: has no column {wanted!r}; --column names the one with the tweets: {found}")
