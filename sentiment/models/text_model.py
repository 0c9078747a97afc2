"""Common interface of all models: they classify texts, are calibrated and answer the check list. Loads no torch.

Calibration (Guo et al. 2017): the logarithms of a model's probabilities are divided by a temperature that is fitted on
the validation tweets, and normalised again. The most probable class stays the same. The model `both` is the mean of two
calibrated probabilities, calibrated again with a temperature of its own. That temperature is usually below 1: where two
calibrated models agree, they are correct more often than the mean of their probabilities says. The accuracy of `both`
on VADER's tweets is 95.5 % (five folds, two seeds), that of the mean of raw probabilities 94.9 %.

The check list: short sentences with a label that few people dispute, grouped by the capability that they test, as in
CheckList (Ribeiro et al. 2020). Its results are reported; they choose no model.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from sentiment.config import RunConfig
from sentiment.console import visible
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.records import DEFAULT_THRESHOLD, PREDICTORS, CheckScore, ModelKind, PredictorKind
from sentiment.statistics.metrics import ClassIndices, Probabilities, predicted_classes
from sentiment.tokens import Flags, TokenRows

ByPredictor = dict[PredictorKind, Probabilities]
Temperatures = dict[ModelKind, float]


class Answer(NamedTuple):
    """The predicted class of a text, its probability, and those of all classes in their order."""

    label: str
    probability: float
    probabilities: list[float]


class Predictions(NamedTuple):
    """Predictions of a model for n texts."""

    probabilities: Probabilities  # (n, classes)
    usable: Flags  # (n,), False for a text without any token that the model knows

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        return cls(*map(np.concatenate, zip(*parts, strict=True)))


def checked_threshold(value: float, label_names: Sequence[str]) -> float:
    """Check a decision threshold of the second of two classes, and return it.

    Raises:
        UsageError: it is not in [0, 1], or there are more classes.
    """
    if not 0 <= value <= 1:  # true for NaN as well
        raise UsageError(f"threshold {value}: must be between 0 and 1, as it is compared with probabilities")
    if len(label_names) > 2:
        raise UsageError(
            f"threshold {value:g}: only models of two classes have one; of {', '.join(label_names)} the most probable "
            "class is predicted"
        )
    return value


class TextModel:
    """Classifies texts: a network, a baseline, a lexicon, or a mean of several.

    Attributes:
        threshold: of two classes, the second one is predicted if its probability is at least this.
        reason: why this one of the run's models was chosen, as shown to the user.
    """

    kind: PredictorKind
    config: RunConfig  # of the model's run
    tokenize: Callable[[str], list[str]]
    uses_all_cores = False  # if True, classifying several chunks in parallel threads is no faster
    holds_gil = False  # if True, only processes classify several chunks in parallel
    threshold: float = DEFAULT_THRESHOLD
    reason: str = "recommended by validation tweets"

    @property
    def name(self) -> str:
        """The name that users see."""
        return PREDICTORS[self.kind]

    def classify(self, rows: TokenRows) -> Predictions:
        """Classify tokenised texts; the prediction for a text does not depend on the other texts."""
        raise NotImplementedError

    def classify_texts(self, texts: Sequence[str]) -> Predictions:
        return self.classify(TokenRows.of_tweets(map(self.tokenize, texts)))

    def answers(self, predictions: Predictions) -> Iterator[Answer | None]:
        """Yield the predicted class of each text with its probability; None for a text that is not usable."""
        classes = predicted_classes(predictions.probabilities, self.threshold).tolist()
        rows = predictions.probabilities.tolist()
        names = self.config.data.label_names
        for index, probabilities, is_usable in zip(classes, rows, predictions.usable.tolist(), strict=True):
            yield Answer(names[index], probabilities[index], probabilities) if is_usable else None

    def attention(self, tokens: list[str]) -> list[float] | None:  # noqa: ARG002
        """The attention weight of each token (they sum to 1); None for a model without attention."""
        return None


class MeanModel(TextModel):
    """The calibrated mean of the network's and the baseline's probabilities; a text is usable if either can use it."""

    kind = "both"

    def __init__(self, network: TextModel, baseline: TextModel, temperature: float) -> None:
        self.config = network.config
        self.tokenize = network.tokenize
        self.uses_all_cores = network.uses_all_cores
        self._network = network
        self._baseline = baseline
        self._temperature = temperature

    def classify(self, rows: TokenRows) -> Predictions:
        return self.combine(self._network.classify(rows), self._baseline.classify(rows))

    def combine(self, network: Predictions, baseline: Predictions) -> Predictions:
        """The predictions of this model, from those of its members for the same texts."""
        mean = (network.probabilities + baseline.probabilities) / 2
        return Predictions(calibrated(mean, self._temperature), network.usable | baseline.usable)

    def attention(self, tokens: list[str]) -> list[float] | None:
        return self._network.attention(tokens)


def check_arrays(path: str, arrays: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    """Check the names, types, shapes and values of a model's arrays or tensors, which may come from anywhere.

    Args:
        path: where the arrays were stored, for messages.
        expected: type and shape of each array by name, written as by `described`.

    Raises:
        RunDirError: names the first array that is missing or unknown, has another type or shape, or is not finite.
    """
    for name in sorted(expected.keys() | arrays.keys()):
        shown = visible(name)[:100]
        stored = described(arrays[name]) if name in arrays else "missing"
        valid = expected.get(name, "no array of this name")
        if stored != valid:
            raise RunDirError(f"{path}: does not fit the model: {shown} is {stored}, expected is {valid}")
        if not np.isfinite(np.asarray(arrays[name])).all():
            raise RunDirError(f"{path}: holds weights that are not finite (in {shown})")


def described(array: Any) -> str:
    """The type and the shape of an array or tensor, such as `float32 (3, 4)`."""
    return f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"


_SMALLEST = 1e-12


def finite_logarithms(probabilities: Probabilities) -> Probabilities:
    """The logarithms of probabilities, which are clipped to [1e-12, 1 - 1e-12] first."""
    return np.log(np.clip(probabilities, _SMALLEST, 1 - _SMALLEST))


def fit_temperature(labels: ClassIndices, probabilities: Probabilities) -> float:
    """The temperature with the lowest log loss, between 0.05 and 20.

    Targets are smoothed as in Platt (1999): (n + 1) / (n + 2) instead of 1 for a class of n tweets, and the rest for
    the other classes. Without that, the loss has no minimum where all validation tweets are right.

    Args:
        labels: the class of each tweet, (n,).
        probabilities: (n, classes).
    """
    from scipy.optimize import minimize_scalar

    logarithms = finite_logarithms(probabilities)
    count = probabilities.shape[1]
    sizes = np.bincount(labels, minlength=count)
    by_label = np.repeat(1 / (sizes + 2)[:, None] / (count - 1), count, axis=1)
    np.fill_diagonal(by_label, (sizes + 1) / (sizes + 2))
    targets = by_label[labels]
    limit = float(np.log(20))

    def loss(log_temperature: float) -> float:
        scaled = _softmax(logarithms / np.exp(log_temperature))
        return float(-np.mean((targets * np.log(np.maximum(scaled, _SMALLEST))).sum(axis=1)))

    minimum = minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return round(float(np.exp(minimum.x)), 4)


def calibrated(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities, (n, classes), with their logarithms divided by the temperature, normalised."""
    with np.errstate(divide="ignore"):  # the logarithm of 0 is minus infinity, which softmax takes
        logarithms = np.log(probabilities)
    return _softmax(logarithms / temperature)


def _softmax(values: Probabilities) -> Probabilities:
    """The softmax of each row; gives the same bits as `scipy.special.softmax`, which is slow to import."""
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def fit_temperatures(labels: ClassIndices, network: Probabilities, baseline: Probabilities) -> Temperatures:
    """The temperatures of a run's models, from the network's and the baseline's predictions for validation tweets."""
    of_network = fit_temperature(labels, network)
    of_baseline = fit_temperature(labels, baseline)
    mean = (calibrated(network, of_network) + calibrated(baseline, of_baseline)) / 2
    return {"network": of_network, "baseline": of_baseline, "both": fit_temperature(labels, mean)}


def calibrate_all(network: Probabilities, baseline: Probabilities, temperatures: Temperatures) -> ByPredictor:
    """The calibrated probabilities of each model of a run, from the raw ones of the network and the baseline."""
    network = calibrated(network, temperatures["network"])
    baseline = calibrated(baseline, temperatures["baseline"])
    both = calibrated((network + baseline) / 2, temperatures["both"])
    return {"network": network, "baseline": baseline, "both": both}


class Check(NamedTuple):
    """One sentence of the check list."""

    capability: str
    text: str
    positive: bool


@cache
def checks() -> tuple[Check, ...]:
    text = files("sentiment.models").joinpath("check_list.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Check(row["capability"], row["text"], row["label"] == "positive") for row in rows)


def answer_checks(model: TextModel) -> dict[str, CheckScore]:
    """The number of correct and of all sentences of the check list, by capability.

    A prediction is correct if its class is on the right side of the middle of the ordered classes: the middle one of
    three (neutral) is wrong. A sentence without a known token counts as wrong.
    """
    predictions = model.classify_texts([check.text for check in checks()])
    middle = (predictions.probabilities.shape[1] - 1) / 2
    sides = np.sign(predicted_classes(predictions.probabilities) - middle)
    right: Counter[str] = Counter()
    for check, side, usable in zip(checks(), sides.tolist(), predictions.usable.tolist(), strict=True):
        right[check.capability] += usable and side == (1 if check.positive else -1)
    sizes = Counter(check.capability for check in checks())
    return {capability: CheckScore(right[capability], size) for capability, size in sizes.items()}


def total_score(scores: Mapping[str, CheckScore]) -> CheckScore:
    """The sum over all capabilities."""
    right = sum(score.right for score in scores.values())
    return CheckScore(right, sum(score.n for score in scores.values()))
