"""What was submitted to Slurm, on disk: the intent before Slurm is asked, its receipt afterwards."""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from jobs.slurm.commands import Job
from jobs.slurm.resources import Kind, Resources
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import write_atomically, write_json
from sentiment.records import SCHEMA_VERSION, Failure, Record, timestamp
from sentiment.run_dir import Results

R = TypeVar("R", bound=Record)


class Submission(Record):
    """`submission.json`, the intent: all that any later command needs to know."""

    schema_version: int = SCHEMA_VERSION
    id: str
    """Time, kind, and a random number."""
    grid: str
    kind: Kind
    created: str
    """ISO 8601, UTC."""
    results: str
    """The root of the results, absolute."""
    tasks: list[list[str]]
    """The run ids of each task of the array; a task of another kind than training has none of its own."""
    resources: Resources
    """What each task may use."""
    parallelism: int
    """So many tasks at a time."""
    signal_seconds: int
    """So long before its end a task is warned."""
    after: str | None
    """What it waits for, as sbatch takes it."""

    @property
    def name(self) -> str:
        """The job's name in Slurm, unlike any other's, by which it is found again."""
        return f"{self.grid}-{self.id}"

    @property
    def folder(self) -> "SubmissionDir":
        """Where it is written down."""
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
        """The intent; written last but for the receipt."""
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
        """Numbers of the tasks that `jobs cancel` ended: they do not go on, whatever starts them."""
        return self.path / "cancelled.json"

    @property
    def logs(self) -> Path:
        """What Slurm and the tasks print, a file for each task and all its attempts."""
        return self.path / "logs"

    def progress_file(self, task: int) -> Path:
        """What a task had done when it was last requeued."""
        return self.path / f"progress-{task}.json"

    def failure_file(self, task: int) -> Path:
        """Why a task that belongs to no run failed."""
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
        """Slurm's answer, if it is known."""
        return _read(self.receipt_file, Receipt) if self.receipt_file.exists() else None

    @property
    def cancelled(self) -> set[int]:
        """Numbers of the cancelled tasks."""
        return set(json.loads(self.cancelled_file.read_bytes())) if self.cancelled_file.exists() else set()

    def job(self, task: int) -> str:
        """A task's name for Slurm's commands; needs the receipt."""
        if self.receipt is None:
            raise RunDirError(f"{self.path}: has no receipt, so that its job is not known")
        return self.receipt.job_id if self.submission.kind == "report" else f"{self.receipt.job_id}_{task}"

    def log_file(self, task: int) -> Path | None:
        """A task's log; None while it is not known, or none was written."""
        return next(self.logs.glob(f"*{self.job(task)}_0_log.out"), None) if self.receipt else None

    def read_configs(self, task: int) -> list[RunConfig]:
        """The configurations of a task's runs; those of all runs for a task that has none of its own."""
        tasks = self.submission.tasks
        first = sum(map(len, tasks[:task]))
        end = first + len(tasks[task]) if tasks[task] else None
        with open(self.configs_file, encoding="utf-8") as lines:
            return [RunConfig.model_validate_json(line) for line in islice(lines, first, end)]

    def read_failure(self, task: int) -> Failure | None:
        """Why a task that belongs to no run failed, if it did."""
        file = self.failure_file(task)
        return _read(file, Failure) if file.exists() else None

    def accept(self, job_id: str) -> None:
        """Write the receipt."""
        receipt = Receipt(job_id=job_id, accepted=timestamp())
        write_json(self.receipt_file, receipt.model_dump(mode="json"))
        self.__dict__["receipt"] = receipt

    def withdraw(self) -> None:
        """Slurm knows nothing of this intent: it counts no longer."""
        self.submission_file.rename(self.path / "withdrawn.json")

    def cancel(self, tasks: Iterable[int]) -> None:
        """Mark tasks as cancelled."""
        write_json(self.cancelled_file, sorted(self.cancelled.union(tasks)))


def new_submission(
    results: Results,
    grid: str,
    kind: Kind,
    tasks: Sequence[Sequence[str]],
    resources: Resources,
    parallelism: int,
    signal_seconds: int,
    after: str | None,
) -> Submission:
    """An intent that is not written down yet."""
    now = datetime.now(UTC)
    return Submission(
        id=f"{now:%Y%m%d-%H%M%S-%f}-{kind}-{secrets.token_hex(3)}",
        grid=grid,
        kind=kind,
        created=now.isoformat(timespec="seconds"),
        results=str(results.root.resolve()),
        tasks=[list(runs) for runs in tasks],
        resources=resources,
        parallelism=parallelism,
        signal_seconds=signal_seconds,
        after=after,
    )


def write_intent(submission: Submission, configs: Iterable[RunConfig]) -> SubmissionDir:
    """Write it down: whatever happens from here on, the job can be found again by its name."""
    folder = submission.folder
    folder.logs.mkdir(parents=True)
    text = "".join(config.model_dump_json() + "\n" for config in configs)
    write_atomically(folder.configs_file, lambda file: file.write(text.encode()))
    write_json(folder.submission_file, submission.model_dump(mode="json"))
    return folder


def read_submissions(results: Results, grid: str | None = None) -> list[SubmissionDir]:
    """Those of a grid, or of all, the oldest first."""
    folders = (path.parent for path in results.slurm.glob(f"{grid or '*'}/*/submission.json"))
    return [SubmissionDir(path) for path in sorted(folders, key=lambda path: path.name)]


def reconcile(submissions: Iterable[SubmissionDir], queue: Iterable[Job]) -> list[SubmissionDir]:
    """Find the receipts that are missing, by the jobs' names, and withdraw what never reached Slurm.

    Only for who holds the grid's lock: to anybody else a missing receipt may be one that is about to be written.
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
