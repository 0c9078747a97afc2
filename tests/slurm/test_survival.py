"""What clusters do to running tasks: nothing is lost by it, and no step is done twice where there was a warning."""

import signal

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.stage import ENDLESS, Stage, scenario


@pytest.mark.more
@scenario
def test_run_goes_on_after_slurms_time_limit(stage: Stage) -> None:
    stage.write_cluster(time_minutes=1, attempts_without_progress=10)
    stage.write_grid(seed=[1], **ENDLESS)
    stage.submit()
    (run,) = stage.runs
    run.wait_for_attempt(2)
    run.wait_for_step(run.attempts[1].first_step + 1)
    first, second = run.attempts[:2]  # on a busy machine there are more by now
    assert first.reason == "deadline" or first.detail == "SIGUSR2"
    assert second.first_step == first.last_step
    assert second.job == first.job  # requeued, not submitted again
    stage.cancel()


@scenario
def test_run_whose_node_dies_goes_on_elsewhere_from_its_checkpoint(stage: Stage) -> None:
    stage.write_cluster(partition="mortal")
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(90)
    stage.cluster.kill_node(run.asked("%N"))
    stage.wait_completed([run])
    first, second = run.attempts[:2]  # on a busy machine there may be more
    assert first.end is None
    assert second.first_step >= 80  # it saves every 40 steps
    assert run.matches_uninterrupted()


@scenario
def test_tasks_that_are_cut_go_on_by_themselves_without_what_was_cancelled(stage: Stage) -> None:
    stage.write_cluster(at_once=2)
    stage.write_grid(training__epochs=[41, 40, 100_000, 100_001])
    assert "2 tasks" in stage.submit()
    first, last, *endless = stage.runs
    for run in stage.runs:
        run.wait_for_step(30)
    assert [run.job for run in endless] == [first.job, last.job]
    assert "2 runs cancelled" in stage.cancel(*(run.run_id for run in endless))
    stage.wait(lambda: all(run.attempts[-1].end for run in endless), "the ends")
    first.send("USR1")
    last.send("USR2")  # its task has the array's own id, by which a requeue would restart all tasks
    stage.wait_completed([first, last])
    for run, detail in ((first, "SIGUSR1"), (last, "SIGUSR2")):
        cut, end = run.attempts
        assert (cut.detail, end.first_step) == (detail, cut.last_step)
        assert run.matches_uninterrupted()
    assert [attempt.detail for run in endless for attempt in run.attempts] == ["SIGTERM"] * 2
    stage.wait_for_states("COMPLETED", "CANCELLED")


def _preempt(stage: Stage, node: str) -> str:
    """Submit a job that takes a whole node from those that run there; return its id."""
    whole = ("--partition=high", f"--nodelist={node}", "--exclusive", "--parsable", "--output=/dev/null")
    return stage.cluster.run("sbatch", *whole, "--wrap=sleep 600").stdout.strip()


@scenario
def test_preempted_run_saves_and_goes_on(stage: Stage) -> None:
    stage.write_cluster(partition="low")
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(50)
    job = _preempt(stage, "shared1")
    stage.wait(lambda: run.asked("%T") == "PENDING", "preemption")
    assert stage.states() == {run.run_id: "PENDING"}
    stage.cluster.run("scancel", job)
    stage.wait_completed([run])
    first, second = run.attempts[:2]  # on a busy machine there may be more
    assert (first.reason, first.detail, second.first_step) == ("signal", "SIGTERM", first.last_step)
    assert run.matches_uninterrupted()


@pytest.mark.more
@scenario
def test_run_whose_preempted_job_is_cancelled_goes_on_in_another_job(stage: Stage) -> None:
    stage.reports = True  # the final job submits it again
    stage.write_cluster(partition="disposable")
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(50)
    preempted = run.job
    job = _preempt(stage, "shared2")
    stage.wait(lambda: run.attempts[0].end, "preemption")
    stage.cluster.run("scancel", job)
    stage.wait_completed([run])
    first, second = run.attempts[:2]  # on a busy machine there may be more
    assert (first.detail, second.first_step) == ("SIGTERM", first.last_step)
    assert second.job != preempted
    assert run.matches_uninterrupted()
    stage.cancel()


@pytest.mark.more
@scenario
def test_site_with_other_settings_and_a_slurmctld_that_goes_away(stage: Stage) -> None:
    settings = {"JobRequeue": "0", "PreemptParameters": "send_user_signal"}
    with Cluster(stage.cluster.root.with_name("slurm-other"), settings) as stage.cluster:
        stage.write_grid(seed=[1])
        stage.submit()
        (run,) = stage.runs
        run.wait_for_step(30)
        stage.cluster.stop_controller()
        run.wait_for_step(run.step + 5)  # training does not mind
        run.kill(signal.SIGUSR2)
        stage.wait(lambda: "cannot requeue yet" in run.log, "the end of patience of Slurm's command")
        stage.cluster.start_controller()
        assert stage.told_states() <= {"RUNNING", "COMPLETING", "PENDING"}  # and neither failed nor lost
        stage.wait_completed([run])
        assert [attempt.detail for attempt in run.attempts] == ["SIGUSR2", None]
        assert run.matches_uninterrupted()
