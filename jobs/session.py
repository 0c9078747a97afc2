"""Implements submit, rerun and cancel for grids, on Slurm or on this machine."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from typing import IO, NamedTuple

from jobs import policy, slurm
from jobs.grid_jobs import read_jobs
from jobs.grids.grid import ExpandedGrid, GridRequest, expand_grid, reuse_completed, trained_on_old_inputs
from jobs.launch.backends import Launched
from jobs.launch.local_runner import LocalRunner
from jobs.launch.locked_grid import LaunchOptions, LockedGrid, lock_grid
from jobs.launch.next_step import go_on
from jobs.launch.turns import Turn
from jobs.requested import (
    RequestedGrid,
    end_waiting,
    read_request,
    read_waiting,
    set_damaged_request_aside,
    waiting_grids,
    write_request,
)
from jobs.slurm.resources import ClusterFile
from jobs.status.grid_state import RunStatus, describe_stuck, read_grid_state, read_grid_status
from jobs.status.names import has_runs
from jobs.study import StudyPlan
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.console import Say, plural
from sentiment.errors import (
    EXIT_FAILED,
    EXIT_UNFINISHED,
    LockedError,
    QueueFullError,
    SentimentError,
    SlurmError,
    UnansweredError,
    in_one_line,
)
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.code_version import freeze_code, start_command
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results, set_damaged_aside, short_id
from sentiment.runs.state import CANCELLED, HELD, PLANNED, RUNNING, UNKNOWN

_POLL_SECONDS = 0.2


class Done(NamedTuple):
    """What a command did to a grid: its exit code, and whether it found nothing to submit and nothing in the queue."""

    exit_code: int
    ended: bool = False


_Action = Callable[[LockedGrid], Done]
"""What a command does to a grid that it has locked."""


def submit_study(results: Results, study: StudyPlan, options: LaunchOptions) -> int:
    """Record what is asked for, submit the grids or train them here, and return the exit code."""
    code = freeze_code(results) if study.waiting and not options.local else None
    for request in study.requests:
        _record(results, request, code, options, waits=request.name in study.waiting)
    return _carry_out(results, [_training_of(grid) for grid in study.ready.values()], options)


def _record(results: Results, request: GridRequest, code: str | None, options: LaunchOptions, *, waits: bool) -> None:
    """Record a request; a grid that waits already does so until it is submitted."""
    set_damaged_request_aside(results, request.name)
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


def rerun_grid(results: Results, plan: GridPlan, run_ids: set[str], options: LaunchOptions) -> int:
    """Resubmit runs that ended without a result, and return the exit code."""
    requested = read_request(results, plan.name)
    if requested and requested.local and not options.local:
        rows = read_grid_state(results, plan, *read_jobs(results, [plan.name])).rows_of(run_ids)
        may_rerun = any(policy.rerun(row, bool(run_ids)) for row in rows)
        if not may_rerun and not any(map(policy.resume_command, rows)):
            options.say("nothing to run")
            return 0
        here = results.command("rerun" if may_rerun else "submit", plan.name, "--local")
        in_slurm = results.command("submit", plan.name)
        options.say(f"grid {plan.name} was submitted for this machine: `{here}` goes on here, `{in_slurm}` in Slurm")
        return EXIT_FAILED if may_rerun else 0
    return _carry_out(results, [(plan, partial(rerun_selected, run_ids=run_ids))], options, run_ids)


def _training_of(grid: ExpandedGrid) -> tuple[GridPlan, _Action]:
    return grid.plan, partial(submit_unfinished, grid=grid)


def _carry_out(
    results: Results, work: list[tuple[GridPlan, _Action]], options: LaunchOptions, run_ids: Set[str] = frozenset()
) -> int:
    """Do something with grids, and submit those that wait for one that has ended; return the exit code.

    Args:
        run_ids: the runs of the only grid that were named; none if grids were.
    """
    if options.local:
        return _run_locally(results, work, options, run_ids)
    exit_codes = [0]
    asked_for = {plan.name for plan, _ in work}
    for plan, action in work:
        with lock_grid(results, plan, options) as locked:
            done = action(locked)
            end_waiting(results, plan.name)
        exit_codes.append(done.exit_code)
        if done.ended:
            exit_codes.append(start_waiting(results, plan.name, options.say, asked_for))
    return max(exit_codes)


def start_waiting(results: Results, ended: str, say: Say, left_out: Set[str] = frozenset()) -> int:
    """Submit the grids that wait for a grid which has ended; those that cannot be stay WAITING, with the reason.

    Args:
        left_out: the names of grids that the command submits anyway.

    Returns:
        The exit code.

    Raises:
        UnansweredError, QueueFullError, LockedError: a grid was not submitted, which may be repeated.
    """
    waiting = [grid for grid in waiting_grids(results) if grid.base == ended and not grid.local]
    return max((start(results, grid, say) for grid in waiting if grid.name not in left_out), default=0)


def start(results: Results, waiting: RequestedGrid, say: Say) -> int:
    """Submit a waiting grid as it was asked for, if the other grid is finished; return the exit code."""
    options = LaunchOptions(ClusterFile.model_validate(waiting.cluster), say=say, code=waiting.code)

    def submit_if_waiting(locked: LockedGrid) -> Done:
        if read_waiting(results, waiting.name) is None:  # another process has submitted it, or a person cancelled it
            return Done(0)
        return submit_unfinished(locked, grid)

    try:
        grid = expand_grid(waiting.request, results)
        return _carry_out(results, [(grid.plan, submit_if_waiting)], options)
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
    file = results.grid_file(grid.plan.name)
    if set_damaged_aside(file, GridPlan):
        locked.say(
            f"{file}: was damaged, and is kept as {file.name}.damaged; what the grid states counts as stated now"
        )
    if results.read_grid(grid.plan.name) not in (grid.former, grid.plan):
        raise LockedError(f"grid {grid.plan.name}: another command has planned it meanwhile; repeat the command")
    if grid.plan.starts_from:
        locked.say(f"grid {grid.plan.name}: {grid.plan.starts_from.describe()}")
        for line in grid.plan.starts_from.left_out:
            locked.say(f"left out of grid {grid.plan.starts_from.grid}: {line}")
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
        too_late = [row for row in state.rows if policy.submit(row) == "submits" and state.missed_ranking(row)]
        if too_late:
            locked.say(
                f"{len(too_late)} of {len(state.rows)} runs were unfinished when their rung was ranked; "
                f"`{results.command('rerun', grid.plan.name)}` trains them to the end of that rung"
            )
        configs = {config.run_id: config for config in grid.configs}
        rows = state.to_submit
        exit_code = _say_what_is_stuck(locked, state.rows)
        has_ended = not rows and state.has_ended
        return _launch_or_go_on(locked, has_ended, exit_code, lambda: locked.launch(state, rows, configs))


def _launch_or_go_on(locked: LockedGrid, has_ended: bool, exit_code: int, launch: Callable[[], Launched]) -> Done:
    """Launch runs; of a grid that has ended take the next step instead, if there is one."""
    if has_ended and go_on(locked):
        return Done(exit_code)
    return Done(launch().exit_code or exit_code, has_ended)


def _say_what_is_stuck(locked: LockedGrid, rows: Sequence[RunStatus]) -> int:
    """Say which runs are held or UNKNOWN; return the exit code, since nothing can be done with those that are."""
    for line in describe_stuck(locked.results, locked.plan.name, rows):
        locked.say(line)
    return EXIT_FAILED if any(row.state == UNKNOWN for row in rows) else 0


@contextmanager
def _restoring_plan_on_error(locked: LockedGrid) -> Iterator[None]:
    name = locked.plan.name
    previous = locked.results.read_grid(name)
    try:
        yield
    except LockedError:  # another command has taken the grid over, and the plan is its own
        raise
    except SentimentError:
        if previous:
            locked.results.write_grid(previous)
        elif not read_submissions(locked.results, name) and not has_runs(locked.results, name):
            locked.results.grid_file(name).unlink()
        raise


def rerun_selected(locked: LockedGrid, run_ids: set[str]) -> Done:
    """Resubmit runs that ended without a result (no ids: all of them); in Slurm, release held jobs too."""
    state = locked.read_state()
    selected = state.rows_of(run_ids)
    rows = [row for row in selected if policy.rerun(row, bool(run_ids)) == "submits"]
    exit_code = _say_what_is_stuck(locked, [row for row in selected if row.state != HELD])
    if not locked.options.local:
        exit_code = max(exit_code, release_held(locked))
    has_ended = not run_ids and not rows and state.has_ended
    return _launch_or_go_on(locked, has_ended, exit_code, lambda: locked.resubmit(state, rows))


def release_held(locked: LockedGrid) -> int:
    """Release all held jobs of the grid; say which were released, or why not all of them, and return the exit code."""
    names = {folder.name for folder in locked.jobs.submissions}
    held = [job.address for job in locked.jobs.queue if job.held and job.name in names]
    try:
        slurm.release(held)
    except UnansweredError:
        raise
    except SlurmError as error:
        locked.say(f"not all held jobs were released: {error}")
        return EXIT_FAILED
    if held:
        locked.say(f"held jobs released: {' '.join(held)}")
    return 0


def _run_locally(
    results: Results, work: list[tuple[GridPlan, _Action]], options: LaunchOptions, run_ids: Set[str]
) -> int:
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
            end_waiting(results, plan.name)  # only now, so that after a kill the same command goes on with it
            if runner.stop.reason():
                break
            followers = []
            asked_for = {plan.name for plan, _ in work}
            for waiting in waiting_grids(results):
                if not waiting.local or waiting.base != plan.name or waiting.name in asked_for:
                    continue
                try:
                    followers.append(_training_of(expand_grid(waiting.request, results)))
                except SentimentError as error:
                    exit_codes.append(_wait_on(results, waiting, error, options.say))
            work = [*followers, *work]
        if runner.stop.reason():
            again = ["submit", *(plan.name for plan in (*plans, *(plan for plan, _ in work)))]
            again += [grid.name for grid in waiting_grids(results) if grid.local and grid.name not in again]
            if run_ids:
                again = ["rerun", *(f"{again[1]}/{short_id(run_id)}" for run_id in sorted(run_ids))]
            at_once = [] if options.at_once is None else ["--at-once", str(options.at_once)]
            options.say(f"stopped; to go on: `{results.command(*again, '--local', *at_once)}`")
            return EXIT_UNFINISHED
        return max(*exit_codes, _report_locally(runner, plans, options))


def _run_grid(runner: LocalRunner, plan: GridPlan, options: LaunchOptions, action: _Action) -> int:
    """Do something to a grid, then train what follows from it; return the exit code.

    Runs of another command that goes on are left to it.
    """
    results = runner.results
    with lock_grid(results, plan, options, runner) as locked:
        done = action(locked)
    may_follow = runner.run_all()
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
        if unknown := [row.reason for row in left if row.state == UNKNOWN]:
            say(f"grid {plan.name}: {plural(len(unknown), 'run')} UNKNOWN, and not cancelled: {unknown[0]}")


def remove_grid(results: Results, name: str, say: Say) -> int:
    """Move a grid that has ended to the folder of removed ones, and return the exit code."""
    (results.slurm / name).mkdir(parents=True, exist_ok=True)
    with Turn(results.slurm / name):
        plan = results.read_grid(name)
        if plan and read_grid_status(results, plan, *read_jobs(results, [name])).may_go_on:
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
    if locked.options.local and not run_ids:  # what was interrupted is not retried by the command that runs the grid
        for row in rows:
            if policy.final_job_action(row):
                marks[locked.jobs.tasks[row.run_id].folder].add(row.run_id)
    # First, since on a full disk nothing can be marked.
    slurm.cancel(address for address in to_scancel if not address.startswith(LOCAL_JOB_PREFIX))
    for folder, ids in marks.items():
        folder.mark_cancelled(ids)
    cancelled_ids = set[str]().union(*marks.values())
    return [run_id for run_id in active_ids if run_id in cancelled_ids]
