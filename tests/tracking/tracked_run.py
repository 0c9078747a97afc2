"""A run that is copied to W&B: its messages, wandb's files, its upload, and the processes that copy it."""

import contextlib
import json
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentiment.config_file import dotted
from sentiment.runs.records import EpochRow
from sentiment.runs.run_dir import RunDir
from sentiment.training.tracking import mirror_to_wandb
from tests.limits import limit, wait_for
from tests.processes import Forked, start_python
from tests.small_runs import Experiment
from tests.tracking.server import without_clock

GRID = "colours"
PATIENCE_SECONDS = limit(60)


@dataclass
class TrackedRun(Experiment):
    @property
    def told(self) -> list[str]:
        return [line for line in self.said if line.startswith("W&B: ")]

    @property
    def rows(self) -> list[dict[str, Any]]:
        names = self.config.data.label_names
        rows = []
        for number, row in enumerate(self.run_dir.read_metrics()):
            values = row.model_dump()
            if isinstance(row, EpochRow):
                values |= {part: metrics.named(names) for part, metrics in row.metrics.items()}
            rows.append(dotted(values, "/") | {"_step": number})
        return rows

    @property
    def offline_files(self) -> list[Path]:
        """wandb's files, one for each attempt, the newest last."""
        return sorted(self.run_dir.wandb_dir.glob("offline-run-*/run-*.wandb"), key=lambda file: file.parent.name)

    @property
    def offline_rows(self) -> list[dict[str, Any]]:
        """All rows in the newest attempt's file, as wandb's own tool reads them."""
        return without_clock([row for file in self.offline_files[-1:] for row in _history(file)])

    @property
    def copying_processes(self) -> list[int]:
        return copying_processes(self.run_dir.path)

    def sync(self, *arguments: str) -> tuple[int, str]:
        with self.start_sync(*arguments) as command:
            output, _ = command.communicate()
        return command.returncode, output

    def start_sync(self, *arguments: str) -> Forked:
        return start_python("-m", "jobs", "sync", "--results", self.run_dir.results.root, *arguments)


@dataclass
class ReplayedRun(TrackedRun):
    """Rows of a run that was really trained appear in its log when the test says so."""

    lines: list[str] = field(default_factory=list)

    def log(self, rows: int) -> None:
        """Give the log this many rows; fewer than before, if it resumes from a checkpoint."""
        self.run_dir.metrics_file.write_text("".join(self.lines[:rows]))

    def mirror_to_wandb(self) -> AbstractContextManager[None]:
        return mirror_to_wandb(self.run_dir, self.config.tracking, self.said.append)

    def complete_like(self, trained: RunDir) -> None:
        for name in ("predictions_file", "result_file"):
            shutil.copy(getattr(trained, name), getattr(self.run_dir, name))

    def wait_for_copy(self, number: int) -> None:
        wait_for(lambda: sum(b"loss" in one.read_bytes() for one in self.offline_files) == number, "rows in files")


def copying_processes(place: Path) -> list[int]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may end meanwhile
            if b"sentiment.training.tracking" in (command := file.read_bytes()) and str(place).encode() in command:
                found.append(int(file.parent.name))
    return found


def wandb_service(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (service,) = [child for child in children if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return int(service)


def _history(file: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", str(file), "--json"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return [record["history"]["item"] for record in map(json.loads, lines) if record["type"] == "history"]
