"""What one run's scores say of single tweets: calibration, mistakes, groups."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.statistics import Estimate, Flags, wilson

_GROUPS = 10
_SUREST = 1e-7
# Bounds of the groups of tweets by length, in tokens.
_LENGTHS = ((1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))
# Negation as it is typed, with and without apostrophe.
_NEGATION = re.compile(
    r"\b(no|not|nor|never|none|nobody|nothing|nowhere|neither|without|cannot|\w+n['\u2019]t|(?:ca|wo|do|is|did|does|was|could|"
    r"would|should|have|has|are|were)nt)\b",
    re.IGNORECASE,
)

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Groups of equally many tweets with similar scores: the mean probability, and the share that is positive."""

    predicted: list[float]
    observed: list[Estimate]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of the two, weighted by tweets (Naeini et al. 2015)."""
        pairs = zip(self.predicted, self.observed, strict=True)
        distances = [abs(predicted - share.value) for predicted, share in pairs]
        return float(np.average(distances, weights=[share.n for share in self.observed]))


def calibrate(labels: Flags, scores: Values) -> Calibration:
    """Ten groups of tweets by score, with Wilson's interval for the share of positive ones."""
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, _GROUPS) if len(group)]
    predicted = [float(scores[group].mean()) for group in groups]
    return Calibration(predicted, [wilson(int(labels[group].sum()), len(group)) for group in groups])


def log_loss(labels: Flags, scores: Values) -> float:
    """Mean binary cross-entropy in nats; of scores that were stored in 32 bits none is surer than these can tell."""
    right = np.where(labels, scores, 1 - scores)
    return float(-np.log(np.maximum(right, _SUREST)).mean())


def calibration_points(labels: Flags, scores: Values) -> list[tuple[float, float, int]]:
    """The same groups without intervals: mean probability, share of positive tweets, and number of tweets."""
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, _GROUPS) if len(group)]
    return [(float(scores[group].mean()), float(labels[group].mean()), len(group)) for group in groups]


def confusion(labels: Flags, answers: Flags) -> npt.NDArray[np.int64]:
    """Numbers of tweets by (label, answer), of shape (2, 2), negative first."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(labels, answers, labels=[False, True]), np.int64)


def length_groups(lengths: npt.NDArray[np.int64]) -> list[tuple[tuple[int, int | None], Flags]]:
    """Tweets by their number of tokens: the bounds of each group that has members, and which tweets those are."""
    groups = [((low, high), (lengths >= low) & (lengths <= (high or np.inf))) for low, high in _LENGTHS]
    return [(bounds, members) for bounds, members in groups if members.any()]


def has_negation(text: str) -> bool:
    """Whether a tweet has a negating word."""
    return bool(_NEGATION.search(text))


def negation_groups(texts: Sequence[str]) -> list[tuple[bool, Flags]]:
    """Tweets with a negating word (True) and without one (False): each group that has members, and which these are."""
    negated = np.array([has_negation(text) for text in texts])
    return [(is_negated, members) for is_negated, members in ((True, negated), (False, ~negated)) if members.any()]


def accuracy_by_group(right: Flags, groups: Sequence[Flags]) -> list[Estimate]:
    """The share of each group's tweets that is classified correctly, with Wilson's interval."""
    return [wilson(int(right[members].sum()), int(members.sum())) for members in groups]
