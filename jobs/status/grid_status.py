"""The state of all runs of a grid: from submissions, run directories, and one question to Slurm."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.local.queue import LocalQueue
from jobs.policy import Queued, Verdict, judge
from jobs.slurm.commands import Job
from jobs.slurm.grid_jobs import GridJobs, read_jobs
from sentiment.errors import UsageError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import Standing, read_rungs
from sentiment.runs.state import HELD, PENDING, RUNNING, UNKNOWN, RunProgress, read_progress


@dataclass(frozen=True)
class RunStatus:
    """One run, as `jobs status` shows it."""

    grid: str
    run_id: str
    state: str
    reason: str
    job: str | None
    """The Slurm task that it was last given to, as Slurm's commands take it."""
    attempts: int
    epoch: int | None
    step: int | None
    score: float | None
    seen: str | None
    """The last sign of life (ISO 8601, UTC)."""
    elapsed: str | None
    """Of the task's present attempt, as Slurm writes it."""
    expected: str | None
    """When a waiting task is expected to begin, or when the time of a running one is over (ISO 8601, UTC)."""
    active: bool
    """Whether it waits or runs, and will end by itself."""
    begun: bool = False
    """Whether it has begun since it was last submitted, and has not ended by itself."""


@dataclass(frozen=True)
class GridStatus:
    """A grid's runs, in the order of its plan, and its other jobs."""

    name: str
    metric: str
    rows: list[RunStatus]
    others: dict[str, str]
    """The states of the newest job of each kind that trains no runs, by the kind."""
    final_failed: bool = False
    """Whether the newest job that ends the grid failed: `submit` and `rerun` submit another one."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read_plan(results: Results, grid: str) -> GridPlan:
    """The plan of a grid that was submitted.

    Raises:
        UsageError: there is no grid of this name.
    """
    if plan := results.read_grid(grid):
        return plan
    names = planned_grids(results)
    known = f"there are {', '.join(names)}" if names else "there are none yet"
    raise UsageError(f"{grid}: is no grid in {results.runs}; {known}")


def planned_grids(results: Results) -> list[str]:
    """Names of all grids that were submitted."""
    return sorted(path.parent.name for path in results.runs.glob("*/grid.json"))


def read_status(results: Results, grids: Sequence[str] | None = None) -> list[GridStatus]:
    """The state of grids, of all if none is named; Slurm is asked once.

    Raises:
        UsageError: there is no grid of a name.
    """
    plans = [read_plan(results, name) for name in grids or planned_grids(results)]
    jobs = read_jobs(results, [plan.name for plan in plans])
    return [read_grid_status(results, plan, one) for plan, one in zip(plans, jobs, strict=True)]


def read_grid_status(results: Results, plan: GridPlan, jobs: GridJobs) -> GridStatus:
    """The state of a grid's runs, wherever they were given to."""
    local = LocalQueue.of(results, plan.name).read()
    run_ids = dict.fromkeys([*(run.run_id for run in plan.runs), *jobs.places])
    standings = _standings(results, plan)
    rows = [_read_row(results, plan, jobs, local.get(run_id), (run_id, standings.get(run_id))) for run_id in run_ids]
    return GridStatus(plan.name, plan.metric, rows, jobs.service_states(), jobs.final_job_failed)


def read_run_status(results: Results, plan: GridPlan, run_id: str, jobs: GridJobs) -> RunStatus:
    """The state of one run."""
    local, standing = LocalQueue.of(results, plan.name).read(), _standings(results, plan).get(run_id)
    return _read_row(results, plan, jobs, local.get(run_id), (run_id, standing))


def _standings(results: Results, plan: GridPlan) -> dict[str, Standing]:
    rungs = read_rungs(results, plan)
    return rungs.standings if rungs else {}


def _read_row(
    results: Results, plan: GridPlan, jobs: GridJobs, local: Queued | None, trial: tuple[str, Standing | None]
) -> RunStatus:
    run_id, standing = trial
    progress = read_progress(results.run_dir(run_id, plan.name), plan)
    place = None if progress.completed else jobs.place(run_id, progress.last_attempt)
    verdict = judge(progress, local or jobs.queued(run_id, place), standing)
    return run_status(plan.name, run_id, progress, verdict, jobs.job(place) if place else None)


def run_status(grid: str, run_id: str, progress: RunProgress, verdict: Verdict, job: Job | None = None) -> RunStatus:
    """One run, given its progress, the verdict on its state, and the task that it was last given to."""
    present = job if job and job.active and (job.state == verdict.state or verdict.state != PENDING) else None
    expected = (present.end if present.state == RUNNING else present.start) if present else None
    return RunStatus(
        grid=grid,
        run_id=run_id,
        state=verdict.state,
        reason=verdict.reason,
        job=job.address if job else None,
        attempts=progress.attempts,
        epoch=progress.epoch,
        step=progress.step,
        score=progress.score,
        seen=_iso(datetime.fromtimestamp(progress.seen, UTC)) if progress.seen else None,
        elapsed=present.elapsed if present else None,
        expected=_iso(expected) if expected else None,
        active=verdict.active,
        begun=verdict.begun,
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def describe_held(grid: str, rows: Sequence[RunStatus]) -> Iterator[str]:
    """A line about runs that are not submitted because they are in the queue, but do not go on by themselves."""
    if number := sum(row.state == HELD for row in rows):
        yield f"{number} of {len(rows)} runs are held in Slurm's queue; `python -m jobs rerun {grid} --held` frees them"


def describe_unknown(rows: Iterable[RunStatus]) -> Iterator[str]:
    """A line for each reason why states are not known: these runs may still wait or run."""
    for reason, number in Counter(row.reason for row in rows if row.state == UNKNOWN).items():
        yield f"{number} run{'' if number == 1 else 's'} UNKNOWN: {reason}"
