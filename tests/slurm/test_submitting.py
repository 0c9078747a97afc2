"""From a grid to jobs: chains, what Slurm refuses, submitting processes that die, and what users see of it."""

import shutil

import pytest

from jobs.submissions import read_submissions
from sentiment.files import ROOT
from sentiment.runs.code_version import running_code
from tests.encoders.random_elmo import write_random_model
from tests.jobs.grid_files import write_yaml
from tests.limits import limit
from tests.slurm.stage import DIVERGES, SHORT, Stage, scenario


@scenario
def test_submitter_that_is_killed_or_whose_squeue_is_stale_neither_loses_nor_repeats_anything(stage: Stage) -> None:
    stage.write_cluster(sbatch={"hold": True})
    stage.write_grid(seed=[1, 2])
    for script, state in (("kill -9 $PPID", "PLANNED"), ('/usr/bin/sbatch "$@"; kill -9 $PPID', "PENDING")):
        _replace_program(stage, "sbatch", script)
        stage.submit(expect=-9)
        assert {*stage.states().values()} == {state}
    stage.environ = {}
    assert "0 of 2 runs submitted" in stage.submit()
    training, report = read_submissions(stage.results)  # that which never reached Slurm is withdrawn
    assert (training.submission.kind, report.submission.kind) == ("train", "report")
    stage.cancel()
    both = [stage.start("submit", "grid.yaml", "--cluster", "cluster.yaml") for _ in range(2)]
    said = [process.communicate(timeout=limit())[0] for process in both]
    assert sum("2 of 2 runs submitted" in output for output in said) == 1, said
    assert "Traceback" not in "".join(said)
    assert _jobs_in_queue(stage) == 3
    _replace_program(stage, "squeue", '/usr/bin/squeue "$@" | head -n 1')  # as where a site answers from a cache
    assert stage.told_states() == {"UNKNOWN"}
    stage.submit(expect=1)
    for folder in read_submissions(stage.results):  # as if the submitter had been killed before it wrote them
        folder.receipt_file.unlink()
    stage.submit(expect=1)
    assert _jobs_in_queue(stage) == 3
    stage.cancel()
    stage.environ = {}
    stage.wait_for_states("CANCELLED")


def _jobs_in_queue(stage: Stage) -> int:
    folders = stage.cluster.run("squeue", "-h", "-r", "-o", "%Z").stdout.split()
    return sum(str(stage.folder) in folder for folder in folders)


def _replace_program(stage: Stage, name: str, script: str) -> None:
    """Let commands on the stage find this script in place of a program of Slurm."""
    program = stage.folder / f"of {name}" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    stage.environ = {"PATH": f"{program.parent}:{stage.cluster.environ['PATH']}"}


def _with_elmo(stage: Stage) -> dict[str, list[object]]:
    """The parameters of runs that read the vectors of a small ELMo model."""
    write_random_model(stage.folder / "elmo")
    return {"elmo__model": [str(stage.folder / "elmo")], "elmo__combine": ["beside"]}


@scenario
def test_tweets_vectors_training_and_report_are_chained(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster()
    anew: dict[str, list[object]] = {"data__text__lowercase": [False], "data__text__hashtags": ["split"]}
    learned: dict[str, list[object]] = {"embedding__pretrained": ["word2vec"], "vectors__epochs": [2]}
    elmo = _with_elmo(stage)
    stage.write_grid(seed=[1], training__learning_rate=[0.005, DIVERGES], **anew, **learned, **SHORT, **elmo)
    stage.submit()
    kinds = [one.submission.kind for one in read_submissions(stage.results)]
    assert kinds == ["data", "cache", "train", "report"]
    stage.wait((stage.results.report / "report.md").exists, "the report")
    good, bad = stage.runs
    assert stage.states() == {good.run_id: "COMPLETED", bad.run_id: "FAILED"}
    assert len(list(stage.results.word_vectors.glob("*/record.json"))) == 1


@pytest.mark.more
@scenario
def test_each_task_is_one_process_on_nodes_that_are_given_whole_or_asked_for_whole(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster(partition="whole", cpus=2)
    stage.write_grid(seed=[1, 2], **SHORT)
    stage.submit()
    asked = Stage(stage.cluster, stage.folder / "asked", stage.prepared)
    asked.write_cluster(partition="roomy", cpus=2, sbatch={"exclusive": True})
    asked.write_grid(seed=[3], **SHORT)
    asked.submit()
    stage.wait((stage.results.report / "report.md").exists, "the report")
    stage.wait_completed([*stage.runs, *asked.runs])
    folders = [*read_submissions(stage.results), *read_submissions(asked.results)]
    logs = [log.read_text() for folder in folders for log in folder.logs.glob("*.out")]
    assert [log.count(", start 1 on ") for log in logs] == [1] * 4  # of two runs, their report and the third run
    assert [len(run.attempts) for run in (*stage.runs, *asked.runs)] == [1] * 3


@pytest.mark.more
@scenario
def test_training_whose_vectors_cannot_be_computed_is_not_left_waiting(stage: Stage) -> None:
    stage.write_grid(seed=[1], **SHORT, **_with_elmo(stage))
    stage.results.encoder_caches.touch()  # where a folder should be made
    stage.submit()
    stage.wait_for_states("FAILED")
    assert stage.rows()[0].reason.startswith("its cache job FAILED: ")
    assert str(stage.folder) not in stage.cluster.run("squeue", "-h", "-t", "running", "-o", "%Z").stdout


@pytest.mark.more
@scenario
def test_tasks_run_the_code_that_was_submitted_whatever_its_path_and_the_shells_variables(stage: Stage) -> None:
    clone = stage.folder / "clone"
    for package in ("sentiment", "jobs", "report"):
        shutil.copytree(ROOT / package, clone / package)
    stage = Stage(stage.cluster, stage.folder / "re sults: 1", stage.prepared)
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
    assert run.attempts[0].code == running_code().training


@scenario
def test_doctor_describes_the_cluster_and_asks_whether_it_would_take_the_jobs(stage: Stage) -> None:
    text = stage.run("doctor", "--cluster", "cluster.yaml")
    for expected in (
        "cluster test",
        "partition main*",
        "gpu:fake:2",
        "cluster.yaml defaults",
    ):
        assert expected in text
    grids = {"elmo": {"gpus": 3}, "rnn": {"partition": "none"}, "smoke": {"gpus": 0, "sbatch": {"gres": "shard:2"}}}
    write_yaml(stage.folder / "cluster.yaml", {"grids": grids})
    text = stage.run("doctor", "--cluster", "cluster.yaml", expect=1)
    elmo, rnn = [line for line in text.splitlines() if "Slurm says" in line]
    assert ("grids.elmo" in elmo, "grids.rnn" in rnn, "nvalid partition" in rnn) == (True, True, True)
