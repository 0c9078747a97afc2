"""What a training task does: it takes one free run after another, and trains each until that is done or its time over.

A task has a run of its own or, with `tasks: N` and `at_once: N`, works off the runs of its array together with the
others, as the one task of a grid on this machine does. The tasks of a search's later rungs rank the rung before first,
which says which runs they train.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from jobs import policy
from jobs.here import gpus_here
from jobs.policy import Queued
from jobs.slurm.grid_jobs import cancelled_runs
from jobs.slurm.submissions import SubmissionDir
from jobs.tasks.attempt import KilledError, Outcome, announce, attempt_run, outcome_of, record_failure
from sentiment.config import RunConfig
from sentiment.errors import RunDirError, UnfinishedRungError
from sentiment.processes import is_of_this_array, slurm_job
from sentiment.runs.attempts import seems_held
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.rungs import Rungs, Standing, read_rungs
from sentiment.runs.state import RUNNING, read_progress
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
    cancelled: Callable[[], Set[str | int]]
    _children: dict[str, _Child] = field(default_factory=dict, init=False)
    _gpus: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self._gpus = gpus_here() if self.lanes > 1 else ()

    @property
    def number(self) -> int:
        """How many are at work."""
        return len(self._children)

    def begin(self, name: str, work: Callable[[], int], device: str = "auto") -> None:
        """Begin a work, which returns its exit code; a lane must be free.

        Args:
            device: what the work computes on; of several GPUs it sees one, unless it names one itself.
        """
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
    """Do a work on its share of the cores, and on one of several GPUs."""
    os.sched_setaffinity(0, cores)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    raise SystemExit(work())


# What a run imports sooner or later; without them in advance, imports are most of what a short run costs.
_LIBRARIES = (
    "sentiment.training.experiment",
    "scipy.stats",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
)

# The outcome of a task with several runs, by precedence; without any of these it is COMPLETED.
_PRECEDENCE = (Outcome.STOPPED, Outcome.OUT_OF_TIME, Outcome.DISK_FULL, Outcome.FAILED)


@dataclass
class Worker:
    """A training task of a submission.

    Whether a run is free is asked when its turn comes; the run's lock decides when two tasks want it at once.

    Args:
        task: its number. It begins with its own share of the runs, so that tasks seldom want the same one.
    """

    folder: SubmissionDir
    task: int
    clock: Callable[[], float] = time.time
    processes: Callable[..., SideBySide] = SideBySide
    _began: dict[str, float] = field(default_factory=dict, init=False)
    _longest: float = field(default=0.0, init=False)
    """Seconds that the slowest of the runs that it has worked off took."""

    @property
    def _results(self) -> Results:
        return Results(Path(self.folder.submission.results))

    def _run_dir(self, run_id: str) -> RunDir:
        return self._results.run_dir(run_id, self.folder.submission.grid)

    def work(self, stop: StopRequest) -> Outcome:
        """Train until no run is free or there is a reason to stop."""
        if (undecided := self._decide_runs(stop)) is not None:
            return undecided
        stop.epochs = self.folder.submission.epochs
        if self.folder.submission.pooled:
            return self._work_off(stop)
        for config in self.folder.read_configs(self.task):
            return self._attempt(config, stop)
        print("fewer trials go on than there are tasks: nothing is left for this one")
        return Outcome.COMPLETED

    def fail(self, error: Exception) -> None:
        """Write a failure of the whole task down with the runs that it had."""
        for run_id in self.folder.runs_of(self.task):
            run_dir, pooled = self._run_dir(run_id), self.folder.submission.pooled
            attempt = read_progress(run_dir).last_attempt
            had = not pooled or (attempt is not None and attempt.job == slurm_job())
            if had and not self._is_over(run_id):
                record_failure(run_dir, error)

    def free_runs(self) -> Iterator[RunConfig]:
        """The runs that nobody has when their turn comes: its own share first, then those of the tasks after it."""
        number = len(self.folder.submission.tasks)
        for share in ((self.task + offset) % number for offset in range(number)):
            yield from (one for one in self.folder.read_configs(share) if self._is_free(one.run_id))

    def _work_off(self, stop: StopRequest) -> Outcome:
        """Take one free run after another; OUT_OF_TIME if others need another start."""
        _preload()
        side_by_side = self.processes(self.folder.submission.resources.at_once, stop, lambda: self.folder.cancelled)
        free, outcomes = self.free_runs(), list[Outcome]()
        while True:
            while side_by_side.number < side_by_side.lanes and not self._ends(stop, outcomes):
                if (config := next(free, None)) is None:
                    break
                self._began[config.run_id] = self.clock()
                work = partial(self._attempt_with_log, config, stop)
                side_by_side.begin(config.run_id, work, config.runtime.device)
            if not side_by_side.number:
                return next((one for one in _PRECEDENCE if one in outcomes), Outcome.COMPLETED)
            outcomes += self._collect(side_by_side)

    def _ends(self, stop: StopRequest, outcomes: list[Outcome]) -> bool:
        """Whether the task takes no other run. The first is always begun: if it is too long it goes on in its next
        start."""
        if not {Outcome.STOPPED, Outcome.OUT_OF_TIME}.isdisjoint(outcomes):
            return True
        if reason := stop.reason():
            outcomes.append(outcome_of(reason))
        elif self._longest and stop.end is not None and stop.end - self.clock() <= self._longest:
            print(f"its time is nearly over: another run may take {self._longest:.0f} s")
            outcomes.append(Outcome.OUT_OF_TIME)
        else:
            return False
        return True

    def _collect(self, side_by_side: SideBySide) -> Iterator[Outcome]:
        """The outcomes of runs that have ended; that of a run which `jobs cancel` ended doesn't count for the task."""
        for run_id, code in side_by_side.collect().items():
            seconds = self.clock() - self._began[run_id]
            self._longest = max(self._longest, seconds)
            outcome = self._outcome(run_id, code)
            print(self._told(run_id, outcome, seconds), flush=True)
            if run_id not in self.folder.cancelled:
                yield outcome

    def _outcome(self, run_id: str, code: int) -> Outcome:
        if code < 0:
            killed = KilledError(f"its process was killed by signal {-code}; memory may have been short")
            record_failure(self._run_dir(run_id), killed)
        return Outcome(code) if code in {*Outcome} else Outcome.FAILED

    def _told(self, run_id: str, outcome: Outcome, seconds: float) -> str:
        """How a run has ended, in a line that begins with its name."""
        plan, run_dir = self._results.read_grid(self.folder.submission.grid), self._run_dir(run_id)
        progress = read_progress(run_dir, plan)
        state = outcome.name.replace("_", " ")
        if outcome is Outcome.FAILED and progress.failure:
            return f"{run_id} {state}: {progress.failure.error}: {progress.failure.reason}"
        if outcome is not Outcome.COMPLETED:
            return f"{run_id} {state}"
        if progress.has_paused(self.folder.submission.epochs):
            state = f"PAUSED after epoch {progress.epoch}"
        elif not progress.completed:
            return f"{run_id} is left to another process, which trains it"
        score = f", {plan.metric} {progress.score:.3f}" if plan and progress.score is not None else ""
        return f"{run_id} {state} in {seconds:.0f} s{score}"

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

    def _attempt_alone(self, config: RunConfig, stop: StopRequest) -> Outcome:
        """In a process of its own: if memory is short, this one outlives that."""
        side_by_side = self.processes(1, stop, lambda: self.folder.cancelled)
        side_by_side.begin(config.run_id, partial(self._attempt_with_log, config, stop))
        while not (ended := side_by_side.collect()):
            pass
        return self._outcome(config.run_id, ended[config.run_id])

    def _is_over(self, run_id: str) -> bool:
        run_dir, epochs = self._run_dir(run_id), self.folder.submission.epochs
        return run_dir.completed or run_id in self.folder.cancelled or read_progress(run_dir).has_paused(epochs)

    def _is_free(self, run_id: str) -> bool:
        """Not if another task of this array died with it: it would be the end of this one as well.

        The process of a job of no task of this array is gone: the queue was asked when this one was submitted.
        """
        progress, submission = read_progress(self._run_dir(run_id)), self.folder.submission
        attempt = progress.last_attempt
        died = attempt and attempt.end is None and is_of_this_array(attempt.job) and attempt.job != slurm_job()
        queued = Queued(
            "gone" if died else "runs",
            RUNNING,
            job=slurm_job(),
            cancelled=run_id in self.folder.cancelled,
            shared=True,
            lives=is_of_this_array,
        )
        return policy.work(policy.judge(progress, queued, Standing(submission.rung or 0, submission.epochs))) != ""

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
                if outcome not in (Outcome.COMPLETED, Outcome.FAILED, Outcome.TAKEN):
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
        """Train a trial to the end of its rung."""
        stop.epochs = rungs.epochs(rungs.current)
        print(f"rung {rungs.current}: {trial.path.name} has not ended, and is trained again to epoch {stop.epochs}")
        (config,) = (one for one in self.folder.read_all_configs() if one.run_id == trial.path.name)
        announce(trial)
        outcome = self._attempt_alone(config, stop)
        if outcome is Outcome.FAILED and (failure := trial.read_failure()):
            print(f"{trial.path.name}: {failure.error}: {failure.reason}")
        return outcome


def _preload() -> None:
    """Import once what each run's process needs.

    The processes are forked from this one. The only threads that these imports start are idle ones of OpenBLAS and
    Arrow, which care for forks themselves; nothing is computed and no GPU is touched before a fork.
    """
    for name in _LIBRARIES:
        importlib.import_module(name)
