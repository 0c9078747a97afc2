"""Several users and clusters on one folder of results: what one cannot see is neither lost nor submitted again."""

from pathlib import Path

import pytest

from jobs.slurm.commands import Job
from jobs.slurm.grid_jobs import GridJobs, reconcile
from jobs.slurm.launcher import SlurmLauncher
from jobs.slurm.planned_job import PlannedJob, new_submission
from jobs.slurm.resources import Resources
from jobs.slurm.site.origin import Origin
from jobs.slurm.submissions import SubmissionDir, read_submissions, write_intent
from jobs.status.grid_status import describe_unknown, read_grid_status
from jobs.status.selection import select
from sentiment.records import Failure
from sentiment.run_dir import Results
from tests.jobs.test_status import PLAN, queued

ANNA, BEN = (Origin(user=user, host="login1", cluster="big") for user in ("anna", "ben"))
ANNA_ELSEWHERE = ANNA.model_copy(update={"cluster": "small"})
ANNA_ON_ANOTHER_HOST = ANNA.model_copy(update={"host": "login2"})


def _submit(results: Results, origin: Origin | None, job_id: str | None = "7", runs: int = 3) -> SubmissionDir:
    job = PlannedJob("train", [[run.run_id] for run in PLAN.runs[:runs]], [], Resources(), 1)
    folder = write_intent(new_submission(results, "g", job, 90, None, origin), [])
    if job_id:
        folder.accept(job_id)
    return folder


def _states(results: Results, here: Origin, *queue: Job) -> list[tuple[str, str]]:
    jobs = GridJobs(read_submissions(results), queue, here)
    return [(row.state, row.reason) for row in read_grid_status(results, PLAN, jobs).rows]


@pytest.mark.parametrize("here", [BEN, ANNA_ELSEWHERE, Origin(user="anna", host="laptop", cluster=None)], ids=str)
def test_what_another_user_or_cluster_was_given_is_unknown_and_says_where_to_ask(
    results: Results, here: Origin
) -> None:
    _submit(results, ANNA)
    assert set(_states(results, here)) == {("UNKNOWN", "submitted by anna on cluster big; ask there")}


@pytest.mark.parametrize("here", [ANNA, ANNA_ON_ANOTHER_HOST], ids=["same host", "another host of the cluster"])
def test_own_jobs_that_are_in_no_queue_are_lost(results: Results, here: Origin) -> None:
    _submit(results, ANNA)
    assert {state for state, _ in _states(results, here)} == {"LOST"}


def test_submission_of_an_earlier_version_counts_as_everybodys(results: Results) -> None:
    _submit(results, None)
    assert {state for state, _ in _states(results, BEN)} == {"LOST"}


def test_origin_is_in_intent_and_receipt(results: Results) -> None:
    _submit(results, ANNA)
    (found,) = read_submissions(results)
    assert found.receipt is not None
    assert found.submission.origin == found.receipt.origin == ANNA


def test_unknown_runs_are_rerun_only_if_they_are_asked_for(results: Results) -> None:
    _submit(results, ANNA, runs=2)
    _submit(results, BEN, runs=1)
    rows = read_grid_status(results, PLAN, GridJobs(read_submissions(results), [], BEN)).rows
    assert [row.state for row in rows] == ["LOST", "UNKNOWN", "PLANNED"]
    assert [row.run_id for row in select(rows, [], set())] == ["run-0"]
    assert [row.run_id for row in select(rows, ["lost"], set())] == ["run-0"]
    assert [row.run_id for row in select(rows, [], {"run-1"})] == []
    assert [row.run_id for row in select(rows, ["unknown"], set())] == ["run-1"]
    assert list(describe_unknown(rows)) == ["1 run UNKNOWN: submitted by anna on cluster big; ask there"]


def test_failure_that_the_job_itself_wrote_down_is_known_everywhere_and_one_of_an_earlier_job_is_not(
    results: Results,
) -> None:
    _submit(results, ANNA, "7")
    run_dir = results.run_dir("run-1", "g")
    run_dir.path.mkdir(parents=True)
    run_dir.write_failure(Failure(job="7_1", time="", error="DivergedError", reason="the loss is nan", traceback=""))
    assert [state for state, _ in _states(results, BEN)] == ["UNKNOWN", "FAILED", "UNKNOWN"]
    _submit(results, ANNA, "8")
    assert [state for state, _ in _states(results, BEN)] == ["UNKNOWN"] * 3


def test_intent_of_another_user_that_has_no_receipt_is_not_withdrawn(results: Results) -> None:
    theirs, mine = _submit(results, ANNA, None), _submit(results, BEN, None)
    assert reconcile(read_submissions(results), [], BEN) == [theirs]
    assert theirs.submission_file.exists()
    assert not mine.submission_file.exists()


def test_numbers_grow_whatever_the_clock_says_and_follow_the_times_of_earlier_versions(results: Results) -> None:
    old = [_submit(results, None) for _ in range(2)]
    names = ["20261125-101500-000001-train-aaaaaa", "20261125-101400-000001-train-bbbbbb"]
    for folder, name in zip(old, names, strict=True):
        folder.path.rename(folder.path.with_name(name))
    new = [_submit(results, ANNA) for _ in range(11)]
    new[3].withdraw()  # its number is not given away again
    found = [folder.path.name for folder in read_submissions(results)]
    assert found[:2] == [names[1], names[0]]
    assert found[2:] == [folder.path.name for number, folder in enumerate(new) if number != 3]
    assert [folder.number for folder in new] == list(range(new[0].number, new[0].number + 11))


def test_cancel_reaches_every_job_of_the_grid_and_none_of_another_user(
    results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "orders"
    (tmp_path / "scancel").write_text(f"#!/bin/sh\necho $* >> {log}\n")
    (tmp_path / "scancel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    older, newer, theirs = _submit(results, BEN, "7"), _submit(results, BEN, "8", 2), _submit(results, ANNA, "9", 1)
    queue = [*(queued(older, task, "Priority") for task in range(3)), queued(newer, 1, "Priority")]
    launcher = SlurmLauncher(results, PLAN, tmp_path, print, GridJobs(read_submissions(results), queue, BEN))
    rows = read_grid_status(results, PLAN, launcher.jobs).rows
    assert [row.state for row in rows] == ["UNKNOWN", "PENDING", "PENDING"]
    assert launcher.cancel(rows, {"run-1"}) == ["run-1"]
    assert launcher.cancel_all(rows) == ["run-0", "run-1", "run-2"]
    assert log.read_text().splitlines() == ["7_1 8_1", "7_0 7_1 7_2 8_1"]
    assert theirs.cancelled == set()


def test_own_job_in_the_queue_counts_more_than_a_later_one_elsewhere(results: Results) -> None:
    mine, _ = _submit(results, BEN, "7"), _submit(results, ANNA, "9", 2)
    states = [state for state, _ in _states(results, BEN, queued(mine, 0, "Priority"))]
    assert states == ["PENDING", "UNKNOWN", "LOST"]
