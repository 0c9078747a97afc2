"""A run of which only the log is real, and the process that copies it: what a life of it leaves appears at once."""

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sentiment.run_dir import RunDir
from sentiment.tracking.mirror import mirrored
from tests.tracking.tracked_run import TrackedRun, wait_until


@dataclass
class Life(TrackedRun):
    """Its rows are those of a run that was really trained, and appear when the test says so."""

    lines: list[str] = field(default_factory=list)

    def log(self, rows: int) -> None:
        """The log has this many rows now; fewer than before is what going on from a checkpoint does."""
        self.run_dir.metrics_file.write_text("".join(self.lines[:rows]))

    def redo_with_other_digits(self, first: int) -> None:
        """Rows from this one on are computed again, on hardware that adds up in another order."""
        self.lines[first:] = [line.replace('"loss": 0.', '"loss": 0.9') for line in self.lines[first:]]

    def mirrored(self) -> AbstractContextManager[None]:
        """The time in which training would copy it."""
        return mirrored(self.run_dir, self.config.tracking, self.said.append)

    def complete_like(self, trained: RunDir) -> None:
        """The last things that training writes."""
        for name in ("predictions_file", "result_file"):
            shutil.copy(getattr(trained, name), getattr(self.run_dir, name))

    def wait_for_copy(self, number: int) -> None:
        """Until the first rows stand in so many files."""
        wait_until(lambda: sum(b"loss" in file.read_bytes() for file in self.offline_files) == number)

    @property
    def copying_process(self) -> int:
        """The one that copies at this moment."""
        (pid,) = self.copying_processes
        return pid
