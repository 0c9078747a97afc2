"""What clusters do to running tasks: nothing is lost by it, and no step is done twice where there was a warning."""

import os
import signal

from tests.hosts import hosts
from tests.slurm.cluster import Cluster, processes
from tests.slurm.stage import ENDLESS, LONG, Stage, scenario


@scenario
def test_run_goes_on_after_slurms_time_limit(stage: Stage) -> None:
    """The limit is Slurm's own minute, in which the run must start, train and save; it would take many."""
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
    assert second.restart_count > first.restart_count
    stage.run("cancel", stage.name)


@scenario
def test_run_whose_node_only_seems_dead_is_taken_over_and_the_former_process_writes_nothing_more(stage: Stage) -> None:
    """Slurm starts its task elsewhere, and two processes have the same run; the file system passes no locks."""
    stage.forked = False
    host = f"PYTHONPATH={hosts.PRETENDED} HOST_NAME=$SLURMD_NODENAME HOST_LOCKS=local HOST_FOLDER={stage.folder}"
    stage.write_cluster(partition="lost", setup=[f"export {host}"])
    stage.write_grid(seed=[1], **LONG)
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(40)
    node = run.node
    first = [one for one in processes() if one.environ.get("HOST_NAME") == node and one.name.startswith("python")]
    assert first
    for process in first:
        process.signal(signal.SIGSTOP)  # what is left of the run would not outlast Slurm's patience
    stage.cluster.lose_node(node)
    run.wait_for_attempt(2)
    run.wait_for_step(run.attempts[1].first_step + 1)
    for process in first:
        process.signal(signal.SIGCONT)
    stage.wait_completed([run])
    (completed,) = [attempt.host for attempt in run.attempts if attempt.reason == "completed"]
    assert completed != node
    assert run.matches_uninterrupted()
    stage.wait(lambda: not any(one.alive for one in first), "the end of the former process")


@scenario
def test_run_whose_node_dies_goes_on_elsewhere_from_its_checkpoint(stage: Stage) -> None:
    stage.write_cluster(partition="mortal")
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(90)
    stage.cluster.kill_node(run.node)
    stage.wait_completed([run])
    first, second = run.attempts
    assert first.end is None
    assert second.first_step >= 80  # it saves every 40 steps
    assert run.matches_uninterrupted()


@scenario
def test_array_cut_several_times_ends_like_uninterrupted_runs(stage: Stage) -> None:
    """The last task carries the array's own id: by it a requeue would restart all tasks, completed ones too."""
    stage.write_grid(seed=[1, 2, 3], **LONG)
    stage.submit()
    assert "nothing to submit" in stage.submit()
    first, *others = stage.runs
    for cut in (1, 2):
        for run in others:
            run.wait_for_attempt(cut)
            run.wait_for_step(run.attempts[-1].first_step + 30)
            run.send("USR2")
        for run in others:
            stage.wait(lambda run=run, cut=cut: run.attempts[cut - 1].end is not None, "the cut")
        stage.wait_completed([first])
    stage.wait_completed(stage.runs)
    for run in stage.runs:
        *cuts, end = run.attempts
        assert [cut.detail for cut in cuts] == [] if run == first else ["SIGUSR2"] * 2
        assert end.reason == "completed"
        assert [cut.last_step for cut in cuts] == [later.first_step for later in run.attempts[1:]]
        assert run.matches_uninterrupted()
    assert others[-1].job.endswith("_2")
    assert "nothing to submit" in stage.submit()


@scenario
def test_preempted_runs_save_and_go_on_with_and_without_grace_time(stage: Stage) -> None:
    stages = [stage, stage.beside("grace")]
    for one, partition in zip(stages, ("low", "grace"), strict=True):
        one.write_cluster(partition=partition)
        one.write_grid(seed=[1], **LONG)
        one.submit()
    runs = [run for one in stages for run in one.runs]
    for run in runs:
        run.wait_for_step(50)
    urgent = ("--partition=high", "--exclusive", "--parsable", "--output=/dev/null", "--wrap=sleep 600")
    job = stage.cluster.run("sbatch", *urgent).stdout.strip()
    for run in runs:
        stage.wait(lambda run=run: run.asked("%T") == "PENDING", "preemption")
        assert run.stage.states() == {run.run_id: "PENDING"}
    stage.cluster.run("scancel", job)
    stage.wait_completed(runs)
    for run in runs:
        first, second = run.attempts
        assert (first.reason, first.detail) == ("signal", "SIGTERM")
        assert second.first_step == first.last_step
        assert run.matches_uninterrupted()


@scenario
def test_site_with_other_settings_and_a_slurmctld_that_goes_away(stage: Stage) -> None:
    """A cluster of its own: few tasks in an array, none requeued by default, and no commands for a while."""
    settings = {"JobRequeue": "0", "PreemptParameters": "send_user_signal", "MaxArraySize": "4"}
    with Cluster(stage.cluster.root.with_name("slurm-other"), settings) as stage.cluster:
        many = stage.beside("many")
        many.write_cluster(sbatch={"hold": True})
        many.write_grid(seed=list(range(10)))
        assert ", 4 tasks " in many.submit()
        assert len({run.job for run in many.runs}) == 4
        assert "10 runs cancelled" in many.run("cancel", many.name)
        stage.write_grid(seed=[1], **LONG)
        stage.submit()
        (run,) = stage.runs
        run.wait_for_step(30)
        run.send("USR2")
        run.wait_for_attempt(2)
        run.wait_for_step(run.attempts[1].first_step + 10)
        stage.cluster.stop_controller()
        run.wait_for_step(run.step + 5)  # training does not mind
        run.kill(signal.SIGUSR2)
        stage.wait(lambda: "waits to be requeued" in run.log, "the end of patience of Slurm's command")
        stage.cluster.start_controller()
        assert stage.states()[run.run_id] in ("RUNNING", "COMPLETING", "PENDING")  # and neither failed nor lost
        stage.wait_completed([run])
        assert [attempt.detail for attempt in run.attempts] == ["SIGUSR2", "SIGUSR2", None]
        assert run.matches_uninterrupted()


@scenario
def test_suspended_run_is_neither_lost_nor_submitted_again_and_goes_on_when_it_is_resumed(stage: Stage) -> None:
    stage.forked = False
    stage.write_cluster()
    stage.write_grid(seed=[1], **LONG)
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(40)
    stage.cluster.run("scontrol", "suspend", run.job)
    stage.wait(lambda: run.asked("%T") == "SUSPENDED", "the suspension")
    os.utime(run.dir.lock_file, (0, 0))  # as after minutes without a sign of life
    assert stage.states() == {run.run_id: "SUSPENDED"}
    for output in (stage.rerun("--only", "lost"), stage.submit()):
        assert "nothing to submit" in output
    stage.cluster.run("scontrol", "resume", run.job)
    stage.wait_completed([run])
    assert len(run.attempts) == 1
    assert run.matches_uninterrupted()
