"""Uploads runs to Weights & Biases from where there is a network: what is new, one run after another, in order.

What is uploaded is always `metrics.jsonl`, from the row on that the server asks for, and never the files that wandb
writes beside training where there is no network. These may be missing, cut off by a kill or damaged, overlap after a
resume, and cannot be uploaded twice, or while they grow; the metric log has every row once, whatever happened. So there
is one way for a run that is in the middle, one that was killed twice and one whose files are lost, and repeating it
uploads nothing twice. wandb's files are for looking: `wandb leet` shows them on a cluster while the run is going on.

Rows that a run redid with other digits, after a kill and on other hardware, W&B can't take back: such a run is told and
left as it is, until it is asked to be replaced by a new one.

Each run gets a process of its own with a time limit: without a network, wandb tries again for ever.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sentiment.errors import RunDirError, SupersededError, UsageError
from sentiment.run_dir import Results, RunDir
from sentiment.tracking.sent_rows import OUTCOME, Row, SentRows


@dataclass(frozen=True)
class Upload:
    """What became of one run."""

    run_dir: RunDir
    message: str
    failed: bool = False

    def __str__(self) -> str:
        name = f"{self.run_dir.path.parent.name}/{self.run_dir.path.name}"
        return f"{name}: {'FAILED: ' if self.failed else ''}{self.message}"


def find_runs(targets: Sequence[str], results: Results) -> list[RunDir]:
    """Directories of the grids and runs named; if none is, all that were trained with W&B.

    Raises:
        UsageError: a name is neither a grid nor a run.
    """
    every = [RunDir(file.parent) for file in sorted(results.runs.glob("*/*/config.json"))]
    if not targets:
        return [run_dir for run_dir in every if run_dir.wandb_file.exists()]
    named = [run_dir for run_dir in every if {run_dir.path.name, run_dir.path.parent.name} & {*targets}]
    unknown = {*targets} - {name for run_dir in named for name in (run_dir.path.name, run_dir.path.parent.name)}
    if unknown:
        grids = ", ".join(sorted({run_dir.path.parent.name for run_dir in every})) or "none yet"
        raise UsageError(f"{', '.join(sorted(unknown))}: neither a grid nor a run in {results.runs}; grids: {grids}")
    return named


def upload_runs(run_dirs: Iterable[RunDir], replace: bool, limit_seconds: float) -> Iterable[Upload]:
    """Upload what is new of each run; what became of it, one by one.

    Args:
        replace: upload a run anew, and delete it at W&B, if W&B was sent other rows than it has now.
    """
    for run_dir in run_dirs:
        try:
            yield _upload(run_dir, replace, limit_seconds)
        except (RunDirError, OSError) as error:
            yield Upload(run_dir, str(error), failed=True)


def upload_report(results: Results, run_dirs: Sequence[RunDir], limit_seconds: float) -> tuple[str, bool]:
    """Upload the report as an artifact, to where the first of the runs is; what happened, and whether it failed.

    Raises:
        UsageError: there is no report, or no run that was uploaded.
    """
    wandb_run = next((run for run_dir in run_dirs if (run := run_dir.read_wandb())), None)
    if not (results.report / "report.html").exists() or wandb_run is None:
        raise UsageError(
            f"{results.report}: no report of runs at W&B; `make report` writes it, `make sync` uploads runs"
        )
    arguments = ["sentiment.tracking.report_upload", str(results.root), str(wandb_run.project)]
    with tempfile.TemporaryFile() as log:
        message, failed = _run([*arguments, wandb_run.entity or ""], log.fileno(), limit_seconds)
    return f"report: {message}", failed


def _upload(run_dir: RunDir, replace: bool, limit_seconds: float) -> Upload:
    if run_dir.read_config().tracking.wandb == "disabled":
        return Upload(run_dir, "not uploaded, since its tracking.wandb is disabled")
    completed = run_dir.completed  # asked first, since the result is written after the last row
    known, rows = run_dir.read_wandb(), run_dir.read_metrics()
    if not rows:
        return Upload(run_dir, "has no rows yet")
    if completed:
        rows.append(OUTCOME)
    superseded = known is not None and _is_superseded(SentRows(run_dir, known), rows, completed, replace)
    if known and known.confirmed_rows >= len(rows) and not superseded:
        return Upload(run_dir, f"nothing new, {known.confirmed_rows} rows at W&B")
    run_dir.wandb_dir.mkdir(exist_ok=True)
    with open(run_dir.wandb_dir / "process.log", "ab") as log:
        what = "replace" if superseded else "upload"
        arguments = ["sentiment.tracking.process", what, "online", str(run_dir.path)]
        return Upload(run_dir, *_run(arguments, log.fileno(), limit_seconds))


def _is_superseded(sent: SentRows, rows: Sequence[Row], completed: bool, replace: bool) -> bool:
    """Whether W&B was sent other rows.

    Raises:
        SupersededError: it was, and nobody asked to replace the run.
    """
    try:
        sent.check(0, rows, last=completed)
    except SupersededError:
        if not replace:
            raise
        return True
    return False


def _run(arguments: list[str], log: int, limit_seconds: float) -> tuple[str, bool]:
    """Run a module that knows wandb; its last line, and whether it failed."""
    with tempfile.TemporaryFile() as output:  # not a pipe, which wandb's service might hold open
        with subprocess.Popen(  # noqa: S603 - a fixed command
            [sys.executable, "-m", *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=log
        ) as process:
            try:
                code = process.wait(limit_seconds)
            except subprocess.TimeoutExpired:
                return f"no end after {limit_seconds:g} s; is W&B within reach?", True
            finally:
                process.kill()  # unless it has ended: after Ctrl+C, too, since it ignores that itself
        output.seek(0)
        lines = output.read().decode(errors="replace").split("\n")
    said = [line for line in lines if line.strip()]
    return said[-1] if said else f"ended with exit code {code} without a word", code != 0
