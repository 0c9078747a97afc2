"""Searches in rungs: whatever happens to tasks, the same trials go on, and the winner has the same weights."""

from typing import Any

import pytest

from sentiment.runs.halving import HalvingSearch
from tests.invented import rungs_of
from tests.jobs.grid_files import halving
from tests.slurm.stage import Stage, StagedRun, scenario

# Three trials: rung 0 to epoch 2, one of them to epoch 6, and to its end.
_LOSS = {"metric": {"name": "validation/loss", "goal": "minimize"}}  # no two trials have the same
_TRIALS: dict[str, Any] = {
    "training__learning_rate": [0.0005, 0.002, 0.008],
    "training__epochs": [8],
    "training__batch_size": [8],
}


def _rungs(stage: Stage) -> HalvingSearch:
    return rungs_of(stage.results, stage.results.read_grid(stage.name))


def _expected(stage: Stage) -> list[list[tuple[str, float]]]:
    """Trials and values of both rankings of an undisturbed search, by runs that were never paused."""
    trials = {run.run_id: run for run in stage.runs}
    found: list[list[tuple[str, float]]] = []
    for epochs, promoted in ((2, 1), (6, 1)):
        values = {run_id: stage.prepared.loss(run.dir.read_config(), epochs) for run_id, run in trials.items()}
        found.append(sorted(values.items(), key=lambda one: one[1]))
        trials = {run_id: trials[run_id] for run_id, _ in found[-1][:promoted]}
    return found


def _winner(stage: Stage) -> StagedRun:
    stage.wait(lambda: _rungs(stage).current == 2, "both rankings")
    promoted = _rungs(stage).rankings[1].promoted_ids
    return next(run for run in stage.runs if run.run_id in promoted)


def _assert_undisturbed(stage: Stage) -> None:
    winner = _winner(stage)
    stage.wait_completed([winner])
    assert winner.matches_uninterrupted()
    found = [[(trial.run_id, trial.value) for trial in ranking.trials] for ranking in _rungs(stage).rankings]
    assert found == _expected(stage)
    states = stage.states()
    assert states.pop(winner.run_id) == "COMPLETED"
    assert set(states.values()) == {"PRUNED"}
    stage.cancel()  # a report would keep others waiting


@pytest.mark.more
@scenario
def test_final_job_retries_a_killed_trial_before_it_ranks_where_locks_do_not_pass(stage: Stage) -> None:
    stage.local_locks = True
    stage.reports = True
    stage.write_cluster(partition="apart", cpus=8)  # all cores of a node, so that tasks that run are on two nodes
    stage.more = halving(min_iter=2, eta=3) | _LOSS
    stage.write_grid(**_TRIALS)
    stage.submit()
    killed = stage.runs[0]
    killed.wait_for_step(10)
    killed.kill()
    _assert_undisturbed(stage)
