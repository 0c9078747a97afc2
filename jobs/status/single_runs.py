"""Runs outside of grids: their states, and how one of them is ended from another shell."""

import os
import signal
from collections.abc import Sequence

from jobs.policy import Queued, judge
from jobs.status.grid_status import GridStatus, read_status, run_status
from sentiment.claims import Claims
from sentiment.console import Say
from sentiment.errors import UsageError
from sentiment.owner import Owner
from sentiment.records import GridPlan
from sentiment.run_dir import SINGLE, Results, RunDir
from sentiment.run_state import read_progress

# What their scores are read by; such runs are no grid, and nothing of this is ever written.
_PLAN = GridPlan(
    name=SINGLE,
    description="runs outside of grids",
    method="grid",
    metric="validation/f1",
    goal="maximize",
    base="",
    parameters={},
    runs=[],
)


def single_runs(results: Results, names: Sequence[str] = ()) -> list[RunDir]:
    """The directories of the runs outside of grids, in the order of their names; of all if none is named."""
    files = sorted((results.runs / SINGLE).glob("*/config.json"))
    return [RunDir(file.parent) for file in files if not names or file.parent.name in names]


def read_all(results: Results, names: Sequence[str]) -> list[GridStatus]:
    """The state of grids, and last of the runs outside of them; of all if none is named.

    Raises:
        UsageError: there is no grid of a name.
        SlurmError: there is a Slurm, but it does not answer.
    """
    grids = [name for name in names if name != SINGLE]
    found = read_status(results, grids) if grids or not names else []
    alone = read_single(results) if not names or SINGLE in names else None
    return [*found, alone] if alone else found


def read_single(results: Results) -> GridStatus | None:
    """The states of the runs outside of grids; None if there are none."""
    rows = []
    for run_dir in single_runs(results):
        progress = read_progress(run_dir, _PLAN)
        rows.append(run_status(SINGLE, run_dir.path.name, progress, judge(progress, Queued())))
    return GridStatus(SINGLE, _PLAN.metric, rows, {}) if rows else None


def cancel_single(run_dir: RunDir, say: Say) -> None:
    """Tell the process that trains a run to save and end, if one does.

    Raises:
        UsageError: the process is on another host, or a task of Slurm.
    """
    name, owner = run_dir.path.name, _owner(run_dir)
    if owner is None or not owner.may_live:
        say(f"run {name}: no process trains it")
        return
    if owner.job:
        raise UsageError(f"run {name}: is trained by {owner}; `scancel {owner.job}` ends it")
    if not owner.lives_here:
        raise UsageError(f"run {name}: is trained by {owner}; give this command there")
    os.kill(owner.pid, signal.SIGTERM)
    say(f"run {name}: process {owner.pid} was told to save and end; the command that trains it goes on later")


def _owner(run_dir: RunDir) -> Owner | None:
    try:
        return Claims(run_dir.lock_file).newest()[1]
    except FileNotFoundError:
        return None
