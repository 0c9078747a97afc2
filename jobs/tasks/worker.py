"""What a training task does: it takes one free run after another, and trains each until that is done or its time over.

The tasks of an array, or the one task of a grid on this machine, work off its runs together. Each begins with its own
share, which is one run unless `tasks: N` says otherwise. A run that a task has begun is that task's until it has ended.
The tasks of a search's later rungs rank the rung before first, which says which runs they train.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from jobs import policy
from jobs.grid_jobs import GridJobs
from jobs.here import gpus_here
from jobs.policy import Queued
from jobs.slurm import commands as queue
from jobs.submissions import SubmissionDir, read_submissions
from jobs.tasks.attempt import (
    CrashedError,
    KilledError,
    Outcome,
    announce,
    attempt_run,
    is_disk_full,
    outcome_of,
    record_failure,
)
from sentiment.config import RunConfig
from sentiment.errors import RunDirError, SlurmError, UnfinishedRungError
from sentiment.processes import in_same_array, slurm_job
from sentiment.runs.locks import live_owner
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import PENDING, RUNNING, Standing, read_progress, read_rungs
from sentiment.training.stop import StopRequest

_POLL_SECONDS = 0.5


@dataclass
class _Child:
    process: BaseProcess
    lane: int
    told: bool = False
    """Whether it was told to save and end."""


@dataclass
class SideBySide:
    """Processes that work at the same time, each with its share of the cores.

    They are forked while no thread runs and nothing was computed, so that the handlers of `stop` stand in each of them
    from its first instruction. A signal that reaches only this process is passed on.

    Args:
        lanes: how many at a time.
        cancelled: names of works that are to end; they get TERM, the others go on.
    """

    lanes: int
    stop: StopRequest
    cancelled: Callable[[], Set[str]]
    _children: dict[str, _Child] = field(default_factory=dict, init=False)
    _gpus: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self._gpus = gpus_here() if self.lanes > 1 else ()

    @property
    def number(self) -> int:
        return len(self._children)

    def begin(self, name: str, work: Callable[[], int], device: str = "auto") -> None:
        """Begin a work, which returns its exit code; of several GPUs it sees one, unless it names one itself."""
        lane = min({*range(self.lanes)} - {child.lane for child in self._children.values()})
        share = core_shares(self.lanes)[lane]
        gpu = self._gpus[lane % len(self._gpus)] if len(self._gpus) > 1 and device in ("auto", "cuda") else None
        process = multiprocessing.get_context("fork").Process(target=_perform, args=(work, share, gpu))
        process.start()
        self._children[name] = _Child(process, lane)

    def collect(self) -> dict[str, int]:
        """Wait a moment; exit codes of those that have ended, by name, negative for the signal that killed them."""
        reason, cancelled = self.stop.reason(), self.cancelled()
        if reason and reason.detail == "SIGHUP":
            os._exit(Outcome.STOPPED)  # whoever started this has gone: the children see that they are alone, and save
        passed_on = signal.Signals[reason.detail] if reason and reason.reason == "signal" else None
        for name, child in self._children.items():
            if not child.told and (passed_on or name in cancelled) and child.process.is_alive():
                os.kill(child.process.pid or 0, passed_on or signal.SIGTERM)
                child.told = True
        wait([child.process.sentinel for child in self._children.values()], timeout=_POLL_SECONDS)
        ended = {name: child for name, child in self._children.items() if not child.process.is_alive()}
        for name in ended:
            del self._children[name]
        return {name: child.process.exitcode or 0 for name, child in ended.items()}


def core_shares(count: int) -> list[set[int]]:
    """The cores of this process, shared out among `count` works; all to each where there are fewer cores than works."""
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[number::count] if len(cores) >= count else cores) for number in range(count)]


def _perform(work: Callable[[], int], cores: set[int], gpu: str | None) -> None:
    os.sched_setaffinity(0, cores)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    code: int = Outcome.DISK_FULL
    try:
        code = work()
    except OSError as error:  # not even the log of the run has room for what is to be said of that
        if not is_disk_full(error):
            raise
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)  # what could not be written would be tried again, and change the code


# What a run imports sooner or later; without them in advance, imports are most of what a short run costs.
_LIBRARIES = (
    "sentiment.training.experiment",
    "scipy.stats",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
)

# The outcome of a task, by precedence; without any of these it is COMPLETED.
_PRECEDENCE = (Outcome.STOPPED, Outcome.OUT_OF_TIME, Outcome.DISK_FULL, Outcome.FAILED)


@dataclass
class Worker:
    """A training task of a submission.

    Whether a run is free is asked when its turn comes; the run's lock decides when two tasks want it at once, which is
    seldom, since each begins with its own share.
    """

    folder: SubmissionDir
    task: int
    stop: StopRequest
    clock: Callable[[], float] = time.time
    _began: dict[str, float] = field(default_factory=dict, init=False)
    # Seconds that the slowest of the runs that it has worked off took.
    _longest: float = field(default=0.0, init=False)
    # How often it has begun each run of a rung before its own.
    _begun: Counter[str] = field(default_factory=Counter, init=False)

    def work(self) -> Outcome:
        while self.folder.waits_for_ranking:
            if (outcome := self._end_rung()) is not None:
                return outcome
        outcome = self._work_off(self.free_runs(), self.folder.submission.epochs)
        if len(self.folder.submission.tasks) > 1 and not self.folder.submission.here:
            self._end_what_waits_in_vain()
        return outcome

    def _end_what_waits_in_vain(self) -> None:
        """When all runs have ended, cancel the tasks that have not begun: if one is held, the report waits for it."""
        if not all(map(self._has_ended, self.folder.run_ids)):
            return
        with contextlib.suppress(SlurmError):
            jobs = [job for job in queue.read_queue() if job.name == self.folder.submission.name]
            queue.cancel(job.address for job in jobs if job.held or job.state == PENDING)

    def _has_ended(self, run_id: str) -> bool:
        progress = read_progress(self._run_dir(run_id))
        failed = progress.failure is not None and in_same_array(progress.failure.job) and not progress.locked
        over = progress.completed or progress.has_paused(self.folder.submission.epochs)
        return over or failed or run_id in self.folder.cancelled

    def free_runs(self) -> Iterator[RunConfig]:
        shares = self.folder.tasks
        for run_id in (run_id for share in (*shares[self.task :], *shares[: self.task]) for run_id in share):
            if self._is_free(run_id):
                yield self.folder.configs[run_id]

    def _run_dir(self, run_id: str) -> RunDir:
        return self.folder.results.run_dir(run_id, self.folder.submission.grid)

    def _is_free(self, run_id: str) -> bool:
        """Not if another task of this array has begun it, which will go on with it unless it died of it.

        The process of a job of no task of this array is gone: the queue was asked when this one was submitted.
        """
        progress, submission = read_progress(self._run_dir(run_id)), self.folder.submission
        attempt = progress.last_attempt
        others = attempt and in_same_array(attempt.job) and attempt.job != slurm_job()
        queued = Queued(
            "gone" if others else "runs",
            RUNNING,
            job=slurm_job(),
            cancelled=run_id in self.folder.cancelled,
            lives=in_same_array,
        )
        standing = Standing(submission.rung or 0, submission.epochs)
        return policy.work(policy.judge(progress, queued, standing)) != ""

    def _work_off(self, free: Iterator[RunConfig], epochs: int | None) -> Outcome:
        """Take one run after another; OUT_OF_TIME if others need another start."""
        self.stop.epochs = epochs
        at_once = self.folder.submission.resources.at_once
        side_by_side = SideBySide(at_once, self.stop, lambda: self.folder.cancelled)
        outcomes = list[Outcome]()
        while True:
            while side_by_side.number < side_by_side.lanes and not self._ends(outcomes):
                if (config := next(free, None)) is None:
                    break
                for name in _LIBRARIES:  # the threads that these start are idle ones, which care for forks themselves
                    importlib.import_module(name)
                self._began[config.run_id] = self.clock()
                side_by_side.begin(config.run_id, partial(self._attempt, config), config.runtime.device)
            if not side_by_side.number:
                return next((one for one in _PRECEDENCE if one in outcomes), Outcome.COMPLETED)
            outcomes += self._collect(side_by_side)

    def _ends(self, outcomes: list[Outcome]) -> bool:
        """Whether the task takes no other run; the first is always begun, and goes on in the next start."""
        if not {Outcome.STOPPED, Outcome.OUT_OF_TIME}.isdisjoint(outcomes):
            return True
        if reason := self.stop.reason():
            outcomes.append(outcome_of(reason))
        elif self._longest and self.stop.end is not None and self.stop.end - self.clock() <= self._longest:
            print(f"its time is nearly over: another run may take {self._longest:.0f} s")
            outcomes.append(Outcome.OUT_OF_TIME)
        else:
            return False
        return True

    def _collect(self, side_by_side: SideBySide) -> Iterable[Outcome]:
        """The outcomes of runs that have ended; that of a run which was cancelled doesn't count for the task."""
        for run_id, code in side_by_side.collect().items():
            seconds = self.clock() - self._began[run_id]
            self._longest = max(self._longest, seconds)
            if code == -signal.SIGKILL:
                record_failure(self._run_dir(run_id), KilledError("its process was killed, as for want of memory"))
            elif code < 0:
                record_failure(self._run_dir(run_id), CrashedError(f"its process ended by signal {-code}"))
            outcome = Outcome(code) if code in {*Outcome} else Outcome.FAILED
            print(self._told(run_id, outcome, seconds), flush=True)
            if run_id not in self.folder.cancelled:
                yield outcome

    def _told(self, run_id: str, outcome: Outcome, seconds: float) -> str:
        plan = self.folder.results.read_grid(self.folder.submission.grid)
        progress = read_progress(self._run_dir(run_id), plan)
        state = outcome.name.replace("_", " ")
        if outcome is Outcome.FAILED and progress.failure:
            return f"{run_id} {state}: {progress.failure.error}: {progress.failure.reason}"
        if outcome is not Outcome.COMPLETED:
            return f"{run_id} {state}"
        if progress.has_paused(self.stop.epochs):
            state = f"PAUSED after epoch {progress.epoch}"
        elif not progress.completed:
            return f"{run_id} is left to another process, which trains it"
        score = f", {plan.metric} {progress.score:.3f}" if plan and progress.score is not None else ""
        return f"{run_id} {state} in {seconds:.0f} s{score}"

    def _attempt(self, config: RunConfig) -> Outcome:
        with open(self.folder.run_log(config.run_id), "ab") as log:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                os.dup2(log.fileno(), stream.fileno())
        tries = self.folder.submission.resources.attempts_without_progress
        return attempt_run(config, self._run_dir(config.run_id), self.stop, tries)

    def _end_rung(self) -> Outcome | None:
        """Bring the rung before to its end: its ranking decides which runs the task's slots train.

        Trials that have not ended are trained again first, each by a slot that finds it free. What a slot leaves undone
        because it is killed itself, other slots do, those of the next rung, or what the job that ends the grid submits.

        Returns:
            None when there is more to do, else what the task ends with.
        """
        results, grid = self.folder.results, self.folder.submission.grid
        plan, places = results.read_grid(grid), GridJobs(read_submissions(results, grid), ()).places
        cancelled = {run_id for run_id, (folder, _) in places.items() if run_id in folder.cancelled}
        if plan is None or (rungs := read_rungs(results, plan)) is None:
            raise RunDirError(f"{results.grid_file(grid)}: is gone, or no search in rungs any more")
        trials = rungs.unfinished(cancelled)
        held = [one for one in trials if live_owner(one.lock_file)]
        tries = self.folder.submission.resources.attempts_without_progress
        free = [one for one in trials if one not in held and self._begun[one.path.name] <= tries]
        if free:
            trial, epochs = free[self.task % len(free)], rungs.epochs(rungs.current)
            self._begun[trial.path.name] += 1
            print(f"rung {rungs.current}: {trial.path.name} has not ended, and is trained again to epoch {epochs}")
            announce(trial)
            outcome = self._work_off(iter([self.folder.configs[trial.path.name]]), epochs)
            return None if outcome in (Outcome.COMPLETED, Outcome.FAILED) else outcome
        if held:
            print(f"rung {rungs.current} is not finished: a process trains {held[0].path} right now")
            return Outcome.LOOK_AGAIN
        try:
            print(rungs.settle(cancelled).rankings[-1].describe())
        except UnfinishedRungError as error:
            print(error)
            return Outcome.FAILED
        return None
