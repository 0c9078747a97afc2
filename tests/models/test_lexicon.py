"""VADER's lexicon beside the baselines: on the scale of probabilities, of the rows that are measured."""

from pathlib import Path

import numpy as np
import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from sentiment.config import DataConfig
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.errors import DataError
from sentiment.models.lexicon import corpus_lexicon, corpus_texts, lexicon_scores
from sentiment.runs.run_dir import TWEETS_FILE, Results


@pytest.fixture
def corpus(tweets_file: Path, tmp_path: Path) -> Corpus:
    return prepare_corpus(DataConfig(source=str(tweets_file)), Results(tmp_path))


def test_scores_are_compound_scores_with_their_zero_at_the_threshold() -> None:
    texts = ["I LOVE it!!! :)", "not happy", "a bus", ""]
    compound = [SentimentIntensityAnalyzer().polarity_scores(text)["compound"] for text in texts]
    assert lexicon_scores(texts) * 2 - 1 == pytest.approx(compound)
    assert [score >= 0.5 for score in lexicon_scores(texts)] == [True, False, True, True]


def test_only_rows_that_are_asked_for_are_rated(corpus: Corpus) -> None:
    rows = corpus.rows("test")
    scores = corpus_lexicon(corpus, rows)
    assert np.flatnonzero(~np.isnan(scores)).tolist() == rows.tolist()
    texts = corpus_texts(corpus).take(rows).to_pylist()
    np.testing.assert_array_equal(scores[rows], lexicon_scores(texts).astype(np.float32))
    (corpus.path / TWEETS_FILE).unlink()
    with pytest.raises(DataError, match=r"tweets\.parquet: cannot be read"):
        corpus_lexicon(corpus, rows)
