"""Predictions for texts and for files of any size, in the order of their rows, and what each token adds to one.

Loads no torch, which predicting by the baseline does without.
"""

import csv
import gzip
import importlib
import io
import json
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import typer
from scipy.special import logit

from sentiment.config import ColumnConfig
from sentiment.config_file import dotted, shortened
from sentiment.console import OUT, Progress, printable, say, visible
from sentiment.data.tables import (
    ENDINGS,
    TEXT_NAMES,
    OpenedTable,
    RowCounter,
    about_rows,
    column_places,
    form_of,
    has_header,
    open_table,
    why_no_text,
    without_collections,
)
from sentiment.data.text import TokenRows
from sentiment.data.text_files import Refusal, TableRecord, is_packed
from sentiment.errors import DataError, UsageError
from sentiment.files import write_named
from sentiment.models.text_model import Answer, Predictions, TextModel
from sentiment.processes import available_cores
from sentiment.runs.records import POSITIVE

CHUNK = 16_384  # texts that are best read together: sorted by length, they make batches that are full
NO_WORDS = "no usable words"
# Threads suffice for a model, which computes without Python's lock; more would hold up what reads and writes.
_MOST_THREADS = 4


class _Row(NamedTuple):
    record: TableRecord
    text: str
    refused: str | None  # why there can be no prediction


def _classify_in_parallel(model: TextModel, chunks: Iterator[list[_Row]]) -> Iterator[tuple[list[_Row], Predictions]]:
    """Each chunk with what a model says of its texts, in order; while some are computed, the next ones are read."""
    threads = 1 if model.uses_all_cores else min(_MOST_THREADS, available_cores())
    waiting: deque[tuple[list[_Row], Future[Predictions]]] = deque()
    pool = ThreadPoolExecutor(threads, "predict", None if threads == 1 else _use_one_core)
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(model.classify_texts, [row.text for row in chunk if not row.refused])))
            if len(waiting) > threads:
                done, said = waiting.popleft()
                yield done, said.result()
        for done, said in waiting:
            yield done, said.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _use_one_core() -> None:
    if torch := sys.modules.get("torch"):  # only networks need it
        torch.set_num_threads(1)


@without_collections()
def predict_file(
    model: TextModel,
    source: Path,
    target: Path,
    column: str | int | None,
    progress: Progress,
    threshold: float | None = None,
) -> tuple[int, list[str]]:
    """Write a file with every row of `source`, the predicted label and its probability.

    A row without a readable text, or without a word that the model knows, keeps its place, with both left empty. Texts
    are written as they are. The file appears when it is complete. Returns how many rows it has, and what is odd in it.

    Args:
        target: the file to write, in the form that its name says, else as CSV. From JSON Lines to JSON Lines and from
            Parquet to Parquet values keep their types.
        column: of the texts, by position in a table without header; None takes that of training, or the only one.
        threshold: the label is positive from this probability on; None is the usual one.

    Raises:
        DataError: the source cannot be read.
        UsageError: the column is not there, or twice, or the target is the source or in no known form.
    """
    if source.exists() and target.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the file that is read, and would be overwritten; give --out another name")
    columns, form = model.config.data.columns, _written_form(target)
    table = open_table(source, lambda first: _names_columns(first, column, columns))
    place, header = _text_place(table, column, columns.text, source), table.names
    if form not in ("csv", "tsv") and (twice := [name for name, number in Counter(header).items() if number > 1]):
        raise UsageError(f"{source}: several columns are called {twice[0]!r}, which only .csv and .tsv can hold")
    rows = (_row(record, table, place) for record in table.read(range(len(header))))
    done, odd, total = 0, RowCounter(), about_rows(source)

    def write(file: BinaryIO) -> None:
        nonlocal done
        with _row_writer(target, file, header, source if table.form == "parquet" else None) as write_row:
            for chunk, predictions in _classify_in_parallel(model, iter(lambda: [*islice(rows, CHUNK)], [])):
                answers = predictions.answers(model.config.data.label_names, threshold)
                for row in chunk:
                    said = None if row.refused else next(answers)
                    write_row(row.record, said)
                    if said is None:
                        odd.add(f"without a prediction: {row.refused or NO_WORDS}", row.record.line)
                    if form != "jsonl" and row.record.whole and not dotted(row.record.whole).keys() <= {*header}:
                        odd.add("have fields that the first object lacks; these are left out", row.record.line)
                done += len(chunk)
                progress(f"reading {source.name}", done, None if total is None else max(total, done))

    write_named(target, write)
    return done, [f"{count.count:,} {what} ({count})" for what, count in odd.counted().items()]


def write_sheet(target: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table in which the answers are still empty, in the form that its name says; raises as `predict_file`."""

    def write(file: BinaryIO) -> None:
        with _row_writer(target, file, header, None) as write_row:
            for number, fields in enumerate(rows, 1):
                write_row(TableRecord(number, fields), None)

    write_named(target, write)


def _row(record: TableRecord | Refusal, table: OpenedTable, place: int) -> _Row:
    if isinstance(record, Refusal):
        return _Row(TableRecord(record.line, [None] * len(table.names)), "", record.reason)
    fields = record.fields
    if len(fields) == len(table.names):
        return _Row(record, fields[place], why_no_text(fields[place]))
    last = len(table.names) - 1  # which takes what is too much, so that nothing is lost
    surplus = " " if table.form == "tsv" else table.delimiter  # a line of TSV could not be written with it
    fields = [*fields[:last], surplus.join(fields[last:]), *[None] * (last - len(fields))]
    return _Row(record._replace(fields=fields), "", "wrong number of fields")


def _names_columns(first: Sequence[str], column: str | int | None, trained: ColumnConfig) -> bool:
    """Whether a table's first row names its columns; a single column may be a list of tweets without a name."""
    if column is None and len(first) == 1 and has_header(trained):
        return first[0].strip().lower() in (str(trained.text).lower(), *TEXT_NAMES)
    return has_header(trained) if column is None else isinstance(column, str)


def _text_place(table: OpenedTable, column: str | int | None, trained: str | int, source: Path) -> int:
    header, wanted = table.names, trained if column is None else column
    if column is None and len(header) == 1:
        return 0
    if len(places := column_places(wanted, header)) == 1:
        return places[0]
    found = ", ".join(map(repr, header))
    if places:
        raise UsageError(f"{source}: several columns are called {wanted!r}; rename all but one: {found}")
    raise UsageError(f"{source}: has no column {wanted!r}; --text-column names the one with the tweets: {found}")


ADDED = ("label", "probability")  # the columns that are added to those of the input; see `_added_names`

_DIGITS = 6


def _written_form(target: Path) -> str:
    with suppress(DataError):
        if (form := form_of(target) if target.suffix else "csv") in ("csv", "tsv", "jsonl", "parquet", "xlsx"):
            return form
    raise UsageError(f"{target}: the name does not say a form to write; valid endings: {ENDINGS}")


def _added_names(header: Sequence[str]) -> list[str]:
    names = []
    for name in ADDED:
        while name in header:
            name = f"predicted_{name}"
        names.append(name)
    return names


def answer_fields(said: Answer | None) -> list[str]:
    return [said[0], f"{said[1]:.{_DIGITS}f}"] if said else ["", ""]


def answer_values(said: Answer | None) -> tuple[str | None, float | None]:
    return (said[0], round(said[1], _DIGITS)) if said else (None, None)


@contextmanager
def _row_writer(
    target: Path, file: BinaryIO, header: Sequence[str], parquet: Path | None
) -> Iterator[Callable[[TableRecord, Answer | None], object]]:
    """What writes rows, with the added columns last, to an open file, which is complete after the context.

    Of an input that is `parquet` the columns are written to Parquet as they are.
    """
    form, names = _written_form(target), [*header, *_added_names(header)]
    if form in ("parquet", "xlsx"):
        if form == "parquet":
            write_rows = partial(_write_parquet, parquet)
        else:  # loaded before anything is predicted, since it may not be installed
            write_rows = partial(_write_workbook, target, importlib.import_module("openpyxl").Workbook())
        rows: list[list[Any]] = []
        yield lambda record, said: rows.append([*record.fields, *answer_values(said)])
        write_rows(file, names, rows)
        return
    with gzip.GzipFile(target.stem, "wb", fileobj=file, mtime=0) if is_packed(target) else nullcontext(file) as opened:
        text = io.TextIOWrapper(opened, encoding="utf-8", newline="", write_through=True)
        if form == "jsonl":
            yield lambda record, said: text.write(_object(target, names, record, said))
        else:
            write = _delimited(target, text, form)
            write(names)
            yield lambda record, said: write([*map(_cell, record.fields), *answer_fields(said)])
        text.detach()


def _delimited(target: Path, file: io.TextIOWrapper, form: str) -> Callable[[Sequence[str]], None]:
    """What writes rows that any reader reads back; TSV has no quotes, so that not every text has a place in it."""
    minimal, always = (
        csv.writer(file, lineterminator="\n", quoting=quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )

    def write(fields: Sequence[str]) -> None:
        if form == "csv":  # Python's writer does not quote \r
            (always if any("\r" in field for field in fields) else minimal).writerow(fields)
            return
        if odd := [field for field in fields if "\t" in field or "\n" in field]:
            raise DataError(f"{target}: a line of TSV cannot hold {shortened(odd[0])!r}; write .csv")
        file.write("\t".join(fields) + "\n")

    return write


def _cell(value: Any) -> str:
    if value is None or value != value:  # only NaN differs from itself
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, bool | dict | list) else str(value)


def _object(target: Path, names: Sequence[str], record: TableRecord, said: Answer | None) -> str:
    """A JSON object, whose values stay what they were; NaN, which is not JSON, is null."""
    values = record.whole
    if values is None:
        values = {name: None if value != value else value for name, value in zip(names, record.fields, strict=False)}
    if taken := [one for one in names[-2:] if one in values]:
        raise DataError(
            f"{target}: line {record.line} of the input has a field {taken[0]!r}, which the first one lacks"
        )
    added = dict(zip(names[-2:], answer_values(said), strict=True))
    return json.dumps(values | added, ensure_ascii=False, default=str) + "\n"


def _write_parquet(source: Path | None, file: BinaryIO, names: Sequence[str], rows: list[list[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    *columns, labels, shares = zip(*rows, strict=True) if rows else [()] * len(names)
    table = pq.read_table(source) if source else pa.table([[*map(_cell, one)] for one in columns], names[:-2])
    table = table.append_column(names[-2], pa.array(labels, pa.string()))
    pq.write_table(table.append_column(names[-1], pa.array(shares, pa.float64())), file)


# What a cell of a workbook does not hold, or not as it is.
_NO_CELL = re.compile(r"[\x00-\x08\x0b-\x1f]|.{32768}", re.DOTALL)
_MOST_ROWS, _MOST_COLUMNS, _MOST_DIGITS = 2**20, 2**14, 15


def _write_workbook(target: Path, book: Any, file: BinaryIO, names: Sequence[str], rows: list[list[Any]]) -> None:
    """Texts as they are, also those that look like formulas or errors; numbers that Excel can hold stay numbers."""
    for line, row in enumerate([names, *rows], start=1):
        for column, value in enumerate(row, start=1):
            number = isinstance(value, int | float) and abs(value) < 10**_MOST_DIGITS
            if _NO_CELL.search(text := _cell(value)) or line > _MOST_ROWS or column > _MOST_COLUMNS:
                raise DataError(f"{target}: a workbook cannot hold {shortened(text)!r} in row {line:,}; write .csv")
            cell = book.active.cell(line, column, value if number else text)
            cell.data_type = cell.data_type if number else "s"
    book.save(file)


_SMALLEST = 1e-12
# Leaving out each of n tokens reads n texts of n - 1 tokens; no tweet has as many.
_MOST_TOKENS = 1_000


@dataclass(frozen=True)
class Explanation:
    """A prediction and the weight of each token; iterating gives pairs of the two, in the order of the text.

    Attributes:
        label: empty if the model knows no word of the text; `probability` is NaN then.
        kind: `attention`: how much the network looks at each token, averaged over its hops (Lin et al. 2017), with sum
            1: where it looked, not for what. `left out`: by how much the log-odds of the positive label fall if the
            token is left out, so that positive numbers speak for the positive label.
    """

    label: str
    probability: float
    tokens: list[str]
    weights: list[float]
    kind: Literal["attention", "left out"]

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(zip(self.tokens, self.weights, strict=True))


def explain(model: TextModel, text: str) -> Explanation:
    """Predict one text and weigh its tokens: by attention if the model has any, else by leaving each of them out.

    A UsageError says that the text has too many tokens for that.
    """
    (answer,) = model.classify_texts([text]).answers(model.config.data.label_names)
    (label, probability), tokens = answer or ("", np.nan), model.tokenize(text)
    if (attention := model.attention(tokens)) is not None:
        return Explanation(label, probability, tokens, attention, "attention")
    if len(tokens) > _MOST_TOKENS:
        raise UsageError(f"a text of {len(tokens):,} tokens: at most {_MOST_TOKENS:,} can be left out one by one")
    without = [[*tokens[:place], *tokens[place + 1 :]] for place in range(len(tokens))]
    said = model.classify(TokenRows.of_tweets([tokens, *without])).probabilities
    odds = logit(np.clip(said, _SMALLEST, 1 - _SMALLEST))
    return Explanation(label, probability, tokens, (odds[0] - odds[1:]).tolist(), "left out")


def lines_at_once(stream: io.BufferedReader) -> Iterator[list[str]]:
    """A text for each line: together those that can be read without waiting, so that each is answered at once.

    Blank lines keep their place, and bytes that are no UTF-8 are shown as such.
    """
    rest = b""
    while block := stream.read1(1 << 16):
        *lines, rest = (rest + block).split(b"\n")
        yield [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
    if rest:
        yield [rest.decode("utf-8", "replace").rstrip("\r")]


def show_answers(
    model: TextModel, chunks: Iterable[list[str]], form: str, why: str, threshold: float | None, explained: bool = False
) -> None:
    """Print the label of each text, positive from the threshold on, and how probable it is, in their order.

    Args:
        chunks: texts that are read together.
        form: `text` is aligned, with the attention weights of tokens if there are any, and says `why` this model
            predicts; `csv` and `jsonl` have the columns label, probability and text.
        explained: without attention, `text` shows what leaving each token out would change.
    """
    names = model.config.data.label_names
    width = max(len("label"), *(len(visible(name)) for name in names))
    write = csv.writer(SimpleNamespace(write=partial(typer.echo, nl=False)), lineterminator="\n").writerow
    if form == "csv":
        write([*ADDED, "text"])
    elif form == "text":
        say(f"by the {model.name} ({why})\n{'label':<{width}}  probability  tweet")
    for chunk in chunks:
        predictions = model.classify_texts(chunk)
        for text, said in zip(chunk, predictions.answers(names, threshold), strict=True):
            if form == "csv":
                write([*answer_fields(said), text])
            elif form == "jsonl":
                values = dict(zip((*ADDED, "text"), (*answer_values(said), text), strict=True))
                typer.echo(json.dumps(values, ensure_ascii=False))
            else:
                _show_aligned(model, text, said, width, explained)


def _show_aligned(model: TextModel, text: str, said: Answer | None, width: int, explained: bool) -> None:
    if said is None:
        say(f"{'-':<{width}}  {'-':>11}  {visible(text)}  ({NO_WORDS})")
        return
    line = f"{visible(said[0]):<{width}}  {100 * said[1]:>9.1f} %  {visible(text)}"
    colour = "green" if said[0] == model.config.data.label_names[POSITIVE] else "red"
    OUT.print(printable(line), style=colour, markup=False, soft_wrap=True)
    tokens = model.tokenize(text)
    weights, form = model.attention(tokens), ".0%"
    if weights is None and explained:
        weights, form = explain(model, text).weights, "+.1f"
    if weights:
        strong = max(map(abs, weights)) / 2
        shares = (f" ({weight:{form}})" if abs(weight) > strong else "" for weight in weights)
        say("  " + " ".join(visible(token) + share for token, share in zip(tokens, shares, strict=True)))
