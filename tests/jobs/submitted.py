"""Plans and submissions that no Slurm knows of, runs that look begun, and their rows in `status`."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from jobs.grid_jobs import GridJobs
from jobs.job_kinds import KindName
from jobs.launch.locked_grid import LaunchOptions, LockedGrid
from jobs.slurm.commands import Job
from jobs.slurm.resources import ClusterFile, Resources
from jobs.status.grid_state import RunStatus
from jobs.submissions import Submission, SubmissionDir, new_submission, record_submission
from sentiment.config import RunConfig
from sentiment.runs.records import Attempt, EpochRow, Failure, GridPlan, MetricRow, Metrics, StepRow, timestamp
from sentiment.runs.run_dir import Results, RunDir
from tests.invented import attempt, new_plan, new_record

GRID = "g"
LAUNCH_FAILED = "launch failed requeued held"
"""The reason of a job that waits until somebody releases it."""


class DiedError(BaseException):
    """A process was killed: no handler, no word."""


def a_plan(run_ids: Iterable[str], **changes: Any) -> GridPlan:
    names = [*run_ids]
    return new_plan(GRID, names, [{"seed": seed} for seed in range(len(names))]).model_copy(update=changes)


PLAN = a_plan(f"run-{seed}" for seed in range(3))


def a_row(state: str = "COMPLETED", active: bool = False, **changes: object) -> RunStatus:
    row = RunStatus(state, active=active, grid="g", run_id="run-0", attempts=1)
    return replace(row, **changes)


def a_session(
    results: Results, jobs: GridJobs, plan: GridPlan = PLAN, say: Callable[[str], None] = print
) -> LockedGrid:
    """A session whose grid nobody has locked."""
    return LockedGrid(results, plan, jobs, LaunchOptions(ClusterFile(), say=say), lambda: None)


def write_job(
    results: Results,
    kind: KindName,
    tasks: list[list[str]],
    configs: Iterable[RunConfig] = (),
    *,
    job_id: str | None = None,
    after: str | None = None,
    grid: str = GRID,
    **more: Any,
) -> SubmissionDir:
    """A job's intent and, if it has an id, its receipt; `more` are fields of the submission or of its resources."""
    own = {name: more.pop(name) for name in ("local", "code", "retry") if name in more}
    job = Submission(kind=kind, tasks=tasks, configs=list(configs), resources=Resources(**more), **own)
    folder = record_submission(new_submission(results, grid, job, after))
    if job_id:
        folder.write_receipt(job_id)
    return folder


def submitted(
    results: Results, kind: KindName, job_id: str, runs: Sequence[str] = (), after: str | None = None, **more: Any
) -> SubmissionDir:
    return write_job(results, kind, [[run] for run in runs] or [[]], job_id=job_id, after=after, **more)


def write_submission(results: Results, tasks: Sequence[Sequence[RunConfig]], **resources: Any) -> SubmissionDir:
    run_ids = [[config.run_id for config in task] for task in tasks]
    return write_job(results, "train", run_ids, [config for task in tasks for config in task], **resources)


def queued(folder: SubmissionDir, task: int | None, reason: str, state: str = "PENDING") -> Job:
    return Job(folder.name, folder.job_id, task, state, reason)


def attempt_of(job: str | None, **changes: object) -> Attempt:
    """One that has begun at eleven o'clock, and has not ended but for the changes."""
    begun = {"job": job, "start": "2026-03-04T11:00:00+00:00", "last_step": None, "end": None, "reason": None}
    return attempt(**begun | {"compute_time": None} | changes)


def in_task(monkeypatch: pytest.MonkeyPatch, array: str = "7") -> None:
    """Let this process be task 0 of a job array."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", array)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")


def write_attempts(run_dir: RunDir, *attempts: Attempt) -> None:
    run_dir.path.mkdir(parents=True, exist_ok=True)
    run_dir.write_record(new_record(run_dir.path.name, attempts=list(attempts)))


UNKNOWN_METRICS = Metrics(
    n=2, loss=0.5, accuracy=0.5, accuracy_low=0, accuracy_high=1, sizes=[1, 1], precision=[0.5] * 2, recall=[0.5] * 2
)


def write_epochs(
    run_dir: RunDir, scores: Iterable[float], metric: str = "accuracy", losses: Sequence[float] = ()
) -> None:
    """The metric log of a run with these validation scores, and losses if there are any, after its epochs."""
    run_dir.path.mkdir(parents=True, exist_ok=True)
    rows: list[MetricRow] = [StepRow(step=1, epoch=1, loss=0.7)]
    for epoch, score in enumerate(scores, 1):
        of_epoch = {"precision": [score] * 2, "recall": [score] * 2} if metric == "macro_f1" else {metric: score}
        changed = {"loss": losses[epoch - 1] if epoch <= len(losses) else 0.5} | of_epoch
        validation = UNKNOWN_METRICS.model_copy(update=changed)
        rows.append(EpochRow(step=9 * epoch, epoch=epoch, best=False, train=UNKNOWN_METRICS, validation=validation))
    run_dir.metrics_file.write_text("".join(json.dumps(row.model_dump()) + "\n" for row in rows))


def a_failure(job: str | None = "7_3", error: str = "DivergedError", retry: bool = False) -> Failure:
    return Failure(job=job, time=timestamp(), error=error, reason="the loss is nan", traceback="...", retry=retry)
