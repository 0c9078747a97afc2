"""A run that failed in a task of its own is begun again by that task at once, as often as `retries` says."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.slurm.grid_jobs import GridJobs
from jobs.slurm.planned_job import PlannedJob, new_submission
from jobs.slurm.resources import Resources, Retries
from jobs.slurm.submissions import SubmissionDir, read_submissions, write_intent
from jobs.tasks.array_task import ArrayTask
from jobs.tasks.attempt import Outcome
from jobs.tasks.slurm_task import perform
from sentiment.config import RunConfig
from sentiment.run_dir import Results, RunDir
from sentiment.training.stop import StopRequest
from tests.jobs.submitted import GRID, write_submission
from tests.small_runs import small_config


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What scontrol was asked; it refuses job 9."""
    log = tmp_path / "asked"
    (tmp_path / "scontrol").write_text(
        f'#!/bin/sh\necho "$@" >> {log}\ncase "$2" in 9*) echo "Access/permission denied" >&2; exit 1;; esac\n'
    )
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def _broken(tweets: Path, results: Results, seed: int = 1, **changes: Any) -> tuple[RunConfig, RunDir]:
    """A run whose directory somebody has spoilt: it fails before anything heavy is loaded."""
    config = small_config(tweets, seed=seed, **changes)
    run_dir = results.run_dir(config.run_id, GRID)
    run_dir.create(small_config(tweets, seed=seed + 100))
    return config, run_dir


def _perform(folder: SubmissionDir) -> int:
    with StopRequest() as stop:
        return perform(ArrayTask.read(folder.path, 0), stop)


def _retries(results: Results, config: RunConfig) -> list[str]:
    return GridJobs(read_submissions(results), None).retries(config.run_id)


def test_task_whose_run_failed_is_requeued_as_often_as_is_allowed_and_counted(
    tweets_file: Path, results: Results, asked: Callable[[], list[str]]
) -> None:
    config, run_dir = _broken(tweets_file, results)
    folder = write_submission(results, [[config]], retries={"failed": 2})
    for number in (1, 2):
        assert _perform(folder) == Outcome.LOOK_AGAIN
        assert run_dir.read_failure() is None  # else a command would submit it a second time when it is started
        assert _retries(results, config) == ["failed"] * number
    assert _perform(folder) == Outcome.FAILED
    assert run_dir.read_failure() is not None
    assert asked() == ["requeue 7"] * 2


def test_task_whose_count_is_damaged_is_not_begun_again(
    tweets_file: Path, results: Results, asked: Callable[[], list[str]]
) -> None:
    config, _ = _broken(tweets_file, results)
    folder = write_submission(results, [[config]], retries={"failed": 2})
    folder.retries_file(0).write_bytes(b"")
    assert _perform(folder) == Outcome.FAILED
    assert asked() == []


def test_what_the_job_that_ends_the_grid_has_tried_again_counts_as_well(
    tweets_file: Path, results: Results, asked: Callable[[], list[str]]
) -> None:
    config, _ = _broken(tweets_file, results)
    write_submission(results, [[config]], retries={"failed": 1})
    job = PlannedJob("train", [[config.run_id]], [config], Resources(retries=Retries(failed=1)), 1)
    again = new_submission(results, GRID, replace(job, retries={config.run_id: "failed"}), 90, None)
    assert _perform(write_intent(again, [config])) == Outcome.FAILED
    anew = write_intent(new_submission(results, GRID, job, 90, None), [config])  # by somebody, who begins to count anew
    assert _perform(anew) == Outcome.LOOK_AGAIN
    assert asked() == ["requeue 7"]


def test_nothing_is_begun_again_unless_it_is_allowed_or_if_it_would_fail_again(
    tweets_file: Path, results: Results, asked: Callable[[], list[str]]
) -> None:
    config, _ = _broken(tweets_file, results)
    assert _perform(write_submission(results, [[config]])) == Outcome.FAILED
    assert _perform(write_submission(results, [[config]], retries={"oom": 1})) == Outcome.FAILED
    diverges = small_config(tweets_file, training__learning_rate=1e38, training__clip=None)
    assert _perform(write_submission(results, [[diverges]], retries={"failed": 1})) == Outcome.FAILED
    failure = results.run_dir(diverges.run_id, GRID).read_failure()
    assert failure is not None
    assert failure.error == "DivergedError"
    assert asked() == []


def test_runs_that_share_a_task_are_left_to_the_job_that_ends_the_grid(
    tweets_file: Path, results: Results, asked: Callable[[], list[str]]
) -> None:
    configs = [_broken(tweets_file, results, seed)[0] for seed in (1, 2)]
    assert _perform(write_submission(results, [configs], retries={"failed": 1})) == Outcome.FAILED
    assert asked() == []


def test_failure_stays_known_where_slurm_refuses_to_requeue(
    tweets_file: Path, results: Results, asked: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    config, run_dir = _broken(tweets_file, results)
    assert _perform(write_submission(results, [[config]], retries={"failed": 1})) == Outcome.FAILED
    assert asked() == ["requeue 9"]
    failure = run_dir.read_failure()
    assert failure is not None
    assert failure.error == "RunDirError"
