"""What clusters do to running tasks: nothing is lost by it, and no step is done twice where there was a warning."""

import signal

from tests.serving import serving
from tests.slurm.cluster import Cluster
from tests.slurm.scenario import scenario
from tests.slurm.stage import LONG, SHORT, Stage
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import TrackedRun


@scenario
def test_run_goes_on_after_slurms_time_limit(stage: Stage) -> None:
    """The limit is Slurm's own minute, in which the run must start, train and save; it would take many."""
    stage.write_cluster(time_minutes=1, attempts_without_progress=10)
    stage.write_grid(seed=[1], training__epochs=[100_000])
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
def test_array_cut_several_times_ends_like_uninterrupted_runs(stage: Stage) -> None:
    """The last task carries the array's own id: by it a requeue would restart all tasks, completed ones too."""
    stage.write_grid(seed=[1, 2, 3, 4], **LONG)
    stage.submit()
    assert "nothing to submit" in stage.submit()
    first, *_, last = stage.runs
    for cut in range(1, 4):
        for run in stage.runs[1:]:
            run.wait_for_attempt(cut)
            run.wait_for_step(run.attempts[-1].first_step + 30)
            run.send("USR2")
        for run in stage.runs[1:]:
            stage.wait(lambda run=run, cut=cut: run.attempts[cut - 1].end is not None, "the cut")
        stage.wait_completed([first])
    stage.wait_completed(stage.runs)
    for run in stage.runs:
        *cuts, end = run.attempts
        assert [cut.detail for cut in cuts] == [] if run == first else ["SIGUSR2"] * 3
        assert end.reason == "completed"
        assert [cut.last_step for cut in cuts] == [later.first_step for later in run.attempts[1:]]
        assert run.matches_uninterrupted()
    assert last.job.endswith("_3")
    assert "nothing to submit" in stage.submit()


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
    assert second.first_step == first.last_step
    assert second.restart_count == 1
    assert run.matches_uninterrupted()


@scenario
def test_run_whose_node_dies_goes_on_elsewhere_from_its_checkpoint(stage: Stage) -> None:
    stage.write_cluster(partition="mortal")
    stage.write_grid(seed=[1])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(90)
    node = run.node
    stage.cluster.kill_node(node)
    stage.wait_completed([run])
    first, second = run.attempts
    assert first.end is None
    assert second.first_step >= 80  # it saves every 40 steps
    assert run.matches_uninterrupted()
    stage.cluster.start_node(node)


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
        stage.wait(lambda run=run: run.state == "PENDING", "preemption")
        assert run.stage.states() == {run.run_id: "PENDING"}
    stage.cluster.run("scancel", job)
    stage.wait_completed(runs)
    for run in runs:
        first, second = run.attempts
        assert (first.reason, first.detail) == ("signal", "SIGTERM")
        assert second.first_step == first.last_step
        assert run.matches_uninterrupted()


@scenario
def test_run_whose_time_is_over_while_slurmctld_is_away_is_requeued_later(stage: Stage) -> None:
    """On a cluster of its own: Slurm's commands fail for everybody meanwhile."""
    with Cluster(stage.cluster.root.with_name("slurm-away")) as stage.cluster:
        stage.write_grid(seed=[1], **LONG)
        stage.submit()
        (run,) = stage.runs
        run.wait_for_step(40)
        stage.cluster.stop_controller()
        run.wait_for_step(run.step + 5)  # training does not mind
        run.kill(signal.SIGUSR2)
        stage.wait(lambda: "waits to be requeued" in run.log, "the end of patience of Slurm's command")
        stage.cluster.start_controller()
        assert stage.states()[run.run_id] in ("RUNNING", "COMPLETING", "PENDING")  # and neither failed nor lost
        stage.wait_completed([run])
        assert [attempt.detail for attempt in run.attempts] == ["SIGUSR2", None]
        assert run.matches_uninterrupted()


@scenario
def test_warning_while_the_program_starts_does_not_kill_it(stage: Stage) -> None:
    """By default it would: the interpreter has no handlers yet, and Slurm would call it FAILED.

    It is not sent through scancel: one that comes while a task is on its way out makes Slurm forget to requeue it.
    """
    stage.write_grid(seed=[1], **SHORT)
    stage.submit()
    (run,) = stage.runs

    def warned() -> bool:
        for _ in range(10):
            run.kill(signal.SIGUSR2)
        return "saved, and requeued" in run.log

    stage.wait(warned, "an end before the first step")
    assert run.step == 0
    stage.wait_completed([run])
    assert run.attempts[-1].restart_count == 1
    stage.wait(lambda: stage.states() == {run.run_id: "COMPLETED"}, "completion")


@scenario
def test_several_runs_in_one_task_are_cut_and_go_on_together(stage: Stage) -> None:
    stage.write_cluster(at_once=2)
    stage.write_grid(seed=[1, 2], **LONG)
    assert "1 tasks" in stage.submit()
    first, second = stage.runs
    first.wait_for_step(30)
    second.wait_for_step(30)
    assert first.job == second.job
    first.send("USR1")
    stage.wait_completed([first, second])
    for run in (first, second):
        assert [attempt.detail for attempt in run.attempts] == ["SIGUSR1", None]
        assert run.matches_uninterrupted()


@scenario
def test_site_that_does_not_requeue_by_default_requeues_ours(stage: Stage) -> None:
    settings = {"JobRequeue": "0", "PreemptParameters": "send_user_signal"}
    with Cluster(stage.cluster.root.with_name("slurm-no-requeue"), settings) as stage.cluster:
        stage.write_grid(seed=[1])
        stage.submit()
        (run,) = stage.runs
        run.wait_for_step(30)
        run.send("USR2")
        stage.wait_completed([run])
        assert [attempt.reason for attempt in run.attempts] == ["signal", "completed"]
        assert run.matches_uninterrupted()


@scenario
def test_run_that_was_cut_is_one_run_at_wandb_with_each_row_once(stage: Stage) -> None:
    """Where nothing else is said, tasks write W&B's files, and a machine with a network uploads the run."""
    stage.write_grid(seed=[1])
    stage.submit("--set", "tracking.wandb=auto")
    (run,) = stage.runs
    run.wait_for_step(30)
    run.send("USR2")
    stage.wait_completed([run])
    assert [attempt.detail for attempt in run.attempts] == ["SIGUSR2", None]
    tracked = TrackedRun(run.dir.read_config(), stage.results, run.dir)
    assert len(tracked.offline_files) == 2
    with serving(StubServer()) as server:
        stage.environ = server.environ
        said = stage.run("sync")
    assert said == f"{stage.name}/{run.run_id}: {len(tracked.rows)} rows at W&B, {len(tracked.rows)} of them new\n"
    (stored,) = server.runs.values()
    assert stored.rows == tracked.rows
    assert stored.exit_code == 0
