"""A run's models on a table without labels: the tweets to label, and the model that is best by their labels.

Imports torch only when a model is loaded.
"""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import numpy as np

from sentiment.console import Progress, say
from sentiment.data.corpus import open_corpus
from sentiment.data.guess_columns import text_column
from sentiment.data.tables import Column, Row, RowCounter
from sentiment.errors import DataError
from sentiment.inference.added import label_meanings_of
from sentiment.inference.evaluate import EXAMPLE
from sentiment.inference.overlap import SCORED, overlaps
from sentiment.inference.predict import CHUNK, NO_WORDS, TextRow, text_rows
from sentiment.inference.stored import TrainedRun, load_all_models
from sentiment.labelling.choice import MIN_LABELS, Choice, PredictedTweets, choose, show_choice
from sentiment.labelling.sheet import how_to_label, read_labels, write_drawn
from sentiment.metrics import ClassIndices, predicted_classes
from sentiment.models.predictors import classify_by_all
from sentiment.runs.recommendation import SIMPLEST_FIRST
from sentiment.runs.records import PREDICTORS


def predict_table(
    run: TrainedRun, source: Path, column: Column | None, progress: Progress
) -> tuple[PredictedTweets, RowCounter]:
    """The predictions of a run's models for a table, and the rows that are left out.

    Left out are the run's training and validation tweets, other tweets of their authors, and tweets without a word
    that a model knows.

    Args:
        column: as in `predict_file`.

    Raises:
        DataError: the table cannot be read, or no row is left.
        UsageError: the column is missing or ambiguous.
    """
    table, index, findings = text_column(source, column, run.config.data.columns)
    if findings:
        say("\n".join(f"{source.name}: {finding}" for finding in findings))
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
    return PredictedTweets(texts, {name: np.concatenate(parts) for name, parts in predicted.items()}), counter


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


def write_choice_sheet(run: TrainedRun, tweets: PredictedTweets, sheet: Path, size: int, command: str) -> None:
    """Write the sheet of tweets that choose a model, and say how to go on.

    Args:
        command: the command that reads the sheet, without `--labelled`.

    Raises:
        DataError: the models label all tweets alike.
        UsageError: as `write_drawn`.
    """
    if not tweets.differ.any():
        raise DataError(f"{tweets.summary}: any of them will do, and no label can tell them apart")
    classes = run.config.data.label_names
    number = write_drawn(sheet, tweets.drawing, size, classes, MIN_LABELS)
    differing = int(tweets.differ[tweets.drawing.order[:number]].sum())
    say(f"{tweets.summary}\n{sheet}: {number:,} tweets, {differing:,} of which are among these")
    say("\n".join(how_to_label(sheet, classes, command)))


def choose_by_sheet(run: TrainedRun, tweets: PredictedTweets, sheet: Path, label_column: Column) -> Choice:
    """Choose a model by a sheet with labels, and print how sure the choice is.

    Raises:
        DataError, UsageError: as `read_labels` and `choose`.
    """
    labels = read_labels(sheet, tweets.drawing, label_meanings_of(run.config.data), label_column)
    choice = choose(tweets, labels, run.config.training.early_stopping.metric)
    show_choice(choice, tweets)
    kind = next(kind for kind in SIMPLEST_FIRST if PREDICTORS[kind] == choice.best)
    path = quote(run.path)
    say(f'use it       sentiment predict {path} --with {kind} "{EXAMPLE}"')
    say(f"hand it on   sentiment export {path} model.zip --with {kind}")
    return choice
