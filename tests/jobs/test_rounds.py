"""Searches in rounds: suggestions depend on what is on disk alone, and a round that is planned stays as it is."""

from pathlib import Path
from typing import Any

import pytest

from jobs.grids.grid import ExpandedGrid, load_grid
from sentiment.runs.records import PlannedRun, Result
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import finish, refusal, rounds, write_grid
from tests.jobs.submitted import a_failure

SPACE: dict[str, Any] = {
    "training.learning_rate": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.1},
    "model.hidden_size": {"min": 4, "max": 64},
    "model.cell": ["lstm", "gru"],
    "training.clip": [0.5, 1.0],
}


def _good(run: PlannedRun) -> tuple[float, bool]:
    """Best near 64 units and a rate of 0.01."""
    return 0.5 + run.parameters["model.hidden_size"] / 200, False


def _ids(grid: ExpandedGrid) -> list[str]:
    assert [config.run_id for config in grid.configs] == [run.run_id for run in grid.plan.runs]
    return [run.run_id for run in grid.plan.runs]


def test_each_round_follows_when_the_one_before_has_ended(base: Path, results: Results, like: Result) -> None:
    path = write_grid(base, SPACE, **rounds(2, 4))
    first = load_grid(path, results)
    assert len(_ids(first)) == 4
    results.write_grid(first.plan)
    assert _ids(load_grid(path, results)) == _ids(first)  # not before it has ended
    finish(results, first, like, _good)
    second = load_grid(path, results)
    assert (_ids(second)[:4], len({*_ids(second)})) == (_ids(first), 8)
    assert [run.index for run in second.plan.runs] == list(range(8))
    assert _ids(load_grid(path, results)) == _ids(second)  # suggested again from the same results
    finish(results, second, like, _good)
    assert _ids(load_grid(path, results)) == _ids(second)
    longer = load_grid(write_grid(base, SPACE, **rounds(3, 4)), results)
    assert (_ids(longer)[:8], len(_ids(longer))) == (_ids(second), 12)


@pytest.mark.slow
@pytest.mark.parametrize(("score", "goal"), [("accuracy", "maximize"), ("loss", "minimize")])
def test_suggestions_tend_to_better_scores(base: Path, results: Results, like: Result, score: str, goal: str) -> None:
    metric = {"name": f"validation/{score}", "goal": goal}
    path = write_grid(base, SPACE, **rounds(4, 8), metric=metric)
    for _ in range(4):
        finish(results, load_grid(path, results), like, _good)
    runs = [run.parameters for run in results.read_grid("some").runs]
    sizes = [run["model.hidden_size"] for run in runs]
    assert sum(sizes[16:]) / 16 > sum(sizes[:8]) / 8
    assert all(0.0001 <= run["training.learning_rate"] <= 0.1 for run in runs)


def test_failed_trials_are_left_out_and_a_failed_round_is_the_last(base: Path, results: Results, like: Result) -> None:
    path = write_grid(base, SPACE, **rounds(3, 4))
    grid = load_grid(path, results)
    failing = grid.plan.runs[0].run_id
    finish(results, grid, like, lambda run: None if run.run_id == failing else _good(run))
    assert len(_ids(load_grid(path, results))) == 4
    results.run_dir(failing, "some").write_record(a_failure(None))
    assert len(_ids(load_grid(path, results))) == 8
    for run in grid.plan.runs:
        results.run_dir(run.run_id, "some").result_file.unlink(missing_ok=True)
        results.run_dir(run.run_id, "some").write_record(a_failure(None))
    assert len(_ids(load_grid(path, results))) == 4


def test_small_space_ends_with_its_last_value(base: Path, results: Results, like: Result) -> None:
    path = write_grid(base, {"model.hidden_size": {"min": 4, "max": 8}}, **rounds(9, 2))
    sizes: list[int] = []
    for _ in range(4):
        grid = load_grid(path, results)
        finish(results, grid, like, _good)
        sizes = [run.parameters["model.hidden_size"] for run in grid.plan.runs]
        assert len({*sizes}) == len(sizes)
    assert 4 <= len(sizes) <= 5


def test_space_is_fixed_once_a_round_is_planned(base: Path, results: Results) -> None:
    results.write_grid(load_grid(write_grid(base, SPACE, **rounds(3, 4)), results).plan)
    for space, seed in ((SPACE | {"model.cell": ["lstm"]}, 1), (SPACE, 2)):
        told = refusal(load_grid, write_grid(base, space, **rounds(3, 4, seed)), results)
        assert "changed since the first round was planned" in told
