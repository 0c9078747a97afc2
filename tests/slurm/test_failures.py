"""Runs that fail, each in its way: it is told why, and `rerun` submits these and no others."""

from tests.slurm.scenario import scenario
from tests.slurm.stage import DIVERGES, SHORT, Stage
from tests.slurm.trivial import write_trivial_cluster


@scenario
def test_failures_are_explained_and_exactly_the_failed_are_rerun(stage: Stage) -> None:
    """One diverges, one is killed, two complete."""
    stage.write_grid(seed=[1, 2], training__learning_rate=[0.005, DIVERGES])
    stage.submit()
    good, bad, killed, also_bad = stage.runs
    killed.wait_for_step(90)
    killed.kill()
    stage.wait(lambda: set(stage.states().values()) == {"COMPLETED", "FAILED"}, "all ends")
    rows = {row["run_id"]: row for row in stage.rows()}
    assert rows[good.run_id]["state"] == "COMPLETED"
    for run in (bad, also_bad):
        assert rows[run.run_id]["state"] == "FAILED"
        assert "DivergedError: the loss is" in rows[run.run_id]["reason"]
        failure = run.dir.read_failure()
        assert failure is not None
        assert "Traceback" in failure.traceback
        assert run.attempts[-1].reason == "failed"
    assert rows[killed.run_id]["reason"].endswith("Killed")
    assert "good" not in stage.run("status", "--failed", expect=1)
    before = good.job
    assert "3 of 4 runs submitted" in stage.rerun("--only", "failed")
    stage.wait_completed([killed])
    assert killed.attempts[1].first_step >= 80
    assert killed.matches_uninterrupted()
    stage.wait(lambda: stage.states()[bad.run_id] == stage.states()[also_bad.run_id] == "FAILED", "the second failure")
    assert good.job == before
    assert [len(run.attempts) for run in (good, bad, also_bad)] == [1, 2, 2]
    assert "nothing to submit" in stage.rerun("--only", "lost")


@scenario
def test_run_with_too_little_memory_gets_more_when_it_is_rerun(stage: Stage) -> None:
    stage.write_cluster(memory_gb=0.1, memory_factor=15.0)
    stage.write_grid(seed=[1], **SHORT)
    stage.submit()
    (run,) = stage.runs
    stage.wait(lambda: set(stage.states().values()) == {"OUT_OF_MEMORY"}, "the end")
    assert "memory" in stage.rows()[0]["reason"]
    assert "nothing to submit" in stage.rerun("--only", "failed,timeout,lost")
    assert "1 of 1 runs submitted" in stage.rerun("--only", "oom")
    stage.wait_completed([run])
    memory = stage.cluster.run("squeue", "-h", "-t", "all", "-o", "%m", "-j", run.job).stdout.strip()
    assert memory == "1.50G"


@scenario
def test_run_that_gets_nowhere_in_its_time_is_given_up(stage: Stage) -> None:
    stage.write_cluster(attempts_without_progress=2)
    stage.write_grid(seed=[1], runtime__time_limit_seconds=[1])
    stage.submit()
    (run,) = stage.runs
    stage.wait(lambda: stage.states() == {run.run_id: "FAILED"}, "the end")
    assert "NoProgressError: 2 attempts in a row ended without a saved step of progress" in stage.rows()[0]["reason"]


@scenario
def test_report_that_fails_is_told_and_made_again(stage: Stage) -> None:
    write_trivial_cluster(stage, report={"setup": ["exit 7"]})
    stage.write_grid(seed=[1, 2])
    stage.submit()
    stage.wait(lambda: "report: FAILED" in stage.run("status", expect=None), "the report's end")
    stage.wait(lambda: set(stage.states().values()) == {"COMPLETED"}, "both results")
    stage.run("status", expect=1)
    write_trivial_cluster(stage)
    assert "0 of 2 runs submitted\n  report job" in stage.rerun()
    stage.wait(lambda: "report: COMPLETED" in stage.run("status", expect=None), "the second report's end")
    stage.run("status", expect=0)
    assert "nothing to submit" in stage.rerun()


@scenario
def test_held_runs_need_somebody_and_go_on_when_they_are_rerun(stage: Stage) -> None:
    """As after a launch that failed, Slurm puts them back and does not start them again by itself."""
    stage.write_grid(seed=[1, 2])
    stage.submit()
    freed, given_up = stage.runs
    for run in stage.runs:
        run.wait_for_step(30)
        stage.cluster.run("scontrol", "requeuehold", run.job)
    stage.wait(lambda: set(stage.states().values()) == {"HELD"}, "the holds")
    shown = " ".join(stage.run("status", "--failed", expect=1).split())
    assert f"job requeued in held state; `sentiment rerun` lets it go on (scontrol release {freed.job})" in shown
    assert "2 of 2 runs are held in the queue" in stage.submit()
    assert "1 run cancelled" in stage.run("cancel", given_up.run_id)
    before = freed.job
    output = stage.rerun()
    assert f"1 held job released: {before}" in output
    assert "nothing to submit" in output
    stage.wait_completed([freed])
    first, second = freed.attempts
    assert second.first_step == first.last_step
    assert second.job == before
    assert freed.matches_uninterrupted()
    assert stage.states()[given_up.run_id] == "CANCELLED"


@scenario
def test_cancelled_run_saves_and_stays_cancelled_until_it_is_submitted(stage: Stage) -> None:
    stage.write_grid(seed=[1, 2], training__epochs=[100_000])
    stage.submit()
    ours, by_hand = stage.runs
    for run in (ours, by_hand):
        run.wait_for_step(30)
    stage.run("status", expect=3)
    assert "1 run cancelled" in stage.run("cancel", ours.run_id)
    stage.cluster.run("scancel", by_hand.job)
    stage.wait(lambda: set(stage.states().values()) == {"CANCELLED"}, "the ends")
    assert {row["run_id"]: row["reason"] for row in stage.rows()}[ours.run_id] == "by `sentiment cancel`"
    assert [run.attempts[-1].detail for run in (ours, by_hand)] == ["SIGTERM", "SIGTERM"]
    stage.run("status", expect=1)  # nothing goes on, and not all is done
    assert "nothing to submit" in stage.rerun()
    assert "2 of 2 runs submitted" in stage.submit()
    for run in (ours, by_hand):
        run.wait_for_attempt(2)
        assert run.attempts[1].first_step == run.attempts[0].last_step
    stage.run("cancel", stage.name)


@scenario
def test_cancelled_task_does_not_go_on_whatever_starts_it(stage: Stage) -> None:
    """It may be about to requeue itself, or an administrator requeues it."""
    stage.write_grid(seed=[1], training__epochs=[100_000])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(30)
    folder, _ = run.task
    folder.cancel([run.run_id])
    run.send("USR2")
    stage.wait(lambda: run.state in ("COMPLETED", "FAILED"), "the end")  # stopped, and not requeued
    stage.cluster.run("scontrol", "requeue", run.job)
    stage.wait(lambda: "was cancelled" in run.log, "the refusal")
    assert len(run.attempts) == 1
    assert stage.states() == {run.run_id: "CANCELLED"}


@scenario
def test_run_that_shares_a_task_is_cancelled_and_its_siblings_go_on(stage: Stage) -> None:
    stage.write_cluster(at_once=3)
    stage.write_grid(seed=[1], training__epochs=[200, 100_000, 100_001])
    stage.submit()
    first, second, third = stage.runs
    for run in stage.runs:
        run.wait_for_step(30)
    assert "2 runs cancelled" in stage.run("cancel", second.run_id, third.run_id)
    stage.wait(lambda: stage.states()[second.run_id] == stage.states()[third.run_id] == "CANCELLED", "the ends")
    assert stage.states()[first.run_id] == "RUNNING"
    first.send("USR2")  # requeued: what was cancelled does not begin again
    stage.wait_completed([first])
    stage.wait(lambda: first.state == "COMPLETED", "the task's end")
    assert [len(run.attempts) for run in stage.runs] == [2, 1, 1]
    assert [run.attempts[-1].detail for run in (second, third)] == ["SIGTERM", "SIGTERM"]
    assert first.matches_uninterrupted()
    assert stage.states() == {first.run_id: "COMPLETED", second.run_id: "CANCELLED", third.run_id: "CANCELLED"}
    assert "2 of 3 runs submitted" in stage.rerun("--only", "cancelled")
    stage.run("cancel", stage.name)
