"""The one rule by which a text copies a tweet: what is held out is not trained on, and what was learned is not scored.

Texts with the same normalised text (`TweetForms`) are copies of each other, so also a tweet with "via @name" at its
end; and of a text that was cut and another one that begins with it, each is a copy of the other.
"""

import re
import zlib
from collections import defaultdict

import numpy as np

from sentiment.data.text import UNKNOWN_AUTHOR, undecorated
from sentiment.tokens import Flags, Indices, Integers

# Why none of a tweet's copies is used: it is unknown which of them has the right label.
SEVERAL_LABELS = "tweet with several labels"

# An ellipsis at the end, or before links and hashtags at the end: the text may have been cut, also within a word.
_CUT = re.compile(r"(?:…|(?<!\.)\.\.+)\s*+(?:(?:https?://|#)\S*+\s*+)*+$")
# A cut text is compared if it has this many words. Of 117,152 tweets of Sentiment140 4,041 end in an ellipsis; 21
# are then taken for the beginning of another tweet, such as "I have a headache...".
_MIN_CUT_WORDS = 4
_INDEXED_WORDS = _MIN_CUT_WORDS - 1  # the last word may be cut


class KnownTweets:
    """Tweets that others are compared with: those that are held out from training, or those that a model learned.

    A tweet is given by its text, by its normalised text `form`, and by the hash of that, `key`.
    """

    def __init__(self) -> None:
        self._count = 0
        self._by_key: dict[int, int] = {}
        self._authors: set[int] = set()
        # The number of a tweet by its normalised text, by the first words of that.
        self._texts: dict[str, dict[str, int]] = defaultdict(dict)
        self._cut_texts: dict[str, dict[str, int]] = defaultdict(dict)

    def __len__(self) -> int:
        return self._count

    def add(self, key: int, author: int, text: str, form: str) -> None:
        """Add a tweet and the key of its author. Tweets are numbered from 0."""
        number = self._count
        self._count += 1
        self._by_key.setdefault(key, number)
        if author != UNKNOWN_AUTHOR:
            self._authors.add(author)
        first_words = _first_words(form)
        self._texts[first_words].setdefault(form, number)
        if is_cut(text, form):
            self._cut_texts[first_words].setdefault(form, number)

    def original_of(self, key: int, text: str, form: str) -> int | None:
        """The number of the first known tweet that a text is a copy of; None if there is none."""
        number = self._by_key.get(key)
        if number is not None or not self._by_key:
            return number
        first_words = _first_words(form)
        for beginning, number in self._cut_texts.get(first_words, {}).items():
            if form.startswith(beginning):
                return number
        texts = self._texts.get(first_words)
        if texts and is_cut(text, form):
            for whole, number in texts.items():
                if whole.startswith(form):
                    return number
        return None

    def has(self, key: int, author: int, text: str, form: str) -> bool:
        """Whether a tweet is a copy of a known one, or by the author of one."""
        return author in self._authors or self.original_of(key, text, form) is not None


def have_several_labels(keys: Integers, labels: Indices) -> Flags:
    """Whether a copy of each tweet has another label, by the tweets' keys: then none of the copies is used."""
    _, firsts, tweets = np.unique(keys, return_index=True, return_inverse=True)
    differs = labels != labels[firsts[tweets]]
    return np.isin(tweets, tweets[differs])


def beginning_of(form: str) -> int:
    """32-bit hash of the first words of a normalised text; only texts in which it is equal can be copies."""
    return zlib.crc32(_first_words(form).encode("utf-8", "surrogatepass"))


def _first_words(form: str) -> str:
    return " ".join(form.split(" ", _INDEXED_WORDS)[:_INDEXED_WORDS])


def is_cut(text: str, form: str) -> bool:
    """Whether a text, with this normalised text, ends in an ellipsis and is long enough to be compared."""
    if form.count(" ") < _MIN_CUT_WORDS - 1:
        return False
    return ("…" in text or ".." in text) and _CUT.search(undecorated(text)) is not None
