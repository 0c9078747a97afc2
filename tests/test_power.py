"""The smallest difference that seeds and tweets can show, against comparisons as the report tests them."""

from pathlib import Path

import pytest

from jobs.grids.grid import GridRequest, expand_grid
from jobs.grids.sweep_file import read_grid_file
from sentiment.config_file import parse_overrides, resolve
from sentiment.runs.run_dir import Results
from sentiment.statistics.power import POWER, PlannedComparison, best_and_another, power_of_grid, power_of_hypotheses
from tests.benchmarks.bench_power import FAMILIES, GRIDS, OTHERS, PAIRS, RARE_CLASSES, STATED, shown
from tests.jobs.grid_files import GRIDS as GRID_FILES


def _told(name: str, *overrides: str) -> list[str]:
    """What a dry run of a shipped grid tells of its hypotheses on 1,000 test tweets."""
    request = GridRequest(read_grid_file(GRID_FILES / f"{name}.yaml"), parse_overrides(overrides))
    grid = expand_grid(request, Results(Path("/nowhere")), check_inputs=False)
    return power_of_hypotheses(grid.plan, grid.configs, [500, 500])


def test_a_grid_is_told_which_of_its_hypotheses_it_can_decide() -> None:
    heading, baseline, cells, _, overfitting, directions = _told("rnn")
    assert heading == "hypotheses, with probability 0.8 on 1,000 test tweets:"
    assert "without recurrence: open; it would take a margin of" in baseline
    assert "A GRU is as good as an LSTM: shown if there is no difference; a margin of" in cells
    assert overfitting.endswith("not known before the runs, as the spread of overfitting between seeds is not known")
    assert "Two directions are better than one: shown if it is true by" in directions
    assert all("not known before the runs" in line for line in _told("rnn", "seed=1")[1:])
    assert all("not known before the runs" in line for line in _told("rnn", "data.folds=5", "data.fold=[1,2]")[1:])


def test_the_configuration_with_the_fewest_seeds_says_what_a_grid_shows() -> None:
    sizes_and_seeds = [(8, 1), (8, 2), (8, 3), (16, 1), (16, 2)]
    configs = [resolve({}, {"model.hidden_size": size, "seed": seed}, "a test") for size, seed in sizes_and_seeds]
    assert (power_of_grid(configs, "validation/accuracy", [500, 500]) or "").startswith("2 seeds show")


def test_nothing_is_told_where_two_seeds_differ_too_much() -> None:
    assert PlannedComparison((1, 1), 2, 2, (300,), 0.0001, 0.0001).smallest_difference() is None


def test_nothing_is_told_of_tweets_whose_number_is_not_known() -> None:
    request = GridRequest(read_grid_file(GRID_FILES / "rnn.yaml"))
    grid = expand_grid(request, Results(Path("/nowhere")), check_inputs=False)
    told = power_of_grid(grid.configs, grid.plan.metric, None) or ""
    assert "once the tweets are prepared" in told
    assert "points" not in told
    (line,) = power_of_hypotheses(grid.plan, grid.configs, None)
    assert "once the tweets are prepared" in line


# A few of those that `make bench BENCH=power` simulates with more studies each.
SIMULATED = [PAIRS[0], FAMILIES[1], RARE_CLASSES[0], OTHERS[-1], STATED[4]]


@pytest.mark.more
@pytest.mark.parametrize("grid", SIMULATED, ids=str)
def test_difference_told_before_a_grid_is_shown_by_the_report_as_often_as_told(grid: PlannedComparison) -> None:
    told = grid.smallest_difference()
    assert shown(grid, told, 600 // grid.configurations + 100) == pytest.approx(POWER, abs=0.07)


@pytest.mark.slow
def test_more_seeds_show_less_and_more_hypotheses_and_rare_classes_need_more() -> None:
    told = {grid: grid.smallest_difference() or 1.0 for grid in GRIDS}
    assert told[PAIRS[1]] > told[PAIRS[4]] > told[PAIRS[7]]
    assert told[FAMILIES[1]] > told[PAIRS[4]] < told[RARE_CLASSES[0]]
    margins = [best_and_another(2, seeds, (1_000,)).smallest_margin(two_sided=True) or 1.0 for seeds in (3, 5)]
    assert margins[0] > margins[1]
