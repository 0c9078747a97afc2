"""Runs that fail or are stopped, each in its way: it is told why, and what can go on goes on."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jobs.submissions import read_submissions
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
def test_request_beyond_the_partitions_time_limit_needs_somebody_and_goes_on_within_it(stage: Stage) -> None:
    stage.write_cluster(partition="small", time_minutes=11, memory_gb=0.4)
    stage.write_grid(seed=[1], **SHORT)
    stage.submit()
    (run,) = stage.runs
    stage.wait(lambda: run.asked("%r") == "PartitionTimeLimit", "Slurm's reason")
    never_started = run.job
    assert "PartitionTimeLimit" in stage.run("status", expect=1)
    stage.write_cluster(partition="small", memory_gb=0.4)
    assert "1 of 1 runs submitted" in stage.rerun()
    stage.wait_completed([run])
    assert "PENDING" not in stage.cluster.run("squeue", "-h", "-t", "all", "-o", "%T", "-j", never_started).stdout


@pytest.mark.more
@scenario
def test_held_run_needs_somebody_and_goes_on_when_it_is_rerun(stage: Stage) -> None:
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(30)
    stage.cluster.run("scontrol", "requeuehold", run.job)
    stage.wait_for_states("HELD")
    assert "1 of 1 runs are held;" in stage.submit()
    before = run.job
    assert f"held jobs released: {before}" in stage.rerun()
    stage.wait_completed([run])
    first, second = run.attempts[:2]  # on a busy machine there may be more
    assert (second.first_step, second.job) == (first.last_step, before)
    assert run.matches_uninterrupted()


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


@scenario
def test_run_that_is_cancelled_after_a_warning_stays_cancelled(stage: Stage) -> None:
    stage.reports = True  # the final job must not submit it again
    stage.write_cluster()
    stage.write_grid(seed=[1, 2], **ENDLESS)
    stage.submit()
    saving, requeued = stage.runs
    for run in stage.runs:
        run.wait_for_step(30)
    # Stopped until scancel's CONT and TERM, since Slurm itself requeues what was cancelled milliseconds before.
    saving.kill(signal.SIGSTOP)
    saving.send("USR2")
    requeued.send("USR2")
    stage.wait(lambda: requeued.asked("%T") == "PENDING", "the requeue")
    stage.cluster.run("scancel", saving.job, requeued.job)
    stage.wait_for_states("CANCELLED")
    final = read_submissions(stage.results, stage.name)[-1].name
    stage.wait(lambda: stage.cluster.run("squeue", "-h", "-n", final).stdout == "", "the end of the final job")
    stage.wait_for_states("CANCELLED")
    assert [len(run.attempts) for run in stage.runs] == [1, 1]


@contextmanager
def _small_disk(options: str) -> Iterator[Path]:
    """A disk of its own, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.more
@scenario
def test_task_on_a_full_disk_says_so_and_goes_on_where_there_is_room(stage: Stage) -> None:
    with _small_disk("size=64m") as disk:
        stage = Stage(stage.cluster, disk / "stage", stage.prepared)
        stage.write_grid(seed=[1], **ENDLESS)
        stage.submit()
        (run,) = stage.runs
        run.wait_for_step(10)
        with suppress(OSError), open(disk / "bytes", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        stage.wait_for_states("FAILED")
        assert "the disk is full or its quota exceeded" in stage.rows()[0].reason
        (disk / "bytes").unlink()
        assert "1 of 1 runs submitted" in stage.rerun()
        run.wait_for_attempt(2)
        stage.cancel()
