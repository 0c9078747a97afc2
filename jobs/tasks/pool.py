"""A task of a pool (`tasks: W`): it works off runs one after another, each time one that no other task has."""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from jobs.slurm.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome, outcome_of
from sentiment.allocation import is_of_this_array, slurm_job
from sentiment.config import RunConfig
from sentiment.lock import live_owner
from sentiment.run_dir import Results
from sentiment.run_state import read_progress
from sentiment.training.stop import StopRequest

# What a run imports sooner or later; without them in advance, imports are most of what a short run costs.
_LIBRARIES = (
    "sentiment.training.runs.experiment",
    "scipy.stats",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
)


@dataclass
class PoolTask:
    """One of the tasks that share the runs of a submission.

    Whether a run is free is asked when its turn comes; the run's lock decides when two tasks want it at once.

    Args:
        task: its number. It begins with its own share of the runs, so that tasks seldom want the same one.
        attempt: trains some runs at the same time, each in a process of its own.
    """

    results: Results
    folder: SubmissionDir
    task: int
    attempt: Callable[[list[RunConfig], StopRequest], Outcome]
    clock: Callable[[], float] = time.time
    _longest: float = field(default=0.0, init=False)
    """Seconds that the slowest of the runs that it has worked off took."""

    def work_off(self, stop: StopRequest) -> Outcome:
        """Work until no run is free or there is a reason to stop; OUT_OF_TIME if others need another start."""
        _preload()
        failed = False
        free = self.free_runs()
        while configs := list(islice(free, self.folder.submission.resources.runs_per_task)):
            if reason := stop.reason():
                return outcome_of(reason)
            if not self._time_for_another(stop):
                print(f"its time is nearly over: another run may take {self._longest:.0f} s")
                return Outcome.OUT_OF_TIME
            start = self.clock()
            outcome = self.attempt(configs, stop)
            if outcome in (Outcome.STOPPED, Outcome.OUT_OF_TIME):
                return outcome
            self._longest = max(self._longest, self.clock() - start)
            failed |= outcome is Outcome.FAILED
        return Outcome.FAILED if failed else Outcome.COMPLETED

    def free_runs(self) -> Iterator[RunConfig]:
        """The runs that nobody has when their turn comes: its own share first, then those of the tasks after it."""
        number = len(self.folder.submission.tasks)
        for share in ((self.task + offset) % number for offset in range(number)):
            yield from filter(self._is_free, self.folder.read_configs(share))

    def _time_for_another(self, stop: StopRequest) -> bool:
        """The first run is always begun: one that takes longer than a task has goes on in its next start."""
        return not self._longest or stop.end is None or stop.end - self.clock() > self._longest

    def _is_free(self, config: RunConfig) -> bool:
        """Not if another task of this submission died with it: it would be the end of this one as well."""
        run_dir = self.results.run_dir(config.run_id, self.folder.submission.grid)
        if run_dir.completed or config.run_id in self.folder.cancelled:
            return False
        progress = read_progress(run_dir)
        if progress.has_paused(self.folder.submission.epochs):
            return False
        attempt, failure, owner = progress.last_attempt, progress.failure, live_owner(run_dir.lock_file)
        if (owner and is_of_this_array(owner.job)) or (failure and is_of_this_array(failure.job)):
            return False  # the process of any other job is gone: the queue was asked when this one was submitted
        ours = attempt is not None and is_of_this_array(attempt.job)
        return not (attempt and ours and attempt.end is None and attempt.job != slurm_job())


def _preload() -> None:
    """Import once what each run's process needs.

    The processes are forked from this one. The only threads that these imports start are idle ones of OpenBLAS and
    Arrow, which care for forks themselves; nothing is computed and no GPU is touched before a fork.
    """
    for name in _LIBRARIES:
        importlib.import_module(name)
