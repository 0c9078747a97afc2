"""What all models do with texts: read them, calibrate, answer a check list. Loads no torch.

Calibration (Guo et al. 2017): the log-odds of a model's probabilities are divided by a temperature that is fitted on
the validation tweets. They keep their sign, so that no label changes at the threshold. The mean of both is that of
calibrated probabilities, and has a temperature of its own, below 1: two calibrated models that agree are right more
often than the mean of their probabilities says. It has 95.5 % of VADER's right (five folds, two seeds), and the mean of
raw probabilities 94.9 %.

The check list: short sentences of which anybody knows the label, by what they ask of a model, as in CheckList (Ribeiro
et al. 2020). They show what a model can do at all, and choose nothing.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from sentiment.config import RunConfig
from sentiment.console import visible
from sentiment.data.text import TokenRows
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.records import BOTH, THRESHOLD, CheckScore, ModelChoice

Probabilities = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Answer = tuple[str, float]  # a label, and how probable it is


class Predictions(NamedTuple):
    """What a model says of several texts."""

    probabilities: Probabilities  # (n,), of positive sentiment
    usable: Flags  # (n,), False where the model knows nothing of a text

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def answers(self, names: tuple[str, str], threshold: float | None = None) -> Iterator[Answer | None]:
        """The label of each text and how probable it is; None where the model knows nothing.

        From the threshold on it is the second of the `names`, the positive one.
        """
        positive = self.probabilities >= checked_threshold(threshold)
        said = zip(positive.tolist(), self.probabilities.tolist(), self.usable.tolist(), strict=True)
        for yes, share, usable in said:
            yield (names[yes], share if yes else 1 - share) if usable else None


def checked_threshold(value: float | None) -> float:
    """A threshold that somebody chose, or the usual one; a UsageError says that it is no probability."""
    if value is not None and not 0 <= value <= 1:  # NaN is neither
        raise UsageError(f"threshold {value}: is compared with probabilities; valid is 0 to 1")
    return THRESHOLD if value is None else value


class TextModel:
    """Classifies texts: a network, a baseline, a lexicon, or a mean of several."""

    name: str
    config: RunConfig  # of its run
    tokenize: Callable[[str], list[str]]
    sequential = False  # uses all cores by itself, so that nothing is gained by reading several lots at once

    def classify(self, rows: TokenRows) -> Predictions:
        """Classify tokenised texts; no prediction depends on the other texts."""
        raise NotImplementedError

    def classify_texts(self, texts: Sequence[str]) -> Predictions:
        return self.classify(TokenRows.of_tweets(map(self.tokenize, texts)))

    def attention(self, tokens: list[str]) -> list[float] | None:  # noqa: ARG002
        """The weight of each token, with sum 1; None for models without attention."""
        return None


class MeanModel(TextModel):
    """The calibrated mean of a network's probabilities and the baseline's; it knows what either of them knows."""

    name = BOTH

    def __init__(self, network: TextModel, baseline: TextModel, temperature: float) -> None:
        self._members, self._temperature = (network, baseline), temperature
        self.config, self.tokenize, self.sequential = network.config, network.tokenize, network.sequential

    def classify(self, rows: TokenRows) -> Predictions:
        said = [member.classify(rows) for member in self._members]
        mean = np.mean([one.probabilities for one in said], axis=0)
        return Predictions(calibrated(mean, self._temperature), np.any([one.usable for one in said], axis=0))

    def attention(self, tokens: list[str]) -> list[float] | None:
        return self._members[0].attention(tokens)


def check_arrays(place: str, found: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Refuse arrays or tensors that are not what a model needs, as `described`: the file may be made by hand.

    A RunDirError says which is missing, unknown, of another type or shape, or not finite.
    """
    for name in sorted(wanted.keys() | found.keys()):
        shown = visible(name)[:100]
        stored = described(found[name]) if name in found else "missing"
        expected = wanted.get(name, "nothing of this name")
        if stored != expected:
            raise RunDirError(f"{place}: holds no such model: {shown} is {stored}, expected is {expected}")
        if not np.isfinite(np.asarray(found[name])).all():
            raise RunDirError(f"{place}: holds weights that are not finite (in {shown})")


def described(array: Any) -> str:
    """The type and the shape of an array or tensor, such as `float32 (3, 4)`."""
    return f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"


_SMALLEST = 1e-12


def fit_temperature(labels: npt.NDArray[np.integer], probabilities: Probabilities) -> float:
    """The temperature with the lowest log loss, between 0.05 and 20.

    A label counts as Platt (1999) has it, as (n + 1) / (n + 2) with n tweets of its class and not as 1: where all
    validation tweets are right, the loss would otherwise have no minimum.
    """
    from scipy.optimize import minimize_scalar

    odds = logit(np.clip(probabilities, _SMALLEST, 1 - _SMALLEST))
    positive = int((labels == 1).sum())
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (len(labels) - positive + 2))
    limit = float(np.log(20))

    def loss(logarithm: float) -> float:
        said = np.clip(expit(odds / np.exp(logarithm)), _SMALLEST, 1 - _SMALLEST)
        return float(-np.mean(targets * np.log(said) + (1 - targets) * np.log1p(-said)))

    return round(float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x)), 4)


def calibrated(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities with their log-odds divided by the temperature."""
    return np.asarray(expit(logit(probabilities) / temperature))


def fit_temperatures(
    labels: npt.NDArray[np.integer], network: Probabilities, baseline: Probabilities
) -> dict[ModelChoice, float]:
    """The temperatures of a run's models, from what network and baseline say of validation tweets."""
    of_network, of_baseline = fit_temperature(labels, network), fit_temperature(labels, baseline)
    mean = (calibrated(network, of_network) + calibrated(baseline, of_baseline)) / 2
    return {"network": of_network, "baseline": of_baseline, "both": fit_temperature(labels, mean)}


def calibrate_all(
    network: Probabilities, baseline: Probabilities, temperatures: Mapping[ModelChoice, float]
) -> dict[ModelChoice, Probabilities]:
    """The calibrated probabilities of each model of a run, from the raw ones of its network and its baseline."""
    network, baseline = calibrated(network, temperatures["network"]), calibrated(baseline, temperatures["baseline"])
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
    """How a model does by capability; a sentence of which it knows no word is not right."""
    said = model.classify_texts([one.text for one in checks()])
    positive = (said.probabilities >= THRESHOLD).tolist()
    found = zip(checks(), positive, said.usable.tolist(), strict=True)
    right = Counter(one.capability for one, positive, usable in found if usable and positive == one.positive)
    return {name: CheckScore(right[name], of) for name, of in Counter(one.capability for one in checks()).items()}


def total(tallies: Mapping[str, CheckScore]) -> CheckScore:
    return CheckScore(sum(one.right for one in tallies.values()), sum(one.of for one in tallies.values()))
