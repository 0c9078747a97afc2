"""A table without labels and the predictions for it: the tweets to label, and the best predictor by their labels.

Imports torch only when a model is loaded.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sentiment.config import DataConfig
from sentiment.console import Progress, say
from sentiment.data.corpus import open_corpus
from sentiment.data.guess_columns import text_column
from sentiment.data.tables import Column, Row, RowCounter
from sentiment.errors import DataError
from sentiment.inference.added import sheet_meanings
from sentiment.inference.evaluate import EXAMPLE
from sentiment.inference.overlap import SCORED, overlaps
from sentiment.inference.predict import CHUNK, NO_WORDS, TextRow, text_rows
from sentiment.inference.stored import TrainedRun, load_all_models
from sentiment.labelling.choice import MIN_LABELS, PredictedTweets, choose, show_choice
from sentiment.labelling.sheet import how_to_label, labelled_file, read_labels, write_drawn
from sentiment.metrics import ClassIndices, predicted_classes
from sentiment.models.predictors import classify_by_all
from sentiment.runs.recommendation import SIMPLEST_FIRST
from sentiment.runs.records import PREDICTORS, Choice


@dataclass(frozen=True)
class PredictedTable:
    """A table without labels, with the predictions for it.

    Attributes:
        source: the name of its file.
        data: names the classes, and the labels that mean them.
        metric: by which predictors are compared, as `choose` takes it.
        command: the command that draws a sheet from it, without `--sheet`.
        uses: by the name of a predictor, lines on how to use it.
    """

    source: str
    tweets: PredictedTweets
    data: DataConfig
    metric: str
    command: str
    uses: Mapping[str, Sequence[str]]

    def draw(self, sheet: Path, size: int) -> None:
        """Write the sheet of tweets that tell the predictors apart, and say how to go on.

        Raises:
            DataError: the predictors label all tweets alike.
            UsageError: as `write_drawn`.
        """
        differ = self.tweets.differ
        if not differ.any():
            raise DataError(f"{self.tweets.summary}: any of them will do, and no label can tell them apart")
        classes = self.data.label_names
        number = write_drawn(sheet, self.tweets.drawing, size, classes, MIN_LABELS)
        differing = int(differ[self.tweets.drawing.order[:number]].sum())
        say(f"{self.tweets.summary}\n{sheet}: {number:,} tweets, {differing:,} of which are among these")
        say(how_to_label(sheet, classes))
        say(f"{self.command} --labelled {shlex.quote(str(labelled_file(sheet)))}")

    def choose(self, sheet: Path, label_column: Column) -> Choice:
        """Choose the best predictor by a sheet with labels, and print how sure the choice is.

        Raises:
            DataError, UsageError: as `read_labels` and `choose`.
        """
        labels = read_labels(sheet, self.tweets.drawing, sheet_meanings(self.data), label_column)
        choice = choose(self.source, self.tweets, labels, self.metric)
        show_choice(choice)
        say("\n".join(self.uses[choice.best]))
        return choice


def predict_table(
    run: TrainedRun, source: Path, column: Column | None, progress: Progress
) -> tuple[PredictedTable, list[str]]:
    """The predictions of a run's models for a table, and lines on what was read.

    Left out are the run's training and validation tweets, other tweets of their authors, and tweets without a word
    that a model knows.

    Args:
        column: as in `predict_file`.

    Raises:
        DataError: the table cannot be read, or no row is left.
        UsageError: the column is missing or ambiguous.
    """
    table, index, lines = text_column(source, column, run.config.data.columns)
    counter = RowCounter()
    rows: list[TextRow] = []
    for row in text_rows(table, index):
        if row.refused:
            counter.add(row.refused, row.record.line)
        else:
            rows.append(row)
    rows = _without_overlap(run, rows, counter)
    texts: list[str] = []
    predicted: dict[str, list[ClassIndices]] = {PREDICTORS[kind]: [] for kind in SIMPLEST_FIRST}
    models = load_all_models(run) if rows else []
    for start in range(0, len(rows), CHUNK):
        progress(f"reading {source.name}", start, len(rows))
        chunk = rows[start : start + CHUNK]
        predictions = classify_by_all(models, [row.text for row in chunk])
        usable = predictions["both"].usable
        for row, is_usable in zip(chunk, usable.tolist(), strict=True):
            if is_usable:
                texts.append(row.text)
            else:
                counter.add(NO_WORDS, row.record.line)
        for kind in SIMPLEST_FIRST:
            predicted[PREDICTORS[kind]].append(predicted_classes(predictions[kind].probabilities[usable]))
    if not texts:
        raise DataError(f"{source}: has no tweets to choose a model by: {counter.summary()}")
    if counter.total():
        lines.append(f"left out: {counter.summary()}")
    path = shlex.quote(run.path)
    options = [] if column is None else ["--text-column", str(column)]
    predicted_table = PredictedTable(
        source=source.name,
        tweets=PredictedTweets(texts, {name: np.concatenate(parts) for name, parts in predicted.items()}),
        data=run.config.data,
        metric=run.config.training.early_stopping.metric,
        command=shlex.join(["sentiment", "evaluate", run.path, "--data", str(source), *options]),
        uses={
            PREDICTORS[kind]: [
                f'use it       sentiment predict {path} --with {kind} "{EXAMPLE}"',
                f"hand it on   sentiment export {path} model.zip --with {kind}",
            ]
            for kind in SIMPLEST_FIRST
        },
    )
    return predicted_table, lines


def _without_overlap(run: TrainedRun, rows: Sequence[TextRow], counter: RowCounter) -> list[TextRow]:
    """The rows that the run was neither trained on nor chosen by."""
    try:
        corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
    except DataError as error:
        say(f"warning: cannot exclude training tweets: {error}")
        return [*rows]
    as_rows = [Row("", None, 0, row.text, row.record.line) for row in rows]
    kept = []
    for row, overlap in zip(rows, overlaps(corpus, as_rows), strict=True):
        if overlap in SCORED:
            kept.append(row)
        else:
            counter.add(overlap or "", row.record.line)
    return kept
