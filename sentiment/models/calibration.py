"""Calibration: probabilities that mean what they say, by one temperature for each model of a run (Guo et al. 2017).

The log-odds of a model's probabilities are divided by a temperature that is fitted on the validation tweets. They keep
their sign, so that no label changes at the threshold, and no accuracy.

The mean of both is that of calibrated probabilities, and has a temperature of its own, below 1: where two calibrated
models agree, they are more often right than either says. It is used because it is more accurate on validation tweets:
it has 95.5 % of VADER's right (five folds, two seeds), and the mean of raw probabilities 94.9 %.
"""

import numpy as np
import numpy.typing as npt

from sentiment.runs.records import Recommendation

Probabilities = npt.NDArray[np.float64]

_SMALLEST = 1e-12
_LARGEST = 20.0
_DIGITS = 4


def fit_temperature(labels: npt.NDArray[np.integer], probabilities: Probabilities) -> float:
    """The temperature with the lowest log loss, between 0.05 and 20.

    A label counts as Platt (1999) has it, as (n + 1) / (n + 2) with n tweets of its class and not as 1: where all
    validation tweets are right, the loss would otherwise have no minimum.

    Args:
        labels: 0 and 1, shape (n,).
        probabilities: of the positive class, shape (n,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import expit, logit

    odds = logit(np.clip(probabilities, _SMALLEST, 1 - _SMALLEST))
    positive = int((labels == 1).sum())
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (len(labels) - positive + 2))

    limit = float(np.log(_LARGEST))

    def loss(logarithm: float) -> float:
        said = np.clip(expit(odds / np.exp(logarithm)), _SMALLEST, 1 - _SMALLEST)
        return float(-np.mean(targets * np.log(said) + (1 - targets) * np.log1p(-said)))

    return round(float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x)), _DIGITS)


def calibrated(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities with their log-odds divided by the temperature."""
    from scipy.special import expit, logit

    found: Probabilities = expit(logit(probabilities) / temperature)
    return found


def fit_temperatures(
    labels: npt.NDArray[np.integer], network: Probabilities, baseline: Probabilities
) -> dict[Recommendation, float]:
    """The temperatures of a network and of its mean with the baseline, from what is said of validation tweets.

    Args:
        network: before its temperature.
        baseline: calibrated.
    """
    of_network = fit_temperature(labels, network)
    mean = (calibrated(network, of_network) + baseline) / 2
    return {"network": of_network, "both": fit_temperature(labels, mean)}


def as_used(
    network: Probabilities, baseline: Probabilities, temperatures: dict[Recommendation, float]
) -> dict[Recommendation, Probabilities]:
    """What each model of a run says, calibrated.

    Args:
        network: before its temperature.
        baseline: calibrated.
        temperatures: as `fit_temperatures` gives them.
    """
    network = calibrated(network, temperatures["network"])
    both = calibrated((network + baseline) / 2, temperatures["both"])
    return {"network": network, "baseline": baseline, "both": both}
