"""The smallest difference that seeds and tweets can show, against comparisons as the report tests them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.grids.grid import GridRequest, expand_grid
from jobs.grids.sweep_file import read_grid_file
from report.statistics import VarianceEvidence
from sentiment.runs.power import POWER, Assumptions, OneComparison, power_of_hypotheses, smallest_shown
from sentiment.runs.run_dir import Results
from tests.benchmarks.bench_power import DESIGNS, FAMILIES, PAIRS, RARE_CLASSES, shown
from tests.jobs.grid_files import GRIDS

# Seeds, tweets and the standard deviation between seeds.
PLANS = [(2, 1_000, 0.01), (3, 300, 0.005), (3, 1_000, 0.01), (5, 1_000, 0.01), (5, 5_000, 0.005), (3, 1_000, 0.0)]
DISAGREEMENT = 0.08


Drawn = list[tuple[float, float]]


def _drawn(true: float, seeds: int, tweets: int, spread: float, level: float) -> Drawn:
    """The intervals of many comparisons with this true difference."""
    rng = np.random.default_rng(0)
    of_seeds = spread**2 / seeds
    of_tweets = (DISAGREEMENT + true - true**2) / tweets
    values = rng.normal(true, np.sqrt(of_seeds + of_tweets), 1_500)
    estimated = of_seeds * rng.chisquare(seeds - 1, 1_500) / (seeds - 1)
    intervals = []
    for value, variance in zip(values.tolist(), estimated.tolist(), strict=True):
        evidence = VarianceEvidence(value, ((variance, seeds - 1),), (of_tweets, tweets - 1))
        intervals.append(evidence.interval(level) or (0.0, 0.0))
    return intervals


@pytest.mark.parametrize(("seeds", "tweets", "spread"), PLANS)
@pytest.mark.parametrize("level", [0.9, 0.98])
def test_hypotheses_are_shown_as_often_as_told(seeds: int, tweets: int, spread: float, level: float) -> None:
    comparison = OneComparison(spread**2 / seeds, seeds - 1, tweets, level, DISAGREEMENT)
    smallest = comparison.smallest_difference() or 0.0
    equal = comparison.smallest_margin(ends=2) or 0.0
    no_better = comparison.smallest_margin(ends=1) or 0.0
    better = [low > 0 for low, _ in _drawn(smallest, seeds, tweets, spread, level)]
    without_difference = _drawn(0.0, seeds, tweets, spread, level)
    within = [-equal < low and high < equal for low, high in without_difference]
    below = [high < no_better for _, high in without_difference]
    assert [np.mean(better), np.mean(within), np.mean(below)] == pytest.approx([POWER] * 3, abs=0.04)


def _told(name: str, *overrides: str) -> list[str]:
    """What a dry run of a shipped grid tells of its hypotheses on 1,000 test tweets."""
    request = GridRequest(read_grid_file(GRIDS / f"{name}.yaml"), overrides)
    grid = expand_grid(request, Results(Path("/nowhere")), check_inputs=False)
    return power_of_hypotheses(grid.plan, grid.configs, [500, 500])


def test_a_grid_is_told_which_of_its_hypotheses_it_can_decide() -> None:
    heading, baseline, cells, _, overfitting, directions = _told("rnn")
    assert heading == "hypotheses, with probability 0.8 on 1,000 test tweets:"
    assert baseline.endswith("points it would be shown")
    assert "GRU is as good as an LSTM. shown if there is no difference" in cells
    assert overfitting.endswith("not known before the runs")
    assert "shown if the difference is" in directions
    few = _told("rnn", "model.hidden_size=16", "model.layers=1", "seed=[1,2]")
    assert "GRU is as good as an LSTM. too few runs: within" in few[2]
    assert all(line.endswith("not known before the runs") for line in _told("rnn", "seed=1")[1:])


def test_nothing_is_told_where_two_seeds_differ_too_much() -> None:
    assert OneComparison(0.3**2, 1, 100, 0.95, DISAGREEMENT).smallest_difference() is None


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
