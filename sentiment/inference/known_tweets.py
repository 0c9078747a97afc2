"""Recognises tweets of other tables that a run was trained on, or chosen or tested by."""

from collections.abc import Sequence

import numpy as np

from sentiment.data.corpus import Corpus
from sentiment.data.held_out import HeldOutTweets, is_cut
from sentiment.data.preparation import TEST, TRAIN, VALIDATION
from sentiment.data.tables import Row
from sentiment.data.text import UNKNOWN_AUTHOR, TweetForms, author_form, author_key, key_of
from sentiment.runs.run_dir import TWEETS_FILE

# By the part of the run's tweet, the strongest reason last.
_BY_AUTHOR = {
    VALIDATION: "the author's other tweets were validation tweets, by which the model was chosen",
    TRAIN: "the model was trained on other tweets of the author",
}
_BY_TEXT = {
    VALIDATION: "the model was chosen by a validation tweet of the same words",
    TRAIN: "the model was trained on a tweet of the same words",
}
# These rows are scored.
NEAR_COPY = "shortened or decorated copies of what the model was trained on or chosen by"
OWN_TEST = "test tweets of the run, which choose nothing"
SCORED = (NEAR_COPY, OWN_TEST, None)
# A text that was cut is compared with the tweets that begin with as many characters.
_BEGINNING = 12


class KnownTweets:
    """The tweets of a run's corpus; equal is a tweet of which all normalised words are the same."""

    def __init__(self, corpus: Corpus) -> None:
        import pyarrow.parquet as pq

        self._corpus = corpus
        self._texts = pq.read_table(corpus.path / TWEETS_FILE, columns=["text"])["text"].to_pylist()
        self._forms = TweetForms()
        self._by_author: dict[int, str] = {}
        for part, reason in _BY_AUTHOR.items():
            self._by_author |= dict.fromkeys(corpus.authors[corpus.parts == part].tolist(), reason)
        self._by_author.pop(UNKNOWN_AUTHOR, None)

    def remarks(self, rows: Sequence[Row]) -> list[str | None]:
        """Why each row must not be scored, else NEAR_COPY, OWN_TEST, or None for a tweet that the run does not know."""
        forms = [self._forms.of(row.text) for row in rows]
        part_of_text: dict[str, int] = {}
        learned = HeldOutTweets(self._forms)
        for index in self._possible_copies(rows, forms):
            text = self._texts[index]
            part = int(self._corpus.parts[index])
            whole = self._forms.whole(text)
            part_of_text[whole] = min(part, part_of_text.get(whole, part))  # TRAIN is the lowest
            if part != TEST:
                learned.add(int(self._corpus.keys[index]), UNKNOWN_AUTHOR, text, self._forms.of(text))
        remarks = []
        for row, form in zip(rows, forms, strict=True):
            part_or_none = part_of_text.get(self._forms.whole(row.text))
            remark = self._by_author.get(author_key(author_form(row.user)))
            if part_or_none in _BY_TEXT:
                remark = _BY_TEXT[part_or_none]
            elif remark is None and part_or_none == TEST:
                remark = OWN_TEST
            elif remark is None and learned.has_tweet(key_of(form), UNKNOWN_AUTHOR, row.text, form):
                remark = NEAR_COPY
            remarks.append(remark)
        return remarks

    def _possible_copies(self, rows: Sequence[Row], forms: Sequence[str]) -> list[int]:
        """The indices of the run's own tweets that have the first words of a row."""
        keys = set()
        beginnings = set()
        for row, form in zip(rows, forms, strict=True):
            keys |= {key_of(form), key_of(self._forms.of_original(row.text, form))}
            if is_cut(row.text, form):
                beginnings.add(row.text[:_BEGINNING].lower())
        is_possible = np.isin(self._corpus.keys, np.array([*keys], np.int64))
        if beginnings:
            is_possible |= np.array([text[:_BEGINNING].lower() in beginnings for text in self._texts])
        return np.flatnonzero(is_possible & (self._corpus.parts <= TEST)).tolist()
