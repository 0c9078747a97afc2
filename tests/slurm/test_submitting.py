"""From a grid to jobs: chains, arrays above the site's limit, and a submitting process that dies."""

import shutil
from pathlib import Path

from jobs.submissions import read_submissions
from sentiment.files import ROOT
from sentiment.runs.code_version import running_code
from tests.slurm.cluster import Cluster
from tests.slurm.scenario import scenario
from tests.slurm.stage import DIVERGES, SHORT, Stage

ELMO = {"elmo__model": ["tiny"], "elmo__combine": ["beside"]}


def _deadly_sbatch(folder: Path, script: str) -> str:
    """An sbatch that kills whoever calls it; the folder that it is in."""
    folder.mkdir()
    path = folder / "sbatch"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(folder)


@scenario
def test_submitter_killed_before_and_after_sbatch_neither_loses_nor_repeats_anything(stage: Stage) -> None:
    stage.write_grid(seed=[1, 2], **SHORT)
    stage.path = _deadly_sbatch(stage.folder / "before", "kill -9 $PPID")
    stage.submit(expect=-9)
    assert set(stage.states().values()) == {"PLANNED"}
    stage.path = _deadly_sbatch(stage.folder / "after", '/usr/bin/sbatch "$@"; kill -9 $PPID')
    stage.submit(expect=-9)
    assert set(stage.states().values()) <= {"PENDING", "RUNNING", "COMPLETED"}
    stage.path = ""
    assert "0 of 2 runs submitted" in stage.submit()
    training, report = read_submissions(stage.results)  # that which never reached Slurm is withdrawn
    assert (training.submission.kind, report.submission.kind) == ("train", "report")
    assert "nothing to submit" in stage.submit()
    stage.wait_completed(stage.runs)
    assert [len(run.attempts) for run in stage.runs] == [1, 1]


@scenario
def test_tweets_vectors_training_and_report_are_chained_and_chained_again(stage: Stage) -> None:
    """A task in the middle fails: the report is written all the same, and anew when the task is rerun."""
    stage.reports = True
    stage.write_cluster()
    anew: dict[str, list[object]] = {"data__text__lowercase": [False]}
    stage.write_grid(seed=[1], training__learning_rate=[0.005, DIVERGES, 0.01], **anew, **SHORT, **ELMO)
    stage.submit()
    submissions = read_submissions(stage.results)
    assert [one.submission.kind for one in submissions] == ["data", "cache", "train", "report"]
    report = stage.results.report / "report.md"
    stage.wait(report.exists, "the report")
    good, bad, also_good = stage.runs
    assert stage.states() == {good.run_id: "COMPLETED", bad.run_id: "FAILED", also_good.run_id: "COMPLETED"}
    report.unlink()
    assert "1 of 3 runs submitted" in stage.rerun("--only", "failed")
    stage.wait(report.exists, "the second report")
    assert [len(run.attempts) for run in stage.runs] == [1, 2, 1]


@scenario
def test_word_vectors_are_learned_once_between_tweets_and_training(stage: Stage) -> None:
    anew: dict[str, list[object]] = {"data__text__lowercase": [False], "data__text__hashtags": ["split"]}
    learned: dict[str, list[object]] = {"embedding__pretrained": ["word2vec"], "vectors__epochs": [2]}
    stage.write_grid(seed=[1, 2], **anew, **learned, **SHORT)
    stage.submit()
    submissions = read_submissions(stage.results)
    assert [one.submission.kind for one in submissions][:3] == ["data", "vectors", "train"]
    stage.wait_completed(stage.runs)
    assert len(list(stage.results.word_vectors.glob("*/record.json"))) == 1
    assert [len(run.attempts) for run in stage.runs] == [1, 1]


@scenario
def test_training_whose_vectors_cannot_be_computed_is_not_left_waiting(stage: Stage) -> None:
    stage.write_grid(seed=[1], **SHORT, **ELMO)
    stage.results.encoder_caches.touch()  # where a folder should be made
    stage.submit()
    (run,) = stage.runs
    stage.wait(lambda: stage.states() == {run.run_id: "FAILED"}, "the end")
    assert stage.rows()[0]["reason"].startswith("its cache job failed: ")
    assert stage.cluster.run("squeue", "-h", "-o", "%T", "-n", run.stage.name).stdout == ""
    stage.results.encoder_caches.unlink()
    assert "1 of 1 runs submitted" in stage.rerun("--only", "failed")
    stage.wait_completed([run])


@scenario
def test_chain_of_which_slurm_refuses_a_part_leaves_nothing_behind(stage: Stage) -> None:
    """The job for the vectors is accepted, training is not: there is no such partition."""
    stage.write_grid(seed=[1], **SHORT, **ELMO)
    cluster = stage.folder / "cluster.yaml"
    cluster.write_text("defaults: {gpus: 1, sbatch: {hold: true}}\ngrids: {grid: {partition: nowhere}}\n")
    output = stage.submit(expect=1)
    assert "error: sbatch: " in output
    assert "invalid partition" in output
    assert stage.results.read_grid(stage.name) is None  # the next submission plans anew
    assert read_submissions(stage.results) == []
    names = stage.cluster.run("squeue", "-h", "-t", "pending,running", "-o", "%Z").stdout.split()
    assert str(stage.folder) not in names


@scenario
def test_edits_of_the_clone_while_a_grid_waits_change_nothing(stage: Stage) -> None:
    """Slurm's tasks inherit the shell's variables, so without a copy of the code they would import the edited clone."""
    clone = stage.folder / "clone"
    for package in ("sentiment", "jobs", "report"):
        shutil.copytree(ROOT / package, clone / package)
    stage.environ = {"PYTHONPATH": str(clone), "PYTHONSAFEPATH": "1"}
    stage.write_cluster(sbatch={"hold": True})
    stage.write_grid(seed=[1], **SHORT)
    stage.submit()
    (run,) = stage.runs
    trainer = clone / "sentiment" / "training" / "task.py"
    trainer.write_text(trainer.read_text().replace("binary_cross_entropy_with_logits(", "mse_loss("))
    stage.cluster.run("scontrol", "release", run.job.partition("_")[0])
    stage.wait_completed([run])
    assert run.matches_uninterrupted()
    folder, _ = run.task
    assert folder.submission.code
    assert run.attempts[0].code == running_code().training


@scenario
def test_tasks_run_their_copy_whatever_its_path_and_refuse_what_is_left_of_it(stage: Stage) -> None:
    there = Stage(stage.cluster, stage.folder / "re sults: 1", stage.prepared)
    there.write_grid(seed=[1], **SHORT)
    there.submit()
    (run,) = there.runs
    there.wait_completed([run])
    code = run.task[0].submission.code
    assert code
    file = there.results.code / code / "jobs" / "tasks" / "attempt.py"
    there.write_cluster(sbatch={"hold": True})
    there.write_grid(seed=[1, 2], **SHORT)
    there.submit()
    file.unlink()
    other = there.runs[1]
    there.cluster.run("scontrol", "release", other.job.partition("_")[0])
    there.wait(lambda: there.states()[other.run_id] == "FAILED", "the refusal")
    assert "refused: the code in" in there.rows()[1]["reason"]
    there.write_cluster()
    there.rerun("--new-code")
    there.wait_completed(there.runs)
    assert all(run.matches_uninterrupted() for run in there.runs)


@scenario
def test_more_runs_than_the_site_allows_tasks_are_worked_off_together(stage: Stage) -> None:
    with Cluster(stage.cluster.root.with_name("slurm-small"), {"MaxArraySize": "4"}) as stage.cluster:
        stage.write_cluster(parallelism=3)
        stage.write_grid(seed=list(range(10)), **SHORT)
        assert ", 4 tasks " in stage.submit()
        assert len({run.job for run in stage.runs}) == 4
        stage.run("cancel", stage.name)
        stage.wait(lambda: stage.cluster.run("squeue", "-h").stdout == "", "an empty queue")
        assert set(stage.states().values()) <= {"CANCELLED", "COMPLETED"}


@scenario
def test_jobs_do_not_inherit_what_another_job_left_in_the_shell(stage: Stage) -> None:
    """Submitted from within an allocation, say."""
    stage.write_grid(seed=[1], **SHORT)
    stage.environ = {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_CPU": "1", "SBATCH_PARTITION": "high"}
    stage.submit()
    (run,) = stage.runs
    stage.wait_completed([run])
    partition = stage.cluster.run("squeue", "-h", "-t", "all", "-o", "%P", "-j", run.job).stdout.strip()
    assert partition == "main"
    assert [attempt.job for attempt in run.attempts] == [run.job]
