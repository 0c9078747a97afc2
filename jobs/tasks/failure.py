"""Failures of attempts, written down in the run's own directory."""

import contextlib
import os
import traceback

from sentiment.allocation import slurm_job
from sentiment.records import Failure, timestamp
from sentiment.run_dir import RunDir

HOPELESS = ("DivergedError", "NoProgressError")
"""Errors that the same run would meet again."""


def describe(error: BaseException) -> Failure:
    """A failure's record: the reason in a line, and where it happened."""
    return Failure(
        job=slurm_job(),
        time=timestamp(),
        error=type(error).__name__,
        reason=" ".join(str(error).split()) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def record_failure(run_dir: RunDir, error: BaseException) -> None:
    """Write the failure down, and end the attempt in `run.json` if it is still open.

    A disk that refuses even this is ignored: the traceback is in the log as well.
    """
    failure = describe(error)
    with contextlib.suppress(OSError):
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write_failure(failure)
        _end_attempt(run_dir, f"{failure.error}: {failure.reason}")


def forget_failure(run_dir: RunDir) -> None:
    """Remove the failure when a new attempt begins; `run.json` keeps the reason."""
    run_dir.failure_file.unlink(missing_ok=True)


def _end_attempt(run_dir: RunDir, detail: str) -> None:
    """Close the attempt in `run.json`, unless training has done so itself."""
    record = run_dir.read_record()
    if record and record.attempts and record.attempts[-1].end is None and record.attempts[-1].pid == os.getpid():
        ended = record.attempts[-1].model_copy(update={"end": timestamp(), "reason": "failed", "detail": detail})
        run_dir.write_record(record.model_copy(update={"attempts": [*record.attempts[:-1], ended]}))
