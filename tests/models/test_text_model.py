"""What all models do: rate words by lexicons, calibrate what they say, and answer the check list."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import expit
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from sentiment.config import DataConfig
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.text import TokenRows
from sentiment.models.text_model import (
    Predictions,
    TextModel,
    answer_checks,
    calibrate_all,
    calibrated,
    checks,
    fit_temperature,
    fit_temperatures,
    lexicon_scores,
    polarity,
    rate_rows,
    token_polarity,
    total,
    value_of,
)
from sentiment.runs.run_dir import TWEETS_FILE, Results

LOG_ODDS = np.random.default_rng(1).normal(0.3, 2, 20_000)
LABELS = (np.random.default_rng(2).random(len(LOG_ODDS)) < expit(LOG_ODDS)).astype(int)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_temperature_is_what_log_odds_are_too_large_by(factor: float) -> None:
    assert fit_temperature(LABELS, expit(factor * LOG_ODDS)) == pytest.approx(factor, rel=0.05)


def test_temperature_is_finite_where_a_model_is_always_right_or_certain_and_wrong() -> None:
    right = np.repeat([0, 1], 30)  # targets are 1/32 and 31/32
    assert fit_temperature(right, np.where(right == 1, 0.8, 0.2)) == pytest.approx(np.log(4) / np.log(31), abs=1e-3)
    assert 1 < fit_temperature(np.array([0, 1, 1, 0]), np.array([1.0, 1.0, 0.0, 0.0])) <= 20.01


def test_calibration_changes_no_label_and_no_order() -> None:
    said = np.array([0.0, 1e-9, 0.3, np.float32(0.49999997), 0.5, 0.50000003, 0.9, 1.0])
    for temperature in (0.1, 0.7, 20.0):
        after = calibrated(said, temperature)
        assert ((after >= 0.5) == (said >= 0.5)).all()
        assert (np.diff(after) >= 0).all()
        assert calibrated(after, 1 / temperature) == pytest.approx(said)


def test_mean_of_two_models_is_calibrated_after_them() -> None:
    network, baseline = expit(3 * LOG_ODDS), expit(0.5 * LOG_ODDS)
    temperatures = fit_temperatures(LABELS, network, baseline)
    said = calibrate_all(network, baseline, temperatures)
    for name, raw in (("network", network), ("baseline", baseline)):
        assert temperatures[name] == fit_temperature(LABELS, raw)
        assert said[name] == pytest.approx(calibrated(raw, temperatures[name]))
    assert fit_temperature(LABELS, said["both"]) == pytest.approx(1, abs=0.01)
    mean = (said["network"] + said["baseline"]) / 2
    assert said["both"] == pytest.approx(calibrated(mean, temperatures["both"]))


POSITIVE = {one.text: one.positive for one in checks()}
UNKNOWN = 0.7  # said of what a model does not know


class _Says(TextModel):
    def __init__(self, probability: Any) -> None:
        self.probability = probability

    def classify_texts(self, texts: Sequence[str]) -> Predictions:
        found = np.array([self.probability(text) for text in texts], float)
        return Predictions(found, found != UNKNOWN)


def test_check_list_has_each_sentence_once_and_both_labels_of_what_can_have_both() -> None:
    assert len(POSITIVE) == len(checks()) >= 100
    labels = Counter((one.capability, one.positive) for one in checks())
    assert min(labels.values()) >= 6
    one_sided = {name for name, positive in labels if labels[name, not positive] == 0}
    assert one_sided == {"not good", "not bad"}


def test_check_counts_what_is_right_by_capability() -> None:
    """A sentence of which a model knows no word is not right."""
    for share, probability in (
        (1, lambda text: float(POSITIVE[text])),
        (0, lambda text: float(not POSITIVE[text])),
        (0, lambda text: UNKNOWN if POSITIVE[text] else 1.0),
    ):
        tallies = answer_checks(_Says(probability))
        assert {tally.right / tally.of for tally in tallies.values()} == {share}
        assert total(tallies).of == len(checks())


def test_check_list_can_be_answered_by_an_untrained_lexicon_in_most_parts() -> None:
    tally = total(answer_checks(_Says(lambda text: float(lexicon_scores([text])[0]))))
    assert tally.right / tally.of > 0.8


def _of(*tweets: str) -> list[list[float]]:
    return polarity(TokenRows.of_tweets([tweet.split() for tweet in tweets])).tolist()


def _bounded(total: float) -> float:
    return pytest.approx(total / math.sqrt(total**2 + 15), abs=1e-6)  # type: ignore[no-any-return]


def test_values_of_words_are_summed_by_their_sign() -> None:
    assert value_of("good") == 3
    assert value_of("sad") == -2
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
    assert token_polarity(rows).tolist() == pytest.approx([0, -0.74 * 1.5, 0.75, 0, -1])


def test_tweet_has_the_same_features_whatever_stands_around_it() -> None:
    tweets = ["not good at all", "bad", "", "so happy , not sad :)", "but good", "i do not", "good"]
    assert _of(*tweets) == [_of(tweet)[0] for tweet in tweets]


def test_stretched_words_masks_and_emoji_are_rated() -> None:
    assert value_of("gooood") == value_of("good")
    assert value_of("haaate") == value_of("hate")
    assert value_of("<smile>") == value_of(":)") > 0 > value_of("<frown>") == value_of(":(")
    assert value_of("\N{LOUDLY CRYING FACE}") < 0 < value_of("\N{SMILING FACE WITH HEART-SHAPED EYES}")
    assert value_of("\N{SNOWMAN}") == 0


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
    scores = rate_rows(corpus, rows)
    assert np.flatnonzero(~np.isnan(scores)).tolist() == rows.tolist()
    texts = pq.read_table(corpus.path / TWEETS_FILE)["text"].take(rows).to_pylist()
    np.testing.assert_array_equal(scores[rows], lexicon_scores(texts).astype(np.float32))
