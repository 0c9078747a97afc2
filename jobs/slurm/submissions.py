"""What was submitted to Slurm, on disk: the intent before Slurm is asked, its receipt afterwards."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from jobs.job_kinds import JOB_KINDS, JobKind, KindName
from jobs.slurm.commands import Job
from jobs.slurm.resources import Resources
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import write_atomically, write_json
from sentiment.records import SCHEMA_VERSION, Failure, Record, timestamp
from sentiment.run_dir import Results

R = TypeVar("R", bound=Record)


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
    cluster: dict[str, Any] = field(default_factory=dict)
    """For a job that ends a grid: what the cluster's file says (`jobs.slurm.resources.ClusterFile`)."""
    retries: dict[str, str] = field(default_factory=dict)
    """The causes for which runs are submitted again by themselves, by run id."""


class Submission(Record):
    """`submission.json`, the intent: all that any later command needs to know."""

    schema_version: int = SCHEMA_VERSION
    id: str
    """Time, kind, and a random number."""
    grid: str
    kind: KindName
    created: str
    """ISO 8601, UTC."""
    results: str
    """The root of the results, absolute."""
    tasks: list[list[str]]
    """As in `PlannedJob`."""
    resources: Resources
    parallelism: int
    signal_seconds: int
    """How long before its end a task is warned."""
    after: str | None
    """What it waits for, as sbatch's option `--dependency` takes it."""
    cluster: dict[str, Any] = Field(default_factory=dict)
    retries: dict[str, str] = Field(default_factory=dict)
    """As in `PlannedJob`, like `cluster`."""

    @property
    def job_kind(self) -> JobKind:
        """What distinguishes this kind of job."""
        return JOB_KINDS[self.kind]

    @property
    def pooled(self) -> bool:
        """Whether its tasks work off all of its runs together, so that any of them may take a run."""
        return self.job_kind.trains_runs and self.resources.tasks is not None

    @property
    def name(self) -> str:
        """The job's name in Slurm, which is unique, so that the job can be found again."""
        return f"{self.grid}-{self.id}"

    @property
    def folder(self) -> "SubmissionDir":
        """The folder that it is written to."""
        return SubmissionDir(Results(Path(self.results)).slurm / self.grid / self.id)


class Receipt(Record):
    """`receipt.json`: what Slurm answered."""

    job_id: str
    accepted: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class SubmissionDir:
    """Names and readers of one submission's folder, `results/slurm/<grid>/<time>-<kind>-<random>`."""

    path: Path

    @property
    def submission_file(self) -> Path:
        """The intent; of all files only the receipt is written later."""
        return self.path / "submission.json"

    @property
    def receipt_file(self) -> Path:
        """Missing if Slurm was not asked, or the asking process died before it could write the answer."""
        return self.path / "receipt.json"

    @property
    def configs_file(self) -> Path:
        """The configuration of each run, a line each, in the order of the tasks."""
        return self.path / "configs.jsonl"

    @property
    def cancelled_file(self) -> Path:
        """What `jobs cancel` ended and nothing starts again: numbers of tasks, and ids of runs whose siblings go on."""
        return self.path / "cancelled.json"

    @property
    def logs(self) -> Path:
        """What Slurm and the tasks print, one file for all attempts of a task."""
        return self.path / "logs"

    def run_log(self, run_id: str) -> Path:
        """What a run prints that shares its task with others."""
        return self.logs / f"{run_id}.log"

    def progress_file(self, task: int) -> Path:
        """What a task had done when it was last requeued."""
        return self.path / f"progress-{task}.json"

    def failure_file(self, task: int) -> Path:
        """Why a task that has no runs of its own failed."""
        return self.path / f"failure-{task}.json"

    @cached_property
    def submission(self) -> Submission:
        """The intent.

        Raises:
            RunDirError: it cannot be read.
        """
        return _read(self.submission_file, Submission)

    @cached_property
    def receipt(self) -> Receipt | None:
        """Slurm's answer; None while it is not known."""
        return _read(self.receipt_file, Receipt) if self.receipt_file.exists() else None

    @property
    def cancelled(self) -> set[int | str]:
        """Numbers of the cancelled tasks, and ids of the runs that were cancelled one by one."""
        return set(json.loads(self.cancelled_file.read_bytes())) if self.cancelled_file.exists() else set()

    @property
    def job_id(self) -> str:
        """The job's id in Slurm.

        Raises:
            RunDirError: there is no receipt.
        """
        if self.receipt is None:
            raise RunDirError(f"{self.path}: has no receipt, so its job is not known; submit again")
        return self.receipt.job_id

    def job(self, task: int) -> str:
        """A task's name for Slurm's commands; needs the receipt, like `job_id`."""
        return f"{self.job_id}_{task}" if self.submission.job_kind.is_array else self.job_id

    def log_file(self, task: int) -> Path | None:
        """A task's log; None while its job is not known, or if nothing was written."""
        return next(self.logs.glob(f"*{self.job(task)}_0_log.out"), None) if self.receipt else None

    def read_configs(self, task: int) -> list[RunConfig]:
        """The configurations of a task's runs; for a task without runs, of all that it works for."""
        tasks = self.submission.tasks
        first = sum(map(len, tasks[:task]))
        end = first + len(tasks[task]) if tasks[task] else None
        with open(self.configs_file, encoding="utf-8") as lines:
            return [RunConfig.model_validate_json(line) for line in islice(lines, first, end)]

    def read_all_configs(self) -> list[RunConfig]:
        """The configurations of all tasks' runs."""
        with open(self.configs_file, encoding="utf-8") as lines:
            return [RunConfig.model_validate_json(line) for line in lines]

    def read_failure(self, task: int) -> Failure | None:
        """Why a task that has no runs of its own failed, if it did."""
        file = self.failure_file(task)
        return _read(file, Failure) if file.exists() else None

    def accept(self, job_id: str) -> None:
        """Write the receipt."""
        receipt = Receipt(job_id=job_id, accepted=timestamp())
        write_json(self.receipt_file, receipt.model_dump(mode="json"))
        self.__dict__["receipt"] = receipt

    def withdraw(self) -> None:
        """Slurm knows nothing of this intent, so it no longer counts."""
        self.submission_file.rename(self.path / "withdrawn.json")

    def cancel(self, marks: Iterable[int | str]) -> None:
        """Mark tasks, by number, and runs, by id, as cancelled. The caller must hold the grid's lock."""
        write_json(self.cancelled_file, sorted(self.cancelled.union(marks), key=str))


def new_submission(results: Results, grid: str, job: PlannedJob, signal_seconds: int, after: str | None) -> Submission:
    """An intent that is not written down yet.

    Args:
        signal_seconds: how long before its end a task is warned.
        after: what the job waits for, as sbatch's option `--dependency` takes it.
    """
    now = datetime.now(UTC)
    return Submission(
        id=f"{now:%Y%m%d-%H%M%S-%f}-{job.kind}-{secrets.token_hex(3)}",
        grid=grid,
        kind=job.kind,
        created=now.isoformat(timespec="seconds"),
        results=str(results.root.resolve()),
        tasks=job.tasks,
        resources=job.resources,
        parallelism=job.parallelism,
        signal_seconds=signal_seconds,
        after=after,
        cluster=job.cluster,
        retries=job.retries,
    )


def write_intent(submission: Submission, configs: Iterable[RunConfig]) -> SubmissionDir:
    """Write an intent down; from then on the job can be found again by its name, whatever happens."""
    folder = submission.folder
    folder.logs.mkdir(parents=True)
    text = "".join(config.model_dump_json() + "\n" for config in configs)
    write_atomically(folder.configs_file, lambda file: file.write(text.encode()))
    write_json(folder.submission_file, submission.model_dump(mode="json"))
    return folder


def read_submissions(results: Results, grid: str | None = None) -> list[SubmissionDir]:
    """The submissions of a grid, or of all grids, the oldest first."""
    folders = (path.parent for path in results.slurm.glob(f"{grid or '*'}/*/submission.json"))
    return [SubmissionDir(path) for path in sorted(folders, key=lambda path: path.name)]


def reconcile(submissions: Iterable[SubmissionDir], queue: Iterable[Job]) -> list[SubmissionDir]:
    """Find missing receipts by the jobs' names, and withdraw intents that never reached Slurm.

    The caller must hold the grid's lock: otherwise a missing receipt may be one that is about to be written.
    """
    job_ids = {job.name: job.job_id for job in queue}
    known = []
    for folder in submissions:
        if folder.receipt is None:
            job_id = job_ids.get(folder.submission.name)
            if job_id is None:
                folder.withdraw()
                continue
            folder.accept(job_id)
        known.append(folder)
    return known


def _read(path: Path, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
