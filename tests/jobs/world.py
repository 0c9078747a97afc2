"""A Slurm whose jobs run in this process, one after another, and in which any process may die between any two steps.

Commands, the final job and attempts are the real ones; the queue, the training and the end of a process are not.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from jobs.grid_jobs import GridJobs
from jobs.grids.grid import GridRequest
from jobs.grids.sweep_file import read_grid_file
from jobs.job_kinds import steps_saved
from jobs.launch.advance import submit_study
from jobs.launch.cancelling import cancel_grid
from jobs.launch.locked_grid import LaunchOptions
from jobs.slurm.commands import Job
from jobs.slurm.resources import Limits
from jobs.status.grid_state import read_grid_status
from jobs.study import plan_study
from jobs.submissions import SubmissionDir, read_submissions
from jobs.tasks.attempt import Outcome, attempt_run
from jobs.tasks.grid_end import end_grid
from sentiment.errors import SentimentError
from sentiment.files import write_atomically, write_once
from sentiment.processes import slurm_job
from sentiment.runs.records import Result, RunRecord
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.stop import RunContext, Stop, StopRequest
from tests.invented import rungs_of
from tests.jobs.grid_files import result_like
from tests.jobs.submitted import DiedError, attempt_of, write_attempts, write_epochs

_MOST_JOBS = 300


@dataclass
class World:
    """The queue of one results folder.

    Attributes:
        result: of each completed run.
        deaths: the numbers of the steps, from 1, at which a process dies.
        diverging: the runs that fail by themselves, `slow` those whose first attempt reaches the time limit of its
            task, `fatal` those that kill their first task, and `overfitting` those that overfit, by their learning rate
            in hundredths, which is also what is added to a score.
        records_fatal: whether a fatal run has recorded its attempt when it kills its task.
        events: what happens in which training, counted from 1: `kill` (of its task), `kill all` (of the command too),
            `interrupt` (Ctrl+C, or `scancel` of its task), `cancel` (of its grid), `second` (the command `again` runs
            beside it), `edit` (of the code).
        code: the current code.
    """

    results: Results
    result: Result
    order: Random
    deaths: set[int] = field(default_factory=set)
    diverging: set[int] = field(default_factory=set)
    slow: set[int] = field(default_factory=set)
    fatal: set[int] = field(default_factory=set)
    records_fatal: bool = True
    overfitting: set[int] = field(default_factory=set)
    events: dict[int, str] = field(default_factory=dict)
    again: Callable[[], object] = lambda: None
    code: str = "code"
    queue: dict[str, Job] = field(default_factory=dict)
    trained: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    reports: int = 0
    steps: int = 0
    lines: list[str] = field(default_factory=list)
    _stop: Stop | None = field(default=None, init=False)
    _kills_command: bool = field(default=False, init=False)
    _code_of_task: str = field(default="", init=False)

    @property
    def options(self) -> LaunchOptions:
        return LaunchOptions(say=self.lines.append)

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """Let all of `jobs` use this queue."""
        replaced: dict[str, Any] = {
            "jobs.slurm.submit": self._dying(self._submit),
            "jobs.slurm.cancel": self._dying(self._cancel),
            "jobs.slurm.max_array_size": lambda: 1000,
            "jobs.slurm.check_requirements": lambda: None,
            "jobs.grid_jobs.read_queue": lambda: [*self.queue.values()],
            "jobs.grid_jobs.read_settings": lambda: {"ClusterName": "world"},
            "jobs.slurm.read_limits": lambda _partition: Limits(),
            "jobs.grid_jobs.find_job": self._find,
            "jobs.slurm.read_queue": lambda: [*self.queue.values()],
            "jobs.launch.plan.preparations_needed": lambda _configs, _results: {},
            "jobs.launch.backends.freeze_code": lambda _results: self.code,
            "jobs.launch.advance.freeze_code": lambda _results: self.code,
            "jobs.launch.advance.training_of": lambda _results, code: code,
            "jobs.launch.plan.find_damage": lambda _folder: None,
            "sentiment.training.stop.StopRequest.reason": lambda _request: self._stop,
            "jobs.requested.write_atomically": self._dying(write_atomically),
            "jobs.submissions.write_atomically": self._dying(write_atomically),
            "sentiment.runs.run_dir.write_atomically": self._dying(write_atomically),
            "sentiment.runs.halving.write_once": self._dying(write_once),
            "jobs.tasks.grid_end.build_report": self._report,
            "jobs.launch.advance.build_report": self._report,
            "jobs.launch.local_runner.LocalRunner._run_job": lambda _runner, folder: self._run_here(folder),
            "sentiment.training.experiment.run_experiment": self._train,
        }
        with contextlib.ExitStack() as stack:
            for name, value in replaced.items():
                stack.enter_context(patch(name, value))
            yield

    def _dying(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """A step before and after which the process may die."""

        def step(*arguments: Any) -> Any:
            self._live()
            done = work(*arguments)
            self._live()
            return done

        return step

    def _live(self) -> None:
        self.steps += 1
        if self.steps in self.deaths:
            raise DiedError(self.steps)

    def _submit(self, folder: SubmissionDir) -> str:
        number = str(100 + len({job.job_id for job in self.queue.values()}))
        tasks: list[int | None] = [*range(len(folder.submission.tasks))]
        for task in [None] if folder.submission.job_kind.final else tasks:
            job = Job(folder.name, number, task, "PENDING", "Dependency" if folder.submission.after else "None")
            self.queue[job.address] = job
        return number

    def _cancel(self, addresses: Any) -> None:
        for address in addresses:
            for job in [*self.queue.values()]:
                if address in (job.address, job.job_id) and job.state in ("PENDING", "RUNNING"):
                    self._set(job, "CANCELLED")

    def _find(self, name: str) -> str | None:
        return next((job.job_id for job in self.queue.values() if job.name == name), None)

    def _set(self, job: Job, state: str) -> Job:
        changed = Job(job.name, job.job_id, job.task, state)
        self.queue[job.address] = changed
        return changed

    def _report(self, *_arguments: object) -> bool:
        self.reports += 1
        return True

    def submit(self, *grids: Path | GridRequest, **options: Any) -> int:
        """The exit code of the command that submits these grids, or their files, with these of its options."""
        requests = [grid if isinstance(grid, GridRequest) else GridRequest(read_grid_file(grid)) for grid in grids]
        return submit_study(self.results, plan_study(self.results, requests), replace(self.options, **options))

    def finish(self, *grids: Path | GridRequest, **options: Any) -> None:
        """Submit grids, and let all end that can."""
        assert self.submit(*grids, **options) == 0
        self.settle()

    def command(self, run: Callable[[], object]) -> bool:
        """Run a command; return whether it lived to its end."""
        try:
            run()
        except DiedError:
            return False
        finally:
            self._stop = None
            self._kills_command = False
        return True

    def settle(self) -> None:
        """Start jobs, in any order that their dependencies allow, until none can start."""
        for _ in range(_MOST_JOBS):
            self.check()
            startable = [job for job in self.queue.values() if job.state == "PENDING" and self._is_free(job)]
            if not startable:
                return
            self.run(self.order.choice(startable))
        raise AssertionError("jobs without end")

    def check(self) -> None:
        """No run has two tasks that wait or run."""
        folders = {folder.name: folder for folder in read_submissions(self.results)}
        waiting: Counter[tuple[str, str]] = Counter()
        for job in self.queue.values():
            if job.state in ("PENDING", "RUNNING") and job.task is not None and job.name in folders:
                folder = folders[job.name]
                marked = folder.cancelled
                waiting.update((folder.grid, run) for run in folder.tasks[job.task] if run not in marked)
        assert not [run for run, tasks in waiting.items() if tasks > 1], waiting

    def _is_free(self, job: Job) -> bool:
        folder = self._folder(job)
        if folder is None:
            return True  # its command died before it wrote the receipt: the job starts all the same
        _, *ids = (folder.submission.after or "").split(":")
        return not any(other.job_id in ids and other.state in ("PENDING", "RUNNING") for other in self.queue.values())

    def _folder(self, job: Job) -> SubmissionDir | None:
        return next((folder for folder in read_submissions(self.results) if folder.name == job.name), None)

    def run(self, job: Job) -> None:
        """Start a job, and let it end."""
        folder = self._folder(job)
        if folder is None:
            self._set(job, "FAILED")
            return
        running = self._set(job, "RUNNING")
        environ = {"SLURM_JOB_ID": job.job_id}
        if job.task is not None:
            environ |= {"SLURM_ARRAY_JOB_ID": job.job_id, "SLURM_ARRAY_TASK_ID": str(job.task)}
        with patch.dict(os.environ, environ), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            try:
                outcome = self._work(folder, job.task)
            except DiedError:
                self._set(running, self.order.choice(["FAILED", "PENDING"]))  # PENDING: its node died
                return
        ends = {Outcome.COMPLETED: "COMPLETED", Outcome.RETRY_LATER: "PENDING", Outcome.OUT_OF_TIME: "PENDING"}
        ends[Outcome.STOPPED] = "CANCELLED"
        self._set(running, ends.get(outcome, "FAILED"))

    def _run_here(self, folder: SubmissionDir) -> None:
        """In place of the process of a task on this machine, which dies alone."""
        environ = patch.dict(os.environ, {"SENTIMENT_JOB": folder.task_address(0)})
        out = contextlib.redirect_stdout(None)
        with environ, out, contextlib.redirect_stderr(None), contextlib.suppress(DiedError):
            self._work(folder, 0)
        if self._kills_command:
            raise DiedError

    def _work(self, folder: SubmissionDir, task: int | None) -> Outcome:
        if task is None:
            return end_grid(folder, StopRequest())
        outcomes = [Outcome.COMPLETED]
        for run_id in folder.tasks[task]:
            if run_id not in folder.cancelled and not {Outcome.OUT_OF_TIME, Outcome.STOPPED} & {*outcomes}:
                outcomes.append(self._attempt(folder, run_id))
        return max(outcomes)

    def _attempt(self, folder: SubmissionDir, run_id: str) -> Outcome:
        stop = StopRequest()
        stop.pause_after = folder.submission.epochs
        config = folder.read_configs([run_id])[run_id]
        self._code_of_task = folder.submission.code or ""
        return attempt_run(config, self.results.run_dir(run_id, folder.grid), stop, folder.submission)

    def _train(self, run: RunContext) -> Stop | None:
        """In place of `run_experiment`."""
        run_dir = run.run_dir
        epochs = run.stop.pause_after
        run.on_begin(run_dir)
        self._live()
        before = self._saved(run)
        self.trained[run_dir.path.name, epochs] += 1
        if stop := self._happen(run_dir, before):
            return stop
        number = round(100 * run.config.training.learning_rate)
        if number in self.fatal:
            self.fatal.remove(number)
            if self.records_fatal:
                self._write_attempt(run_dir, before)
            raise DiedError(number)
        if number in self.diverging:
            raise SentimentError("the loss is nan")
        last = epochs or run.config.training.epochs
        is_cut = number in self.slow and not before
        end = {"end": "2026-03-04T11:30:00+00:00", "reason": "paused" if epochs else "completed"}
        run_dir.create(run.config)
        if is_cut:
            end["reason"] = "deadline"
            last = 1
        self._write_attempt(run_dir, before, last_step=9 * last, **end)
        if is_cut:
            return Stop("deadline", "")
        write_epochs(run_dir, [0.5 + number / 100] * last)
        if epochs is None:
            overfits = number in self.overfitting
            run_dir.write_record(result_like(self.result, run_dir.path.name, 0.5 + number / 100, overfits))
            return None
        return Stop("paused", "")

    def _saved(self, run: RunContext) -> int:
        """What the attempt goes on from; only on request does it begin again with other code."""
        record = run.run_dir.read(RunRecord)
        saved = steps_saved(run.run_dir)
        if saved == 0 or record is None or record.attempts[-1].code == self._code_of_task:
            return saved
        if run.config.runtime.other_code != "restart":
            raise SentimentError("its checkpoint was made by other code")
        return 0

    def _write_attempt(self, run_dir: RunDir, before: int, **end: Any) -> None:
        write_attempts(run_dir, attempt_of(slurm_job(), first_step=before, code=self._code_of_task, **end))

    def _happen(self, run_dir: RunDir, before: int) -> Stop | None:
        """Let happen what happens in this training; return why it stops."""
        event = self.events.pop(sum(self.trained.values()), "")
        if event == "edit":
            self.code += "'"
        if event == "second":
            self.again()
        if event.startswith("kill"):
            self._kills_command = event == "kill all"
            self._write_attempt(run_dir, before)
            raise DiedError(event)
        if event == "cancel":
            plan = self.results.read_grid(run_dir.grid)
            assert plan
            with patch.dict(os.environ):
                os.environ.pop("SENTIMENT_JOB", None)
                cancel_grid(self.results, plan, set(), self.lines.append)
        if event not in ("cancel", "interrupt"):
            return None
        stop = Stop("signal", "SIGTERM")
        if event == "interrupt" and "SENTIMENT_JOB" in os.environ:
            self._stop = stop
        self._write_attempt(
            run_dir, before, last_step=before, end="2026-03-04T11:30:00+00:00", reason="signal", detail="SIGTERM"
        )
        return stop

    def states(self, grid: str) -> list[str]:
        plan = self.results.read_grid(grid)
        jobs = GridJobs(read_submissions(self.results, grid), [*self.queue.values()])
        return [row.state for row in read_grid_status(self.results, plan, jobs).rows]

    def has_ended(self, grid: str) -> bool:
        """Whether each run is completed or pruned, or has failed by itself."""
        plan = self.results.read_grid(grid)
        if plan is None:
            return False
        failed = [bool(self.results.run_dir(run.run_id, grid).own_failure()) for run in plan.runs]
        states = zip(self.states(grid), failed, strict=True)
        return all(state in ("COMPLETED", "PRUNED") or (state == "FAILED" and own) for state, own in states)

    def rankings(self, grid: str) -> list[list[tuple[str, float | None]]]:
        rungs = rungs_of(self.results, self.results.read_grid(grid))
        return [[(trial.run_id, trial.value) for trial in ranking.trials] for ranking in rungs.rankings]
