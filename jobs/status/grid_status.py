"""The state of all runs of all grids: from manifests, run directories and one question to Slurm."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jobs.slurm.commands import Job, read_accounting, read_queue
from jobs.slurm.submissions import SubmissionDir
from jobs.status.slurm_task_state import SlurmTask, read_termination
from sentiment.errors import NoSlurmError, UsageError
from sentiment.records import GridPlan
from sentiment.run_dir import Results
from sentiment.run_state import HELD, PLANNED, RunProgress, RunState, judge, read_progress

GOOD = ("COMPLETED",)
CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class RunStatus:
    """One run, as `jobs status` shows it."""

    grid: str
    run_id: str
    state: str
    reason: str
    job: str | None
    """The task that it was last given to, as Slurm's commands take it."""
    attempts: int
    epoch: int | None
    step: int | None
    score: float | None
    seen: str | None
    """The last sign of life (ISO 8601, UTC)."""
    elapsed: str | None
    """Of the task's present attempt, as Slurm writes it."""
    expected: str | None
    """When a waiting task is expected to begin, or the time of a running one is over."""
    active: bool
    """Whether it waits or runs, and will end by itself."""

    @property
    def held(self) -> bool:
        """Whether it is in the queue, but begins only when somebody releases it."""
        return self.state == HELD

    @property
    def failed(self) -> bool:
        """Whether it needs somebody: it has ended without a result or is held, and not by its user's wish."""
        return not self.active and self.state not in (*GOOD, CANCELLED, PLANNED)


@dataclass(frozen=True)
class GridStatus:
    """A grid's runs, in the order of its plan, and its other jobs."""

    name: str
    metric: str
    rows: list[RunStatus]
    others: dict[str, str]
    """The state of the newest cache and report job, where there are any."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def ask_slurm() -> list[Job] | None:
    """The queue; None where there is no Slurm.

    Raises:
        SlurmError: there is one, but it does not answer.
    """
    try:
        return read_queue()
    except NoSlurmError:
        return None


def read_plan(results: Results, grid: str) -> GridPlan:
    """The plan of a grid that was submitted.

    Raises:
        UsageError: there is none of this name.
    """
    if plan := results.read_grid(grid):
        return plan
    names = planned_grids(results)
    known = f"there are {', '.join(names)}" if names else "there are none yet"
    raise UsageError(f"{grid}: is no grid in {results.runs}; {known}")


def planned_grids(results: Results) -> list[str]:
    """Names of all grids that were submitted."""
    return sorted(path.parent.name for path in results.runs.glob("*/grid.json"))


def newest_tasks(submissions: Iterable[SubmissionDir]) -> dict[str, tuple[SubmissionDir, int]]:
    """For each run the training task that it was last given to."""
    found = {}
    for folder in submissions:
        if folder.submission.kind == "train":
            for task, runs in enumerate(folder.submission.tasks):
                found.update(dict.fromkeys(runs, (folder, task)))
    return found


def read_grid_status(
    results: Results, plan: GridPlan, submissions: list[SubmissionDir], queue: Sequence[Job] | None
) -> GridStatus:
    """The state of a grid's runs; `queue` is None where there is no Slurm to ask."""
    jobs = {(job.name, job.task): job for job in queue or ()}
    held = [job for job in queue or () if job.held]
    accounted = _accounting(submissions, asked=queue is not None)
    places = newest_tasks(submissions)
    rows = []
    for run_id in dict.fromkeys([*(run.run_id for run in plan.runs), *places]):
        progress = read_progress(results.run_dir(run_id, plan.name), plan)
        task = None
        if not progress.completed and run_id in places:
            task = _task(*places[run_id], submissions, jobs, held, queue is not None, accounted)
        rows.append(_row(plan.name, run_id, progress, task, judge(progress, task)))
    return GridStatus(plan.name, plan.metric, rows, _other_jobs(submissions, jobs))


def _accounting(submissions: list[SubmissionDir], asked: bool) -> Callable[[], dict[tuple[str, int | None], Job]]:
    """One question to sacct, when the first run needs it."""

    @cache
    def ask() -> dict[tuple[str, int | None], Job]:
        if not asked or not submissions:
            return {}
        since = datetime.fromisoformat(submissions[0].submission.created)
        found = read_accounting((folder.submission.name for folder in submissions), since)
        return {(job.name, job.task): job for job in found}

    return ask


def _task(
    folder: SubmissionDir,
    number: int,
    submissions: list[SubmissionDir],
    jobs: dict[tuple[str, int | None], Job],
    held: list[Job],
    asked: bool,
    accounting: Callable[[], dict[tuple[str, int | None], Job]],
) -> SlurmTask:
    key = (folder.submission.name, number)
    return SlurmTask(
        name=f"task {folder.job(number)}" if folder.receipt else folder.submission.name,
        job=_find(jobs, key),
        asked=asked,
        cancelled=number in folder.cancelled,
        log=lambda: folder.log_file(number),
        accounted=lambda: _find(accounting(), key),
        broken_dependency=lambda: _failure_before(submissions, folder),
        held_before=lambda: _held_before(held, folder),
    )


def _find(jobs: dict[tuple[str, int | None], Job], key: tuple[str, int]) -> Job | None:
    """A task's job; tasks that were cancelled before they began may have but their array's."""
    return jobs.get(key) or jobs.get((key[0], None))


def _failure_before(submissions: list[SubmissionDir], waiting: SubmissionDir) -> str:
    """Why a job that training waited for failed, as far as it or Slurm said."""
    _, *ids = (waiting.submission.after or "").split(":")
    for folder in (one for one in submissions if one.receipt and one.receipt.job_id in ids):
        kind = folder.submission.kind
        for number in range(len(folder.submission.tasks)):
            if failure := folder.read_failure(number):
                return f"its {kind} job failed: {failure.error}: {failure.reason}"
            if terminated := read_termination(folder.log_file(number)):
                return f"its {kind} job ended with {terminated.state}: {terminated.reason}"
    return f"what it waited for ({waiting.submission.after}) did not succeed"


def _held_before(held: Iterable[Job], waiting: SubmissionDir) -> Job | None:
    """The first of the held jobs that a training job waits for."""
    _, *ids = (waiting.submission.after or "").split(":")
    return next((job for job in held if job.job_id in ids), None)


def _other_jobs(submissions: list[SubmissionDir], jobs: dict[tuple[str, int | None], Job]) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in submissions:
        if folder.submission.kind != "train":
            states = [
                HELD if job.held else job.state for (name, _), job in jobs.items() if name == folder.submission.name
            ]
            found[folder.submission.kind] = ", ".join(sorted(set(states))) or "not in the queue any more"
    return found


def _row(grid: str, run_id: str, progress: RunProgress, task: SlurmTask | None, verdict: RunState) -> RunStatus:
    job = task.job if task else None
    active = verdict.state == "RUNNING" or bool(job and job.active and verdict.state not in ("FAILED", HELD))
    expected = (job.end if job.state == "RUNNING" else job.start) if job and job.active else None
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
        elapsed=job.elapsed if job and job.active else None,
        expected=_iso(expected) if expected else None,
        active=active,
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
