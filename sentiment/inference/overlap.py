"""Overlap of a user's file with a run's training, validation and test tweets."""

from collections.abc import Sequence

import numpy as np

from sentiment.data.corpus import Corpus, open_corpus
from sentiment.data.held_out import HeldOutTweets, is_cut
from sentiment.data.preparation import TEST, TRAIN, VALIDATION
from sentiment.data.rows import Row
from sentiment.data.text import UNKNOWN_AUTHOR, TweetForms, author_form, author_key, key_of
from sentiment.errors import DataError
from sentiment.inference.stored import TrainedRun

NEAR_COPY = "shortened or decorated copies of what the model was trained on or chosen by"
OWN_TEST = "test tweets of the run, which are not used to choose a model"
# Rows that overlap in no other way are scored; None is a row without overlap.
SCORED = (NEAR_COPY, OWN_TEST, None)
# By the part of the run's tweet, the strongest overlap last, since a later entry replaces an earlier one.
_BY_TEXT = {
    TEST: OWN_TEST,
    VALIDATION: "the model was chosen by a validation tweet of the same words",
    TRAIN: "the model was trained on a tweet of the same words",
}
_BY_AUTHOR = {
    VALIDATION: "the author's other tweets were validation tweets, by which the model was chosen",
    TRAIN: "the model was trained on other tweets of the author",
}
# A text that was cut is compared with the tweets that begin with the same characters, this many.
_BEGINNING = 12


def overlaps_with(run: TrainedRun, rows: Sequence[Row]) -> tuple[list[str | None], str]:
    """As `overlaps`, and the reason why the run's tweets are not known; empty if they are."""
    try:
        corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
    except DataError as error:
        return [None] * len(rows), str(error)
    return overlaps(corpus, rows), ""


def overlaps(corpus: Corpus, rows: Sequence[Row]) -> list[str | None]:
    """How each row overlaps with the tweets of a run's corpus: a value of _BY_TEXT or _BY_AUTHOR, NEAR_COPY or None.

    Two texts are equal if all of their normalised words are the same.
    """
    forms = TweetForms()
    row_forms = [forms.of(row.text) for row in rows]
    by_author = _overlap_by_author(corpus)
    by_text: dict[str, str] = {}
    seen = HeldOutTweets(forms)
    for part, key, text in _possible_copies(corpus, rows, row_forms, forms):
        by_text[forms.of_all_words(text)] = _BY_TEXT[part]
        if part != TEST:
            seen.add(key, UNKNOWN_AUTHOR, text, forms.of(text))
    overlap_of_rows = []
    for row, form in zip(rows, row_forms, strict=True):
        overlap = by_text.get(forms.of_all_words(row.text))
        if overlap is None and seen.has_tweet(key_of(form), UNKNOWN_AUTHOR, row.text, form):
            overlap = NEAR_COPY
        if overlap in SCORED:
            overlap = by_author.get(author_key(author_form(row.user)), overlap)
        overlap_of_rows.append(overlap)
    return overlap_of_rows


def _overlap_by_author(corpus: Corpus) -> dict[int, str]:
    by_author: dict[int, str] = {}
    for part, overlap in _BY_AUTHOR.items():
        by_author |= dict.fromkeys(corpus.authors[corpus.parts == part].tolist(), overlap)
    by_author.pop(UNKNOWN_AUTHOR, None)
    return by_author


def _possible_copies(
    corpus: Corpus, rows: Sequence[Row], row_forms: Sequence[str], forms: TweetForms
) -> list[tuple[int, int, str]]:
    """Part, key and text of the run's tweets that have the first words of a row, in the order of _BY_TEXT."""
    texts = corpus.texts().to_pylist()
    keys = set()
    beginnings = set()
    for row, form in zip(rows, row_forms, strict=True):
        keys |= {key_of(form), key_of(forms.of_undecorated(row.text, form))}
        if is_cut(row.text, form):
            beginnings.add(row.text[:_BEGINNING].lower())
    has_beginning = np.array([text[:_BEGINNING].lower() in beginnings for text in texts], np.bool_)
    is_possible = has_beginning | np.isin(corpus.keys, np.array([*keys], np.int64))
    copies = []
    for part in _BY_TEXT:
        indices = np.flatnonzero(is_possible & (corpus.parts == part)).tolist()
        copies += [(part, int(corpus.keys[index]), texts[index]) for index in indices]
    return copies
