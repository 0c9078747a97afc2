"""Searches in rungs: whatever happens to tasks, the same trials go on, and the winner has the same weights."""

from typing import Any

from jobs.submissions import SubmissionDir, read_submissions
from sentiment.runs.records import GridPlan
from sentiment.runs.state import RungRanking, Rungs, read_rungs
from tests.slurm.stage import Stage, StagedRun, scenario

# Four trials: rung 0 to epoch 2, two of them to epoch 6, one of these to epoch 18 and its end.
_HALVING = {
    "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3},
    "metric": {"name": "validation/loss", "goal": "minimize"},  # no two trials have the same
}
_TRIALS: dict[str, Any] = {
    "training__learning_rate": [0.0005, 0.002, 0.004, 0.008],
    "training__epochs": [12],
    "training__batch_size": [8],  # so many steps that a rung outlasts a command
}


def _begin(stage: Stage, **changes: Any) -> None:
    stage.more = _HALVING
    stage.write_grid(**_TRIALS | changes)
    stage.submit()


def _plan(stage: Stage) -> GridPlan:
    plan = stage.results.read_grid(stage.name)
    assert plan is not None
    return plan


def _rungs(stage: Stage) -> Rungs:
    rungs = read_rungs(stage.results, _plan(stage))
    assert rungs is not None
    return rungs


def _decided(ranking: RungRanking) -> list[tuple[str, float | None]]:
    """What has to be the same in all rankings of the same rung."""
    return [(trial.run_id, trial.value) for trial in ranking.trials]


def _expected(stage: Stage) -> list[list[tuple[str, float | None]]]:
    """The rankings of an undisturbed search, by runs that were never paused."""
    trials = [run.run_id for run in stage.runs]
    found: list[list[tuple[str, float | None]]] = []
    for epochs, promoted in ((2, 2), (6, 1)):
        values = {run_id: _score(stage, run_id, epochs) for run_id in trials}
        order = sorted(values, key=values.__getitem__)
        found.append([(run_id, values[run_id]) for run_id in order])
        chosen = {*order[:promoted]}
        trials = [run.run_id for run in stage.runs if run.run_id in chosen]
    return found


def _score(stage: Stage, run_id: str, epochs: int) -> float:
    run_dir = stage.results.run_dir(run_id, stage.name)
    stage.prepared.digest(run_dir.read_config())
    rows = stage.prepared.results.run_dir(run_id).read_metrics()
    return next(row["validation"]["loss"] for row in rows if row["kind"] == "epoch" and row["epoch"] == epochs)


def _run(stage: Stage, run_id: str) -> StagedRun:
    return next(run for run in stage.runs if run.run_id == run_id)


def _slots(stage: Stage) -> list[SubmissionDir]:
    return [one for one in read_submissions(stage.results, stage.name) if one.submission.by_ranking]


def _wait_for_winner(stage: Stage) -> StagedRun:
    stage.wait(lambda: _rungs(stage).current == 2, "both rankings")
    winner = _run(stage, _rungs(stage).rankings[1].chosen[0])
    stage.wait_completed([winner])
    return winner


def _assert_undisturbed(stage: Stage) -> None:
    winner = _wait_for_winner(stage)
    assert [_decided(ranking) for ranking in _rungs(stage).rankings] == _expected(stage)
    assert winner.matches_uninterrupted()
    states = stage.states()
    assert states.pop(winner.run_id) == "COMPLETED"
    assert set(states.values()) == {"PRUNED"}


@scenario
def test_search_whose_tasks_run_out_of_time_decides_as_undisturbed(stage: Stage) -> None:
    stage.write_cluster(parallelism=2)
    _begin(stage)
    assert "nothing to submit" in stage.submit()
    first = stage.runs[0]
    first.wait_for_step(1)
    first.send("USR2")
    first.wait_for_attempt(2)
    stage.wait(lambda: _rungs(stage).current == 2, "both rankings")
    winner = _run(stage, _rungs(stage).rankings[1].chosen[0])
    winner.wait_for_step(winner.attempts[-1].first_step + 10)
    winner.send("USR2")
    _assert_undisturbed(stage)
    assert "nothing to submit" in stage.submit()
    loser = _run(stage, _rungs(stage).rankings[0].trials[-1].run_id)
    assert "1 of 4 runs submitted" in stage.rerun(loser.run_id)
    stage.wait_completed([loser])
    assert loser.matches_uninterrupted()


@scenario
def test_search_that_is_cancelled_or_loses_its_slots_goes_on_when_it_is_submitted(stage: Stage) -> None:
    _begin(stage, training__batch_size=[4])  # so many steps that a rung outlasts the command
    first = stage.runs[0]
    first.wait_for_step(10)
    stage.run("cancel", stage.name)
    stage.submit()  # while they are ending: nothing may be ranked without them
    stage.run("cancel", stage.name)  # on a fast machine they had ended, and were submitted again
    stage.wait(lambda: {*stage.states().values()} <= {"CANCELLED", "PAUSED"}, "the ends")
    assert _rungs(stage).current == 0
    stage.submit()
    # As if the command had been killed before it submitted the slots: nobody ranks rung 0.
    lost = [folder.job_id for folder in _slots(stage)][-2:]
    stage.cluster.run("scancel", *lost)
    stage.wait(lambda: set(stage.states().values()) == {"PAUSED"}, "the end of rung 0")
    output = stage.submit()
    assert "0 of 4 runs submitted" in output
    assert "of rung 1" in output
    _assert_undisturbed(stage)
