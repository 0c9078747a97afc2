"""How a failed attempt is written down, so that the reason is found in the run's own directory."""

import contextlib
import os
import traceback

from sentiment.allocation import slurm_job
from sentiment.errors import DivergedError
from sentiment.records import Failure, timestamp
from sentiment.run_dir import RunDir

# What the configuration alone leads to: the same steps, however often and wherever they are done. All others may be
# mended without changing a run: more memory or time, another node, a file put back.
_IN_THE_CONFIGURATION = {DivergedError.__name__}


def describe(error: BaseException) -> Failure:
    """The reason in a line, and where it happened."""
    return Failure(
        job=slurm_job(),
        time=timestamp(),
        error=type(error).__name__,
        reason=" ".join(str(error).split()) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def record_failure(run_dir: RunDir, error: BaseException) -> None:
    """Write the failure down, and end the attempt in `run.json` if it is still open.

    A disk that refuses even this is left alone: the traceback stands in the log as well.
    """
    failure = describe(error)
    with contextlib.suppress(OSError):
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write_failure(failure)
        _end_attempt(run_dir, f"{failure.error}: {failure.reason}")


def comes_again(failure: Failure) -> bool:
    """Whether the run would fail like this however often it is run."""
    return failure.error in _IN_THE_CONFIGURATION


def forget_failure(run_dir: RunDir) -> None:
    """A new attempt begins: why the last one failed stands in `run.json`."""
    run_dir.failure_file.unlink(missing_ok=True)


def _end_attempt(run_dir: RunDir, detail: str) -> None:
    """Training ends its attempt itself when it meets an error that it knows."""
    record = run_dir.read_record()
    if record and record.attempts and record.attempts[-1].end is None and record.attempts[-1].pid == os.getpid():
        ended = record.attempts[-1].model_copy(update={"end": timestamp(), "reason": "failed", "detail": detail})
        run_dir.write_record(record.model_copy(update={"attempts": [*record.attempts[:-1], ended]}))
