"""Recognises tweets that must not be trained on, also in the spellings that copies of tweets have."""

import re
from collections import defaultdict

from sentiment.data.text import UNKNOWN_AUTHOR, TweetForms

# An ellipsis at the end, or before links at the end: the text may have been cut, also within a word.
_CUT = re.compile(r"(?:…|(?<!\.)\.\.+)\s*+(?:https?://\S*+\s*+)*+$")
# A cut text is compared if it has this many words. Of 117,152 tweets of Sentiment140 4,041 end in an ellipsis; 21
# are then taken for the beginning of another tweet, such as "I have a headache...".
_MIN_CUT_WORDS = 4
_INDEXED_WORDS = _MIN_CUT_WORDS - 1  # the last word may be cut


class HeldOutTweets:
    """Tweets and authors that are held out from training.

    Besides equal normalised texts these count as copies: a text with "via @name" at its end, with HTML entities that
    were escaped several times, or with invisible characters inside words; and a text that was cut, if it is the
    beginning of the other one.
    """

    def __init__(self, forms: TweetForms) -> None:
        self._forms = forms
        self._keys: set[int] = set()
        self._authors: set[int] = set()
        # Normalised texts by their first words.
        self._texts: dict[str, set[str]] = defaultdict(set)
        self._cut_texts: dict[str, set[str]] = defaultdict(set)

    def add(self, key: int, author: int, text: str, form: str) -> None:
        """Hold a tweet and its author out; `form` is the normalised text, and `key` its hash."""
        self._keys.add(key)
        if author != UNKNOWN_AUTHOR:
            self._authors.add(author)
        original = self._forms.of_undecorated(text, form)
        first_words = _first_words(original)
        if is_cut(text, original):
            self._cut_texts[first_words].add(original)
        self._texts[first_words].add(original)

    def has_tweet(self, key: int, author: int, text: str, form: str) -> bool:
        """Whether a tweet or its author is held out, or the tweet is a copy of one that is."""
        if key in self._keys or author in self._authors:
            return True
        if not self._keys:
            return False
        original = self._forms.of_undecorated(text, form)
        first_words = _first_words(original)
        texts = self._texts.get(first_words, ())
        if original in texts:
            return True
        if any(original.startswith(beginning) for beginning in self._cut_texts.get(first_words, ())):
            return True
        return bool(texts) and is_cut(text, original) and any(whole.startswith(original) for whole in texts)


def _first_words(form: str) -> str:
    return " ".join(form.split(" ", _INDEXED_WORDS)[:_INDEXED_WORDS])


def is_cut(text: str, form: str) -> bool:
    """Whether a text, with this normalised text, ends in an ellipsis and is long enough to be compared."""
    if form.count(" ") < _MIN_CUT_WORDS - 1:
        return False
    return ("…" in text or ".." in text) and _CUT.search(text) is not None
