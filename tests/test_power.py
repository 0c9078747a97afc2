"""The smallest difference that seeds and tweets can show, against comparisons as the report tests them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from report.statistics import VarianceEvidence
from sentiment.runs.power import POWER, Assumptions, smallest_difference, smallest_shown
from tests.benchmarks.bench_power import DESIGNS, FAMILIES, PAIRS, RARE_CLASSES, shown

# Seeds, tweets and the standard deviation between seeds.
PLANS = [(2, 1_000, 0.01), (3, 300, 0.005), (3, 1_000, 0.01), (5, 1_000, 0.01), (5, 5_000, 0.005), (3, 1_000, 0.0)]
DISAGREEMENT = 0.08


def _drawn(true: float, seeds: int, tweets: int, spread: float, level: float) -> Iterator[bool]:
    """Whether each of many comparisons with this true difference excludes 0."""
    rng = np.random.default_rng(0)
    of_seeds = spread**2 / seeds
    of_tweets = (DISAGREEMENT + true - true**2) / tweets
    values = rng.normal(true, np.sqrt(of_seeds + of_tweets), 1_500)
    estimated = of_seeds * rng.chisquare(seeds - 1, 1_500) / (seeds - 1)
    for value, variance in zip(values.tolist(), estimated.tolist(), strict=True):
        evidence = VarianceEvidence(value, ((variance, seeds - 1),), (of_tweets, tweets - 1), tweets)
        yield (evidence.interval(level) or (0, 0))[0] > 0


@pytest.mark.parametrize(("seeds", "tweets", "spread"), PLANS)
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_smallest_difference_is_shown_as_often_as_told(seeds: int, tweets: int, spread: float, level: float) -> None:
    smallest = smallest_difference(spread**2 / seeds, seeds - 1, DISAGREEMENT, tweets, level)
    assert smallest is not None
    shown = np.mean([*_drawn(smallest, seeds, tweets, spread, level)])
    assert shown == pytest.approx(POWER, abs=0.04)


def test_smallest_difference_is_none_where_two_seeds_differ_too_much() -> None:
    assert smallest_difference(0.3**2, 1, DISAGREEMENT, 100) is None


# A few of `DESIGNS`, all of which `make bench BENCH=power` simulates with more studies each.
SIMULATED = [PAIRS[0], PAIRS[5], PAIRS[6], FAMILIES[1], RARE_CLASSES[0], replace(PAIRS[4], configurations=1)]


@pytest.mark.parametrize("design", SIMULATED, ids=str)
def test_difference_told_before_a_grid_is_shown_by_the_report_as_often_as_told(design: Assumptions) -> None:
    told = smallest_shown(design)
    assert told is not None
    assert shown(design, told, 400 // design.configurations + 100) == pytest.approx(POWER, abs=0.05)


def test_more_seeds_show_less_and_more_hypotheses_and_rare_classes_need_more() -> None:
    told = {design: smallest_shown(design) or 1.0 for design in DESIGNS}
    assert told[PAIRS[1]] > told[PAIRS[4]] > told[PAIRS[7]]
    assert told[FAMILIES[1]] > told[PAIRS[4]] < told[RARE_CLASSES[0]]
    assert smallest_shown(Assumptions(40, 2, (1_000,))) is None
