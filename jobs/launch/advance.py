"""How grids go on: the only place that decides it, for `submit` and `rerun`, the final job, and grids on this machine.

A command, or a final job, takes the first of these steps that there is something for, each under the grid's lock and
recorded before the next, so that whoever comes after a kill goes on from there:

1. the runs that the command asks for are submitted;
2. while something of the grid is, or may be, in the queue, only a final job that is missing is submitted;
3. runs that were interrupted are submitted again (`policy.final_job_action`), and with them trials that were promoted;
4. the current rung of a search is ranked, all of whose trials have ended; then step 3 again;
5. grids that wait for it are planned and submitted, if they can be (`expand_when_ready`).

How the grid stands then is the answer, and the exit code with it: 0 exactly if all runs that were asked for have a
result or, in Slurm, are in the queue.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import IO, BinaryIO, Literal, NamedTuple

from jobs import policy, slurm
from jobs.bases import expand_when_ready, state_of
from jobs.grids.grid import (
    ExpandedGrid,
    completed_elsewhere,
    copy_completed,
    read_readable_plan,
    trained_on_old_inputs,
)
from jobs.launch.backends import Launched, launch
from jobs.launch.local_runner import LocalRunner
from jobs.launch.locked_grid import LaunchOptions, LockedGrid, lock_grid
from jobs.requested import (
    RequestedGrid,
    change_waiting,
    grid_lock,
    read_request,
    read_waiting,
    request_file,
    set_damaged_request_aside,
    waiting_grids,
    write_request,
)
from jobs.slurm.resources import ClusterFile
from jobs.status.grid_state import GridRows, RunStatus, describe_stuck
from jobs.status.names import has_runs, read_plan
from jobs.status.table import next_commands
from jobs.study import PlannedGrid, goes_on
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.config import RunConfig
from sentiment.console import Say, plural
from sentiment.errors import (
    EXIT_FAILED,
    EXIT_UNFINISHED,
    LockedError,
    QueueFullError,
    RunDirError,
    SentimentError,
    SlurmError,
    StoppedError,
    UnansweredError,
    UnfinishedBaseError,
    UnrankedError,
    in_one_line,
)
from sentiment.files import write_atomically
from sentiment.runs.code_version import freeze_code, start_command, training_of
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results, set_damaged_aside, short_id
from sentiment.runs.state import CANCELLED, HELD, PLANNED, STOPPED

_POLL_SECONDS = 0.2

Answer = Literal["submitted", "running", "stopped", "waits", "ended"]
"""How a grid stands after a step.

submitted: runs of it were just submitted; running: something of it is, or may be, in the queue; stopped: nothing is,
and a run without a result may get one by a command or a person; waits: for another grid; ended: each run is completed
or pruned.
"""


class Step(NamedTuple):
    """The answer of a step, the exit code of a command that asked for it, and the commands that go on."""

    answer: Answer
    exit_code: int
    hints: Sequence[str] = ()


@dataclass(frozen=True)
class Course:
    """What all steps of a command, or of a final job, have in common.

    Attributes:
        runner: trains runs on this machine; None submits them to Slurm.
        ending: the final job that takes the steps: it is none that is still to come.
        to_record: grids that are recorded as waiting as soon as something of the command is accepted.
    """

    results: Results
    options: LaunchOptions
    runner: LocalRunner | None = None
    ending: SubmissionDir | None = None
    to_record: list[RequestedGrid] = field(default_factory=list)

    @property
    def say(self) -> Say:
        return self.options.say

    @property
    def is_stopped(self) -> bool:
        return self.runner is not None and self.runner.stop.reason() is not None

    @contextmanager
    def locked(self, plan: GridPlan) -> Iterator[LockedGrid]:
        with lock_grid(self.results, plan, self.options, self.runner) as grid:
            others = [folder for folder in grid.jobs.submissions if folder != self.ending]
            yield replace(grid, jobs=replace(grid.jobs, submissions=others))


class Wish(NamedTuple):
    """What a command asks for of a grid: its first step, and the runs that it names (none: all)."""

    grid: str
    first: Callable[[Course], Step]
    run_ids: Set[str] = frozenset()


def carry_on(course: Course, wishes: Sequence[Wish]) -> dict[str, Step]:
    """Take all steps that there are; return the last one of each grid, by name."""
    steps: dict[str, Step] = {}
    left = [*wishes]
    while left and not course.is_stopped:
        wish = left.pop(0)
        step = wish.first(course)
        while course.runner and course.runner.run_all() and not course.is_stopped:
            step = go_on(course, wish.grid, wish.run_ids)
        steps[wish.grid] = step
        if step.answer in ("ended", "stopped") and not course.is_stopped:
            asked_for = {wish.grid for wish in left}
            followers = [name for name in _followers(course, wish.grid) if name not in asked_for]
            left = [*(Wish(name, partial(_start, name=name)) for name in followers), *left]
    return steps


def go_on(course: Course, name: str, run_ids: Set[str] = frozenset()) -> Step:
    """Take the next step of a grid of which nothing more is asked for."""
    with course.locked(read_plan(course.results, name)) as grid:
        return advance(grid, grid.read_state(), run_ids=run_ids, code=_current_code(grid, run_ids))


def advance(
    grid: LockedGrid,
    state: GridRows,
    asked: Sequence[RunStatus] | None = None,
    configs: Mapping[str, RunConfig] | None = None,
    run_ids: Set[str] = frozenset(),
    code: str = "",
) -> Step:
    """Take the next step of a locked grid but the last, see above.

    Args:
        asked: the runs that a command asks for; None if it asks for nothing.
        configs: their configurations, by run id; None means those of before.
        run_ids: the runs that the exit code is about; all, if there are none.
        code: is that of the plan as soon as runs are submitted; empty means that of before.
    """
    launched = Launched()
    submitted = [*(asked or [])]
    if not submitted and state.has_ended:
        while not any(map(policy.final_job_action, state.rows)) and _rank(grid, state):
            state = grid.read_state()
        submitted = [row for row in state.rows if policy.final_job_action(row)]
        for row in submitted:
            if row.state != PLANNED:
                grid.say(f"{row.run_id} is retried after {row.state} {row.reason}".rstrip())
    if submitted:
        grid = _with_code(grid, code)
    lacks_final_job = grid.jobs.lacks_final_job and not state.has_ended
    if submitted or asked is not None or lacks_final_job:
        launched = launch(grid, state, submitted, configs if asked else None, retry=not asked)
    return _step(grid, state, {row.run_id for row in submitted} - launched.refused_ids, launched, run_ids)


def _current_code(grid: LockedGrid, run_ids: Set[str]) -> str:
    """The current code, if a command asks for it for all runs of a grid; else empty."""
    is_asked_for = grid.options.new_code and not run_ids
    return freeze_code(grid.results) if is_asked_for else ""


def _with_code(grid: LockedGrid, code: str) -> LockedGrid:
    """Record which code computes runs of a grid, before it does; the empty one changes nothing."""
    if not code:
        return grid
    plan = grid.plan.model_copy(update={"code": code})
    grid.results.write_grid(plan)
    return replace(grid, plan=plan)


def _step(grid: LockedGrid, state: GridRows, submitted: Set[str], launched: Launched, run_ids: Set[str]) -> Step:
    """The answer after some runs were submitted."""
    answer: Answer = "submitted"
    if not submitted:
        answer = "running" if not state.has_ended else "ended" if state.is_done else "stopped"
    left = [row for row in state.rows_of(run_ids) if row.run_id not in submitted]
    is_queued = answer in ("submitted", "running") and not grid.options.local
    exit_code = max((policy.shortfall(row, is_queued) for row in left), default=0)
    hints: list[str] = []
    if answer == "stopped":
        hints = [*next_commands(grid.results, grid.plan.name, left, grid.options.local)]
    elif answer == "running" and grid.options.local:
        hints = [f"grid {grid.plan.name}: another process trains runs of it; repeat the command when it has ended"]
    return Step(answer, max(exit_code, launched.exit_code), hints)


def _rank(grid: LockedGrid, state: GridRows) -> bool:
    """Rank the current rung of a search; return whether there was one, all of whose trials have ended."""
    rungs = state.search
    if rungs is None or rungs.current == rungs.last:
        return False
    ended_by_user = [row for row in state.rows if row.state in (CANCELLED, STOPPED) and not state.missed_ranking(row)]
    if ended_by_user:
        number = plural(len(ended_by_user), "cancelled or stopped trial")
        grid.say(f"rung {rungs.current} is not ranked without {number}")
        return False
    try:
        grid.say(rungs.rank_current().rankings[-1].describe())
    except UnrankedError as error:
        grid.say(str(error))
        return False
    return True


def submit_study(results: Results, study: Mapping[str, PlannedGrid], options: LaunchOptions) -> int:
    """Submit grids or train them here, record those that wait, and return the exit code."""
    requested = {name: _requested(results, planned, options) for name, planned in study.items()}
    wishes = []
    for name, planned in study.items():
        first: Callable[[Course], Step] = partial(_start, name=name)
        if planned.grid:
            first = partial(_submit, grid=planned.grid, requested=requested[name])
        wishes.append(Wish(name, first))
    return _carry_out(Course(results, options, to_record=[each for each in requested.values() if each.waits]), wishes)


def rerun_grid(results: Results, plan: GridPlan, run_ids: set[str], options: LaunchOptions) -> int:
    """Resubmit runs that ended without a result, and return the exit code."""
    requested = read_request(results, plan.name)
    if requested and requested.local and not options.local:
        rows = state_of(results, plan).rows_of(run_ids)
        hints = [*next_commands(results, plan.name, rows, is_local=True)]
        if hints:
            in_slurm = results.command("submit", plan.name)
            hints.append(f"grid {plan.name} was submitted for this machine; `{in_slurm}` submits it to Slurm")
        for line in hints or ["nothing to run"]:
            options.say(line)
        return max((policy.shortfall(row, is_queued=False) for row in rows), default=0)
    return _carry_out(Course(results, options), [Wish(plan.name, partial(_rerun, plan=plan, run_ids=run_ids), run_ids)])


def _carry_out(course: Course, wishes: Sequence[Wish]) -> int:
    """Carry out a command; return its exit code.

    Raises:
        StoppedError: it was stopped on this machine.
    """
    if course.options.local:
        with LocalRunner(course.results, course.say) as runner:
            course = replace(course, runner=runner)
            steps = carry_on(course, wishes)
            if course.is_stopped:
                raise StoppedError(f"stopped; to go on: `{_command_to_go_on(course, wishes, [*steps])}`")
            if runner.has_results and not _report(course, [*steps][-1]):
                return EXIT_FAILED
    else:
        steps = carry_on(course, wishes)
    for step in steps.values():
        for line in step.hints:
            course.say(line)
    if course.options.new_code:
        for name in steps:
            _renew_code(course, name)
    return max((step.exit_code for step in steps.values()), default=0)


def _command_to_go_on(course: Course, wishes: Sequence[Wish], begun: Sequence[str]) -> str:
    names = [*begun, *(wish.grid for wish in wishes)]
    names += [grid.name for grid in waiting_grids(course.results) if grid.local]
    again = ["submit", *dict.fromkeys(names)]
    for wish in wishes:
        if wish.run_ids:
            again = ["rerun", *(f"{wish.grid}/{short_id(run_id)}" for run_id in sorted(wish.run_ids))]
    at_once = [] if course.options.at_once is None else ["--at-once", str(course.options.at_once)]
    return course.results.command(*again, "--local", *at_once)


def _report(course: Course, grid: str) -> bool:
    """Build the report on this machine; return whether it was built.

    Raises:
        StoppedError: it was stopped.
    """
    results = course.results
    log = results.slurm / grid / "report.log"
    with open(log, "wb") as output:
        is_built = build_report(results, lambda: course.is_stopped, output)
    if course.is_stopped and not is_built:
        raise StoppedError(f"stopped; to go on: `{results.command('report')}`")
    course.say(f"report: {results.report / 'report.html'}" if is_built else f"report: FAILED; see {log}")
    return is_built


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


def _requested(results: Results, planned: PlannedGrid, options: LaunchOptions) -> RequestedGrid:
    """What is asked for; a grid that waits keeps the code of its plan, or of before, unless new code is asked for."""
    request = planned.request
    waits = planned.grid is None
    code = None
    with suppress(RunDirError):
        former = read_waiting(results, request.name)
        if former and former.request.asks_for_same(request):
            code = former.code
    plan = read_readable_plan(results, request.name)
    if options.new_code:
        code = freeze_code(results) if waits else None
    elif waits and code is None:
        code = (plan and plan.code) or freeze_code(results)
    cluster = options.cluster.as_given()
    return RequestedGrid(request=request, waits=waits, code=code, cluster=cluster, local=options.local)


def _record(course: Course) -> None:
    """Record the grids of a command that wait, once something of it is accepted: what is refused leaves no wish."""
    while course.to_record:
        requested = course.to_record.pop(0)
        with grid_lock(course.results, requested.name):
            set_damaged_request_aside(course.results, requested.name)
            former = read_waiting(course.results, requested.name)
            write_request(course.results, requested)
        if former and not former.request.asks_for_same(requested.request):
            course.say(f"grid {requested.name}: replaces the grid of this name that waited, which was another one")
        course.say(f"grid {requested.name}: {requested.describe()}")


def _followers(course: Course, base: str) -> list[str]:
    """The grids that wait for a grid."""
    where = course.options.local
    return [grid.name for grid in waiting_grids(course.results) if (grid.base, grid.local) == (base, where)]


def _start(course: Course, name: str) -> Step:
    """Submit a grid that waits as it was asked for, if it waits no longer; else record and tell why.

    Raises:
        UnansweredError, QueueFullError, LockedError: it was not submitted, which may be repeated.
    """
    results = course.results
    _record(course)
    waiting = read_waiting(results, name)
    if waiting is None:  # another process has submitted or cancelled it
        return go_on(course, name) if results.read_grid(name) else Step("stopped", EXIT_UNFINISHED)
    in_slurm = course.runner is None
    if in_slurm:
        cluster = ClusterFile.model_validate(waiting.cluster)
        course = replace(course, options=replace(course.options, cluster=cluster))
    exit_code = EXIT_FAILED
    try:
        grid = expand_when_ready(results, waiting.request)
        return _submit(course, grid, waiting.model_copy(update={"waits": False, "problem": ""}), if_waiting=True)
    except (UnansweredError, QueueFullError, LockedError):
        raise
    except UnfinishedBaseError as error:
        if in_slurm and course.ending is None and goes_on(results, waiting.base):
            return Step("waits", 0)
        exit_code = EXIT_UNFINISHED
        problem: SentimentError = error
    except SentimentError as error:
        problem = error
    change_waiting(results, name, problem=in_one_line(problem))
    course.say(f"grid {name} is still WAITING: {problem}")
    return Step("waits", exit_code)


def _submit(course: Course, grid: ExpandedGrid, requested: RequestedGrid, *, if_waiting: bool = False) -> Step:
    """Submit the runs that `policy.submit` names, and copy results that another grid has.

    Args:
        if_waiting: only if the grid waits, and nobody has submitted or cancelled it meanwhile.
    """
    with course.locked(grid.plan) as locked:
        if if_waiting and read_waiting(course.results, grid.plan.name) is None:
            raise LockedError(f"grid {grid.plan.name}: another command has submitted or cancelled it; repeat this one")
        step = _submit_locked(locked, grid, requested)
    _record(course)
    return step


def _submit_locked(locked: LockedGrid, grid: ExpandedGrid, requested: RequestedGrid) -> Step:
    """Record the plan and the request, and submit the runs; if Slurm accepts nothing, nothing is recorded."""
    _check_unplanned(locked, grid)
    _say_origin(locked)
    with _undone_if_refused(locked):
        code = _current_code(locked, frozenset()) or requested.code or ""
        locked = _with_code(locked, locked.plan.code or code or freeze_code(locked.results))
        write_request(locked.results, requested)
        locked = _reuse(locked, grid, code or locked.plan.code)
        state = locked.read_state()
        _say_what_is_left(locked, state)
        configs = {config.run_id: config for config in grid.configs}
        return advance(locked, state, state.to_submit, configs, code=code)


def _check_unplanned(locked: LockedGrid, grid: ExpandedGrid) -> None:
    """Raise LockedError if another command has planned the grid since it was expanded; set damaged records aside."""
    results = locked.results
    name = grid.plan.name
    file = results.grid_file(name)
    set_damaged_request_aside(results, name)
    if set_damaged_aside(file, GridPlan):
        locked.say(
            f"{file}: was damaged, and is kept as {file.name}.damaged; what the grid states counts as stated now"
        )
    stored = results.read_grid(name)
    if stored == grid.former:
        return
    if stored is None or stored.model_copy(update={"code": grid.plan.code}) != grid.plan:
        raise LockedError(f"grid {name}: another command has planned it meanwhile; repeat the command")


def _say_origin(locked: LockedGrid) -> None:
    origin = locked.plan.starts_from
    if origin:
        locked.say(f"grid {locked.plan.name}: {origin.describe()}")
        for line in origin.left_out:
            locked.say(f"left out of grid {origin.grid}: {line}")


def _reuse(locked: LockedGrid, grid: ExpandedGrid, code: str) -> LockedGrid:
    """Copy the results of this code that another grid has, and say of which runs results are kept."""
    results = locked.results
    completed = completed_elsewhere(results, grid, training_of(results, code))
    if completed:
        locked = _with_code(locked, code)
        copy_completed(results, grid.plan.name, completed)
        locked.say(f"{plural(len(completed), 'completed run')} of the same code and tweets copied from other grids")
    outdated = trained_on_old_inputs(locked.results, grid)
    if outdated:
        locked.say(
            f"{plural(len(outdated), 'completed run')} had other tweets, vectors or encoder weights than the "
            "current ones; to train one again, move its directory away, such as "
            f"{locked.results.run_dir(outdated[0], grid.plan.name).path}"
        )
    return locked


def _say_what_is_left(locked: LockedGrid, state: GridRows) -> None:
    """Say which runs are not submitted though they have no result."""
    name = locked.plan.name
    too_late = [row for row in state.rows if policy.submit(row) == "submits" and state.missed_ranking(row)]
    if too_late:
        locked.say(
            f"{len(too_late)} of {len(state.rows)} runs were unfinished when their rung was ranked; "
            f"`{locked.results.command('rerun', name)}` trains them to the end of that rung"
        )
    for line in describe_stuck(locked.results, name, state.rows):
        locked.say(line)


@contextmanager
def _undone_if_refused(locked: LockedGrid) -> Iterator[None]:
    """Leave the plan and the request as they were if Slurm accepts nothing."""
    results = locked.results
    name = locked.plan.name
    files = (results.grid_file(name), request_file(results, name))
    former = {file: file.read_bytes() for file in files if file.exists()}
    try:
        yield
    except LockedError:  # another command has taken the grid over, and the plan is its own
        raise
    except SentimentError:
        submissions = read_submissions(results, name)
        if any(not folder.receipt for folder in submissions):
            raise  # a job without an answer may live, and needs its plan
        is_unknown = not submissions and not has_runs(results, name)
        for file in files:
            if file in former:
                write_atomically(file, partial(_write, former[file]))
            elif is_unknown:
                file.unlink(missing_ok=True)
        raise


def _write(content: bytes, file: BinaryIO) -> object:
    return file.write(content)


def _rerun(course: Course, plan: GridPlan, run_ids: set[str]) -> Step:
    """Resubmit runs that ended without a result (no ids: all of them); in Slurm, release held jobs too."""
    with course.locked(plan) as grid:
        state = grid.read_state()
        selected = state.rows_of(run_ids)
        for line in describe_stuck(grid.results, plan.name, [row for row in selected if row.state != HELD]):
            grid.say(line)
        cancelled = [row.run_id for row in selected if row.state == CANCELLED]
        if cancelled and not run_ids:
            where = ["--local"] if course.options.local else []
            command = course.results.command("rerun", f"{plan.name}/{short_id(cancelled[0])}", *where)
            grid.say(f"{plural(len(cancelled), 'cancelled run')} left out; `{command}` resumes one by its name")
        release_code = 0 if course.options.local else release_held(grid)
        asked = [row for row in selected if policy.rerun(row, bool(run_ids)) == "submits"]
        with _undone_if_refused(grid):
            step = advance(grid, state, asked, run_ids=run_ids, code=_current_code(grid, run_ids))
    return step._replace(exit_code=max(step.exit_code, release_code))


def release_held(locked: LockedGrid) -> int:
    """Release all held jobs of the grid; say which were released, or why not all of them, and return the exit code."""
    held = [job.address for job in locked.jobs.held]
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


def _renew_code(course: Course, base: str) -> None:
    """Let the grids that wait for a grid, and those that wait for them, be computed by the current code too."""
    for name in _followers(course, base):
        change_waiting(course.results, name, code=freeze_code(course.results))
        course.say(f"grid {name}, which waits for {base}, will have the current code too")
        _renew_code(course, name)
