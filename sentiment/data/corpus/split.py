"""Which tweets are the same, which authors are, and which part a tweet belongs to, whatever else is in its file.

Nothing else decides this: the corpus, the text that vectors and language models learn from, and `evaluate --data` all
ask here, and the split hashes the forms by which copies are found. So no copy of a tweet is on another side than it.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sentiment.config import TextConfig
from sentiment.data.text import URL, USER, Tokenizer, WordCache, emoticon_mask
from sentiment.runs.records import PARTS

# The codes of a row's part are positions in PARTS; those of further test sets come behind, in the order of their names.
TRAIN, VALIDATION, TEST = range(len(PARTS))

# The key of an author who is not known.
UNKNOWN = 0

# Of a longer tweet a copy is recognised although it was cut. Tweets that agree so far are copies or of one template: in
# 117,152 tweets of Sentiment140 this joins 22 groups more, of which 2 have both labels, both of them true copies.
_COMPARED_WORDS = 12
_RETWEET = ["rt", USER]
_MANTISSA = 53


class TweetForms:
    """The forms of tweets: texts with equal forms are the same tweet, however a run cleans them.

    A form is made of the first twelve tokens that a model reads by default (links and user names masked, lower case, no
    letter more than three times in a row), of the text in Unicode's form NFKC, without punctuation, links,
    `RT @user:` at the beginning and hashtags at the end. Other hashtags count as words, and emoticons stay, since they
    may be all that tells praise from blame.

    Args:
        beside: a tokenizer that reads the same texts: where its tokens are those of a form, no text is split twice.
    """

    def __init__(self, beside: Tokenizer | None = None) -> None:
        usual = TextConfig()
        self._of_tokens = WordCache(lambda token: token.lower() if _counts(token) else "")
        self._tokenizer = Tokenizer(usual)
        self._shares_tokens = bool(beside and beside.config.model_copy(update={"lowercase": usual.lowercase}) == usual)

    def of(self, text: str, tokens: Sequence[str] | None = None) -> str:
        """The form of a text; empty if nothing is left of it.

        Args:
            tokens: those that the tokenizer `beside` makes of it.
        """
        text = self._tokenizer.prepare(text)
        if not text.isascii():
            tokens = self._tokenizer.split(unicodedata.normalize("NFKC", text))
        elif tokens is None or not self._shares_tokens:
            tokens = self._tokenizer.split(text)
        words = list(filter(None, map(self._of_tokens.__getitem__, tokens)))
        while words[:2] == _RETWEET and len(words) > 2:
            del words[:2]
        while len(words) > 1 and words[-1].startswith("#"):
            words.pop()
        return " ".join(words[:_COMPARED_WORDS]).replace("#", "")


def author_form(user: str | None) -> str:
    """The form by which authors are compared, without `@`, case and outer blanks; empty if the author is not known."""
    if not user:
        return ""
    return unicodedata.normalize("NFKC", user).strip().lstrip("@").strip().casefold()


def key_of(form: str) -> int:
    """64 bits that stand for a form.

    The chance that any of a million other tweets is taken for one of 1.3 million is 1 in 14 million.
    """
    return int.from_bytes(hashlib.blake2b(_encode(form), digest_size=8).digest(), "little", signed=True)


def author_key(form: str) -> int:
    """The same for the form of an author; UNKNOWN if it is empty."""
    return key_of(form) if form else UNKNOWN


def thinning_of(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each tweet, which does not depend on its part: those below a bound are a uniform sample.

    Args:
        keys: (n,) of the tweets.
    """
    numbers = (keys.view(np.uint64) >> np.uint64(64 - _MANTISSA)).astype(np.float64)
    return numbers * 2.0**-_MANTISSA


def stable_unit(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on `text` and `salt` only, the same on every machine."""
    digest = hashlib.blake2b(_encode(f"{salt}\0{text}"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> (64 - _MANTISSA)) * 2.0**-_MANTISSA


def part_code(author: str, form: str, validation_fraction: float, test_fraction: float) -> int:
    """TRAIN, VALIDATION or TEST, by the author if known, so that all tweets of an author are in one part.

    Args:
        author: the author's form.
        form: the tweet's form, which decides if the author is not known.
        validation_fraction: expected share of the tweets that are in the validation part.
        test_fraction: the same for the test part.
    """
    unit = stable_unit(author, "user") if author else stable_unit(form, "text")
    if unit < test_fraction:
        return TEST
    return VALIDATION if unit < test_fraction + validation_fraction else TRAIN


def folded_part_code(author: str, form: str, folds: int, fold: int, validation_fraction: float) -> int:
    """The same in cross-validation: each author, or text, is in the test part of one fold and of no other.

    Args:
        folds: number of test parts.
        fold: which of them is meant, counted from 1.
        validation_fraction: expected share of all tweets that are in the validation part.
    """
    whose, kind = (author, "user") if author else (form, "text")
    if int(stable_unit(whose, f"{kind}, folds") * folds) == fold - 1:
        return TEST
    of_the_rest = validation_fraction * folds / (folds - 1)
    return VALIDATION if stable_unit(whose, f"{kind}, validation of fold {fold}") < of_the_rest else TRAIN


def _counts(token: str) -> bool:
    if token == URL:
        return False
    if token.isalnum():
        return True
    return any(one.isalnum() or unicodedata.category(one) == "So" for one in token) or emoticon_mask(token) is not None


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
