"""VADER's lexicon (Hutto & Gilbert 2014): words rated by people, and rules; nothing of it is trained here.

Its authors collected the tweets of the data set `vader` too and had them rated by the same people, so that its scores
on those are no measure of what it does elsewhere.
"""

import contextlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.console import Progress, silent
from sentiment.data.corpus.corpus import Corpus
from sentiment.errors import DataError
from sentiment.files import write_atomically
from sentiment.lock import patient_lock
from sentiment.run_dir import TWEETS_FILE

_VERSION = 1
_WHAT = "rating tweets by VADER's lexicon"
_CHUNK = 1000


def lexicon_scores(texts: Iterable[str]) -> npt.NDArray[np.float64]:
    """The compound score of each text, from [-1, 1] to [0, 1]: at least the threshold where it is not negative.

    They are on the scale of probabilities, but none. Shape (texts,).
    """
    analyzer = _analyzer()
    return np.array([(1 + analyzer.polarity_scores(text)["compound"]) / 2 for text in texts], np.float64)


def corpus_lexicon(corpus: Corpus, rows: npt.NDArray[np.int64], progress: Progress = silent) -> npt.NDArray[np.float32]:
    """The scores of those rows of a corpus, NaN elsewhere; they are cached in its folder. Shape (rows of the corpus,).

    If several processes ask at once, one computes them and the others wait.

    Raises:
        DataError: the tweets of the corpus cannot be read.
    """
    path = corpus.path / f"lexicon-{_VERSION}.npy"
    if not np.isnan((scores := _read(path, len(corpus.labels)))[rows]).any():
        return scores
    with patient_lock(path.with_suffix(".lock"), "rates the same tweets", lambda who: progress(who, 0, None)):
        scores = _read(path, len(corpus.labels))
        if len(missing := rows[np.isnan(scores[rows])]):
            texts = corpus_texts(corpus)
            for first in range(0, len(missing), _CHUNK):
                progress(_WHAT, first, len(missing))
                some = missing[first : first + _CHUNK]
                scores[some] = lexicon_scores(texts[row].as_py() for row in some)
            write_atomically(path, lambda file: np.save(file, scores))
    return scores


def _read(path: Path, rows: int) -> npt.NDArray[np.float32]:
    """The cached scores; NaN where there are none."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        scores: npt.NDArray[np.float32] = np.load(path)
        if scores.shape == (rows,) and scores.dtype == np.float32:
            return scores
    return np.full(rows, np.nan, np.float32)


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def corpus_texts(corpus: Corpus) -> Any:
    """The texts of a corpus as they were read, a column of an Arrow table.

    Raises:
        DataError: they cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = corpus.path / TWEETS_FILE
    try:
        return pq.read_table(path, columns=["text"])["text"]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
