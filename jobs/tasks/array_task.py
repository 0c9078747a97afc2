"""What one task of an array has to do: train its runs, prepare tweets, compute vectors; and when to give up."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobs.slurm.commands import is_away, requeue
from jobs.slurm.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome, attempt_run, outcome_of, plain_console
from jobs.tasks.failure import describe, record_failure
from jobs.tasks.parallel import side_by_side
from sentiment.allocation import slurm_job
from sentiment.config import RunConfig
from sentiment.errors import SentimentError, SlurmError
from sentiment.files import write_json
from sentiment.run_dir import Results, RunDir
from sentiment.training.stop import StopRequest

# How long slurmctld may be away, for an update say, when a task wants to be requeued.
_ABSENCE_SECONDS = 1800.0
_POLL_SECONDS = 5.0


class NoProgressError(SentimentError):
    """A run is started again and again, and cut each time before it has done a step."""


class KilledError(SentimentError):
    """A run's process was killed."""


@dataclass(frozen=True)
class ArrayTask:
    """One task of a submission."""

    folder: SubmissionDir
    task: int
    configs: list[RunConfig]

    @classmethod
    def read(cls, folder: Path, task: int) -> "ArrayTask":
        """The task's part of a submission."""
        submission = SubmissionDir(folder)
        return cls(submission, task, submission.read_configs(task))

    @property
    def title(self) -> str:
        """For the log."""
        return f"task {self.task} of {self.folder.submission.name}"

    @property
    def cancelled(self) -> bool:
        """Whether `jobs cancel` ended it, at this moment."""
        return self.task in self.folder.cancelled

    @property
    def _results(self) -> Results:
        return Results(Path(self.folder.submission.results))

    def _run_dir(self, config: RunConfig) -> RunDir:
        return self._results.run_dir(config.run_id, self.folder.submission.grid)

    def perform(self, stop: StopRequest) -> Outcome:
        """Do it, to its end or to a reason to stop."""
        if self.folder.submission.kind != "train":
            return self._serve(stop)
        if len(self.configs) == 1:
            return self._attempt(self.configs[0], stop)
        todo = [config for config in self.configs if not self._run_dir(config).completed]
        works: list[Callable[[], int]] = [partial(self._attempt, config, stop) for config in todo]
        codes = side_by_side(works, stop)
        for config, code in zip(todo, codes, strict=True):
            if code < 0:
                killed = KilledError(f"its process was killed by signal {-code}; memory may have been short")
                record_failure(self._run_dir(config), killed)
        return next((one for one in _FIRST if one in codes), Outcome.FAILED if any(codes) else Outcome.COMPLETED)

    def requeue(self) -> Outcome:
        """Let Slurm start the task again, unless it was cancelled meanwhile or gets nowhere."""
        if self.cancelled:
            return Outcome.STOPPED
        try:
            self.insist_on_progress()
            _requeue_when_possible(slurm_job() or "")
        except SentimentError as error:
            print(f"is not requeued: {error}")
            if self.folder.submission.kind != "train":
                self._record_failure(error)
                return Outcome.FAILED
            for config in self.configs:
                if not self._run_dir(config).completed:
                    record_failure(self._run_dir(config), error)
            return Outcome.FAILED
        print("saved, and requeued")
        return Outcome.OUT_OF_TIME

    def _attempt(self, config: RunConfig, stop: StopRequest) -> Outcome:
        return attempt_run(config, self._results, self.folder.submission.grid, stop)

    def _serve(self, stop: StopRequest) -> Outcome:
        """Do what runs wait for."""
        from sentiment.training.encoding import run_encoding
        from sentiment.training.preparing import run_preparation

        serve = run_preparation if self.folder.submission.kind == "data" else run_encoding
        self.folder.failure_file(self.task).unlink(missing_ok=True)
        try:
            return outcome_of(serve(self.configs, self._results, stop, plain_console()))
        except Exception as error:  # of any kind
            self._record_failure(error)
            traceback.print_exc()
            return Outcome.FAILED

    def _record_failure(self, error: Exception) -> None:
        """All runs that wait show it."""
        write_json(self.folder.failure_file(self.task), describe(error).model_dump(mode="json"))

    def insist_on_progress(self) -> None:
        """Count cuts in a row without progress.

        Raises:
            NoProgressError: there were too many.
        """
        file, done = self.folder.progress_file(self.task), self._done()
        former = json.loads(file.read_bytes()) if file.exists() else {"done": -1, "cuts": 0}
        cuts = 0 if done > former["done"] else former["cuts"] + 1
        write_json(file, {"done": done, "cuts": cuts})
        if cuts >= self.folder.submission.resources.attempts_without_progress:
            raise NoProgressError(
                f"cut {cuts} times in a row without a step of progress: starting and saving take longer than the time "
                "limit leaves; rerun with more time"
            )

    def _done(self) -> int:
        """A figure that grows with the work: steps saved, or bytes of prepared tweets or of vectors."""
        if self.folder.submission.kind == "train":
            return sum(steps_saved(self._run_dir(config)) for config in self.configs)
        folder = self._results.corpora if self.folder.submission.kind == "data" else self._results.elmo_caches
        files = (path for path in folder.rglob("[!.]*") if path.is_file() and ".tmp" not in path.parent.suffix)
        return sum(path.stat().st_size for path in files)


def _requeue_when_possible(job: str) -> None:
    """Requeue, patiently while slurmctld is away: all is saved, and nobody else would do it.

    Raises:
        SlurmError: Slurm refuses, or stays away.
    """
    end = time.monotonic() + _ABSENCE_SECONDS
    while True:
        try:
            return requeue(job)
        except SlurmError as error:
            if not is_away(error) or time.monotonic() > end:
                raise
            print(f"waits to be requeued: {error}")
            time.sleep(_POLL_SECONDS)


def steps_saved(run_dir: RunDir) -> int:
    """Steps that the next attempt will not have to do again, as far as the attempts say."""
    record = run_dir.read_record()
    attempts = record.attempts if record else []
    return max((attempt.last_step or attempt.first_step for attempt in attempts), default=0)


# Of several runs in a task: one that was told to stop speaks for all, then one that can go on; failures come last.
_FIRST = (Outcome.STOPPED, Outcome.OUT_OF_TIME, Outcome.FAILED)
