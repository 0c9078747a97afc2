"""Predictions for a file of any size, in the order of its rows."""

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import torch

from sentiment.allocation import available_cores
from sentiment.console import Progress
from sentiment.data.tables.columns import has_header
from sentiment.data.tables.refusals import SPANNING, RowCounter
from sentiment.errors import DataError, UsageError
from sentiment.files import write_named
from sentiment.inference.file_rows import FileRow, read_file_rows
from sentiment.inference.predictor import Predictor
from sentiment.records import predicted_label

# Rows that are sorted by length together: enough that batches of equal lengths are full.
_CHUNK = 16_384
# Threads that compute chunks side by side; with more, those that read and tokenise would hold up the others.
_MOST_THREADS = 4
_ADDED = ("label", "probability")


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
    predictor: Predictor, source: Path, target: Path, column: str | None, progress: Progress
) -> PredictedFile:
    """Write a CSV file with every row of `source`, the predicted label, and the probability of positive sentiment.

    A row without a readable text keeps its place, with both left empty, and is counted. Texts are written as they are.
    The file appears when it is complete.

    Args:
        predictor: the trained model.
        source: CSV, TSV or JSON Lines, which may be compressed (`.gz`).
        target: the file to write.
        column: the column of the texts; None takes the one that the run was trained on, or the only one.
        progress: told how many rows are written.

    Raises:
        DataError: the source cannot be read.
        UsageError: there is no such column, or several are called so, or the target is the source.
    """
    if source.exists() and target.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the file that is read, and would be overwritten; give --out another name")
    columns = predictor.config.data.columns
    rows = read_file_rows(source, names_columns=column is not None or has_header(columns))
    header = next(rows, None)
    if header is None:
        raise DataError(f"{source}: holds no rows")
    if header.refused:
        raise DataError(f"{source}:{header.line}: the first row cannot be read: {header.refused}")
    place, width = _text_place(header.fields, column, columns.text, source), len(header.fields)
    outcome = PredictedFile(0)
    done = 0

    def write(file: BinaryIO) -> None:
        nonlocal done
        text_file = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        table = _Table(text_file)
        table.write([*header.fields, *_added_names(header.fields)])
        for chunk, predicted in _side_by_side(predictor, _chunks(rows, place, width), place, width):
            for fields in predicted:
                table.write(fields)
            _count(chunk, outcome)
            done += len(chunk)
            progress(f"reading {source.name}", done, None)
        text_file.detach()

    write_named(target, write)
    return PredictedFile(done, outcome.refused, outcome.remarks)


class _Table:
    """Writes CSV that any reader reads back: Python's writer does not quote a lone carriage return."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._plain = csv.writer(file, lineterminator="\n")
        self._quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(self, fields: Sequence[str]) -> None:
        quoted = any("\r" in field for field in fields)
        (self._quoted if quoted else self._plain).writerow(fields)


def _added_names(header: Sequence[str]) -> Iterator[str]:
    for name in _ADDED:
        while name in header:
            name = f"predicted_{name}"
        yield name


def _checked(row: FileRow, place: int, width: int) -> FileRow:
    """The row, refused if it has no text in its place."""
    if row.refused is None and len(row.fields) != width:
        return row._replace(refused="wrong number of fields")
    if row.refused is None and not row.fields[place].strip():
        return row._replace(refused="empty text")
    return row


def _chunks(rows: Iterator[FileRow], place: int, width: int) -> Iterator[list[FileRow]]:
    while chunk := [_checked(row, place, width) for row in islice(rows, _CHUNK)]:
        yield chunk


def _side_by_side(
    predictor: Predictor, chunks: Iterator[list[FileRow]], place: int, width: int
) -> Iterator[tuple[list[FileRow], list[Sequence[str]]]]:
    """Each chunk and its rows with predictions, in order; while some are computed, the next one is read."""
    # ELMo's products use all cores by themselves, and a state that it carries along needs the order.
    threads = 1 if predictor.config.elmo else min(_MOST_THREADS, available_cores())
    # Threads suffice, since torch computes without Python's lock, and each is to use one core.
    alone = None if threads == 1 else partial(torch.set_num_threads, 1)
    waiting: deque[tuple[list[FileRow], Future[list[Sequence[str]]]]] = deque()
    with ThreadPoolExecutor(threads, "predict", alone) as pool:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_with_predictions, predictor, chunk, place, width)))
            if len(waiting) > threads:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def _count(chunk: list[FileRow], outcome: PredictedFile) -> None:
    for row in chunk:
        if row.refused:
            outcome.refused.add(row.refused, row.line)
        if row.lines > 1:
            outcome.remarks.add(SPANNING, row.line)
        if row.remark:
            outcome.remarks.add(row.remark, row.line)


def _with_predictions(predictor: Predictor, chunk: list[FileRow], place: int, width: int) -> list[Sequence[str]]:
    predicted: list[Sequence[str]] = []
    scores = iter(predictor.probabilities([row.fields[place] for row in chunk if row.refused is None]))
    for row in chunk:
        fields = (*row.fields, *[""] * width)[:width]
        if row.refused is not None:
            predicted.append([*fields, "", ""])
            continue
        score = float(next(scores))
        predicted.append([*fields, predicted_label(score), f"{score:.6f}"])
    return predicted


def _text_place(header: Sequence[str], column: str | None, trained: str | int, source: Path) -> int:
    if column is None and len(header) == 1:
        return 0
    if column is None and isinstance(trained, int) and trained < len(header):
        return trained
    wanted = column if column is not None else str(trained)
    if header.count(wanted) == 1:
        return header.index(wanted)
    found = ", ".join(map(repr, header))
    if wanted in header:
        raise UsageError(f"{source}: several columns are called {wanted!r}; rename all but one: {found}")
    raise UsageError(f"{source}: has no column {wanted!r}; --column names the one with the tweets: {found}")
