"""Tokenizes tweets: cleaned as configured, split by the patterns of NLTK's TweetTokenizer, with a cache of words."""

import hashlib
import importlib
import importlib.util
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from struct import Struct
from threading import Lock
from types import ModuleType
from typing import Any, Literal, TypeVar, cast

from sentiment.config import TextConfig
from sentiment.console import unescaped
from sentiment.files import fingerprint
from sentiment.tokens import HASHTAG, URL, USER

_IMPORTING = Lock()  # of two threads, each would take the packages of the other one away


@cache
def tweet_patterns() -> tuple[Any, Any]:
    """NLTK TweetTokenizer's token pattern, and its pattern for characters repeated four times or more.

    We use the patterns instead of `TweetTokenizer.tokenize`, which always unescapes HTML.
    """
    with _IMPORTING:
        casual = _casual()
    return casual.TweetTokenizer().PHONE_WORD_RE, casual.HANG_RE


def tokenizer_fingerprint() -> str:
    """SHA-256 of NLTK's patterns, which its releases may change: other patterns give other tokens."""
    return fingerprint([[pattern.pattern, int(pattern.flags)] for pattern in tweet_patterns()])


def _casual() -> Any:
    """NLTK's module for tweets, without its parent packages, which would import scikit-learn, SciPy and pandas.

    Empty packages take their place while it is imported, and nothing of it stays in `sys.modules`.
    """
    name = "nltk.tokenize.casual"
    if "nltk" in sys.modules:
        return importlib.import_module(name)
    spec: Any = importlib.util.find_spec("nltk")
    (folder,) = spec.submodule_search_locations
    parents: Any = {parent: ModuleType(parent) for parent in ("nltk", "nltk.tokenize", "nltk.tokenize.api")}
    parents["nltk"].__path__ = [folder]
    parents["nltk.tokenize"].__path__ = [f"{folder}/tokenize"]
    parents["nltk.tokenize.api"].TokenizerI = object  # a base class that the patterns do not need
    sys.modules |= parents
    try:
        return importlib.import_module(name)
    finally:
        for module in [*sys.modules]:
            if module.partition(".")[0] == "nltk":
                del sys.modules[module]


# What NLTK's TweetTokenizer keeps together: a left- or right-facing face, or a heart.
_EMOTICON = re.compile(
    r"""
    [<>]? [:;=8] [-o*']? [)\](\[dDpP/:}{@|\\]
  | [)\](\[dDpP/:}{@|\\] [-o*']? [:;=8] [<>]?
  | </?3
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_emoticon(token: str) -> bool:
    return _EMOTICON.fullmatch(token) is not None


def stop_words(choice: Literal["none", "all", "keep_negations"]) -> frozenset[str]:
    """The words to remove, in lower case: NLTK's English list of 2023, which later releases of NLTK have changed."""
    if choice == "none":
        return frozenset()
    words = frozenset(files("sentiment.data").joinpath("stop_words.txt").read_text(encoding="utf-8").split())
    if choice == "all":
        return words
    # Includes words ending in n't, and their stems (`don`, `ain`).
    negations = {word for word in words if word.endswith("n't") or f"{word}'t" in words}
    return words - negations - {"no", "nor", "not", "ain"}


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

# Fast path for words of ASCII letters and punctuation. NLTK's pattern can find no emoticon, link, tag, arrow, name or
# number in them, since each of those needs one of 0-9:;=<>@#/ or a dot between letters. The rest of NLTK's pattern is
# short: words with apostrophes or dashes, words, dots, and any other character.
_PLAIN = re.compile(r"(?!.*(?:[A-Za-z]\.[A-Za-z]|[Ww]{3}\.))[A-Za-z.,!?\"'()*_\-$%&+\[\]{}^`|~\\]+")
_PLAIN_PARTS = re.compile(r"[A-Za-z][A-Za-z'\-_]+[A-Za-z]|[A-Za-z_]+|\.{2,}|.")
_PLAIN_HANGING = re.compile(r"([^A-Za-z])\1{3,}")


def _repeat_three_times(match: Any) -> str:  # faster than a template, which is looked up for each word
    return cast(str, match[1] * 3)


def _shorten(text: str) -> str:
    return _ELONGATION.sub(_repeat_three_times, text)


# Only phone numbers and spaced ellipses contain white space. `#` is matched because cleaning may remove it. The
# code-point range is there because NLTK's `regex` may know newer digits than this Python.
_DIGIT = r"[\d\U00010D40-\U0001EFFF]"
_SPANS_WHITE_SPACE = re.compile(rf"{_DIGIT}[*\-.()#]* [ *\-.()#]*{_DIGIT}|\.[^\S\r\n]+\.")

# Longer than any word of a tweet; the limit bounds the time that patterns with lookahead take.
_MAX_WORD_LENGTH = 500
_TOO_LONG = re.compile(rf"\S{{{_MAX_WORD_LENGTH}}}")
_CACHED_WORDS = 1 << 19
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
    """Memoises a function of a word; faster than `lru_cache`; cleared when full."""

    def __init__(self, function: Callable[[str], T]) -> None:
        self._function = function

    def __missing__(self, word: str) -> T:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        value = self._function(word)
        self[word] = value
        return value


class Tokenizer:
    """Tokenizer configured by a `TextConfig`; equal texts give equal tokens, and no token contains white space.

    The tokens of each word are cached, because few words make up most texts; a text in which a token may contain white
    space is tokenised as a whole.
    """

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._pattern, self._hanging = tweet_patterns()
        self._treatments = {URL: config.urls, USER: config.mentions, HASHTAG: config.hashtags}
        self._removed = frozenset(mask for mask, treatment in self._treatments.items() if treatment == "remove")
        self._stop_words = stop_words(config.stop_words)
        self._word_tokens = WordCache(self.tokenize_whole)
        self._cleaned_tokens = WordCache(self._cleaned)

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[TextConfig]]:
        return Tokenizer, (self.config,)  # NLTK's patterns cannot be pickled

    def __call__(self, text: str) -> list[str]:
        """The tokens of `text`, in order; none if nothing is left of it."""
        return self.split(self.clean(text))

    def split(self, text: str) -> list[str]:
        if _SPANS_WHITE_SPACE.search(text):
            return list(self.tokenize_whole(text))
        return list(chain.from_iterable(map(self._word_tokens.__getitem__, text.split())))

    def clean(self, text: str) -> str:
        """Unescape HTML, replace invisible and invalid characters, normalise apostrophes, and split over-long words."""
        if "&" in text:
            text = unescaped(text)
        if not (text.isascii() and text.isprintable()):
            text = text.translate(_REPLACEMENTS)
        return _TOO_LONG.sub(r"\g<0> ", text) if len(text) > _MAX_WORD_LENGTH else text

    def tokenize_whole(self, text: str) -> tuple[str, ...]:
        return tuple(filter(None, map(self._cleaned_tokens.__getitem__, self._parts(text))))

    def _parts(self, text: str) -> list[str]:
        if text.isascii() and text.isalpha():
            return [_shorten(text)]
        if _PLAIN.fullmatch(text):
            return _PLAIN_PARTS.findall(_PLAIN_HANGING.sub(_repeat_three_times, _shorten(text)))
        if _HAS_MARKUP.search(text):
            text = _MARKUP.sub(self._replace_markup, text).strip()
        text = _shorten(text)
        if text in _MASKS:
            return [text]
        return list(self._pattern.findall(self._hanging.sub(_repeat_three_times, text)))

    def _replace_markup(self, match: re.Match[str]) -> str:
        mask = f"<{match.lastgroup}>"
        treatment = self._treatments[mask]
        if treatment == "split":
            return " " + match.group().lstrip("#")
        # Insert the mask even if it is removed later, so that dots on both sides do not merge into an ellipsis.
        return match.group() if treatment == "keep" else f" {mask} "

    def _cleaned(self, token: str) -> str:
        """The token in the configured case; empty if it is removed."""
        if not token.isalpha():
            token = "".join(token.split())
            if token in self._removed:
                return ""
            if is_emoticon(token):
                return token
        lowered = token.lower()
        if lowered in self._stop_words:
            return ""
        return lowered if self.config.lowercase else token


UNKNOWN_AUTHOR = 0  # the key of an unknown author

# Compare only the first 12 tokens, so that truncated copies are recognised. On 117,152 tweets of Sentiment140 this
# merges 22 more groups than comparing whole texts. Two of these groups have both labels; their tweets are true copies.
_COMPARED_WORDS = 12
# Hashtags at the beginning are ignored if so many words follow. Of 49,498 tweets of SemEval 36 more groups are then one
# tweet, all of them headlines that several accounts passed on, each under its own hashtag.
_MIN_UNTAGGED = 5
_MAX_DECORATIONS = 5  # of one kind
_RETWEET = ["rt", USER]
_MANTISSA = 53


# Characters that show nothing, between two letters.
_INVISIBLE_INSIDE = re.compile(
    "(?<=\\w)[\u00ad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+(?=\\w)"
)
# "via @name", followed by links and hashtags at most.
_VIA_AUTHOR = re.compile(r"\s[(\[/]*via\W+@\w+(?:[^\w#]|#\S*|https?://\S+)*+$", re.IGNORECASE)


def undecorated(text: str) -> str:
    """The text of the tweet that `text` may be a copy of.

    HTML entities are unescaped as often as some tools escape them; invisible characters inside words and "via @name" at
    the end are removed.
    """
    if "&" in text:
        for _ in range(_MAX_DECORATIONS):
            text = unescaped(text)
    if not text.isascii():
        text = _INVISIBLE_INSIDE.sub("", text)
    if "@" in text and "via" in text.lower():
        for _ in range(_MAX_DECORATIONS):
            text = _VIA_AUTHOR.sub("", text)
    return text


class TweetForms:
    """Normalised texts for duplicate detection: equal ones are the same tweet, independent of a run's cleaning.

    A normalised text is the first twelve default tokens of the lower-cased text in NFKC, `undecorated`, without
    punctuation, links, `RT @user:` at the beginning, hashtags at the end, and those at the beginning of five words or
    more. Other hashtags count as words, and emoticons stay, since they may be all that distinguishes praise from blame.
    A text of which nothing remains, such as a link or `?!`, is its own normalised text.

    Args:
        run_tokenizer: the run's tokenizer; if its settings equal the defaults, its tokens are reused.
    """

    def __init__(self, run_tokenizer: Tokenizer | None = None) -> None:
        default = TextConfig()
        self._normalized_token = WordCache(lambda token: token.lower() if _is_content_token(token) else "")
        self._tokenizer = Tokenizer(default)
        self._shares_tokens = False
        if run_tokenizer is not None:
            self._shares_tokens = run_tokenizer.config.model_copy(update={"lowercase": default.lowercase}) == default

    def of(self, text: str, own: str | None = None, tokens: Sequence[str] = ()) -> str:
        """The normalised text (`form`).

        Args:
            own: the text as `run_tokenizer` cleans it.
            tokens: those of `own`.
        """
        original = undecorated(text)
        cleaned = self._tokenizer.clean(original) if own is None or original != text else own
        normal = cleaned if cleaned.isascii() else unicodedata.normalize("NFKC", cleaned)
        if normal != own or not self._shares_tokens:
            tokens = self._tokenizer.split(normal)
        words = list(filter(None, map(self._normalized_token.__getitem__, tokens)))
        while True:
            if words[:2] == _RETWEET and len(words) > 2:
                del words[:2]
            elif len(words) > 1 and words[-1].startswith("#"):
                words.pop()
            elif len(words) > _MIN_UNTAGGED and words[0].startswith("#"):
                del words[0]
            else:
                break
        form = " ".join(words[:_COMPARED_WORDS]).replace("#", "")
        return form or " ".join(text.split())


def author_form(user: str | None) -> str:
    """The normalised name of an author: without `@`, case and outer blanks; empty if the author is unknown."""
    if not user:
        return ""
    return unicodedata.normalize("NFKC", user).strip().lstrip("@").strip().casefold()


_SIGNED = Struct("<q")  # takes half as long as `int.from_bytes`


def key_of(form: str) -> int:
    """64-bit hash of a normalised text; with probability 1e-7, any of 1 M texts collides with any of 1.3 M others."""
    digest = hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    (key,) = _SIGNED.unpack(digest)
    return cast(int, key)


def key_as_text(key: int) -> str:
    """A tweet's key as a text that no spreadsheet takes for a number: `t` and 16 hexadecimal digits."""
    return f"t{key % 2**64:016x}"


def author_key(form: str) -> int:
    return key_of(form) if form else UNKNOWN_AUTHOR


def uniform_of(key: int) -> float:
    """Deterministic pseudo-uniform number in [0, 1) from a tweet's key, independent of its split.

    The tweets below a threshold form a random subset.
    """
    return (key % 2**64 >> (64 - _MANTISSA)) * 2.0**-_MANTISSA


def stable_uniform(text: str, salt: str) -> float:
    """Pseudo-uniform number in [0, 1) that depends only on `text` and `salt`, the same on every machine."""
    return uniform_of(key_of(f"{salt}\0{text}"))


def _is_content_token(token: str) -> bool:
    if token == URL:
        return False
    has_content = any(character.isalnum() or unicodedata.category(character) == "So" for character in token)
    return has_content or is_emoticon(token)
