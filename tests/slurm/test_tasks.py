"""Tasks that train several runs: side by side, or one after another."""

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


@scenario
def test_tasks_work_off_runs_together_and_one_that_dies_costs_the_others_nothing(stage: Stage) -> None:
    """Two tasks, five runs: one task is warned, then killed with the run that it has; the other does the rest."""
    stage.write_cluster(tasks=2)
    stage.write_grid(seed=[1, 2, 3, 4, 5])
    stage.submit()
    warned, killed, *_, cancelled = stage.runs
    stage.run("cancel", cancelled.run_id)
    warned.wait_for_step(30)
    warned.send("USR2")  # its task is requeued: whichever has a turn first goes on with the run
    killed.wait_for_step(50)
    killed.kill()
    others = [run for run in stage.runs if run not in (killed, cancelled)]
    stage.wait_completed(others)
    stage.wait(lambda: stage.states()[killed.run_id] == "FAILED", "the death")
    assert [len(run.attempts) for run in stage.runs] == [2, 1, 1, 1, 0]
    assert warned.attempts[1].first_step == warned.attempts[0].last_step
    assert len({attempt.job for run in stage.runs for attempt in run.attempts}) == 2
    assert "2 of 5 runs submitted" in stage.rerun(killed.run_id, cancelled.run_id)
    stage.wait_completed(stage.runs)
    assert all(run.matches_uninterrupted() for run in stage.runs)
