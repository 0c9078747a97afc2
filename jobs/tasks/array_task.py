"""What one task of an array does: train its runs, or do work that runs wait for; and when it is given up."""

import contextlib
import json
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from jobs.job_kinds import SharedWork
from jobs.slurm.commands import requeue
from jobs.slurm.resources import ClusterFile
from jobs.slurm.submissions import SubmissionDir
from jobs.tasks.attempt import NoProgressError, Outcome, describe, is_disk_full, outcome_of, plain_console
from jobs.tasks.container import ContainerError, perform_in_container
from jobs.tasks.grid_end import GridEnd
from jobs.tasks.worker import Worker
from sentiment.errors import RunDirError, SentimentError, UnansweredError
from sentiment.files import write_json
from sentiment.processes import slurm_job
from sentiment.runs.run_dir import Results
from sentiment.training.stop import StopRequest

# How long a task that wants to be requeued waits for a slurmctld that is away, for an update say.
_ABSENCE_SECONDS = 1800.0
_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class ArrayTask:
    """One task of a submission."""

    folder: SubmissionDir
    task: int

    @classmethod
    def read(cls, folder: Path, task: int) -> "ArrayTask":
        """The task's part of a submission."""
        return cls(SubmissionDir(folder), task)

    @property
    def title(self) -> str:
        """For the log."""
        return f"task {self.task} of {self.folder.submission.name}"

    @property
    def cancelled(self) -> bool:
        """Whether `jobs cancel` has ended the task by now."""
        return self.task in self.folder.cancelled

    @property
    def ends_grid(self) -> bool:
        """Whether it is the job that ends the grid."""
        return self.folder.submission.job_kind.final

    @property
    def _results(self) -> Results:
        return Results(Path(self.folder.submission.results))

    def perform_here(self, stop: StopRequest) -> Outcome:
        """Work in this process and its children."""
        if self.ends_grid:
            return self._end_grid(stop)
        if work := self.folder.submission.job_kind.work:
            return self._serve(work, stop)
        return Worker(self.folder, self.task).work(stop)

    def perform(self, stop: StopRequest) -> Outcome:
        """Work until all is done or there is a reason to stop, in a container if the submission names one."""
        resources = self.folder.submission.resources
        if resources.container is None:
            return self.perform_here(stop)
        try:
            return perform_in_container(resources.container, resources.has_gpu, self.folder, stop)
        except ContainerError as error:
            print(f"error: {error}")
            self._record_failure(error)
            return Outcome.FAILED

    def requeue(self, outcome: Outcome) -> Outcome:
        """Let Slurm start the task again, unless it was cancelled meanwhile or makes no progress.

        Args:
            outcome: why; a task that is only to look again need not make any.
        """
        if self.cancelled:
            return Outcome.STOPPED
        try:
            if outcome is not Outcome.LOOK_AGAIN and not self.folder.submission.job_kind.trains_runs:
                self.insist_on_progress()  # training counts its tries itself
            _requeue_when_possible(slurm_job() or "")
        except SentimentError as error:
            print(f"is not requeued: {error}")
            self._record_failure(error)
            return Outcome.FAILED
        print("requeued, to look again" if outcome is Outcome.LOOK_AGAIN else "saved, and requeued")
        return outcome

    def _end_grid(self, stop: StopRequest) -> Outcome:
        """Do what is to be done when all runs have ended, however they ended."""
        submission = self.folder.submission
        plan = self._results.read_grid(submission.grid)
        if plan is None:
            raise RunDirError(f"{self._results.grid_file(submission.grid)}: is gone")
        file = ClusterFile.model_validate(submission.cluster)
        end = GridEnd(self._results, plan, file.notify, None, print)
        code = end.report(stop)
        end.tell_unless_stopped(stop, reported=code == 0)
        return outcome_of(stop.reason()) if stop.reason() or code == 0 else Outcome.FAILED

    def _serve(self, work: SharedWork, stop: StopRequest) -> Outcome:
        """Do work that runs wait for."""
        self.folder.failure_file(self.task).unlink(missing_ok=True)
        try:
            return outcome_of(work(self.folder.read_candidates(), self._results, stop, plain_console()))
        except Exception as error:  # of any kind: all runs that wait show it
            with contextlib.suppress(OSError):
                self._record_failure(error)
            traceback.print_exc()
            return Outcome.DISK_FULL if is_disk_full(error) else Outcome.FAILED

    def _record_failure(self, error: Exception) -> None:
        """Write a failure of the whole task down: with its runs or, if it has none, with the submission."""
        if self.folder.submission.job_kind.trains_runs:
            Worker(self.folder, self.task).fail(error)
        else:
            write_json(self.folder.failure_file(self.task), describe(error).model_dump(mode="json"))

    def insist_on_progress(self) -> None:
        """Count how often in a row the task's time ended without progress.

        Raises:
            NoProgressError: that was too often.
        """
        progress = self.folder.submission.job_kind.progress
        file, done = self.folder.progress_file(self.task), progress(self._results)
        former = json.loads(file.read_bytes()) if file.exists() else {"done": -1, "cuts": 0}
        cuts = 0 if done > former["done"] else former["cuts"] + 1
        with contextlib.suppress(OSError):  # a full disk shows when the task saves
            write_json(file, {"done": done, "cuts": cuts})
        if cuts >= self.folder.submission.resources.attempts_without_progress:
            raise NoProgressError(
                f"its time ended {cuts} times in a row without progress: starting and saving take longer than the "
                "time limit leaves; rerun with more time"
            )


def _requeue_when_possible(job: str) -> None:
    """Requeue, and wait for a slurmctld that is away: all is saved, and nobody else would requeue the task.

    Raises:
        SlurmError: Slurm refuses, or stays away.
    """
    end = time.monotonic() + _ABSENCE_SECONDS
    while True:
        try:
            return requeue(job)
        except UnansweredError as error:
            if time.monotonic() > end:
                raise
            print(f"waits to be requeued: {error}")
            time.sleep(_POLL_SECONDS)
