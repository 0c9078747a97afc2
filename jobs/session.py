"""Implements submit, rerun and cancel for a grid, on Slurm or on this machine."""

import os
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from jobs import policy, slurm
from jobs.grids.grid import ExpandedGrid, reuse_completed, trained_on_old_inputs
from jobs.launch.local_runner import LocalRunner
from jobs.launch.locked_grid import LaunchOptions, LockedGrid, lock_grid
from jobs.launch.next_step import go_on
from jobs.status.grid_state import RunStatus, describe_held, describe_unknown
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.console import Say, plural
from sentiment.errors import EXIT_FAILED, EXIT_UNFINISHED, SentimentError, UsageError
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.code_version import start_command
from sentiment.runs.locks import live_owner
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import CANCELLED, PLANNED, RUNNING

_POLL_SECONDS = 0.2


def submit_grid(results: Results, grid: ExpandedGrid, options: LaunchOptions) -> int:
    """Submit a grid's unfinished runs and return the exit code."""
    return _run_command(results, grid.plan, options, lambda locked: submit_unfinished(locked, grid))


def rerun_grid(
    results: Results, plan: GridPlan, causes: Sequence[str], run_ids: set[str], options: LaunchOptions
) -> int:
    """Resubmit runs that ended without a result, and return the exit code."""
    return _run_command(results, plan, options, lambda locked: rerun_selected(locked, causes, run_ids))


def _run_command(results: Results, plan: GridPlan, options: LaunchOptions, action: Callable[[LockedGrid], int]) -> int:
    if options.local:
        return _run_local_grid(results, plan, options, action)
    with lock_grid(results, plan, options) as grid:
        slurm.check_requirements()
        return action(grid)


def submit_unfinished(locked: LockedGrid, grid: ExpandedGrid) -> int:
    """Submit the runs that `policy.submit` names, and copy results that another grid has; return the exit code."""
    results = locked.results
    with _restoring_plan_on_error(locked):
        results.write_grid(grid.plan)
        reuse_completed(results, grid)
        outdated = trained_on_old_inputs(results, grid)
        if outdated:
            locked.say(
                f"{plural(len(outdated), 'completed run')} had other tweets, vectors or encoder weights than the "
                "current ones; to train one again, move its directory away, such as "
                f"{results.run_dir(outdated[0], grid.plan.name).path}"
            )
        state = locked.read_state()
        for line in describe_held(results, grid.plan.name, state.rows):
            locked.say(line)
        too_late = [row for row in state.rows if policy.submit(row) == "submits" and state.missed_ranking(row)]
        if too_late:
            locked.say(
                f"{len(too_late)} of {len(state.rows)} runs were unfinished when their rung was ranked; "
                f"`{results.command('rerun', grid.plan.name)}` trains them to the end of that rung"
            )
        configs = {config.run_id: config for config in grid.configs}
        rows = state.to_submit
        exit_code = EXIT_FAILED if _report_unknown(locked, state.rows) else 0
        if not rows and not any(map(policy.may_go_on, state.rows)) and go_on(locked):
            return exit_code
        launched = locked.launch(state, rows, configs)
    return launched.exit_code or exit_code


@contextmanager
def _restoring_plan_on_error(locked: LockedGrid) -> Iterator[None]:
    name = locked.plan.name
    previous = locked.results.read_grid(name)
    try:
        yield
    except SentimentError:
        if previous:
            locked.results.write_grid(previous)
        elif not read_submissions(locked.results, name):
            locked.results.grid_file(name).unlink()
        raise


def rerun_selected(locked: LockedGrid, causes: Sequence[str], run_ids: set[str]) -> int:
    """Resubmit runs that ended without a result, and release held jobs; return the exit code.

    Args:
        run_ids: none mean all runs.
    """
    state = locked.read_state()
    selected = state.rows_of(run_ids)
    rows = [row for row in selected if policy.rerun(row, causes, bool(run_ids)) == "submits"]
    exit_code = EXIT_FAILED if _report_unknown(locked, selected) else 0
    has_ended = not rows and not any(map(policy.may_go_on, state.rows))
    if run_ids or causes or not has_ended or not go_on(locked):
        exit_code = locked.resubmit(state, rows).exit_code or exit_code
    if locked.options.local:  # held jobs of Slurm are not touched
        for line in describe_held(locked.results, locked.plan.name, selected):
            locked.say(line)
    elif not causes or "held" in causes:
        release_held(locked)
    return exit_code


def _report_unknown(locked: LockedGrid, rows: Sequence[RunStatus]) -> bool:
    """Say which runs are UNKNOWN, with which the command cannot do anything; return whether there are any."""
    lines = list(describe_unknown(rows))
    for line in lines:
        locked.say(line)
    return bool(lines)


def release_held(locked: LockedGrid) -> None:
    """Release all held jobs of the grid."""
    names = {folder.name for folder in locked.jobs.submissions}
    held = [job.address for job in locked.jobs.queue if job.held and job.name in names]
    slurm.release(held)
    if held:
        locked.say(f"held jobs released: {' '.join(held)}")


def _run_local_grid(
    results: Results, plan: GridPlan, options: LaunchOptions, action: Callable[[LockedGrid], int]
) -> int:
    with LocalRunner(results, options.say) as runner:
        with lock_grid(results, plan, options, runner) as grid:
            exit_code = action(grid)
        runner.run_all()
        unfinished = bool(runner.run_ids)
        while unfinished and not runner.stop.reason():
            with lock_grid(results, plan, options, runner) as grid:
                unfinished = go_on(grid)
            runner.run_all()
        return _report_local_result(grid, runner) or exit_code


def _report_local_result(grid: LockedGrid, runner: LocalRunner) -> int:
    """Build the report, say what to do about failures, and return the exit code."""
    if runner.stop.reason():
        return EXIT_UNFINISHED
    rows = [row for row in grid.reread().read_state().rows if row.run_id in runner.run_ids]
    built = True
    if any(row.state not in (CANCELLED, PLANNED) for row in rows):  # the command has trained something
        log = grid.results.slurm / grid.plan.name / "report.log"
        with open(log, "wb") as output:
            built = build_report(grid.results, runner.stop.reason, output)
        grid.say(f"report: {grid.results.report / 'report.html'}" if built else f"report: FAILED; see {log}")
    if any(map(policy.needs_attention, rows)):
        grid.say(f"to retry what failed: `{grid.results.command('rerun', grid.plan.name, '--local')}`")
    if any(row.state == CANCELLED for row in rows):
        return EXIT_UNFINISHED
    has_failed = not built or any(policy.resume_command(row) for row in rows)
    return EXIT_FAILED if has_failed else 0


def build_report(results: Results, stop_requested: Callable[[], object], output: IO[bytes] | None) -> bool:
    """Build the report in a subprocess, terminating it if a stop is requested; return whether it was built."""
    process = subprocess.Popen(  # noqa: S603
        [*start_command("report"), "--results", str(results.root)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    while process.poll() is None:
        if stop_requested():
            process.terminate()
        time.sleep(_POLL_SECONDS)
    return process.returncode == 0


def cancel_grid(results: Results, plan: GridPlan, run_ids: set[str], say: Say) -> None:
    """Cancel the given runs; with an empty set all runs and the grid's other jobs."""
    no_slurm_jobs = all(folder.submission.local for folder in read_submissions(results, plan.name))
    options = LaunchOptions(say=say, local=no_slurm_jobs)  # Slurm is needed only if the grid has jobs there
    with lock_grid(results, plan, options) as grid:
        cancelled = cancel_active(grid, run_ids)
        names = f": {' '.join(cancelled)}" if run_ids and cancelled else ""
        say(f"grid {plan.name}: {plural(len(cancelled), 'run')} cancelled{names}")
        left = [row for row in grid.read_state().rows_of(run_ids) if row.run_id not in cancelled]
        for line in describe_unknown(left):
            say(f"grid {plan.name}: not cancelled: {line}")


def cancel_active(locked: LockedGrid, run_ids: set[str]) -> list[str]:
    """Cancel runs (no ids: all that the grid has in the queue), and return the ids of those that were active.

    Each run is marked in its submissions: a task that trains it sees the mark, saves and stops. A task is also
    cancelled in Slurm when no other run is left to it.
    """
    active_ids = [row.run_id for row in locked.read_state().rows if policy.cancel(row)]
    to_cancel = {run_id for run_id in active_ids if not run_ids or run_id in run_ids}
    kept_ids = {*active_ids} - to_cancel
    marks: dict[SubmissionDir, set[str]] = defaultdict(set)
    to_scancel: dict[str, None] = {}
    for (folder, task), job in locked.jobs.active_tasks.items():
        marks[folder].update(to_cancel.intersection(folder.run_ids))
        # A running task may take any run of its array.
        task_ids = folder.run_ids if job.state == RUNNING else folder.tasks[task]
        if not run_ids:
            marks[folder].add(folder.path.name)
            to_scancel[job.address] = None
        elif kept_ids.isdisjoint(task_ids) and not to_cancel.isdisjoint(task_ids):
            to_scancel[job.address] = None
    # First, since on a full disk nothing can be marked.
    slurm.cancel(address for address in to_scancel if not address.startswith(LOCAL_JOB_PREFIX))
    for folder, ids in marks.items():
        folder.mark_cancelled(ids)
    cancelled_ids = set[str]().union(*marks.values())
    return [run_id for run_id in active_ids if run_id in cancelled_ids]


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
    with suppress(ProcessLookupError):  # the process has just ended
        os.kill(owner.pid, signal.SIGTERM)
    say(f"run {name}: process {owner.pid} saves and exits; repeat its `train` command to resume")
