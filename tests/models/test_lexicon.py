"""Words and tweets rated by lexicons."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from sentiment.data.corpus import Corpus
from sentiment.models.lexicon import (
    compound_scores,
    lexicon_probabilities,
    rate_rows,
    rating_features,
    rating_of,
    token_ratings,
)
from sentiment.runs.run_dir import TWEETS_FILE, Results
from sentiment.tokens import TokenRows
from tests.data.made_up import prepare


def _of(*tweets: str) -> list[list[float]]:
    return rating_features(TokenRows.of_tweets([tweet.split() for tweet in tweets])).tolist()


def _bounded(total: float) -> float:
    return pytest.approx(total / math.sqrt(total**2 + 15), abs=1e-6)  # type: ignore[no-any-return]


def test_values_of_words_are_summed_by_their_sign() -> None:
    assert rating_of("good") == 3
    assert rating_of("sad") == -2
    assert _of("a good but sad day", "plain words", "") == [
        [_bounded(3 / 2 - 2), _bounded(3 / 2), _bounded(-2), 0],  # what stands before `but` counts half
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_negation_turns_the_values_that_follow_it_in_its_clause() -> None:
    for tweet, value in (
        ("not good", -0.74 * 3),
        ("it isn't bad", 0.74 * 3),
        ("not a very good", -0.74 * 3),
        ("not one of the good", 3),  # out of reach
        ("no , good", 3),  # another clause
        ("no but good", 3),
        ("good not", 3),  # before the negation
        ("never not good", -0.74 * 3),  # turned once
    ):
        ((found, _, _, negation),) = _of(tweet)
        assert (found, negation) == (_bounded(value), 1), tweet


def test_tokens_have_half_their_value_turned_after_a_negation() -> None:
    rows = TokenRows.of_tweets([["not", "good"], [], ["good", "but", "sad"]])
    assert token_ratings(rows).tolist() == pytest.approx([0, -0.74 * 1.5, 0.75, 0, -1])


def test_tweet_has_the_same_features_whatever_stands_around_it() -> None:
    tweets = ["not good at all", "bad", "", "so happy , not sad :)", "but good", "i do not", "good"]
    assert _of(*tweets) == [_of(tweet)[0] for tweet in tweets]


def test_no_letter_mark_or_sign_is_rated_but_the_heart_of_afinns_emoticons() -> None:
    characters = [*map(chr, range(0x80, 0x20000))]
    with_selector = [f"{character}\ufe0f" for character in characters]
    assert [token for token in (*characters, *with_selector) if rating_of(token)] == ["\N{BLACK HEART SUIT}"]
    assert _of("\u00e0 la carte", "\u751f\u6c14") == [[0, 0, 0, 0]] * 2


def test_but_halves_and_ends_a_clause_in_capitals_too() -> None:
    for tweet in ("good but sad", "not but good"):
        assert _of(tweet.replace("but", "BUT")) == _of(tweet)


def test_stretched_words_and_faces_are_rated() -> None:
    assert rating_of("gooood") == rating_of("good")
    assert rating_of("haaate") == rating_of("hate")
    assert rating_of(":)") > 0 > rating_of(":(")


@pytest.fixture
def corpus(tweets_file: Path, tmp_path: Path) -> Corpus:
    return prepare(tweets_file, Results(tmp_path))


def test_scores_are_vaders_compound_scores() -> None:
    texts = ["I LOVE it!!! :)", "not happy", "a bus", ""]
    compound = [SentimentIntensityAnalyzer().polarity_scores(text)["compound"] for text in texts]
    assert compound_scores(texts) == pytest.approx(compound)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (2, [0, 0, 0, 0, 1, 1, 1, 1, 1]),  # a score of 0 is positive
        (3, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
        (5, [0, 1, 2, 2, 2, 2, 2, 3, 4]),
    ],
)
def test_lexicon_cuts_its_scores_at_fixed_bounds(classes: int, expected: list[int]) -> None:
    for dtype in (np.float64, np.float32):
        compound = np.array([-1, -0.3, -0.05, -0.0499, 0, 0.0499, 0.05, 0.3, 1], dtype)
        probabilities = lexicon_probabilities(compound, classes)
        assert probabilities.argmax(axis=1).tolist() == expected
        assert (probabilities.sum(axis=1) == 1).all()


def test_only_rows_that_are_asked_for_are_rated(corpus: Corpus) -> None:
    rows = corpus.rows("test")
    scores = rate_rows(corpus, rows)
    assert np.flatnonzero(~np.isnan(scores)).tolist() == rows.tolist()
    texts = pq.read_table(corpus.path / TWEETS_FILE)["text"].take(rows).to_pylist()
    np.testing.assert_array_equal(scores[rows], compound_scores(texts).astype(np.float32))
