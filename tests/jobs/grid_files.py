"""Grid files made by tests, and grids that look finished: real records, with the scores that a test is about."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from jobs.bases import expand_when_ready
from jobs.grids.grid import ExpandedGrid, GridRequest
from jobs.grids.sweep_file import read_grid_file
from jobs.requested import RequestedGrid
from jobs.study import PlannedGrid
from sentiment.config_file import parse_overrides
from sentiment.errors import ConfigError, UsageError
from sentiment.runs.records import PlannedRun, Result
from sentiment.runs.run_dir import Results
from tests.small_runs import SMALL_RUN

GRIDS = Path(__file__).parents[2] / "configs" / "grids"


def write_yaml(path: Path, values: Mapping[str, Any]) -> Path:
    """Write a YAML file, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(dict(values), file)
    return path


def write_base(folder: Path, tweets: Path) -> Path:
    """The small run's file."""
    return write_yaml(folder / "base.yaml", SMALL_RUN | {"data": {"source": str(tweets)}})


def write_grid(base: Path, parameters: Mapping[str, Any], name: str = "some", **changes: Any) -> Path:
    """A grid file beside its base run; a list is several values, a mapping a parameter as it stands, all else one."""
    values: dict[str, Any] = {"name": name, "description": "Which is best?", "method": "grid", "parameters": {}}
    values["metric"] = {"name": "validation/accuracy", "goal": "maximize"}
    values["command"] = ["${env}", "sentiment", "train", str(base), "${args_no_hyphens}"]
    for key, value in parameters.items():
        kind = "values" if isinstance(value, list) else "value"
        values["parameters"][key] = value if isinstance(value, dict) else {kind: value}
    return write_yaml(base.parent / f"{name}.yaml", values | changes)


def load_grid(path: Path, results: Results, overrides: Sequence[str] = (), check_inputs: bool = True) -> ExpandedGrid:
    """Read and expand a grid file."""
    request = GridRequest(read_grid_file(path), parse_overrides(overrides))
    return expand_when_ready(results, request, check_inputs=check_inputs)


def study_of(grid: ExpandedGrid, path: Path) -> dict[str, PlannedGrid]:
    """The study of one grid that was expanded from a file."""
    return {grid.plan.name: PlannedGrid(GridRequest(read_grid_file(path)), grid, grid)}


def a_request(path: Path, **changes: Any) -> RequestedGrid:
    """What a command asks for that submits a grid file as it is now."""
    values: dict[str, Any] = {"waits": False, "code": None, "cluster": {}, "local": False}
    return RequestedGrid(request=GridRequest(read_grid_file(path)), **(values | changes))


def refusal(read: Callable[..., object], *arguments: object) -> str:
    """Why something is not read."""
    with pytest.raises((ConfigError, UsageError)) as caught:
        read(*arguments)
    return str(caught.value)


def draw(seed: int = 1, trials: int = 5) -> dict[str, Any]:
    """What makes a grid file a random search."""
    return {"method": "random", "run_cap": trials, "controller": {"type": "cloud", "seed": seed}}


def halving(**keys: Any) -> dict[str, Any]:
    """What makes a grid file a search in rungs."""
    return {"early_terminate": {"type": "hyperband", **keys}}


def starts_from(grid: str, runs: str, **more: Any) -> dict[str, Any]:
    """What makes a grid start from runs of another one."""
    return {"controller": {"type": "cloud", "base": {"grid": grid, "runs": runs, **more}}}


Judge = Callable[[PlannedRun], tuple[float, bool] | None]
"""The validation accuracy of a run and whether it overfits; None for one without a result."""


def result_like(like: Result, run_id: str, accuracy: float, overfits: bool) -> Result:
    """A result but for its run, its validation accuracy, whose rest is the loss, and whether it overfits."""
    validation = like.metrics["validation"].model_copy(update={"accuracy": accuracy, "loss": 1 - accuracy})
    scores = like.scores | {"network": like.metrics | {"validation": validation}}
    overfit = like.overfit.model_copy(update={"overfits": overfits})
    return like.model_copy(update={"run_id": run_id, "scores": scores, "overfit": overfit})


def finish(results: Results, grid: ExpandedGrid, like: Result, judge: Judge) -> None:
    """Write a plan and the results of its runs."""
    results.write_grid(grid.plan)
    for run, config in zip(grid.plan.runs, grid.configs, strict=True):
        run_dir = results.run_dir(run.run_id, grid.plan.name)
        run_dir.create(config)
        if (verdict := judge(run)) is not None:
            run_dir.write_record(result_like(like, run.run_id, *verdict))
