"""The smallest difference that seeds and tweets can show, against comparisons as the report tests them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.grids.grid import GridRequest, expand_grid
from jobs.grids.sweep_file import read_grid_file
from report.designs import Seeds, Side, pooled_variance
from sentiment.paired import ALPHA
from sentiment.runs.power import POWER, Assumptions, StatedComparison, power_of_hypotheses, smallest_shown
from sentiment.runs.run_dir import Results
from tests.benchmarks.bench_power import DESIGNS, FAMILIES, PAIRS, RARE_CLASSES, shown
from tests.jobs.grid_files import GRIDS

# Configurations on each side and in the grid, seeds, hypotheses.
STATED = [((1, 1), 2, 3, 1), ((1, 0), 3, 3, 2), ((1, 1), 12, 3, 2), ((6, 6), 12, 3, 4)]


def _sides(
    sides: tuple[int, int], configurations: int, seeds: int, true: float, rng: np.random.Generator
) -> list[Side]:
    """Two sides whose scores have the standard deviation between seeds and the disagreement that are assumed."""
    tweets = 1_000
    certain = np.arange(tweets) < 750
    answers = []
    for number in range(configurations):
        share = 0.8 + (true if number < sides[0] else 0.0) + 0.0077 * rng.normal(size=seeds)
        chance = rng.random((seeds, tweets)) < ((share - 0.75) / 0.25)[:, None]
        answers.append(certain | (chance & ~certain))
    first = Side(answers[: sides[0]])
    if sides[1]:
        return [first, Side(answers[sides[0] : sum(sides)]), Side(answers)]
    return [first, Side([np.arange(tweets)[None] < 800], has_seeds=False), Side(answers)]


@pytest.mark.parametrize(("sides", "configurations", "seeds", "hypotheses"), STATED)
def test_hypotheses_are_shown_about_as_often_as_told(
    sides: tuple[int, int], configurations: int, seeds: int, hypotheses: int
) -> None:
    level = 1 - 2 * ALPHA / hypotheses
    comparison = StatedComparison(sides, seeds, configurations, 1_000, level)
    smallest = comparison.smallest_difference() or 0.0
    equal = comparison.smallest_margin(two_sided=True) or 0.0
    rng = np.random.default_rng(0)
    shown = []
    for true in (smallest, 0.0) * 150:
        first, second, every = _sides(sides, configurations, seeds, true, rng)
        pooled = pooled_variance([every.seed_scores(scores).tolist() for scores in every.configurations])
        assert pooled
        difference = Seeds(pooled).difference(first, second).with_level(level)
        assert difference.low is not None
        assert difference.high is not None
        shown.append(difference.low > 0 if true else difference.low > -equal and difference.high < equal)
    assert [np.mean(shown[::2]), np.mean(shown[1::2])] == pytest.approx([POWER] * 2, abs=0.1)


def _told(name: str, *overrides: str) -> list[str]:
    """What a dry run of a shipped grid tells of its hypotheses on 1,000 test tweets."""
    request = GridRequest(read_grid_file(GRIDS / f"{name}.yaml"), overrides)
    grid = expand_grid(request, Results(Path("/nowhere")), check_inputs=False)
    return power_of_hypotheses(grid.plan, grid.configs, [500, 500])


def test_a_grid_is_told_which_of_its_hypotheses_it_can_decide() -> None:
    heading, baseline, cells, _, overfitting, directions = _told("rnn")
    assert heading == "hypotheses, with probability 0.8 on 1,000 test tweets:"
    assert "without recurrence: open; it would take a margin of" in baseline
    assert "A GRU is as good as an LSTM: open; it would take a margin of" in cells
    assert overfitting.endswith("not known before the runs, as the spread of overfitting between seeds is not known")
    assert "Two directions are better than one: shown if it is true by" in directions
    many = _told("rnn", "seed=[1,2,3,4,5,6,7,8]")
    assert "A GRU is as good as an LSTM: shown if there is no difference; a margin of" in many[2]
    assert all("not known before the runs" in line for line in _told("rnn", "seed=1")[1:])
    assert all("not known before the runs" in line for line in _told("rnn", "data.folds=5", "data.fold=[1,2]")[1:])


def test_nothing_is_told_where_two_seeds_differ_too_much() -> None:
    assert StatedComparison((1, 1), 2, 2, 300, 0.9999).smallest_difference() is None


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
