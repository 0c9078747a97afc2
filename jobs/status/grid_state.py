"""The state of each run of a grid: from its directory, its submissions and the queue."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from jobs.grid_jobs import GridJobs, read_jobs
from jobs.job_kinds import KindName
from jobs.policy import JudgedState, judge, submit
from jobs.status.names import planned_grids, read_plan, single_runs
from sentiment.console import plural
from sentiment.errors import RunDirError, in_one_line
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results
from sentiment.runs.rungs import Rungs, TrialRung, read_rungs
from sentiment.runs.state import HELD, UNKNOWN, read_progress


@dataclass(frozen=True, kw_only=True)
class RunStatus(JudgedState):
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
        is_local: all its jobs ran on this machine.
    """

    name: str
    metric: str
    rows: list[RunStatus]
    others: dict[str, str] = field(default_factory=dict)
    failed_kinds: list[KindName] = field(default_factory=list)
    damage: str = ""
    is_local: bool = False


@dataclass(frozen=True)
class GridRows:
    """The state of a grid's planned runs at one moment: all that a command's choice of runs depends on.

    Attributes:
        rungs: of a search with early termination; else None.
    """

    rows: list[RunStatus]
    rungs: Rungs | None

    def rows_of(self, run_ids: Collection[str]) -> list[RunStatus]:
        """The rows of the given runs; of all, if none is given."""
        return [row for row in self.rows if not run_ids or row.run_id in run_ids]

    @property
    def to_submit(self) -> list[RunStatus]:
        """The rows of the runs that `submit` submits."""
        return [row for row in self.rows if submit(row) == "submits" and not self.missed_ranking(row)]

    def missed_ranking(self, row: RunStatus) -> bool:
        """Whether the run is a trial whose rung was ranked without it."""
        return self.rungs is not None and self.rungs.is_decided(row.run_id)


# A plan that supplies the metric of runs outside of grids; it is never written.
_NO_PLAN = GridPlan.model_construct(name=SINGLE, metric="validation/macro_f1", goal="maximize", runs=[])


def read_status(results: Results, names: Sequence[str] = ()) -> list[GridView]:
    """The state of the named grids (default: all), followed by that of the runs outside of grids (`single`)."""
    with_runs = {path.parents[1].name for path in results.runs.glob("*/*/config.json")}  # some may lack their plan
    grids = [name for name in names or sorted({*planned_grids(results), *with_runs}) if name != SINGLE]
    try:
        statuses = _read_grids(results, grids)
    except RunDirError:
        statuses = [_read_damaged(results, grid) for grid in grids]
    if names and SINGLE not in names:
        return statuses
    no_jobs = GridJobs((), ())
    rows = [_read_row(results, _NO_PLAN, no_jobs, run_dir.path.name, None) for run_dir in single_runs(results)]
    if rows:
        statuses.append(GridView(SINGLE, _NO_PLAN.metric, rows))
    return statuses


def _read_grids(results: Results, grids: Sequence[str]) -> list[GridView]:
    plans = [read_plan(results, grid) for grid in grids]
    return [read_grid_status(results, plan, jobs) for plan, jobs in zip(plans, read_jobs(results, grids), strict=True)]


def _read_damaged(results: Results, grid: str) -> GridView:
    """The status of one grid; if one of its files is damaged, only which one and why."""
    try:
        (status,) = _read_grids(results, [grid])
    except RunDirError as error:
        return GridView(grid, "", [], damage=in_one_line(error))
    return status


def read_grid_state(results: Results, plan: GridPlan, jobs: GridJobs) -> GridRows:
    """The state of a grid's runs and the rungs of its search, each read once."""
    rungs = read_rungs(results, plan)
    trial_rungs = rungs.trial_rungs if rungs else {}
    varied = {name for name, values in plan.parameter_values.items() if len(values) > 1}
    rows = []
    for run in plan.runs:
        parameters = {name: value for name, value in run.parameters.items() if name in varied}
        row = _read_row(results, plan, jobs, run.run_id, trial_rungs.get(run.run_id))
        rows.append(replace(row, parameters=parameters))
    return GridRows(rows, rungs)


def read_grid_status(results: Results, plan: GridPlan, jobs: GridJobs) -> GridView:
    """The state of a grid's runs, on Slurm or on this machine."""
    rows = read_grid_state(results, plan, jobs).rows
    return GridView(
        plan.name,
        plan.metric,
        rows,
        jobs.other_job_states(),
        failed_kinds=list(jobs.failed_other_jobs),
        is_local=jobs.are_local,
    )


def _read_row(results: Results, plan: GridPlan, jobs: GridJobs, run_id: str, trial_rung: TrialRung | None) -> RunStatus:
    progress = read_progress(results.run_dir(run_id, plan.name), plan)
    attempt = progress.last_attempt
    task = None if progress.completed else jobs.task_of(run_id, attempt)
    judged = judge(progress, jobs.queued(run_id, task, attempt), trial_rung)
    job = jobs.job(task) if task else None
    seen = datetime.fromtimestamp(progress.seen, UTC).isoformat(timespec="seconds") if progress.seen else None
    return RunStatus(
        **vars(judged),
        grid=plan.name,
        run_id=run_id,
        job=job.address if job else None,
        attempts=progress.attempts,
        epoch=progress.epoch,
        step=progress.step,
        score=progress.score,
        seen=seen,
    )


def describe_held(results: Results, grid: str, rows: Sequence[RunStatus]) -> Iterator[str]:
    """One line that counts the runs whose Slurm jobs are held, and says how they are released."""
    if number := sum(row.state == HELD for row in rows):
        command = results.command("rerun", grid)
        yield f"{number} of {len(rows)} runs are held; `{command}` releases them, or says that an administrator has to"


def describe_unknown(rows: Iterable[RunStatus]) -> Iterator[str]:
    """One line for each reason why runs are UNKNOWN; such runs may still be pending or running."""
    for reason, number in Counter(row.reason for row in rows if row.state == UNKNOWN).items():
        yield f"{plural(number, 'run')} UNKNOWN: {reason}"
