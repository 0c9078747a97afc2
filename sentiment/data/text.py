"""From a tweet's text to its tokens: cleaned as configured, split by NLTK's TweetTokenizer, with a word cache."""

import hashlib
import html
import importlib
import importlib.util
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, count
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt

from sentiment.config import TextConfig


def tweet_patterns() -> tuple[Any, Any]:
    """What NLTK's TweetTokenizer takes for a token, and a character that occurs four times or more in a row.

    Its module is imported without its packages, which import scikit-learn, SciPy and pandas; afterwards they are as if
    never imported.
    """
    before, spec = {*sys.modules}, importlib.util.find_spec("nltk")
    if spec and spec.origin and "nltk" not in before:
        for name in ("nltk", "nltk.tokenize"):
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(Path(spec.origin).parents[1].joinpath(*name.split(".")))]
    # Not the tokenizer's method `tokenize`, which always unescapes HTML.
    casual = importlib.import_module("nltk.tokenize.casual")
    for name in {one for one in sys.modules if one.split(".")[0] == "nltk"} - before:
        del sys.modules[name]
    return casual.TweetTokenizer().PHONE_WORD_RE, casual.HANG_RE


SMILE, FROWN, EMOTICON = "<smile>", "<frown>", "<emoticon>"

# The shapes that NLTK's TweetTokenizer keeps together: a face from either side, or a heart.
_FACE = re.compile(
    r"""
    [<>]? [:;=8] [-o*']? (?P<mouth> [)\](\[dDpP/:}{@|\\] )
  | (?P<mirrored> [)\](\[dDpP/:}{@|\\] ) [-o*']? [:;=8] [<>]?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HEARTS = {"<3": SMILE, "</3": FROWN}
_MOUTHS = dict.fromkeys(")]}dp", SMILE) | dict.fromkeys("([{", FROWN)
_MIRRORED_MOUTHS = dict.fromkeys("([{", SMILE) | dict.fromkeys(")]}d", FROWN)


def emoticon_mask(token: str) -> str | None:
    """SMILE, FROWN or, for any other face, EMOTICON; None if the token is no emoticon."""
    if (match := _FACE.fullmatch(token)) is None:
        return _HEARTS.get(token)
    mouths, mouth = (_MOUTHS, match["mouth"]) if match["mouth"] else (_MIRRORED_MOUTHS, match["mirrored"])
    return mouths.get(mouth.lower(), EMOTICON)


def stop_words(choice: Literal["none", "all", "keep_negations"]) -> frozenset[str]:
    """The words to leave out, in lower case: NLTK's English list of 2023, which later releases of NLTK have changed."""
    if choice == "none":
        return frozenset()
    words = frozenset(files("sentiment.data").joinpath("stop_words.txt").read_text(encoding="utf-8").split())
    if choice == "all":
        return words
    # Also forms in n't, and those without their endings (`don`, `ain`).
    negations = {word for word in words if word.endswith("n't") or f"{word}'t" in words}
    return words - negations - {"no", "nor", "not", "ain"}


URL, USER, HASHTAG = "<url>", "<user>", "<hashtag>"
_MASKS = frozenset((URL, USER, HASHTAG))

# One regular expression, so that an @ or # inside a link belongs to the link. No alternative matches white space.
_MARKUP = re.compile(
    r"""
    (?P<url> (?: (?:https?://|www\.) | (?<![a-z0-9@.-]) [a-z0-9-]+ (?:\.[a-z0-9-]+)* \.[a-z]{2,13}/ )
             [^\s<>"]* (?<![.,:;!?)'\]]) )
  | (?P<user> (?<![\w@]) @+\w+ )
  | (?P<hashtag> (?<!\#) \#+ (?=[\w'-]*[^\W\d_]) [\w'-]+ )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HAS_MARKUP = re.compile(r"[@#/]|www\.", re.IGNORECASE)  # each alternative needs one of these
_ELONGATION = re.compile(r"([^\W\d_])\1{3,}")

# Words of ASCII letters and punctuation in which NLTK's pattern finds no emoticon, link, tag, arrow, name or number,
# since each of those needs one of 0-9:;=<>@#/ or a dot between letters. For such words the rest of NLTK's pattern is
# short and fast: words with apostrophes or dashes, words, dots, and any other character.
_PLAIN = re.compile(r"(?!.*(?:[A-Za-z]\.[A-Za-z]|[Ww]{3}\.))[A-Za-z.,!?\"'()*_\-$%&+\[\]{}^`|~\\]+")
_PLAIN_PARTS = re.compile(r"[A-Za-z][A-Za-z'\-_]+[A-Za-z]|[A-Za-z_]+|\.{2,}|.")
_PLAIN_HANGING = re.compile(r"([^A-Za-z])\1{3,}")


def _thrice(match: Any) -> str:  # faster than a template, which is looked up for each word
    return cast(str, match[1] * 3)


# Only phone numbers and spaced ellipses span white space. `#` is included because cleaning may remove it, and the
# range because NLTK's `regex` may know digits that are newer than this Python.
_DIGIT = r"[\d\U00010D40-\U0001EFFF]"
_ACROSS_BLANKS = re.compile(rf"{_DIGIT}[*\-.()#]* [ *\-.()#]*{_DIGIT}|\.[^\S\r\n]+\.")

# No word of a tweet is that long; the limit bounds the time that patterns with lookahead take.
_LONGEST_WORD = 500
_TOO_LONG = re.compile(rf"\S{{{_LONGEST_WORD}}}")
_CACHED_WORDS = 1 << 18
T = TypeVar("T")

_CONTROL = [*range(0x20), *range(0x7F, 0xA0)]
_INVISIBLE = [0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
_REPLACEMENTS = (
    dict.fromkeys(_CONTROL, " ")
    | dict.fromkeys(_INVISIBLE, "")
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
    | dict.fromkeys((0x2018, 0x2019, 0x02BC), "'")
)


class WordCache(dict[str, T]):
    """What a function gives for words seen before. It is faster than `lru_cache`; when it is full, it is emptied."""

    def __init__(self, function: Callable[[str], T]) -> None:
        self._function = function

    def __missing__(self, word: str) -> T:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        found = self[word] = self._function(word)
        return found


class Tokenizer:
    """Makes tokens as a `TextConfig` says; equal texts give equal tokens, and no token holds white space.

    The tokens of each word are cached, because few words make up most texts; a text in which a token may span white
    space is tokenised as a whole.
    """

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._pattern, self._hanging = tweet_patterns()
        self._treatments = {URL: config.urls, USER: config.mentions, HASHTAG: config.hashtags}
        self._removed = frozenset(mask for mask, treatment in self._treatments.items() if treatment == "remove")
        self._stop_words = stop_words(config.stop_words)
        self._words = WordCache(self.tokenize_whole)

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[TextConfig]]:
        return Tokenizer, (self.config,)  # NLTK's patterns cannot be pickled

    def __call__(self, text: str) -> list[str]:
        """The tokens of `text`, in order; none if nothing is left of it."""
        return self.split(self.clean(text))

    def split(self, text: str) -> list[str]:
        if _ACROSS_BLANKS.search(text):
            return list(self.tokenize_whole(text))
        return list(chain.from_iterable(map(self._words.__getitem__, text.split())))

    def clean(self, text: str) -> str:
        """Unescape HTML, replace invisible and invalid characters, straighten apostrophes, and cut endless words."""
        if self.config.unescape_html and "&" in text:
            text = html.unescape(text)
        if not (text.isascii() and text.isprintable()):
            text = text.translate(_REPLACEMENTS)
        return _TOO_LONG.sub(r"\g<0> ", text) if len(text) > _LONGEST_WORD else text

    def tokenize_whole(self, text: str) -> tuple[str, ...]:
        return tuple([token for part in self._parts(text) if (token := self._finish(part))])

    def _parts(self, text: str) -> list[str]:
        if text.isascii() and text.isalpha():
            return [self._shorten(text)]
        if _PLAIN.fullmatch(text):
            return _PLAIN_PARTS.findall(_PLAIN_HANGING.sub(_thrice, self._shorten(text)))
        if _HAS_MARKUP.search(text):
            text = _MARKUP.sub(self._replace_markup, text).strip()
        text = self._shorten(text)
        return [text] if text in _MASKS else [*self._pattern.findall(self._hanging.sub(_thrice, text))]

    def _shorten(self, text: str) -> str:
        return _ELONGATION.sub(_thrice, text) if self.config.shorten_elongations else text

    def _replace_markup(self, match: re.Match[str]) -> str:
        mask = f"<{match.lastgroup}>"
        treatment = self._treatments[mask]
        if treatment == "split":
            return " " + match.group().lstrip("#")
        # The mask even if it is removed later, so that dots on both sides do not become an ellipsis.
        return match.group() if treatment == "keep" else f" {mask} "

    def _finish(self, token: str) -> str:
        if not token.isalpha():
            token = "".join(token.split())
            if token in self._removed:
                return ""
            if (mask := emoticon_mask(token)) is not None:
                return {"keep": token, "mask": mask, "remove": ""}[self.config.emoticons]
        lowered = token.lower()
        if lowered in self._stop_words:
            return ""
        return lowered if self.config.lowercase else token


@dataclass(frozen=True)
class TokenRows:
    """Tweets as rows of token numbers; it can be gone through any number of times."""

    types: Sequence[str]
    token_ids: npt.NDArray[np.integer[Any]]  # (tokens,), index into `types`
    offsets: npt.NDArray[np.int64]  # (rows + 1,)

    @classmethod
    def of_tweets(cls, tweets: Iterable[Sequence[str]]) -> "TokenRows":
        index = defaultdict[str, int](count().__next__)
        token_ids: list[int] = []
        ends = [0]
        for tokens in tweets:
            token_ids += map(index.__getitem__, tokens)
            ends.append(len(token_ids))
        return cls(list(index), np.array(token_ids, np.int32), np.array(ends, np.int64))

    @property
    def size(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[list[str]]:
        return map(self.tokens, range(self.size))

    def tokens(self, row: int) -> list[str]:
        return [self.types[number] for number in self.token_ids[self.offsets[row] : self.offsets[row + 1]].tolist()]

    def take(self, rows: npt.NDArray[np.int64]) -> "TokenRows":
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return TokenRows(self.types, np.asarray(self.token_ids)[places], offsets)


UNKNOWN_AUTHOR = 0  # the key of an author who is not known

# Only so many tokens count, so that a tweet that was cut is still recognised as a copy: in 117,152 tweets of
# Sentiment140 this joins 22 groups more, of which 2 have both labels, both of them true copies.
_COMPARED_WORDS = 12
_RETWEET = ["rt", USER]
_MANTISSA = 53


class TweetForms:
    """The forms of tweets: texts with equal forms are the same tweet, however a run cleans them.

    A form is made of the first twelve tokens that a model reads by default, in lower case, of the text in NFKC, without
    punctuation, links, `RT @user:` at the beginning and hashtags at the end. Other hashtags count as words, and
    emoticons stay, since they may be all that tells praise from blame.

    Args:
        beside: a tokenizer that reads the same texts: where its tokens are those of a form, no text is split twice.
    """

    def __init__(self, beside: Tokenizer | None = None) -> None:
        usual = TextConfig()
        self._of_tokens = WordCache(lambda token: token.lower() if _counts(token) else "")
        self._tokenizer = Tokenizer(usual)
        self._shares_tokens = bool(beside and beside.config.model_copy(update={"lowercase": usual.lowercase}) == usual)

    def of(self, text: str, tokens: Sequence[str] | None = None) -> str:
        """The form of a text, whose `tokens` are those of `beside`; empty if nothing is left of it."""
        text = self._tokenizer.clean(text)
        if tokens is None or not (self._shares_tokens and text.isascii()):
            tokens = self._tokenizer.split(unicodedata.normalize("NFKC", text))
        words = list(filter(None, map(self._of_tokens.__getitem__, tokens)))
        while words[:2] == _RETWEET and len(words) > 2:
            del words[:2]
        while len(words) > 1 and words[-1].startswith("#"):
            words.pop()
        return " ".join(words[:_COMPARED_WORDS]).replace("#", "")


def author_form(user: str | None) -> str:
    """The form by which authors are compared, without `@`, case and outer blanks; empty if the author is not known."""
    return unicodedata.normalize("NFKC", user or "").strip().lstrip("@").strip().casefold()


def key_of(form: str) -> int:
    """64 bits that stand for a form; a collision of a million forms with 1.3 million others has a chance of 1e-7."""
    digest = hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def author_key(form: str) -> int:
    return key_of(form) if form else UNKNOWN_AUTHOR


def unit_of(key: int) -> float:
    """A number in [0, 1) that follows from a tweet's key, but not from its part: tweets below a bound are a sample."""
    return (key % 2**64 >> (64 - _MANTISSA)) * 2.0**-_MANTISSA


def stable_unit(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on `text` and `salt` only, the same on every machine."""
    return unit_of(key_of(f"{salt}\0{text}"))


def _counts(token: str) -> bool:
    says = any(one.isalnum() or unicodedata.category(one) == "So" for one in token) or emoticon_mask(token) is not None
    return says and token != URL
