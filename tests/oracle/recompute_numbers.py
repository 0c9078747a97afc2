"""Scores, intervals and tests, written a second time: by numpy, scipy and statsmodels.

Nothing of the product is imported. Shares are fractions of 1; `level` is a confidence level.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

ALPHA = 0.05
Array = Any


@dataclass(frozen=True)
class Score:
    """A share with its interval; `low` and `high` are None where the variance is unknown."""

    value: float
    low: float | None
    high: float | None
    n: int


def wilson(right: int, n: int) -> Score:
    low, high = proportion_confint(right, n, ALPHA, method="wilson")
    return Score(right / n, float(low), float(high), n)


def metrics(labels: Array, probabilities: Array, threshold: float = 0.5) -> dict[str, Any]:
    """All metrics of a predictor that answers each of these tweets."""
    k = probabilities.shape[1]
    answers = answer(probabilities, threshold)
    named = answers >= 0
    table = np.zeros((k, k), int)
    np.add.at(table, (labels[named], answers[named]), 1)
    sizes = np.bincount(labels, minlength=k)
    answered = table.sum(axis=0)
    hits = np.diag(table)
    recall = np.divide(hits, sizes, out=np.zeros(k), where=sizes > 0)
    precision = np.divide(hits, answered, out=np.zeros(k), where=answered > 0)
    f1 = np.divide(2 * hits, sizes + answered, out=np.zeros(k), where=sizes + answered > 0)
    present = sizes > 0
    accuracy = wilson(int(hits.sum()), len(labels))
    chosen = np.clip(probabilities[named, labels[named]], np.finfo(float).eps, 1)
    return {
        "n": len(labels),
        "loss": float(-np.log(chosen).mean()),
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "sizes": sizes.tolist(),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "macro_precision": mean_score(precision[present]),
        "macro_recall": mean_score(recall[present]),
        "macro_f1": mean_score(f1[present]),
    }


def mean_score(values: Iterable[float]) -> float:
    """To twelve decimals, so that equal scores are tied."""
    return round(fmean(values), 12)


def answer(probabilities: Array, threshold: float = 0.5) -> Array:
    """The class of each tweet: the most probable; of two, the second from the threshold on; -1 if none has any."""
    known = np.nan_to_num(probabilities)
    classes = known.argmax(axis=1) if known.shape[1] > 2 else (known[:, 1] >= threshold).astype(int)
    return np.where(known.sum(axis=1) > 0, classes, -1)


def calibration(labels: Array, probabilities: Array) -> list[tuple[float, int, int]]:
    """Ten bins of equal size: the mean probability of the answer, how many are right, and of how many tweets."""
    highest = pd.DataFrame({"p": probabilities.max(axis=1), "right": answer(probabilities) == labels})
    ranked = highest.sort_values("p", kind="stable").reset_index(drop=True)
    size, larger = divmod(len(ranked), 10)
    bins = []
    start = 0
    for number in range(10):
        end = start + size + (number < larger)
        rows = ranked.iloc[start:end]
        if len(rows):
            bins.append((float(rows["p"].mean()), int(rows["right"].sum()), len(rows)))
        start = end
    return bins


def score_of_shares(flags: Array, classes: Array | None) -> Score:
    """The score of one model: Wilson's interval, or that of the mean of classes' recalls (Zou and Donner 2008)."""
    shares = [wilson(int(part.sum()), len(part)) for part in by_class(flags, classes)]
    value = np.mean([share.value for share in shares])
    below = np.sqrt(sum((share.value - (share.low or 0)) ** 2 for share in shares)) / len(shares)
    above = np.sqrt(sum(((share.high or 0) - share.value) ** 2 for share in shares)) / len(shares)
    return Score(float(value), float(value - below), float(value + above), len(flags))


def by_class(values: Array, classes: Array | None) -> list[Array]:
    """The last axis, of tweets, split by their classes."""
    if classes is None:
        return [values]
    return [values[..., classes == label] for label in sorted(set(classes.tolist()))]


def kappa(first: Array, second: Array) -> float:
    table = pd.crosstab(first, second)
    names = sorted({*table.index, *table.columns})
    shares = table.reindex(index=names, columns=names, fill_value=0).to_numpy() / len(first)
    chance = float((shares.sum(axis=0) * shares.sum(axis=1)).sum())
    return 0.0 if np.isclose(chance, 1, atol=1e-15) else float((np.trace(shares) - chance) / (1 - chance))


@dataclass(frozen=True)
class Gap:
    """A difference. `interval` gives its bounds at a level; `p` is None where nothing can be tested."""

    value: float
    n: int
    p: float | None
    interval: Callable[[float], tuple[float | None, float | None]]
    is_conditional: bool = False
    q: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    counts: tuple[tuple[int, int, int], ...] = ()

    @property
    def is_significant(self) -> bool:
        return self.q is not None and self.q < ALPHA

    @property
    def is_better(self) -> bool:
        return self.is_significant and self.value > 0

    @property
    def is_worse(self) -> bool:
        return self.is_significant and self.value < 0

    @property
    def reversed(self) -> "Gap":
        low = None if self.high is None else -self.high
        return replace(self, value=-self.value, low=low, high=None if self.low is None else -self.low)


def family(gaps: Sequence[Gap], hypotheses: int = 0) -> list[Gap]:
    """Adjust p by Benjamini and Hochberg, intervals by Benjamini and Yekutieli, for m hypotheses."""
    tested = [gap.p for gap in gaps if gap.p is not None]
    m = max(hypotheses, len(tested), 1)
    adjusted = multipletests([*tested, *[1.0] * (m - len(tested))], ALPHA, method="fdr_bh")[1]
    shown = sum(float(p) < ALPHA for p in adjusted)
    level = 1 - max(shown, 1) * ALPHA / m
    remaining = iter(adjusted.tolist())
    corrected = []
    for gap in gaps:
        low, high = gap.interval(level)
        q = None if gap.p is None else next(remaining)
        corrected.append(replace(gap, q=q, low=low, high=high, level=level))
    return corrected


def two_models(first: Array, second: Array, classes: Array | None = None) -> Gap:
    """Two trained models, each right or wrong on the same tweets."""
    return of_counts(counts_of(first, second, classes))


def counts_of(first: Array, second: Array, classes: Array | None) -> list[tuple[int, int, int]]:
    pairs = zip(by_class(first, classes), by_class(second, classes), strict=True)
    return [(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), len(ours)) for ours, theirs in pairs]


def of_counts(counts: Sequence[tuple[int, int, int]]) -> Gap:
    """From how many tweets only the first has right, only the second, and of how many, by class."""
    return _accuracy(*counts[0]) if len(counts) == 1 else of_recalls(counts)


def of_recalls(counts: Sequence[tuple[int, int, int]]) -> Gap:
    """Agresti and Min's test of the mean difference over classes."""
    k = len(counts)
    shares = [((b + 0.5) / (n + 2), (c + 0.5) / (n + 2), n + 2) for b, c, n in counts]
    centre = sum(p - q for p, q, _ in shares) / k
    error = np.sqrt(sum((p + q - (p - q) ** 2) / n for p, q, n in shares)) / k
    value = sum((b - c) / n for b, c, n in counts) / k
    p = 2 * stats.norm.sf(abs(centre) / error)

    def interval(level: float) -> tuple[float, float]:
        margin = stats.norm.isf((1 - level) / 2) * error
        bounds = (value, centre - margin, centre + margin)
        return max(float(min(bounds)), -1.0), min(float(max(bounds)), 1.0)

    return Gap(value, sum(n for *_, n in counts), float(p), interval, counts=tuple(counts))


def _accuracy(b: int, c: int, n: int) -> Gap:
    """The larger p of the mid-p McNemar test and the score test; Tango's interval, by bisection."""
    table = [[0, b], [c, 0]]
    m = b + c
    mid = score = 1.0
    if m:
        exact = mcnemar(table, exact=True).pvalue
        mid = 1.0 if b == c else float(exact - stats.binom.pmf(min(b, c), m, 0.5))
        score = float(mcnemar(table, exact=False, correction=False).pvalue)
    p = max(mid, score)

    def interval(level: float) -> tuple[float, float]:
        low = _tango(b, c, n, level)
        high = -_tango(c, b, n, level)
        return (min(low, 0.0), max(high, 0.0)) if p >= 1 - level else (low, high)

    return Gap((b - c) / n, n, p, interval, counts=((b, c, n),))


def _tango(b: int, c: int, n: int, level: float) -> float:
    """The lower bound: where the score statistic at a true difference d is the normal quantile."""
    z = stats.norm.isf((1 - level) / 2)
    if b - c == -n:
        return -1.0
    low, high = -1.0, (b - c) / n
    for _ in range(60):
        d = (low + high) / 2
        # The share that only the second has right, by maximum likelihood given d: the larger root of a quadratic.
        half = ((2 * n - b + c) * d - b - c) / (4 * n)
        share = np.sqrt(max(half**2 + c * d * (1 - d) / (2 * n), 0.0)) - half
        error = np.sqrt(max(n * (2 * share + d * (1 - d)), 0.0))
        if b - c - n * d > z * error:
            low = d
        else:
            high = d
    return (low + high) / 2


@dataclass(frozen=True)
class Spread:
    """A variance between seeds, pooled over configurations, and its degrees of freedom."""

    variance: float
    freedom: int


def pooled(scores_by_configuration: Sequence[Sequence[float]]) -> Spread | None:
    several = [np.asarray(scores) for scores in scores_by_configuration if len(scores) > 1]
    freedom = sum(len(scores) - 1 for scores in several)
    if not freedom:
        return None
    return Spread(sum(float(((scores - scores.mean()) ** 2).sum()) for scores in several) / freedom, freedom)


Component = tuple[float, float]


def crossed(
    first: Sequence[Array],
    second: Sequence[Array],
    seeded: tuple[bool, bool],
    classes: Array | None,
    spread: Spread | None,
    limit: float | None = 1.0,
) -> Gap:
    """Configurations over seeds and tweets as crossed random factors; each array is (seeds, tweets).

    The value is the mean over a side's configurations of the means over seeds. The variance between seeds, and that
    over tweets less what is between seeds already; the distance is that of Cochran and Cox (1950).
    """
    components: list[Component] = []
    within = 0.0
    for configurations, has_seeds in zip((first, second), seeded, strict=True):
        for flags in configurations if has_seeds and spread else ():
            weight = 1 / len(configurations) ** 2
            variance, freedom = _between(seed_scores(flags, classes), spread)
            components.append((weight * variance / len(flags), freedom))
            within += weight * _interaction(flags, classes)
    gaps = _mean_over(first) - _mean_over(second)
    return _with_tweets(gaps, classes, components, within, limit)


def matched(pairs: Sequence[tuple[Array, Array]], classes: Array | None, limit: float | None = 1.0) -> Gap:
    """Matched configurations, which are the random factor where no seed is repeated."""
    gaps = np.array([np.mean(first, axis=0) - np.mean(second, axis=0) for first, second in pairs])
    spread = pooled([seed_scores(gaps, classes).tolist()])
    assert spread
    components = [(spread.variance / len(gaps), float(spread.freedom))]
    return _with_tweets(gaps.mean(axis=0), classes, components, _interaction(gaps, classes), limit)


def drawn(first: Array, second: Array, classes: Array | None, limit: float | None = 1.0) -> Gap:
    """Configurations, (configurations, tweets), that were drawn at random on each side."""
    components = []
    within = 0.0
    for side in (first, second):
        components.append((float(np.var(seed_scores(side, classes), ddof=1)) / len(side), len(side) - 1.0))
        within += _interaction(side, classes)
    return _with_tweets(first.mean(axis=0) - second.mean(axis=0), classes, components, within, limit)


def _with_tweets(
    gaps: Array, classes: Array | None, components: list[Component], within: float, limit: float | None = 1.0
) -> Gap:
    parts = by_class(gaps, classes)
    k = len(parts)
    over_tweets = sum(float(part.var(ddof=1)) / len(part) if len(part) > 1 else 0.0 for part in parts) / k**2
    left = 0.0 if np.isclose(over_tweets, within, rtol=1e-12, atol=0) else max(over_tweets - within, 0.0)
    components = [*components, (left, len(gaps) - k)]
    value = float(np.mean([part.mean() for part in parts]))
    if sum(variance for variance, _ in components) <= 1e-24:
        return Gap(value, len(gaps), None, lambda level: (None, None))

    def distance(log_alpha: float) -> float:
        known = [(variance, freedom) for variance, freedom in components if variance > 0]
        total = sum(variance for variance, _ in known)
        quantiles = [abs(special.stdtrit(freedom, np.exp(log_alpha) / 2)) * variance for variance, freedom in known]
        return float(sum(quantiles) / np.sqrt(total))

    lowest = np.log(1e-250)
    if abs(value) >= distance(lowest):
        p = 1e-250
    elif abs(value) <= distance(0.0):
        p = 1.0
    else:
        p = float(np.exp(optimize.brentq(lambda alpha: distance(alpha) - abs(value), lowest, 0.0, xtol=1e-12)))

    def interval(level: float) -> tuple[float, float]:
        far = distance(np.log(1 - level))
        bound = np.inf if limit is None else limit
        return float(max(value - far, -bound)), float(min(value + far, bound))

    return Gap(value, len(gaps), p, interval)


def seed_scores(flags: Array, classes: Array | None) -> Array:
    """The score of each seed, (seeds,)."""
    return np.mean([part.mean(axis=1) for part in by_class(flags, classes)], axis=0)


def _mean_over(configurations: Sequence[Array]) -> Array:
    return np.mean([np.mean(flags, axis=0) for flags in configurations], axis=0)


def _between(scores: Array, spread: Spread) -> Component:
    """A configuration's variance between seeds: the larger of its own and the pooled one.

    Its own degrees of freedom where it spreads more than the others (F test, p below .25), else the pooled ones.
    """
    freedom = len(scores) - 1
    if freedom == 0:
        return spread.variance, spread.freedom
    own = float(np.var(scores, ddof=1))
    others = spread.freedom - freedom
    if others < 1:
        return max(own, spread.variance), freedom
    rest = (spread.variance * spread.freedom - own * freedom) / others
    alike = rest > 0 and stats.f.sf(own / rest, freedom, others) >= 0.25
    return max(own, spread.variance), spread.freedom if alike else freedom


def _interaction(flags: Array, classes: Array | None) -> float:
    """The interaction of seeds and tweets in the variance of a score, by the sums of a two-way table."""
    parts = by_class(np.asarray(flags, float), classes)
    total = 0.0
    for part in parts:
        seeds, n = part.shape
        if seeds > 1 and n > 1:
            grand = part.mean()
            squares = ((part - grand) ** 2).sum()
            of_seeds = n * ((part.mean(axis=1) - grand) ** 2).sum()
            of_tweets = seeds * ((part.mean(axis=0) - grand) ** 2).sum()
            total += (squares - of_seeds - of_tweets) / ((seeds - 1) * (n - 1)) / part.size
    return float(total) / len(parts) ** 2


def within_folds(first: Sequence[Array], second: Sequence[Array], classes: Array | None, folds: Array) -> Gap:
    """Cross-validated runs: training sets are the random factor, and each tweet is tested in one of them.

    The variance between folds, each weighted by its tweets of each class, holds that of seeds and of tweets; the latter
    alone counts where it is larger.
    """
    gaps = pd.DataFrame({"gap": _mean_over(first) - _mean_over(second), "fold": folds})
    gaps["label"] = 0 if classes is None else classes
    k = gaps["label"].nunique()
    of_class = gaps.groupby("label")["gap"]
    gaps["part"] = (gaps["gap"] - of_class.transform("mean")) / of_class.transform("size") / k
    parts = gaps.groupby("fold")["part"].sum()
    number = len(parts)
    variance = float((parts**2).sum()) * number / (number - 1)
    return _with_tweets(gaps["gap"].to_numpy(), classes, [(variance, number - 1)], variance)
