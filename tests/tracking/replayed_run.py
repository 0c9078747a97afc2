"""A run whose training is replayed: the test writes rows of a real log, and the real process copies them to W&B."""

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sentiment.runs.run_dir import RunDir
from sentiment.tracking.mirror import mirrored
from tests.tracking.tracked_run import TrackedRun, wait_until


@dataclass
class ReplayedRun(TrackedRun):
    """Rows of a run that was really trained appear in its log when the test says so."""

    lines: list[str] = field(default_factory=list)

    def log(self, rows: int) -> None:
        """Give the log this many rows; fewer than before, if it resumes from a checkpoint."""
        self.run_dir.metrics_file.write_text("".join(self.lines[:rows]))

    def mirrored(self) -> AbstractContextManager[None]:
        """The context in which training copies its log."""
        return mirrored(self.run_dir, self.config.tracking, self.said.append)

    def complete_like(self, trained: RunDir) -> None:
        """Write what training writes last."""
        for name in ("predictions_file", "result_file"):
            shutil.copy(getattr(trained, name), getattr(self.run_dir, name))

    def wait_for_copy(self, number: int) -> None:
        """Wait until so many of wandb's files hold rows."""
        wait_until(lambda: sum(b"loss" in file.read_bytes() for file in self.offline_files) == number)

    @property
    def copying_process(self) -> int:
        """The id of the process that copies it now."""
        (pid,) = self.copying_processes
        return pid
