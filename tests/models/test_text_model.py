"""What all models do: calibrate what they say, and answer the check list."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit, softmax

from sentiment.models.lexicon import compound_scores
from sentiment.models.text_model import (
    Predictions,
    TextModel,
    answer_checks,
    calibrate_all,
    calibrated,
    checks,
    fit_temperature,
    fit_temperatures,
    total_score,
)
from sentiment.statistics.metrics import Probabilities, with_first_class

GENERATOR = np.random.default_rng(1)
# By the number of classes: the logarithms of the true probabilities, up to a constant, and labels drawn from these.
LOGARITHMS = {count: GENERATOR.normal(0.3, 2, (20_000, count)) for count in (2, 3, 5)}


def drawn(count: int) -> npt.NDArray[np.int64]:
    """A label for each row, drawn from the true probabilities."""
    cumulated = softmax(LOGARITHMS[count], axis=1).cumsum(axis=1)
    return (np.random.default_rng(2).random((len(cumulated), 1)) > cumulated).sum(axis=1)


def of_two(second: npt.ArrayLike) -> Probabilities:
    """The probabilities of two classes, from those of the second one."""
    return with_first_class(np.asarray(second, np.float64)[:, None])


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("count", LOGARITHMS)
def test_temperature_is_what_logarithms_are_too_large_by(factor: float, count: int) -> None:
    probabilities = softmax(factor * LOGARITHMS[count], axis=1)
    assert fit_temperature(drawn(count), probabilities) == pytest.approx(factor, rel=0.05)


def test_temperature_is_finite_where_a_model_is_always_right_or_certain_and_wrong() -> None:
    right = np.repeat([0, 1], 30)  # targets are 1/32 and 31/32
    probabilities = of_two(np.where(right == 1, 0.8, 0.2))
    assert fit_temperature(right, probabilities) == pytest.approx(np.log(4) / np.log(31), abs=1e-3)
    assert 1 < fit_temperature(np.array([0, 1, 1, 0]), of_two([1.0, 1.0, 0.0, 0.0])) <= 20.01
    assert 1 < fit_temperature(np.array([0, 1, 2]), np.roll(np.eye(3), 1, axis=0)) <= 20.01


def test_calibration_of_two_classes_divides_log_odds_and_changes_no_label_and_no_order() -> None:
    raw = np.array([0.0, 1e-9, 0.3, np.float32(0.49999997), 0.5, 0.50000003, 0.9, 1.0])
    for temperature in (0.1, 0.7, 20.0):
        after = calibrated(of_two(raw), temperature)
        assert after[:, 1] == pytest.approx(expit(logit(raw) / temperature))
        assert ((after[:, 1] >= 0.5) == (raw >= 0.5)).all()
        assert (np.diff(after[:, 1]) >= 0).all()
        assert calibrated(after, 1 / temperature)[:, 1] == pytest.approx(raw)


def test_calibration_of_several_classes_keeps_their_order_and_sums_to_one() -> None:
    raw = softmax(LOGARITHMS[5], axis=1)
    after = calibrated(raw, 0.3)
    assert (after.argsort(axis=1) == raw.argsort(axis=1)).all()
    assert after.sum(axis=1) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("count", LOGARITHMS)
def test_mean_of_two_models_is_calibrated_after_them(count: int) -> None:
    network = softmax(3 * LOGARITHMS[count][:3_000], axis=1)
    baseline = softmax(0.5 * LOGARITHMS[count][:3_000], axis=1)
    labels = drawn(count)[:3_000]
    temperatures = fit_temperatures(labels, network, baseline)
    after = calibrate_all(network, baseline, temperatures)
    for name, raw in (("network", network), ("baseline", baseline)):
        assert temperatures[name] == fit_temperature(labels, raw)
        assert after[name] == pytest.approx(calibrated(raw, temperatures[name]))
    assert fit_temperature(labels, after["both"]) == pytest.approx(1, abs=0.01)
    mean = (after["network"] + after["baseline"]) / 2
    assert after["both"] == pytest.approx(calibrated(mean, temperatures["both"]))


POSITIVE = {one.text: one.positive for one in checks()}
UNKNOWN = 0.7  # said of what a model does not know


class _Constant(TextModel):
    """Gives the second of two classes, or the last of more, the probability that a function returns for the text."""

    def __init__(self, probability: Any, classes: int = 2) -> None:
        self.probability = probability
        self.classes = classes

    def classify_texts(self, texts: Sequence[str]) -> Predictions:
        last = np.array([self.probability(text) for text in texts], float)
        probabilities = np.zeros((len(texts), self.classes))
        probabilities[:, 0] = 1 - last
        probabilities[:, -1] = last
        return Predictions(probabilities, last != UNKNOWN)


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
        for classes in (2, 3, 5):
            tallies = answer_checks(_Constant(probability, classes))
            assert {tally.right / tally.n for tally in tallies.values()} == {share}
            assert total_score(tallies).n == len(checks())


class _Neutral(TextModel):
    def classify_texts(self, texts: Sequence[str]) -> Predictions:
        return Predictions(np.tile([0.1, 0.8, 0.1], (len(texts), 1)), np.ones(len(texts), bool))


def test_check_list_counts_neutral_as_wrong() -> None:
    assert total_score(answer_checks(_Neutral())).right == 0


def test_check_list_can_be_answered_by_an_untrained_lexicon_in_most_parts() -> None:
    tally = total_score(answer_checks(_Constant(lambda text: float(compound_scores([text])[0] >= 0))))
    assert tally.right / tally.n > 0.8
