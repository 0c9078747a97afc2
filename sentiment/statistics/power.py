"""Which difference a grid is likely to show, told before its runs by a formula.

The formula takes the tests of `designs` as they are: the seeds of a configuration have the luck of their seed, which is
the same on all tweets, and chance on each tweet. The estimated variance between seeds is that of a quantile of its
distribution, and the power is the mean over these; all configurations are taken to vary alike.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.runs.hypotheses import BestOf, Hypothesis, is_among
from sentiment.runs.records import GridPlan
from sentiment.statistics import ALPHA
from sentiment.statistics.metrics import METRIC_NAMES, Metric, metric_named, metric_of_most

Numbers = npt.NDArray[np.floating[Any]]

# The probability with which the smallest difference is shown.
POWER = 0.8
# Two models are called equal in practice if more labels than this are needed to show which one is better.
MAX_LABELS = 20_000

# Assumptions before the first run: the standard deviation of the luck of a seed, and the share of tweets that only one
# of two models has right.
USUAL_SPREAD = 0.01
_USUAL_DISAGREEMENT = 0.1
# The share of that disagreement which is the same for all seeds of the two models; the rest is chance of a seed on a
# tweet. In 36 runs of the laptop's study it was .02 of .09.
_NOT_OF_SEEDS = 0.2
# The quantiles of a variance between seeds over which power is averaged.
_QUANTILES = (np.arange(40) + 0.5) / 40
# A variance is stretched by its expectation over this quantile where it is not known from other configurations.
_SMALL_BY_CHANCE = 0.25
# The degrees of freedom of a sum of estimated variances are between those of all and those of the largest, which rules
# where the sum is large: by this exponent, as simulated in `tests.benchmarks.bench_power`.
_ONE_IS_LARGEST = 0.8
# What is told of cross-validated runs, which are compared over training sets.
_OF_FOLDS = "not known before the runs, as the spread between the training sets of folds is not known"


@dataclass(frozen=True)
class PlannedComparison:
    """Two sides as the report compares them, before the runs.

    Attributes:
        sides: the number of configurations on each side; 0 is a predictor that has no seeds.
        seeds: of each configuration.
        configurations: of the grid, which moderate the variance between seeds.
        sizes: the number of test tweets, or those of each class if macro recall is compared.
        alpha: the probability of a false claim that a test allows, at both ends of the interval together.
        gate: the same of a test that is not corrected.
    """

    sides: tuple[int, int]
    seeds: int
    configurations: int
    sizes: tuple[int, ...]
    alpha: float = ALPHA
    gate: float = ALPHA

    def smallest_difference(self) -> float | None:
        """The difference above 0 that is shown with probability `POWER`, as a fraction of 1; None if there is none."""

        def power(difference: float) -> float:
            return _mean_of_normal((difference - self._margins(difference)) / self._error(difference))

        return _where_power_is_reached(power)

    def smallest_margin(self, *, two_sided: bool) -> float | None:
        """The margin within which no difference is shown with probability `POWER` where there is none.

        Args:
            two_sided: whether differences on both sides are to be excluded.
        """
        margins = self._margins(0.0)
        error = self._error(0.0)

        def power(margin: float) -> float:
            within = np.maximum((margin - margins) / error, 0.0 if two_sided else -np.inf)
            shown = _mean_of_normal(within)
            return 2 * shown - 1 if two_sided else shown

        return _where_power_is_reached(power)

    @property
    def _groups(self) -> list[int]:
        return [number for number in self.sides if number]

    @property
    def _of_one_tweet(self) -> float:
        """What the variance of a share of one tweet is multiplied by."""
        return sum(1 / size for size in self.sizes) / len(self.sizes) ** 2

    @property
    def _chance(self) -> float:
        """The variance of a single seed's score by chance on single tweets."""
        return _USUAL_DISAGREEMENT * (1 - _NOT_OF_SEEDS) / 2 * self._of_one_tweet

    @property
    def _between_seeds(self) -> float:
        """The true variance between the seeds of all configurations, as it enters the difference."""
        return sum(1 / number for number in self._groups) * (USUAL_SPREAD**2 + self._chance) / self.seeds

    def _besides(self, difference: float) -> float:
        """The true variance over tweets that is not in that between seeds."""
        same = _USUAL_DISAGREEMENT * _NOT_OF_SEEDS
        shares = [1 / number if number else 1 + (1 - _NOT_OF_SEEDS) / _NOT_OF_SEEDS for number in self.sides]
        constant = same * sum(shares) / 2
        # Each configuration is better on tweets of its own, besides those on which it differs anyway.
        better = difference * min(sum(shares) / 2, 1.0) - difference**2
        return (constant + max(better, 0.0)) * self._of_one_tweet

    def _error(self, difference: float) -> float:
        """The true standard error of the estimated difference."""
        return math.sqrt(self._between_seeds + self._besides(difference))

    def _margins(self, difference: float) -> Numbers:
        """The distance from the estimated difference to its bound, for each quantile of the estimated variance."""
        from scipy.special import chdtri

        remaining = self._besides(difference) + sum(1 / size**2 for size in self.sizes) / len(self.sizes) ** 2
        freedom = self.seeds - 1
        together = freedom * sum(self._groups)
        ratios = chdtri(together, 1 - _QUANTILES) / together
        between = self._between_seeds * ratios
        chance_share = self._chance / (USUAL_SPREAD**2 + self._chance)  # no estimate counts as less
        counted = self._between_seeds * np.maximum(ratios, chance_share)
        uncertainty = ((freedom + 2) / (together + 2)) ** _ONE_IS_LARGEST / freedom
        if min(self.sides) > 1:
            return self._margin(counted, between, uncertainty, remaining, self.alpha)
        stretched = between * freedom / chdtri(freedom, 1 - _SMALL_BY_CHANCE)
        if self.configurations < 2:
            return self._margin(counted, stretched, uncertainty, remaining, self.alpha)
        gate = self._margin(counted, stretched, uncertainty, remaining, self.gate)
        moderated = self._between_seeds * np.maximum(ratios, 1)
        by_others = self._margin(moderated, moderated, 1 / (freedom * self.configurations), remaining, self.alpha)
        return np.maximum(by_others, gate)

    def _margin(
        self, counted: Numbers, between: Numbers, uncertainty: float, remaining: float, alpha: float
    ) -> Numbers:
        """The margin by estimated variances between seeds, and by what remains.

        Args:
            counted: in the standard error; `between` counts for the degrees of freedom.
            uncertainty: the variance of `between` relative to its square, halved.
        """
        from scipy.special import stdtrit

        spread = between**2 * uncertainty + remaining**2 / sum(self.sizes)
        margin: Numbers = -stdtrit((between + remaining) ** 2 / spread, alpha / 2) * np.sqrt(counted + remaining)
        return margin


def _mean_of_normal(quantiles: Numbers) -> float:
    from scipy.special import ndtr

    return float(np.mean(ndtr(quantiles)))


def _where_power_is_reached(power: Callable[[float], float]) -> float | None:
    """The smallest difference or margin for which the power, which grows with it, is `POWER`; None if there is none."""
    from scipy.optimize import brentq

    return float(brentq(lambda size: POWER - power(size), 1e-6, 1.0, xtol=1e-5)) if power(1.0) > POWER else None


@cache
def best_and_another(configurations: int, seeds: int, sizes: tuple[int, ...]) -> PlannedComparison:
    """The best configuration of a grid and another one; of a single one, it and a predictor without seeds.

    The best one is better than each of the others by the same difference. Each pair could have been compared, had
    another configuration been the best one; the more of them are shown, the less each is corrected (Benjamini &
    Hochberg 1995).
    """
    if configurations == 1:
        return PlannedComparison((1, 0), seeds, 1, sizes)
    # Some fewer than `POWER` of them are shown together, as the luck of the best one is the same for all.
    shown = max((configurations - 1) * 2 / 3, 1.0)
    alpha = ALPHA * shown / math.comb(configurations, 2)
    return PlannedComparison((1, 1), seeds, configurations, sizes, alpha)


def power_of_grid(configs: Sequence[RunConfig], metric: str, test_sizes: Sequence[int] | None) -> str | None:
    """A sentence on the differences that a grid can show before it runs; None if it repeats neither seeds nor folds.

    Args:
        metric: the metric that ranks its runs, such as `validation/macro_recall`.
        test_sizes: the number of test tweets of each class; None if the tweets are not prepared.
    """
    if any(config.data.folds for config in configs):
        return f"which differences these runs can show is {_OF_FOLDS}"
    most_rows = max((config.data.train_rows or math.inf for config in configs), default=math.inf)
    on_most = [config for config in configs if (config.data.train_rows or math.inf) == most_rows]
    seeds = Counter(config.without("seed").fingerprint() for config in on_most)
    fewest = min(seeds.values(), default=0)
    if fewest < 2:
        return None
    if test_sizes is None:
        return f"which differences {fewest} seeds show is told once the tweets are prepared, as their number decides"
    name = METRIC_NAMES[_compared_metric(configs, metric)]
    sizes = _compared_sizes(configs, metric, test_sizes)
    smallest = best_and_another(len(seeds), fewest, sizes).smallest_difference()
    points = "none" if smallest is None else f"{100 * smallest:.1f} points"
    compared = f"the best of {len(seeds)} configurations and another" if len(seeds) > 1 else "it and its baseline"
    return (
        f"{fewest} seeds show, with probability {POWER:g}, differences in {name} between {compared} of {points} on "
        f"{sum(sizes):,} test tweets (if seeds have an SD of {100 * USUAL_SPREAD:g} point and models differ on "
        f"{_USUAL_DISAGREEMENT:.0%} of the tweets)"
    )


def _compared_sizes(configs: Sequence[RunConfig], metric: str, test_sizes: Sequence[int]) -> tuple[int, ...]:
    """The number of test tweets, or that of each class that has any if macro recall is compared."""
    if _compared_metric(configs, metric) == "macro_recall":
        return tuple(size for size in test_sizes if size)
    return (sum(test_sizes),)


def _compared_metric(configs: Sequence[RunConfig], metric: str) -> Metric:
    """The metric by which the report compares the runs."""
    return metric_of_most(metric_named(metric, config.training.early_stopping.metric) for config in configs)


def power_of_hypotheses(plan: GridPlan, configs: Sequence[RunConfig], test_sizes: Sequence[int] | None) -> list[str]:
    """A line for each hypothesis of a grid: what its runs are likely to show, as far as this can be told before them.

    Args:
        configs: of all its runs.
        test_sizes: as in `power_of_grid`.
    """
    if not plan.hypotheses:
        return []
    if test_sizes is None:
        return ["hypotheses: what the runs are likely to show of them is told once the tweets are prepared"]
    sizes = _compared_sizes(configs, plan.metric, test_sizes)
    lines = [f"hypotheses, with probability {POWER:g} on {sum(sizes):,} test tweets:"]
    for stated in plan.hypotheses:
        comparison = _comparison_of(stated.hypothesis, plan, configs, sizes)
        power = comparison if isinstance(comparison, str) else _likely(stated.hypothesis, comparison)
        lines.append(f"  {stated.hypothesis.claim.removesuffix('.')}: {power}")
    return lines


def _likely(hypothesis: Hypothesis, comparison: PlannedComparison) -> str:
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


def _selected(hypothesis: Hypothesis, firsts: int, seconds: int) -> int:
    """From how many configurations the side was selected which by its luck would pass for better than it is.

    Args:
        firsts: from how many the first side is selected.
        seconds: from how many the second side is: another grid is taken to be as large as this one.
    """
    if hypothesis.relation == "better_than":
        return firsts
    if hypothesis.relation == "as_good_as":
        return max(firsts, seconds)
    return seconds


def _comparison_of(
    hypothesis: Hypothesis, plan: GridPlan, configs: Sequence[RunConfig], sizes: tuple[int, ...]
) -> PlannedComparison | str:
    """The comparison of a hypothesis; or why its power is not known."""
    if hypothesis.measure != "score":
        return f"not known before the runs, as the spread of {hypothesis.measure} between seeds is not known"
    if plan.method == "random" or plan.halving:
        return "not known before the runs, as the trials of a search differ in all settings"
    if any(config.data.folds for config in configs):
        return _OF_FOLDS
    seeds = Counter(config.without("seed").fingerprint() for config in configs)
    fewest = min(seeds.values())
    if fewest < 2:
        return "not known before the runs, as no seed is repeated"
    affected = [config for config in configs if not hypothesis.setting.startswith(config.unused_fields())]
    if hypothesis.setting and affected:
        hypothesis = hypothesis.as_configured(affected[0])
    by_configuration = {config.without("seed").fingerprint(): config for config in affected}
    values = [dotted(config.model_dump(mode="json")).get(hypothesis.setting) for config in by_configuration.values()]
    firsts = sum(is_among(value, hypothesis.values) for value in values) if hypothesis.setting else len(seeds)
    selected = 1
    if isinstance(hypothesis.other, BestOf):
        sides = (1, 0) if hypothesis.other.model else (1, 1)
        selected = _selected(hypothesis, firsts, 1 if hypothesis.other.model else len(seeds))
    else:
        sides = firsts, sum(is_among(value, hypothesis.other) for value in values)
        if not all(sides):
            return "open, as a side has no runs in which the setting has an effect"
    alpha = 2 * ALPHA / len(plan.hypotheses) / max(selected, 1)
    return PlannedComparison(sides, fewest, len(seeds), sizes, alpha, 2 * ALPHA)
