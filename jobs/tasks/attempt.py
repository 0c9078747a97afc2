"""One attempt of one run of a grid, from its newest checkpoint until it is completed, stopped or fails; failures."""

import contextlib
import errno
import os
import socket
import time
import traceback
from enum import IntEnum
from functools import cache, partial

from jobs.services import steps_saved
from jobs.slurm.endings import DISK_FULL_EXIT_CODE, ROOM_ADVICE
from sentiment.config import RunConfig
from sentiment.console import Console, silent
from sentiment.errors import LockedError, MemoryExhaustedError, SentimentError, SlurmError, TakenOverError
from sentiment.processes import slurm_job
from sentiment.runs.locks import live_owner
from sentiment.runs.records import Failure, Tries, timestamp
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import read_progress
from sentiment.training.stop import RunContext, Stop, StopRequest, process_deadline


class NoProgressError(SentimentError):
    """A run was begun again and again at the same step."""


class KilledError(SentimentError):
    """A run's process was killed."""


class CrashedError(SentimentError):
    """A run's process ended by another signal."""


def describe(error: BaseException) -> Failure:
    reason = " ".join(str(error).split()) or type(error).__name__
    return Failure(
        job=slurm_job(),
        time=timestamp(),
        error=type(error).__name__,
        reason=f"{reason}; {ROOM_ADVICE}" if is_disk_full(error) else reason,
        traceback="".join(traceback.format_exception(error)),
    )


def record_failure(run_dir: RunDir, error: BaseException) -> None:
    """Write the failure down; a disk that refuses even this is ignored: the traceback is in the log as well."""
    with contextlib.suppress(OSError):
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write_record(describe(error))


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error came, at first or second hand, of a disk or quota without room for bytes or files."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return error is not None and is_disk_full(error.__cause__ or error.__context__)


# What an attempt may lack and another one may have: memory, disk, an answer of a file system or of the queue. All other
# errors are the run's own: it would meet them again.
_LACKING = (OSError, MemoryError, MemoryExhaustedError, SlurmError)

# USR1 and USR2 announce the end of the time, or a preemption after which nobody else would start the run again.
# TERM comes from the queue: after a preemption it requeues the job itself, and after a cancellation nobody should.
_SIGNALS_TO_REQUEUE_AFTER = ("SIGUSR1", "SIGUSR2")


class Outcome(IntEnum):
    """How an attempt ended; the value is its process's exit code."""

    # Nothing is left to do: the run is completed or at the end of its rung, or left to the process that trains it.
    COMPLETED = 0
    FAILED = 1
    # Everything is saved; whoever stopped it decides whether it goes on.
    STOPPED = 3
    # Everything is saved; it goes on as soon as it is started again.
    OUT_OF_TIME = 4
    # It is to be started again, to look again: a process trains the run that the queue believes to be dead and may
    # die, or what follows a grid waits for room in the queue.
    LOOK_AGAIN = 5
    # It failed for want of room on the disk, where nothing could be written down about it.
    DISK_FULL = DISK_FULL_EXIT_CODE


def outcome_of(stop: Stop | None) -> Outcome:
    """The outcome of work that ended for a reason to stop, or was done (None)."""
    if stop is None or stop.reason == "paused":
        return Outcome.COMPLETED
    on_time = stop.reason == "deadline" or stop.detail in _SIGNALS_TO_REQUEUE_AFTER
    return Outcome.OUT_OF_TIME if on_time else Outcome.STOPPED


def attempt_run(config: RunConfig, run_dir: RunDir, stop: StopRequest, tries: int = 3) -> Outcome:
    """Train a run; a failure is written into its directory.

    An attempt that is killed, or runs out of time, memory or disk, leaves `tries.json` behind: the run has not ended,
    and whoever finds that may begin it again.

    Args:
        tries: so often in a row it may be begun at the same step; then it has failed by itself.
    """
    print(f"run {config.run_id}, process {os.getpid()} on {socket.gethostname()}")
    if run_dir.completed or read_progress(run_dir).has_paused(stop.epochs):
        print(f"{config.run_id} is completed, or at the end of its rung")
        return Outcome.COMPLETED
    stop.end = process_deadline(config.runtime.time_limit_seconds, time.time())
    begin = cache(partial(_begin, run_dir, tries))
    try:
        if not live_owner(run_dir.lock_file):  # before torch is loaded, for which memory may be short already
            begin()
        from sentiment.training.experiment import run_experiment

        reason = run_experiment(RunContext(config, run_dir.results, run_dir, stop, PLAIN, begin))
    except (TakenOverError, LockedError) as error:
        print(f"{error}; the run is left to it")
        return Outcome.COMPLETED
    except Exception as error:  # of any kind: later commands show it
        record_failure(run_dir, error)
        if not isinstance(error, _LACKING) and not is_disk_full(error):
            run_dir.tries_file.unlink(missing_ok=True)
        traceback.print_exc()
        return Outcome.DISK_FULL if is_disk_full(error) else Outcome.FAILED
    if (outcome := outcome_of(reason)) is not Outcome.OUT_OF_TIME:
        run_dir.tries_file.unlink(missing_ok=True)
    print(f"{config.run_id} is completed" if reason is None else f"{config.run_id} saved and stopped: {reason.detail}")
    return outcome


def announce(run_dir: RunDir) -> None:
    """Note that a process will begin a run: if that is killed before it can count, the run has not ended."""
    if not run_dir.tries_file.exists():
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write_record(Tries(step=0, number=0, job=None))


def _begin(run_dir: RunDir, tries: int) -> None:
    """Count the attempts in a row that began at the same step, and forget how the last one failed."""
    former, step = run_dir.read(Tries), steps_saved(run_dir)
    number = former.number + 1 if former and former.step == step else 1
    if number > tries:
        failure = run_dir.read(Failure)
        how = f"; the last one: {failure.error}: {failure.reason}" if failure else ""
        raise NoProgressError(
            f"{tries} attempts in a row ended without a saved step of progress: they were killed, or had too little "
            f"memory or time; rerun with more of it{how}"
        )
    run_dir.path.mkdir(parents=True, exist_ok=True)
    try:
        run_dir.write_record(Tries(step=step, number=number, job=slurm_job()))
    except OSError:  # on a full disk: what cannot be counted is not tried again
        run_dir.tries_file.unlink(missing_ok=True)
        raise
    run_dir.failure_file.unlink(missing_ok=True)  # `run.json` keeps the reason


PLAIN = Console(print, silent)
"""Prints lines for a log file, and no progress, which is in the metric log."""
