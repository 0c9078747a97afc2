"""Tweets of a user's table: which of them a run may be scored on, and the predictions of all its models for them.

A run's training, validation and test tweets, and copies of them, are recognised by the rule that training has
(`sentiment.data.copies`).
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sentiment.answers.table import AnswerTable, Predictor
from sentiment.config import ColumnConfig
from sentiment.console import Progress
from sentiment.data.copies import SEVERAL_LABELS, KnownTweets, beginning_of, have_several_labels
from sentiment.data.corpus import Corpus, open_corpus
from sentiment.data.guess_columns import Reading, open_texts
from sentiment.data.preparation import TEST, TRAIN, VALIDATION
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import open_file, usable_rows
from sentiment.data.table import ID_NAMES, Column
from sentiment.data.text import UNKNOWN_AUTHOR, TweetForms, author_form, author_key, key_of
from sentiment.errors import DataError
from sentiment.files import write_user_file
from sentiment.models.predictors import classify_by_all
from sentiment.models.text_model import Predictions, TextModel
from sentiment.predicting.files import CHUNK, NO_WORDS, for_spreadsheet
from sentiment.predicting.stored import TrainedRun
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, PredictorKind
from sentiment.statistics.metrics import UNLABELLED
from sentiment.tokens import Flags, Integers, Rows


class TextRows(NamedTuple):
    """The tweets of a table whose labels are not read.

    Attributes:
        left_out: the rows without a text.
        findings: what is to be told about the table.
    """

    rows: list[Row]
    left_out: RowCounter
    findings: list[str]


def read_texts(
    source: Path, trained: ColumnConfig, reading: Reading, progress: Progress, further: Sequence[Column] = ()
) -> TextRows:
    """Read the tweets of a table, with their ids if it has any.

    Args:
        trained: the columns of the training table.
        further: columns whose cells are `Row.further`.

    Raises:
        DataError: the table cannot be read, or has too many rows that cannot be used.
        UsageError: a column is missing or ambiguous.
    """
    table, index, findings = open_texts(source, trained, reading, further)
    file = open_file(table, ColumnConfig(text=index, id=table.usual_index(ID_NAMES)), None, further=further)
    left_out = RowCounter()
    rows = [*usable_rows(file, left_out, progress, reading.leave_out)]
    return TextRows(rows, left_out, findings)


COPY = "a copy of another row"
OWN_TEST = "test tweets of the run, which are not used to choose a model"
# By the part of the run's tweet, the strongest overlap last, since a later one replaces an earlier one.
_BY_TEXT = {
    TEST: OWN_TEST,
    VALIDATION: "the model was chosen by this validation tweet, or by one that it copies",
    TRAIN: "the model was trained on this tweet, or on one that it copies",
}
_BY_AUTHOR = {
    VALIDATION: "the author's other tweets were validation tweets, by which the model was chosen",
    TRAIN: "the model was trained on other tweets of the author",
}


class Overlap(NamedTuple):
    """How a row overlaps with a run's tweets.

    Attributes:
        reason: a value of _BY_TEXT or _BY_AUTHOR; empty if it does not overlap.
        tweet: the run's tweet that it is a copy of; empty if there is none.
    """

    reason: str = ""
    tweet: str = ""

    @property
    def is_learned(self) -> bool:
        """Whether a model was trained on it or chosen by it."""
        return self.reason not in ("", OWN_TEST)


def overlaps_with(run: TrainedRun, rows: Sequence[Row]) -> tuple[list[Overlap], str]:
    """As `overlaps`, and the reason why the run's tweets are not known; empty if they are."""
    try:
        corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
    except DataError as error:
        return [Overlap()] * len(rows), str(error)
    return overlaps(corpus, rows), ""


def overlaps(corpus: Corpus, rows: Sequence[Row]) -> list[Overlap]:
    """How each row overlaps with the tweets of a run's corpus."""
    forms = TweetForms()
    row_forms = [forms.of(row.text) for row in rows]
    beginnings = np.array([beginning_of(form) for form in row_forms], np.uint32)
    is_possible = np.isin(corpus.beginnings, beginnings)
    found = [Overlap()] * len(rows)
    for part, reason in _BY_TEXT.items():
        known, texts = _known_tweets(corpus, np.flatnonzero(is_possible & (corpus.parts == part)), forms)
        for index, (row, form) in enumerate(zip(rows, row_forms, strict=True)):
            original = known.original_of(key_of(form), row.text, form)
            if original is not None:
                found[index] = Overlap(reason, texts[original])
    by_author = _overlap_by_author(corpus)
    for index, row in enumerate(rows):
        if not found[index].is_learned:
            found[index] = by_author.get(author_key(author_form(row.user)), found[index])
    return found


def _known_tweets(corpus: Corpus, indices: Rows, forms: TweetForms) -> tuple[KnownTweets, list[str]]:
    """Tweets of a corpus, and their texts by their numbers."""
    known = KnownTweets()
    texts = corpus.texts().take(indices).to_pylist()
    for index, text in zip(indices.tolist(), texts, strict=True):
        known.add(int(corpus.keys[index]), UNKNOWN_AUTHOR, text, forms.of(text))
    return known, texts


def _overlap_by_author(corpus: Corpus) -> dict[int, Overlap]:
    by_author: dict[int, Overlap] = {}
    for part, reason in _BY_AUTHOR.items():
        by_author |= dict.fromkeys(corpus.authors[corpus.parts == part].tolist(), Overlap(reason))
    by_author.pop(UNKNOWN_AUTHOR, None)
    return by_author


class NewTweets(NamedTuple):
    """Tweets of a table, with the predictions of all predictors of a run that read texts.

    Attributes:
        table: of `rows`.
        is_own_test: which of the tweets are test tweets of the run, (n,).
        unknown_overlap: the reason why the overlap with the run's tweets is not known; empty if it is known.
    """

    rows: list[Row]
    table: AnswerTable
    is_own_test: Flags
    unknown_overlap: str

    def warnings(self) -> list[str]:
        unknown = self.unknown_overlap
        return [f"  warning: cannot exclude training tweets: {unknown}"] if unknown else []


def predict_new(
    run: TrainedRun, rows: Sequence[Row], counter: RowCounter, progress: Progress, has_own_test: bool
) -> NewTweets:
    """The tweets of a table that a run may be scored on, with its predictions.

    Left out are the run's training and validation tweets, copies of these, other tweets of their authors, copies of
    another row, which say nothing new, all copies of a tweet with different labels, and tweets without a word that a
    model knows.

    Args:
        counter: gets the rows that are left out, by reason, and test tweets of the run.
        has_own_test: whether test tweets of the run are not left out; they must not choose a model.

    Raises:
        DataError: no row is left.
    """
    found, unknown_overlap = overlaps_with(run, rows)
    reasons = [overlap.reason for overlap in found]
    allowed = ("", OWN_TEST) if has_own_test else ("",)
    labels = np.array([UNLABELLED if row.label is None else row.label for row in rows], np.int64)
    _mark_copies(rows, labels, reasons, allowed)
    possible = np.array([index for index, reason in enumerate(reasons) if reason in allowed], np.int64)
    texts = [rows[index].text for index in possible.tolist()]
    predictions = classify_all(run.models(), texts, progress)
    usable = np.logical_and.reduce([predictions[kind].usable for kind in MODEL_KINDS])
    for index in possible[~usable].tolist():
        reasons[index] = NO_WORDS
    for row, reason in zip(rows, reasons, strict=True):
        if reason:
            counter.add(reason, row.line)
    scored = possible[usable].tolist()
    if not scored:
        raise DataError(f"no row is left to score a model on; left out: {counter.summary() or 'none'}")
    kept = [rows[index] for index in scored]
    predictors = []
    for kind, of_kind in predictions.items():
        predictors.append(Predictor(PREDICTORS[kind], kind, of_kind.probabilities[usable]))
    kept_texts = [row.text for row in kept]
    table = AnswerTable(np.arange(len(kept)), labels[scored], predictors, [row.id for row in kept], kept_texts)
    is_own_test = np.array([reasons[index] == OWN_TEST for index in scored])
    return NewTweets(kept, table, is_own_test, unknown_overlap)


def _mark_copies(rows: Sequence[Row], labels: Integers, reasons: list[str], allowed: Collection[str]) -> None:
    """Give copies of one tweet a reason to be left out: all but one, or all of them if they have different labels.

    The shortest one is left, whatever the order of the rows. All of them had an allowed reason.
    """
    forms = TweetForms()
    candidates = [index for index, reason in enumerate(reasons) if reason in allowed]
    candidates.sort(key=lambda index: (len(rows[index].text), rows[index].text))
    keys = np.array([key_of(forms.of(rows[index].text)) for index in candidates], np.int64)
    is_contradicted = have_several_labels(keys, labels[candidates])
    firsts = {*np.unique(keys, return_index=True)[1].tolist()}
    for number, index in enumerate(candidates):
        if is_contradicted[number]:
            reasons[index] = SEVERAL_LABELS
        elif number not in firsts:
            reasons[index] = COPY


def classify_all(
    models: Sequence[TextModel], texts: Sequence[str], progress: Progress
) -> dict[PredictorKind, Predictions]:
    """The predictions of all models; each text is read once by each model."""
    chunks = []
    for start in range(0, len(texts) or 1, CHUNK):
        progress("classifying", start, len(texts))
        chunks.append(classify_by_all(models, texts[start : start + CHUNK]))
    return {kind: Predictions.joined([chunk[kind] for chunk in chunks]) for kind in chunks[0]}


def list_overlaps(run: TrainedRun, source: Path, reading: Reading, target: Path, progress: Progress) -> int:
    """Write the rows of a table that overlap with a run's tweets as CSV for spreadsheets; returns their number.

    Each has its id, if the table has ids, else its line.

    Raises:
        DataError: the table cannot be read, or the run's tweets are not known.
        UsageError: the column is missing or ambiguous.
    """
    rows = read_texts(source, run.config.data.columns, reading, progress).rows
    found, unknown = overlaps_with(run, rows)
    if unknown:
        raise DataError(unknown)
    listed = []
    for row, overlap in zip(rows, found, strict=True):
        if overlap.reason:
            texts = map(for_spreadsheet, (row.text, overlap.tweet))
            listed.append((row.line, row.id, *texts, overlap.reason))
    written = pd.DataFrame(listed, columns=["line", "id", "text", "tweet_of_run", "overlap"])
    content = written.to_csv(index=False).encode("utf-8-sig", "replace")
    write_user_file(target, lambda opened: opened.write(content))
    return len(written)
