"""What one run's scores say of single tweets: ranking, calibration, mistakes, groups. Measures are scikit-learn's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.analysis.statistics import Estimate, Flags, wilson
from report.read.predictions import Scores
from report.render.charts.quality import Curve, Reliability
from sentiment.records import THRESHOLD

_BINS = 10
_POINTS = 200
LENGTHS = ((1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))
# Negation as it is typed, with and without apostrophe.
_NEGATION = re.compile(
    r"\b(no|not|nor|never|none|nobody|nothing|nowhere|neither|without|cannot|\w+n['\u2019]t|(?:ca|wo|do|is|did|does|was|could|"
    r"would|should|have|has|are|were)nt)\b",
    re.IGNORECASE,
)

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """How well scores put positive tweets before negative ones."""

    auc: float
    average_precision: float
    roc: Curve
    recall: Curve


def rank(name: str, labels: Flags, scores: Values) -> Ranking:
    """ROC and precision-recall curves, thinned to what can be seen."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    false_positives, true_positives, _ = roc_curve(labels, scores)
    precision, recall, _ = precision_recall_curve(labels, scores)
    auc, average = float(roc_auc_score(labels, scores)), float(average_precision_score(labels, scores))
    roc = _thinned(f"{name}, area {auc:.3f}", false_positives, true_positives)
    return Ranking(auc, average, roc, _thinned(f"{name}, mean precision {average:.3f}", recall[::-1], precision[::-1]))


def reliability(name: str, labels: Flags, scores: Values) -> Reliability:
    """Ten groups of equally many tweets, by score; shares of positive ones with Wilson's interval."""
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, _BINS) if len(group)]
    said = [float(scores[group].mean()) for group in groups]
    return Reliability(name, said, [wilson(int(labels[group].sum()), len(group)) for group in groups])


def calibration_error(of_model: Reliability) -> float:
    """Expected calibration error: mean distance from the diagonal, weighted by tweets."""
    distances = [abs(said - share.value) for said, share in zip(of_model.said, of_model.positive, strict=True)]
    return float(np.average(distances, weights=[share.n for share in of_model.positive]))


def confusion(labels: Flags, answers: Flags) -> npt.NDArray[np.int64]:
    """Counts by (label, answer), negative first."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(labels, answers, labels=[False, True]), np.int64)


def most_confident_mistakes(scores: Scores, number: int) -> npt.NDArray[np.int64]:
    """Places of the tweets that the run is most sure about and wrong, worst first."""
    wrong = np.flatnonzero(~scores.right(scores.model))
    return wrong[np.argsort(-np.abs(scores.model[wrong] - THRESHOLD), kind="stable")][:number]


def length_groups(lengths: npt.NDArray[np.int64]) -> list[tuple[str, Flags]]:
    """Tweets by their number of tokens; groups without any are left out."""
    groups = [
        (f"{low}\u2013{high}" if high else f"\u2265 {low}", (lengths >= low) & (lengths <= (high or np.inf)))
        for low, high in LENGTHS
    ]
    return [(name, members) for name, members in groups if members.any()]


def negation_groups(texts: Sequence[str]) -> list[tuple[str, Flags]]:
    """Tweets with a negating word, and the others."""
    negated = np.array([bool(_NEGATION.search(text)) for text in texts])
    groups = [("with negation", negated), ("without negation", ~negated)]
    return [(name, members) for name, members in groups if members.any()]


def accuracy_by_group(right: Flags, groups: Sequence[tuple[str, Flags]]) -> list[Estimate]:
    """With Wilson's interval."""
    return [wilson(int(right[members].sum()), int(members.sum())) for _, members in groups]


def _thinned(name: str, x: Values, y: Values) -> Curve:
    chosen = np.unique(np.linspace(0, len(x) - 1, _POINTS).round().astype(int))
    return Curve(name, x[chosen], y[chosen])
