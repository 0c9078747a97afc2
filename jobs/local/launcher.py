"""The launcher that runs a grid on this machine, while the command waits: one or several runs at a time."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jobs import policy
from jobs.local.queue import LocalQueue
from jobs.policy import Queued
from jobs.slurm.grid_jobs import GridJobs, read_jobs
from jobs.slurm.resources import read_cluster
from jobs.status.grid_status import RunStatus, describe_held
from jobs.tasks.attempt import KilledError, Outcome, announce, record_failure
from jobs.tasks.grid_end import GridEnd
from jobs.wanted import LaterRungs, WantedRun
from sentiment.console import Console
from sentiment.errors import SentimentError
from sentiment.runs.code_version import start_command
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import PAUSED, read_progress
from sentiment.training.stop import StopRequest, end_of_time

_POLL_SECONDS = 0.1
_SECONDS_UNTIL_A_GUESS = 20.0


@dataclass
class _LocalAttempt:
    """A run's process, and the lane that it runs in."""

    process: "subprocess.Popen[bytes]"
    wanted: WantedRun
    run_dir: RunDir
    lane: int
    start: float
    told: bool = False
    """Whether it was told to save and end."""

    @property
    def run_id(self) -> str:
        return self.run_dir.path.name

    def tell(self) -> None:
        """Let it save and end."""
        if not self.told:
            self.told = True
            self.process.send_signal(signal.SIGTERM)


@dataclass
class RunningGrid:
    """Runs of a grid on this machine, in a number of lanes that share out its GPUs and cores.

    Args:
        lanes: how many runs at a time.
        gpus: as CUDA_VISIBLE_DEVICES names them.
        console: prints lines, and shows how many runs have ended.
        notify: the command that tells somebody when the grid has ended.
        later: of a search, the rungs that follow when these runs have ended.
    """

    results: Results
    plan: GridPlan
    lanes: int
    gpus: Sequence[str]
    console: Console
    notify: Sequence[str] = ()
    later: LaterRungs | None = None
    _running: list[_LocalAttempt] = field(default_factory=list, init=False)
    _waiting: deque[WantedRun] = field(default_factory=deque, init=False)
    _outcomes: list[Outcome] = field(default_factory=list, init=False)
    _total: int = field(default=0, init=False)
    _began: float = field(default_factory=time.monotonic, init=False)

    @property
    def queue(self) -> LocalQueue:
        """What other commands are told, and tell this process."""
        return LocalQueue.of(self.results, self.plan.name)

    def run(self, runs: Sequence[WantedRun], stop: StopRequest) -> Outcome:
        """Train all runs, then build the report; a run that fails does not hold up the others.

        A reason to stop is passed on to all processes, which save and end; `jobs cancel` ends single runs in the same
        way. No process is left when this returns.

        Returns:
            STOPPED if there was a reason to stop or any run was cancelled, else FAILED if any run failed.
        """
        self._waiting, self._total = deque(runs), len(runs)
        try:
            while self._running or self._waiting or self._begin_next_rung(stop):
                if stop.reason():
                    self._waiting.clear()
                    for attempt in self._running:
                        attempt.tell()
                self._end_cancelled()
                self._start_waiting()
                self._collect()
        finally:  # after a second Ctrl+C
            for attempt in self._running:
                attempt.process.kill()
        if Outcome.STOPPED in self._outcomes or Outcome.OUT_OF_TIME in self._outcomes or stop.reason():
            outcome = Outcome.STOPPED
        else:
            outcome = Outcome.FAILED if Outcome.FAILED in self._outcomes else Outcome.COMPLETED
        if not stop.reason() and {Outcome.COMPLETED, Outcome.FAILED} & set(self._outcomes):
            self._conclude(stop)
        return outcome

    def _begin_next_rung(self, stop: StopRequest) -> bool:
        """Rank the trials that have ended, and put those that go on into the queue; False if there are no more."""
        while self.later and not self._waiting and not stop.reason():
            if {run.config.run_id for run in self.later.candidates} <= self.queue.cancelled():
                return False
            try:
                ranking, runs, self.later = self.later.promote(self.queue.cancelled())
            except SentimentError as error:
                self._outcomes.append(Outcome.FAILED)
                self.console.say(str(error))
                return False
            self.console.say(ranking.describe())
            self._waiting.extend(runs)
            self._total += len(runs)
            self._write_queue()
        return bool(self._waiting)

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self.lanes:
            self._start(self._waiting.popleft())
            self._write_queue()

    def _start(self, run: WantedRun) -> None:
        config = run.config
        run_dir = self.results.run_dir(config.run_id, self.plan.name)
        run_dir.create(config)
        announce(run_dir)
        lane = min(set(range(self.lanes)) - {attempt.lane for attempt in self._running})
        copy = self.results.code / run.code if run.code else None
        command = [*start_command("jobs.tasks.local_task", copy), str(run_dir.path), f"{lane}/{self.lanes}"]
        pause = [str(run.epochs)] if run.epochs else []
        with open(self.queue.log_file(config.run_id), "ab") as log:
            process = subprocess.Popen(  # noqa: S603
                [*command, str(os.getpid()), *pause],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(run, lane),
                start_new_session=True,  # Ctrl+C reaches this process alone, which passes it on
            )
        self._running.append(_LocalAttempt(process, run, run_dir, lane, time.monotonic()))

    def environment(self, run: WantedRun, lane: int) -> dict[str, str]:
        """Of a run's process: for each lane one of several GPUs, unless the run names its device."""
        if len(self.gpus) < 2 or run.config.runtime.device not in ("auto", "cuda"):
            return {**os.environ}
        return os.environ | {"CUDA_VISIBLE_DEVICES": self.gpus[lane % len(self.gpus)]}

    def _end_cancelled(self) -> None:
        """Do what `jobs cancel` asks for in another process."""
        cancelled = self.queue.cancelled()
        for attempt in self._running:
            if attempt.run_id in cancelled:
                attempt.tell()
        for run in [one for one in self._waiting if one.config.run_id in cancelled]:
            self._waiting.remove(run)
            self._note(Outcome.STOPPED, f"{run.config.run_id} CANCELLED")
            self._write_queue()

    def _write_queue(self) -> None:
        """Trials that have paused wait for the others of their rung."""
        running = {attempt.run_id for attempt in self._running}
        waiting = {run.config.run_id for run in (*self._waiting, *(self.later.candidates if self.later else ()))}
        self.queue.write(running, waiting - running)

    def _collect(self) -> None:
        """Wait a moment, and take note of processes that have ended."""
        self.console.progress(f"grid {self.plan.name}", len(self._outcomes), self._total)
        time.sleep(_POLL_SECONDS)
        for attempt in [one for one in self._running if one.process.poll() is not None]:
            self._running.remove(attempt)
            outcome = _outcome(attempt)
            if outcome is Outcome.FAILED and attempt.run_dir.read_failure() is None:
                self._record_death(attempt, attempt.process.returncode)
            here = Queued(begun_by=lambda _job: True, cancelled=attempt.told)
            if policy.end(policy.judge(read_progress(attempt.run_dir), here)):
                self.console.say(f"{self._describe(attempt, outcome)}; it is tried again")
                self._waiting.append(attempt.wanted)
            else:
                self._note(outcome, self._describe(attempt, outcome))
            self._write_queue()

    def _record_death(self, attempt: _LocalAttempt, code: int) -> None:
        """Write down how a process died that could not do so itself."""
        how = f"was killed by signal {-code}; memory may have been short" if code < 0 else f"ended with {code}"
        if code > 0:  # it could not even begin
            attempt.run_dir.tries_file.unlink(missing_ok=True)
        how = "found no room on the disk" if code == Outcome.DISK_FULL else how
        log = self.queue.log_file(attempt.run_id)
        record_failure(attempt.run_dir, KilledError(f"its process {how}; see {log}"))

    def _note(self, outcome: Outcome, line: str) -> None:
        self._outcomes.append(outcome)
        self.console.say(f"[{len(self._outcomes)}/{self._total}] {line}{self._left()}")

    def _left(self) -> str:
        """About how long the other runs will take, by those that have ended; nothing before that means anything."""
        taken, left = time.monotonic() - self._began, self._total - len(self._outcomes)
        if taken < _SECONDS_UNTIL_A_GUESS or left <= 0:
            return ""
        seconds = taken / len(self._outcomes) * left
        return f"   about {seconds / 60:.0f} min left" if seconds >= 90 else f"   about {seconds:.0f} s left"

    def _describe(self, attempt: _LocalAttempt, outcome: Outcome) -> str:
        line = f"{attempt.run_id} {outcome.name.replace('_', ' ')}"
        if outcome is Outcome.COMPLETED and (paused := self._paused(attempt)):
            return f"{attempt.run_id} {paused} in {time.monotonic() - attempt.start:.0f} s"
        if outcome is Outcome.COMPLETED and not attempt.run_dir.completed:
            return f"{attempt.run_id} is left to another process, which trains it"
        if outcome is Outcome.COMPLETED:
            return f"{line} in {time.monotonic() - attempt.start:.0f} s, {self._score(attempt.run_dir)}"
        if outcome is Outcome.FAILED:
            failure = attempt.run_dir.read_failure()
            log = self.queue.log_file(attempt.run_id)
            return f"{line}: {failure.error}: {failure.reason}" if failure else f"{line}: see {log}"
        return line

    def _paused(self, attempt: _LocalAttempt) -> str | None:
        """What to say of a run at the end of its rung; None if it is not there."""
        if attempt.run_dir.completed or attempt.wanted.epochs is None:
            return None
        progress = read_progress(attempt.run_dir, self.plan)
        there = progress.has_paused(attempt.wanted.epochs) and progress.score is not None
        return f"{PAUSED} after epoch {progress.epoch}, {self.plan.metric} {progress.score:.3f}" if there else None

    def _score(self, run_dir: RunDir) -> str:
        result = run_dir.read_result()
        part, _, score = self.plan.metric.partition("/")
        return f"{self.plan.metric} {result.model_dump()['metrics'][part][score]:.3f}" if result else ""

    def _conclude(self, stop: StopRequest) -> None:
        """Build the report, and tell somebody; that it cannot be built does not change how the grid ended."""
        self.console.progress("the report", 0, None)
        log = self.queue.log_file("report")
        page = self.results.report / "report.html"
        with open(log, "wb") as output:
            end = GridEnd(self.results, self.plan, self.notify, output, self.console.say)
            code = end.report(stop)
            self.console.say(f"report: {page}" if code == 0 else f"report: FAILED: {_last_line(log)}; see {log}")
            end.tell_unless_stopped(stop, reported=code == 0)
        if Outcome.FAILED in self._outcomes:
            self.console.say(
                f"next: `python -m jobs rerun {self.plan.name} --local` repeats what failed, from its checkpoints"
            )
        elif code == 0:
            self.console.say("next: open the report in a browser")


def _outcome(attempt: _LocalAttempt) -> Outcome:
    code = attempt.process.returncode
    if code < 0 and attempt.told:  # before its handlers stood: nothing had begun
        return Outcome.STOPPED
    return Outcome(code) if code in {*Outcome} - {Outcome.DISK_FULL} else Outcome.FAILED


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it ended without a word"


@dataclass
class LocalLauncher:
    """Runs a grid on this machine (see `jobs.launcher.Launcher`).

    Args:
        at_once: how many runs at a time; None takes one for each GPU, or one.
        stop: a signal, or the end of a Slurm job that this command is part of.
        notify: as for `RunningGrid`.
    """

    results: Results
    plan: GridPlan
    at_once: int | None
    stop: StopRequest
    console: Console
    notify: Sequence[str]
    _accepted: list[WantedRun] = field(default_factory=list, init=False)
    _later: LaterRungs | None = field(default=None, init=False)

    def read_jobs(self) -> GridJobs:
        """The grid's jobs in Slurm, where there is one; what waits or runs there is left to it."""
        (jobs,) = read_jobs(self.results, [self.plan.name])
        return jobs

    def submit(self, runs: Sequence[WantedRun], later: LaterRungs | None = None) -> None:
        """Put runs into the queue; `wait` runs them, and then those of the later rungs."""
        self._accepted, self._later = list(runs), later
        if later and (elsewhere := [run for run in later.candidates if run.row.active]):
            self.console.say(f"{len(elsewhere)} trials of this rung are in Slurm's queue, where the next rungs follow")
            self._later = None
        self.console.say(f"{len(runs)} of {len(self.plan.runs)} runs to do" if runs or self._later else "nothing to do")
        queue = LocalQueue.of(self.results, self.plan.name)
        run_ids = {run.config.run_id for run in (*runs, *(self._later.candidates if self._later else ()))}
        queue.forget_cancelled(run_ids)
        queue.write((), run_ids)

    def release(self, rows: Sequence[RunStatus]) -> None:
        """Nothing is held here, and what Slurm holds is left to it."""
        for line in describe_held(self.plan.name, rows):
            self.console.say(line)

    def wait(self) -> Outcome:
        """Run what was accepted, until all has ended."""
        if not self._accepted and not self._later:
            return Outcome.COMPLETED
        gpus = gpus_here()
        lanes = self.at_once or max(len(gpus), 1)
        grid = RunningGrid(self.results, self.plan, lanes, gpus, self.console, self.notify, self._later)
        return grid.run(self._accepted, self.stop)


@contextmanager
def local_launcher(
    results: Results, plan: GridPlan, at_once: int | None, cluster: Path, console: Console
) -> Iterator[LocalLauncher]:
    """A launcher that is the only one to run this grid on this machine, and heeds signals.

    Args:
        cluster: the file that says whom to notify; it need not exist.

    Raises:
        ConfigError: the file is invalid.
        LockedError: another process runs this grid.
    """
    notify = read_cluster(cluster).notify if cluster.is_file() else ()
    with StopRequest(end_of_time(None, time.time())) as stop:
        launcher = LocalLauncher(results, plan, at_once, stop, console, notify)
        queue = LocalQueue.of(results, plan.name)
        with queue.hold():
            queue.write((), ())
            yield launcher


def gpus_here() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; found out without loading torch."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu and gpu != "-1"]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []
