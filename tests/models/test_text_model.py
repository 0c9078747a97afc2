"""What all models do: calibrate what they say, and answer the check list."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from sentiment.models.lexicon import lexicon_scores
from sentiment.models.text_model import (
    Predictions,
    TextModel,
    answer_checks,
    calibrate_all,
    calibrated,
    checks,
    fit_temperature,
    fit_temperatures,
    total,
)

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
