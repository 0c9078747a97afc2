"""What `jobs logs` shows: what a run, or another job of the grid, has printed or is printing."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jobs.job_kinds import OTHER_KINDS
from jobs.slurm.grid_jobs import read_jobs
from jobs.slurm.submissions import read_submissions
from jobs.status import planned_grids, read_grid_status, read_plan, refuse_unknown, single_runs
from sentiment.console import Say
from sentiment.errors import UsageError
from sentiment.runs.run_dir import Results
from sentiment.runs.state import COMPLETED

_POLL_SECONDS = 0.3
# Slurm is not asked more often than this.
_ASK_SECONDS = 5.0

# What would move the cursor, change colours or reorder text on a terminal; line ends and tabs are left.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass
class TaskOutput:
    """The output of a run of a grid, or of the newest job of a kind that trains no runs.

    Attributes:
        name: the run's id, or the kind.
    """

    results: Results
    grid: str
    name: str
    is_run: bool
    _asked: float = field(default=float("-inf"), init=False)
    _state: tuple[str, bool] = field(default=("", False), init=False)

    def newest(self) -> Path | None:
        """The file that was written to last; None if there is none yet."""
        there = [file for file in self._files() if file.exists()]
        return max(there, key=lambda file: file.stat().st_mtime_ns) if there else None

    def _files(self) -> Iterator[Path]:
        yield self.results.slurm / self.grid / f"{self.name}.log"  # of the report, on this machine
        for folder in read_submissions(self.results, self.grid):
            for number, run_ids in enumerate(folder.tasks):
                if self.name in run_ids and folder.run_log(self.name).exists():
                    yield folder.run_log(self.name)  # what the task prints for all of its runs says nothing more
                elif (self.name in run_ids or self.name == folder.submission.kind) and (log := folder.log_file(number)):
                    yield log

    def state(self) -> tuple[str, bool]:
        """Its state, and whether it waits or runs; Slurm is not asked each time."""
        if time.monotonic() > self._asked + _ASK_SECONDS:
            (jobs,) = read_jobs(self.results, [self.grid])
            if self.is_run:
                rows = read_grid_status(self.results, read_plan(self.results, self.grid), jobs).rows
                row = next(row for row in rows if row.run_id == self.name)
                self._state = f"{row.state} {row.reason}".strip(), row.active
            else:
                active = any(folder.submission.kind == self.name for folder, _ in jobs.active_tasks)
                self._state = jobs.service_states().get(self.name, "not in the queue"), active
            self._asked = time.monotonic()
        return self._state


def find_output(name: str, results: Results) -> TaskOutput:
    """What a user means: RUN, or GRID/RUN where several grids have the run, or GRID/KIND for another job.

    Raises:
        UsageError: there is no such run or job, or several.
    """
    grid, _, rest = name.rpartition("/")
    plans = [read_plan(results, one) for one in planned_grids(results) if not grid or one == grid]
    kinds = [str(kind.name) for kind in OTHER_KINDS]
    if grid and plans and rest in kinds:
        return TaskOutput(results, grid, rest, is_run=False)
    if not grid and any(plan.name == rest for plan in plans):
        jobs = ", ".join(f"{rest}/{kind}" for kind in kinds)
        raise UsageError(f"{rest}: is a grid; name one of its runs (`jobs status {rest}` shows them), or {jobs}")
    found = [plan for plan in plans if any(run.run_id == rest for run in plan.runs)]
    if not found and rest in (run_dir.path.name for run_dir in single_runs(results)):
        raise UsageError(f"{rest}: is a run outside of grids, which prints where it was started")
    if not found:
        refuse_unknown([name], [], results)
    if len(found) > 1:
        raise UsageError(f"{rest}: is a run of several grids; write {' or '.join(f'{p.name}/{rest}' for p in found)}")
    return TaskOutput(results, found[0].name, rest, is_run=True)


def show_log(output: TaskOutput, follow: bool, say: Say) -> bool:
    """Print a log to the standard output.

    Args:
        follow: whether to go on printing until the run or job has ended, and wait for it to begin.
        say: told which file it is, and how the run or job ended.

    Returns:
        Whether the run is completed; True unless it was followed.

    Raises:
        UsageError: there is no log yet.
    """
    shown: Path | None = None
    positions: dict[Path, int] = {}
    while True:
        state, active = output.state() if follow else ("", False)
        if file := output.newest():
            if file != shown:
                say(f"==> {file} <==")
            shown, positions[file] = file, _print_from(file, positions.get(file, 0))
        elif not follow:
            raise UsageError(f"{output.name}: has no log yet; it is {output.state()[0]}")
        if not active:
            break
        time.sleep(_POLL_SECONDS)
    if follow:
        say(f"{output.name}: {state}")
    return not follow or state.startswith(COMPLETED)


def _print_from(path: Path, position: int) -> int:
    """Print a file from a position on, without control characters to a terminal; where its end is."""
    with open(path, "rb") as file:
        file.seek(position)
        text, end = file.read(), file.tell()
    sys.stdout.buffer.write(visible(text.decode(errors="replace")).encode() if sys.stdout.isatty() else text)
    sys.stdout.buffer.flush()
    return end


def visible(text: str) -> str:
    """The text with escapes for what a terminal would obey instead of showing it; `\\r` begins a new line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), lines)
