"""Resolves the names that users give: of grids, and of runs in grids or outside of them."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from jobs.requested import waiting_grids
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results, RunDir


@dataclass(frozen=True)
class Target:
    """A grid that a user named (no `run_ids`), or runs of it. The runs outside of grids are those of `SINGLE`."""

    grid: str
    run_ids: frozenset[str] = frozenset()

    def includes(self, run_id: str) -> bool:
        return not self.run_ids or run_id in self.run_ids


def read_plan(results: Results, grid: str) -> GridPlan:
    """The plan of a submitted grid.

    Raises:
        UsageError: there is no grid of this name.
        RunDirError: the grid has runs, but its plan is missing or damaged.
    """
    if grid == SINGLE:
        raise UsageError(f"{SINGLE}: runs outside of grids are resumed by repeating their `sentiment train` command")
    if plan := results.read_grid(grid):
        return plan
    if any((results.runs / grid).glob("*/config.json")):
        raise RunDirError(f"{results.grid_file(grid)}: is missing, but there are runs of this grid")
    raise _unknown_names([grid], results)


def grid_names(results: Results) -> list[str]:
    """The grids that have a plan or runs, or wait for another one, in the order of their names."""
    folders = [path for path in results.runs.glob("*/") if path.name != SINGLE]
    named = [path.name for path in folders if (path / "grid.json").exists() or any(path.glob("*/config.json"))]
    return sorted({*named, *(waiting.name for waiting in waiting_grids(results))})


def single_runs(results: Results) -> list[RunDir]:
    """The runs outside of grids, also those that have lost some of their records."""
    records = (results.runs / SINGLE).glob("*/*.json")
    return [RunDir(path) for path in sorted({record.parent for record in records})]


def find_targets(names: Collection[str], results: Results) -> list[Target]:
    """Resolve the names of grids and runs (GRID, RUN_ID or GRID/RUN_ID); without names all grids.

    A run may be in several grids. The runs of a grid whose plan is damaged are those that have a directory.

    Raises:
        UsageError: a name is of no grid and of no run.
    """
    grids = grid_names(results)
    if not names:
        return [Target(grid) for grid in grids]
    unknown = {*names}
    targets = []
    for grid in (*grids, SINGLE):
        # A name of a grid alone needs no plan to be read.
        run_ids = _run_ids(results, grid) if not {*names} <= {*grids, SINGLE} else frozenset()
        by_name = {name: name.removeprefix(f"{grid}/") for name in names}
        named = {name for name, run_id in by_name.items() if run_id in run_ids}
        unknown -= {grid, *named}
        if grid in names:
            targets.append(Target(grid))
        elif named:
            targets.append(Target(grid, frozenset(by_name[name] for name in named)))
    if unknown:
        raise _unknown_names(unknown, results)
    return targets


def _run_ids(results: Results, grid: str) -> Collection[str]:
    if grid != SINGLE:
        with suppress(RunDirError, UsageError):
            return {run.run_id for run in read_plan(results, grid).runs}
    return {path.name for path in (results.runs / grid).glob("*/")}


def _unknown_names(names: Sequence[str] | set[str], results: Results) -> UsageError:
    grids = ", ".join(grid_names(results)) or "none yet"
    return UsageError(f"{', '.join(sorted(names))}: neither a grid nor a run in {results.runs}; grids: {grids}")
