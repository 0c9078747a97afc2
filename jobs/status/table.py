"""What `jobs status` prints: a table for people, JSON for programs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from jobs.status.grid_status import GridStatus, RunStatus
from sentiment.run_state import COMPLETED, PAUSED, PENDING, PLANNED, PRUNED

# Of a grid with more rows than this, runs that are completed or wait are only counted.
_MOST_ROWS = 60
_QUIET = (COMPLETED, PAUSED, PENDING, PLANNED, PRUNED)


def show(grids: Sequence[GridStatus], only_failed: bool, every_row: bool, as_json: bool) -> str:
    """What to print; empty if there are no grids and JSON is not wanted."""
    if only_failed:
        grids = [replace(grid, rows=[row for row in grid.rows if row.failed]) for grid in grids]
    if as_json:
        return json.dumps([grid.as_json() for grid in grids], indent=2)
    return render(grids, every_row, datetime.now(UTC))


def render(grids: Sequence[GridStatus], every_row: bool, now: datetime) -> str:
    """All grids: a line of counts for each, and a line for each run."""
    return "\n".join(line for grid in grids for line in _render_grid(grid, every_row, now))


def _render_grid(grid: GridStatus, every_row: bool, now: datetime) -> Iterator[str]:
    counts = Counter(row.state for row in grid.rows).most_common()
    # Only a choice of rows can leave none.
    states = ", ".join(f"{number:,} {state}" for state, number in counts) or "no run has failed or is held"
    others = "".join(f"; {kind}: {state}" for kind, state in grid.others.items())
    yield f"grid {grid.name}: {states}{others}"
    shown = grid.rows if every_row or len(grid.rows) <= _MOST_ROWS else [r for r in grid.rows if r.state not in _QUIET]
    score = grid.metric.rpartition("/")[2]
    lines: list[tuple[str, ...]] = [
        ("run", "state", "attempt", "epoch", "step", score, "seen", "elapsed", "expected", "reason")
    ]
    lines += [_cells(row, now) for row in shown]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if shown else []:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    if len(shown) < len(grid.rows):
        yield f"  and {len(grid.rows) - len(shown):,} that are completed, pruned or wait (--all shows them)"
    yield ""


def _cells(row: RunStatus, now: datetime) -> tuple[str, ...]:
    expected = datetime.fromisoformat(row.expected).astimezone() if row.expected else None
    return (
        row.run_id,
        row.state,
        str(row.attempts or "-"),
        "-" if row.epoch is None else str(row.epoch),
        "-" if row.step is None else f"{row.step:,}",
        "-" if row.score is None else f"{row.score:.3f}",
        _ago(row.seen, now),
        row.elapsed or "-",
        f"{expected:%a %H:%M}" if expected else "-",
        "; ".join(filter(None, (_retried(row), row.reason))),
    )


def _retried(row: RunStatus) -> str:
    return f"retry {len(row.retries)} (after {row.retries[0]})" if row.retries else ""


def _ago(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "-"
    seconds = max((now.astimezone(UTC) - datetime.fromisoformat(moment)).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
