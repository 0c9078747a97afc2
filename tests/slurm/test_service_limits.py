"""Jobs other than training that have too little memory or time: they are told, and get more when the grid is rerun."""

import signal

from jobs.services import KindName
from jobs.submissions import SubmissionDir, read_submissions
from tests.slurm.processes import processes
from tests.slurm.scenario import scenario
from tests.slurm.stage import SHORT, Stage

_LITTLE = {"memory_gb": 0.1, "memory_factor": 15.0}
_REPORT = {"time_minutes": 10}
_ANEW: dict[str, list[object]] = {"data__text__lowercase": [False]}


def _newest(stage: Stage, kind: KindName) -> SubmissionDir:
    return [one for one in read_submissions(stage.results) if one.submission.kind == kind][-1]


def _asked(stage: Stage, kind: KindName, what: str) -> str:
    """What the newest job of a kind asked Slurm for, by squeue's letter."""
    return stage.cluster.run("squeue", "-h", "-t", "all", "-o", what, "-j", _newest(stage, kind).job_id).stdout.strip()


def _warn(stage: Stage, kind: KindName) -> None:
    """Send USR2, past Slurm, to the processes of the newest job of a kind."""
    job = _newest(stage, kind).job_id
    conf = stage.cluster.environ["SLURM_CONF"]
    for process in processes():
        found = process.environ
        of_job = job in (found.get("SLURM_ARRAY_JOB_ID"), found.get("SLURM_JOB_ID"))
        if of_job and found.get("SLURM_CONF") == conf and process.name.startswith("python"):
            process.signal(signal.SIGUSR2)


@scenario
def test_jobs_for_vectors_and_report_that_lacked_memory_get_more_when_the_grid_is_rerun(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster(services={"cache": _LITTLE, "report": _REPORT | _LITTLE})
    stage.write_grid(seed=[1], elmo__model=["tiny"], elmo__combine=["beside"], **SHORT)
    stage.submit()
    (run,) = stage.runs
    stage.wait(lambda: "report: OUT_OF_MEMORY" in stage.run("status", expect=None), "the report's end")
    assert stage.states() == {run.run_id: "FAILED"}
    assert stage.rows()[0]["reason"].startswith("its cache job ended with OUT_OF_MEMORY: ")
    stage.run("status", expect=1)
    assert "1 of 1 runs submitted" in stage.rerun()
    assert (_asked(stage, "cache", "%m"), _asked(stage, "report", "%m")) == ("1.50G", "1.50G")
    stage.wait_completed([run])
    stage.wait(lambda: "report: COMPLETED" in stage.run("status", expect=None), "the second report's end")
    stage.run("status", expect=0)


@scenario
def test_tweets_that_cannot_be_prepared_in_their_time_get_more_when_the_grid_is_rerun(stage: Stage) -> None:
    stage.write_cluster(services={"data": {"attempts_without_progress": 1}})
    stage.write_grid(seed=[1], **_ANEW, **SHORT)
    stage.submit()
    (run,) = stage.runs

    def given_up() -> bool:
        _warn(stage, "data")
        return _newest(stage, "data").failure_file(0).exists()

    stage.wait(given_up, "the end of patience")
    stage.wait(lambda: stage.states() == {run.run_id: "FAILED"}, "the end")
    reason = stage.rows()[0]["reason"]
    assert reason.startswith("its data job failed: NoProgressError: its time ended 1 times in a row")
    assert _asked(stage, "data", "%l") == "10:00"
    assert "1 of 1 runs submitted" in stage.rerun()
    assert _asked(stage, "data", "%l") == "20:00"
    stage.wait_completed([run])


@scenario
def test_job_that_writes_the_report_is_requeued_when_it_is_warned(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster()
    stage.write_grid(seed=[1], **SHORT)
    stage.submit()
    stage.wait_completed(stage.runs)

    def requeued() -> bool:
        _warn(stage, "report")
        log = _newest(stage, "report").log_file(0)
        return log is not None and "saved, and requeued" in log.read_text()

    stage.wait(requeued, "a warning that is noticed")
    stage.wait(lambda: "report: COMPLETED" in stage.run("status", expect=None), "the report")
    stage.run("status", expect=0)
    assert (stage.results.report / "report.html").exists()
