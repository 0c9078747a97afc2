"""Uploads runs to Weights & Biases (W&B) from a machine with a network: what is new, one run after another.

What is uploaded is always `metrics.jsonl`, from the first row that the server lacks: it has every row once, whatever
happened, at any time. The files that wandb writes beside training without a network may be cut off by a kill.

W&B takes no row back: rows that a run computed again after a kill stay there as they were first sent.

Each upload is a process of its own with a time limit, since wandb retries for ever without a network.
"""

import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.status import is_meant, unknown_names
from sentiment.errors import RunDirError
from sentiment.runs.code_version import start_command
from sentiment.runs.records import WandbRun
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import read_pruned


@dataclass(frozen=True)
class Upload:
    """What became of the upload of one run."""

    run_dir: RunDir
    message: str
    failed: bool = False

    def __str__(self) -> str:
        name = f"{self.run_dir.path.parent.name}/{self.run_dir.path.name}"
        return f"{name}: {'FAILED: ' if self.failed else ''}{self.message}"


def find_runs(targets: Sequence[str], results: Results) -> list[RunDir]:
    """Directories of the grids and runs with these names; without names, of all runs that were trained with W&B."""
    every = [RunDir(file.parent) for file in sorted(results.runs.glob("*/*/config.json"))]
    if not targets:
        return [run_dir for run_dir in every if run_dir.wandb_file.exists()]
    if unknown := {*targets} - {name for one in every for name in (one.grid, one.path.name)}:
        raise unknown_names(unknown, results)
    return [run_dir for run_dir in every if is_meant(run_dir.grid, run_dir.path.name, targets)]


def upload_runs(run_dirs: Iterable[RunDir], limit_seconds: float) -> Iterable[Upload]:
    """Upload what is new of each run, and yield what became of it."""
    for run_dir in run_dirs:
        try:
            yield _upload(run_dir, limit_seconds)
        except (RunDirError, OSError) as error:
            yield Upload(run_dir, str(error), failed=True)


def _upload(run_dir: RunDir, limit_seconds: float) -> Upload:
    if run_dir.read_config().tracking.wandb == "disabled":
        return Upload(run_dir, "not uploaded, since its tracking.wandb is disabled")
    completed, rows, copy = run_dir.completed, run_dir.read_metrics(), run_dir.read(WandbRun)
    if not rows:
        return Upload(run_dir, "has no rows yet")
    ended = completed or read_pruned(run_dir) is not None
    if copy and copy.confirmed_rows >= len(rows) and copy.ended == ended:
        return Upload(run_dir, f"nothing new, {copy.confirmed_rows} rows at W&B")
    return Upload(run_dir, *_run(["upload", str(run_dir.path)], limit_seconds))


def _run(action: list[str], limit_seconds: float) -> tuple[str, bool]:
    command = [*start_command("sentiment.tracking"), *action]
    with tempfile.TemporaryFile() as output:  # not a pipe, since wandb's service might hold it open
        with subprocess.Popen(  # noqa: S603 - a fixed command
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        ) as process:  # which ends when its input is closed: here, or by the system if this process is killed
            try:
                process.wait(limit_seconds)
            except subprocess.TimeoutExpired:
                return f"no end after {limit_seconds:g} s; is W&B within reach?", True
        output.seek(0)
        said = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    return said[-1] if said else f"ended with exit code {process.returncode} and no message", process.returncode != 0
