"""What Slurm starts: one task of an array. It trains its runs until they are completed or its time is over.

    python -m jobs.task SUBMISSION_FOLDER

Nothing heavy is imported before the signal handlers stand: `import torch` takes seconds in which signals may come.
All state is on disk, so that it does not matter how often, where and why Slurm starts a task.
"""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.training.stop import StopRequest, end_of_time

if TYPE_CHECKING:
    from jobs.assignment import Assignment


def main(arguments: list[str]) -> int:
    """Perform the task that Slurm names; the exit code is that of jobs.attempt.Outcome.

    On leaving, former handlers are put back: the command in the sbatch file has the signals ignored, so that a
    completed run ends with 0 whatever comes while the interpreter shuts down.
    """
    with StopRequest(end_of_time(None, time.time())) as stop:
        from jobs.assignment import Assignment

        assignment = Assignment.read(Path(arguments[0]), int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")))
        print(f"{assignment.title}, start {_starts()} on {os.environ.get('SLURMD_NODENAME', 'this machine')}")
        return _perform(assignment, stop)


def _perform(assignment: "Assignment", stop: StopRequest) -> int:
    from jobs.attempt import Outcome

    if assignment.cancelled:
        print("was cancelled: goes on when it is submitted again")
        return Outcome.STOPPED
    outcome = assignment.perform(stop)
    return assignment.requeue() if outcome is Outcome.OUT_OF_TIME else outcome


def _starts() -> int:
    """How often Slurm has started this task, this time included."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0")) + 1


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: Slurm waits for a requeued task, and the interpreter with torch takes its time to end
