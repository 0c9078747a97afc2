"""A job that is to be submitted, as the chain of a grid's jobs plans it and nothing has written it down yet."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from jobs.job_kinds import KindName
from jobs.slurm.resources import Resources
from jobs.slurm.submissions import Submission, SubmissionDir
from sentiment.config import RunConfig
from sentiment.records import timestamp
from sentiment.run_dir import Results


@dataclass(frozen=True)
class PlannedJob:
    """A job that is to be submitted: an array, or a single command."""

    kind: KindName
    tasks: list[list[str]]
    """The run ids of each task; a task that has no runs of its own has none."""
    configs: list[RunConfig]
    """Of the tasks' runs, in their order; for tasks without runs, of those that they work for."""
    resources: Resources
    """What each task gets."""
    parallelism: int
    """The largest number of tasks at a time."""
    code: str | None = None
    """The id of the copy of the program's code that its tasks import; None imports that of this clone."""
    cluster: dict[str, Any] = field(default_factory=dict)
    """For a job that ends a grid: what the cluster's file says (`jobs.slurm.resources.ClusterFile`)."""
    rung: int | None = None
    """Of a search, in which its runs train; None trains them to their end whatever the search says."""
    epochs: int | None = None
    """After how many its runs pause; None trains them to their end."""
    slots: list[list[int]] = field(default_factory=list)
    """The slots of each task, where it is not known yet which runs they train: slot 0 trains the trial that the ranking
    of the rung before puts first. Empty for tasks whose runs are known; else `tasks` has none."""


def new_submission(results: Results, grid: str, job: PlannedJob, signal_seconds: int, after: str | None) -> Submission:
    """An intent that is not written down yet. Whoever writes it down must hold the grid's lock: it has a number.

    Args:
        signal_seconds: how long before its end a task is warned.
        after: what the job waits for, as sbatch's option `--dependency` takes it.
    """
    number = 1 + max((SubmissionDir(path).number for path in (results.slurm / grid).glob("*/")), default=0)
    return Submission(
        id=f"{number:05}-{job.kind}-{secrets.token_hex(6)}",
        grid=grid,
        kind=job.kind,
        created=timestamp(),
        results=str(results.root.resolve()),
        tasks=job.tasks,
        resources=job.resources,
        parallelism=job.parallelism,
        signal_seconds=signal_seconds,
        after=after,
        code=job.code,
        cluster=job.cluster,
        rung=job.rung,
        epochs=job.epochs,
        slots=job.slots,
    )
