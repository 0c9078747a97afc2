"""Submissions on disk: intents, receipts, and what becomes of intents that have none."""

from pathlib import Path

import pytest

from jobs.grid_jobs import GridJobs, reconcile
from jobs.slurm.commands import Job
from jobs.slurm.resources import Resources
from jobs.submissions import SubmissionDir, new_submission, read_submissions, write_intent
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.errors import RunDirError
from sentiment.runs.run_dir import Results
from tests.jobs.submitted import a_job


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def _configs(count: int) -> list[RunConfig]:
    return [resolve({}, {"seed": seed}, "a test") for seed in range(count)]


def _write(results: Results, runs_of_a_task: int = 1, grid: str = "g") -> SubmissionDir:
    configs = _configs(4)
    run_ids = [config.run_id for config in configs]
    tasks = [run_ids[first : first + runs_of_a_task] for first in range(0, 4, runs_of_a_task)]
    job = a_job("train", tasks, configs, Resources(), 2)
    return write_intent(new_submission(results, grid, job, None))


def _job(folder: SubmissionDir, job_id: str) -> Job:
    return Job(name=folder.submission.name, job_id=job_id, task=0, state="PENDING")


def test_intent_holds_all_that_later_commands_need(results: Results) -> None:
    written = _write(results)
    (found,) = read_submissions(results)
    assert found.submission == written.submission
    assert found.submission.schema_version == 1
    assert found.submission.results == str(results.root.resolve())
    assert found.receipt is None
    assert list(found.configs.values()) == _configs(4)


def test_missing_receipt_is_found_by_the_jobs_name(results: Results) -> None:
    accepted, refused = _write(results), _write(results)
    assert reconcile(read_submissions(results), [_job(accepted, "17")]) == [accepted]
    (found,) = read_submissions(results)
    assert found.job(2) == "17_2"
    assert not refused.submission_file.exists()
    assert refused.configs_file.exists()  # what happened can still be seen


def test_cancelled_tasks_add_up(results: Results) -> None:
    folder = _write(results)
    assert folder.cancelled == set()
    folder.cancel(["b"])
    folder.cancel(["a", "b"])
    assert folder.cancelled == {"a", "b"}


def test_submissions_of_one_grid_come_oldest_first_whatever_clocks_say(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = iter(range(9, 0, -1))
    monkeypatch.setattr("jobs.submissions.timestamp", lambda: f"2026-01-01T0{next(hours)}:00:00+00:00")
    written = [_write(results) for _ in range(6)]
    _write(results, grid="other")
    assert read_submissions(results, "g") == written
    assert len(read_submissions(results)) == 7
    newest = GridJobs(read_submissions(results, "g"), None).places
    assert {folder for folder, _ in newest.values()} == {written[-1]}


def test_damaged_intent_is_named(results: Results) -> None:
    folder = _write(results)
    folder.submission_file.write_text("{")
    with pytest.raises(RunDirError, match=r"submission\.json: is not a valid record"):
        _ = SubmissionDir(folder.path).submission
