"""Predictions for files of any size, in the order of their rows.

Does not import torch, which the baseline does not need.
"""

import csv
import gzip
import importlib
import io
import json
import os
import re
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from sentiment.console import Progress
from sentiment.data.guess_columns import Reading, open_texts
from sentiment.data.rows import RowCounter, estimated_rows, text_problem
from sentiment.data.table import DELIMITED, ENDINGS, RawRow, Refusal, Table, as_text, format_of
from sentiment.errors import EXIT_FAILED, DataError, KilledError, UsageError, shortened
from sentiment.files import check_not_read, is_gzipped, write_user_file
from sentiment.models.text_model import Answer, Predictions, TextModel
from sentiment.processes import available_cores, libraries_survive_fork, without_garbage_collection

CHUNK = 16_384  # texts per call of a model, which sorts them by length: many texts fill its batches
NO_WORDS = "no word that the model knows"
_MAX_AT_ONCE = 4  # chunks; with more, one thread could not read and write as fast


class TextRow(NamedTuple):
    """A row of a table with the text of a tweet."""

    record: RawRow
    text: str
    refused: str | None  # the reason why there can be no prediction


T = TypeVar("T")


def in_parallel(
    model: TextModel, chunks: Iterable[T], texts_of: Callable[[T], list[str]]
) -> Iterator[tuple[T, Predictions]]:
    """Each chunk with the predictions for its texts, in order; the next chunks are read while some are classified.

    Raises:
        KilledError: a process that classified was killed.
    """
    at_once = 1 if model.uses_all_cores else min(_MAX_AT_ONCE, available_cores())
    chunks = iter(chunks)
    first_two = [*islice(chunks, 2)]
    classify: Callable[[list[str]], Predictions] = model.classify_texts
    pool: Executor = ThreadPoolExecutor(at_once, "predict", None if at_once == 1 else use_one_core)
    if model.holds_gil and libraries_survive_fork() and at_once > 1 and len(first_two) > 1:
        classify = _classify_in_worker
        pool = ProcessPoolExecutor(at_once, get_context("fork"), _start_worker, (model,))
    begun: deque[tuple[T, Future[Predictions]]] = deque()
    try:
        for chunk in chain(first_two, chunks):
            begun.append((chunk, pool.submit(classify, texts_of(chunk))))
            if len(begun) > at_once:
                first, predictions = begun.popleft()
                yield first, predictions.result()
        for rest, predictions in begun:
            yield rest, predictions.result()
    except BrokenProcessPool:
        raise KilledError("a process that classified tweets was killed, probably because memory ran out") from None
    finally:
        pool.shutdown(cancel_futures=True)


_models_of_worker: list[TextModel] = []  # the one of a forked process


def _start_worker(model: TextModel) -> None:
    """Prepare a forked process: it leaves Ctrl+C to the one that started it, and ends with that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()
    _models_of_worker.append(model)


def _end_with_parent() -> None:
    """Its queue does not tell a process that the other one was killed, since it holds both ends."""
    if parent := parent_process():
        parent.join()
        os._exit(EXIT_FAILED)


def _classify_in_worker(texts: list[str]) -> Predictions:
    return _models_of_worker[-1].classify_texts(texts)


def classify(model: TextModel, texts: Iterable[str], progress: Progress, total: int | None = None) -> Predictions:
    """The predictions of a model for any number of texts, which are read in chunks."""
    unread = iter(texts)
    first = list(islice(unread, CHUNK))
    if not first:
        return Predictions(np.empty((0, len(model.config.data.label_names))), np.empty(0, bool))
    if len(first) < CHUNK:  # a thread more would take longer
        return model.classify_texts(first)
    chunks = chain([first], iter(lambda: list(islice(unread, CHUNK)), []))
    parts: list[Predictions] = []
    done = 0
    for chunk, predictions in in_parallel(model, chunks, list):
        parts.append(predictions)
        done += len(chunk)
        progress("predicting", done, total)
    return Predictions.joined(parts)


def use_one_core() -> None:
    """Let torch compute in the calling thread alone: for a few texts, starting other threads would take longer."""
    if torch := sys.modules.get("torch"):  # only networks need it
        torch.set_num_threads(1)


@without_garbage_collection()
def predict_file(
    model: TextModel,
    source: Path,
    target: Path,
    reading: Reading,
    progress: Progress,
    all_classes: bool = False,
) -> tuple[int, list[str]]:
    """Write a file with every row of `source`, with the predicted label and its probability.

    A row without a readable text, or without a word that the model knows, is kept with an empty label and probability;
    of a row that cannot be read, all cells are empty. Texts are written unchanged, and the file appears when complete.

    Returns:
        The number of rows, and what is to be told about the file.

    Args:
        target: the file to write; its extension sets the format (default CSV). From JSON Lines to JSON Lines and from
            Parquet to Parquet values keep their types.
        reading: how the source is read; no row of it is left out.
        all_classes: whether to write the probability of each class, in columns such as `probability_negative`.

    Raises:
        DataError: the source cannot be read.
        ConfigError, UsageError: the column is missing or ambiguous, or the target equals the source or has an unknown
            extension.
    """
    check_not_read(target, source)
    format = _format_of_target(target)
    table, text_index, findings = open_texts(source, model.config.data.columns, reading)
    header = table.names
    duplicates = [name for name, number in Counter(header).items() if number > 1]
    if duplicates and format not in DELIMITED:
        raise UsageError(f"{source}: several columns are called {duplicates[0]!r}, which only .csv and .tsv can hold")
    answer_names = answer_columns(model, all_classes, header)
    rows = (_row(record, table, text_index) for record in table.read_all())
    chunks = iter(lambda: list(islice(rows, CHUNK)), [])
    warnings = RowCounter()
    total = estimated_rows(source)
    done = 0

    def write(file: BinaryIO) -> None:
        nonlocal done
        parquet = source if table.format == "parquet" else None
        with _row_writer(target, file, header, answer_names, parquet) as write_row:
            for chunk, predictions in in_parallel(model, chunks, _texts):
                answers = model.answers(predictions)
                for row in chunk:
                    answer = None if row.refused else next(answers)
                    write_row(row.record, answer)
                    warnings.add_remarks(row.record)
                    if answer is None:
                        warnings.add(f"without a prediction: {row.refused or NO_WORDS}", row.record.line)
                done += len(chunk)
                progress(f"reading {source.name}", done, None if total is None else max(total, done))

    write_user_file(target, write)
    return done, [*findings, *warnings.lines()]


def _texts(rows: list[TextRow]) -> list[str]:
    return [row.text for row in rows if not row.refused]


def _row(record: RawRow | Refusal, table: Table, text_index: int) -> TextRow:
    if isinstance(record, Refusal):
        width = len(table.names)
        cells = [*record.fields[: width - 1], table.delimiter.join(map(cell_text, record.fields[width - 1 :]))]
        return TextRow(RawRow(record.line, cells if record.fields else [None] * width), "", record.reason)
    text = record.fields[text_index]
    return TextRow(record, as_text(text), text_problem(text))


_DIGITS = 6


def _format_of_target(target: Path) -> str:
    with suppress(DataError):
        format = format_of(target) if target.suffix else "csv"
        if format in ("csv", "tsv", "jsonl", "parquet", "xlsx"):
            return format
    raise UsageError(f"{target}: no table can be written with this extension; valid: {ENDINGS}")


def answer_columns(model: TextModel, all_classes: bool, header: Sequence[str] = ()) -> list[str]:
    """Names for the columns of an answer, which the header does not have."""
    usual = ["label", "probability"]
    if all_classes:
        usual += [f"probability_{name}" for name in model.config.data.label_names]
    names = []
    for name in usual:
        while name in header:
            name = f"predicted_{name}"
        names.append(name)
    return names


def answer_values(answer: Answer | None, number: int) -> list[str | float | None]:
    """The first `number` values of an answer: the label, its probability, and those of all classes."""
    if answer is None:
        return [None] * number
    numbers = [answer.probability, *answer.probabilities][: number - 1]
    return [answer.label, *(round(value, _DIGITS) for value in numbers)]


@contextmanager
def _row_writer(
    target: Path, file: BinaryIO, header: Sequence[str], answer_columns: Sequence[str], parquet: Path | None
) -> Iterator[Callable[[RawRow, Answer | None], object]]:
    """Yields a function that writes one row plus its prediction; the file is complete on exit.

    Args:
        parquet: the path of the input, if it is Parquet; its columns are copied unchanged to a Parquet file.
    """
    format = _format_of_target(target)
    names = [*header, *answer_columns]
    number = len(answer_columns)
    if format in ("parquet", "xlsx"):
        if format == "parquet":
            write_rows = partial(_write_parquet, parquet, number)
        else:  # imported before anything is predicted, since it may not be installed
            write_rows = partial(write_workbook, target, importlib.import_module("openpyxl").Workbook())
        rows: list[list[Any]] = []
        yield lambda record, answer: rows.append([*record.fields, *answer_values(answer, number)])
        write_rows(file, names, rows)
        return
    packed = gzip.GzipFile(target.stem, "wb", fileobj=file, mtime=0) if is_gzipped(target) else nullcontext(file)
    with packed as opened:
        text = io.TextIOWrapper(opened, encoding="utf-8", newline="", write_through=True)
        if format == "jsonl":
            yield lambda record, answer: text.write(_json_line(header, answer_columns, record, answer))
        else:
            write = _delimited(text, "\t" if format == "tsv" else ",")
            write(names)
            yield lambda record, answer: write([*map(cell_text, record.fields), *answer_values(answer, number)])
        text.detach()


def _delimited(file: io.TextIOWrapper, delimiter: str) -> Callable[[Sequence[Any]], object]:
    """A row writer for CSV or TSV, of texts and numbers; None is empty."""
    minimal = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    quoting = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(fields: Sequence[Any]) -> None:
        needs_quotes = any("\r" in field for field in fields if isinstance(field, str))  # Python's does not quote \r
        writer = quoting if needs_quotes else minimal
        writer.writerow(fields)

    return write


def cell_text(value: Any) -> str:
    """A value as a cell of a delimited file."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # only NaN differs from itself
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, bool | dict | list) else str(value)


def _json_line(header: Sequence[str], answer_columns: Sequence[str], record: RawRow, answer: Answer | None) -> str:
    """A JSON object with the values of the record unchanged; NaN and infinity, which are not JSON, become null."""
    values = record.json_object
    if values is None:
        values = dict(zip(header, record.fields, strict=False))
    appended = dict(zip(answer_columns, answer_values(answer, len(answer_columns)), strict=True))
    try:
        line = json.dumps(values | appended, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(values | appended, ensure_ascii=False, default=str)
        line = json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False)
    return f"{line}\n"


def _write_parquet(
    source: Path | None, number: int, file: BinaryIO, names: Sequence[str], rows: list[list[Any]]
) -> None:
    """Write rows of which the last `number` values are those of answers: a label, and probabilities."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [*zip(*rows, strict=True)] if rows else [()] * len(names)
    if source:
        table = pq.read_table(source)
    else:
        table = pa.table([[cell_text(value) for value in column] for column in columns[:-number]], names[:-number])
    types = [pa.string(), *[pa.float64()] * (number - 1)]
    for name, values, of_type in zip(names[-number:], columns[-number:], types, strict=True):
        table = table.append_column(name, pa.array(values, of_type))
    pq.write_table(table, file)


_NO_CELL = re.compile(r"[\x00-\x08\x0b-\x1f]|.{32768}", re.DOTALL)  # text that an Excel cell cannot hold
_MAX_ROWS = 2**20
_MAX_COLUMNS = 2**14
_MAX_DIGITS = 15


def write_workbook(target: Path, book: Any, file: BinaryIO, names: Sequence[str], rows: list[list[Any]]) -> None:
    """Write texts unchanged, also those that look like formulas or errors; numbers that Excel can hold stay numbers.

    The line breaks of Windows become those of a cell.
    """
    for line, row in enumerate([names, *rows], start=1):
        for column, value in enumerate(row, start=1):
            text = cell_text(value).replace("\r\n", "\n")
            if _NO_CELL.search(text) or line > _MAX_ROWS or column > _MAX_COLUMNS:
                raise DataError(
                    f"{target}: row {line:,} has {shortened(text)!r}, which a workbook cannot hold: it has no control "
                    f"characters, 32,767 characters in a cell, {_MAX_ROWS:,} rows and {_MAX_COLUMNS:,} columns; "
                    "write .csv"
                )
            if isinstance(value, int | float) and abs(value) < 10**_MAX_DIGITS:
                book.active.cell(line, column, value)
            else:
                book.active.cell(line, column, text).data_type = "s"
    book.save(file)


# The beginning of a formula, a truth value, and a digit in so few words that they may be a number, a date or a time.
_UNDERSTOOD = re.compile(r"[=+\-@].*|true|false|(?=.*\d)(\S+ ){0,6}\S+", re.IGNORECASE)


def for_spreadsheet(text: str) -> str:
    """A text as a cell that spreadsheets leave as it is: on one line, since not all keep line ends within a field.

    What they would take for a formula, a number or a date has an apostrophe in front, with which they write texts.
    """
    line = " ".join(text.split())
    return f"'{line}" if _UNDERSTOOD.fullmatch(line) else line
