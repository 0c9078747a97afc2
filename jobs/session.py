"""Implements submit, rerun and cancel for grids, on Slurm or on this machine."""

import os
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, NamedTuple

from jobs import policy, slurm
from jobs.grid_jobs import read_jobs
from jobs.grids.grid import ExpandedGrid, GridRequest, expand_grid, reuse_completed, trained_on_old_inputs
from jobs.launch.local_runner import LocalRunner
from jobs.launch.locked_grid import LaunchOptions, LockedGrid, lock_grid
from jobs.launch.next_step import go_on
from jobs.requested import RequestedGrid, end_waiting, read_request, read_waiting, waiting_grids, write_request
from jobs.slurm.resources import ClusterFile
from jobs.status.grid_state import RunStatus, describe_held, describe_unknown, read_grid_state, read_status
from jobs.study import StudyPlan, plan_study
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.console import Say, plural
from sentiment.errors import (
    EXIT_FAILED,
    EXIT_UNFINISHED,
    LockedError,
    QueueFullError,
    SentimentError,
    UnansweredError,
    UsageError,
    in_one_line,
)
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.code_version import freeze_code, start_command
from sentiment.runs.locks import live_owner
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import CANCELLED, PLANNED, RUNNING

_POLL_SECONDS = 0.2


class Done(NamedTuple):
    """What a command did to a grid: its exit code, and whether nothing of the grid is left to do."""

    exit_code: int
    ended: bool = False


_Action = Callable[[LockedGrid], Done]
"""What a command does to a grid that it has locked."""


def submit_study(results: Results, study: StudyPlan, options: LaunchOptions) -> int:
    """Record what is asked for, submit the grids or train them here, and return the exit code."""
    if not options.local:
        slurm.check_requirements()
    code = freeze_code(results) if study.waiting and not options.local else None
    for request in study.requests:
        _record(results, request, code, options, waits=request.name in study.waiting)
    if options.local:
        return _run_locally(results, [_training_of(grid) for grid in study.ready.values()], options)
    return max((submit_grid(results, grid, options) for grid in study.ready.values()), default=0)


def _record(results: Results, request: GridRequest, code: str | None, options: LaunchOptions, *, waits: bool) -> None:
    """Record a request; a grid that waits already does so until it is submitted."""
    waiting = read_waiting(results, request.name)
    requested = RequestedGrid(
        file=request.file,
        overrides=list(request.overrides),
        waits=waits or waiting is not None,
        code=code,
        cluster=options.cluster.as_given(),
        local=options.local,
    )
    write_request(results, requested)
    if waiting and (waiting.file, waiting.overrides) != (requested.file, requested.overrides):
        options.say(f"grid {request.name}: replaces the grid of this name that waited, which was another one")
    if waits:
        options.say(f"grid {request.name}: {requested.describe()}")


def submit_grid(results: Results, grid: ExpandedGrid, options: LaunchOptions, *, if_waiting: bool = False) -> int:
    """Submit a grid's unfinished runs to Slurm and return the exit code.

    Args:
        if_waiting: do nothing if it waits no longer, because another process has submitted it.
    """
    name = grid.plan.name
    with lock_grid(results, grid.plan, options) as locked:
        if if_waiting and not read_waiting(results, name):
            return 0
        slurm.check_requirements()
        done = submit_unfinished(locked, grid)
        end_waiting(results, name)
    return _and_what_waits(results, name, done, options)


def rerun_grid(results: Results, plan: GridPlan, run_ids: set[str], options: LaunchOptions) -> int:
    """Resubmit runs that ended without a result, and return the exit code."""
    if _belongs_here(results, plan.name, options):
        rows = read_grid_state(results, plan, *read_jobs(results, [plan.name])).rows_of(run_ids)
        return EXIT_FAILED if any(policy.rerun(row, bool(run_ids)) for row in rows) else 0
    if options.local:
        return _run_locally(results, [(plan, partial(rerun_selected, run_ids=run_ids))], options)
    with lock_grid(results, plan, options) as locked:
        slurm.check_requirements()
        done = rerun_selected(locked, run_ids)
    return _and_what_waits(results, plan.name, done, options)


def start_now(results: Results, grid: str, options: LaunchOptions) -> int:
    """Submit a grid that waits, or train it here, if the other grid is finished; return the exit code."""
    waiting = read_waiting(results, grid)
    if waiting is None or _belongs_here(results, grid, options):
        return EXIT_FAILED
    if options.local:
        return submit_study(results, plan_study(results, [waiting.request]), options)
    return start(results, waiting, options.say)


def _belongs_here(results: Results, grid: str, options: LaunchOptions) -> bool:
    """Whether a grid was submitted for this machine, and is now to go on in Slurm; say which commands go on with it."""
    requested = read_request(results, grid)
    if requested is None or not requested.local or options.local:
        return False
    here = results.command("rerun", grid, "--local")
    in_slurm = results.command("submit", grid)
    options.say(f"grid {grid} was submitted for this machine: `{here}` goes on here, `{in_slurm}` in Slurm")
    return True


def _and_what_waits(results: Results, grid: str, done: Done, options: LaunchOptions) -> int:
    """Submit the grids that wait for a grid, if it has ended; return the exit code."""
    if not done.ended:
        return done.exit_code
    return max(done.exit_code, start_waiting(results, grid, options.say))


def start_waiting(results: Results, ended: str, say: Say) -> int:
    """Submit the grids that wait for a grid which has ended; those that cannot be stay WAITING, with the reason.

    Returns:
        The exit code.

    Raises:
        UnansweredError, QueueFullError, LockedError: a grid was not submitted, which may be repeated.
    """
    waiting = [grid for grid in waiting_grids(results) if grid.base == ended and not grid.local]
    return max((start(results, grid, say) for grid in waiting), default=0)


def start(results: Results, waiting: RequestedGrid, say: Say) -> int:
    """Submit a waiting grid as it was asked for, if the other grid is finished; return the exit code."""
    options = LaunchOptions(ClusterFile.model_validate(waiting.cluster), say=say, code=waiting.code)
    try:
        return submit_grid(results, expand_grid(waiting.request, results), options, if_waiting=True)
    except (UnansweredError, QueueFullError, LockedError):
        raise
    except SentimentError as error:
        return _wait_on(results, waiting, error, say)


def _wait_on(results: Results, waiting: RequestedGrid, error: SentimentError, say: Say) -> int:
    """Record and tell why a grid waits on; return the exit code."""
    write_request(results, waiting.model_copy(update={"problem": in_one_line(error)}))
    say(f"grid {waiting.name} is still WAITING: {error}")
    return EXIT_FAILED


def submit_unfinished(locked: LockedGrid, grid: ExpandedGrid) -> Done:
    """Submit the runs that `policy.submit` names, and copy results that another grid has."""
    results = locked.results
    if grid.plan.starts_from:
        locked.say(f"grid {grid.plan.name}: {grid.plan.starts_from.describe()}")
        for line in grid.plan.starts_from.left_out:
            locked.say(f"left out of grid {grid.plan.starts_from.grid}: {line}")
    with _restoring_plan_on_error(locked):
        _say_what_started_earlier(locked, grid.plan)
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
        has_ended = not rows and not any(map(policy.may_go_on, state.rows))
        if has_ended and go_on(locked):
            return Done(exit_code)
        launched = locked.launch(state, rows, configs)
    return Done(launched.exit_code or exit_code, has_ended)


def _say_what_started_earlier(locked: LockedGrid, plan: GridPlan) -> None:
    """Say which grids started from this one before it got more runs: they are not changed."""
    results = locked.results
    previous = results.read_grid(plan.name)
    if previous is None or len(previous.runs) == len(plan.runs):
        return
    others = [results.read_grid(file.parent.name) for file in sorted(results.runs.glob("*/grid.json"))]
    for other in others:
        if other and other.starts_from and other.starts_from.grid == plan.name:
            command = results.command("submit", other.name)
            locked.say(f"grid {other.name} started from this grid as it was; `{command}` adds what new runs bring")


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


def rerun_selected(locked: LockedGrid, run_ids: set[str]) -> Done:
    """Resubmit runs that ended without a result, and release held jobs.

    Args:
        run_ids: none mean all runs.
    """
    state = locked.read_state()
    selected = state.rows_of(run_ids)
    rows = [row for row in selected if policy.rerun(row, bool(run_ids)) == "submits"]
    exit_code = EXIT_FAILED if _report_unknown(locked, selected) else 0
    has_ended = not rows and not any(map(policy.may_go_on, state.rows))
    if run_ids or not has_ended or not go_on(locked):
        exit_code = locked.resubmit(state, rows).exit_code or exit_code
    else:
        has_ended = False
    if locked.options.local:  # held jobs of Slurm are not touched
        for line in describe_held(locked.results, locked.plan.name, selected):
            locked.say(line)
    else:
        release_held(locked)
    return Done(exit_code, has_ended)


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


def _training_of(grid: ExpandedGrid) -> tuple[GridPlan, _Action]:
    return grid.plan, partial(submit_unfinished, grid=grid)


def _run_locally(results: Results, work: list[tuple[GridPlan, _Action]], options: LaunchOptions) -> int:
    """Train grids on this machine, each followed by those that wait for it; then build one report.

    Returns:
        The exit code.
    """
    plans: list[GridPlan] = []
    exit_codes = [0]
    with LocalRunner(results, options.say) as runner:
        while work and not runner.stop.reason():
            plan, action = work.pop(0)
            plans.append(plan)
            exit_codes.append(_run_grid(runner, plan, options, action))
            end_waiting(results, plan.name)
            followers = []
            for waiting in waiting_grids(results):
                if not waiting.local or waiting.base != plan.name:
                    continue
                try:
                    followers.append(_training_of(expand_grid(waiting.request, results)))
                except SentimentError as error:
                    exit_codes.append(_wait_on(results, waiting, error, options.say))
            work = [*followers, *work]
        if runner.stop.reason():
            names = [plan.name for plan in (*plans, *(plan for plan, _ in work))]
            at_once = [] if options.at_once is None else ["--at-once", str(options.at_once)]
            options.say(f"stopped; to go on: `{results.command('submit', *names, '--local', *at_once)}`")
            return EXIT_UNFINISHED
        return max(*exit_codes, _report_locally(runner, plans, options))


def _run_grid(runner: LocalRunner, plan: GridPlan, options: LaunchOptions, action: _Action) -> int:
    """Do something to a grid, then train what follows from it; return the exit code.

    Runs of another command that goes on are left to it.
    """
    results = runner.results
    with lock_grid(results, plan, options, runner) as locked:
        done = action(locked)
    may_follow = runner.run_all() and not done.ended
    while may_follow and not runner.stop.reason():
        with lock_grid(results, plan, options, runner) as locked:
            go_on(locked)
        may_follow = runner.run_all()
    return done.exit_code


def _report_locally(runner: LocalRunner, plans: Sequence[GridPlan], options: LaunchOptions) -> int:
    """Build the report, say what to do about failures, and return the exit code."""
    results = runner.results
    rows = []
    for plan, jobs in zip(plans, read_jobs(results, [plan.name for plan in plans]), strict=True):
        rows += [row for row in read_grid_state(results, plan, jobs).rows if row.run_id in runner.run_ids]
    built = True
    if any(row.state not in (CANCELLED, PLANNED) for row in rows):  # the command has trained something
        log = results.slurm / plans[-1].name / "report.log"
        with open(log, "wb") as output:
            built = build_report(results, runner.stop.reason, output)
        options.say(f"report: {results.report / 'report.html'}" if built else f"report: FAILED; see {log}")
    failed = sorted({row.grid for row in rows if policy.needs_attention(row)})
    if failed:
        options.say(f"to retry what failed: `{results.command('rerun', *failed, '--local')}`")
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


def remove_grid(results: Results, name: str, say: Say) -> int:
    """Move a grid that has ended to the folder of removed ones, and return the exit code."""
    if any(view.may_go_on for view in read_status(results, [name])):
        command = results.command("cancel", name, "--remove")
        say(f"grid {name}: its runs have not ended yet; repeat `{command}` when they have")
        return EXIT_UNFINISHED
    number = 1
    while (results.removed / f"{name}-{number}").exists():
        number += 1
    target = results.removed / f"{name}-{number}"
    target.mkdir(parents=True)
    for folder in (results.runs / name, results.slurm / name):
        if folder.exists():
            folder.rename(target / folder.parent.name)
    say(f"grid {name}: moved to {target}; its name is free")
    return 0


def cancel_active(locked: LockedGrid, run_ids: set[str]) -> list[str]:
    """Cancel runs (no ids: all that the grid has in the queue), and return the ids of those that were active.

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
        if not run_ids:
            marks[folder].add(folder.path.name)
            to_scancel[job.address] = None
        elif kept_ids.isdisjoint(task_ids) and not to_cancel.isdisjoint(task_ids):
            to_scancel[job.address] = None
    if locked.options.local and not run_ids:  # nor does the command that runs the grid retry what was interrupted
        for row in rows:
            if policy.final_job_action(row):
                marks[locked.jobs.tasks[row.run_id].folder].add(row.run_id)
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
