"""Implements cancel: what a grid has in the queue is ended, and nothing of it is retried or ranked by itself."""

from collections import defaultdict
from contextlib import ExitStack

from jobs import policy, slurm
from jobs.grid_jobs import read_jobs
from jobs.launch.locked_grid import LaunchOptions, LockedGrid, lock_grid
from jobs.requested import grid_lock
from jobs.status.grid_state import read_grid_status
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.console import Say, plural
from sentiment.errors import EXIT_UNFINISHED, UnwritableError
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.runs.state import RUNNING, UNKNOWN


def cancel_grid(results: Results, plan: GridPlan, run_ids: set[str], say: Say) -> None:
    """Cancel the given runs; with an empty set all runs and the grid's other jobs."""
    no_slurm_jobs = all(folder.submission.local for folder in read_submissions(results, plan.name))
    options = LaunchOptions(say=say, local=no_slurm_jobs)  # Slurm is needed only if the grid has jobs there
    with ExitStack() as stack:
        try:
            grid = stack.enter_context(lock_grid(results, plan, options))
        except UnwritableError:  # then nothing can be marked either, but what is in the queue is cancelled
            grid = LockedGrid(results, plan, read_jobs(results, plan.name), options, lambda: None)
        cancelled = cancel_active(grid, run_ids)
        names = f": {' '.join(cancelled)}" if run_ids and cancelled else ""
        say(f"grid {plan.name}: {plural(len(cancelled), 'run')} cancelled{names}")
        left = [row for row in grid.read_state().rows_of(run_ids) if row.run_id not in cancelled]
        if unknown := [row.reason for row in left if row.state == UNKNOWN]:
            say(f"grid {plan.name}: {plural(len(unknown), 'run')} UNKNOWN, and not cancelled: {unknown[0]}")


def remove_grid(results: Results, name: str, say: Say) -> int:
    """Move a grid that has ended to the folder of removed ones, and return the exit code."""
    with grid_lock(results, name):
        plan = results.read_grid(name)
        if plan and read_grid_status(results, plan, read_jobs(results, name)).may_go_on:
            command = results.command("cancel", name, "--remove")
            say(f"grid {name}: its runs have not ended yet; repeat `{command}` when they have")
            return EXIT_UNFINISHED
        number = 1
        while (results.removed / f"{name}-{number}").exists():
            number += 1
        target = results.removed / f"{name}-{number}"
        target.mkdir(parents=True)
        for folder in (results.slurm / name, results.runs / name):  # the command is repeated as long as there are runs
            if folder.exists():
                folder.rename(target / folder.parent.name)
    say(f"grid {name}: moved to {target}; its name is free")
    return 0


def cancel_active(locked: LockedGrid, run_ids: set[str]) -> list[str]:
    """Cancel runs (no ids: all that the grid has in the queue, or here would still run), and return their ids.

    Each run is marked in its submissions: a task that trains it sees the mark, saves and stops. A task is also
    cancelled in Slurm when no other run is left to it.
    """
    rows = locked.read_state().rows
    active_ids = [row.run_id for row in rows if policy.cancel(row)]
    to_cancel = {run_id for run_id in active_ids if not run_ids or run_id in run_ids}
    kept_ids = {*active_ids} - to_cancel
    marks: dict[SubmissionDir, set[str]] = defaultdict(set)
    to_scancel: dict[str, None] = {}
    for (folder, task), job in locked.jobs.active_tasks.items():
        marks[folder].update(to_cancel.intersection(folder.run_ids))
        # A running task may take any run of its array.
        task_ids = folder.run_ids if job.state == RUNNING else folder.tasks[task]
        has_no_other = kept_ids.isdisjoint(task_ids) and not to_cancel.isdisjoint(task_ids)
        if not run_ids:
            marks[folder].add(folder.path.name)
        if not run_ids or has_no_other:
            to_scancel[job.address] = None
    if locked.options.local and not run_ids:  # what was interrupted is not retried by the command that runs the grid
        for row in rows:
            if policy.final_job_action(row):
                marks[locked.jobs.tasks[row.run_id].folder].add(row.run_id)
    # First, since on a full disk nothing can be marked.
    slurm.cancel(address for address in to_scancel if not address.startswith(LOCAL_JOB_PREFIX))
    for folder, ids in marks.items():
        folder.mark_cancelled(ids)
    cancelled_ids = set[str]().union(*marks.values())
    return [row.run_id for row in rows if row.run_id in cancelled_ids]
