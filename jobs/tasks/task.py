"""The program that Slurm or a local grid starts: one task, which works until it is done or its time is over.

    python -m jobs.tasks.task SUBMISSION_FOLDER [--inside | --requeue CODE | --here PARENT]

With `--inside` it runs in a container, with `--requeue` outside of it afterwards, and with `--here` for a command on
this machine. Nothing heavy is imported before the signal handlers stand: `import torch` takes seconds in which signals
may come. All state is on disk, so that it does not matter how often, where and why a task is started.
"""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.processes import slurm_array_task, slurm_job, slurm_node, slurm_restarts
from sentiment.training.stop import Stop, StopRequest, end_of_time

if TYPE_CHECKING:
    from jobs.slurm.submissions import SubmissionDir
    from jobs.tasks.attempt import Outcome

# How long a task that wants to be requeued waits for a slurmctld that is away, for an update say.
_ABSENCE_SECONDS = 1800.0
_POLL_SECONDS = 5.0
_LAST_WORD_BYTES = 512


class WhileParentsLive(StopRequest):
    """Stops a task as well when the process that started it is gone, and its children when it is gone itself."""

    def __init__(self, end: float | None, parent: int) -> None:
        super().__init__(end)
        self._parents = {os.getpid(): parent}

    def reason(self) -> Stop | None:
        """A signal, the deadline, or the end of the parent process."""
        if os.getppid() != self._parents.setdefault(os.getpid(), os.getppid()):
            return Stop("signal", "SIGHUP")
        return super().reason()


def main(arguments: list[str]) -> int:
    """Perform the task that Slurm names; the exit code is a `jobs.tasks.attempt.Outcome`.

    On leaving, the former handlers are restored: the command in the sbatch file ignores the signals, so that a
    completed run ends with 0 even if one comes while the interpreter shuts down.
    """
    end, (option, value) = end_of_time(None, time.time()), (*arguments[1:], "", "")[:2]
    with WhileParentsLive(end, int(value)) if option == "--here" else StopRequest(end) as stop:
        from jobs.slurm.grid_jobs import task_begins
        from jobs.slurm.submissions import SubmissionDir
        from jobs.tasks.attempt import Outcome

        folder = SubmissionDir(Path(arguments[0]))
        number = 0 if option == "--here" else slurm_array_task()
        if option == "--requeue":
            return requeue(folder, number, Outcome(int(value)))
        if option != "--here":
            print(task_begins(f"task {number} of {folder.submission.name}", slurm_restarts(), slurm_node()))
        if number in folder.cancelled:
            print("was cancelled: it goes on when it is submitted again")
            return Outcome.STOPPED
        outcome = perform(folder, number, stop)
        again = outcome in (Outcome.OUT_OF_TIME, Outcome.LOOK_AGAIN)
        return requeue(folder, number, outcome) if again and not option else outcome


def perform(folder: "SubmissionDir", number: int, stop: StopRequest) -> "Outcome":
    """Do what a task of this kind does."""
    kind = folder.submission.job_kind
    if kind.trains_runs:
        from jobs.tasks.worker import Worker

        return Worker(folder, number).work(stop)
    if kind.final:
        from jobs.tasks.services import end_grid

        return end_grid(folder, stop)
    from jobs.tasks.services import serve

    return serve(folder, number, stop)


def requeue(folder: "SubmissionDir", number: int, outcome: "Outcome") -> "Outcome":
    """Let Slurm start the task again, unless it was cancelled meanwhile or makes no progress.

    Args:
        outcome: why; a task that is only to look again need not make any.
    """
    from jobs.tasks.attempt import Outcome
    from jobs.tasks.services import insist_on_progress, record_failure_of
    from sentiment.errors import SentimentError

    if number in folder.cancelled:
        return Outcome.STOPPED
    try:
        if outcome is not Outcome.LOOK_AGAIN and not folder.submission.job_kind.trains_runs:
            insist_on_progress(folder, number)  # training counts its tries itself
        _requeue_when_possible(slurm_job() or "")
    except SentimentError as error:
        print(f"is not requeued: {error}")
        record_failure_of(folder, number, error)
        return Outcome.FAILED
    print("requeued, to look again" if outcome is Outcome.LOOK_AGAIN else "saved, and requeued")
    return outcome


def _requeue_when_possible(job: str) -> None:
    """Requeue, and wait for a slurmctld that is away: all is saved, and nobody else would requeue the task.

    Raises:
        SlurmError: Slurm refuses, or stays away.
    """
    from jobs.slurm.commands import requeue as ask
    from sentiment.errors import UnansweredError

    end = time.monotonic() + _ABSENCE_SECONDS
    while True:
        try:
            return ask(job)
        except UnansweredError as error:
            if time.monotonic() > end:
                raise
            print(f"waits to be requeued: {error}")
            time.sleep(_POLL_SECONDS)


def _survive_full_disk(arguments: list[str]) -> int:
    """The same; where the disk has no room even for the log, the exit code alone can say so."""
    try:
        return main(arguments)
    except OSError as error:
        from jobs.tasks.attempt import Outcome, is_disk_full

        if not is_disk_full(error):
            raise
        with contextlib.suppress(OSError):  # the end of the log makes room for Slurm's word on the exit code
            os.ftruncate(1, max(0, os.fstat(1).st_size - _LAST_WORD_BYTES))
            os.write(1, b"\n")
        return Outcome.DISK_FULL


if __name__ == "__main__":
    code = _survive_full_disk(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # at once: Slurm waits for a requeued task, and the interpreter with torch takes its time to end
