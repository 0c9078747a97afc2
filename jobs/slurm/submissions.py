"""What was submitted to Slurm, on disk: the intent before Slurm is asked, its receipt afterwards."""

import json
import re
import secrets
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from jobs.job_kinds import JOB_KINDS, JobKind, KindName
from jobs.slurm.resources import Resources
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import write_atomically, write_json
from sentiment.runs.code_version import START, start_command
from sentiment.runs.records import Failure, FileRecord, Record, timestamp
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import read_chosen

R = TypeVar("R", bound=Record)

_NAME = re.compile(r"(?P<number>\d+)-[a-z]+-[0-9a-f]+")


class Submission(FileRecord):
    """`submission.json`, the intent: all that any later command needs to know of an array, or of a single command.

    What makes it one of a grid, and unique, is filled in by `new_submission` when it is submitted.
    """

    id: str = ""
    """Its number within the grid, its kind, and a random number."""
    grid: str = ""
    kind: KindName
    created: str = ""
    """ISO 8601, UTC."""
    results: str = ""
    """The root of the results, absolute."""
    tasks: list[list[str]]
    """The run ids of each task; a task that has no runs of its own has none."""
    configs: list[RunConfig] = Field(default_factory=list, exclude=True)
    """Of the tasks' runs, in their order; for tasks without runs, of those that they work for. They are written into a
    file of their own, which `SubmissionDir.read_configs` reads."""
    resources: Resources
    """What each task gets."""
    parallelism: int
    """The largest number of tasks at a time."""
    signal_seconds: int = 0
    """How long before its end a task is warned."""
    after: str | None = None
    """What it waits for, as sbatch's option `--dependency` takes it."""
    code: str | None = None
    """The id of the copy of the program's code that its tasks import; None imports that of this clone."""
    cluster: dict[str, Any] = Field(default_factory=dict)
    """For a job that ends a grid: what the cluster's file says (`jobs.slurm.resources.ClusterFile`)."""
    rung: int | None = None
    """Of a search, in which its runs train; None trains them to their end whatever the search says."""
    epochs: int | None = None
    """After how many its runs pause; None trains them to their end."""
    slots: list[list[int]] = Field(default_factory=list)
    """The slots of each task, where it is not known yet which runs they train: slot 0 trains the trial that the ranking
    of the rung before puts first. Empty for tasks whose runs are known; else `tasks` has none."""

    @property
    def job_kind(self) -> JobKind:
        """What distinguishes this kind of job."""
        return JOB_KINDS[self.kind]

    @property
    def pooled(self) -> bool:
        """Whether its tasks work off all of its runs together, so that any of them may take a run."""
        return self.job_kind.trains_runs and self.resources.shares_tasks

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
    """Names and readers of one submission's folder, `results/slurm/<grid>/<number>-<kind>-<random>`."""

    path: Path

    @property
    def number(self) -> int:
        """The submission's number within its grid, from 1; 0 for a folder of another kind."""
        match = _NAME.fullmatch(self.path.name)
        return int(match["number"]) if match else 0

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
        """What `jobs cancel` ended and nothing starts again: numbers of tasks, and ids of runs that share tasks."""
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

    @property
    def start_file(self) -> Path:
        """The program that starts the tasks: it outlives the copy of the code, and says if that is gone."""
        return self.path / "start.py"

    def task_command(self, submission: Submission, python: str = sys.executable) -> list[str]:
        """The words that start a task of this submission, with its own code."""
        copy = Results(Path(submission.results)).code / submission.code if submission.code else None
        return [python, *start_command("jobs.tasks.slurm_task", copy, self.start_file)[1:], str(self.path)]

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

    @property
    def tasks(self) -> list[list[str]]:
        """The run ids of each task; a task of slots has none until the ranking is written that decides them.

        Raises:
            RunDirError: the ranking cannot be read.
        """
        submission = self.submission
        if not submission.slots:
            return submission.tasks
        chosen = self._chosen
        return [[chosen[slot] for slot in slots if slot < len(chosen)] for slots in submission.slots]

    @property
    def _chosen(self) -> list[str]:
        """The runs of slots, in their order; none while they are not known."""
        submission = self.submission
        if "chosen" not in self.__dict__:
            found = read_chosen(Results(Path(submission.results)), submission.grid, (submission.rung or 1) - 1)
            if not found:
                return []
            self.__dict__["chosen"] = found  # which never changes
        chosen: list[str] = self.__dict__["chosen"]
        return chosen

    @property
    def waits_for_ranking(self) -> bool:
        """Whether it is not decided yet which runs its slots train."""
        return bool(self.submission.slots) and not self._chosen

    def job(self, task: int) -> str:
        """A task's name for Slurm's commands; needs the receipt, like `job_id`."""
        return f"{self.job_id}_{task}" if self.submission.job_kind.is_array else self.job_id

    def runs_of(self, task: int) -> list[str]:
        """Ids of the runs that a task may train: its own, or those that it works off together with the others."""
        tasks = self.tasks
        return [run_id for share in tasks for run_id in share] if self.submission.pooled else tasks[task]

    def log_file(self, task: int) -> Path | None:
        """A task's log; None while its job is not known, or if nothing was written."""
        return next(self.logs.glob(f"*{self.job(task)}_0_log.out"), None) if self.receipt else None

    def read_configs(self, task: int) -> list[RunConfig]:
        """The configurations of a task's runs; for a task without runs, of all that it works for."""
        if self.submission.slots:
            configs = {config.run_id: config for config in self.read_candidates()}
            return [configs[run_id] for run_id in self.tasks[task]]
        tasks = self.submission.tasks
        first = sum(map(len, tasks[:task]))
        end = first + len(tasks[task]) if tasks[task] else None
        with open(self.configs_file, encoding="utf-8") as lines:
            return [RunConfig.model_validate_json(line) for line in islice(lines, first, end)]

    def read_all_configs(self) -> list[RunConfig]:
        """The configurations of all tasks' runs."""
        chosen = {*self._chosen} if self.submission.slots else None
        return [config for config in self.read_candidates() if chosen is None or config.run_id in chosen]

    def read_candidates(self) -> list[RunConfig]:
        """The same; for slots, of all trials that they may train."""
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
    """The submissions of a grid, or of all grids, the oldest first: by their numbers.

    Clocks of hosts differ, and go back: they say nothing about the order.
    """
    paths = results.slurm.glob(f"{grid or '*'}/*/submission.json")
    return sorted((SubmissionDir(path.parent) for path in paths), key=lambda one: (one.number, one.path.name))


def _read(path: Path, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
