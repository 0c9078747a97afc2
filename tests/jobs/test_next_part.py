"""What the job that ends a grid submits again: what has begun and has not ended, but never what would not begin."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs import policy
from jobs.grids.grid import load_grid
from jobs.slurm.commands import Job
from jobs.slurm.grid_jobs import GridJobs
from jobs.slurm.resources import ClusterFile, read_cluster
from jobs.slurm.submissions import SubmissionDir
from jobs.status.grid_status import read_grid_status
from jobs.tasks.attempt import KilledError, record_failure
from jobs.tasks.next_part import submit_next_part
from sentiment.runs.records import GridPlan, Tries
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import write_grid, write_yaml
from tests.jobs.submitted import submitted


@pytest.fixture
def grid(base: Path, results: Results) -> GridPlan:
    grid = load_grid(write_grid(base, {"seed": [1, 2, 3]}), results).plan
    results.write_grid(grid)
    return grid


def _begin(results: Results, grid: GridPlan, number: int, job: str) -> None:
    """Let a run begin in a job and not end."""
    run_dir = results.run_dir(grid.runs[number].run_id, grid.name)
    run_dir.path.mkdir(parents=True, exist_ok=True)
    run_dir.write_record(Tries(step=0, number=1, job=job))


def _submitted(results: Results, grid: GridPlan, job_id: str, *numbers: int) -> SubmissionDir:
    return submitted(results, "train", job_id, [grid.runs[number].run_id for number in numbers], grid=grid.name)


def _again(results: Results, grid: GridPlan, *folders: SubmissionDir, queue: Sequence[Job] = ()) -> list[int]:
    """The places in the plan of the runs that are submitted again."""
    jobs = GridJobs(folders, queue)
    order = [run.run_id for run in grid.runs]
    return [order.index(row.run_id) for row in read_grid_status(results, grid, jobs).rows if policy.end(row)]


def test_what_has_begun_and_not_ended_is_submitted_again(results: Results, grid: GridPlan) -> None:
    folder = _submitted(results, grid, "7", 0, 1, 2)
    assert _again(results, grid, folder) == []  # their jobs never began to train: they would not the next time either
    _begin(results, grid, 0, "7_0")
    _begin(results, grid, 2, "7_2")
    assert _again(results, grid, folder) == [0, 2]
    record_failure(results.run_dir(grid.runs[0].run_id, grid.name), KilledError("by signal 9"))
    folder.cancel([2])
    assert _again(results, grid, folder) == [0]
    results.run_dir(grid.runs[0].run_id, grid.name).tries_file.unlink()  # as a run does that fails by itself
    assert _again(results, grid, folder) == []


def test_what_has_not_begun_since_it_was_submitted_again_is_left(results: Results, grid: GridPlan) -> None:
    first = _submitted(results, grid, "7", 0, 1, 2)
    _begin(results, grid, 0, "7_0")
    again = _submitted(results, grid, "8", 0)
    assert _again(results, grid, first, again) == []
    _begin(results, grid, 0, "8_0")
    assert _again(results, grid, first, again) == [0]


def test_trial_that_a_slot_of_a_later_submission_has_begun_again_is_submitted(results: Results, grid: GridPlan) -> None:
    first, slots = _submitted(results, grid, "7", 0, 1), _submitted(results, grid, "8")
    _begin(results, grid, 0, "8_0")
    assert _again(results, grid, first, slots) == [0]


def test_what_is_queued_or_whose_count_is_damaged_is_left(results: Results, grid: GridPlan) -> None:
    folder = _submitted(results, grid, "7", 0, 1, 2)
    _begin(results, grid, 0, "7_0")
    _begin(results, grid, 1, "7_1")
    results.run_dir(grid.runs[1].run_id, grid.name).tries_file.write_text("{")
    running = Job(name=folder.submission.name, job_id="7", task=0, state="RUNNING", reason="None")
    assert _again(results, grid, folder, queue=[running]) == []


def test_nobody_is_asked_where_all_has_ended(results: Results, grid: GridPlan) -> None:
    said: list[str] = []
    assert submit_next_part(submitted(results, "report", "9", grid=grid.name), said.append) is None
    assert said == []


def test_that_nothing_can_be_submitted_is_said(
    results: Results, grid: GridPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(results.root))
    _begin(results, grid, 0, "7_0")
    said: list[str] = []
    assert submit_next_part(submitted(results, "report", "9", grid=grid.name), said.append) is None
    assert said[0].startswith("nothing more is submitted: scontrol: not found")


def test_what_a_submission_remembers_of_the_clusters_file_means_the_same(tmp_path: Path) -> None:
    values = {
        "defaults": {"gres": "shard:2"},
        "grids": {"rnn": {"gpus": 1, "container": "x.sif"}},
    }
    file = read_cluster(write_yaml(tmp_path / "cluster.yaml", values))
    again = ClusterFile.model_validate(file.as_given())
    for grid in ("rnn", "elmo"):
        assert again.resources(grid) == file.resources(grid)
    assert again.service_resources() == file.service_resources()
