"""What a list of rated words says of a tweet, negation included: four features of the linear baseline.

The words are AFINN's (Nielsen 2011), rated from -5 to 5 by its author, who had nothing to do with the tweets that this
package trains on. That a negation turns the values after it, and by how much, is VADER's rule and number (Hutto and
Gilbert 2014), simplified: it reaches three tokens far, within its clause. What stands before the last `but` of a tweet
counts half.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentiment.data.text.token_classes import FROWN, SMILE
from sentiment.data.text.token_rows import TokenRows
from sentiment.files import fingerprint

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FEATURES = ("all", "positive", "negative", "negation")
"""Bounded sums of the values of all words, of the positive and of the negative ones; whether there is a negation."""

_LISTS = ("AFINN-en-165.txt", "AFINN-emoticon-8.txt")
_REACH = 3
_TURNED = -0.74
_BEFORE_BUT = 0.5
_BOUND = 15.0
_SCALE = 2.0
_MASKED = {SMILE: 2.0, FROWN: -2.0}  # as AFINN rates :) and :(
# Besides all that ends in n't.
_NEGATIONS = frozenset(("not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "nowhere", "without"))
_NEGATIONS |= {"cannot", "cant", "hardly", "barely", "aint", "dont", "doesnt", "didnt", "isnt", "wasnt", "arent"}
_NEGATIONS |= {"werent", "hasnt", "havent", "hadnt", "wont", "wouldnt", "couldnt", "shouldnt"}
_ENDS_CLAUSE = re.compile(r"[.,;:!?]+|but")
_STRETCHED = re.compile(r"(.)\1{2,}")


def polarity(rows: TokenRows) -> npt.NDArray[np.float32]:
    """`FEATURES` of each tweet, whatever the tweets around it. Shape (rows, 4)."""
    values, negates = _in_context(rows)
    owners = np.repeat(np.arange(rows.size), np.diff(rows.offsets))
    sums = [np.bincount(owners, part, rows.size) for part in (values, np.maximum(values, 0), np.minimum(values, 0))]
    columns = [*(one / np.sqrt(one**2 + _BOUND) for one in sums), np.bincount(owners, negates, rows.size) > 0]
    return np.stack(columns, axis=1).astype(np.float32)


def token_polarity(rows: TokenRows) -> npt.NDArray[np.float32]:
    """How positive each token is in its tweet, mostly from -2 to 2: for networks. Shape (tokens,)."""
    return (_in_context(rows)[0] / _SCALE).astype(np.float32)


def _in_context(rows: TokenRows) -> tuple[Numbers, Flags]:
    """The value of each token in its tweet, and whether it is a negation; both of shape (tokens,)."""
    ids, owners = np.asarray(rows.token_ids), np.repeat(np.arange(rows.size), np.diff(rows.offsets))
    of_types = np.array([value_of(one) for one in rows.types], np.float64)
    negates = np.array([_is_negation(one) for one in rows.types], bool)[ids]
    ends = np.array([_ENDS_CLAUSE.fullmatch(one) is not None for one in rows.types], bool)[ids]
    values = np.where(negates, 0.0, of_types[ids])
    values[_negated(negates, ends, owners)] *= _TURNED
    contrasts = np.array([one == "but" for one in rows.types], bool)[ids]
    last = np.full(rows.size, -1)
    last[owners[contrasts]] = np.flatnonzero(contrasts)  # of several in a tweet the last one stays
    values[np.arange(len(ids)) < last[owners]] *= _BEFORE_BUT
    return values, negates


def lexicon_fingerprint() -> str:
    """Of all rated words, since a model means nothing with others."""
    return fingerprint(_word_values())


@cache
def value_of(token: str) -> float:
    """How positive a token is, from -5 to 5; 0 if nobody rated it.

    A word that was stretched counts as it is spelt, an emoji as the words of its name in Unicode.
    """
    values = _word_values()
    if token in _MASKED:
        return _MASKED[token]
    for spelling in (token, token.lower(), _STRETCHED.sub(r"\1\1", token), _STRETCHED.sub(r"\1", token)):
        if spelling in values:
            return values[spelling]
    if len(token) <= 2 and not token.isascii():  # an emoji may have a sign behind it that says how to draw it
        return _value_of_name(token, values)
    return 0.0


def _value_of_name(token: str, values: Mapping[str, float]) -> float:
    words = re.split("[ -]", " ".join(unicodedata.name(one, "").lower() for one in token))
    return max(-5.0, min(5.0, sum(values.get(word, 0.0) for word in words)))


@cache
def _word_values() -> dict[str, float]:
    package = distribution("afinn")  # its lists are read, and none of its code is run
    texts = (Path(str(package.locate_file(f"afinn/data/{name}"))).read_text(encoding="utf-8") for name in _LISTS)
    pairs = (line.rsplit("\t", 1) for text in texts for line in text.splitlines())
    return {word: float(value) for word, value in pairs}


def _is_negation(token: str) -> bool:
    return token.lower() in _NEGATIONS or token.lower().endswith("n't")


def _negated(negates: Flags, ends: Flags, owners: npt.NDArray[np.int64]) -> Flags:
    """Which tokens stand within reach of a negation of their tweet, with no end of a clause between them."""
    found, reached = np.zeros(len(negates), bool), negates
    for _ in range(_REACH):
        following = np.zeros(len(negates), bool)
        following[1:] = reached[:-1] & (owners[1:] == owners[:-1]) & ~ends[1:]
        found, reached = found | following, following
    return found
