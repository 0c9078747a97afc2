"""What clusters do to running tasks, and that nothing is lost by it."""

from tests.slurm.scenario import scenario
from tests.slurm.stage import Stage


@scenario
def test_requeue_by_an_administrator_loses_nothing(stage: Stage) -> None:
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(60)
    stage.cluster.run("scontrol", "requeue", run.job)
    stage.wait_completed([run])
    first, second = run.attempts
    assert (first.reason, first.detail) == ("signal", "SIGTERM")
    assert second.first_step == first.last_step  # saved on TERM: no step is done twice
    assert second.restart_count == 1
    assert run.matches_uninterrupted()
