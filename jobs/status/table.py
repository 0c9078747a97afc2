"""What `jobs status` prints: a table for people, JSON for programs; and a line for each language model."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from jobs.policy import helps, needs_somebody
from jobs.status.grid_status import GridStatus, RunStatus
from sentiment.runs.pretrained import OwnModel, read_own_models
from sentiment.runs.run_dir import SINGLE, Results
from sentiment.runs.state import COMPLETED, PAUSED, PENDING, PLANNED, PRUNED

# Of a grid with more rows than this, runs that are completed or wait are only counted.
_MOST_ROWS = 60
_QUIET = (COMPLETED, PAUSED, PENDING, PLANNED, PRUNED)

_Cells = Sequence[str]
# In a table that is too wide, columns of these alone tell nothing: no value, and an attempt that is the only one.
_NOTHING = {"attempt": {"-", "1"}}
_NO_VALUE = {"-"}


def terminal_columns() -> int | None:
    """How wide the terminal is that the standard output goes to; None if it goes elsewhere, such as to a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def show(
    grids: Sequence[GridStatus], only_failed: bool, every_row: bool, as_json: bool, columns: int | None = None
) -> str:
    """What to print, in lines of at most `columns`; empty if there are no grids and JSON is not wanted."""
    if only_failed:
        grids = [replace(grid, rows=[row for row in grid.rows if needs_somebody(row)]) for grid in grids]
    if as_json:
        return json.dumps([grid.as_json() for grid in grids], indent=2)
    return render(grids, every_row, datetime.now(UTC), columns)


def render(grids: Sequence[GridStatus], every_row: bool, now: datetime, columns: int | None = None) -> str:
    """All grids: a line of counts for each, and a line for each run; more lines where they must be narrow.

    Args:
        columns: how long a line may be; None is as long as it takes.
    """
    return "\n".join(line for grid in grids for line in _render_grid(grid, every_row, now, columns))


def wrap(line: str, columns: int | None, indent: str = "") -> list[str]:
    """A line as lines that are no longer than `columns`, but for words that are; names are not broken."""
    if columns is None:
        return [line]
    options = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": indent + "  "}
    return textwrap.wrap(line, columns, initial_indent=indent, **options)  # type: ignore[arg-type]


def _render_grid(grid: GridStatus, every_row: bool, now: datetime, columns: int | None) -> Iterator[str]:
    counts = Counter(row.state for row in grid.rows).most_common()
    # Only a choice of rows can leave none.
    states = ", ".join(f"{number:,} {state}" for state, number in counts) or "no run has failed or is held"
    others = "".join(f"; {kind}: {state}" for kind, state in grid.others.items())
    yield from wrap(f"grid {grid.name}: {states}{others}", columns)
    shown = grid.rows if every_row or len(grid.rows) <= _MOST_ROWS else [r for r in grid.rows if r.state not in _QUIET]
    if shown:
        score = grid.metric.rpartition("/")[2]
        head = ("run", "state", "attempt", "epoch", "step", score, "seen", "elapsed", "expected", "reason")
        yield from _layout([head, *(_cells(row, now) for row in shown)], columns)
    if len(shown) < len(grid.rows):
        hidden = len(grid.rows) - len(shown)
        yield from wrap(f"  and {hidden:,} that are completed, pruned or wait (--all shows them)", columns)
    for command, number in Counter(map(helps, grid.rows if grid.name != SINGLE else ())).items():
        if command:
            yield from wrap(f"  `python -m jobs {command} {grid.name}` goes on with {number:,}", columns)
    yield ""


def _layout(rows: Sequence[_Cells], columns: int | None) -> Iterator[str]:
    """A table, in the first of these forms that fits: as it is; without columns that tell nothing, and with reasons in
    lines of their own; with names in lines of their own, too."""
    plain = _aligned(rows)
    if columns is None or max(map(len, plain)) <= columns:
        yield from plain
        return
    *_, reason = zip(*rows, strict=True)
    told = [column for column in zip(*(row[:-1] for row in rows), strict=True) if _tells(column)]
    lines = _aligned(list(zip(*told, strict=True)))
    if is_long := max(map(len, lines)) > columns:
        lines = _aligned(list(zip(*told[1:], strict=True)), indent="    ")
    for name, line, why in zip(told[0], lines, ("", *reason[1:]), strict=True):
        if is_long:
            yield f"  {name}"
        yield line
        yield from wrap(why, columns, indent="    ")


def _tells(column: _Cells) -> bool:
    name, *values = column
    return not set(values) <= _NOTHING.get(name, _NO_VALUE)


def _aligned(rows: Sequence[_Cells], indent: str = "  ") -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


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
        row.reason,
    )


def _ago(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "-"
    seconds = max((now.astimezone(UTC) - datetime.fromisoformat(moment)).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def show_language_models(results: Results) -> Iterator[str]:
    """A line for each, none if there are none; damage is told in a line as well."""
    models, problems = read_own_models(results)
    for model in models:
        yield f"language model {model.name}: {', '.join(_facts(model))}"
    yield from (f"language model: {problem}" for problem in problems)


def _facts(model: OwnModel) -> Iterator[str]:
    yield model.state.state + (f" ({model.state.reason})" if model.state.reason else "")
    if model.attempts > 1:
        yield f"attempt {model.attempts}"
    if model.step is not None:
        yield f"step {model.step:,}"
    if model.points:
        last = model.points[-1]
        yield f"epoch {last.epoch}, {last.tokens:,} tokens read"
        yield f"perplexity {last.forward:.1f} forward and {last.backward:.1f} backward"
