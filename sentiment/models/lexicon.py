"""Words rated by lexicons: AFINN's values with negation are features of the baseline, and of networks; VADER's is a
model that no run trains.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import RunConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus import Corpus
from sentiment.data.text import FROWN, SMILE, TokenRows
from sentiment.models.text_model import Flags, Predictions, Probabilities, TextModel
from sentiment.runs.records import LEXICON
from sentiment.runs.run_dir import TWEETS_FILE

# Bounded sums of the values of all words, of the positive and of the negative ones; whether there is a negation.
FEATURES = ("all", "positive", "negative", "negation")

_REACH = 3
_TURNED = -0.74
_BEFORE_BUT = 0.5
_BOUND = 15.0
_SCALE = 2.0
_NEGATION = re.compile(
    r".*n't|not?|never|none|nobody|nothing|neither|nor|nowhere|without|hardly|barely|can(no)?t|aint|"
    r"(do|does|did|is|was|are|were|has|have|had|wo|would|could|should)nt",
    re.IGNORECASE,
)
_ENDS_CLAUSE = re.compile(r"[.,;:!?]+|but")
_STRETCHED = re.compile(r"(.)\1{2,}")


def polarity(rows: TokenRows) -> npt.NDArray[np.float32]:
    """`FEATURES` of each tweet, of shape (rows, 4)."""
    values, negates, owners = _in_context(rows)
    sums = [np.bincount(owners, part, rows.size) for part in (values, np.maximum(values, 0), np.minimum(values, 0))]
    columns = [*(one / np.sqrt(one**2 + _BOUND) for one in sums), np.bincount(owners, negates, rows.size) > 0]
    return np.stack(columns, axis=1).astype(np.float32)


def token_polarity(rows: TokenRows) -> npt.NDArray[np.float32]:
    """How positive each token is in its tweet, mostly from -2 to 2: for networks. Shape (tokens,)."""
    return (_in_context(rows)[0] / _SCALE).astype(np.float32)


def _in_context(rows: TokenRows) -> tuple[npt.NDArray[np.float64], Flags, npt.NDArray[np.int64]]:
    """Of each token its value in its tweet, whether it is a negation, and the tweet's row; all of shape (tokens,)."""
    ids, owners = np.asarray(rows.token_ids), np.repeat(np.arange(rows.size), np.diff(rows.offsets))

    def where(holds: Callable[[str], object]) -> Flags:
        return np.array([bool(holds(one)) for one in rows.types], bool)[ids]

    negates, ends = where(_NEGATION.fullmatch), where(_ENDS_CLAUSE.fullmatch)
    values = np.where(negates, 0.0, np.array([value_of(one) for one in rows.types], np.float64)[ids])
    turned, reached = np.zeros(len(ids), bool), negates
    for _ in range(_REACH):  # a negation reaches the next token of its tweet, unless that ends the clause
        following = np.zeros(len(ids), bool)
        following[1:] = reached[:-1] & (owners[1:] == owners[:-1]) & ~ends[1:]
        turned, reached = turned | following, following
    values[turned] *= _TURNED
    contrasts = np.flatnonzero(where("but".__eq__))
    last = np.full(rows.size, -1)
    last[owners[contrasts]] = contrasts  # of several in a tweet the last one stays
    values[np.arange(len(ids)) < last[owners]] *= _BEFORE_BUT
    return values, negates, owners


@cache
def value_of(token: str) -> float:
    """How positive a token is, from -5 to 5; 0 if nobody rated it.

    A word that was stretched counts as it is spelt, an emoji as the words of its name in Unicode.
    """
    values = _word_values()
    for spelling in (token, token.lower(), _STRETCHED.sub(r"\1\1", token), _STRETCHED.sub(r"\1", token)):
        if spelling in values:
            return values[spelling]
    if len(token) > 2 or token.isascii():  # an emoji may have a sign behind it that says how to draw it
        return 0.0
    words = re.split("[ -]", " ".join(unicodedata.name(one, "").lower() for one in token))
    return max(-5.0, min(5.0, sum(values.get(word, 0.0) for word in words)))


@cache
def _word_values() -> dict[str, float]:
    package = distribution("afinn")  # its lists are read, and none of its code is run
    paths = (package.locate_file(f"afinn/data/AFINN-{name}.txt") for name in ("en-165", "emoticon-8"))
    texts = (Path(str(path)).read_text(encoding="utf-8") for path in paths)
    pairs = (line.rsplit("\t", 1) for text in texts for line in text.splitlines())
    rated = {word: float(value) for word, value in pairs}
    return rated | {SMILE: rated[":)"], FROWN: rated[":("]}


class LexiconModel(TextModel):
    """Classifies texts by VADER's lexicon as they are, uncleaned."""

    name = LEXICON

    def __init__(self, config: RunConfig) -> None:
        self.config, self.tokenize = config, str.split

    def classify(self, rows: TokenRows) -> Predictions:
        texts = [" ".join(tokens) for tokens in rows]  # VADER too splits texts at white space
        return Predictions(lexicon_scores(texts), np.array(texts, object) != "")


def lexicon_scores(texts: Iterable[str]) -> Probabilities:
    """The compound score of each text, (texts,), from [-1, 1] to [0, 1]: on the scale of probabilities, but none."""
    return np.array([(1 + _analyzer().polarity_scores(text)["compound"]) / 2 for text in texts], np.float64)


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


_CHUNK = 1000


def rate_rows(corpus: Corpus, rows: npt.NDArray[np.int64], progress: Progress = silent) -> npt.NDArray[np.float32]:
    """The scores of those rows of a corpus, NaN elsewhere, of shape (rows of the corpus,)."""
    import pyarrow.parquet as pq

    texts = pq.read_table(corpus.path / TWEETS_FILE, columns=["text"])["text"]
    scores = np.full(len(corpus.labels), np.nan, np.float32)
    for first in range(0, len(rows), _CHUNK):
        progress("rating tweets by VADER's lexicon", first, len(rows))
        some = rows[first : first + _CHUNK]
        scores[some] = lexicon_scores(texts[row].as_py() for row in some)
    return scores
