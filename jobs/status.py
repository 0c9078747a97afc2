"""The state of every run of every grid, from submissions, run directories and one question to the queue; its table; and
what runs and other jobs have printed."""

import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.grid_jobs import GridJobs, Place, read_jobs
from jobs.policy import Verdict, helps, judge, needs_somebody
from jobs.services import OTHER_KINDS
from jobs.submissions import read_submissions
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Say, printable
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.attempts import live_owner
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results, RunDir
from sentiment.runs.state import (
    COMPLETED,
    HELD,
    PAUSED,
    PENDING,
    PLANNED,
    PRUNED,
    RUNNING,
    UNKNOWN,
    Standing,
    read_progress,
    read_rungs,
)

NARROW = 80
_UNLIMITED = 10_000
# Of a grid with more rows than this, runs that are completed or wait are only counted.
_MOST_ROWS = 60
_POLL_SECONDS = 0.3
_ASK_SECONDS = 5.0  # the queue is not asked more often than this
_QUIET = (COMPLETED, PAUSED, PENDING, PLANNED, PRUNED)


@dataclass(frozen=True, kw_only=True)
class RunStatus(Verdict):
    """One run, as `sentiment status` shows it.

    Attributes:
        job: the task that has it or may take it, as the queue's commands take it.
        seen: the last sign of life (ISO 8601, UTC).
        expected: when a waiting task is expected to begin, or when the time of a running one is over.
        parameters: what distinguishes it from the others of its grid.
    """

    grid: str
    run_id: str
    job: str | None = None
    attempts: int = 0
    epoch: int | None = None
    step: int | None = None
    score: float | None = None
    seen: str | None = None
    expected: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GridStatus:
    """A grid's runs, in the order of its plan, and its other jobs.

    Attributes:
        others: the states of the newest job of each kind that trains no runs, by the kind.
        final_failed: whether the newest job that ends the grid failed: `submit` and `rerun` submit another one.
    """

    name: str
    metric: str
    rows: list[RunStatus]
    others: dict[str, str] = field(default_factory=dict)
    final_failed: bool = False


# What the scores of runs outside of grids are read by; nothing of this is ever written.
_NO_PLAN = GridPlan(
    name=SINGLE,
    description="runs outside of grids",
    method="grid",
    metric="validation/f1",
    goal="maximize",
    base="",
    parameters={},
    runs=[],
)


def read_plan(results: Results, grid: str) -> GridPlan:
    """The plan of a grid that was submitted.

    Raises:
        UsageError: there is no grid of this name.
    """
    if plan := results.read_grid(grid):
        return plan
    names = planned_grids(results)
    known = f"there are {', '.join(names)}" if names else "there are none yet"
    raise UsageError(f"{grid}: is no grid in {results.runs}; {known}")


def planned_grids(results: Results) -> list[str]:
    """Names of all grids that were submitted."""
    return sorted(path.parent.name for path in results.runs.glob("*/grid.json"))


def read_status(results: Results, names: Sequence[str] = ()) -> list[GridStatus]:
    """The state of grids, and last of the runs outside of them (`single`); of all if none is named.

    Raises:
        UsageError: there is no grid of a name.
    """
    plans = [read_plan(results, name) for name in names or planned_grids(results) if name != SINGLE]
    jobs = read_jobs(results, [plan.name for plan in plans])
    found = [read_grid_status(results, plan, one) for plan, one in zip(plans, jobs, strict=True)]
    alone = single_runs(results) if not names or SINGLE in names else []
    rows = [_read_row(results, _NO_PLAN, GridJobs((), ()), run_dir.path.name, None) for run_dir in alone]
    return [*found, GridStatus(SINGLE, _NO_PLAN.metric, rows)] if rows else found


def single_runs(results: Results) -> list[RunDir]:
    """The directories of the runs outside of grids, in the order of their names."""
    return [RunDir(file.parent) for file in sorted((results.runs / SINGLE).glob("*/config.json"))]


def read_grid_status(results: Results, plan: GridPlan, jobs: GridJobs) -> GridStatus:
    """The state of a grid's runs, wherever they were given to."""
    run_ids = dict.fromkeys([*(run.run_id for run in plan.runs), *jobs.places])
    rungs = read_rungs(results, plan)
    standings = rungs.standings if rungs else {}
    rows = [_read_row(results, plan, jobs, run_id, standings.get(run_id)) for run_id in run_ids]
    varied = {name for name, values in plan.parameters.items() if len(values) > 1}
    parameters = {one.run_id: {k: v for k, v in one.parameters.items() if k in varied} for one in plan.runs}
    rows = [replace(row, parameters=parameters.get(row.run_id, {})) for row in rows]
    return GridStatus(plan.name, plan.metric, rows, jobs.service_states(), jobs.final_job_failed)


def _read_row(results: Results, plan: GridPlan, jobs: GridJobs, run_id: str, standing: Standing | None) -> RunStatus:
    progress = read_progress(results.run_dir(run_id, plan.name), plan)
    attempt = progress.last_attempt
    place = None if progress.completed else jobs.place(run_id, attempt)
    verdict = judge(progress, jobs.queued(run_id, place, attempt), standing)
    job = jobs.job(place) if place else None
    present = job if job and job.active and (job.state == verdict.state or verdict.state != PENDING) else None
    expected = (present.end if present.state == RUNNING else present.start) if present else None
    return RunStatus(
        **vars(verdict),
        grid=plan.name,
        run_id=run_id,
        job=job.address if job else None,
        attempts=progress.attempts,
        epoch=progress.epoch,
        step=progress.step,
        score=progress.score,
        seen=_iso(datetime.fromtimestamp(progress.seen, UTC)) if progress.seen else None,
        expected=_iso(expected) if expected else None,
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def describe_held(grid: str, rows: Sequence[RunStatus]) -> Iterator[str]:
    """A line about runs that are not submitted because they are in the queue, but do not go on by themselves."""
    if number := sum(row.state == HELD for row in rows):
        yield f"{number} of {len(rows)} runs are held in the queue; `sentiment rerun {grid}` frees them"


def describe_unknown(rows: Iterable[RunStatus]) -> Iterator[str]:
    """A line for each reason why states are not known: these runs may still wait or run."""
    for reason, number in Counter(row.reason for row in rows if row.state == UNKNOWN).items():
        yield f"{number} run{'' if number == 1 else 's'} UNKNOWN: {reason}"


def show(grids: Sequence[GridStatus], only_failed: bool, every_row: bool, as_json: bool) -> str:
    """What to print, as wide as the terminal; empty if there are no grids and JSON is not wanted."""
    if only_failed:
        grids = [replace(grid, rows=[row for row in grid.rows if needs_somebody(row)]) for grid in grids]
    if as_json:
        return json.dumps([asdict(grid) for grid in grids], indent=2)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else NARROW
    return render(grids, every_row, datetime.now(UTC), columns)


def render(grids: Sequence[GridStatus], every_row: bool, now: datetime, columns: int = NARROW) -> str:
    """Of each grid a line of counts, a table with a line for each run, and the reasons of those that have one."""
    text = StringIO()
    console = Console(file=text, width=columns, highlight=False, markup=False, emoji=False)
    for grid in grids:
        for part in _parts(grid, every_row, now, console):
            console.print(part)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().split("\n"))


def _parts(grid: GridStatus, every_row: bool, now: datetime, console: Console) -> Iterator[str | Table]:
    counts = Counter(row.state for row in grid.rows).most_common()
    # Only a choice of rows can leave none.
    states = ", ".join(f"{number:,} {state}" for state, number in counts) or "no run has failed or is held"
    yield f"grid {grid.name}: {states}" + "".join(f"; {kind}: {state}" for kind, state in grid.others.items())
    shown = grid.rows if every_row or len(grid.rows) <= _MOST_ROWS else [r for r in grid.rows if r.state not in _QUIET]
    if shown:
        yield _table(grid, shown, now, console)
    reasons = Counter((row.state, row.reason) for row in shown if row.reason)
    for (state, reason), number in reasons.items():
        run_id = next(row.run_id for row in shown if (row.state, row.reason) == (state, reason))
        more = f" and {number - 1} more" if number > 1 else ""
        yield f"{run_id}{more} {state}: {reason}"
    if hidden := len(grid.rows) - len(shown):
        yield f"and {hidden:,} that are completed, pruned or wait (--all shows them)"
    for command, number in Counter(map(helps, grid.rows if grid.name != SINGLE else ())).items():
        if command:
            yield f"`sentiment {command} {grid.name}` goes on with {number:,}"
    yield ""


def _table(grid: GridStatus, rows: Sequence[RunStatus], now: datetime, console: Console) -> Table:
    varied = list(dict.fromkeys(name for row in rows for name in row.parameters))
    while True:
        table = Table(box=None, pad_edge=False, header_style="")
        score = grid.metric.rpartition("/")[2]
        for head in ("run", "state", "try", "epoch", score, *(name.rpartition(".")[2] for name in varied), "seen"):
            table.add_column(head, no_wrap=head != "run", overflow="fold")
        for row in rows:
            known = (row.attempts or None, row.epoch, None if row.score is None else f"{row.score:.3f}")
            values = (row.parameters.get(name) for name in varied)
            table.add_row(row.run_id, row.state, *map(_cell, (*known, *values)), _ago(row.seen, now))
        wide = console.options.update(width=_UNLIMITED)
        if not varied or console.measure(table, options=wide).maximum <= console.width:
            return table
        varied.pop()


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


def _ago(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "-"
    seconds = max((now.astimezone(UTC) - datetime.fromisoformat(moment)).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def find_targets(targets: Sequence[str], results: Results) -> list[tuple[GridPlan, set[str]]]:
    """Plans of the grids meant (all, if none is named) and the ids of the runs meant; no ids mean all of the grid.

    Raises:
        UsageError: a name is neither a grid nor a run.
    """
    plans = [read_plan(results, name) for name in planned_grids(results)]
    known = {name for plan in plans for name in (plan.name, *(run.run_id for run in plan.runs))}
    refuse_unknown(targets, known, results)
    found: list[tuple[GridPlan, set[str]]] = []
    for plan in plans:
        runs = {run.run_id for run in plan.runs} & {*targets}
        if not targets or plan.name in targets:
            found.append((plan, set()))
        elif runs:
            found.append((plan, runs))
    return found


def refuse_unknown(targets: Sequence[str], known: Collection[str], results: Results) -> None:
    """Check names that a user gave.

    Raises:
        UsageError: one is neither a grid nor a run.
    """
    if unknown := {*targets} - {*known}:
        grids = sorted({folder.name for folder in results.runs.glob("*/")} - {SINGLE})
        here = f"grids here: {', '.join(grids)}" if grids else "there are no grids yet"
        if any((results.runs / SINGLE / name).is_dir() for name in unknown):
            here += "; `sentiment train` goes on with a run outside of grids"
        raise UsageError(f"{', '.join(sorted(unknown))}: neither a grid nor a run in {results.runs}; {here}")


def is_meant(grid: str, run_id: str, targets: Sequence[str]) -> bool:
    """Whether names of grids or run ids include a run; without names all runs are meant."""
    return not targets or grid in targets or run_id in targets


def run_configs(
    results: Results, plan: GridPlan, run_ids: Iterable[str], places: Mapping[str, Place]
) -> tuple[dict[str, RunConfig], dict[str, str]]:
    """The configurations of runs, by run id: as last submitted, else as begun, else as the plan says.

    Args:
        places: the tasks that runs were last given to.

    Returns:
        Also what is wrong with those whose configuration cannot be read or has become that of another run.

    Raises:
        ConfigError: a run was never submitted nor begun, and the plan's base file is missing or invalid.
    """
    wanted = list(run_ids)
    found: dict[str, RunConfig] = {}
    mistakes: dict[str, str] = {}
    for folder in {places[run_id][0] for run_id in wanted if run_id in places}:
        found.update(folder.configs)
    planned = {run.run_id: run.parameters for run in plan.runs}
    for run_id in wanted:
        if run_id in found:
            continue
        run_dir = results.run_dir(run_id, plan.name)
        begun = run_dir.config_file.exists()
        try:
            config = run_dir.read_config() if begun else resolve(read_yaml(Path(plan.base)), planned[run_id], plan.base)
        except RunDirError as error:
            mistakes[run_id] = str(error)
            continue
        if config.run_id == run_id:
            found[run_id] = config
        else:
            mistakes[run_id] = (
                f"{run_dir.config_file if begun else plan.base}: gives run {config.run_id}, not {run_id} of grid "
                f"{plan.name}; bring back its own file, or `sentiment submit {plan.name}` says what changed"
            )
    return {run_id: found[run_id] for run_id in wanted if run_id in found}, mistakes


def cancel_single(run_dir: RunDir, say: Say) -> None:
    """Tell the process that trains a run outside of grids to save and end, if one does.

    Raises:
        UsageError: the process is on another host, or a task of Slurm.
    """
    name, owner = run_dir.path.name, live_owner(run_dir.lock_file)
    if owner is None:
        say(f"run {name}: no process trains it")
        return
    if owner.job:
        raise UsageError(f"run {name}: is trained by {owner}; `scancel {owner.job}` ends it")
    if owner.host != socket.gethostname():
        raise UsageError(f"run {name}: is trained by {owner}; give this command there")
    os.kill(owner.pid, signal.SIGTERM)
    say(f"run {name}: process {owner.pid} was told to save and end; the command that trains it goes on later")


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

    def newest(self) -> Path | None:
        there = [file for file in self._files() if file.exists()]
        return max(there, key=lambda file: file.stat().st_mtime_ns) if there else None

    def _files(self) -> Iterator[Path]:
        yield self.results.slurm / self.grid / f"{self.name}.log"  # of the report, on this machine
        for folder in read_submissions(self.results, self.grid):
            yield folder.run_log(self.name)
            for number, run_ids in enumerate(folder.tasks):
                # A task's own log says why a run that has none did not begin.
                alone = self.name in run_ids and not folder.run_log(self.name).exists()
                if (alone or self.name == folder.submission.kind) and (log := folder.log_file(number)):
                    yield log

    def state(self) -> tuple[str, bool]:
        (jobs,) = read_jobs(self.results, [self.grid])
        if not self.is_run:
            active = any(folder.submission.kind == self.name for folder, _ in jobs.active_tasks)
            return jobs.service_states().get(self.name, "not in the queue"), active
        rows = read_grid_status(self.results, read_plan(self.results, self.grid), jobs).rows
        row = next(row for row in rows if row.run_id == self.name)
        return f"{row.state} {row.reason}".strip(), row.active


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
        raise UsageError(f"{rest}: is a grid; name one of its runs (`sentiment status {rest}` shows them), or {jobs}")
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
    shown, positions = None, dict[Path, int]()
    asked, state, active = float("-inf"), "", False
    while True:
        if follow and time.monotonic() > asked + _ASK_SECONDS:
            (state, active), asked = output.state(), time.monotonic()
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
    with open(path, "rb") as file:
        file.seek(position)
        text, end = file.read(), file.tell()
    if sys.stdout.isatty():  # which would obey what stands in it; a bar's `\r` begins a new line
        text = printable(re.sub("\r\n?", "\n", text.decode(errors="replace"))).encode()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
    return end
