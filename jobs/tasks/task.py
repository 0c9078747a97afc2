"""The program that Slurm or a local grid starts: one task, which works until it is done or its time is over.

    python -m jobs.tasks.task SUBMISSION_FOLDER [--inside | --requeue CODE | --here PARENT]

With `--inside` it runs in a container, with `--requeue` outside of it afterwards, and with `--here` for a command on
this machine. Nothing heavy is imported before the signal handlers stand: `import torch` takes seconds in which signals
may come. All state is on disk, so that it does not matter how often, where and why a task is started.
"""

import contextlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.processes import slurm_array_task, slurm_job, slurm_node, slurm_restarts
from sentiment.training.stop import Stop, StopRequest, process_deadline

if TYPE_CHECKING:
    from jobs.submissions import SubmissionDir
    from jobs.tasks.attempt import Outcome

# How long a task that wants to be requeued waits for a slurmctld that is away, for an update say.
_ABSENCE_SECONDS = 1800.0
_POLL_SECONDS = 5.0
_LAST_WORD_BYTES = 512


class WhileParentsLive(StopRequest):
    """Stops a task as well when the process that started it is gone, and its children when it is gone itself."""

    def __init__(self, end: float | None, parent: int) -> None:
        super().__init__(end)
        self._task, self._parent = os.getpid(), parent

    def reason(self) -> Stop | None:
        if os.getppid() != (self._parent if os.getpid() == self._task else self._task):
            return Stop("signal", "SIGHUP")
        return super().reason()


def main(arguments: list[str]) -> int:
    """Perform the task that Slurm names; the exit code is a `jobs.tasks.attempt.Outcome`.

    On leaving, the former handlers are restored: the command in the sbatch file ignores the signals, so that a
    completed run ends with 0 even if one comes while the interpreter shuts down.
    """
    end, (option, value) = process_deadline(None, time.time()), (*arguments[1:], "", "")[:2]
    with WhileParentsLive(end, int(value)) if option == "--here" else StopRequest(end) as stop:
        from jobs.slurm.endings import task_begins
        from jobs.submissions import SubmissionDir
        from jobs.tasks.attempt import Outcome

        folder = SubmissionDir(Path(arguments[0]))
        number = 0 if option == "--here" else slurm_array_task()
        if option == "--requeue":
            return requeue(folder, number, Outcome(int(value)))
        if option != "--here":
            print(task_begins(f"task {number} of {folder.submission.name}", slurm_restarts(), slurm_node()))
        outcome = perform(folder, number, stop)
        again = outcome in (Outcome.OUT_OF_TIME, Outcome.LOOK_AGAIN)
        return requeue(folder, number, outcome) if again and not option else outcome


def perform(folder: "SubmissionDir", number: int, stop: StopRequest) -> "Outcome":
    """Do what a task of this kind does."""
    from jobs.tasks.attempt import Outcome

    if folder.is_cancelled:
        print("was cancelled: it goes on when it is submitted again")
        return Outcome.STOPPED
    if folder.submission.job_kind.trains_runs:
        from jobs.tasks.worker import Worker

        return Worker(folder, number, stop).work()
    if folder.submission.job_kind.final:
        from jobs.tasks.grid_end import end_grid

        return end_grid(folder, stop)
    return serve(folder, number, stop)


def serve(folder: "SubmissionDir", number: int, stop: StopRequest) -> "Outcome":
    """Do work that runs wait for."""
    from jobs.tasks.attempt import PLAIN, Outcome, is_disk_full, outcome_of

    folder.failure_file(number).unlink(missing_ok=True)
    try:
        configs = list(folder.configs.values())
        return outcome_of(folder.submission.job_kind.work(configs, folder.results, stop, PLAIN))
    except Exception as error:  # of any kind: all runs that wait show it
        record_failure_of(folder, number, error)
        traceback.print_exc()
        return Outcome.DISK_FULL if is_disk_full(error) else Outcome.FAILED


def record_failure_of(folder: "SubmissionDir", number: int, error: Exception) -> None:
    from jobs.tasks.attempt import describe
    from sentiment.files import write_json

    with contextlib.suppress(OSError):
        write_json(folder.failure_file(number), describe(error).model_dump(mode="json"))


def insist_on_progress(folder: "SubmissionDir", number: int) -> None:
    """Count how often in a row the time of a task without runs ended without progress, and raise if too often."""
    from jobs.tasks.attempt import NoProgressError
    from sentiment.files import write_json

    file, done = folder.progress_file(number), folder.submission.job_kind.progress(folder.results)
    former = json.loads(file.read_bytes()) if file.exists() else {"done": -1, "cuts": 0}
    cuts = 0 if done > former["done"] else former["cuts"] + 1
    with contextlib.suppress(OSError):  # a full disk shows when the task saves
        write_json(file, {"done": done, "cuts": cuts})
    if cuts >= folder.submission.resources.attempts_without_progress:
        raise NoProgressError(
            f"its time ended {cuts} times in a row without progress: starting and saving take longer than the time "
            "limit leaves; rerun with more time"
        )


def requeue(folder: "SubmissionDir", number: int, outcome: "Outcome") -> "Outcome":
    """Let the queue start the task again, unless it was cancelled meanwhile or makes no progress."""
    from jobs.tasks.attempt import Outcome
    from sentiment.errors import SentimentError

    if folder.is_cancelled:
        return Outcome.STOPPED
    trains = folder.submission.job_kind.trains_runs
    try:
        if outcome is not Outcome.LOOK_AGAIN and not trains:
            insist_on_progress(folder, number)  # training counts its tries itself
        _requeue_when_possible(slurm_job() or "")
    except SentimentError as error:
        print(f"is not requeued: {error}")
        if not trains:  # of a run the end of the log says it
            record_failure_of(folder, number, error)
        return Outcome.FAILED
    print("requeued, to look again" if outcome is Outcome.LOOK_AGAIN else "saved, and requeued")
    return outcome


def _requeue_when_possible(job: str) -> None:
    """Requeue, and wait for a slurmctld that is away: all is saved, and nobody else would requeue the task."""
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
