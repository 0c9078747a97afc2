"""A grid file becomes runs: expanded, checked as a whole, and the same for ever once it is planned."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.expand import every_combination, random_combinations
from jobs.sweep_file import SweepFile, read_sweep
from sentiment.config import RunConfig
from sentiment.config_file import parse_override, read_yaml, resolve
from sentiment.records import GridPlan, PlannedRun
from sentiment.run_dir import Results


@dataclass(frozen=True)
class Grid:
    """A question, and the runs that answer it; the plan is not written yet."""

    plan: GridPlan
    configs: list[RunConfig]
    """Of the plan's runs, in their order."""


def load_grid(path: Path, results: Results, overrides: Sequence[str] = ()) -> Grid:
    """Expand a grid file; runs that are planned already (`results.read_grid`) keep their index.

    Args:
        overrides: such as `data.source=vader`, for all runs; they narrow a parameter of the file to one value.

    Raises:
        ConfigError: the file, or any of its runs, is invalid; all mistakes in one message.
    """
    sweep = read_sweep(path)
    constants = {name: [value] for name, value in map(parse_override, overrides)}
    space = sweep.space() | constants
    base = read_yaml(sweep.base_file)
    found: dict[str, tuple[dict[str, Any], RunConfig]] = {}
    for parameters in _combinations(sweep, space):
        config = resolve(base, parameters, str(sweep.base_file))
        found.setdefault(config.run_id, (parameters, config))
        if len(found) == sweep.run_cap:
            break
    runs = [
        PlannedRun(index=index, run_id=run_id, parameters=parameters)
        for index, (run_id, (parameters, _)) in enumerate(found.items())
    ]
    plan = GridPlan(
        name=sweep.name,
        description=sweep.description,
        method=sweep.method,
        metric=sweep.metric.name,
        goal=sweep.metric.goal,
        base=str(sweep.base_file),
        parameters=space,
        runs=runs,
    )
    return Grid(plan, [config for _, config in found.values()])


def _combinations(sweep: SweepFile, space: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    if sweep.method == "grid" or sweep.controller.seed is None:
        return every_combination(space)
    return random_combinations(space, sweep.controller.seed)
