"""What is tried again by itself: by cause, as often as is allowed, and never what would fail again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.slurm.grid_jobs import GridJobs
from jobs.slurm.planned_job import PlannedJob, new_submission
from jobs.slurm.resources import ClusterFile, Resources, Retries, read_cluster
from jobs.slurm.submissions import SubmissionDir, write_intent
from jobs.tasks.next_part import submit_next_part
from sentiment.errors import ConfigError
from sentiment.run_dir import Results
from tests.jobs.grid_files import write_grid, write_yaml
from tests.jobs.submitted import write_job
from tests.small_runs import write_tweets


def _training(results: Results, *run_ids: str, **retries: str) -> SubmissionDir:
    job = PlannedJob("train", [[run_id] for run_id in run_ids], [], Resources(), 1, retries=retries)
    return write_intent(new_submission(results, "g", job, 90, None), [])


def test_retries_are_counted_from_when_somebody_submitted_the_run(results: Results) -> None:
    folders = [
        _training(results, "a", "b"),
        _training(results, "a", a="failed"),
        _training(results, "a"),  # by somebody
        _training(results, "a", "b", a="oom", b="failed"),
        _training(results, "a", a="failed"),
    ]
    jobs = GridJobs(folders, None)
    assert jobs.retries("a") == ["failed", "oom"]
    assert jobs.retries("b") == ["failed"]
    assert jobs.retries("c") == []


def test_nothing_is_tried_again_by_default(results: Results) -> None:
    said: list[str] = []
    assert submit_next_part(write_job(results, "report", [[]], [], Resources()), said.append) is None
    assert said == []


def test_that_nothing_can_be_submitted_is_said(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(results.root))
    said: list[str] = []
    file = ClusterFile(defaults=Resources(retries=Retries(failed=1)))
    job = PlannedJob("report", [[]], [], Resources(), 1, cluster=file.as_given())
    ending = write_intent(new_submission(results, "g", job, 90, None), [])
    assert submit_next_part(ending, said.append) is None
    assert said == [f"nothing more is submitted: {results.grid_file('g')}: is gone"]


def test_what_a_submission_remembers_of_the_clusters_file_means_the_same(tmp_path: Path) -> None:
    values = {
        "defaults": {"gres": "shard:2", "retries": {"oom": 2}},
        "grids": {"rnn": {"gpus": 1, "container": "x.sif"}},
    }
    file = read_cluster(write_yaml(tmp_path / "cluster.yaml", values))
    again = ClusterFile.model_validate(file.as_given())
    for grid in ("rnn", "elmo"):
        assert again.resources(grid) == file.resources(grid)
    assert again.service_resources() == file.service_resources()


@pytest.mark.parametrize("retries", [{"failed": -1}, {"cancelled": 1}, 3])
def test_retries_are_numbers_by_cause(tmp_path: Path, retries: object) -> None:
    with pytest.raises(ConfigError, match=r"defaults.retries"):
        read_cluster(write_yaml(tmp_path / "cluster.yaml", {"defaults": {"retries": retries}}))


@pytest.mark.slow
def test_local_grid_tries_again_what_failed_but_not_what_would_fail_again(
    base: Path, results: Results, tmp_path: Path
) -> None:
    table = write_tweets(tmp_path / "empty.csv", [])
    grid = write_grid(base, {"data.source": [str(table)]})
    other = write_grid(base, {"training.learning_rate": [10**38]}, name="other")
    cluster = write_yaml(tmp_path / "cluster.yaml", {"defaults": {"retries": {"failed": 2}}})
    environ = os.environ | {"PATH": str(tmp_path)}
    outputs = []
    for file in (grid, other):
        command = [sys.executable, "-m", "jobs", "submit", str(file), "--local", "--cluster", str(cluster)]
        done = subprocess.run([*command, "--results", str(results.root)], env=environ, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        outputs.append([line for line in done.stdout.splitlines() if " FAILED" in line])
    assert [line.rpartition("; ")[2] for line in outputs[0][:2]] == ["retry 1 of 2", "retry 2 of 2"]
    assert outputs[0][2].startswith("[1/1] ")
    (diverged,) = outputs[1]
    assert "DivergedError" in diverged
