"""One run of a grid in a process of its own, on this machine; started by jobs.local.

    python -m jobs.tasks.local_task RUN_DIR SLOT/SLOTS PARENT

As in jobs.tasks.slurm_task the signal handlers stand before anything heavy is imported.
"""

import os
import sys
from pathlib import Path

from sentiment.training.stop import Stop, StopRequest


class _WhileParentLives(StopRequest):
    """A run whose starter is gone saves and stops, so that the same command can go on with it."""

    def __init__(self, parent: int) -> None:
        super().__init__()
        self._parent = parent

    def reason(self) -> Stop | None:
        """A signal, the deadline, or that nobody waits any more."""
        orphan = Stop("signal", "SIGHUP") if os.getppid() != self._parent else None
        return super().reason() or orphan


def main(arguments: list[str]) -> int:
    """Train the run; the exit code is that of jobs.tasks.attempt.Outcome."""
    with _WhileParentLives(int(arguments[2])) as stop:
        from jobs.tasks.attempt import attempt_run
        from jobs.tasks.parallel import core_shares
        from sentiment.run_dir import RunDir

        run_dir = RunDir(Path(arguments[0]))
        slot, slots = map(int, arguments[1].split("/"))
        os.sched_setaffinity(0, core_shares(slots)[slot])
        return attempt_run(run_dir.read_config(), run_dir.results, run_dir.path.parent.name, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
