"""Overlap of a user's file with a run's training, validation and test tweets: what the run's models may be scored on.

Copies are recognised by the rule that training has (`sentiment.data.copies`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sentiment.config import ColumnConfig
from sentiment.console import Progress
from sentiment.data.copies import KnownTweets, beginning_of
from sentiment.data.corpus import Corpus, open_corpus
from sentiment.data.guess_columns import Reading, open_texts
from sentiment.data.preparation import TEST, TRAIN, VALIDATION
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import open_file, usable_rows
from sentiment.data.table import ID_NAMES
from sentiment.data.text import UNKNOWN_AUTHOR, TweetForms, author_form, author_key, key_of
from sentiment.errors import DataError
from sentiment.files import write_user_file
from sentiment.inference.stored import TrainedRun
from sentiment.labelling.sheet import for_spreadsheet
from sentiment.tokens import Rows

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


def list_overlaps(run: TrainedRun, source: Path, reading: Reading, target: Path, progress: Progress) -> int:
    """Write the rows of a table that overlap with a run's tweets as CSV for spreadsheets; returns their number.

    Each has its id, if the table has ids, else its line.

    Raises:
        DataError: the table cannot be read, or the run's tweets are not known.
        UsageError: the column is missing or ambiguous.
    """
    table, index, _ = open_texts(source, run.config.data.columns, reading)
    own_id = next(iter(table.usual_indices(ID_NAMES)), None)
    file = open_file(table, ColumnConfig(text=index, id=own_id), None)
    rows = [*usable_rows(file, RowCounter(), progress, reading.leave_out)]
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
