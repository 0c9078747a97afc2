"""What was submitted, on disk: the intent before the queue is asked, its receipt afterwards.

A chain that is worked off on this machine is written down in the same way, so that all commands find it the same way.
"""

import json
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from jobs.services import JOB_KINDS, JobKind, KindName
from jobs.slurm.resources import Resources
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import FolderEntry, write_atomically, write_json
from sentiment.runs.code_version import START, start_command
from sentiment.runs.records import Failure, FileRecord, Record, timestamp
from sentiment.runs.run_dir import Results, read_record
from sentiment.runs.state import read_chosen

_NAME = re.compile(r"(?P<number>\d+)-[a-z]+-[0-9a-f]+")


class Submission(FileRecord):
    """`submission.json`, the intent: all that any later command needs to know of a job array, or of a single job.

    What makes it one of a grid, and unique, is filled in by `new_submission`.

    Attributes:
        id: its number within the grid, its kind, and a random number.
        tasks: the run ids that each task begins with; of a job that has no runs of its own, or whose runs a ranking
            decides, none.
        configs: of the tasks' runs, or of those that the job works for; kept in a file of their own.
        resources: what each task gets.
        parallelism: the largest number of tasks at a time.
        after: what it waits for, a condition and ids of jobs, as the queue takes them.
        code: the copy of the program's code that its tasks import; None imports that of this clone.
        cluster: of a job that ends a grid: what the cluster's file says.
        rung, epochs: of a search, in which its runs train and after how many epochs they pause; None trains to the end.
        here: whether a command on this machine works it off, instead of a queue.
    """

    id: str = ""
    grid: str = ""
    kind: KindName
    created: str = ""
    results: str = ""
    tasks: list[list[str]]
    configs: list[RunConfig] = Field(default_factory=list, exclude=True)
    resources: Resources
    parallelism: int = 1
    after: str | None = None
    code: str | None = None
    cluster: dict[str, Any] = Field(default_factory=dict)
    rung: int | None = None
    epochs: int | None = None
    here: bool = False

    @property
    def job_kind(self) -> JobKind:
        return JOB_KINDS[self.kind]

    @property
    def by_ranking(self) -> bool:
        """Whether the ranking of the rung before decides which runs it trains."""
        return bool(self.rung) and not any(self.tasks)

    @property
    def name(self) -> str:
        return f"{self.grid}-{self.id}"

    @property
    def folder(self) -> "SubmissionDir":
        return SubmissionDir(Results(Path(self.results)).slurm / self.grid / self.id)

    @property
    def command(self) -> list[str]:
        copy = Results(Path(self.results)).code / self.code if self.code else None
        return [*start_command("jobs.tasks.task", copy, self.folder.start_file), str(self.folder.path)]


class Receipt(Record):
    """`receipt.json`: what the queue answered."""

    job_id: str


@dataclass(frozen=True)
class SubmissionDir:
    """Names and readers of one submission's folder, `results/slurm/<grid>/<number>-<kind>-<random>`."""

    path: Path

    submission_file = FolderEntry("submission.json")
    receipt_file = FolderEntry("receipt.json")
    configs_file = FolderEntry("configs.jsonl")
    cancelled_file = FolderEntry("cancelled.json")
    logs = FolderEntry("logs")
    start_file = FolderEntry("start.py")
    """The program that starts the tasks: it outlives the copy of the code, and says if that is gone."""
    lock_file = FolderEntry("lock")
    """Held by the command that works it off on this machine."""

    @property
    def number(self) -> int:
        match = _NAME.fullmatch(self.path.name)
        return int(match["number"]) if match else 0

    def run_log(self, run_id: str) -> Path:
        return self.logs / f"{run_id}.log"

    def progress_file(self, task: int) -> Path:
        return self.path / f"progress-{task}.json"

    def failure_file(self, task: int) -> Path:
        return self.path / f"failure-{task}.json"

    @cached_property
    def submission(self) -> Submission:
        found = read_record(self.submission_file, Submission)
        if found is None:
            raise RunDirError(f"{self.submission_file}: is gone")
        return found

    @cached_property
    def results(self) -> Results:
        return Results(Path(self.submission.results))

    @cached_property
    def receipt(self) -> Receipt | None:
        return read_record(self.receipt_file, Receipt)

    @property
    def job_id(self) -> str:
        """The job's id in the queue; a RunDirError if there is no receipt."""
        if self.receipt is None:
            raise RunDirError(f"{self.path}: has no receipt, so its job is not known; submit again")
        return self.receipt.job_id

    @property
    def cancelled(self) -> set[str]:
        """What `sentiment cancel` ended: ids of runs, and of a job that has none its own id."""
        return set(json.loads(self.cancelled_file.read_bytes())) if self.cancelled_file.exists() else set()

    @property
    def is_cancelled(self) -> bool:
        cancelled = self.cancelled
        return self.submission.id in cancelled or (bool(self.run_ids) and cancelled.issuperset(self.run_ids))

    @property
    def tasks(self) -> list[list[str]]:
        """The run ids that each task begins with; none until the ranking is written, where that decides them."""
        number, chosen = len(self.submission.tasks), self._chosen
        return [chosen[task::number] for task in range(number)] if chosen else self.submission.tasks

    @property
    def run_ids(self) -> list[str]:
        return [run_id for share in self.tasks for run_id in share]

    @property
    def _chosen(self) -> list[str]:
        """The runs that the ranking has chosen, in its order; none while it is not written, or decides nothing."""
        submission = self.submission
        rung = (submission.rung or 1) - 1
        return read_chosen(self.results, submission.grid, rung) if submission.by_ranking else []

    @property
    def waits_for_ranking(self) -> bool:
        return self.submission.by_ranking and not self._chosen

    def job(self, task: int) -> str:
        return self.job_id if self.submission.job_kind.final else f"{self.job_id}_{task}"

    def log_file(self, task: int) -> Path | None:
        return next(self.logs.glob(f"*{self.job(task)}_0_log.out"), None) if self.receipt else None

    @cached_property
    def configs(self) -> dict[str, RunConfig]:
        """The configurations of its runs, of all that a ranking may choose, or of those that it works for."""
        with open(self.configs_file, encoding="utf-8") as lines:
            every = map(RunConfig.model_validate_json, lines)
            return {config.run_id: config for config in every}

    def read_failure(self, task: int) -> Failure | None:
        return read_record(self.failure_file(task), Failure)

    def accept(self, job_id: str) -> None:
        receipt = Receipt(job_id=job_id)
        write_json(self.receipt_file, receipt.model_dump(mode="json"))
        self.__dict__["receipt"] = receipt

    def withdraw(self) -> None:
        self.submission_file.rename(self.path / "withdrawn.json")

    def cancel(self, ids: Iterable[str]) -> None:
        """Mark runs, or the job itself, as cancelled. The caller must hold the grid's lock."""
        write_json(self.cancelled_file, sorted(self.cancelled.union(ids)))


def new_submission(results: Results, grid: str, job: Submission, after: str | None) -> Submission:
    """A job of a grid as it would be submitted. Whoever writes it down must hold the grid's lock: it has a number."""
    number = 1 + max((SubmissionDir(path).number for path in (results.slurm / grid).glob("*/")), default=0)
    identity = {
        "id": f"{number:05}-{job.kind}-{secrets.token_hex(6)}",
        "grid": grid,
        "created": timestamp(),
        "results": str(results.root.resolve()),
        "after": after,
    }
    return job.model_copy(update=identity)


def write_intent(submission: Submission) -> SubmissionDir:
    """Write an intent down; from then on the job can be found again by its name, whatever happens."""
    folder = submission.folder
    folder.logs.mkdir(parents=True)
    shutil.copyfile(START, folder.start_file)
    text = "".join(config.model_dump_json() + "\n" for config in submission.configs)
    write_atomically(folder.configs_file, lambda file: file.write(text.encode()))
    write_json(folder.submission_file, submission.model_dump(mode="json"))
    return folder


def read_submissions(results: Results, grid: str | None = None) -> list[SubmissionDir]:
    """The submissions of a grid, or of all grids, the oldest first: by their numbers, since clocks of hosts differ."""
    paths = results.slurm.glob(f"{grid or '*'}/*/submission.json")
    return sorted((SubmissionDir(path.parent) for path in paths), key=lambda one: (one.number, one.path.name))
