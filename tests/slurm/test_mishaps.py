"""What happens to Slurm and its users besides: a suspended job, and two commands at once."""

import os

from jobs.submissions import read_submissions
from tests.slurm.scenario import scenario
from tests.slurm.stage import LONG, SHORT, Stage


@scenario
def test_suspended_run_is_neither_lost_nor_submitted_again_and_goes_on_when_it_is_resumed(stage: Stage) -> None:
    stage.write_grid(seed=[1], **LONG)
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(40)
    stage.cluster.run("scontrol", "suspend", run.job)
    stage.wait(lambda: run.state == "SUSPENDED", "the suspension")
    os.utime(run.dir.lock_file, (0, 0))  # as after minutes without a sign of life
    assert stage.states() == {run.run_id: "SUSPENDED"}
    for output in (stage.rerun("--only", "lost"), stage.rerun(), stage.submit()):
        assert "nothing to submit" in output
    stage.run("status", expect=3)
    stage.cluster.run("scontrol", "resume", run.job)
    stage.wait_completed([run])
    assert len(run.attempts) == 1
    assert run.matches_uninterrupted()


@scenario
def test_two_who_submit_at_the_same_moment_submit_each_run_once(stage: Stage) -> None:
    stage.write_cluster(sbatch={"hold": True})
    stage.write_grid(seed=[1, 2, 3], **SHORT)
    arguments = ("submit", f"{stage.name}.yaml", "--cluster", "cluster.yaml")
    both = [stage.start(*arguments) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert sum("3 of 3 runs submitted" in output for output in said) == 1, said
    assert "Traceback" not in "".join(said)
    given = [run for one in read_submissions(stage.results) for task in one.submission.tasks for run in task]
    assert sorted(given) == sorted(run.run_id for run in stage.runs)
    assert "nothing to submit" in stage.submit()
    stage.run("cancel", stage.name)
