"""Predictions for a file of any size, in the order of its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from sentiment.console import Progress
from sentiment.data.tables.columns import has_header
from sentiment.data.tables.refusals import SPANNING, RowCounter
from sentiment.data.tables.table import about_rows, form_of
from sentiment.errors import DataError, UsageError
from sentiment.files import write_named
from sentiment.inference.file_rows import FileRow, read_file_rows
from sentiment.inference.side_by_side import CHUNK, read_side_by_side
from sentiment.inference.text_model import Reading, TextModel
from sentiment.inference.written_rows import NO_WORDS, added_names, answer_fields, row_writer
from sentiment.records import predicted_label


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
    """Write a file with every row of `source`, the predicted label, and the label's probability.

    A row without a readable text, or without a word that the model knows, keeps its place, with both left empty, and is
    counted. Texts are written as they are.
    The file appears when it is complete.

    Args:
        model: a trained model.
        source: CSV, TSV or JSON Lines, which may be compressed (`.gz`), or Parquet.
        target: the file to write; JSON Lines or Parquet if its name ends so, else CSV. Values are text then, but from
            Parquet to Parquet they keep their types.
        column: the column of the texts; None takes the one that the run was trained on, or the only one.
        progress: told how many rows are written.

    Raises:
        DataError: the source cannot be read.
        UsageError: there is no such column, or several are called so, or the target is the source.
    """
    if source.exists() and target.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the file that is read, and would be overwritten; give --out another name")
    columns = model.config.data.columns
    if form_of(source) == target.suffix.lower().removeprefix(".") == "parquet":
        return _predict_parquet(model, source, target, column, progress)
    rows = read_file_rows(source, names_columns=column is not None or has_header(columns))
    header = next(rows, None)
    if header is None:
        raise DataError(f"{source}: holds no rows")
    if header.refused:
        raise DataError(f"{source}:{header.line}: the first row cannot be read: {header.refused}")
    place, width = _text_place(header.fields, column, columns.text, source), len(header.fields)
    outcome = PredictedFile(0)
    done, total = 0, int(about_rows(source) or 0)

    def write(file: BinaryIO) -> None:
        nonlocal done
        with row_writer(target, file, [*header.fields, *added_names(header.fields)]) as write_row:
            chunks = _chunks(rows, place, width)
            for chunk, reading in read_side_by_side(model, chunks, lambda chunk: _texts(chunk, place)):
                for row, answer in _answered(chunk, reading, model.config.data.label_names):
                    write_row([*_filled(row.fields, width), *answer])
                    _count(row, outcome)
                done += len(chunk)
                progress(f"reading {source.name}", done, max(total, done) if total else None)

    write_named(target, write)
    return PredictedFile(done, outcome.refused, outcome.remarks)


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
    while chunk := [_checked(row, place, width) for row in islice(rows, CHUNK)]:
        yield chunk


def _texts(chunk: Sequence[FileRow], place: int) -> list[str]:
    return [row.fields[place] for row in chunk if row.refused is None]


def _answered(
    chunk: Sequence[FileRow], reading: Reading, names: tuple[str, str]
) -> Iterator[tuple[FileRow, Sequence[str]]]:
    """Each row, refused if the model knows none of its words, and the fields to add."""
    predictions = zip(reading.probabilities.tolist(), reading.usable.tolist(), strict=True)
    for row in chunk:
        score, usable = next(predictions) if row.refused is None else (0.0, False)
        if usable:
            yield row, answer_fields(predicted_label(score, names), max(score, 1 - score))
        else:
            yield row._replace(refused=row.refused or NO_WORDS), answer_fields("", None)


def _filled(fields: Sequence[str], width: int) -> Sequence[str]:
    return fields if len(fields) == width else (*fields, *[""] * width)[:width]


def _predict_parquet(
    model: TextModel, source: Path, target: Path, column: str | None, progress: Progress
) -> PredictedFile:
    from sentiment.inference.predict_parquet import opened_parquet, predict_parquet

    with opened_parquet(source) as file:
        header = list(file.schema_arrow.names)
    place = _text_place(header, column, model.config.data.columns.text, source)
    return PredictedFile(*predict_parquet(model, source, target, place, progress))


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
