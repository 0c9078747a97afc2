"""What comes next when nothing of a grid is queued: decided once, wherever a process dies."""

from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.grid_jobs import GridJobs
from jobs.grids.grid import ExpandedGrid, load_grid
from jobs.launch.plan import Launch, plan_slurm_jobs, request_runs
from jobs.session import submit_grid
from jobs.slurm.resources import ClusterFile
from jobs.status.grid_state import RunStatus
from jobs.tasks.attempt import record_failure
from sentiment.errors import SentimentError
from sentiment.runs.records import Result
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import halving, refusal, write_grid
from tests.jobs.submitted import attempt_of, rungs_of, write_attempts, write_epochs
from tests.jobs.world import World

HALVING = halving(min_iter=1, eta=2)
TRIALS: dict[str, Any] = {"seed": [1, 2, 3, 4], "training.epochs": 5}
"""Four trials: two of them to epoch 2, one of these to epoch 4, and that to epoch 5."""


@pytest.fixture
def grid(base: Path, results: Results) -> ExpandedGrid:
    return load_grid(write_grid(base, TRIALS, **HALVING), results)


def test_trials_and_rungs_are_fixed_once_a_ranking_is_written(base: Path, results: Results, grid: ExpandedGrid) -> None:
    results.write_grid(grid.plan)
    more = TRIALS | {"seed": [1, 2, 3, 4, 5]}
    assert load_grid(write_grid(base, more, **HALVING), results).plan.halving
    for run, score in zip(grid.plan.runs, (0.6, 0.7, None, None), strict=True):
        run_dir = results.run_dir(run.run_id, grid.plan.name)
        if score is None:
            record_failure(run_dir, SentimentError("the loss is nan"))
        else:
            write_attempts(run_dir, attempt_of("7_0", reason="paused", last_step=9))
            write_epochs(run_dir, [score])
    rungs_of(results, grid.plan).rank_current()
    load_grid(write_grid(base, TRIALS, **HALVING), results)
    told = refusal(load_grid, write_grid(base, more, **HALVING), results)
    assert ("the number of trials (4, now 5) changed" in told, "rung-0.json" in told) == (True, True)
    assert "early_terminate or " in refusal(load_grid, write_grid(base, TRIALS), results)


@pytest.mark.usefixtures("no_slurm")
def test_pruned_trial_that_is_asked_for_is_trained_to_its_end(results: Results, grid: ExpandedGrid) -> None:
    results.write_grid(grid.plan)
    configs = {config.run_id: config for config in grid.configs}
    first, second, *_ = configs
    rows = [RunStatus("PRUNED", grid="some", run_id=first), RunStatus("PLANNED", grid="some", run_id=second)]
    pruned, planned = request_runs(rows, configs, rungs_of(results, grid.plan), {second: "code"})
    assert [(run.rung, run.epochs, run.code) for run in (pruned, planned)] == [(None, None, None), (0, 1, "code")]
    arrays = plan_slurm_jobs(Launch([pruned, planned]), "some", results, ClusterFile(), GridJobs(()))[1:-1]
    assert [(array.tasks, array.epochs, array.code) for array in arrays] == [
        ([[first]], None, None),
        ([[second]], 1, "code"),
    ]


def _search(grid: ExpandedGrid, results: Results, like: Result, deaths: set[int], seed: int) -> World:
    """A search whose processes die; a person repeats `submit` when nothing is queued and it is unfinished."""
    world = World(results, like, Random(seed), deaths, diverging={3})
    with world.patched():
        for _ in range(8):
            world.command(lambda: submit_grid(results, grid, world.options))
            world.settle()
            if world.has_ended("some"):
                return world
    raise AssertionError(world.states("some"))


def test_final_job_ranks_each_rung_and_submits_the_next_until_it_reports(
    results: Results, grid: ExpandedGrid, like: Result
) -> None:
    world = _search(grid, results, like, set(), 0)
    first, second, third, fourth = (run.run_id for run in grid.plan.runs)
    assert [[run_id for run_id, _ in ranking] for ranking in world.rankings("some")] == [
        [fourth, second, first, third],
        [fourth, second],
        [fourth],
    ]
    assert world.states("some") == ["PRUNED", "PRUNED", "FAILED", "COMPLETED"]
    assert world.reports == 1
    assert "4 of 4 runs submitted" in world.lines


@pytest.mark.slow
def test_deaths_between_any_two_steps_change_no_decision_and_nothing_happens_twice(
    base: Path, like: Result, grid: ExpandedGrid
) -> None:
    def search(deaths: set[int], seed: int) -> World:
        return _search(grid, Results(Path(mkdtemp(dir=base.parent))), like, deaths, seed)

    calm = search(set(), 0)
    assert calm.steps < 150

    @given(deaths=st.sets(st.integers(1, 150), max_size=4), seed=st.integers(0, 9))
    @settings(max_examples=15, deadline=None)
    def check(deaths: set[int], seed: int) -> None:
        world = search(deaths, seed)
        assert world.rankings("some") == calm.rankings("some")
        assert world.states("some") == calm.states("some")
        assert sum(world.trained.values()) <= sum(calm.trained.values()) + len(deaths)

    check()
