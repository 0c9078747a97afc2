"""Failures of attempts, written down in the run's own directory."""

import contextlib
import errno
import traceback
from pathlib import Path

from jobs.slurm.grid_jobs import GridJobs
from jobs.slurm.submissions import SubmissionDir, read_submissions
from jobs.slurm.task_state import ROOM_ADVICE
from sentiment.allocation import slurm_job
from sentiment.records import Failure, timestamp
from sentiment.run_dir import Results, RunDir

HOPELESS = ("DivergedError", "NoProgressError")
"""Errors that the same run would meet again."""


def describe(error: BaseException) -> Failure:
    """A failure's record: the reason in a line, and where it happened."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return Failure(
        job=slurm_job(),
        time=timestamp(),
        error=type(error).__name__,
        reason=f"{reason}; it {ROOM_ADVICE}" if is_disk_full(error) else reason,
        traceback="".join(traceback.format_exception(error)),
    )


def record_failure(run_dir: RunDir, error: BaseException) -> None:
    """Write the failure down; a disk that refuses even this is ignored: the traceback is in the log as well."""
    with contextlib.suppress(OSError):
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write_failure(describe(error))


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error came, at first or second hand, of a disk or quota without room for bytes or files."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return error is not None and is_disk_full(error.__cause__ or error.__context__)


def forget_failure(run_dir: RunDir) -> None:
    """Remove the failure when a new attempt begins; `run.json` keeps the reason."""
    run_dir.failure_file.unlink(missing_ok=True)


def is_hopeless(run_dir: RunDir) -> bool:
    """Whether the run failed in a way in which it would fail again.

    Raises:
        RunDirError: the record of its failure cannot be read.
    """
    failure = run_dir.read_failure()
    return failure is not None and failure.error in HOPELESS


def may_begin_again(folder: SubmissionDir, run_dir: RunDir) -> bool:
    """Whether the task of a run that has just failed may begin it again, as `retries` in the cluster's file says.

    Raises:
        RunDirError: the record of its failure, or of a submission of its grid, cannot be read.
    """
    allowed = folder.submission.resources.retries.failed
    if not allowed or is_hopeless(run_dir):
        return False
    submissions = read_submissions(Results(Path(folder.submission.results)), folder.submission.grid)
    return GridJobs(submissions, None).retries(run_dir.path.name).count("failed") < allowed
