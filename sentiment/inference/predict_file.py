"""Predictions for a file of any size, in the order of its rows."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from sentiment.console import Progress
from sentiment.data.tables.columns import has_header
from sentiment.data.tables.delimited import DelimitedRecord, delimited_records
from sentiment.data.tables.lines import read_lines
from sentiment.data.tables.named_fields import json_object
from sentiment.data.tables.rows import Refusal
from sentiment.data.tables.table import DELIMITERS, form_of
from sentiment.errors import DataError, UsageError
from sentiment.files import write_atomically
from sentiment.inference.predictor import Predictor
from sentiment.records import predicted_label

_CHUNK = 4096
_ADDED = ("label", "probability")

Fields = list[str]


def predict_file(predictor: Predictor, source: Path, target: Path, column: str | None, progress: Progress) -> int:
    """Write a CSV file with every row of `source`, the predicted label, and the probability of positive sentiment.

    A row without a readable text keeps its place, with both left empty. The file appears when it is complete.

    Args:
        predictor: the trained model.
        source: CSV, TSV or JSON Lines, which may be compressed (`.gz`).
        target: the file to write.
        column: the column of the texts; None takes the one that the run was trained on, or the only one.
        progress: told how many rows are written.

    Returns:
        The number of rows.

    Raises:
        DataError: the source cannot be read.
        UsageError: there is no such column.
    """
    columns = predictor.config.data.columns
    rows = _read(source, names_columns=column is not None or has_header(columns))
    header = next(rows, None)
    if not header:
        raise DataError(f"{source}: holds no rows, or its first line is no valid one")
    place = _text_place(header, column, columns.text, source)
    done = 0

    def write(file: BinaryIO) -> None:
        nonlocal done
        text_file = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text_file, lineterminator="\n")
        writer.writerow([*header, *(name if name not in header else f"predicted_{name}" for name in _ADDED)])
        while chunk := list(islice(rows, _CHUNK)):
            writer.writerows(_with_predictions(predictor, chunk, place, len(header)))
            done += len(chunk)
            progress(f"reading {source.name}", done, None)
        text_file.detach()

    write_atomically(target, write)
    return done


def _with_predictions(predictor: Predictor, chunk: list[Fields], place: int, width: int) -> Iterator[Fields]:
    whole = [(fields + [""] * width)[:width] for fields in chunk]
    readable = [fields for fields in whole if fields[place].strip()]
    scores = iter(predictor.probabilities([fields[place] for fields in readable]))
    for fields in whole:
        if not fields[place].strip():
            yield [*fields, "", ""]
            continue
        score = float(next(scores))
        yield [*fields, predicted_label(score), f"{score:.6f}"]


def _read(source: Path, names_columns: bool) -> Iterator[Fields]:
    """The header (positions if the file has none), then the fields of each row; none for a malformed row."""
    form = form_of(source)
    if form in DELIMITERS:
        yield from _read_delimited(source, DELIMITERS[form], names_columns)
    elif form == "jsonl":
        yield from _read_json_lines(source)
    else:
        raise DataError(f"{source}: predictions are made for .csv, .tsv and .jsonl files (also with .gz)")


def _read_delimited(source: Path, delimiter: str, names_columns: bool) -> Iterator[Fields]:
    records = delimited_records(read_lines(source), delimiter, keep_blank_lines=True)
    first = next((record for record in records if isinstance(record, Refusal) or record.fields), None)
    if isinstance(first, DelimitedRecord):
        width = len(first.fields)
        yield first.fields if names_columns else [str(position) for position in range(width)]
        if not names_columns:
            yield first.fields
        for record in records:
            if isinstance(record, Refusal):
                yield []
            elif record.fields or width == 1:  # in a single column an empty text is a blank line
                yield record.fields


def _read_json_lines(source: Path) -> Iterator[Fields]:
    names: list[str] = []
    malformed = 0  # lines before the first object, which names the columns
    for line in read_lines(source):
        if not line.strip():
            continue
        fields = json_object(line) or {}
        if not names and not fields:
            malformed += 1
            continue
        if not names:
            names = list(fields)
            yield from [names, *([] for _ in range(malformed))]
        yield ["" if fields.get(name) is None else str(fields[name]) for name in names]


def _text_place(header: Fields, column: str | None, trained: str | int, source: Path) -> int:
    if column is None and len(header) == 1:
        return 0
    if column is None and isinstance(trained, int) and trained < len(header):
        return trained
    wanted = column if column is not None else str(trained)
    if wanted not in header:
        found = ", ".join(map(repr, header))
        raise UsageError(f"{source}: has no column {wanted!r}; --column names the one with the tweets: {found}")
    return header.index(wanted)
