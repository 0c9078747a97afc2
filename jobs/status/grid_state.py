"""The state of each run of a grid: from its directory, its submissions and the queue."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jobs import policy
from jobs.grid_jobs import GridJobs, QueueAnswer, ask_queue, read_jobs
from jobs.job_kinds import KindName
from jobs.requested import RequestedGrid, read_request, read_waiting
from jobs.status.names import Target, find_targets, read_plan
from sentiment.console import plural
from sentiment.errors import EXIT_FAILED, EXIT_UNFINISHED, RunDirError, in_one_line
from sentiment.runs.halving import HalvingSearch, read_search
from sentiment.runs.reader import RecordedRun, read_runs
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results
from sentiment.runs.state import CANCELLED, CANCELLING, COMPLETED, HELD, PRUNED, UNKNOWN, RunState, judge


@dataclass(frozen=True, kw_only=True)
class RunStatus(RunState):
    """The state of one run, with what `sentiment status` shows beside it.

    Attributes:
        job: the Slurm id (ARRAY_TASK) of the task that owns the run or could take it.
        seen: when the run last wrote anything (ISO 8601, UTC).
        parameters: the values of those parameters that vary in its grid.
    """

    grid: str
    run_id: str
    job: str | None = None
    attempts: int = 0
    epoch: int | None = None
    step: int | None = None
    score: float | None = None
    seen: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GridView:
    """A grid's runs, in the order of its plan, and its other jobs.

    Attributes:
        others: the state of the latest job of each kind that trains no runs, by kind.
        failed_kinds: the kinds of `others` whose latest job failed; `submit` and `rerun` replace them.
        damage: the file of the grid that cannot be read, and why; then there are no rows.
        is_local: it was submitted last for this machine.
        has_final_job: a final job is in the queue, which may submit more jobs.
        waits_for: the grid that it waits for; empty if it does not.
        problem: why a grid that waits could not be submitted when the other one had ended.
        note: why the grid waits, has no runs, or has UNKNOWN `others`; folders that are left out, such as copies.
    """

    name: str
    metric: str
    rows: list[RunStatus]
    others: dict[str, str] = field(default_factory=dict)
    failed_kinds: list[KindName] = field(default_factory=list)
    damage: str = ""
    is_local: bool = False
    has_final_job: bool = False
    waits_for: str = ""
    problem: str = ""
    note: str = ""

    @property
    def may_go_on(self) -> bool:
        """Whether a run is active or UNKNOWN, or a final job may submit more."""
        return self.has_final_job or any(map(policy.may_go_on, self.rows))

    @property
    def has_stuck_final_job(self) -> bool:
        """Whether its final job failed or is held, so that a person has to bring it back."""
        return "report" in self.failed_kinds or self.others.get("report") == HELD


@dataclass(frozen=True)
class GridRows:
    """The state of a grid's planned runs at one moment: all that a command's choice of runs depends on.

    Attributes:
        search: by successive halving, if it is one.
        copies: as in `RecordedGrid`.
    """

    rows: list[RunStatus]
    search: HalvingSearch | None
    copies: Mapping[str, str]

    def rows_of(self, run_ids: Collection[str]) -> list[RunStatus]:
        """The rows of the given runs; of all, if none is given."""
        return [row for row in self.rows if not run_ids or row.run_id in run_ids]

    @property
    def has_ended(self) -> bool:
        """Whether nothing of the grid is in the queue, as far as is known; what is HELD is there too."""
        return not any(policy.may_go_on(row) or row.state == HELD for row in self.rows)

    @property
    def is_done(self) -> bool:
        """Whether each run is completed or pruned."""
        return all(row.state in (COMPLETED, PRUNED) for row in self.rows)

    @property
    def to_submit(self) -> list[RunStatus]:
        """The rows of the runs that `submit` submits."""
        return [row for row in self.rows if policy.submit(row) == "submits" and not self.missed_ranking(row)]

    def missed_ranking(self, row: RunStatus) -> bool:
        """Whether the run is a trial of a search that was ranked without it."""
        return self.search is not None and self.search.is_decided(row.run_id)


def read_status(results: Results, names: Sequence[str] = ()) -> list[GridView]:
    """The state of the named grids and runs (default: all), followed by that of runs outside of grids (`single`)."""
    targets = {target.grid: target for target in find_targets(names, results)}
    views = []
    ask = cache(ask_queue)
    for grid in targets:
        if grid == SINGLE:
            continue
        try:
            views.append(_read_grid(results, grid, ask))
        except RunDirError as error:
            views.append(GridView(grid, "", [], damage=in_one_line(error)))
    if not names or SINGLE in targets:
        recorded = read_runs(results, SINGLE, None)
        rows = [_row(SINGLE, run, GridJobs(())) for run in recorded.runs]
        if rows or recorded.copies:
            views.append(GridView(SINGLE, "validation/macro_f1", rows, note="; ".join(recorded.copies.values())))
    shown = []
    for view in views:
        target = targets.get(view.name, Target(view.name))
        shown.append(replace(view, rows=[row for row in view.rows if target.includes(row.run_id)]))
    return shown


def _read_grid(results: Results, grid: str, ask: Callable[[Results], QueueAnswer]) -> GridView:
    waiting = read_waiting(results, grid)
    if waiting and results.read_grid(grid) is None:
        return _waiting(GridView(grid, "", []), waiting)
    return read_grid_status(results, read_plan(results, grid), read_jobs(results, grid, ask))


def read_grid_state(results: Results, plan: GridPlan, jobs: GridJobs) -> GridRows:
    """The state of a grid's planned runs, and its search, each read once."""
    search = read_search(results, plan)
    recorded = read_runs(results, plan.name, plan, search)
    varied = {name for name, values in plan.parameter_values.items() if len(values) > 1}
    rows = []
    for run in recorded.runs:
        if run.planned:
            parameters = {name: value for name, value in run.planned.parameters.items() if name in varied}
            rows.append(replace(_row(plan.name, run, jobs), parameters=parameters))
    return GridRows(rows, search, recorded.copies)


def read_grid_status(results: Results, plan: GridPlan, jobs: GridJobs) -> GridView:
    """The state of a grid's runs, on Slurm or on this machine."""
    state = read_grid_state(results, plan, jobs)
    requested = read_request(results, plan.name)
    notes = [*state.copies.values()]
    if plan.starts_from and not plan.runs:
        notes.append(f"no runs: {plan.starts_from.describe()}")
    others = jobs.other_job_states()
    if jobs.queue_error and UNKNOWN in others.values() and not any(row.state == UNKNOWN for row in state.rows):
        notes.append(jobs.queue_error)
    view = GridView(
        plan.name,
        plan.metric,
        state.rows,
        others,
        failed_kinds=list(jobs.failed_other_jobs),
        is_local=requested is not None and requested.local,
        has_final_job=jobs.has_final_job,
        note="; ".join(notes),
    )
    return _waiting(view, requested) if requested and requested.waits else view


def _waiting(view: GridView, waiting: RequestedGrid) -> GridView:
    """The status of a grid that waits for another one, perhaps with some of its runs."""
    return replace(
        view,
        is_local=waiting.local,
        waits_for=waiting.base,
        problem=waiting.problem,
        note=waiting.describe(),
    )


def _row(grid: str, run: RecordedRun, jobs: GridJobs) -> RunStatus:
    progress, view = jobs.look(run.run_id, run.progress)
    seen = progress.last_attempt.end if progress.last_attempt else None
    if progress.seen:
        seen = datetime.fromtimestamp(progress.seen, UTC).isoformat(timespec="seconds")
    return RunStatus(
        **vars(judge(progress, run.trial, view)),
        grid=grid,
        run_id=run.run_id,
        job=view.job,
        attempts=progress.attempts,
        epoch=progress.epoch,
        step=progress.step,
        score=progress.score,
        seen=seen,
    )


def exit_code(views: Sequence[GridView]) -> int:
    """The exit code of `status`, by all runs of these grids and by their other jobs; see `jobs/README.md`.

    Runs outside of grids count only where there are no grids.
    """
    counted = [view for view in views if view.name != SINGLE] or views
    rows = [row for view in counted for row in view.rows]
    if any(view.may_go_on for view in counted):
        return EXIT_UNFINISHED
    if any(view.has_stuck_final_job or view.damage or view.problem for view in counted):
        return EXIT_FAILED
    if any(policy.needs_attention(row) or row.state == CANCELLED for row in rows):
        return EXIT_FAILED
    is_done = all(row.state in (COMPLETED, PRUNED) for row in rows) and not any(view.waits_for for view in counted)
    return 0 if is_done else EXIT_UNFINISHED


def describe_stuck(results: Results, grid: str, rows: Sequence[RunStatus]) -> Iterator[str]:
    """A line on runs whose Slurm jobs are held, and on UNKNOWN and CANCELLING ones, of which processes may live."""
    if number := sum(row.state == HELD for row in rows):
        command = results.command("rerun", grid)
        yield f"{number} of {len(rows)} runs are held; `{command}` releases them, or says that an administrator has to"
    living = Counter((row.state, row.reason) for row in rows if row.state in (UNKNOWN, CANCELLING))
    for (state, reason), number in living.items():
        yield f"{plural(number, 'run')} {state}: {reason}"
