"""The predictions that labels correct in `share`: those of a model, or the answers in a column of the table.

Does not import torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sentiment.command_line import parameters_of, with_guesses
from sentiment.config import ColumnConfig
from sentiment.console import Progress, plural, say
from sentiment.data.guess_columns import file_without_labels
from sentiment.data.sources import usable_rows
from sentiment.data.tables import Column, Row, RowCounter
from sentiment.inference.added import label_meanings_of, sheet_meanings
from sentiment.inference.predict import CHUNK, in_parallel
from sentiment.inference.stored import open_model
from sentiment.metrics import Probabilities
from sentiment.models.text_model import TextModel
from sentiment.runs.records import DEFAULT_THRESHOLD, ModelKind


@dataclass(frozen=True)
class SharePredictor:
    """A predictor of the classes of a table's tweets.

    Attributes:
        meanings: what each lower-cased label on a sheet means, as `read_labels` takes it.
        columns: of the tables that it knows; its text column is taken if the user names none.
        predict: the probabilities of the classes of rows, (n, classes); rows of 0 where there is no answer.
    """

    name: str
    classes: Sequence[str]
    meanings: Mapping[str, int | None]
    columns: ColumnConfig
    predict: Callable[[Sequence[Row], Progress], Probabilities]
    threshold: float = DEFAULT_THRESHOLD


def predictor_of_model(path: Path, choice: ModelKind | None, results: Path | None) -> SharePredictor:
    """The model of a run, or of an exported file; raises as `open_model`."""
    model = open_model(path, choice, results)
    data = model.config.data

    def predict(rows: Sequence[Row], progress: Progress) -> Probabilities:
        return _predicted(model, [row.text for row in rows], progress)

    return SharePredictor(
        model.name, data.label_names, sheet_meanings(data), data.columns, predict, threshold=model.threshold
    )


def _predicted(model: TextModel, texts: Sequence[str], progress: Progress) -> Probabilities:
    chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
    probabilities: list[Probabilities] = []
    for _, predictions in in_parallel(model, chunks, list):
        probabilities.append(predictions.probabilities)
        progress("predicting", min(CHUNK * len(probabilities), len(texts)), len(texts))
    return np.concatenate(probabilities)


def predictor_of_answers(file: Path, answers: Column, text_column: str | None, classes: str | None) -> SharePredictor:
    """The labels in a column of the table itself, by whomever they were given.

    Args:
        classes: the classes and the answers that mean them, as `--classes` takes them; None: guessed as by `train`.

    Raises:
        DataError, UsageError: the table cannot be read, a column is missing, or it is unclear what answers mean.
    """
    parameters = parameters_of(str(file), None, text_column, str(answers), classes)
    data = with_guesses({}, (), parameters, "--answers").data
    meanings = label_meanings_of(data)
    identity = np.eye(len(data.label_names))

    def predict(_rows: Sequence[Row], progress: Progress) -> Probabilities:
        again, _ = file_without_labels(file, data.columns.text, data.columns, by=answers)
        words = [(row.user or "").lower() for row in usable_rows(again, RowCounter(), progress)]
        classes_of_rows = [meanings.get(word) for word in words]
        without = classes_of_rows.count(None)
        if without:
            say(f"{plural(without, 'tweet')} without an answer that is a class")
        nothing = np.zeros(len(identity))
        return np.stack([nothing if index is None else identity[index] for index in classes_of_rows])

    return SharePredictor(
        f"answers in column {answers!r}", data.label_names, sheet_meanings(data), data.columns, predict
    )
