"""The launcher that runs a grid on this machine, while the command waits."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jobs.code_choice import WantedRun
from jobs.later_rungs import LaterRungs
from jobs.local.queue import LocalQueue
from jobs.local.running_grid import RunningGrid
from jobs.slurm.grid_jobs import GridJobs, read_jobs
from jobs.slurm.resources import read_cluster
from jobs.status.grid_status import RunStatus, describe_held
from jobs.tasks.attempt import Outcome
from sentiment.console import Console
from sentiment.records import GridPlan
from sentiment.run_dir import Results
from sentiment.training.stop import StopRequest, end_of_time


@dataclass
class LocalLauncher:
    """Runs a grid on this machine (see `jobs.launcher.Launcher`).

    Args:
        at_once: how many runs at a time; None takes one for each GPU, or one.
        stop: a signal, or the end of a Slurm job that this command is part of.
        notify: as for `RunningGrid`.
    """

    results: Results
    plan: GridPlan
    at_once: int | None
    stop: StopRequest
    console: Console
    notify: Sequence[str]
    _accepted: list[WantedRun] = field(default_factory=list, init=False)
    _later: LaterRungs | None = field(default=None, init=False)

    def read_jobs(self) -> GridJobs:
        """The grid's jobs in Slurm, where there is one; what waits or runs there is left to it."""
        (jobs,) = read_jobs(self.results, [self.plan.name])
        return jobs

    def submit(self, runs: Sequence[WantedRun], later: LaterRungs | None = None) -> None:
        """Put runs into the queue; `wait` runs them, and then those of the later rungs."""
        self._accepted, self._later = list(runs), later
        if later and (elsewhere := [run for run in later.candidates if run.row.active]):
            self.console.say(f"{len(elsewhere)} trials of this rung are in Slurm's queue, where the next rungs follow")
            self._later = None
        self.console.say(f"{len(runs)} of {len(self.plan.runs)} runs to do" if runs or self._later else "nothing to do")
        queue = LocalQueue.of(self.results, self.plan.name)
        run_ids = {run.config.run_id for run in (*runs, *(self._later.candidates if self._later else ()))}
        queue.forget_cancelled(run_ids)
        queue.write((), run_ids)

    def release(self, rows: Sequence[RunStatus]) -> None:
        """Nothing is held here, and what Slurm holds is left to it."""
        for line in describe_held(self.plan.name, rows):
            self.console.say(line)

    def wait(self) -> Outcome:
        """Run what was accepted, until all has ended."""
        if not self._accepted and not self._later:
            return Outcome.COMPLETED
        gpus = gpus_here()
        lanes = self.at_once or max(len(gpus), 1)
        grid = RunningGrid(self.results, self.plan, lanes, gpus, self.console, self.notify, self._later)
        return grid.run(self._accepted, self.stop)


@contextmanager
def local_launcher(
    results: Results, plan: GridPlan, at_once: int | None, cluster: Path, console: Console
) -> Iterator[LocalLauncher]:
    """A launcher that is the only one to run this grid on this machine, and heeds signals.

    Args:
        cluster: the file that says whom to notify; it need not exist.

    Raises:
        ConfigError: the file is invalid.
        LockedError: another process runs this grid.
    """
    notify = read_cluster(cluster).notify if cluster.is_file() else ()
    with StopRequest(end_of_time(None, time.time())) as stop:
        launcher = LocalLauncher(results, plan, at_once, stop, console, notify)
        queue = LocalQueue.of(results, plan.name)
        with queue.hold():
            queue.write((), ())
            yield launcher


def gpus_here() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; found out without loading torch."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu and gpu != "-1"]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []
