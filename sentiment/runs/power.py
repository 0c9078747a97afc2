"""The variance between seeds, how large a difference is significant, and which difference a grid is likely to show."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.paired import ALPHA
from sentiment.runs.hypotheses import BestOf, Hypothesis, is_among
from sentiment.runs.records import GridPlan

Numbers = npt.NDArray[np.float64]

# The probability with which the smallest difference is shown.
POWER = 0.8
# Two models are called equal in practice if more labels than this are needed to show which one is better.
MAX_LABELS = 20_000

# The power of a hypothesis is averaged over this many estimates of the variance between seeds.
_ESTIMATES = 1_000
# Assumptions before the first run: the standard deviation of a score between seeds on a few thousand tweets, and the
# share of tweets that only one of two models has right.
_USUAL_SPREAD = 0.01
_USUAL_DISAGREEMENT = 0.1
# The share of that disagreement which is the same for all seeds of the two models: only this part is a variance over
# tweets, the rest is in the variance between seeds already. In 36 runs of the laptop's study it was .02 of .09.
_NOT_OF_SEEDS = 0.2
# How many test tweets a grid is believed to have whose tweets are not prepared; they divide by many numbers of classes.
_TEST_TWEETS = 1_200
# How often the comparisons of a grid are simulated: fewer times for many configurations, as each adds a comparison.
_DRAWS = 4_000
_FEWEST_DRAWS = 200
_MAX_COMPARISONS = 300_000
# What is told of cross-validated runs, which are compared over training sets.
_OF_FOLDS = "not known before the runs, as the spread between the training sets of folds is not known"
# A configuration's variance between seeds counts as larger than that of others if the p of the F test is below this.
_F_TEST_ALPHA = 0.25


def between_seeds(
    own: npt.ArrayLike, freedom: int, pooled: npt.ArrayLike, pooled_freedom: int
) -> tuple[Numbers, npt.NDArray[Any]]:
    """The variance between the seeds of configurations, and its degrees of freedom.

    The larger one of a configuration's own variance and the pooled one counts. It has the pooled degrees of freedom
    unless the configuration spreads more than the others: of many configurations one is the most variable, and its
    variance is known from its own seeds alone.

    Args:
        own: the variance between each configuration's seeds, of any shape; `freedom`: their number less one.
        pooled: that of all configurations together, which broadcasts to `own`; it includes `own`.
    """
    from scipy.special import fdtrc

    own = np.asarray(own, np.float64)
    pooled = np.asarray(pooled, np.float64)
    variance = np.maximum(own, pooled)
    other_freedom = pooled_freedom - freedom
    if other_freedom < 1:
        return variance, np.full(variance.shape, freedom)
    of_others = (pooled * pooled_freedom - own * freedom) / other_freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        p = fdtrc(freedom, other_freedom, own / of_others)
    spreads_more = (of_others <= 0) | (p < _F_TEST_ALPHA)
    return variance, np.where(spreads_more, freedom, pooled_freedom)


def critical_difference(variances: npt.ArrayLike, quantiles: npt.ArrayLike) -> Numbers:
    """The smallest difference that is significant, given the components of its variance (Cochran & Cox 1950).

    Args:
        variances: of the components, (components, ...); their sum is above 0.
        quantiles: the two-sided quantile of Student's t for the degrees of freedom of each, which broadcasts to them.
    """
    components = np.asarray(variances, np.float64)
    weighted = components * np.asarray(quantiles, np.float64)
    return np.asarray(weighted.sum(axis=0) / np.sqrt(components.sum(axis=0)))


@dataclass(frozen=True)
class StatedComparison:
    """Two sides as a stated hypothesis compares them, before the runs; see `Assumptions` for what is assumed.

    Attributes:
        sides: the number of configurations on each side; 0 is a baseline, which has no seeds.
        seeds: of each configuration.
        configurations: of the grid, over which the variance between seeds is pooled.
        tweets: the number of test tweets; if macro recall is compared, so many that an accuracy on them has the
            variance of that macro recall.
        level: the confidence level of the interval that decides.
    """

    sides: tuple[int, int]
    seeds: int
    configurations: int
    tweets: float
    level: float

    def smallest_difference(self) -> float | None:
        """The difference above 0 that is shown with probability `POWER`, as a fraction of 1; None if there is none."""
        from scipy.special import ndtr

        critical, error = self._simulate()

        def power(difference: float) -> float:
            return float(np.mean(ndtr((difference - critical) / error)))

        return _where_power_is_reached(power)

    def smallest_margin(self, *, two_sided: bool) -> float | None:
        """The margin within which no difference is shown with probability `POWER` where there is none.

        Args:
            two_sided: whether differences on both sides are to be excluded.
        """
        from scipy.special import ndtr

        critical, error = self._simulate()

        def power(margin: float) -> float:
            within = (margin - critical) / error
            shown = ndtr(within) - ndtr(-within) if two_sided else ndtr(within)
            return float(np.mean(np.maximum(shown, 0.0)))

        return _where_power_is_reached(power)

    def _simulate(self) -> tuple[Numbers, float]:
        """Draw estimates of the variances between seeds many times.

        Returns:
            The distance from each estimated difference to its bound, and the standard error of the difference.
        """
        from scipy.special import ndtri, stdtrit

        freedom = self.seeds - 1
        own = (
            _USUAL_SPREAD**2 * np.random.default_rng(0).chisquare(freedom, (_ESTIMATES, self.configurations)) / freedom
        )
        pooled = own.mean(axis=1, keepdims=True)
        variances, freedoms = between_seeds(own, freedom, pooled, freedom * self.configurations)
        weights = [np.full(number, 1 / self.seeds / number**2) for number in self.sides if number]
        weight = np.concatenate(weights)
        # Of a baseline, which has no seeds, all of it counts.
        disagreements = [_NOT_OF_SEEDS / self.seeds / number if number else 1.0 for number in self.sides]
        of_tweets = _USUAL_DISAGREEMENT / 2 * sum(disagreements) / self.tweets
        end = (1 + self.level) / 2
        row = np.ones((1, _ESTIMATES))
        components = np.concatenate([(variances[:, : len(weight)] * weight).T, of_tweets * row])
        quantiles = np.concatenate([stdtrit(freedoms[:, : len(weight)].T, end), ndtri(end) * row])
        true_variance = _USUAL_SPREAD**2 * float(weight.sum()) + of_tweets
        return critical_difference(components, quantiles), math.sqrt(true_variance)


def _where_power_is_reached(power: Callable[[float], float]) -> float | None:
    """The smallest difference or margin for which the power, which grows with it, is `POWER`; None if there is none."""
    from scipy.optimize import brentq

    return float(brentq(lambda size: POWER - power(size), 1e-6, 1.0, xtol=1e-5)) if power(1.0) > POWER else None


@dataclass(frozen=True)
class Assumptions:
    """What decides which differences a grid can show.

    Attributes:
        configurations: their number. One of them is better than each of the others, by the same difference; a single
            one is compared with a predictor without seeds.
        seeds: of each configuration.
        sizes: the number of test tweets, or those of each class if macro recall is compared.
        spread: the standard deviation of a score between seeds, as a fraction of 1.
        disagreement: the share of tweets that only one of two models has right.
    """

    configurations: int
    seeds: int
    sizes: tuple[int, ...]
    spread: float = _USUAL_SPREAD
    disagreement: float = _USUAL_DISAGREEMENT

    @property
    def hypotheses(self) -> int:
        """The number of pairs: each could have been compared, had another configuration been the best one."""
        return max(math.comb(self.configurations, 2), 1)

    def tweet_variance(self, difference: float) -> float:
        """The part of the variance of an estimated difference that is due to tweets."""
        of_one_tweet = max(self.disagreement, difference) - difference**2
        return sum(of_one_tweet / size for size in self.sizes) / len(self.sizes) ** 2


@cache
def smallest_shown(design: Assumptions) -> float | None:
    """The difference that the report shows with probability `POWER`, as a fraction of 1; None if there is none."""
    return _where_power_is_reached(_SimulatedComparisons(design).power)


class _SimulatedComparisons:
    """The report's comparisons of the best configuration with each other one, drawn many times.

    Drawn are the scores of the configurations and the estimated variances between their seeds; the random numbers are
    the same for each difference and at each call.
    """

    def __init__(self, design: Assumptions) -> None:
        self._design = design
        rng = np.random.default_rng(0)
        freedom = design.seeds - 1
        sides = max(design.configurations, 2)
        has_seeds = np.arange(sides) < design.configurations
        draws = max(_FEWEST_DRAWS, min(_DRAWS, _MAX_COMPARISONS // sides**2))
        own = design.spread**2 * rng.chisquare(freedom, (draws, design.configurations)) / freedom
        pooled = own.mean(axis=1, keepdims=True)
        pooled_freedom = freedom * design.configurations
        self._seed_variances = np.zeros((draws, sides))
        self._is_pooled = np.zeros((draws, sides), np.bool_)
        variances, freedoms = between_seeds(own, freedom, pooled, pooled_freedom)
        self._seed_variances[:, has_seeds] = variances / design.seeds
        self._is_pooled[:, has_seeds] = freedoms == pooled_freedom
        self._freedoms = np.array([freedom, pooled_freedom])
        self._seed_errors = has_seeds * rng.normal(0, design.spread / math.sqrt(design.seeds), (draws, sides))
        self._tweet_errors = rng.normal(0, math.sqrt(0.5), (draws, sides))  # of a difference with the variance 1

    def power(self, difference: float) -> float:
        """The share of comparisons that show this difference."""
        tweet_variance = self._design.tweet_variance(difference)
        scores = self._seed_errors + math.sqrt(tweet_variance) * self._tweet_errors
        observed = difference + scores[:, :1] - scores[:, 1:]
        others = observed.shape[1]
        is_shown = np.zeros(observed.shape, np.bool_)
        for rejected in range(1, others + 1):  # Benjamini and Hochberg (1995): as many as possible
            level = ALPHA * rejected / self._design.hypotheses
            is_beyond = abs(observed) > self._critical(level, tweet_variance)
            holds = is_beyond.sum(axis=1) >= rejected
            is_shown[holds] = is_beyond[holds]
        return float(np.mean(is_shown & (observed > 0)))

    def _critical(self, level: float, tweet_variance: float) -> Numbers:
        """The smallest significant difference of the best configuration and each other one, (draws, others)."""
        from scipy.special import ndtri, stdtrit

        own, pooled = stdtrit(self._freedoms, 1 - level / 2)
        of_seeds = np.where(self._is_pooled, pooled, own)
        others = of_seeds.shape[1] - 1
        best = np.repeat(self._seed_variances[:, :1], others, axis=1)
        variances = [best, self._seed_variances[:, 1:], np.full(best.shape, tweet_variance)]
        of_best = np.repeat(of_seeds[:, :1], others, axis=1)
        of_tweets = np.full(best.shape, ndtri(1 - level / 2))
        return critical_difference(variances, [of_best, of_seeds[:, 1:], of_tweets])


def power_of_grid(configs: Sequence[RunConfig], metric: str, test_sizes: Sequence[int] | None) -> str | None:
    """A sentence on the differences that a grid can show before it runs; None if it repeats neither seeds nor folds.

    Args:
        metric: the metric that ranks its runs, such as `validation/macro_recall`.
        test_sizes: the number of test tweets of each class; None if the tweets are not prepared.
    """
    if any(config.data.folds for config in configs):
        return f"which differences these runs can show is {_OF_FOLDS}"
    train_rows = {config.data.train_rows for config in configs}
    most_rows = None if None in train_rows else max(rows for rows in train_rows if rows)
    compared_configs = [config for config in configs if config.data.train_rows == most_rows]
    seeds = defaultdict(set)
    for config in compared_configs:
        seeds[config.without("seed").fingerprint()].add(config.seed)
    fewest = min(map(len, seeds.values()), default=0)
    if fewest < 2:
        return None
    name = "macro recall" if _compares_recall(configs, metric) else "accuracy"
    sizes = _class_sizes(configs, test_sizes)
    compared_sizes = tuple(sizes) if name == "macro recall" else (sum(sizes),)
    smallest = smallest_shown(Assumptions(len(seeds), fewest, compared_sizes))
    points = "none" if smallest is None else f"{100 * smallest:.1f} points"
    compared = f"the best of {len(seeds)} configurations and another" if len(seeds) > 1 else "it and its baseline"
    return (
        f"{fewest} seeds show, with probability {POWER:g}, differences in {name} between {compared} of {points} on "
        f"{'' if test_sizes else 'say '}{sum(sizes):,} test tweets (if seeds have an SD of {100 * _USUAL_SPREAD:g} "
        f"point and models differ on {_USUAL_DISAGREEMENT:.0%} of the tweets)"
    )


def _class_sizes(configs: Sequence[RunConfig], test_sizes: Sequence[int] | None) -> list[int]:
    """The number of test tweets of each class that has any; classes of equal size if it is not known."""
    classes = len(configs[0].data.label_names)
    return [size for size in test_sizes or [_TEST_TWEETS // classes] * classes if size]


def _compares_recall(configs: Sequence[RunConfig], metric: str) -> bool:
    """Whether the report compares the runs by macro recall; else by accuracy."""
    metrics = {metric.rpartition("/")[2], *(config.training.early_stopping.metric for config in configs)}
    return "macro_recall" in metrics


def power_of_hypotheses(plan: GridPlan, configs: Sequence[RunConfig], test_sizes: Sequence[int] | None) -> list[str]:
    """A line for each hypothesis of a grid: what its runs are likely to show, as far as this can be told before them.

    Args:
        configs: of all its runs.
        test_sizes: as in `power_of_grid`.
    """
    if not plan.hypotheses:
        return []
    sizes = _class_sizes(configs, test_sizes)
    tweets = float(sum(sizes))
    if _compares_recall(configs, plan.metric):
        tweets = len(sizes) ** 2 / sum(1 / size for size in sizes)
    assumed = "" if test_sizes else "say "
    lines = [f"hypotheses, with probability {POWER:g} on {assumed}{sum(sizes):,} test tweets:"]
    for stated in plan.hypotheses:
        comparison = _comparison_of(stated.hypothesis, plan, configs, tweets)
        told = comparison if isinstance(comparison, str) else _likely(stated.hypothesis, comparison)
        lines.append(f"  {stated.hypothesis.claim.removesuffix('.')}: {told}")
    return lines


def _likely(hypothesis: Hypothesis, comparison: StatedComparison) -> str:
    """What is shown with probability `POWER`."""
    if hypothesis.within is None:
        smallest = comparison.smallest_difference()
        if smallest is None:
            return "open, with so few runs"
        return f"shown if it is true by {100 * smallest:.1f} points or more"
    margin = comparison.smallest_margin(two_sided=hypothesis.relation == "as_good_as")
    if margin is not None and 100 * margin <= hypothesis.within:
        return f"shown if there is no difference; a margin of {100 * margin:.1f} points would do"
    return "open, with so few runs" if margin is None else f"open; it would take a margin of {100 * margin:.1f} points"


def _comparison_of(
    hypothesis: Hypothesis, plan: GridPlan, configs: Sequence[RunConfig], tweets: float
) -> StatedComparison | str:
    """The comparison of a hypothesis; or why its power is not known."""
    if hypothesis.measure != "score":
        return f"not known before the runs, as the spread of {hypothesis.measure} between seeds is not known"
    if plan.method == "random" or plan.halving:
        return "not known before the runs, as the trials of a search differ in all settings"
    if any(config.data.folds for config in configs):
        return _OF_FOLDS
    seeds: dict[str, set[int]] = defaultdict(set)
    values: dict[str, Any] = {}
    for config in configs:
        key = config.without("seed").fingerprint()
        seeds[key].add(config.seed)
        if not hypothesis.setting.startswith(config.unused_fields()):
            values[key] = dotted(config.model_dump(mode="json")).get(hypothesis.setting)
    fewest = min(map(len, seeds.values()))
    if fewest < 2:
        return "not known before the runs, as no seed is repeated"
    firsts = sum(is_among(value, hypothesis.values) for value in values.values()) if hypothesis.setting else len(seeds)
    sides = (1, 1)
    pairs = 1
    if isinstance(hypothesis.other, BestOf):
        sides = (1, 0) if hypothesis.other.model else (1, 1)
        pairs = firsts if hypothesis.other.model else firsts * len(seeds)  # the other grid is as large
    else:
        sides = firsts, sum(is_among(value, hypothesis.other) for value in values.values())
    if not all(sides) and not isinstance(hypothesis.other, BestOf):
        return "open, as a side has no runs in which the setting has an effect"
    level = 1 - 2 * ALPHA / len(plan.hypotheses) / max(pairs, 1)
    return StatedComparison(sides, fewest, len(seeds), tweets, level)
