"""The program that a local grid starts for each of its runs.

    python -m jobs.tasks.local_task RUN_DIR LANE/LANES PARENT [EPOCHS]

With EPOCHS the run pauses after so many, where a rung of its search ends.

As in jobs.tasks.slurm_task, the signal handlers are set before anything heavy is imported.
"""

import os
import sys
from pathlib import Path

from sentiment.training.stop import Stop, StopRequest


class _WhileParentLives(StopRequest):
    """Stops a run as well when the process that started it is gone, so that the same command can go on with it."""

    def __init__(self, parent: int) -> None:
        super().__init__()
        self._parent = parent

    def reason(self) -> Stop | None:
        """A signal, the deadline, or the end of the parent process."""
        orphan = Stop("signal", "SIGHUP") if os.getppid() != self._parent else None
        return super().reason() or orphan


def main(arguments: list[str]) -> int:
    """Train the run; the exit code is a `jobs.tasks.attempt.Outcome`."""
    with _WhileParentLives(int(arguments[2])) as stop:
        from jobs.tasks.attempt import attempt_run
        from jobs.tasks.worker import core_shares
        from sentiment.runs.run_dir import RunDir

        run_dir = RunDir(Path(arguments[0]))
        lane, lanes = map(int, arguments[1].split("/"))
        stop.epochs = int(arguments[3]) if arguments[3:] else None
        os.sched_setaffinity(0, core_shares(lanes)[lane])
        return attempt_run(run_dir.read_config(), run_dir.results, run_dir.path.parent.name, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
