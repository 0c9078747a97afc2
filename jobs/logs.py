"""What `jobs logs` shows: what a run, or another job of the grid, has printed or is printing."""

import codecs
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jobs.job_kinds import service_kinds
from jobs.local.queue import LocalQueue
from jobs.slurm.grid_jobs import GridJobs, read_jobs
from jobs.slurm.submissions import read_submissions
from jobs.status.grid_status import planned_grids, read_plan, read_run_status
from jobs.status.selection import refuse_unknown, single_runs
from sentiment.console import Say
from sentiment.errors import UsageError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.runs.state import COMPLETED, RunProgress, read_progress

_POLL_SECONDS = 0.3
# Slurm is asked when the run's directory says that something has changed, and otherwise not more often than this.
_ASK_SECONDS = 15.0

# What would move the cursor, change colours or reorder text on a terminal; line ends and tabs are left.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class LogSource(Protocol):
    """A run, or one of a grid's other jobs, as far as its output is concerned."""

    @property
    def name(self) -> str:
        """For messages."""

    def newest(self) -> Path | None:
        """The file that was written to last; None if there is none yet."""

    def state(self) -> tuple[str, bool]:
        """Its state, and whether it waits or runs, and will end by itself."""


@dataclass
class RunOutput:
    """The output of a run of a grid (a LogSource)."""

    results: Results
    plan: GridPlan
    name: str
    """The run's id."""
    _asked: float = field(default=float("-inf"), init=False)
    _jobs: GridJobs = field(default_factory=lambda: GridJobs((), None), init=False)
    _progress: RunProgress | None = field(default=None, init=False)

    def newest(self) -> Path | None:
        """As `LogSource.newest`; attempts of one task print into one file."""
        return _newest(self._files())

    def state(self) -> tuple[str, bool]:
        """As `jobs status` says it; Slurm is not asked each time."""
        progress = read_progress(self.results.run_dir(self.name, self.plan.name))
        known = self._progress and (self._progress.last_attempt, self._progress.failure)
        if known != (progress.last_attempt, progress.failure) or time.monotonic() > self._asked + _ASK_SECONDS:
            (jobs,) = read_jobs(self.results, [self.plan.name])
            if self._progress is None or jobs.queue is not None:  # what it said before is good enough until it answers
                self._jobs = jobs
            self._asked, self._progress = time.monotonic(), progress
        status = read_run_status(self.results, self.plan, self.name, self._jobs)
        return f"{status.state} {status.reason}".strip(), status.active

    def _files(self) -> Iterator[Path]:
        """Where its attempts may have printed, the newest submission first."""
        yield LocalQueue.of(self.results, self.plan.name).log_file(self.name)
        for folder in reversed(read_submissions(self.results, self.plan.name)):
            for number, run_ids in enumerate(folder.tasks):
                if self.name in run_ids:
                    yield folder.run_log(self.name)
                    if log := folder.log_file(number):
                        yield log


@dataclass
class ServiceOutput:
    """The output of the newest job of a kind that trains no runs (a LogSource)."""

    results: Results
    grid: str
    kind: str
    _asked: float = field(default=float("-inf"), init=False)
    _state: tuple[str, bool] = field(default=("", False), init=False)

    @property
    def name(self) -> str:
        """As a user names it."""
        return f"{self.grid}/{self.kind}"

    def newest(self) -> Path | None:
        """Of all its tasks, that which was written to last; or what the process of a local grid printed."""
        files = [LocalQueue.of(self.results, self.grid).log_file(self.kind)]
        for folder in read_submissions(self.results, self.grid):
            if folder.submission.kind == self.kind:
                files += [log for task in range(len(folder.submission.tasks)) if (log := folder.log_file(task))]
        return _newest(files)

    def state(self) -> tuple[str, bool]:
        """In Slurm's words."""
        if time.monotonic() > self._asked + _ASK_SECONDS:
            (jobs,) = read_jobs(self.results, [self.grid])
            folders = [folder for folder in jobs.services if folder.submission.kind == self.kind]
            there = {folder for folder, _ in jobs.active_tasks}
            self._asked = time.monotonic()
            self._state = jobs.service_states().get(self.kind, "not in the queue"), not there.isdisjoint(folders[-1:])
        return self._state


def _newest(files: Iterable[Path]) -> Path | None:
    there = [file for file in files if file.exists()]
    return max(there, key=lambda file: file.stat().st_mtime_ns) if there else None


def find_output(name: str, results: Results) -> LogSource:
    """What a user means: RUN, or GRID/RUN where several grids have the run, or GRID/KIND for another job.

    Raises:
        UsageError: there is no such run or job, or several.
    """
    grid, _, rest = name.rpartition("/")
    plans = [read_plan(results, one) for one in planned_grids(results) if not grid or one == grid]
    kinds = [str(kind.name) for kind in service_kinds()]
    if grid and plans and rest in kinds:
        return ServiceOutput(results, grid, rest)
    if not grid and any(plan.name == rest for plan in plans):
        jobs = ", ".join(f"{rest}/{kind}" for kind in kinds)
        raise UsageError(f"{rest}: is a grid; name one of its runs (`jobs status {rest}` shows them), or {jobs}")
    found = [plan for plan in plans if any(run.run_id == rest for run in plan.runs)]
    if not found and rest in (alone := {run_dir.path.name: run_dir for run_dir in single_runs(results)}):
        raise UsageError(
            f"{rest}: is a run outside of grids, which prints where it was started; its metrics are in "
            f"{alone[rest].metrics_file}, and `tail -f` follows them"
        )
    if not found:
        refuse_unknown([name], [], results)
    if len(found) > 1:
        raise UsageError(f"{rest}: is a run of several grids; write {' or '.join(f'{p.name}/{rest}' for p in found)}")
    return RunOutput(results, found[0], rest)


def show_log(source: LogSource, follow: bool, say: Say) -> bool:
    """Print a log to the standard output.

    Args:
        follow: whether to go on printing until the run or job has ended, and wait for it to begin.
        say: told which file it is, and how the run or job ended.

    Returns:
        Whether the run is completed; True unless it was followed.

    Raises:
        UsageError: there is no log yet.
    """
    printer = _Printer(say)
    if not follow:
        if (file := source.newest()) is None:
            raise UsageError(f"{source.name}: has no log yet; it is {source.state()[0]}")
        printer.show(file)
        return True
    while True:
        state, active = source.state()
        printer.show(source.newest())
        if not active:
            say(f"{source.name}: {state}")
            return state.startswith(COMPLETED)
        time.sleep(_POLL_SECONDS)


@dataclass
class _Printer:
    """Prints what is new in a log."""

    say: Say
    _file: Path | None = None
    _positions: dict[Path, int] = field(default_factory=dict)
    _write: Callable[[bytes], None] = field(default_factory=lambda: _writer())

    def show(self, path: Path | None) -> None:
        """Print what was not printed yet of the file."""
        if path is None:
            return
        if path != self._file:
            self.say(f"==> {path} <==")
            self._file = path
        with open(path, "rb") as file:
            file.seek(self._positions.get(path, 0))
            text = file.read()
            self._positions[path] = file.tell()
        self._write(text)


def _writer() -> Callable[[bytes], None]:
    """Writes to the standard output: as it is to a file or pipe, and without control characters to a terminal."""
    if not sys.stdout.isatty():

        def write_raw(text: bytes) -> None:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()

        return write_raw
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write_visibly(text: bytes) -> None:
        sys.stdout.write(visible(decoder.decode(text)))
        sys.stdout.flush()

    return write_visibly


def visible(text: str) -> str:
    """The text with escapes for what a terminal would obey instead of showing it; `\\r` begins a new line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), lines)
