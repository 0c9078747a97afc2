"""Uploads new metrics of runs to Weights & Biases (W&B), from a machine with network access.

It uploads from `metrics.jsonl`, which holds each row exactly once, and starts at the first row that is missing on the
server. wandb's own offline files are not used, since a kill may truncate them.

Rows at W&B are immutable: rows that a run computed again after a kill keep the values that were uploaded first.

Each upload is a process of its own with a time limit, since wandb retries for ever without a network.
"""

import subprocess
import tempfile
from collections.abc import Sequence

from jobs.status.names import find_targets
from sentiment.errors import RunDirError
from sentiment.runs.code_version import start_command
from sentiment.runs.reader import pruned_place
from sentiment.runs.records import WandbRun
from sentiment.runs.run_dir import Results, RunDir, read_record


def find_runs(names: Sequence[str], results: Results) -> list[RunDir]:
    """Return the directories of some grids and runs; without names, of all runs that were trained with W&B.

    Raises:
        UsageError: a name is neither that of a grid nor the id of a run.
    """
    run_dirs = [RunDir(file.parent) for file in sorted(results.runs.glob("*/[!.]*/config.json"))]
    if not names:
        return [run_dir for run_dir in run_dirs if run_dir.wandb_file.exists()]
    targets = {target.grid: target for target in find_targets(names, results)}
    return [
        run_dir for run_dir in run_dirs if run_dir.grid in targets and targets[run_dir.grid].includes(run_dir.path.name)
    ]


def upload(run_dir: RunDir, timeout: float) -> tuple[str, bool]:
    """Upload the new metrics of a run; return a message, and whether it failed."""
    try:
        if message := _why_not(run_dir):
            return message, False
        return _run_upload(run_dir, timeout)
    except (RunDirError, OSError) as error:
        return str(error), True


def _why_not(run_dir: RunDir) -> str:
    """Why nothing of a run is to be uploaded; empty if something is."""
    if run_dir.read_config().tracking.wandb == "disabled":
        return "not uploaded, since its tracking.wandb is disabled"
    completed = run_dir.completed  # read before the metrics, which are complete if it is true
    rows = run_dir.read_metrics()
    if not rows:
        return "no metrics logged yet"
    remedy = "delete it, and the run is found again by its name at W&B, unless a sweep's agent gave it one"
    wandb_run = read_record(run_dir.wandb_file, WandbRun, remedy)
    ended = completed or pruned_place(run_dir) is not None
    if wandb_run and wandb_run.confirmed_rows >= len(rows) and wandb_run.ended == ended:
        return f"nothing new, {wandb_run.confirmed_rows} rows at W&B"
    return ""


def _run_upload(run_dir: RunDir, timeout: float) -> tuple[str, bool]:
    command = [*start_command("sentiment.training.tracking"), "upload", str(run_dir.path)]
    with tempfile.TemporaryFile() as output:  # not a pipe, since wandb's service might hold it open
        with subprocess.Popen(  # noqa: S603 - a fixed command
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        ) as process:  # it ends when its standard input is closed, which happens too if this process is killed
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                return f"timed out after {timeout:g} s; is W&B reachable?", True
        output.seek(0)
        lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    message = lines[-1] if lines else f"ended with exit code {process.returncode} and no message"
    return message, process.returncode != 0
