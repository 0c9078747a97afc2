"""The entry point of one task, which Slurm or the local runner starts.

    python -m jobs.tasks.task SUBMISSION_FOLDER [--inside | --requeue CODE | --parent PID]

--inside: the task runs in a container. --requeue CODE: called outside it, after the task has exited with CODE, to
requeue the task. --parent PID: started by the local runner, whose process id is PID. Nothing heavy is imported
before the signal handlers are installed: `import torch` takes seconds, in which signals may come. All state is on disk,
so that it does not matter how often, where and why a task is started.
"""

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.processes import leave_compiler_out, slurm_array_task, slurm_job, slurm_node, slurm_restarts
from sentiment.training.stop import Stop, StopRequest, process_deadline

if TYPE_CHECKING:
    from jobs.submissions import SubmissionDir
    from jobs.tasks.attempt import Outcome

# How long a task retries its requeue while slurmctld is down.
_REQUEUE_TIMEOUT_SECONDS = 1800.0
_POLL_SECONDS = 5.0
_LOG_RESERVE_BYTES = 512


class StopWithParent(StopRequest):
    """Also stops when the parent process is gone: the local runner for a task, the task for its children."""

    def __init__(self, end: float | None, parent: int) -> None:
        super().__init__(end)
        self._task = os.getpid()
        self._parent = parent

    def reason(self) -> Stop | None:
        expected_parent = self._parent if os.getpid() == self._task else self._task
        if os.getppid() != expected_parent:
            return Stop("signal", "SIGHUP")
        return super().reason()


def main(arguments: list[str]) -> int:
    """Run the task whose number is in SLURM_ARRAY_TASK_ID; the exit code is a `jobs.tasks.attempt.Outcome`.

    At the end the former signal handlers are restored, which ignore the signals as the sbatch script does, so that
    a completed run exits with 0 even if a signal comes while the interpreter shuts down.
    """
    option = arguments[1] if len(arguments) > 1 else ""
    value = arguments[2] if len(arguments) > 2 else ""
    end = process_deadline()
    with StopWithParent(end, int(value)) if option == "--parent" else StopRequest(end) as stop:
        from jobs.slurm import start_line
        from jobs.submissions import SubmissionDir
        from jobs.tasks.attempt import Outcome

        folder = SubmissionDir(Path(arguments[0]))
        number = 0 if option == "--parent" else slurm_array_task()
        if option == "--requeue":
            return requeue(folder, number, Outcome(int(value)))
        if option != "--parent":
            print(start_line(f"task {number} of {folder.name}", slurm_restarts(), slurm_node()))
        outcome = perform(folder, number, stop)
        if outcome not in (Outcome.OUT_OF_TIME, Outcome.RETRY_LATER):
            return outcome
        reason = stop.reason()
        is_over = end is not None and time.monotonic() >= end
        if reason and reason.detail == "SIGTERM" and not is_over:  # cancelled while it saved
            return Outcome.STOPPED
        return outcome if option else requeue(folder, number, outcome)


def perform(folder: "SubmissionDir", number: int, stop: StopRequest) -> "Outcome":
    """Run the task by its kind: it trains runs, prepares what runs need, or is the final job."""
    from jobs.tasks.attempt import Outcome

    if folder.is_cancelled:
        print("cancelled; submit again to resume")
        return Outcome.STOPPED
    if folder.submission.job_kind.trains_runs:
        from jobs.tasks.worker import Worker

        return Worker(folder, number, stop).run()
    if folder.submission.job_kind.final:
        from jobs.tasks.grid_end import end_grid

        return end_grid(folder, stop)
    return prepare(folder, number, stop)


def prepare(folder: "SubmissionDir", number: int, stop: StopRequest) -> "Outcome":
    """Run a data or cache job."""
    from jobs.tasks.attempt import LOG_CONSOLE, Outcome, is_disk_full, outcome_of

    folder.failure_file(number).unlink(missing_ok=True)
    try:
        configs = list(folder.read_configs().values())
        return outcome_of(folder.submission.job_kind.work(configs, folder.results, stop, LOG_CONSOLE))
    except Exception as error:  # of any kind: `status` shows it for all runs that depend on this job
        record_task_failure(folder, number, error)
        traceback.print_exc()
        return Outcome.DISK_FULL if is_disk_full(error) else Outcome.FAILED


def record_task_failure(folder: "SubmissionDir", number: int, error: Exception) -> None:
    """Record why a task failed that trains no runs, and whether a retry may succeed; a full disk has no room for it."""
    from jobs.tasks.attempt import failure_of, may_succeed_on_retry
    from sentiment.files import write_atomically
    from sentiment.runs.run_dir import sealed

    failure = failure_of(error, may_succeed_on_retry(error, folder.submission.resources))
    with contextlib.suppress(OSError):
        write_atomically(folder.failure_file(number), sealed(failure))


def check_progress(folder: "SubmissionDir", number: int) -> None:
    """Count the time limits that a preparation task has reached in a row without progress.

    Raises:
        NoProgressError: there were `attempts_without_progress` of them.
        RunDirError: the file with the count is damaged.
    """
    from sentiment.errors import NoProgressError
    from sentiment.files import write_atomically
    from sentiment.runs.records import StartCount
    from sentiment.runs.run_dir import read_record, sealed

    file = folder.progress_file(number)
    progress = folder.submission.job_kind.progress(folder.results)
    previous = read_record(file, StartCount)
    timeouts = previous.number + 1 if previous and progress <= previous.step else 0
    with contextlib.suppress(OSError):  # the task's next save will report a full disk
        write_atomically(file, sealed(StartCount(step=progress, number=timeouts, job=None)))
    if timeouts >= folder.submission.resources.attempts_without_progress:
        raise NoProgressError(
            f"it reached its time limit {timeouts} times in a row without progress: starting and saving take longer "
            "than the limit allows; increase time_minutes and rerun"
        )


def requeue(folder: "SubmissionDir", number: int, outcome: "Outcome") -> "Outcome":
    """Requeue the task, unless it was cancelled meanwhile or makes no progress."""
    from jobs.tasks.attempt import Outcome
    from sentiment.errors import SentimentError

    if folder.is_cancelled:
        return Outcome.STOPPED
    trains = folder.submission.job_kind.trains_runs
    try:
        if outcome is not Outcome.RETRY_LATER and not trains:
            check_progress(folder, number)  # training counts its attempts itself
        _requeue_when_possible(slurm_job() or "")
    except SentimentError as error:
        print(f"is not requeued: {error}")
        if not trains:  # `status` shows the last line of a training task's log
            record_task_failure(folder, number, error)
        return Outcome.FAILED
    print("requeued, to check again" if outcome is Outcome.RETRY_LATER else "saved, and requeued")
    return outcome


def _requeue_when_possible(job: str) -> None:
    """Requeue; retry while slurmctld is down, since nobody else would requeue the task."""
    from jobs import slurm
    from sentiment.errors import UnansweredError

    end = time.monotonic() + _REQUEUE_TIMEOUT_SECONDS
    while True:
        try:
            return slurm.requeue(job)
        except UnansweredError as error:
            if time.monotonic() > end:
                raise
            print(f"cannot requeue yet: {error}")
            time.sleep(_POLL_SECONDS)


def _main_or_disk_full(arguments: list[str]) -> int:
    """Run `main`; if the disk has no room even for the log, the exit code says so."""
    try:
        return main(arguments)
    except OSError as error:
        from jobs.tasks.attempt import Outcome, is_disk_full

        if not is_disk_full(error):
            raise
        with contextlib.suppress(OSError):  # shorten the log, so that Slurm can append the exit code
            os.ftruncate(1, max(0, os.fstat(1).st_size - _LOG_RESERVE_BYTES))
            os.write(1, b"\n")
        return Outcome.DISK_FULL


if __name__ == "__main__":
    leave_compiler_out()
    code = _main_or_disk_full(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # at once: a requeued task starts when this has ended, and with torch it would end slowly
