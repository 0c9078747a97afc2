"""What a grid that runs on this machine tells other commands, and what they tell it: files in its own folder."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jobs.policy import Queued
from sentiment.files import write_json
from sentiment.runs.attempts import ProcessLock, seems_held
from sentiment.runs.run_dir import Results
from sentiment.runs.state import PENDING, RUNNING


@dataclass(frozen=True)
class LocalQueue:
    """The folder `results/slurm/GRID/local` of a grid that runs, or ran, on this machine."""

    path: Path

    @classmethod
    def of(cls, results: Results, grid: str) -> "LocalQueue":
        """The folder of a grid; it need not exist."""
        return cls(results.slurm / grid / "local")

    @property
    def lock_file(self) -> Path:
        """Held by the process that runs the grid."""
        return self.path / "lock"

    def log_file(self, run_id: str) -> Path:
        """What a run's processes print."""
        return self.path / f"{run_id}.log"

    def hold(self) -> ProcessLock:
        """The lock that a process holds as long as it runs the grid.

        Raises (on entering):
            LockedError: another process runs it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        return ProcessLock(self.lock_file, "runs this grid")

    def write(self, running: Iterable[str], waiting: Iterable[str]) -> None:
        """Say which runs are running and which have still to start. The caller must hold the lock."""
        write_json(self._file, {"running": sorted(running), "waiting": sorted(waiting)})

    def read(self) -> dict[str, Queued]:
        """The runs that a live process has in its queue, and those that were cancelled, by run id."""
        queue: dict[str, list[str]] = {"running": [], "waiting": []}
        if seems_held(self.lock_file):
            with contextlib.suppress(FileNotFoundError):  # the process has not written its queue yet
                queue = json.loads(self._file.read_bytes())
        cancelled = self.cancelled()
        ended = {run_id: Queued(cancelled=True) for run_id in cancelled}
        waiting = Queued("waits", PENDING, "waits for its turn on this machine")
        waits = {run_id: waiting for run_id in queue["waiting"] if run_id not in cancelled}
        return ended | waits | {run_id: Queued("runs", RUNNING) for run_id in queue["running"]}

    def cancel(self, run_ids: Iterable[str]) -> None:
        """Ask the process that runs the grid to end runs."""
        for run_id in run_ids:
            self._cancelled.mkdir(parents=True, exist_ok=True)
            (self._cancelled / run_id).touch()

    def cancelled(self) -> set[str]:
        """Ids of the runs that were cancelled since they were last submitted."""
        return {path.name for path in self._cancelled.iterdir()} if self._cancelled.is_dir() else set()

    def forget_cancelled(self, run_ids: Iterable[str]) -> None:
        """These runs are submitted again, here or elsewhere."""
        for run_id in run_ids:
            (self._cancelled / run_id).unlink(missing_ok=True)

    @property
    def _file(self) -> Path:
        return self.path / "queue.json"

    @property
    def _cancelled(self) -> Path:
        """An empty file for each run, so that several commands can add to them at once."""
        return self.path / "cancelled"
