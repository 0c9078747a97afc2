"""Predictions for a Parquet file into another one, whose columns keep their types."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.console import Progress
from sentiment.data.tables.columns import why_no_text
from sentiment.data.tables.opened import opened_parquet
from sentiment.data.tables.refusals import RowCounter
from sentiment.files import write_named
from sentiment.inference.side_by_side import CHUNK, read_side_by_side
from sentiment.inference.written_rows import NO_WORDS, added_names
from sentiment.models.text_model import Reading, TextModel
from sentiment.records import Answer, answer


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
    for batch in file.iter_batches(batch_size=CHUNK):
        texts = batch.column(place).to_pylist()
        yield _Batch(pa.Table.from_batches([batch]), texts, [why_no_text(text) for text in texts])


def _with_answers(
    batch: _Batch, reading: Reading, decide: Callable[[float], Answer], refused: RowCounter, before: int
) -> Any:
    """The rows with both columns added, which are null where there is no prediction."""
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
