"""The state of every run of every grid, from submissions, run directories and one question to the queue; its table; and
what runs and other jobs have printed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.grid_jobs import GridJobs, read_jobs
from jobs.policy import Verdict, helps, judge, needs_somebody
from jobs.services import JOB_KINDS, OTHER_KINDS
from jobs.submissions import read_submissions
from sentiment.console import Say, printable
from sentiment.errors import UsageError
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
_NO_PLAN = GridPlan.model_construct(name=SINGLE, metric="validation/f1", goal="maximize", runs=[], parameters={})


def read_plan(results: Results, grid: str) -> GridPlan:
    """The plan of a grid that was submitted; a UsageError if there is none of this name."""
    if plan := results.read_grid(grid):
        return plan
    raise unknown_names([grid], results)


def planned_grids(results: Results) -> list[str]:
    return sorted(path.parent.name for path in results.runs.glob("*/grid.json"))


def read_status(results: Results, names: Sequence[str] = ()) -> list[GridStatus]:
    """The state of grids, and last of the runs outside of them (`single`); of all if none is named."""
    plans = [read_plan(results, name) for name in names or planned_grids(results) if name != SINGLE]
    jobs = read_jobs(results, [plan.name for plan in plans])
    found = [read_grid_status(results, plan, one) for plan, one in zip(plans, jobs, strict=True)]
    alone = single_runs(results) if not names or SINGLE in names else []
    rows = [_read_row(results, _NO_PLAN, GridJobs((), ()), run_dir.path.name, None) for run_dir in alone]
    return [*found, GridStatus(SINGLE, _NO_PLAN.metric, rows)] if rows else found


def single_runs(results: Results) -> list[RunDir]:
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
    return GridStatus(plan.name, plan.metric, rows, jobs.service_states(), "report" in jobs.failed_services)


def _read_row(results: Results, plan: GridPlan, jobs: GridJobs, run_id: str, standing: Standing | None) -> RunStatus:
    progress = read_progress(results.run_dir(run_id, plan.name), plan)
    attempt = progress.last_attempt
    place = None if progress.completed else jobs.place(run_id, attempt)
    verdict = judge(progress, jobs.queued(run_id, place, attempt), standing)
    job = jobs.job(place) if place else None
    seen = datetime.fromtimestamp(progress.seen, UTC).isoformat(timespec="seconds") if progress.seen else None
    return RunStatus(
        **vars(verdict),
        grid=plan.name,
        run_id=run_id,
        job=job.address if job else None,
        attempts=progress.attempts,
        epoch=progress.epoch,
        step=progress.step,
        score=progress.score,
        seen=seen,
    )


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
    """As many parameters as fit beside the run's whole name; before one is left out, names of columns are cut."""
    varied, narrow = list(dict.fromkeys(name for row in rows for name in row.parameters)), False
    while True:
        names = ("run", "state", "try", "epoch", grid.metric, *varied, "ago")
        heads = [re.split("[./]", name)[-1] for name in names]
        cells = [_cells(row, varied, now) for row in rows]
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
        for head, *column in zip(heads, *cells, strict=True):
            width = max(4, *map(len, column)) if narrow else len(head)
            cut = head if len(head) <= width else f"{head[: width - 1]}…"
            table.add_column(cut, no_wrap=head != "run", overflow="fold")
        for one in cells:
            table.add_row(*one)
        wide = console.options.update(width=_UNLIMITED)
        if not varied or console.measure(table, options=wide).maximum <= console.width:
            return table
        if narrow:
            varied.pop()
        narrow = True


def _cells(row: RunStatus, varied: Sequence[str], now: datetime) -> list[str]:
    score = None if row.score is None else f"{row.score:.3f}"
    known = (row.attempts or None, row.epoch, score, *(row.parameters.get(name) for name in varied))
    return [row.run_id, row.state, *("-" if value is None else str(value) for value in known), _ago(row.seen, now)]


def _ago(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "-"
    seconds = max((now.astimezone(UTC) - datetime.fromisoformat(moment)).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def find_targets(targets: Sequence[str], results: Results) -> list[tuple[GridPlan, set[str]]]:
    """Plans of the grids meant (all, if none is named), and the ids of the runs meant; no ids mean all of the grid."""
    plans = [read_plan(results, name) for name in planned_grids(results)]
    known = {name for plan in plans for name in (plan.name, *(run.run_id for run in plan.runs))}
    if unknown := {*targets} - known:
        raise unknown_names(unknown, results)
    found: list[tuple[GridPlan, set[str]]] = []
    for plan in plans:
        runs = {run.run_id for run in plan.runs} & {*targets}
        if not targets or plan.name in targets:
            found.append((plan, set()))
        elif runs:
            found.append((plan, runs))
    return found


def unknown_names(targets: Collection[str], results: Results) -> UsageError:
    """That names which a user gave are neither grids nor runs."""
    grids = sorted({folder.name for folder in results.runs.glob("*/")} - {SINGLE})
    here = f"grids here: {', '.join(grids)}" if grids else "there are no grids yet"
    if any((results.runs / SINGLE / name).is_dir() for name in targets):
        here += "; `sentiment train` goes on with a run outside of grids"
    return UsageError(f"{', '.join(sorted(targets))}: neither a grid nor a run in {results.runs}; {here}")


def is_meant(grid: str, run_id: str, targets: Sequence[str]) -> bool:
    return not targets or grid in targets or run_id in targets


def cancel_single(run_dir: RunDir, say: Say) -> None:
    """Tell the process that trains a run outside of grids to save and end, if one does."""
    name, owner = run_dir.path.name, live_owner(run_dir.lock_file)
    if owner is None:
        say(f"run {name}: no process trains it")
        return
    if owner.job or owner.host != socket.gethostname():
        remedy = f"`scancel {owner.job}` ends it" if owner.job else "give this command there"
        raise UsageError(f"run {name}: is trained by {owner}; {remedy}")
    with contextlib.suppress(ProcessLookupError):  # it has ended just now
        os.kill(owner.pid, signal.SIGTERM)
    say(f"run {name}: process {owner.pid} was told to save and end; the command that trains it goes on later")


@dataclass(frozen=True)
class TaskOutput:
    """The output of a run of a grid, by its id, or of the newest job of a kind that trains no runs."""

    results: Results
    plan: GridPlan
    name: str

    @property
    def newest(self) -> Path | None:
        there = (file for file in self._files() if file.exists())
        return max(there, key=lambda file: file.stat().st_mtime_ns, default=None)

    def _files(self) -> Iterator[Path]:
        yield self.results.slurm / self.plan.name / f"{self.name}.log"  # of the report, on this machine
        for folder in read_submissions(self.results, self.plan.name):
            yield folder.run_log(self.name)
            for number, run_ids in enumerate(folder.tasks):
                # A task's own log says why a run that has none did not begin.
                alone = self.name in run_ids and not folder.run_log(self.name).exists()
                if (alone or self.name == folder.submission.kind) and (log := folder.log_file(number)):
                    yield log

    def state(self) -> tuple[str, bool]:
        (jobs,) = read_jobs(self.results, [self.plan.name])
        if self.name in JOB_KINDS:
            active = any(folder.submission.kind == self.name for folder, _ in jobs.active_tasks)
            return jobs.service_states().get(self.name, "not in the queue"), active
        rows = read_grid_status(self.results, self.plan, jobs).rows
        row = next(row for row in rows if row.run_id == self.name)
        return f"{row.state} {row.reason}".strip(), row.active


def find_output(name: str, results: Results) -> TaskOutput:
    """What a user means by RUN, GRID/RUN, or GRID/KIND for another job; of several what was printed last."""
    grid, _, rest = name.rpartition("/")
    plans = [read_plan(results, one) for one in planned_grids(results) if grid in ("", one)]
    kinds = [str(kind.name) for kind in OTHER_KINDS]
    meant = [one for one in plans if (grid and rest in kinds) or any(run.run_id == rest for run in one.runs)]
    if not meant:
        raise UsageError(
            f"{name}: is no run of a grid (`sentiment status` shows them), nor GRID/KIND with a kind of "
            f"{', '.join(kinds)}; a run outside of grids prints where it was started"
        )
    return max(
        (TaskOutput(results, plan, rest) for plan in meant),
        key=lambda one: one.newest.stat().st_mtime_ns if one.newest else 0,
    )


def show_log(output: TaskOutput, follow: bool, say: Say) -> bool:
    """Print a log, or follow it until the run or job has ended; False if a run that was followed is not completed."""
    shown, positions = None, dict[Path, int]()
    asked, state, active = float("-inf"), "", False
    while True:
        if follow and time.monotonic() > asked + _ASK_SECONDS:
            (state, active), asked = output.state(), time.monotonic()
        if file := output.newest:
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
