"""Grids as commands asked for them, with the content of their files: later edits change nothing."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.grids.grid import GridRequest
from jobs.grids.sweep_file import read_grid_file
from sentiment.config import RunConfig
from sentiment.config_file import override_options, resolve
from sentiment.console import Say
from sentiment.errors import ConfigError, RunDirError
from sentiment.files import config_path, write_atomically
from sentiment.runs.locks import Lock
from sentiment.runs.records import GridPlan, Record
from sentiment.runs.run_dir import Results, read_record, sealed, set_damaged_aside


class RequestedGrid(Record):
    """`request.json` of a grid: what the newest `submit` asked for; written before anything is submitted.

    Attributes:
        waits: whether it waits for the grid that it starts from, so that nothing of it is submitted yet.
        code: the id of the code snapshot that will compute its runs if it waits.
        cluster: the content of the cluster file.
        local: whether its runs are for this machine: no final job submits them.
        problem: why it could not be submitted when the other grid had ended; empty before.
    """

    request: GridRequest
    waits: bool
    code: str | None
    cluster: dict[str, Any]
    local: bool
    problem: str = ""

    @property
    def name(self) -> str:
        return self.request.name

    @property
    def base(self) -> str:
        """The grid that it starts from; empty if it starts from files."""
        base = self.request.base
        return base.grid if base else ""

    def describe(self) -> str:
        return f"WAITING for {self.base}" + (f"; when it was last tried: {self.problem}" if self.problem else "")


def grid_lock(results: Results, grid: str) -> Lock:
    """The lock of whoever changes what a grid has planned, requested or submitted."""
    folder = results.slurm / grid
    folder.mkdir(parents=True, exist_ok=True)
    return Lock(folder / "lock", "submits or cancels")


def request_file(results: Results, grid: str) -> Path:
    return results.slurm / grid / "request.json"


def read_request(results: Results, grid: str) -> RequestedGrid | None:
    """What was asked for last of a grid; None if it was never submitted, as of a folder that somebody copied.

    Raises:
        RunDirError: the record is damaged, or holds no grid.
    """
    requested = read_record(request_file(results, grid), RequestedGrid, "`submit` of the grid's file replaces it")
    return requested if requested and requested.name == grid else None


def read_waiting(results: Results, grid: str) -> RequestedGrid | None:
    """The record of a grid that waits; None if it does not."""
    requested = read_request(results, grid)
    return requested if requested and requested.waits else None


def may_wait(results: Results, grid: str) -> bool:
    """Whether a grid waits for another one, or its record is damaged, so that it may."""
    try:
        return read_waiting(results, grid) is not None
    except RunDirError:
        return True


def requested_names(results: Results) -> list[str]:
    """The names of all grids that were asked for, in their order."""
    return sorted(file.parent.name for file in results.slurm.glob("*/request.json"))


def waiting_grids(results: Results) -> list[RequestedGrid]:
    """The grids that wait, by name, but for those with a damaged record."""
    waiting: list[RequestedGrid] = []
    for name in requested_names(results):
        with suppress(RunDirError):
            if requested := read_waiting(results, name):
                waiting.append(requested)
    return waiting


def set_damaged_request_aside(results: Results, grid: str) -> None:
    set_damaged_aside(request_file(results, grid), RequestedGrid)


def write_request(results: Results, requested: RequestedGrid) -> None:
    request_file(results, requested.name).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(request_file(results, requested.name), sealed(requested))


def change_waiting(results: Results, grid: str, *, stated: bool = True, **changes: Any) -> None:
    """Change fields in the record of a grid, if it still waits; a damaged record is set aside.

    Args:
        stated: whether it keeps what it has stated.

    Raises:
        LockedError: another command has the grid, and perhaps submits it.
    """
    with grid_lock(results, grid):
        set_damaged_request_aside(results, grid)
        waiting = read_waiting(results, grid)
        if waiting:
            if not stated:
                changes["request"] = replace(waiting.request, stated=[])
            write_request(results, waiting.model_copy(update=changes))


def planned_configs(results: Results, plan: GridPlan, run_ids: Collection[str]) -> dict[str, RunConfig]:
    """The configurations of planned runs by their ids, from the run file as it was when the grid was asked for.

    Raises:
        RunDirError: that is not on record.
        ConfigError: the newest `submit` of the grid, which was refused, had another run file.
    """
    requested = read_request(results, plan.name)
    if requested is None:
        raise RunDirError(f"{request_file(results, plan.name)}: no such file; submit the grid again")
    values = requested.request.file.run_files.get(plan.base, {})
    configs = {run.run_id: resolve(values, run.parameters, plan.base) for run in plan.runs if run.run_id in run_ids}
    for run_id, config in configs.items():
        if config.run_id != run_id:
            command = results.command("submit", plan.name)
            raise ConfigError(f"{plan.base}: gave run {config.run_id}, not {run_id}; `{command}` shows what changed")
    return configs


def find_request(results: Results, name: Path, overrides: dict[str, Any], say: Say) -> GridRequest:
    """The grid of a file, or one that was submitted in this results folder, by its name.

    A submitted grid keeps its file, if that is not the one in `configs/grids`, and its overrides, unless there are
    new ones.
    """
    path = config_path(name, "grids")
    requested = None if path == name else read_request(results, str(name))
    if requested is None:
        return GridRequest(read_grid_file(path), overrides)
    former = requested.request
    is_elsewhere = former.file.path != str(path)
    kept = [] if overrides else override_options(former.overrides)
    if kept or is_elsewhere:
        say(f"grid {name}: {' '.join((former.file.path, *kept))}, as it was submitted")
    return GridRequest(former.file if is_elsewhere else read_grid_file(path), overrides or former.overrides)
