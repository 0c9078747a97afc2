"""What one task of an array does: train its runs, or do work that runs wait for; and when it is given up."""

import contextlib
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from jobs.job_kinds import SharedWork
from jobs.slurm.commands import requeue
from jobs.slurm.grid_jobs import cancelled_runs
from jobs.slurm.resources import ClusterFile
from jobs.slurm.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome, announce, attempt_run, outcome_of, plain_console
from jobs.tasks.container import ContainerError, perform_in_container
from jobs.tasks.failure import KilledError, NoProgressError, describe, is_disk_full, record_failure
from jobs.tasks.grid_end import GridEnd
from jobs.tasks.parallel import side_by_side
from jobs.tasks.pool import PoolTask
from sentiment.allocation import slurm_job
from sentiment.config import RunConfig
from sentiment.errors import RunDirError, SentimentError, UnansweredError, UnfinishedRungError
from sentiment.files import write_json
from sentiment.lock import seems_held
from sentiment.run_dir import Results, RunDir
from sentiment.run_state import read_progress
from sentiment.rungs import Rungs, read_rungs
from sentiment.training.stop import StopRequest

# How long a task that wants to be requeued waits for a slurmctld that is away, for an update say.
_ABSENCE_SECONDS = 1800.0
_POLL_SECONDS = 5.0

# The outcome of a task with several runs, by precedence; without any of these it is COMPLETED.
_PRECEDENCE = (Outcome.STOPPED, Outcome.OUT_OF_TIME, Outcome.LOOK_AGAIN, Outcome.FAILED, Outcome.DISK_FULL)


@dataclass(frozen=True)
class ArrayTask:
    """One task of a submission."""

    folder: SubmissionDir
    task: int

    @classmethod
    def read(cls, folder: Path, task: int) -> "ArrayTask":
        """The task's part of a submission."""
        return cls(SubmissionDir(folder), task)

    @cached_property
    def configs(self) -> list[RunConfig]:
        """Of its runs, or of all that it works off together with other tasks; of slots once they are decided."""
        return self.folder.read_all_configs() if self.folder.submission.pooled else self.folder.read_configs(self.task)

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

    def _run_dir(self, config: RunConfig) -> RunDir:
        return self._results.run_dir(config.run_id, self.folder.submission.grid)

    def perform_here(self, stop: StopRequest) -> Outcome:
        """Work in this process and its children."""
        if self.ends_grid:
            return self._end_grid(stop)
        if work := self.folder.submission.job_kind.work:
            return self._serve(work, stop)
        if (undecided := self._decide_runs(stop)) is not None:
            return undecided
        stop.epochs = self.folder.submission.epochs
        if self.folder.submission.pooled:
            return PoolTask(self._results, self.folder, self.task, self._attempt_together).work_off(stop)
        if not self.configs:
            print("fewer trials go on than there are slots: nothing is left for this task")
            return Outcome.COMPLETED
        if len(self.configs) == 1:
            return self._attempt(self.configs[0], stop)
        return self._attempt_together([config for config in self.configs if not self._is_over(config)], stop)

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

    def _decide_runs(self, stop: StopRequest) -> Outcome | None:
        """Bring the rungs before to their ends: their rankings decide which runs the task's slots train.

        Trials that have not ended are trained again first, each by a slot that finds it free. What a slot leaves undone
        because it is killed itself, other slots do, those of the next rung, or what the job that ends the grid submits.

        Returns:
            None when it is decided, else what the task ends with.
        """
        grid, tries = self.folder.submission.grid, self.folder.submission.resources.attempts_without_progress
        begun: Counter[str] = Counter()
        while self.folder.waits_for_ranking:
            plan, cancelled = self._results.read_grid(grid), cancelled_runs(self._results, grid)
            if plan is None or (rungs := read_rungs(self._results, plan)) is None:
                raise RunDirError(f"{self._results.grid_file(grid)}: is gone, or no search in rungs any more")
            trials = rungs.unfinished(cancelled)
            held = [one for one in trials if seems_held(one.lock_file)]
            free = [one for one in trials if one not in held and begun[one.path.name] <= tries]
            if free:
                trial = free[self.task % len(free)]
                begun[trial.path.name] += 1
                outcome = self._train_again(trial, rungs, stop)
                if outcome not in (Outcome.COMPLETED, Outcome.FAILED):
                    return outcome
            elif held:
                print(f"rung {rungs.current} is not finished: a process trains {held[0].path} right now")
                return Outcome.LOOK_AGAIN
            else:
                try:
                    print(rungs.settle(cancelled).rankings[-1].describe())
                except UnfinishedRungError as error:
                    print(error)
                    return Outcome.FAILED
        return None

    def _train_again(self, trial: RunDir, rungs: Rungs, stop: StopRequest) -> Outcome:
        """Train a trial to the end of its rung in a process of its own: if memory is short, the slot outlives that."""
        stop.epochs = rungs.epochs(rungs.current)
        print(f"rung {rungs.current}: {trial.path.name} has not ended, and is trained again to epoch {stop.epochs}")
        (config,) = (one for one in self.folder.read_candidates() if one.run_id == trial.path.name)
        announce(trial)
        outcome = self._attempt_together([config], stop)
        if outcome is Outcome.FAILED and (failure := trial.read_failure()):
            print(f"{trial.path.name}: {failure.error}: {failure.reason}")
        return outcome

    def _is_over(self, config: RunConfig) -> bool:
        run_dir, epochs = self._run_dir(config), self.folder.submission.epochs
        return run_dir.completed or config.run_id in self.folder.cancelled or read_progress(run_dir).has_paused(epochs)

    def _attempt(self, config: RunConfig, stop: StopRequest) -> Outcome:
        submission = self.folder.submission
        tries = submission.resources.attempts_without_progress
        return attempt_run(config, self._results, submission.grid, stop, submission.pooled, tries)

    def _attempt_with_log(self, config: RunConfig, stop: StopRequest) -> Outcome:
        """In a process of its own: what the run prints goes into its own log."""
        with open(self.folder.run_log(config.run_id), "ab") as log:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                os.dup2(log.fileno(), stream.fileno())
        return self._attempt(config, stop)

    def _attempt_together(self, configs: list[RunConfig], stop: StopRequest) -> Outcome:
        """Train runs at the same time. What becomes of those that `jobs cancel` ends doesn't count for the task."""
        works: list[Callable[[], int]] = [partial(self._attempt_with_log, config, stop) for config in configs]
        run_ids = [config.run_id for config in configs]

        def cancelled() -> set[int]:
            marked = self.folder.cancelled
            return {number for number, run_id in enumerate(run_ids) if run_id in marked}

        codes = side_by_side(works, stop, cancelled)
        ignored = cancelled()
        for number in [number for number, code in enumerate(codes) if code < 0 and number not in ignored]:
            killed = KilledError(f"its process was killed by signal {-codes[number]}; memory may have been short")
            record_failure(self._run_dir(configs[number]), killed)
        counted = [code for number, code in enumerate(codes) if number not in ignored and code != Outcome.TAKEN]
        worst = next((one for one in _PRECEDENCE if one in counted), None)
        return worst or (Outcome.FAILED if any(counted) else Outcome.COMPLETED)

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
            return outcome_of(work(self.configs, self._results, stop, plain_console()))
        except Exception as error:  # of any kind: all runs that wait show it
            with contextlib.suppress(OSError):
                self._record_failure(error)
            traceback.print_exc()
            return Outcome.DISK_FULL if is_disk_full(error) else Outcome.FAILED

    def _record_failure(self, error: Exception) -> None:
        """Write a failure of the whole task down: with its unfinished runs or, if it has none, with the submission."""
        if not self.folder.submission.job_kind.trains_runs:
            write_json(self.folder.failure_file(self.task), describe(error).model_dump(mode="json"))
            return
        for config in self.configs:
            if not self._is_over(config) and (not self.folder.submission.pooled or self._had(config)):
                record_failure(self._run_dir(config), error)

    def _had(self, config: RunConfig) -> bool:
        """Whether this task was the last to train a run."""
        attempt = read_progress(self._run_dir(config)).last_attempt
        return attempt is not None and attempt.job == slurm_job()

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
