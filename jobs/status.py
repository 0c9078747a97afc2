"""Reads the state of all runs (submissions, run directories, squeue), renders the table, shows logs."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from jobs.grid_jobs import GridJobs, read_jobs
from jobs.job_kinds import OTHER_KINDS
from jobs.policy import JudgedState, judge, needs_attention, resume_command, submit
from jobs.submissions import read_submissions
from sentiment.console import Say, plural, printable
from sentiment.errors import RunDirError, UsageError, in_one_line
from sentiment.runs.locks import live_owner
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results, RunDir
from sentiment.runs.state import (
    COMPLETED,
    HELD,
    PAUSED,
    PENDING,
    PLANNED,
    PRUNED,
    UNKNOWN,
    Rungs,
    TrialRung,
    read_progress,
    read_rungs,
)

DEFAULT_WIDTH = 80
# In a file or a pipe a run is one line, for grep, however many settings it has.
_WIDTH_OF_FILES = 10_000
# In grids with more rows than this, runs in one of `_HIDDEN_STATES` are only counted.
_MAX_ROWS = 60
_POLL_SECONDS = 2.0
_SHORTEST_RUN_COLUMN = 20
_HIDDEN_STATES = (COMPLETED, PAUSED, PENDING, PLANNED, PRUNED)


@dataclass(frozen=True, kw_only=True)
class RunStatus(JudgedState):
    """The state of one run, with what `sentiment status` shows beside it.

    Attributes:
        job: the Slurm id (ARRAY_TASK) of the task that owns the run or could take it.
        seen: when the run last wrote anything (ISO 8601, UTC).
        parameters: the values of those parameters that vary in its grid.
    """

    grid: str
    run_id: str
    job: str | None = None
    attempts: int = 0
    epoch: int | None = None
    step: int | None = None
    score: float | None = None
    seen: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GridView:
    """A grid's runs, in the order of its plan, and its other jobs.

    Attributes:
        others: the state of the latest job of each kind that trains no runs, by kind.
        final_failed: the last final job failed; `submit` and `rerun` replace it.
        damage: the file of the grid that cannot be read, and why; then there are no rows.
        is_local: all its jobs ran on this machine.
        failed_log: whose log to read first (the argument of `status --log`): that of a failed job, which may be why its
            runs failed, else that of the first failed run; empty if there is no such log.
    """

    name: str
    metric: str
    rows: list[RunStatus]
    others: dict[str, str] = field(default_factory=dict)
    final_failed: bool = False
    damage: str = ""
    is_local: bool = False
    failed_log: str = ""


@dataclass(frozen=True)
class GridRows:
    """The state of a grid's planned runs at one moment: all that a command's choice of runs depends on.

    Attributes:
        rungs: of a search with early termination; else None.
    """

    rows: list[RunStatus]
    rungs: Rungs | None

    def rows_of(self, run_ids: Collection[str]) -> list[RunStatus]:
        """The rows of the given runs; of all, if none is given."""
        return [row for row in self.rows if not run_ids or row.run_id in run_ids]

    @property
    def to_submit(self) -> list[RunStatus]:
        """The rows of the runs that `submit` submits."""
        return [row for row in self.rows if submit(row) == "submits" and not self.missed_ranking(row)]

    def missed_ranking(self, row: RunStatus) -> bool:
        """Whether the run is a trial whose rung was ranked without it."""
        return self.rungs is not None and self.rungs.is_decided(row.run_id)

    def current_trials(self) -> list[RunStatus]:
        """The trials of the current rung; none for the last rung, which has no ranking."""
        if self.rungs is None or self.rungs.current == self.rungs.last:
            return []
        return self.rows_of(self.rungs.trials(self.rungs.current))


# A plan that supplies the metric of runs outside of grids; it is never written.
_NO_PLAN = GridPlan.model_construct(name=SINGLE, metric="validation/macro_f1", goal="maximize", runs=[])


def read_plan(results: Results, grid: str) -> GridPlan:
    """The plan of a submitted grid.

    Raises:
        UsageError: there is no grid of this name.
        RunDirError: the grid has runs, but its plan is missing or damaged.
    """
    if plan := results.read_grid(grid):
        return plan
    if any((results.runs / grid).glob("*/config.json")):
        raise RunDirError(f"{results.grid_file(grid)}: is missing, but there are runs of this grid")
    raise unknown_names([grid], results)


def planned_grids(results: Results) -> list[str]:
    return sorted(path.parent.name for path in results.runs.glob("*/grid.json"))


def read_status(results: Results, names: Sequence[str] = ()) -> list[GridView]:
    """The state of the named grids (default: all), followed by that of the runs outside of grids (`single`)."""
    with_runs = {path.parents[1].name for path in results.runs.glob("*/*/config.json")}  # some may lack their plan
    grids = [name for name in names or sorted({*planned_grids(results), *with_runs}) if name != SINGLE]
    try:
        statuses = _read_grids(results, grids)
    except RunDirError:
        statuses = [_read_damaged(results, grid) for grid in grids]
    if names and SINGLE not in names:
        return statuses
    no_jobs = GridJobs((), ())
    rows = [_read_row(results, _NO_PLAN, no_jobs, run_dir.path.name, None) for run_dir in single_runs(results)]
    if rows:
        statuses.append(GridView(SINGLE, _NO_PLAN.metric, rows))
    return statuses


def _read_grids(results: Results, grids: Sequence[str]) -> list[GridView]:
    plans = [read_plan(results, grid) for grid in grids]
    return [read_grid_status(results, plan, jobs) for plan, jobs in zip(plans, read_jobs(results, grids), strict=True)]


def _read_damaged(results: Results, grid: str) -> GridView:
    """The status of one grid; if one of its files is damaged, only which one and why."""
    try:
        (status,) = _read_grids(results, [grid])
    except RunDirError as error:
        return GridView(grid, "", [], damage=in_one_line(error))
    return status


def single_runs(results: Results) -> list[RunDir]:
    """The runs outside of grids, also those that have lost some of their records."""
    records = (results.runs / SINGLE).glob("*/*.json")
    return [RunDir(path) for path in sorted({record.parent for record in records})]


def read_grid_state(results: Results, plan: GridPlan, jobs: GridJobs) -> GridRows:
    """The state of a grid's runs and the rungs of its search, each read once."""
    rungs = read_rungs(results, plan)
    trial_rungs = rungs.trial_rungs if rungs else {}
    varied = {name for name, values in plan.parameter_values.items() if len(values) > 1}
    rows = []
    for run in plan.runs:
        parameters = {name: value for name, value in run.parameters.items() if name in varied}
        row = _read_row(results, plan, jobs, run.run_id, trial_rungs.get(run.run_id))
        rows.append(replace(row, parameters=parameters))
    return GridRows(rows, rungs)


def read_grid_status(results: Results, plan: GridPlan, jobs: GridJobs) -> GridView:
    """The state of a grid's runs, on Slurm or on this machine."""
    rows = read_grid_state(results, plan, jobs).rows
    return GridView(
        plan.name,
        plan.metric,
        rows,
        jobs.other_job_states(),
        final_failed="report" in jobs.failed_other_jobs,
        is_local=jobs.are_local,
        failed_log=_failed_log(results, plan, rows, jobs),
    )


def _failed_log(results: Results, plan: GridPlan, rows: Iterable[RunStatus], jobs: GridJobs) -> str:
    for kind in jobs.failed_other_jobs:
        if TaskOutput(results, plan, kind).newest:
            return f"{plan.name}/{kind}"
    failed = next((row.run_id for row in rows if needs_attention(row) and row.state != HELD), None)
    if failed and TaskOutput(results, plan, failed).newest:
        return failed
    return ""


def _read_row(results: Results, plan: GridPlan, jobs: GridJobs, run_id: str, trial_rung: TrialRung | None) -> RunStatus:
    progress = read_progress(results.run_dir(run_id, plan.name), plan)
    attempt = progress.last_attempt
    task = None if progress.completed else jobs.task_of(run_id, attempt)
    judged = judge(progress, jobs.queued(run_id, task, attempt), trial_rung)
    job = jobs.job(task) if task else None
    seen = datetime.fromtimestamp(progress.seen, UTC).isoformat(timespec="seconds") if progress.seen else None
    return RunStatus(
        **vars(judged),
        grid=plan.name,
        run_id=run_id,
        job=job.address if job else None,
        attempts=progress.attempts,
        epoch=progress.epoch,
        step=progress.step,
        score=progress.score,
        seen=seen,
    )


def describe_held(results: Results, grid: str, rows: Sequence[RunStatus]) -> Iterator[str]:
    """One line that counts the runs whose Slurm jobs are held, and says how they are released."""
    if number := sum(row.state == HELD for row in rows):
        command = results.command("rerun", grid)
        yield f"{number} of {len(rows)} runs are held; `{command}` releases them, or says that an administrator has to"


def describe_unknown(rows: Iterable[RunStatus]) -> Iterator[str]:
    """One line for each reason why runs are UNKNOWN; such runs may still be pending or running."""
    for reason, number in Counter(row.reason for row in rows if row.state == UNKNOWN).items():
        yield f"{plural(number, 'run')} UNKNOWN: {reason}"


def show(results: Results, grids: Sequence[GridView], only_failed: bool, every_row: bool, as_json: bool) -> str:
    """The text of `sentiment status`, as wide as the terminal; empty without grids, unless JSON is asked for."""
    if only_failed:
        grids = [replace(grid, rows=[row for row in grid.rows if needs_attention(row)]) for grid in grids]
    if as_json:
        return json.dumps([asdict(grid) for grid in grids], indent=2)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH_OF_FILES
    return render(results, grids, every_row, datetime.now(UTC), columns)


def render(
    results: Results, grids: Sequence[GridView], every_row: bool, now: datetime, columns: int = DEFAULT_WIDTH
) -> str:
    """For each grid: the number of runs in each state, a table of runs, and the distinct reasons."""
    text = StringIO()
    console = Console(file=text, width=columns, highlight=False, markup=False, emoji=False)
    for grid in grids:
        if grid.damage:
            console.print(f"grid {grid.name}: cannot be shown: {grid.damage}\n", soft_wrap=True)
            continue
        for part in _parts(results, grid, every_row, now):
            is_hint = isinstance(part, str) and part.startswith("`")
            console.print(part, soft_wrap=is_hint)  # a command that is broken into lines cannot be copied
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().split("\n"))


def _parts(results: Results, grid: GridView, every_row: bool, now: datetime) -> Iterator[str | Table]:
    counts = Counter(row.state for row in grid.rows).most_common()
    # Only --failed can leave no rows.
    states = ", ".join(f"{number:,} {state}" for state, number in counts) or "no run has failed or is held"
    yield f"grid {grid.name}: {states}" + "".join(f"; {kind}: {state}" for kind, state in grid.others.items())
    shown = grid.rows
    if not every_row and len(grid.rows) > _MAX_ROWS:
        shown = [row for row in grid.rows if row.state not in _HIDDEN_STATES]
    if shown:
        yield _table(grid.metric, shown, now)
    by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in shown:
        if row.reason:
            by_reason[row.state, row.reason].append(row.run_id)
    for (state, reason), (run_id, *others) in by_reason.items():
        yield f"{run_id}{f' and {len(others)} more' if others else ''} {state}: {reason}"
    if len(shown) < len(grid.rows):
        number = len(grid.rows) - len(shown)
        yield f"{number:,} more runs are completed, pruned, paused, pending or planned (--all)"
    if grid.failed_log:
        yield f"`{results.command('status', '--log', grid.failed_log)}` shows why"
    commands = Counter(map(resume_command, grid.rows))
    where = ["--local"] if grid.is_local else []
    for command, number in commands.items():
        if command and grid.name != SINGLE:
            verb = "submits" if command == "submit" else "resumes"
            yield f"`{results.command(command, grid.name, *where)}` {verb} {plural(number, 'run')}"
    yield ""


def _table(metric: str, rows: Sequence[RunStatus], now: datetime) -> Table:
    """The table of runs; ids, and headings and values of settings, are folded where the line is too short for them."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
    settings = list(dict.fromkeys(name for row in rows for name in row.parameters))
    fixed = ("state", "attempt", "epoch", metric, "updated")
    table.add_column("run", min_width=_SHORTEST_RUN_COLUMN, overflow="fold")
    for name in (*fixed, *settings):
        table.add_column(re.split("[./]", name)[-1], no_wrap=name in fixed, overflow="fold")
    for row in rows:
        score = None if row.score is None else f"{row.score:.3f}"
        values = (row.attempts or None, row.epoch, score, _ago(row.seen, now), *map(row.parameters.get, settings))
        table.add_row(row.run_id, row.state, *("-" if value is None else str(value) for value in values))
    return table


def _ago(moment: str | None, now: datetime) -> str | None:
    if moment is None:
        return None
    seconds = (now - datetime.fromisoformat(moment)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def find_targets(targets: Sequence[str], results: Results) -> list[tuple[GridPlan, set[str]]]:
    """The plans of the named grids (default: all) and the ids of the named runs; no ids mean the whole grid."""
    unknown = {*targets}
    selected: list[tuple[GridPlan, set[str]]] = []
    for grid in planned_grids(results):
        plan = read_plan(results, grid)
        run_ids = {run.run_id for run in plan.runs}.intersection(targets)
        unknown -= {grid, *run_ids}
        if not targets or grid in targets:
            selected.append((plan, set()))
        elif run_ids:
            selected.append((plan, run_ids))
    if unknown:
        raise unknown_names(unknown, results)
    return selected


def unknown_names(targets: Collection[str], results: Results) -> UsageError:
    """The error for names that are neither grids nor runs."""
    grids = ", ".join(planned_grids(results)) or "none yet"
    return UsageError(f"{', '.join(sorted(targets))}: neither a grid nor a run in {results.runs}; grids: {grids}")


def cancel_single(run_dir: RunDir, say: Say) -> None:
    """Send SIGTERM to the process that trains a run outside of grids, if there is one."""
    name = run_dir.path.name
    owner = live_owner(run_dir.lock_file)
    if owner is None:
        say(f"run {name}: not running")
        return
    if owner.job or owner.host != socket.gethostname():
        remedy = f"cancel it with `scancel {owner.job}`" if owner.job else "run this command on that host"
        raise UsageError(f"run {name}: is trained by {owner}; {remedy}")
    with contextlib.suppress(ProcessLookupError):  # the process has just ended
        os.kill(owner.pid, signal.SIGTERM)
    say(f"run {name}: process {owner.pid} saves and exits; repeat its `train` command to resume")


class TaskState(NamedTuple):
    """The state of a run or of another job, in words.

    Attributes:
        active: it is pending or running.
        succeeded: it has ended, and did not fail.
    """

    text: str
    active: bool
    succeeded: bool


@dataclass(frozen=True)
class TaskOutput:
    """The log of a run of a grid, or of the latest job of a kind that trains no runs."""

    results: Results
    plan: GridPlan
    name: str

    @property
    def newest(self) -> Path | None:
        existing = (file for file in self._files() if file.exists())
        return max(existing, key=lambda file: file.stat().st_mtime_ns, default=None)

    def _files(self) -> Iterator[Path]:
        yield self.results.slurm / self.plan.name / f"{self.name}.log"  # of a report built on this machine
        for folder in read_submissions(self.results, self.plan.name):
            yield folder.run_log(self.name)
            for number, run_ids in enumerate(folder.tasks):
                # A run without a log did not start; the log of its task says why.
                use_task_log = self.name in run_ids and not folder.run_log(self.name).exists()
                if not use_task_log and self.name != folder.submission.kind:
                    continue
                if log := folder.log_file(number):
                    yield log

    def state(self) -> TaskState:
        (jobs,) = read_jobs(self.results, [self.plan.name])
        for kind in OTHER_KINDS:
            if kind.name == self.name:
                text = jobs.other_job_states().get(kind.name, "not in the queue")
                active = any(folder.submission.kind == kind.name for folder, _ in jobs.active_tasks)
                return TaskState(text, active, jobs.has_succeeded(kind.name))
        rows = read_grid_status(self.results, self.plan, jobs).rows
        row = next(row for row in rows if row.run_id == self.name)
        return TaskState(f"{row.state} {row.reason}".strip(), row.active, row.state == COMPLETED)


def find_output(name: str, results: Results) -> TaskOutput:
    """Resolve RUN, GRID/RUN or GRID/KIND to a log; of several the one that was written last."""
    grid, _, last_part = name.rpartition("/")
    kinds = [kind.name for kind in OTHER_KINDS]
    outputs = []
    for plan, _ in find_targets([grid] if grid else [], results):
        if (grid and last_part in kinds) or any(run.run_id == last_part for run in plan.runs):
            outputs.append(TaskOutput(results, plan, last_part))
    if not outputs:
        raise UsageError(
            f"{name}: is no run of a grid (`status` shows them), nor GRID/KIND with a kind of "
            f"{', '.join(kinds)}; a run outside of grids prints to the terminal where it was started"
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
