"""Records of submissions: `submission.json` is written before sbatch, and `receipt.json` with the job's id after it.

Jobs that run on this machine (`--local`) are recorded in the same files.
"""

import secrets
import shlex
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from jobs.job_kinds import JOB_KINDS, JobKind, KindName
from jobs.slurm.resources import Lacked, Resources
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import FolderEntry, write_atomically
from sentiment.runs.code_version import START, start_command
from sentiment.runs.records import Assignment, Cancelled, Failure, Record
from sentiment.runs.run_dir import Results, parse_record, read_record, sealed


class Submission(Assignment, extra="forbid"):
    """`submission.json`: a job array or a single job, with everything that later commands need to know about it.

    Attributes:
        configs: of the runs that the job trains or prepares inputs for; stored in `configs.jsonl`.
        resources: of each task.
        lacked: what earlier attempts of these runs, or earlier jobs of this kind, lacked.
        after: sbatch's `--dependency`, such as `afterok:12:13`; `new_submission` fills it in.
        code: the id of the code snapshot that the tasks import; None imports this checkout.
        cluster: for a final job, the content of the cluster file.
        epochs: the epoch after which its runs pause, as trials of a search; None trains them to their end.
        retry: whether nobody asked for its runs: the final job, or a local command, goes on with them by itself.
        local: whether a command on this machine runs the job, instead of Slurm.
    """

    kind: KindName
    configs: list[RunConfig] = Field(default_factory=list, exclude=True)
    resources: Resources
    lacked: Lacked = Lacked()
    after: str | None = None
    code: str | None = None
    cluster: dict[str, Any] = Field(default_factory=dict)
    epochs: int | None = None
    retry: bool = False
    local: bool = False

    @property
    def job_kind(self) -> JobKind:
        return JOB_KINDS[self.kind]

    @property
    def dependencies(self) -> list[str]:
        """The ids of the jobs that it depends on."""
        _, *ids = (self.after or "").split(":")
        return ids

    @property
    def goal(self) -> str:
        """How far its runs are trained, if not to their end, as a part of a line."""
        return f", to epoch {self.epochs}" if self.epochs else ""

    @property
    def parallelism(self) -> int:
        """The largest number of tasks that run at the same time."""
        return min(self.resources.parallelism or len(self.tasks), len(self.tasks))


class Receipt(Record):
    """`receipt.json`: the job id that sbatch returned."""

    job_id: str


@dataclass(frozen=True)
class SubmissionDir:
    """Paths and readers of one submission's folder, `results/slurm/<grid>/<number>-<kind>-<random>`."""

    path: Path

    submission_file = FolderEntry("submission.json")
    receipt_file = FolderEntry("receipt.json")
    configs_file = FolderEntry("configs.jsonl")
    cancelled_file = FolderEntry("cancelled.json")
    logs = FolderEntry("logs")
    lock_file = FolderEntry("lock")
    """A command that runs the job on this machine has this lock."""
    start_file = FolderEntry("start.py")
    """The script that starts the tasks; it stands outside the code snapshot, so that it can report a missing one."""

    @property
    def grid(self) -> str:
        return self.path.parent.name

    @cached_property
    def name(self) -> str:
        """The job's name in Slurm; kept, since thousands of runs look for the job of one submission."""
        return f"{self.grid}-{self.path.name}"

    @property
    def results(self) -> Results:
        return Results(self.path.parents[2])

    @property
    def command(self) -> list[str]:
        """The command of each task."""
        folder = self.path.resolve()
        code = self.submission.code
        snapshot = self.results.code / code if code else None
        return [*start_command("jobs.tasks.task", snapshot, SubmissionDir(folder).start_file), str(folder)]

    @property
    def number(self) -> int:
        return int(self.path.name.partition("-")[0])

    def run_log(self, run_id: str) -> Path:
        return self.logs / f"{run_id}.log"

    def progress_file(self, task: int) -> Path:
        """`StartCount` of a preparation task: what it had saved, and how many time limits then added nothing."""
        return self.path / f"progress-{task}.json"

    def failure_file(self, task: int) -> Path:
        return self.path / f"failure-{task}.json"

    @cached_property
    def submission(self) -> Submission:
        file = str(self.submission_file)
        aside = shlex.join(["mv", file, f"{file}.damaged"])
        command = self.results.command("submit", self.grid)
        remedy = f"`scancel --name={self.name}` ends its jobs, `{aside}` sets it aside, and `{command}` goes on"
        submission = read_record(self.submission_file, Submission, remedy)
        if submission is None:
            raise RunDirError(f"{self.submission_file}: no such file")
        return submission

    @cached_property
    def receipt(self) -> Receipt | None:
        return read_record(self.receipt_file, Receipt, "delete it, and the next command asks Slurm for the job's id")

    @property
    def job_id(self) -> str:
        """The job's id in Slurm.

        Raises:
            RunDirError: if the submission has no receipt.
        """
        if self.receipt is None:
            raise RunDirError(
                f"{self.path}: no receipt.json, so that its job's id in Slurm is unknown; submit the grid again"
            )
        return self.receipt.job_id

    @property
    def cancelled(self) -> set[str]:
        """The ids that `sentiment cancel` cancelled: of runs and, for a whole job, the submission's own."""
        cancelled = read_record(self.cancelled_file, Cancelled, "delete it, and `cancel` again what was cancelled")
        return set(cancelled.ids) if cancelled else set()

    @cached_property
    def failures(self) -> list[Failure]:
        """The errors that its tasks recorded, of a job that trains no runs."""
        failures = [read_record(self.failure_file(number), Failure) for number in range(len(self.tasks))]
        return [failure for failure in failures if failure]

    @property
    def is_cancelled(self) -> bool:
        cancelled = self.cancelled
        return self.path.name in cancelled or (bool(self.run_ids) and cancelled.issuperset(self.run_ids))

    @property
    def tasks(self) -> list[list[str]]:
        """The run ids assigned to each task."""
        return self.submission.tasks

    @property
    def run_ids(self) -> list[str]:
        return [run_id for task in self.tasks for run_id in task]

    def task_address(self, task: int) -> str:
        """The id by which Slurm's commands know a task: `<array>_<task>`; of a final job, its own id."""
        return self.job_id if self.submission.job_kind.final else f"{self.job_id}_{task}"

    def log_file(self, task: int) -> Path | None:
        """The log of a task; None if it has not started."""
        if self.receipt is None:
            return None
        file = self.logs / f"{self.task_address(task)}_0_log.out"
        return file if file.exists() else None

    def read_configs(self, run_ids: Iterable[str] | None = None) -> dict[str, RunConfig]:
        """The configurations, by run id, of runs that it trains, may train, or prepares inputs for.

        Args:
            run_ids: None means all.
        """
        wanted = self._config_lines if run_ids is None else run_ids
        return {run_id: self._read_config(run_id) for run_id in wanted}

    def _read_config(self, run_id: str) -> RunConfig:
        with suppress(RunDirError):
            config = parse_record(self._config_lines.get(run_id, b""), RunConfig, str(self.configs_file))
            if config.run_id == run_id:  # the file has no seal
                return config
        command = self.results.command("submit", self.grid)
        raise RunDirError(f"{self.configs_file}: lacks run {run_id}, or is damaged; `{command}` writes it again")

    @cached_property
    def _config_lines(self) -> dict[str, bytes]:
        """The JSON of each configuration by run id; it is parsed when it is needed, since a grid may have thousands."""
        configs: dict[str, bytes] = {}
        with suppress(FileNotFoundError), open(self.configs_file, "rb") as lines:
            for line in lines:
                run_id, _, config = line.partition(b" ")
                configs[run_id.decode("utf-8", "replace")] = config
        return configs

    def write_receipt(self, job_id: str) -> None:
        receipt = Receipt(job_id=job_id)
        write_atomically(self.receipt_file, sealed(receipt))
        self.__dict__["receipt"] = receipt

    def withdraw(self) -> None:
        """Let no later command see the submission: Slurm did not accept it."""
        self.submission_file.rename(self.path / "withdrawn.json")

    def mark_cancelled(self, ids: Iterable[str]) -> None:
        """Mark runs, or the job itself, as cancelled. The caller must hold the grid's lock."""
        cancelled = Cancelled(ids=sorted(self.cancelled.union(ids)))
        write_atomically(self.cancelled_file, sealed(cancelled))


# The names of submissions' folders; a copy that somebody made by another name is none.
_FOLDER = f"{5 * '[0-9]'}-*"


def new_submission(results: Results, grid: str, job: Submission, after: str | None) -> SubmissionDir:
    """Return the folder for a job with its dependency; nothing is written.

    A caller that writes it must hold the grid's lock, because submissions are numbered consecutively.
    """
    numbers = [SubmissionDir(path).number for path in (results.slurm / grid).glob(f"{_FOLDER}/")]
    number = 1 + max(numbers, default=0)
    folder = SubmissionDir(results.slurm / grid / f"{number:05}-{job.kind}-{secrets.token_hex(6)}")
    folder.__dict__["submission"] = job.model_copy(update={"after": after})
    return folder


def record_submission(folder: SubmissionDir) -> SubmissionDir:
    """Record a submission before sbatch is called, so that its job can later be found in Slurm by its name."""
    folder.logs.mkdir(parents=True)
    shutil.copyfile(START, folder.start_file)
    text = "".join(f"{config.run_id} {config.model_dump_json()}\n" for config in folder.submission.configs)
    write_atomically(folder.configs_file, lambda file: file.write(text.encode()))
    write_atomically(folder.submission_file, sealed(folder.submission))
    return folder


def read_submissions(results: Results, grid: str | None = None) -> list[SubmissionDir]:
    """Return the submissions of a grid or of all grids, oldest first: by number, because the clocks of hosts differ."""
    paths = results.slurm.glob(f"{grid or '*'}/{_FOLDER}/submission.json")
    folders = [SubmissionDir(path.parent) for path in paths]
    return sorted(folders, key=lambda folder: (folder.number, folder.path.name))
