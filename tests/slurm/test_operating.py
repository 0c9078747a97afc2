"""What who runs a grid wants to see and to leave to it."""

import sys

from tests.slurm.scenario import scenario
from tests.slurm.stage import DIVERGES, SHORT, Stage


@scenario
def test_logs_are_shown_attempt_by_attempt_and_followed_to_the_end(stage: Stage) -> None:
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    following = stage.start("status", "--log", run.run_id, "--watch")
    run.wait_for_step(40)
    run.send("USR2")
    output, _ = following.communicate(timeout=200)
    assert following.returncode == 0, output
    first, second = run.attempts
    begins = [f"run {run.run_id}, process {one.pid} on {one.host}" for one in (first, second)]
    assert [line for line in output.splitlines() if line.startswith("run ")] == begins
    assert f"{run.run_id}: COMPLETED" in output
    newest = stage.run("status", "--log", run.run_id)
    assert begins[0] in newest.partition(begins[1])[0]
    assert "saved, and requeued" in run.log
    assert f"==> {run.task[0].run_log(run.run_id)} <==" in newest


@scenario
def test_each_run_of_a_task_has_a_log_of_its_own(stage: Stage) -> None:
    stage.write_cluster(at_once=2)
    stage.write_grid(seed=[1, 2], **SHORT)
    stage.submit()
    stage.wait_completed(stage.runs)
    for run in stage.runs:
        assert [line for line in stage.run("status", "--log", run.run_id).splitlines() if line.startswith("run ")] == [
            f"run {run.run_id}, process {run.attempts[0].pid} on {run.attempts[0].host}"
        ]


@scenario
def test_a_share_of_a_gpu_is_enough_for_a_run(stage: Stage) -> None:
    stage.write_cluster(gpus=0, gres="shard:1")
    stage.write_grid(seed=[1, 2, 3], **SHORT)
    said = stage.run("doctor", "--cluster", "cluster.yaml", expect=None)
    assert "ok    cluster.yaml defaults" in said
    stage.submit()
    stage.wait_completed(stage.runs)
    asked = stage.cluster.run("squeue", "-h", "-t", "all", "-o", "%b", "-j", stage.runs[0].job).stdout.strip()
    assert asked == "gres/shard:1"


@scenario
def test_run_in_a_container_is_requeued_from_outside_and_loses_nothing(stage: Stage) -> None:
    """In place of Apptainer a script that starts the command outside; no container of this test knows Slurm."""
    program = stage.folder / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nwhile [ "$1" != torch.sif ]; do shift; done\nshift\nPATH=/nowhere exec "$@"\n')
    program.chmod(0o755)
    image = {"image": "torch.sif", "python": sys.executable}
    stage.write_cluster(container=image, setup=[f"export PATH={program.parent}:$PATH"])
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(40)
    run.send("USR2")
    stage.wait_completed(stage.runs)
    first, second = run.attempts
    assert (first.detail, second.first_step) == ("SIGUSR2", first.last_step)
    assert (second.job, second.restart_count) == (first.job, 1)
    assert run.matches_uninterrupted()


@scenario
def test_run_that_is_killed_is_submitted_again_by_itself_and_one_that_diverges_is_not(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster()
    stage.write_grid(training__learning_rate=[0.005, DIVERGES])
    stage.submit()
    killed, diverges = stage.runs
    killed.wait_for_step(50)
    killed.kill()
    stage.wait((stage.results.report / "report.html").exists, "the end of the grid")
    assert stage.states() == {killed.run_id: "COMPLETED", diverges.run_id: "FAILED"}
    assert [len(run.attempts) for run in stage.runs] == [2, 1]
    assert killed.matches_uninterrupted()


@scenario
def test_run_that_lacked_memory_gets_more_when_it_is_tried_again(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster(memory_gb=0.1, memory_factor=15.0)
    stage.write_grid(seed=[1], **SHORT)
    stage.submit()
    stage.wait_completed(stage.runs)
    memory = stage.cluster.run("squeue", "-h", "-t", "all", "-o", "%m", "-j", stage.runs[0].job).stdout.strip()
    assert memory == "1.50G"


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


@scenario
def test_all_runs_of_a_pool_are_cancelled_with_its_tasks(stage: Stage) -> None:
    stage.write_cluster(tasks=2)
    stage.write_grid(seed=[1, 2, 3, 4], training__epochs=[100_000])
    stage.submit()
    for run in stage.runs[:2]:
        run.wait_for_step(30)
    rows = {row["run_id"]: (row["state"], row["reason"]) for row in stage.rows()}
    assert [rows[run.run_id] for run in stage.runs] == [("RUNNING", "")] * 2 + [("PENDING", "waits for its turn")] * 2
    assert "4 runs cancelled" in stage.run("cancel", stage.name)
    stage.wait(lambda: set(stage.states().values()) == {"CANCELLED"}, "the ends")
    assert [run.attempts[-1].detail for run in stage.runs[:2]] == ["SIGTERM"] * 2
    assert "nothing to submit" in stage.rerun()
