"""Shows and follows the log of a run or of another job."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jobs.grid_jobs import NOT_LISTED, read_jobs
from jobs.job_kinds import OTHER_KINDS
from jobs.policy import final_job_action, may_go_on, needs_attention
from jobs.status.grid_state import GridView, read_grid_status
from jobs.status.names import find_targets, read_plan
from jobs.submissions import read_submissions
from sentiment.console import Say, printable
from sentiment.errors import UsageError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results, short_id
from sentiment.runs.state import COMPLETED, HELD, UNKNOWN

_POLL_SECONDS = 2.0


class TaskState(NamedTuple):
    """The state of a run or of another job, in words.

    Attributes:
        active: it is pending or running, or may be, or a final job may retry it.
        succeeded: it has ended, and did not fail.
    """

    text: str
    active: bool
    succeeded: bool


def newest_log(results: Results, grid: str, name: str) -> Path | None:
    """The log of a run, or of the latest job of a kind, that was written last; None if there is none yet."""
    existing = (file for file in _logs(results, grid, name) if file.exists())
    return max(existing, key=lambda file: file.stat().st_mtime_ns, default=None)


def _logs(results: Results, grid: str, name: str) -> Iterator[Path]:
    yield results.slurm / grid / f"{name}.log"  # of a report built on this machine
    for folder in read_submissions(results, grid):
        yield folder.run_log(name)
        for number, run_ids in enumerate(folder.tasks):
            # A run without a log did not start; the log of its task says why.
            use_task_log = name in run_ids and not folder.run_log(name).exists()
            if not use_task_log and name != folder.submission.kind:
                continue
            if log := folder.log_file(number):
                yield log


def failed_log(results: Results, grid: GridView) -> str:
    """Whose log to read first, as the argument of `status --log`; empty if there is no such log.

    It is that of a failed job, which may be why its runs failed, else that of the first failed run.
    """
    for kind in grid.failed_kinds:
        if newest_log(results, grid.name, kind):
            return f"{grid.name}/{kind}"
    failed = next((row.run_id for row in grid.rows if needs_attention(row) and row.state != HELD), None)
    return short_id(failed) if failed and newest_log(results, grid.name, failed) else ""


@dataclass(frozen=True)
class TaskOutput:
    """The log of a run of a grid, or of the latest job of a kind that trains no runs."""

    results: Results
    plan: GridPlan
    name: str

    @property
    def newest(self) -> Path | None:
        return newest_log(self.results, self.plan.name, self.name)

    def state(self) -> TaskState:
        (jobs,) = read_jobs(self.results, [self.plan.name])
        for kind in OTHER_KINDS:
            if kind.name == self.name:
                text = jobs.other_job_states().get(kind.name, "not in the queue")
                active = any(folder.submission.kind == kind.name for folder, _ in jobs.active_tasks)
                return TaskState(text, active or text == UNKNOWN, text in (COMPLETED, NOT_LISTED))
        grid = read_grid_status(self.results, self.plan, jobs)
        row = next(row for row in grid.rows if row.run_id == self.name)
        active = may_go_on(row) or (grid.has_final_job and final_job_action(row) != "")
        return TaskState(f"{row.state} {row.reason}".strip(), active, row.state == COMPLETED)


def find_output(name: str, results: Results) -> TaskOutput:
    """Resolve RUN, GRID/RUN or GRID/KIND to a log; of several the one that was written last."""
    grid, _, kind = name.rpartition("/")
    if grid and kind in [other.name for other in OTHER_KINDS]:
        return TaskOutput(results, read_plan(results, grid), kind)
    outputs = []
    for target in find_targets([name], results):
        if target.grid != SINGLE:
            plan = read_plan(results, target.grid)
            outputs += [TaskOutput(results, plan, run_id) for run_id in target.run_ids]
    if not outputs:
        kinds = ", ".join(other.name for other in OTHER_KINDS)
        raise UsageError(
            f"{name}: is no run of a grid (`status` shows them), nor GRID/KIND with a kind of {kinds}; a run outside "
            "of grids prints to the terminal where it was started"
        )
    return max(outputs, key=lambda output: output.newest.stat().st_mtime_ns if output.newest else 0)


def show_log(output: TaskOutput, follow: bool, say: Say) -> bool:
    """Print a log, or follow it until its run or job has ended; False if a followed run or job did not succeed."""
    shown = None
    positions: dict[Path, int] = {}
    while True:
        state = output.state() if follow else None  # before the log is read, so that its last lines are not missed
        file = output.newest
        if file is None and not follow:
            raise UsageError(f"{output.name}: has no log yet; it is {output.state().text}")
        if file:
            if file != shown:
                say(f"==> {file} <==")
            shown = file
            positions[file] = _print_from(file, positions.get(file, 0))
        if state is None:
            return True
        if not state.active:
            say(f"{output.name}: {state.text}")
            return state.succeeded
        time.sleep(_POLL_SECONDS)


def _print_from(path: Path, position: int) -> int:
    with open(path, "rb") as file:
        file.seek(position)
        text = file.read()
        end = file.tell()
    if sys.stdout.isatty():  # without control sequences; a progress bar's `\r` becomes a newline
        text = printable(re.sub("\r\n?", "\n", text.decode(errors="replace"))).encode()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
    return end
