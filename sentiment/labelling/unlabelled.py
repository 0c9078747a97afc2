"""A table without labels and the predictions for it: the tweets to label, and the best predictor by their labels.

Imports torch only when a model is loaded.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentiment.config import DataConfig
from sentiment.console import Progress, say
from sentiment.data.guess_columns import text_column
from sentiment.data.tables import Column, Row
from sentiment.errors import DataError
from sentiment.inference.added import sheet_meanings
from sentiment.inference.evaluate import uses_of
from sentiment.inference.overlap import SCORED, overlaps_with
from sentiment.inference.own_sample import classify_all
from sentiment.inference.predict import NO_WORDS, readable_rows
from sentiment.inference.stored import TrainedRun, load_all_models
from sentiment.labelling.choice import MIN_LABELS, PredictedTweets, choose, show_choice
from sentiment.labelling.sheet import how_to_label, labelled_file, read_labels, write_drawn
from sentiment.metrics import predicted_classes
from sentiment.runs.recommendation import SIMPLEST_FIRST, Choice
from sentiment.runs.records import PREDICTORS


@dataclass(frozen=True)
class PredictedTable:
    """A table without labels, with the predictions for it.

    Attributes:
        source: the name of its file.
        data: names the classes, and the labels that mean them.
        metric: by which predictors are compared, as `choose` takes it.
        uses: by the name of a predictor, lines on how to use it.
    """

    source: str
    tweets: PredictedTweets
    data: DataConfig
    metric: str
    uses: Mapping[str, Sequence[str]]

    def draw(self, sheet: Path, size: int, command: str) -> None:
        """Write the sheet of tweets that tell the predictors apart, and say how to go on.

        Args:
            command: this command without `--sheet`.

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
        say(f"{command} --labelled {shlex.quote(str(labelled_file(sheet)))}")

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
    rows, counter, remarks = readable_rows(table, index)
    lines += remarks
    overlap_of_rows, unknown = overlaps_with(run, [Row("", None, 0, row.text, row.record.line) for row in rows])
    if unknown:
        lines.append(f"warning: cannot exclude training tweets: {unknown}")
    new_rows = []
    for row, overlap in zip(rows, overlap_of_rows, strict=True):
        if overlap in SCORED:
            new_rows.append(row)
        else:
            counter.add(str(overlap), row.record.line)
    predictions = classify_all(load_all_models(run), [row.text for row in new_rows], progress)
    texts = []
    for row, is_usable in zip(new_rows, predictions["both"].usable.tolist(), strict=True):
        if is_usable:
            texts.append(row.text)
        else:
            counter.add(NO_WORDS, row.record.line)
    if not texts:
        raise DataError(f"{source}: has no tweets to choose a model by: {counter.summary()}")
    if counter.total():
        lines.append(f"left out: {counter.summary()}")
    predicted = {}
    uses = {}
    for kind in SIMPLEST_FIRST:
        of_kind = predictions[kind].probabilities[predictions["both"].usable]
        predicted[PREDICTORS[kind]] = predicted_classes(of_kind)
        uses[PREDICTORS[kind]] = uses_of(shlex.quote(run.path), f"--with {kind}")
    metric = run.config.training.early_stopping.metric
    tweets = PredictedTweets(texts, predicted)
    return PredictedTable(source.name, tweets, run.config.data, metric, uses), lines
