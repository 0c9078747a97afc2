"""Resolves the names that users give: of grids, and of runs in grids or outside of them."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from jobs.requested import may_wait, requested_names
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results, find_runs


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
    if has_runs(results, grid):
        raise RunDirError(f"{results.grid_file(grid)}: is missing, but there are runs of this grid")
    raise UsageError(f"{grid}: is no grid in {results.runs}")


def has_runs(results: Results, grid: str) -> bool:
    """Whether a run of a grid, which may have no plan, has begun or was copied."""
    return any((results.runs / grid).glob("[!.]*/config.json"))


def grid_names(results: Results) -> list[str]:
    """The grids that have a plan or runs, or may get them when another one has ended, in the order of their names."""
    folders = [path for path in results.runs.glob("*/") if path.name != SINGLE]
    named = {path.name for path in folders if (path / "grid.json").exists() or has_runs(results, path.name)}
    others = [name for name in requested_names(results) if name not in named and may_wait(results, name)]
    return sorted([*named, *others])


def find_targets(names: Collection[str], results: Results) -> list[Target]:
    """Resolve the names of grids, or their files, and of runs as `find_runs` does; without names all grids.

    Raises:
        UsageError: a name is of no grid and of no run in this results folder.
    """
    grids = grid_names(results)
    if not names:
        return [Target(grid) for grid in grids]
    asked = {Path(name).stem if name.endswith(".yaml") else name for name in names}
    named = asked.intersection([*grids, SINGLE])
    runs: dict[str, set[str]] = defaultdict(set)
    for name in asked - named:
        for run_dir in find_runs(name, results):
            if run_dir.results.root.resolve() != results.root.resolve():
                raise UsageError(f"{name}: is not in {results.root}; --results names its folder")
            runs[run_dir.grid].add(run_dir.path.name)
    runs |= {grid: set() for grid in named}
    return [Target(grid, frozenset(runs[grid])) for grid in (*grids, SINGLE) if grid in runs]
