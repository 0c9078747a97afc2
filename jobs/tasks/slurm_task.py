"""What Slurm starts: one task of an array. It trains its runs until they are completed or its time is over.

    python -m jobs.tasks.slurm_task SUBMISSION_FOLDER

Nothing heavy is imported before the signal handlers stand: `import torch` takes seconds in which signals may come.
All state is on disk, so that it does not matter how often, where and why Slurm starts a task.
"""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.allocation import slurm_array_task, slurm_node, slurm_restarts
from sentiment.training.stop import StopRequest, end_of_time

if TYPE_CHECKING:
    from jobs.tasks.array_task import ArrayTask


def main(arguments: list[str]) -> int:
    """Perform the task that Slurm names; the exit code is that of jobs.tasks.attempt.Outcome.

    On leaving, former handlers are put back: the command in the sbatch file has the signals ignored, so that a
    completed run ends with 0 whatever comes while the interpreter shuts down.
    """
    with StopRequest(end_of_time(None, time.time())) as stop:
        from jobs.tasks.array_task import ArrayTask

        assignment = ArrayTask.read(Path(arguments[0]), slurm_array_task())
        print(f"{assignment.title}, start {slurm_restarts() + 1} on {slurm_node() or 'this machine'}")
        return _perform(assignment, stop)


def _perform(assignment: "ArrayTask", stop: StopRequest) -> int:
    from jobs.tasks.attempt import Outcome

    if assignment.cancelled:
        print("was cancelled: goes on when it is submitted again")
        return Outcome.STOPPED
    outcome = assignment.perform(stop)
    return assignment.requeue() if outcome is Outcome.OUT_OF_TIME else outcome


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: Slurm waits for a requeued task, and the interpreter with torch takes its time to end
