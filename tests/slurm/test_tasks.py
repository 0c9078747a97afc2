"""Tasks that train several runs side by side."""

from tests.slurm.stage import Stage, scenario


@scenario
def test_runs_of_a_task_are_cut_together_and_go_on_without_those_that_are_cancelled(stage: Stage) -> None:
    stage.write_cluster(at_once=3)
    stage.write_grid(training__epochs=[60, 61, 100_000])
    assert "1 tasks" in stage.submit()
    first, second, cancelled = stage.runs
    for run in stage.runs:
        run.wait_for_step(30)
    assert len({run.job for run in stage.runs}) == 1
    assert "1 run cancelled" in stage.run("cancel", cancelled.run_id)
    stage.wait(lambda: stage.states()[cancelled.run_id] == "CANCELLED", "the end")
    assert stage.states()[first.run_id] == "RUNNING"
    first.send("USR1")  # requeued: what was cancelled does not begin again
    stage.wait_completed([first, second])
    stage.wait(lambda: first.asked("%T") == "COMPLETED", "the task's end")
    for run in (first, second):
        assert [attempt.detail for attempt in run.attempts] == ["SIGUSR1", None]
        assert run.matches_uninterrupted()
    assert [attempt.detail for attempt in cancelled.attempts] == ["SIGTERM"]
    assert stage.states()[cancelled.run_id] == "CANCELLED"
    assert "1 of 3 runs submitted" in stage.rerun("--only", "cancelled")
    stage.run("cancel", stage.name)
