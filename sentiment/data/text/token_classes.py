"""Classes of tokens that cleaning treats alike: emoticons and stop words."""

import re
from importlib.resources import files
from typing import Literal

SMILE, FROWN, EMOTICON = "<smile>", "<frown>", "<emoticon>"

# The shapes that NLTK's TweetTokenizer keeps together: a face from either side, or a heart.
_FACE = re.compile(
    r"""
    [<>]? [:;=8] [-o*']? (?P<mouth> [)\](\[dDpP/:}{@|\\] )
  | (?P<mirrored> [)\](\[dDpP/:}{@|\\] ) [-o*']? [:;=8] [<>]?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LONGEST = 4
_HEARTS = {"<3": SMILE, "</3": FROWN}
_MOUTHS = dict.fromkeys(")]}dp", SMILE) | dict.fromkeys("([{", FROWN)
_MIRRORED_MOUTHS = dict.fromkeys("([{", SMILE) | dict.fromkeys(")]}d", FROWN)


def emoticon_mask(token: str) -> str | None:
    """SMILE, FROWN or, for any other face, EMOTICON; None if the token is no emoticon.

    A heart counts as a smile, and a broken heart as a frown.
    """
    if len(token) > _LONGEST or token.isalpha():
        return None
    if token in _HEARTS:
        return _HEARTS[token]
    match = _FACE.fullmatch(token)
    if match is None:
        return None
    if mouth := match["mouth"]:
        return _MOUTHS.get(mouth.lower(), EMOTICON)
    return _MIRRORED_MOUTHS.get(match["mirrored"].lower(), EMOTICON)


def stop_words(choice: Literal["none", "all", "keep_negations"]) -> frozenset[str]:
    """The words to leave out, in lower case: NLTK's English list of 2023, which has 179.

    The list is part of this package, because compute nodes often have no network and later releases of NLTK hold other
    words. It has `don't`, which is one token here, as well as `don` and `t`.
    """
    if choice == "none":
        return frozenset()
    words = frozenset(files("sentiment.data.text").joinpath("stop_words.txt").read_text(encoding="utf-8").split())
    if choice == "all":
        return words
    return frozenset(word for word in words if not _is_negation(word, words))


def _is_negation(word: str, words: frozenset[str]) -> bool:
    """Whether a word is no, nor, not, or a form in n't, also one without its ending (`don`, `ain`)."""
    return word in {"no", "nor", "not", "ain"} or word.endswith("n't") or f"{word}'t" in words
