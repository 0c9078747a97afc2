"""Renders the state of grids as a table, or as JSON."""

import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from io import StringIO

from rich.console import Console
from rich.table import Table

from jobs.policy import final_job_action, resume_command
from jobs.status.grid_state import GridView, RunStatus
from jobs.status.logs import failed_log
from sentiment.console import plural
from sentiment.runs.run_dir import SINGLE, Results, short_id
from sentiment.runs.state import COMPLETED, PAUSED, PENDING, PLANNED, PRUNED

DEFAULT_WIDTH = 80
# In a file or a pipe a run is one line, for grep, however many settings it has.
_WIDTH_OF_FILES = 10_000
# In grids with more rows than this, runs in one of `_HIDDEN_STATES` are only counted, and so many others are shown.
_MAX_ROWS = 60
_HIDDEN_STATES = (COMPLETED, PAUSED, PENDING, PLANNED, PRUNED)


def show(results: Results, grids: Sequence[GridView], every_row: bool, as_json: bool) -> str:
    """The text of `sentiment status`, as wide as the terminal; empty without grids, unless JSON is asked for."""
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
    states = ", ".join(f"{number:,} {state}" for state, number in counts)
    others = [f"{kind}: {state}" for kind, state in grid.others.items()]
    yield f"grid {grid.name}: {'; '.join(filter(None, (states, grid.note, *others)))}"
    shown = grid.rows
    if not every_row and len(grid.rows) > _MAX_ROWS:
        shown = [row for row in grid.rows if row.state not in _HIDDEN_STATES][:_MAX_ROWS]
    if shown:
        yield _table(grid.metric, shown, now)
    by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in shown:
        if row.reason:
            by_reason[row.state, row.reason].append(short_id(row.run_id))
    for (state, reason), (run_id, *others) in by_reason.items():
        yield f"{run_id}{f' and {len(others)} more' if others else ''} {state}: {reason}"
    if len(shown) < len(grid.rows):
        yield f"{len(grid.rows) - len(shown):,} more runs (--all)"
    if log := failed_log(results, grid):
        yield f"`{results.command('status', '--log', log)}` shows why"
    yield from _next_commands(results, grid)
    yield ""


def _next_commands(results: Results, grid: GridView) -> Iterator[str]:
    """The commands that resume inactive runs or the final job, and how many runs that retries without any command."""
    if grid.waits_for:
        yield submits_later(results, grid.name, grid.waits_for, grid.is_local)
        return
    left = [row for row in grid.rows if not (grid.has_final_job and final_job_action(row))]
    if len(left) < len(grid.rows):
        yield f"the final job will retry {plural(len(grid.rows) - len(left), 'run')}"
    if grid.name != SINGLE:
        yield from next_commands(results, grid.name, left, grid.is_local)
    if grid.has_stuck_final_job:
        yield f"`{results.command('rerun', grid.name)}` brings back its final job"


def submits_later(results: Results, grid: str, base: str, is_local: bool) -> str:
    """The command that submits a grid that waits for another one."""
    where = ["--local"] if is_local else []
    return f"`{results.command('submit', grid, *where)}` submits it when grid {base} has ended"


def next_commands(results: Results, grid: str, rows: Sequence[RunStatus], is_local: bool) -> Iterator[str]:
    """The commands that resume inactive runs of a grid, on this machine or in Slurm."""
    where = ["--local"] if is_local else []
    for command, number in Counter(map(resume_command, rows)).items():
        if command:
            verb = "goes on with" if command == "submit" else "resumes"  # of a search, with some
            yield f"`{results.command(command, grid, *where)}` {verb} {plural(number, 'run')}"


def _table(metric: str, rows: Sequence[RunStatus], now: datetime) -> Table:
    """The table of runs; headings and values of settings are folded where the line is too short for them.

    A run is named by its short id and what varies in its grid; where nothing does, by the title in its id.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
    settings = list(dict.fromkeys(name for row in rows for name in row.parameters))
    if not settings:
        settings = ["model"]
        rows = [replace(row, parameters={"model": row.run_id.rpartition("-")[0]}) for row in rows]
    fixed = ("run", "state", "attempt", "epoch", metric, "updated")
    for name in (*fixed, *settings):
        table.add_column(re.split("[./]", name)[-1], no_wrap=name in fixed, overflow="fold")
    for row in rows:
        score = None if row.score is None else f"{row.score:.3f}"
        values = (row.attempts or None, row.epoch, score, _ago(row.seen, now), *map(row.parameters.get, settings))
        table.add_row(short_id(row.run_id), row.state, *("-" if value is None else str(value) for value in values))
    return table


def _ago(moment: str | None, now: datetime) -> str | None:
    if moment is None:
        return None
    seconds = (now - datetime.fromisoformat(moment)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
