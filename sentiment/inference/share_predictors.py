"""The predictions that labels correct in `share`: those of a model, or the answers in a column of the table.

Does not import torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sentiment.config import DataConfig
from sentiment.config_file import resolve
from sentiment.console import Progress, plural, say
from sentiment.data.classes import Meanings
from sentiment.data.rows import Row
from sentiment.data.table import Column
from sentiment.inference.added import classes_of_values, label_meanings_of, sheet_meanings
from sentiment.inference.overlap import overlaps_with
from sentiment.inference.predict import CHUNK, in_parallel
from sentiment.inference.stored import TrainedRun, model_of, open_stored
from sentiment.labelling.drawn import name_in
from sentiment.runs.records import DEFAULT_THRESHOLD, ModelKind
from sentiment.runs.run_dir import Results
from sentiment.statistics.metrics import Flags, Probabilities


@dataclass(frozen=True)
class SharePredictor:
    """A predictor of the classes of a table's tweets.

    Attributes:
        data: names the classes, and the columns of tables that it knows.
        predict: the probabilities of the classes of rows, (n, classes); rows of 0 where there is no answer.
        learned: which of some rows the model learned, or rows that they copy, (n,).
        model: what a printed command calls it, if it is a model.
        results: the results folder that remembers the sheets.
    """

    name: str
    data: DataConfig
    predict: Callable[[Sequence[Row], Progress], Probabilities]
    learned: Callable[[Sequence[Row]], Flags]
    threshold: float = DEFAULT_THRESHOLD
    model: str | None = None
    results: Results = field(default_factory=Results)

    @property
    def classes(self) -> Sequence[str]:
        return self.data.label_names

    @property
    def meanings(self) -> Meanings:
        """What each lower-cased label on a sheet means."""
        return sheet_meanings(self.data)


def predictor_of_model(path: Path, choice: ModelKind | None, results: Path | None) -> SharePredictor:
    """The model of a run, or of an exported file; raises as `open_model`."""
    stored = open_stored(path, results)
    model = model_of(stored, choice)

    def predict(rows: Sequence[Row], progress: Progress) -> Probabilities:
        chunks = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
        probabilities: list[Probabilities] = []
        for _, predictions in in_parallel(model, chunks, lambda chunk: [row.text for row in chunk]):
            probabilities.append(predictions.probabilities)
            progress("predicting", min(CHUNK * len(probabilities), len(rows)), len(rows))
        return np.concatenate(probabilities)

    def learned(rows: Sequence[Row]) -> Flags:
        if not isinstance(stored, TrainedRun):
            say(f"warning: {path} does not say which tweets it learned; labels of such tweets would hide its errors")
            return np.zeros(len(rows), bool)
        found, unknown = overlaps_with(stored, rows)
        if unknown:
            say(f"warning: cannot exclude training tweets: {unknown}")
        return np.array([overlap.is_learned for overlap in found])

    name = str(path.resolve())
    if isinstance(stored, TrainedRun):
        name = name_in(stored.results, stored.run_dir)
    return SharePredictor(
        model.name, model.config.data, predict, learned, model.threshold, model=name, results=stored.results
    )


def predictor_of_answers(file: Path, answers: Column, rows: Sequence[Row], classes: str | None) -> SharePredictor:
    """The labels in a column of the table itself, by whomever they were given.

    Args:
        rows: all tweets of the file; their answers are the first of `Row.further`.
        classes: the classes and the answers that mean them, as `--classes` takes them; None: known words, if all
            answers are.

    Raises:
        ConfigError, UsageError: `classes` is malformed, or it is unclear what answers mean.
    """
    values = {row.further[0].lower() for row in rows} - {""}
    labels = classes or classes_of_values(values, None, f"{file}: column {answers!r}")
    data = resolve({}, {"data.source": str(file), "data.labels": labels}, "--classes").data
    meanings = label_meanings_of(data)
    classes_and_none = np.eye(len(data.label_names) + 1)[:, :-1]  # the last row is that of no class

    def predict(rows: Sequence[Row], _progress: Progress) -> Probabilities:
        indices = [meanings.get(row.further[0].lower()) for row in rows]
        without = indices.count(None)
        if without:
            say(f"{plural(without, 'tweet')} without an answer that is a class")
        return classes_and_none[[-1 if index is None else index for index in indices]]

    def learned(rows: Sequence[Row]) -> Flags:
        return np.zeros(len(rows), bool)  # whoever answered

    return SharePredictor(f"answers in column {answers!r}", data, predict, learned)
