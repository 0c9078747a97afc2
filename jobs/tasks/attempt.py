"""Runs one attempt of a run, from its newest checkpoint until it completes, stops or fails, and records failures."""

import contextlib
import errno
import os
import socket
import traceback
from enum import IntEnum
from functools import cache, partial

from jobs import slurm
from jobs.job_kinds import steps_saved
from jobs.slurm import DISK_FULL_ADVICE, DISK_FULL_EXIT_CODE, STOPPED_EXIT_CODE
from jobs.slurm.resources import Resources
from jobs.submissions import Submission
from sentiment.config import RunConfig
from sentiment.console import Console, silent
from sentiment.errors import (
    LockedError,
    MemoryExhaustedError,
    NoProgressError,
    NoSlurmError,
    SlurmError,
    TakenOverError,
    in_one_line,
    with_memory_advice,
)
from sentiment.processes import in_same_array, slurm_job
from sentiment.runs.locks import live_owner
from sentiment.runs.records import Failure, RunRecord, StartCount, timestamp
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import PENDING, read_progress
from sentiment.training.stop import RunContext, Stop, StopRequest, process_deadline


def failure_of(error: BaseException, retry: bool = False) -> Failure:
    """The record of an error, with advice if main memory or the disk is full; `retry` as in `Failure`."""
    name = type(error).__name__
    reason = in_one_line(error) or name
    if isinstance(error, MemoryError):
        name = MemoryError.__name__  # numpy raises a subclass of its own
        reason = with_memory_advice(error)
    elif is_disk_full(error):
        reason = f"{reason}; {DISK_FULL_ADVICE}"
    return Failure(
        job=slurm_job(),
        time=timestamp(),
        error=name,
        reason=reason,
        traceback="".join(traceback.format_exception(error)),
        retry=retry,
    )


def record_failure(run_dir: RunDir, error: BaseException, retry: bool = False) -> None:
    """Write `failure.json`. Errors while writing are ignored: the log has the traceback too."""
    with contextlib.suppress(OSError):
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write_record(failure_of(error, retry))


def is_disk_full(error: BaseException | None) -> bool:
    """Whether the error, or one in its chain of causes, is ENOSPC or EDQUOT."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return error is not None and is_disk_full(error.__cause__ or error.__context__)


def may_succeed_on_retry(error: Exception, resources: Resources) -> bool:
    """Whether a retry may succeed: after an error of the file system, a full disk, an error of Slurm, or full memory.

    All other errors are the run's own. A retry gets more main memory if the cluster file sets how much. A GPU that was
    full will be full again, unless other runs of the task shared it.
    """
    if isinstance(error, MemoryError):
        return resources.memory_gb is not None or resources.at_once > 1
    if isinstance(error, MemoryExhaustedError):
        return resources.at_once > 1
    return isinstance(error, OSError | SlurmError) or is_disk_full(error)


# USR1 and USR2 announce the time limit, or a preemption after which the task has to requeue itself. After TERM Slurm
# requeues the task (preemption), or the task stays cancelled.
_SIGNALS_TO_REQUEUE_AFTER = ("SIGUSR1", "SIGUSR2")


class Outcome(IntEnum):
    """How an attempt ended; the value is its process's exit code."""

    # The work is done, or another process has taken it over.
    COMPLETED = 0
    FAILED = 1
    # Stopped on request; progress is saved; the task is not requeued.
    STOPPED = STOPPED_EXIT_CODE
    # Progress is saved; the task is requeued.
    OUT_OF_TIME = 4
    # The final job is requeued to try again: Slurm does not answer, its queue is full, or the grid is locked.
    RETRY_LATER = 5
    # The disk is full, so that the failure could not be recorded.
    DISK_FULL = DISK_FULL_EXIT_CODE


def outcome_of(stop: Stop | None) -> Outcome:
    """The outcome of work that was stopped for this reason, or that is finished (None)."""
    if stop is None or stop.reason == "paused":
        return Outcome.COMPLETED
    out_of_time = stop.reason == "deadline" or stop.detail in _SIGNALS_TO_REQUEUE_AFTER
    return Outcome.OUT_OF_TIME if out_of_time else Outcome.STOPPED


def attempt_run(config: RunConfig, run_dir: RunDir, stop: StopRequest, submission: Submission) -> Outcome:
    """Train a run as a task of a submission; a failure is written into its directory.

    After `attempts_without_progress` attempts in a row that start at the same step the run has failed.
    """
    print(f"run {config.run_id}, process {os.getpid()} on {socket.gethostname()}")
    if run_dir.completed or read_progress(run_dir).has_paused(stop.pause_after):
        print(f"{config.run_id} is completed, or has paused")
        return Outcome.COMPLETED
    stop.end = process_deadline(config.runtime.time_limit_seconds)
    begin = cache(partial(_begin, run_dir, submission))  # once, whether before torch is imported or with the lock

    def begin_with_lock(attempt_dir: RunDir) -> None:
        begin()
        counted = attempt_dir.read(StartCount)
        if counted and counted.job != slurm_job():  # two tasks began at once, and this one has the run
            attempt_dir.write_record(counted.model_copy(update={"job": slurm_job()}))

    try:
        if not live_owner(run_dir.lock_file):  # count the attempt before importing torch, which may run out of memory
            begin()
        from sentiment.training.experiment import run_experiment

        reason = run_experiment(RunContext(config, run_dir.results, run_dir, stop, LOG_CONSOLE, begin_with_lock))
    except (TakenOverError, LockedError) as error:
        print(f"{error}; that process owns the run, which is skipped here")
        return Outcome.COMPLETED
    except Exception as error:  # of any kind: `status` shows it
        record_failure(run_dir, error, may_succeed_on_retry(error, submission.resources))
        traceback.print_exc()
        return Outcome.DISK_FULL if is_disk_full(error) else Outcome.FAILED
    print(f"{config.run_id} is completed" if reason is None else f"{config.run_id} saved and stopped: {reason.detail}")
    return outcome_of(reason)


def trained_by_another_task(run_dir: RunDir) -> bool:
    """Whether another task of this array is running, was the last to start this run, and has not recorded its end.

    The run's lock does not tell this where the file system does not pass locks between hosts (Lustre mounted with
    `localflock`, BeeGFS). If Slurm does not answer, the other task is believed to be running.
    """
    started = run_dir.read(StartCount)
    if started is None or started.job == slurm_job() or not in_same_array(started.job):
        return False
    failure = run_dir.read(Failure)
    if failure and failure.job == started.job:
        return False
    record = run_dir.read(RunRecord)
    if record and record.attempts[-1].job == started.job and record.attempts[-1].end:
        return False
    try:
        jobs = [job for job in slurm.read_queue() if job.address == started.job]
    except NoSlurmError:
        return False
    except SlurmError:
        return True
    return any(job.active and job.state != PENDING for job in jobs)


def _begin(run_dir: RunDir, submission: Submission) -> None:
    """Count the attempts in a row that started at the same step, and delete the record of the previous failure.

    They are counted anew when a person submits the run. Taking a run over from a task that still trains it is no
    further attempt: nothing has failed.
    """
    previous = run_dir.read(StartCount)
    step = steps_saved(run_dir)
    number = 1
    if previous and previous.step == step and (submission.retry or in_same_array(previous.job)):
        number = previous.number if trained_by_another_task(run_dir) else previous.number + 1
    max_attempts = submission.resources.attempts_without_progress
    if number > max_attempts:
        failure = run_dir.read(Failure)
        last_error = f"; the last one: {failure.summary}" if failure else ""
        raise NoProgressError(
            f"{max_attempts} attempts in a row ended without a saved step of progress: they were killed, or had too "
            f"little memory or time; increase memory or time and rerun{last_error}"
        )
    run_dir.path.mkdir(parents=True, exist_ok=True)
    run_dir.write_record(StartCount(step=step, number=number, job=slurm_job()))
    run_dir.failure_file.unlink(missing_ok=True)  # `run.json` keeps the reason


LOG_CONSOLE = Console(print, silent)
"""Prints lines for a log file, but no progress, which is in the metric log."""
