"""A grid without Slurm: its runs one after another, or so many at a time, each in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.grids.grid import ExpandedGrid
from jobs.grids.reuse import reuse_completed
from jobs.session import missing_runs, tell_held
from jobs.slurm.submissions import read_submissions
from jobs.status.grid_status import RunStatus, ask_slurm, read_grid_status
from jobs.status.selection import select
from jobs.tasks.array_task import KilledError
from jobs.tasks.attempt import Outcome
from jobs.tasks.failure import record_failure
from sentiment.config import RunConfig
from sentiment.lock import ProcessLock
from sentiment.records import GridPlan
from sentiment.run_dir import Results, RunDir
from sentiment.training.stop import StopRequest, end_of_time

Say = Callable[[str], None]

_POLL_SECONDS = 0.1


def gpus_here() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; asked without loading torch."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu and gpu != "-1"]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []


def run_here(results: Results, grid: ExpandedGrid, at_once: int | None, say: Say) -> Outcome:
    """Run what is neither completed nor runs or waits elsewhere; completed runs of other grids are taken over.

    Args:
        at_once: so many runs at a time; None takes one for each GPU, or one.

    Raises:
        LockedError: another command runs, submits or cancels this grid.
    """

    def choose() -> list[RunConfig]:
        results.write_grid(grid.plan)
        reuse_completed(results, grid.plan)
        rows = _rows(results, grid.plan)
        for line in tell_held(grid.plan.name, rows):
            say(line)
        return [config for _, config in missing_runs(grid, rows)]

    return _run(results, grid.plan, choose, at_once, say)


def rerun_here(
    results: Results, plan: GridPlan, causes: Sequence[str], run_ids: set[str], at_once: int | None, say: Say
) -> Outcome:
    """Run again what ended without a result, as `jobs.status.selection.select` chooses it; else like run_here."""

    def choose() -> list[RunConfig]:
        chosen = select(_rows(results, plan), causes, run_ids)
        for line in tell_held(plan.name, chosen):
            say(line)
        return [results.run_dir(row.run_id, plan.name).read_config() for row in chosen if not row.held]

    return _run(results, plan, choose, at_once, say)


def _run(
    results: Results, plan: GridPlan, choose: Callable[[], list[RunConfig]], at_once: int | None, say: Say
) -> Outcome:
    gpus = gpus_here()
    with StopRequest(end_of_time(None, time.time())) as stop:
        folder = results.slurm / plan.name
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessLock(folder / "lock", "runs this grid"):
            configs = choose()
            say(f"{len(configs)} of {len(plan.runs)} runs to do" if configs else "nothing to do")
            return LocalGrid(results, plan, at_once or max(len(gpus), 1), gpus, say).run(configs, stop)


def _rows(results: Results, plan: GridPlan) -> list[RunStatus]:
    return read_grid_status(results, plan, read_submissions(results, plan.name), ask_slurm()).rows


@dataclass(frozen=True)
class _Attempt:
    """A run's process."""

    process: "subprocess.Popen[bytes]"
    run_dir: RunDir
    slot: int
    start: float


@dataclass
class LocalGrid:
    """Runs of a grid on this machine.

    Args:
        at_once: so many at a time; GPUs are dealt out to them, and cores.
        say: shows a line.
    """

    results: Results
    plan: GridPlan
    at_once: int
    gpus: Sequence[str]
    say: Say
    _running: list[_Attempt] = field(default_factory=list, init=False)
    _outcomes: list[Outcome] = field(default_factory=list, init=False)
    _total: int = field(default=0, init=False)

    def run(self, configs: Sequence[RunConfig], stop: StopRequest) -> Outcome:
        """Train all runs, or as far as it gets until there is a reason to stop; failures do not hold up the others.

        A reason to stop is passed on to all processes, which save and end; all is over when this returns.
        """
        waiting, self._total = deque(configs), len(configs)
        told = False
        try:
            while self._running or (waiting and not told):
                if stop.reason() and not told:
                    told = True
                    self._signal(signal.SIGTERM)
                while waiting and not told and len(self._running) < self.at_once:
                    self._start(waiting.popleft())
                self._collect(told)
        finally:  # after a second Ctrl+C
            self._signal(signal.SIGKILL)
        if told or {Outcome.STOPPED, Outcome.OUT_OF_TIME} & set(self._outcomes):
            return Outcome.STOPPED
        return Outcome.FAILED if Outcome.FAILED in self._outcomes else Outcome.COMPLETED

    def log_file(self, run_dir: RunDir) -> Path:
        """What a run's processes print."""
        return self.results.slurm / self.plan.name / "local" / f"{run_dir.path.name}.log"

    def _start(self, config: RunConfig) -> None:
        run_dir = self.results.run_dir(config.run_id, self.plan.name)
        run_dir.create(config)
        slot = min(set(range(self.at_once)) - {attempt.slot for attempt in self._running})
        log = self.log_file(run_dir)
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-u", "-m", "jobs.tasks.local_task", str(run_dir.path), f"{slot}/{self.at_once}"]
        with open(log, "ab") as output:
            process = subprocess.Popen(  # noqa: S603
                [*command, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(config, slot),
                start_new_session=True,  # Ctrl+C reaches this process alone, which passes it on
            )
        self._running.append(_Attempt(process, run_dir, slot, time.monotonic()))

    def _environment(self, config: RunConfig, slot: int) -> dict[str, str]:
        """With a GPU of its own for each, as far as there are so many; a device that is named stays what it is."""
        if len(self.gpus) < 2 or config.runtime.device not in ("auto", "cuda"):
            return dict(os.environ)
        return os.environ | {"CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]}

    def _signal(self, number: signal.Signals) -> None:
        for attempt in self._running:
            attempt.process.send_signal(number)

    def _collect(self, told: bool) -> None:
        """Wait a moment, and take note of processes that have ended."""
        time.sleep(_POLL_SECONDS)
        for attempt in [one for one in self._running if one.process.poll() is not None]:
            self._running.remove(attempt)
            outcome = _outcome(attempt.process.returncode, told)
            if outcome is Outcome.FAILED and attempt.run_dir.read_failure() is None:
                self._record_death(attempt, attempt.process.returncode)
            self._outcomes.append(outcome)
            self._tell(attempt, outcome)

    def _record_death(self, attempt: _Attempt, code: int) -> None:
        """It could not say itself what happened."""
        how = f"was killed by signal {-code}; memory may have been short" if code < 0 else f"ended with {code}"
        record_failure(attempt.run_dir, KilledError(f"its process {how}; see {self.log_file(attempt.run_dir)}"))

    def _tell(self, attempt: _Attempt, outcome: Outcome) -> None:
        seconds = time.monotonic() - attempt.start
        line = f"[{len(self._outcomes)}/{self._total}] {attempt.run_dir.path.name} {outcome.name.replace('_', ' ')}"
        if outcome is Outcome.COMPLETED:
            line += f" in {seconds:.0f} s, {self._score(attempt.run_dir)}"
        elif outcome is Outcome.FAILED:
            failure = attempt.run_dir.read_failure()
            line += f": {failure.error}: {failure.reason}" if failure else f": see {self.log_file(attempt.run_dir)}"
        self.say(line)

    def _score(self, run_dir: RunDir) -> str:
        result = run_dir.read_result()
        part, _, score = self.plan.metric.partition("/")
        return f"{self.plan.metric} {result.model_dump()['metrics'][part][score]:.3f}" if result else ""


def _outcome(code: int, told: bool) -> Outcome:
    if code < 0 and told:  # before its handlers stood: nothing had begun
        return Outcome.STOPPED
    return Outcome(code) if code in list(Outcome) else Outcome.FAILED
