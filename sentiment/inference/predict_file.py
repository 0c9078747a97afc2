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
from sentiment.inference.predictor import TextModel
from sentiment.records import predicted_label

# Rows that are sorted by length together: enough that batches of equal lengths are full.
_CHUNK = 16_384
# Threads that compute chunks side by side; with more, those that read and tokenise would hold up the others.
_MOST_THREADS = 4
_ADDED = ("label", "probability")
_Predicted = tuple[FileRow, Sequence[str]]

NO_WORDS = "no usable words"
"""Why a text has no prediction of which the model knows nothing."""


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


def predict_file(model: TextModel, source: Path, target: Path, column: str | None, progress: Progress) -> PredictedFile:
    """Write a CSV file with every row of `source`, the predicted label, and the probability of positive sentiment.

    A row without a readable text, or without a word that the model knows, keeps its place, with both left empty, and is
    counted. Texts are written as they are.
    The file appears when it is complete.

    Args:
        model: a trained model.
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
    columns = model.config.data.columns
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
        for predicted in _side_by_side(model, _chunks(rows, place, width), place, width):
            for row, fields in predicted:
                table.write(fields)
                _count(row, outcome)
            done += len(predicted)
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


def _count(row: FileRow, outcome: PredictedFile) -> None:
    if row.refused:
        outcome.refused.add(row.refused, row.line)
    if row.lines > 1:
        outcome.remarks.add(SPANNING, row.line)
    if row.remark:
        outcome.remarks.add(row.remark, row.line)


def _chunks(rows: Iterator[FileRow], place: int, width: int) -> Iterator[list[FileRow]]:
    while chunk := [_checked(row, place, width) for row in islice(rows, _CHUNK)]:
        yield chunk


def _side_by_side(
    model: TextModel, chunks: Iterator[list[FileRow]], place: int, width: int
) -> Iterator[list[_Predicted]]:
    """The rows of each chunk with predictions, in order; while some are computed, the next one is read."""
    # ELMo's products use all cores by themselves, and a state that it carries along needs the order.
    threads = 1 if model.sequential else min(_MOST_THREADS, available_cores())
    # Threads suffice, since torch computes without Python's lock, and each is to use one core.
    alone = None if threads == 1 else partial(torch.set_num_threads, 1)
    waiting: deque[Future[list[_Predicted]]] = deque()
    with ThreadPoolExecutor(threads, "predict", alone) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(_with_predictions, model, chunk, place, width))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def _with_predictions(model: TextModel, chunk: list[FileRow], place: int, width: int) -> list[_Predicted]:
    """Each row, refused if the model knows none of its words, and the fields to write."""
    reading = model.read([row.fields[place] for row in chunk if row.refused is None])
    predictions = zip(reading.probabilities.tolist(), reading.usable.tolist(), strict=True)
    found: list[_Predicted] = []
    for row in chunk:
        fields = (*row.fields, *[""] * width)[:width]
        score, usable = next(predictions) if row.refused is None else (0.0, False)
        if usable:
            found.append((row, [*fields, predicted_label(score, model.config.data.label_names), f"{score:.6f}"]))
        else:
            found.append((row._replace(refused=row.refused or NO_WORDS), [*fields, "", ""]))
    return found


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
