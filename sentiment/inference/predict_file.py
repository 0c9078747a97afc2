"""Predictions for a file of any size, in the order of its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sentiment.config import ColumnConfig
from sentiment.console import Progress
from sentiment.data.tables.columns import TEXT_NAMES, has_header, why_no_text
from sentiment.data.tables.opened import OpenedTable, Records, open_table
from sentiment.data.tables.refusals import SPANNING, RowCounter
from sentiment.data.tables.rows import Refusal, TableRecord
from sentiment.data.tables.table import about_rows
from sentiment.errors import UsageError
from sentiment.files import write_named
from sentiment.inference.side_by_side import CHUNK, read_side_by_side
from sentiment.inference.written_rows import NO_WORDS, added_names, row_writer, written_form
from sentiment.models.text_model import Reading, TextModel
from sentiment.records import THRESHOLD, Answer, answer

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
        from sentiment.inference.predict_parquet import predict_parquet

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
