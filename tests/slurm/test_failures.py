"""Runs that fail or are stopped, each in its way: it is told why, and what can go on goes on."""

import pytest

from tests.slurm.stage import DIVERGES, ENDLESS, SHORT, Stage, scenario


@scenario
def test_run_that_is_killed_is_tried_again_by_itself_and_one_that_diverges_is_not(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster()
    stage.write_grid(training__learning_rate=[0.005, DIVERGES])
    stage.submit()
    killed, diverges = stage.runs
    killed.wait_for_step(90)
    killed.kill()
    stage.wait_completed([killed])
    stage.cancel()  # a report would keep others waiting
    assert stage.states() == {killed.run_id: "COMPLETED", diverges.run_id: "FAILED"}
    assert killed.attempts[1].first_step >= 80
    assert [attempt.reason for attempt in diverges.attempts] == ["failed"]
    assert killed.matches_uninterrupted()
    assert "DivergedError: the loss is" in stage.rows()[1].reason


@pytest.mark.more
@scenario
def test_run_that_lacked_memory_gets_more_when_it_is_tried_again(stage: Stage) -> None:
    stage.forked, stage.reports = False, True
    stage.write_cluster(memory_gb=0.2, memory_factor=10.0)  # enough for the task, but half of what torch needs
    stage.write_grid(seed=[1], **SHORT)
    stage.submit()
    stage.wait_completed(stage.runs)
    assert stage.runs[0].asked("%m") == "2G"
    stage.cancel()


@pytest.mark.more
@scenario
def test_cancelled_runs_save_and_stay_cancelled_whatever_starts_them(stage: Stage) -> None:
    stage.write_grid(seed=[1, 2, 3], **ENDLESS)
    stage.submit()
    ours, by_hand, warned = stage.runs
    for run in stage.runs:
        run.wait_for_step(30)
    assert "1 run cancelled" in stage.cancel(ours.run_id)
    stage.cluster.run("scancel", by_hand.job)
    warned.task[0].mark_cancelled([warned.run_id])
    warned.send("USR2")
    stage.wait(lambda: warned.asked("%T") in ("COMPLETED", "FAILED"), "the end")  # stopped, and not requeued
    stage.cluster.run("scontrol", "requeue", warned.job)
    stage.wait(lambda: "start 2" in warned.log and warned.asked("%T") in ("COMPLETED", "FAILED"), "the second end")
    stage.wait_for_states("CANCELLED")
    assert [len(run.attempts) for run in stage.runs] == [1, 1, 1]
    assert "` goes on with 3 runs" in stage.run("rerun", "--cluster", "cluster.yaml", expect=3)
