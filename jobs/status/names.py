"""Finds what users name: grids, runs, and the runs outside of grids."""

import contextlib
import os
import signal
import socket
from collections.abc import Collection, Sequence

from sentiment.console import Say
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.locks import live_owner
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results, RunDir


def read_plan(results: Results, grid: str) -> GridPlan:
    """The plan of a submitted grid.

    Raises:
        UsageError: there is no grid of this name.
        RunDirError: the grid has runs, but its plan is missing or damaged.
    """
    if plan := results.read_grid(grid):
        return plan
    if any((results.runs / grid).glob("*/config.json")):
        raise RunDirError(f"{results.grid_file(grid)}: is missing, but there are runs of this grid")
    raise unknown_names([grid], results)


def planned_grids(results: Results) -> list[str]:
    return sorted(path.parent.name for path in results.runs.glob("*/grid.json"))


def single_runs(results: Results) -> list[RunDir]:
    """The runs outside of grids, also those that have lost some of their records."""
    records = (results.runs / SINGLE).glob("*/*.json")
    return [RunDir(path) for path in sorted({record.parent for record in records})]


def find_targets(targets: Sequence[str], results: Results) -> list[tuple[GridPlan, set[str]]]:
    """The plans of the named grids (default: all) and the ids of the named runs; no ids mean the whole grid."""
    unknown = {*targets}
    selected: list[tuple[GridPlan, set[str]]] = []
    for grid in planned_grids(results):
        plan = read_plan(results, grid)
        run_ids = {run.run_id for run in plan.runs}.intersection(targets)
        unknown -= {grid, *run_ids}
        if not targets or grid in targets:
            selected.append((plan, set()))
        elif run_ids:
            selected.append((plan, run_ids))
    if unknown:
        raise unknown_names(unknown, results)
    return selected


def unknown_names(targets: Collection[str], results: Results) -> UsageError:
    """The error for names that are neither grids nor runs."""
    grids = ", ".join(planned_grids(results)) or "none yet"
    return UsageError(f"{', '.join(sorted(targets))}: neither a grid nor a run in {results.runs}; grids: {grids}")


def cancel_single(run_dir: RunDir, say: Say) -> None:
    """Send SIGTERM to the process that trains a run outside of grids, if there is one."""
    name = run_dir.path.name
    owner = live_owner(run_dir.lock_file)
    if owner is None:
        say(f"run {name}: not running")
        return
    if owner.job or owner.host != socket.gethostname():
        remedy = f"cancel it with `scancel {owner.job}`" if owner.job else "run this command on that host"
        raise UsageError(f"run {name}: is trained by {owner}; {remedy}")
    with contextlib.suppress(ProcessLookupError):  # the process has just ended
        os.kill(owner.pid, signal.SIGTERM)
    say(f"run {name}: process {owner.pid} saves and exits; repeat its `train` command to resume")
