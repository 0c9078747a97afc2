"""From a tweet's text to its tokens: cleaned as configured, split by NLTK's TweetTokenizer, with a word cache."""

import html
import re
from collections.abc import Callable
from itertools import chain

from sentiment.config import TextConfig
from sentiment.data.text.token_classes import emoticon_mask, stop_words
from sentiment.data.text.tweet_patterns import tweet_patterns

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

# Only phone numbers and spaced ellipses span white space. `#` is included because cleaning may remove it, and the
# range because NLTK's `regex` may know digits that are newer than this Python.
_DIGIT = r"[\d\U00010D40-\U0001EFFF]"
_ACROSS_BLANKS = re.compile(rf"{_DIGIT}[*\-.()#]* [ *\-.()#]*{_DIGIT}|\.[^\S\r\n]+\.")

# No word of a tweet is that long; the limit bounds the time that patterns with lookahead take.
_LONGEST_WORD = 500
_TOO_LONG = re.compile(rf"\S{{{_LONGEST_WORD}}}")
_CACHED_WORDS = 1 << 18

_CONTROL = [*range(0x20), *range(0x7F, 0xA0)]
_INVISIBLE = [0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
_REPLACEMENTS = (
    dict.fromkeys(_CONTROL, " ")
    | dict.fromkeys(_INVISIBLE, "")
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
    | dict.fromkeys((0x2018, 0x2019, 0x02BC), "'")
)


class _Words(dict[str, tuple[str, ...]]):
    """The tokens of words seen before. It is faster than `lru_cache`; when it is full, it is emptied."""

    def __init__(self, tokenize: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__()
        self._tokenize = tokenize

    def __missing__(self, word: str) -> tuple[str, ...]:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        tokens = self[word] = self._tokenize(word)
        return tokens


class Tokenizer:
    """Makes tokens as a `TextConfig` says; equal texts give equal tokens, and no token holds white space.

    A text is split at white space and the tokens of each word are cached, because few words make up most texts. A text
    in which a token may span white space is tokenised as a whole, so the tokens are always those of the whole text.
    """

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._pattern, self._hanging = tweet_patterns()
        self._treatments = {URL: config.urls, USER: config.mentions, HASHTAG: config.hashtags}
        self._removed = frozenset(mask for mask, treatment in self._treatments.items() if treatment == "remove")
        self._stop_words = stop_words(config.stop_words)
        self._words = _Words(self.tokenize_whole)

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[TextConfig]]:
        return Tokenizer, (self.config,)  # NLTK's patterns cannot be pickled

    def __call__(self, text: str) -> list[str]:
        """The tokens of `text`, in order; none if nothing is left of it."""
        return self.split(self.prepare(text))

    def split(self, text: str) -> list[str]:
        """The tokens of a prepared text."""
        if _ACROSS_BLANKS.search(text):
            return list(self.tokenize_whole(text))
        return list(chain.from_iterable(map(self._words.__getitem__, text.split())))

    def prepare(self, text: str) -> str:
        """Unescape HTML, replace invisible and invalid characters, straighten apostrophes, and cut endless words."""
        if self.config.unescape_html and "&" in text:
            text = html.unescape(text)
        if not (text.isascii() and text.isprintable()):
            text = text.translate(_REPLACEMENTS)
        return _TOO_LONG.sub(r"\g<0> ", text) if len(text) > _LONGEST_WORD else text

    def tokenize_whole(self, text: str) -> tuple[str, ...]:
        """The tokens of a prepared text, which is not split at white space first."""
        return tuple(token for part in self._parts(text) if (token := self._finish(part)))

    def _parts(self, text: str) -> list[str]:
        if text.isascii() and text.isalpha():
            return [self._shorten(text)]
        if _PLAIN.fullmatch(text):
            return _PLAIN_PARTS.findall(_PLAIN_HANGING.sub(r"\1\1\1", self._shorten(text)))
        if _HAS_MARKUP.search(text):
            text = _MARKUP.sub(self._replace_markup, text).strip()
        text = self._shorten(text)
        if text in _MASKS:
            return [text]
        parts: list[str] = self._pattern.findall(self._hanging.sub(r"\1\1\1", text))
        return parts

    def _shorten(self, text: str) -> str:
        return _ELONGATION.sub(r"\1\1\1", text) if self.config.shorten_elongations else text

    def _replace_markup(self, match: re.Match[str]) -> str:
        mask = f"<{match.lastgroup}>"
        treatment = self._treatments[mask]
        if treatment == "keep":
            return match.group()
        if treatment == "split":
            return " " + match.group().lstrip("#")
        return f" {mask} "  # even if removed later, so that dots on both sides do not become an ellipsis

    def _finish(self, token: str) -> str:
        """A token in its final form; the empty text if it is left out."""
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
