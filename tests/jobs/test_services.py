"""Jobs other than training: what a new one gets if the last had too little, and a report that was not written."""

from pathlib import Path

import pytest

from jobs.grid_jobs import GridJobs
from jobs.plan import WantedRun, plan_jobs
from jobs.services import OTHER_KINDS, KindName
from jobs.slurm.commands import Job
from jobs.slurm.resources import ClusterFile, Resources
from jobs.status import read_grid_status
from jobs.submissions import SubmissionDir, new_submission, write_intent
from sentiment.config_file import resolve
from sentiment.files import write_json
from sentiment.runs.records import Failure
from sentiment.runs.run_dir import Results
from tests.jobs.submitted import PLAN, a_job, a_row, queued, submitted

HAD = Resources(time_minutes=40, memory_gb=3, gpus=0)
_NEEDS: dict[KindName, dict[str, object]] = {
    "vectors": {"embedding.pretrained": "word2vec"},
    "pretrain": {"elmo.model": "pretrained/tiny"},
    "cache": {"elmo.model": "tiny"},
}
OUT_OF_MEMORY = "slurmstepd: error: Detected 1 oom_kill event in StepId=6.0. Some have been OOM Killed.\n"


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def _service(results: Results, kind: KindName) -> SubmissionDir:
    folder = write_intent(new_submission(results, "g", a_job(kind, [[]], [], HAD, 1), None))
    folder.accept("6")
    return folder


def _next(results: Results, tweets: Path, jobs: GridJobs, kind: KindName) -> Resources:
    """What the next job of a kind gets, of a grid whose tweets are not prepared and whose runs need such a job."""
    config = resolve({}, {"data.source": str(tweets), **_NEEDS.get(kind, {})}, "a test")
    values = {"defaults": {"time_minutes": 20, "memory_gb": 2}, "report": {"time_minutes": 20}}
    cluster = ClusterFile.model_validate(values)
    run = WantedRun(a_row("FAILED", run_id=config.run_id), config, None)
    planned = plan_jobs([run], results, cluster, "g", jobs)
    return next(job.resources for job in planned if job.kind == kind)


@pytest.mark.parametrize("kind", [kind.name for kind in OTHER_KINDS])
@pytest.mark.parametrize(
    ("state", "minutes", "memory"),
    [("TIMEOUT", 80, 2), ("OUT_OF_MEMORY", 20, 6), ("FAILED", 20, 2), ("COMPLETED", 20, 2), ("RUNNING", 20, 2)],
)
def test_job_that_had_too_little_gets_more_of_it(
    results: Results, tweets_file: Path, kind: KindName, state: str, minutes: int, memory: float
) -> None:
    folder = _service(results, kind)
    job = queued(folder, None if folder.submission.job_kind.final else 0, "None", state)
    given = _next(results, tweets_file, GridJobs([folder], [job]), kind)
    assert (given.time_minutes, given.memory_gb) == (minutes, memory)


def test_job_that_the_queue_has_forgotten_is_judged_by_its_log_and_by_what_it_wrote(
    results: Results, tweets_file: Path
) -> None:
    folder = _service(results, "data")
    jobs = GridJobs([folder], [])
    assert _next(results, tweets_file, jobs, "data").memory_gb == 2
    (folder.logs / "6_0_0_log.out").write_text(OUT_OF_MEMORY)
    assert _next(results, tweets_file, GridJobs([folder], []), "data").memory_gb == 6
    failure = Failure(job="6_0", time="", error="NoProgressError", reason="its time ended 3 times", traceback="")
    write_json(folder.failure_file(0), failure.model_dump(mode="json"))
    assert _next(results, tweets_file, GridJobs([folder], []), "data").time_minutes == 80


@pytest.mark.parametrize(
    ("state", "log", "failed"),
    [
        ("FAILED", "", True),
        ("TIMEOUT", "", True),
        ("COMPLETED", "", False),
        ("PENDING", "", False),
        ("CANCELLED", "", False),
        (None, "", False),
        (None, "srun: error: n1: task 0: Exited with exit code 1\n", True),
        (None, "slurmstepd: error: *** JOB 10 ON n1 CANCELLED AT 2026-03-04T11:00:00 DUE TO TIME LIMIT ***\n", True),
        (None, "slurmstepd: error: *** JOB 10 ON n1 CANCELLED AT 2026-03-04T11:00:00 ***\n", False),
    ],
)
def test_report_that_failed_is_missing_and_told(results: Results, state: str | None, log: str, failed: bool) -> None:
    training, report = submitted(results, "train", "7", ["run-0"]), submitted(results, "report", "10", [])
    (report.logs / "10_0_log.out").write_text(log)
    queue: list[Job] = [queued(report, None, "None", state)] if state else []
    jobs = GridJobs([training, report], queue)
    assert jobs.lacks_final_job is failed
    assert read_grid_status(results, PLAN, jobs).final_failed is failed


def test_report_is_not_missed_that_a_command_cancelled(results: Results) -> None:
    training, report = submitted(results, "train", "7", ["run-0"]), submitted(results, "report", "10", [])
    report.cancel([0])
    jobs = GridJobs([training, report], [queued(report, None, "None", "FAILED")])
    assert not jobs.lacks_final_job


@pytest.mark.parametrize(
    ("states", "shown"),
    [(["FAILED"], "OUT_OF_MEMORY"), (["FAILED", "RUNNING"], "FAILED, RUNNING"), ([], "OUT_OF_MEMORY")],
)
def test_job_that_lacked_memory_is_shown_so_though_the_queue_calls_it_failed(
    results: Results, states: list[str], shown: str
) -> None:
    """Where no cgroup kills it, Slurm knows only that a process was killed."""
    job = a_job("cache", [[], []], [], HAD, 1)
    folder = write_intent(new_submission(results, "g", job, None))
    folder.accept("6")
    (folder.logs / "6_0_0_log.out").write_text("slurmstepd-n1: error: StepId=6.0 exceeded memory limit (9 > 8)\n")
    queue = [queued(folder, number, "None", state) for number, state in enumerate(states)]
    jobs = GridJobs([folder], queue)
    assert jobs.service_states() == {"cache": shown}
    assert ("cache" in jobs.failed_services) is (shown == "OUT_OF_MEMORY")
