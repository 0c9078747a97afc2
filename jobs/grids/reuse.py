"""Reuse of completed runs: a run that is completed in one grid is copied into another instead of trained again."""

import os
import shutil

from sentiment.records import GridPlan
from sentiment.run_dir import Results, RunDir


def completed_elsewhere(results: Results, plan: GridPlan) -> dict[str, RunDir]:
    """Runs of the plan that have no directory in this grid and are completed in another, by run id."""
    found = {file.parent.name: RunDir(file.parent) for file in results.runs.glob("*/*/result.json")}
    return {
        run.run_id: found[run.run_id]
        for run in plan.runs
        if run.run_id in found and not results.run_dir(run.run_id, plan.name).path.exists()
    }


def reuse_completed(results: Results, plan: GridPlan) -> int:
    """Copy such runs into this grid, each as a whole or not at all; the caller must hold the grid's lock.

    Returns:
        How many were copied.

    Raises:
        OSError: the disk refuses it.
    """
    for leftover in results.grid_file(plan.name).parent.glob(".*.tmp/"):  # of a copy that was killed
        shutil.rmtree(leftover)
    elsewhere = completed_elsewhere(results, plan)
    for run_id, source in elsewhere.items():
        target = results.run_dir(run_id, plan.name).path
        made = target.with_name(f".{run_id}.{os.getpid()}.tmp")
        try:
            shutil.copytree(source.path, made)
            made.rename(target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    return len(elsewhere)
