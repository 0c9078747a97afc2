"""Failures of attempts, written down in the run's own directory."""

import contextlib
import errno
import traceback

from jobs.slurm.task_state import ROOM_ADVICE
from sentiment.allocation import slurm_job
from sentiment.errors import MemoryExhaustedError, SentimentError, SlurmError
from sentiment.records import Failure, timestamp
from sentiment.run_dir import RunDir


class NoProgressError(SentimentError):
    """A run was begun again and again at the same step."""


class KilledError(SentimentError):
    """A run's process was killed."""


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


def has_run_out(error: BaseException) -> bool:
    """Whether an attempt lacked something that another one may have: memory, disk, an answer of a file system or Slurm.

    All other errors are the run's own: it would meet them again.
    """
    lacking = (OSError, MemoryError, MemoryExhaustedError, SlurmError)
    return isinstance(error, lacking) or is_disk_full(error)


def forget_failure(run_dir: RunDir) -> None:
    """Remove the failure when a new attempt begins; `run.json` keeps the reason."""
    run_dir.failure_file.unlink(missing_ok=True)
