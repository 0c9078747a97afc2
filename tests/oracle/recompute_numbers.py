"""Scores, intervals and tests, written a second time: by numpy, scipy and statsmodels.

Nothing of the product is imported. Shares are fractions of 1; `level` is a confidence level.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats
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
        "f1": f1.tolist(),
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
    """A difference. `interval` gives its bounds at a level, by a number of ends; `p` is None if nothing is tested."""

    value: float
    n: int
    p: float | None
    interval: Callable[..., tuple[float | None, float | None]]
    is_conditional: bool = False
    q: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    counts: tuple[tuple[int, int, int], ...] = ()
    least: float = 0.0

    @property
    def is_significant(self) -> bool:
        return self.q is not None and self.q < ALPHA

    @property
    def is_better(self) -> bool:
        return self.is_significant and self.value > 0

    @property
    def reversed(self) -> "Gap":
        low = None if self.high is None else -self.high
        return replace(self, value=-self.value, low=low, high=None if self.low is None else -self.low)

    @property
    def of_share(self) -> Score:
        """The difference to nothing, which is a share."""
        low, high = self.interval(0.95)
        if low is None or high is None:
            return Score(self.value, None, None, self.n)
        return Score(self.value, max(low, 0.0), min(high, 1.0), self.n)


def bounds(key: str, found: Gap | Score | None) -> dict[str, float | None]:
    """A value and its interval as columns of a table."""
    if found is None:
        return {key: None, f"{key}_low": None, f"{key}_high": None}
    return {key: found.value, f"{key}_low": found.low, f"{key}_high": found.high}


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
        q = None if gap.p is None else max(next(remaining), gap.least)
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
    """A variance between seeds, pooled over configurations, its degrees of freedom, and those of the prior (Smyth)."""

    variance: float
    freedom: int
    prior: float | None


def pooled(scores_by_configuration: Sequence[Sequence[float]]) -> Spread | None:
    several = [np.asarray(scores) for scores in scores_by_configuration if len(scores) > 1]
    freedoms = np.array([len(scores) - 1.0 for scores in several])
    if not several:
        return None
    squares = np.array([float(((scores - scores.mean()) ** 2).sum()) for scores in several])
    variance = float(squares.sum() / freedoms.sum())
    prior = None
    if len(several) > 1:
        prior = np.inf
        if variance > 0:
            log = np.log(np.maximum(squares / freedoms, 1e-5 * variance))
            centred = log - special.psi(freedoms / 2) + np.log(freedoms / 2)
            excess = float(np.var(centred, ddof=1) - special.zeta(2, freedoms / 2).mean())
            if excess > 1e-3:
                # The trigamma function is Hurwitz' zeta function of order 2; its argument is found by bisection.
                low, high = 1e-2, 1e4
                for _ in range(200):
                    middle = np.sqrt(low * high)
                    low, high = (middle, high) if special.zeta(2, middle) > excess else (low, middle)
                prior = 2 * low
    return Spread(variance, int(freedoms.sum()), prior)


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

    The value is the mean over a side's configurations of the means over seeds.
    """
    assert spread
    own: list[Component] = []
    moderated: list[Component] = []
    within: list[float] = []
    for configurations, has_seeds in zip((first, second), seeded, strict=True):
        for flags in configurations if has_seeds else ():
            weight = 1 / len(configurations) ** 2
            for kept, (variance, freedom) in zip(
                (own, moderated), _between(seed_scores(flags, classes), spread), strict=True
            ):
                kept.append((weight * variance / len(flags), freedom))
            within.append(weight * _interaction(flags, classes))
    tested = Layout(_mean_over(first) - _mean_over(second), classes, within, limit)
    if len(first) > 1 and len(second) > 1:
        return tested.gap(tested.error(own))
    stretched = tested.error(own, stretched=True)
    if spread.prior is None:
        return tested.gap(stretched)
    return tested.gap(tested.error(moderated, at_most=spread.freedom), stretched)


def matched(
    pairs: Sequence[tuple[Array, Array]],
    classes: Array | None,
    limit: float | None = 1.0,
    overlap: bool = False,
    between: tuple[float, int] | None = None,
) -> Gap:
    """Matched configurations, or training sets that overlap, which are the random factor.

    `between`: the variance of the differences of pairs like these, with its degrees of freedom.
    """
    gaps = np.array([np.mean(first, axis=0) - np.mean(second, axis=0) for first, second in pairs])
    k = len(gaps)
    variance = float(np.var(seed_scores(gaps, classes), ddof=1)) / k
    tested = Layout(gaps.mean(axis=0), classes, [_interaction(gaps, classes)], limit)
    if overlap:
        variance *= (k - 1) ** 2
    stretched = tested.error([(variance, k - 1.0)], stretched=True)
    if between is None:
        return tested.gap(stretched)
    moderated = (max(variance, between[0] / k), np.inf)
    return tested.gap(tested.error([moderated], at_most=between[1]), stretched)


def drawn(first: Array, second: Array, classes: Array | None, limit: float | None = 1.0) -> Gap:
    """Configurations, (configurations, tweets), that were drawn at random on each side."""
    components = []
    within = []
    for side in (first, second):
        components.append((float(np.var(seed_scores(side, classes), ddof=1)) / len(side), len(side) - 1.0))
        within.append(_interaction(side, classes))
    tested = Layout(first.mean(axis=0) - second.mean(axis=0), classes, within, limit)
    return tested.gap(tested.error(components, stretched=True))


@dataclass(frozen=True)
class Layout:
    """The gaps of two sides on tweets, and how much of the variance of each component is in that over tweets."""

    gaps: Array
    classes: Array | None
    within: list[float]
    limit: float | None

    def over_tweets(self) -> float:
        """Half a tweet added to each cell; undone where the gaps are no shares."""
        parts = by_class(self.gaps, self.classes)
        total = 0.0
        for part in parts:
            n = len(part)
            if self.limit is not None:
                added = np.array([*part, 0.0, 0.0])
                total += (float((added**2).sum()) + 1 - len(added) * float(added.mean()) ** 2) / n**2
            elif n > 1:
                total += float(part.var(ddof=1)) / n
        return total / len(parts) ** 2

    def error(
        self, components: Sequence[Component], stretched: bool = False, at_most: float = np.inf
    ) -> tuple[float, float] | None:
        """The standard error and Satterthwaite's degrees of freedom."""
        tweets = self.over_tweets()
        variance = tweets + sum(max(c - i, 0.0) for (c, _), i in zip(components, self.within, strict=True))
        if variance == 0:
            return None
        parts = [(c * f / stats.chi2.ppf(0.25, f) if stretched else c, f) for c, f in components]
        left = max(tweets - sum(self.within), 0.0)
        total = sum(c for c, _ in parts)
        bottom = max(sum(c**2 / f for c, f in parts), total**2 / at_most)
        bottom += left**2 / max(len(self.gaps) - len(by_class(self.gaps, self.classes)), 1)
        top = max(variance, total + left) ** 2
        return float(np.sqrt(variance)), float(top / bottom) if bottom else np.inf

    def gap(self, test: tuple[float, float] | None, gate: tuple[float, float] | None = None) -> Gap:
        value = float(np.mean([part.mean() for part in by_class(self.gaps, self.classes)]))
        if test is None:
            return Gap(value, len(self.gaps), None, lambda level, ends=2: (None, None))
        p, of_gate = (2 * stats.t.sf(abs(value) / error, f) if f else 0.0 for error, f in (test, gate or (1.0, 0.0)))

        def interval(level: float, ends: int = 2) -> tuple[float, float]:
            far = test[0] * stats.t.isf((1 - level) / 2, test[1])
            if gate:
                far = max(far, gate[0] * stats.t.isf(max(2 * ALPHA / ends, 1 - level) / 2, gate[1]))
            bound = np.inf if self.limit is None else self.limit
            return float(max(value - far, -bound)), float(min(value + far, bound))

        passed = float(p if of_gate < ALPHA else max(p, of_gate))
        return Gap(value, len(self.gaps), passed, interval, least=float(of_gate))


def seed_scores(flags: Array, classes: Array | None) -> Array:
    """The score of each seed, (seeds,)."""
    return np.mean([part.mean(axis=1) for part in by_class(flags, classes)], axis=0)


def _mean_over(configurations: Sequence[Array]) -> Array:
    return np.mean([np.mean(flags, axis=0) for flags in configurations], axis=0)


def _between(scores: Array, spread: Spread) -> tuple[Component, Component]:
    """A configuration's variance between seeds, with its degrees of freedom: its own, and moderated by the others'."""
    freedom = len(scores) - 1
    borrowed = (spread.variance, float(spread.freedom))
    own = (float(np.var(scores, ddof=1)), float(freedom)) if freedom else borrowed
    if spread.prior is None:
        return own, own
    if not freedom:
        return own, (spread.variance, spread.prior)
    share = 1.0 if np.isinf(spread.prior) else spread.prior / (spread.prior + freedom)
    return own, (max(own[0], share * spread.variance + (1 - share) * own[0]), spread.prior + freedom)


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
    tested = Layout(gaps["gap"].to_numpy(), classes, [], 1.0)
    tested = replace(tested, within=[min(variance, tested.over_tweets())])
    return tested.gap(tested.error([(variance, number - 1.0)], stretched=True))
