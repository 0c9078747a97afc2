"""The training task: it claims and trains unclaimed runs one after another, until none is left or its time runs out.

The tasks of an array share its runs; a grid on this machine has one task. Each task first trains its assigned runs (one
by default), then unclaimed ones. A run that a task has started stays with that task.
"""

import contextlib
import importlib
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from jobs import policy, slurm
from jobs.launch.local_runner import visible_gpus
from jobs.submissions import Submission, SubmissionDir
from jobs.tasks.attempt import (
    Outcome,
    attempt_run,
    is_disk_full,
    outcome_of,
    record_failure,
)
from jobs.tasks.memory import MeasuredMemory
from sentiment.config import RunConfig
from sentiment.errors import CrashedError, KilledError, RunDirError, SentimentError, SlurmError
from sentiment.processes import RUNS_ON_GPU, in_same_array, libraries_survive_fork, slurm_job, training_threads
from sentiment.runs.halving import TrialPlace
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import PENDING, RUNNING, TaskView, judge, read_progress
from sentiment.training.stop import StopRequest

_POLL_SECONDS = 1.0


@dataclass
class _Child:
    """A process; its lane, the lowest number from 0 that was free, says which of several GPUs it gets."""

    process: BaseProcess
    lane: int
    signalled: bool = False


@dataclass
class ProcessPool:
    """Forked processes that work at the same time.

    They inherit the signal handlers of `stop`. A signal that only this process receives is forwarded to them.

    Args:
        at_once: the most processes at a time.
        cancelled: returns the names of processes that are to get SIGTERM.
    """

    at_once: int
    stop: StopRequest
    cancelled: Callable[[], Set[str]]
    _children: dict[str, _Child] = field(default_factory=dict, init=False)
    _gpus: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self._gpus = visible_gpus() if self.at_once > 1 else ()

    @property
    def running(self) -> int:
        return len(self._children)

    @property
    def process_ids(self) -> list[int]:
        return [child.process.pid or 0 for child in self._children.values()]

    def start(self, name: str, work: Callable[[], int], device: str = "auto") -> None:
        """Start a process that exits with `work`'s result; of several GPUs it gets one, unless `device` names one."""
        lane = min({*range(self.at_once)} - {child.lane for child in self._children.values()})
        gpu = self._gpus[lane % len(self._gpus)] if len(self._gpus) > 1 and device in ("auto", "cuda") else None
        sharing = math.ceil(self.at_once / max(len(self._gpus), 1))
        process = multiprocessing.get_context("fork").Process(target=_perform, args=(work, gpu, sharing))
        process.start()
        self._children[name] = _Child(process, lane)

    def collect(self) -> dict[str, int]:
        """Wait a moment; return the exit codes of ended processes by name, negative for the signal that killed them."""
        reason = self.stop.reason()
        cancelled = self.cancelled()
        if reason and reason.detail == "SIGHUP":
            os._exit(Outcome.STOPPED)  # the parent has died: the children notice that this one has too, and save
        forwarded = signal.Signals[reason.detail] if reason and reason.reason == "signal" else None
        for name, child in self._children.items():
            if not child.signalled and (forwarded or name in cancelled) and child.process.is_alive():
                os.kill(child.process.pid or 0, forwarded or signal.SIGTERM)
                child.signalled = True
        wait([child.process.sentinel for child in self._children.values()], timeout=_POLL_SECONDS)
        ended = {name: child for name, child in self._children.items() if not child.process.is_alive()}
        for name in ended:
            del self._children[name]
        return {name: child.process.exitcode or 0 for name, child in ended.items()}


def _perform(work: Callable[[], int], gpu: str | None, sharing: int) -> None:
    """Do the work of a process that shares its GPU with others: `sharing` processes in all."""
    os.environ[RUNS_ON_GPU] = str(sharing)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    code: int = Outcome.DISK_FULL
    try:
        code = work()
    except OSError as error:  # the disk is full: not even the run's log can be written
        if not is_disk_full(error):
            raise
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)  # a normal exit would flush again, fail, and change the exit code


# Imported before the fork of every run but the first, so that short runs do not pay for the imports. The first run of a
# task imports them itself: if they exhaust the memory, its attempt is already counted, and it is retried with more. On
# macOS every run does.
_LIBRARIES = (
    "sentiment.training.experiment",
    "scipy.stats",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
)

# The outcome of a task is the first of these that any of its runs had, else COMPLETED.
_PRECEDENCE = (Outcome.STOPPED, Outcome.OUT_OF_TIME, Outcome.DISK_FULL, Outcome.FAILED)


@dataclass
class Worker:
    """A training task of a submission.

    A run is checked just before it starts. If two tasks pick it at once, its lock decides; that is rare, since each
    task starts with its own share.
    """

    folder: SubmissionDir
    task: int
    stop: StopRequest
    _start_times: dict[str, float] = field(default_factory=dict, init=False)
    _memory: MeasuredMemory = field(default_factory=MeasuredMemory, init=False)

    @cached_property
    def _plan(self) -> GridPlan | None:
        """Read once, for the name of the metric: the plan of a large grid takes long to read. None if it is damaged."""
        with contextlib.suppress(RunDirError):
            return self.folder.results.read_grid(self.folder.grid)
        return None

    def run(self) -> Outcome:
        outcome = self._train_runs(self.free_runs(), self.folder.submission.epochs)
        if len(self.folder.submission.tasks) > 1 and not self.folder.submission.local:
            self._cancel_idle_tasks()
        return outcome

    def _cancel_idle_tasks(self) -> None:
        """When all runs have ended, cancel the tasks that have not started: a held one would block the final job."""
        if not all(map(self._has_ended, self.folder.run_ids)):
            return
        with contextlib.suppress(SlurmError):
            jobs = [job for job in slurm.read_queue() if job.name == self.folder.name]
            slurm.cancel(job.address for job in jobs if job.held or job.state == PENDING)

    def _has_ended(self, run_id: str) -> bool:
        if self._run_dir(run_id).completed or run_id in self.folder.cancelled:
            return True
        progress = read_progress(self._run_dir(run_id))
        failed = progress.failure is not None and in_same_array(progress.failure.job) and not progress.locked
        return failed or progress.completed or progress.has_paused(self.folder.submission.epochs)

    def free_runs(self) -> Iterator[RunConfig]:
        shares = self.folder.tasks
        for run_id in (run_id for share in (*shares[self.task :], *shares[: self.task]) for run_id in share):
            if self._is_free(run_id):
                yield self._config(run_id)

    def _config(self, run_id: str) -> RunConfig:
        return self.folder.read_configs([run_id])[run_id]

    def _run_dir(self, run_id: str) -> RunDir:
        return self.folder.results.run_dir(run_id, self.folder.grid)

    def _is_free(self, run_id: str) -> bool:
        """Whether this task may train the run; not if another task of this array has started it, which will resume it.

        Processes of other arrays are dead: Slurm was asked when this array was submitted.
        """
        run_dir = self._run_dir(run_id)
        if run_dir.completed:  # of a grid of thousands most are, or have not started
            return False
        progress = read_progress(run_dir)
        attempt = progress.last_attempt
        has_another_task = attempt and in_same_array(attempt.job) and attempt.job != slurm_job()
        progress = replace(
            progress,
            locked=progress.locked and (progress.owner_job is None or in_same_array(progress.owner_job)),
            failure=progress.failure if progress.failure and in_same_array(progress.failure.job) else None,
        )
        # Seen from this task, a run of another one has ended: it is judged by how that one left it.
        view = TaskView("queued", RUNNING, is_cancelled=run_id in self.folder.cancelled)
        if has_another_task:
            view = replace(view, phase="ended", state="")
        return policy.worker_action(judge(progress, TrialPlace(0, self.folder.submission.epochs), view)) == "trains"

    def _train_runs(self, free: Iterator[RunConfig], epochs: int | None) -> Outcome:
        """Train the free runs; OUT_OF_TIME if some are left for the next start of this task."""
        self.stop.pause_after = epochs
        at_once = self.folder.submission.resources.at_once
        pool = ProcessPool(at_once, self.stop, lambda: self.folder.cancelled)
        outcomes: list[Outcome] = []
        while True:
            while pool.running < pool.at_once and not self._is_closing(outcomes) and self._has_memory(pool):
                if (config := next(free, None)) is None:
                    break
                if self._start_times and libraries_survive_fork():
                    for name in _LIBRARIES:  # the threads that these imports start are idle and survive a fork
                        importlib.import_module(name)
                self._start_times[config.run_id] = time.monotonic()
                pool.start(config.run_id, partial(self._attempt, config), config.runtime.device)
            if not pool.running:
                return next((outcome for outcome in _PRECEDENCE if outcome in outcomes), Outcome.COMPLETED)
            outcomes += self._collect(pool)

    def _has_memory(self, pool: ProcessPool) -> bool:
        """Whether one more run may start; on this machine only if memory suffices, which a training run has shown."""
        if not pool.running or not self.folder.submission.local:
            return True
        if not self._memory.fits_one_more(pool.process_ids):
            return False
        return any(read_progress(self._run_dir(run_id)).step for run_id in reversed(self._start_times))

    def _is_closing(self, outcomes: list[Outcome]) -> bool:
        """Whether the task starts no further run, on request or at its time limit; adds the reason to `outcomes`."""
        if not {Outcome.STOPPED, Outcome.OUT_OF_TIME}.isdisjoint(outcomes):
            return True
        if reason := self.stop.reason():
            outcomes.append(outcome_of(reason))
            return True
        return False

    def _collect(self, pool: ProcessPool) -> Iterable[Outcome]:
        """The outcomes of runs that have ended, without those of cancelled runs, which do not count for the task."""
        for run_id, code in pool.collect().items():
            seconds = time.monotonic() - self._start_times[run_id]
            if code < 0:
                error: SentimentError = CrashedError(f"its process ended by signal {-code}")
                if code == -signal.SIGKILL:
                    error = KilledError("its process was killed (SIGKILL), probably because memory ran out")
                record_failure(self._run_dir(run_id), error, retry=True)
            outcome = Outcome(code) if code in {*Outcome} else Outcome.FAILED
            print(self._summary_line(run_id, outcome, seconds), flush=True)
            if run_id not in self.folder.cancelled:
                yield outcome

    def _summary_line(self, run_id: str, outcome: Outcome, seconds: float) -> str:
        plan = self._plan
        progress = read_progress(self._run_dir(run_id), plan)
        if outcome is Outcome.FAILED and progress.failure:
            return f"{run_id} FAILED: {progress.failure.summary}"
        state = outcome.name.replace("_", " ")
        if progress.has_paused(self.stop.pause_after):
            state = f"PAUSED after epoch {progress.epoch}"
        elif outcome is Outcome.COMPLETED and not progress.completed:
            return f"{run_id} is skipped: another process trains it"
        score = f", {plan.metric} {progress.score:.3f}" if plan and progress.score is not None else ""
        return f"{run_id} {state} in {seconds:.0f} s{score}"

    def _attempt(self, config: RunConfig) -> Outcome:
        with open(self.folder.run_log(config.run_id), "ab") as log:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                os.dup2(log.fileno(), stream.fileno())
        submission = self.folder.submission
        return attempt_run(with_threads(config, submission), self._run_dir(config.run_id), self.stop, submission)


def with_threads(config: RunConfig, submission: Submission) -> RunConfig:
    """The configuration of a run, whose threads share the cores of its task with other runs, if it says nothing else.

    On this machine, without a GPU, it has one thread, so that results do not depend on the number of runs at a time.
    """
    threads = config.runtime.threads
    at_once = submission.resources.at_once
    if threads is None and submission.local and not visible_gpus():
        threads = 1
    elif threads is None and at_once > 1:
        threads = training_threads(at_once)
    return config.model_copy(update={"runtime": config.runtime.model_copy(update={"threads": threads})})
