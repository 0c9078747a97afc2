"""What was submitted, on disk: the intent before Slurm is asked, its receipt afterwards.

A chain that is worked off on this machine is written down in the same way, so that all commands find it the same way.
"""

import json
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from jobs.job_kinds import JOB_KINDS, JobKind, KindName
from jobs.slurm.resources import Resources
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import FolderEntry, write_atomically, write_json
from sentiment.runs.code_version import START, start_command
from sentiment.runs.records import Failure, FileRecord, Record, timestamp
from sentiment.runs.run_dir import Results, read_record
from sentiment.runs.rungs import read_chosen

_NAME = re.compile(r"(?P<number>\d+)-[a-z]+-[0-9a-f]+")


class Submission(FileRecord):
    """`submission.json`, the intent: all that any later command needs to know of a job array, or of a single job.

    What makes it one of a grid, and unique, is filled in by `new_submission`.

    Attributes:
        id: its number within the grid, its kind, and a random number.
        tasks: the run ids of each task; of a task that has no runs of its own, or whose runs a ranking decides, none.
        configs: of the tasks' runs in their order, or of those that the job works for; kept in a file of their own.
        resources: what each task gets.
        parallelism: the largest number of tasks at a time.
        signal_seconds: how long before its end a task is warned.
        after: what it waits for, as sbatch's option `--dependency` takes it.
        code: the copy of the program's code that its tasks import; None imports that of this clone.
        cluster: of a job that ends a grid: what the cluster's file says.
        rung, epochs: of a search, in which its runs train and after how many epochs they pause; None trains to the end.
        here: whether a command on this machine works it off, instead of Slurm.
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
    signal_seconds: int = 0
    after: str | None = None
    code: str | None = None
    cluster: dict[str, Any] = Field(default_factory=dict)
    rung: int | None = None
    epochs: int | None = None
    here: bool = False

    @property
    def job_kind(self) -> JobKind:
        """What distinguishes this kind of job."""
        return JOB_KINDS[self.kind]

    @property
    def pooled(self) -> bool:
        """Whether its tasks work off all of its runs together, so that any of them may take a run."""
        return self.job_kind.trains_runs and self.resources.shares_tasks

    @property
    def by_ranking(self) -> bool:
        """Whether the ranking of the rung before decides which runs it trains."""
        return bool(self.rung) and not any(self.tasks)

    @property
    def name(self) -> str:
        """The job's name in Slurm, which is unique, so that the job can be found again."""
        return f"{self.grid}-{self.id}"

    @property
    def folder(self) -> "SubmissionDir":
        """The folder that it is written to."""
        return SubmissionDir(Results(Path(self.results)).slurm / self.grid / self.id)

    @property
    def command(self) -> list[str]:
        """The words that start one of its tasks, with its own code."""
        copy = Results(Path(self.results)).code / self.code if self.code else None
        return [*start_command("jobs.tasks.task", copy, self.folder.start_file), str(self.folder.path)]


class Receipt(Record):
    """`receipt.json`: what Slurm answered."""

    job_id: str
    accepted: str


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
        """The submission's number within its grid, from 1; 0 for a folder of another kind."""
        match = _NAME.fullmatch(self.path.name)
        return int(match["number"]) if match else 0

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
        """The intent; a RunDirError if it cannot be read."""
        found = read_record(self.submission_file, Submission)
        if found is None:
            raise RunDirError(f"{self.submission_file}: is gone")
        return found

    @cached_property
    def receipt(self) -> Receipt | None:
        """Slurm's answer; None while it is not known."""
        return read_record(self.receipt_file, Receipt)

    @property
    def cancelled(self) -> set[int | str]:
        """What `jobs cancel` ended: numbers of tasks, and ids of runs that share tasks."""
        return set(json.loads(self.cancelled_file.read_bytes())) if self.cancelled_file.exists() else set()

    @property
    def job_id(self) -> str:
        """The job's id in Slurm; a RunDirError if there is no receipt."""
        if self.receipt is None:
            raise RunDirError(f"{self.path}: has no receipt, so its job is not known; submit again")
        return self.receipt.job_id

    @property
    def tasks(self) -> list[list[str]]:
        """The run ids of each task; none until the ranking is written, where that decides them."""
        submission = self.submission
        if not submission.by_ranking:
            return submission.tasks
        number = len(submission.tasks)
        return [self._chosen[task::number] for task in range(number)]

    @property
    def _chosen(self) -> list[str]:
        """The runs that the ranking has chosen, in its order; none while it is not written."""
        if "chosen" not in self.__dict__:
            submission = self.submission
            found = read_chosen(Results(Path(submission.results)), submission.grid, (submission.rung or 1) - 1)
            if not found:
                return []
            self.__dict__["chosen"] = found  # which never changes
        chosen: list[str] = self.__dict__["chosen"]
        return chosen

    @property
    def waits_for_ranking(self) -> bool:
        """Whether it is not decided yet which runs it trains."""
        return self.submission.by_ranking and not self._chosen

    def job(self, task: int) -> str:
        """A task's name for Slurm's commands; needs the receipt, like `job_id`."""
        return f"{self.job_id}_{task}" if self.submission.job_kind.is_array else self.job_id

    def runs_of(self, task: int) -> list[str]:
        """Ids of the runs that a task may train: its own, or those that it works off together with the others."""
        return [run_id for share in self.tasks for run_id in share] if self.submission.pooled else self.tasks[task]

    def log_file(self, task: int) -> Path | None:
        """A task's log; None while its job is not known, or if nothing was written."""
        return next(self.logs.glob(f"*{self.job(task)}_0_log.out"), None) if self.receipt else None

    def read_configs(self, task: int) -> list[RunConfig]:
        """The configurations of a task's runs; for a task without runs, of all that it works for."""
        tasks = self.submission.tasks
        if self.submission.by_ranking:
            configs = {config.run_id: config for config in self.read_all_configs()}
            return [configs[run_id] for run_id in self.tasks[task]]
        first = sum(map(len, tasks[:task]))
        return self._read_configs(first, first + len(tasks[task]) if tasks[task] else None)

    def read_all_configs(self) -> list[RunConfig]:
        """The configurations of all tasks' runs, or of all that a ranking may choose."""
        return self._read_configs(0, None)

    def _read_configs(self, first: int, end: int | None) -> list[RunConfig]:
        with open(self.configs_file, encoding="utf-8") as lines:
            return [RunConfig.model_validate_json(line) for line in islice(lines, first, end)]

    def read_failure(self, task: int) -> Failure | None:
        """Why a task that has no runs of its own failed, if it did."""
        return read_record(self.failure_file(task), Failure)

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


def new_submission(results: Results, grid: str, job: Submission, signal_seconds: int, after: str | None) -> Submission:
    """A job of a grid as it would be submitted. Whoever writes it down must hold the grid's lock: it has a number."""
    number = 1 + max((SubmissionDir(path).number for path in (results.slurm / grid).glob("*/")), default=0)
    identity = {
        "id": f"{number:05}-{job.kind}-{secrets.token_hex(6)}",
        "grid": grid,
        "created": timestamp(),
        "results": str(results.root.resolve()),
    }
    return job.model_copy(update={**identity, "signal_seconds": signal_seconds, "after": after})


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
