"""Which texts count as the same tweet, and which part a tweet belongs to, whatever else is in its file."""

import hashlib
import html
import re
from typing import NamedTuple

from sentiment.records import PARTS

# The codes of a row's part are positions in PARTS.
TRAIN, VALIDATION, TEST, SECOND_TEST = range(len(PARTS))

_URL = re.compile(r"(?:https?://|www\.)\S*")
_USER = re.compile(r"(?<![\w@])@+\w+")
_MANTISSA = 53


class Identity(NamedTuple):
    """Hashes of a tweet, equal for texts that differ only in case, blanks, links, user names and HTML escapes."""

    key: int
    """64 bits; the chance that any two of 1.6 million different texts share a key is below 1 in 10 million."""
    thinning: float
    """In [0, 1), independent of `key`; the rows below a bound are a uniform sample."""


def normalise(text: str) -> str:
    """The text by which tweets are compared; it does not depend on how they are cleaned for a model."""
    if "&" in text:
        text = html.unescape(text)
    text = text.lower()
    if "://" in text or "www." in text:
        text = _URL.sub("<url>", text)
    if "@" in text:
        text = _USER.sub("<user>", text)
    return " ".join(text.split())


def identify(normalised: str) -> Identity:
    """The identity of a tweet, given its normalised text."""
    digest = hashlib.blake2b(_encode(normalised), digest_size=16).digest()
    return Identity(int.from_bytes(digest[:8], "little", signed=True), _unit(digest[8:]))


def stable_unit(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on `text` and `salt` only, the same on every machine."""
    return _unit(hashlib.blake2b(_encode(f"{salt}\0{text}"), digest_size=8).digest())


def part_code(user: str | None, normalised: str, validation_fraction: float, test_fraction: float) -> int:
    """TRAIN, VALIDATION or TEST, by the author if known, so that all tweets of an author are in one part.

    Args:
        user: the author.
        normalised: the normalised text, which decides if the author is not known.
        validation_fraction: expected share of the tweets that are in the validation part.
        test_fraction: the same for the test part.
    """
    unit = stable_unit(user, "user") if user else stable_unit(normalised, "text")
    if unit < test_fraction:
        return TEST
    return VALIDATION if unit < test_fraction + validation_fraction else TRAIN


def folded_part_code(user: str | None, normalised: str, folds: int, fold: int, validation_fraction: float) -> int:
    """The same in cross-validation: each author, or text, is in the test part of one fold and of no other.

    Args:
        folds: number of test parts.
        fold: which of them is meant, counted from 1.
        validation_fraction: expected share of all tweets that are in the validation part.
    """
    whose, kind = (user, "user") if user else (normalised, "text")
    if int(stable_unit(whose, f"{kind}, folds") * folds) == fold - 1:
        return TEST
    of_the_rest = validation_fraction * folds / (folds - 1)
    return VALIDATION if stable_unit(whose, f"{kind}, validation of fold {fold}") < of_the_rest else TRAIN


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _unit(digest: bytes) -> float:
    return (int.from_bytes(digest, "little") >> (64 - _MANTISSA)) * 2.0**-_MANTISSA
