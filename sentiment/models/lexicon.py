"""Lexicons of rated words: AFINN's ratings, with negation, are features of the baseline and of networks; VADER's
lexicon is an untrained model.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import RunConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus import Corpus
from sentiment.models.text_model import Predictions, TextModel
from sentiment.statistics.metrics import Probabilities
from sentiment.tokens import Flags, Floats, Rows, TokenRows

# Bounded sums of the ratings of all words, of the positive and of the negative words; whether there is a negation.
FEATURES = ("all", "positive", "negative", "negation")

# The factors, the reach of a negation and the bound are those of VADER (Hutto & Gilbert 2014).
_NEGATION_REACH = 3  # number of tokens after a negation that it applies to
_NEGATED_FACTOR = -0.74
_BEFORE_BUT_FACTOR = 0.5
_BOUND = 15.0  # a sum x becomes x / sqrt(x^2 + bound), which lies in (-1, 1)
_NETWORK_SCALE = 2.0  # ratings are divided by it for networks
_NEGATION = re.compile(
    r".*n't|not?|never|none|nobody|nothing|neither|nor|nowhere|without|hardly|barely|can(no)?t|aint|"
    r"(do|does|did|is|was|are|were|has|have|had|wo|would|could|should)nt",
    re.IGNORECASE,
)
_ENDS_CLAUSE = re.compile(r"[.,;:!?]+|but")
_BUT = re.compile("but")
_STRETCHED = re.compile(r"(.)\1{2,}")


def rating_features(rows: TokenRows) -> Floats:
    """`FEATURES` of each tweet, of shape (rows, 4)."""
    ratings, is_negation, owners = _rate_tokens(rows)
    columns = []
    for part in (ratings, np.maximum(ratings, 0), np.minimum(ratings, 0)):
        sums = np.bincount(owners, part, rows.size)
        columns.append(sums / np.sqrt(sums**2 + _BOUND))
    columns.append(np.bincount(owners, is_negation, rows.size) > 0)
    return np.stack(columns, axis=1).astype(np.float32)


def token_ratings(rows: TokenRows) -> Floats:
    """The rating of each token in its tweet, mostly from -2 to 2, as an input of networks; of shape (tokens,)."""
    ratings, _, _ = _rate_tokens(rows)
    return (ratings / _NETWORK_SCALE).astype(np.float32)


def _rate_tokens(rows: TokenRows) -> tuple[npt.NDArray[np.float64], Flags, Rows]:
    """The rating of each token in its tweet, whether it is a negation, and its tweet's row; each of shape (tokens,)."""
    ids = np.asarray(rows.token_ids)
    owners = rows.owners
    is_negation = _matches(_NEGATION, rows.types)[ids]
    ends_clause = _matches(_ENDS_CLAUSE, rows.types)[ids]
    ratings = np.array([rating_of(token) for token in rows.types], np.float64)[ids]
    ratings[is_negation] = 0.0

    is_negated = np.zeros(len(ids), bool)
    in_scope = is_negation
    for _ in range(_NEGATION_REACH):  # the scope grows by a token, unless that is of another tweet or ends the clause
        following = np.zeros(len(ids), bool)
        following[1:] = in_scope[:-1] & (owners[1:] == owners[:-1]) & ~ends_clause[1:]
        is_negated |= following
        in_scope = following
    ratings[is_negated] *= _NEGATED_FACTOR

    but_positions = np.flatnonzero(_matches(_BUT, rows.types)[ids])
    last_but = np.full(rows.size, -1)
    last_but[owners[but_positions]] = but_positions  # if a tweet has several, the last assignment stays
    ratings[np.arange(len(ids)) < last_but[owners]] *= _BEFORE_BUT_FACTOR
    return ratings, is_negation, owners


def _matches(pattern: re.Pattern[str], types: Sequence[str]) -> Flags:
    return np.array([pattern.fullmatch(token) is not None for token in types], bool)


@cache
def rating_of(token: str) -> float:
    """AFINN's rating of a token, from -5 (negative) to 5 (positive); 0 for an unrated token.

    An elongated word is looked up in its usual spelling, an emoji by the words of its Unicode name.
    """
    ratings = _word_ratings()
    for spelling in (token, token.lower(), _STRETCHED.sub(r"\1\1", token), _STRETCHED.sub(r"\1", token)):
        if spelling in ratings:
            return ratings[spelling]
    if len(token) > 2 or token.isascii():  # an emoji may be followed by a variation selector
        return 0.0
    name = " ".join(unicodedata.name(character, "").lower() for character in token)
    rating = sum(ratings.get(word, 0.0) for word in re.split("[ -]", name))
    return max(-5.0, min(5.0, rating))


@cache
def _word_ratings() -> dict[str, float]:
    package = distribution("afinn")  # only its lists are read; its code is not run
    ratings: dict[str, float] = {}
    for name in ("en-165", "emoticon-8"):
        path = Path(str(package.locate_file(f"afinn/data/AFINN-{name}.txt")))
        for line in path.read_text(encoding="utf-8").splitlines():
            word, rating = line.rsplit("\t", 1)
            ratings[word] = float(rating)
    return ratings


class LexiconModel(TextModel):
    """Classifies raw (uncleaned) texts with VADER's lexicon."""

    kind = "lexicon"

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.tokenize = str.split

    def classify(self, rows: TokenRows) -> Predictions:
        texts = [" ".join(tokens) for tokens in rows]  # VADER splits texts at white space as well
        probabilities = lexicon_probabilities(compound_scores(texts), len(self.config.data.label_names))
        return Predictions(probabilities, np.array(texts, object) != "")


def compound_scores(texts: Iterable[str]) -> npt.NDArray[np.float64]:
    """VADER's compound score of each text, from -1 (negative) to 1, of shape (texts,)."""
    return np.array([_analyzer().polarity_scores(text)["compound"] for text in texts], np.float64)


# The authors of the lexicon call a text neutral if its compound score is nearer to 0 than this.
_NEUTRAL_BOUND = 0.05


def lexicon_probabilities(compound: npt.NDArray[np.floating[Any]], classes: int) -> Probabilities:
    """One-hot probabilities of the class that each compound score falls into, of shape (texts, classes).

    Of two classes the second one begins at 0; of three the middle one is less than 0.05 from 0, as its authors say;
    with more classes, the range is divided into bands of equal width.
    """
    if classes == 3:
        lower_bounds = np.array([np.nextafter(-_NEUTRAL_BOUND, 0), _NEUTRAL_BOUND])
    else:
        lower_bounds = np.linspace(-1, 1, classes + 1)[1:-1]
    chosen = np.digitize(compound, lower_bounds)
    return np.asarray(np.eye(classes)[chosen])


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


_CHUNK = 1000


def rate_rows(corpus: Corpus, rows: Rows, progress: Progress = silent) -> Floats:
    """The compound score of each tweet of a corpus, NaN for tweets not in `rows`; of shape (tweets of the corpus,)."""
    texts = corpus.texts()
    scores = np.full(len(corpus.labels), np.nan, np.float32)
    for first in range(0, len(rows), _CHUNK):
        progress("rating tweets with VADER's lexicon", first, len(rows))
        chunk = rows[first : first + _CHUNK]
        scores[chunk] = compound_scores(texts[row].as_py() for row in chunk)
    return scores
