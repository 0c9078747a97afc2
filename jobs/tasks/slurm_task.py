"""The program that Slurm starts: one task of an array, which works until it is done or its time is over.

    python -m jobs.tasks.slurm_task SUBMISSION_FOLDER [--inside]

Nothing heavy is imported before the signal handlers stand: `import torch` takes seconds in which signals may come.
All state is on disk, so that it does not matter how often, where and why Slurm starts a task.
"""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.processes import slurm_array_task, slurm_node, slurm_restarts
from sentiment.training.stop import StopRequest, end_of_time

if TYPE_CHECKING:
    from jobs.tasks.array_task import ArrayTask


def main(arguments: list[str]) -> int:
    """Perform the task that Slurm names; the exit code is a `jobs.tasks.attempt.Outcome`.

    On leaving, the former handlers are restored: the command in the sbatch file ignores the signals, so that a
    completed run ends with 0 even if one comes while the interpreter shuts down.
    """
    with StopRequest(end_of_time(None, time.time())) as stop:
        from jobs.slurm.task_state import task_begins
        from jobs.tasks.array_task import ArrayTask

        task = ArrayTask.read(Path(arguments[0]), slurm_array_task())
        if arguments[1:]:  # in a container: whoever started it requeues the task
            return task.perform_here(stop)
        print(task_begins(task.title, slurm_restarts(), slurm_node()))
        return perform(task, stop)


def perform(task: "ArrayTask", stop: StopRequest) -> int:
    """Perform a task, and let Slurm start it again if that is of use; its `jobs.tasks.attempt.Outcome`."""
    from jobs.tasks.attempt import Outcome

    if task.cancelled:
        print("was cancelled: it goes on when it is submitted again")
        return Outcome.STOPPED
    if task.ends_grid:
        from jobs.tasks.next_part import submit_next_part

        outcome = submit_next_part(task.folder, print)
    else:
        outcome = None
    outcome = task.perform(stop) if outcome is None else outcome
    return task.requeue(outcome) if outcome in (Outcome.OUT_OF_TIME, Outcome.LOOK_AGAIN) else outcome


def _survive_full_disk(arguments: list[str]) -> int:
    """The same; where the disk has no room even for the log, the exit code alone can say so."""
    try:
        return main(arguments)
    except OSError as error:
        from jobs.tasks.attempt import Outcome, is_disk_full

        if not is_disk_full(error):
            raise
        return Outcome.DISK_FULL


if __name__ == "__main__":
    code = _survive_full_disk(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # at once: Slurm waits for a requeued task, and the interpreter with torch takes its time to end
