"""All run directories, in whatever state they are; what cannot be read is named, and stops nothing."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.errors import RunDirError, UsageError
from sentiment.records import GridPlan, PlannedRun, Result, RunRecord
from sentiment.run_dir import Results, RunDir
from sentiment.run_state import RunState, judge, read_progress

RANDOM_MARK = "random numbers"


@dataclass(frozen=True)
class CompletedRun:
    """A completed run, with all that it wrote down."""

    grid: str
    run_id: str
    run_dir: RunDir
    parameters: dict[str, Any]
    """What distinguishes it within its grid, by dotted name; empty outside one."""
    config: RunConfig
    record: RunRecord
    result: Result

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved configuration by dotted name, without what is no part of a run's identity."""
        values = dotted(self.config.identity())
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

    @property
    def is_random(self) -> bool:
        """Whether its ELMo vectors come from random numbers: the scores then say nothing about ELMo."""
        elmo = self.result.elmo or self.record.elmo
        return elmo is not None and elmo.random

    @property
    def title(self) -> str:
        """Its id, with a mark if `is_random`."""
        return f"{self.run_id} [{RANDOM_MARK}]" if self.is_random else self.run_id

    @property
    def seconds(self) -> float:
        """Of all attempts from start to end, preparation included; where none has an end, those trained."""
        return sum(attempt_seconds(self.record)) or self.result.seconds_trained


@dataclass(frozen=True)
class Run:
    """A run that a grid plans or a directory shows, in whatever state."""

    grid: str
    run_id: str
    state: RunState
    """As `jobs status` judges it where no queue is asked."""
    damage: str | None
    """What of its directory cannot be read, in a line; None if all can."""
    record: RunRecord | None
    completed: CompletedRun | None
    planned: PlannedRun | None
    """Its row in the grid's plan; None if no plan names it."""

    @property
    def title(self) -> str:
        """Its id, marked if its scores come from random numbers."""
        return self.completed.title if self.completed else self.run_id


@dataclass(frozen=True)
class Grid:
    """The runs of one folder, in the order of their plan, and the question that they answer."""

    name: str
    plan: GridPlan | None
    """None if it is missing or cannot be read."""
    runs: list[Run]
    damage: str | None = None
    """Why the plan cannot be read, in a line."""

    @property
    def completed(self) -> list[CompletedRun]:
        """Its completed runs."""
        return [run.completed for run in self.runs if run.completed]


@dataclass(frozen=True)
class Study:
    """Everything that there is to report."""

    results: Results
    grids: list[Grid]
    problems: list[str]
    """What cannot be read, by name; the report goes on without it."""

    @property
    def runs(self) -> list[Run]:
        """The runs of all grids."""
        return [run for grid in self.grids for run in grid.runs]


def load_study(results: Results, names: list[str]) -> Study:
    """Read the runs of the grids `names`; of all if there are no names.

    Raises:
        UsageError: there is no such grid.
        RunDirError: there is nothing to report.
    """
    found = sorted(path.name for path in results.runs.iterdir() if path.is_dir()) if results.runs.is_dir() else []
    if unknown := [name for name in names if name not in found]:
        raise UsageError(f"--grid {unknown[0]}: {results.runs} has {', '.join(found) or 'no grid'}")
    grids = [_load_grid(results, name) for name in names or found]
    problems = [damage for grid in grids for damage in (grid.damage, *(run.damage for run in grid.runs)) if damage]
    study = Study(results, [grid for grid in grids if grid.runs], problems)
    if not study.grids:
        lines = "".join(f"\n{problem}" for problem in problems)
        raise RunDirError(f"{results.runs}: holds no run to report yet; `make run` trains one{lines}")
    return study


def attempt_seconds(record: RunRecord) -> list[float]:
    """Duration of each attempt whose end is recorded."""
    return [
        (datetime.fromisoformat(attempt.end) - datetime.fromisoformat(attempt.start)).total_seconds()
        for attempt in record.attempts
        if attempt.end
    ]


def _load_grid(results: Results, name: str) -> Grid:
    plan, damage = None, None
    try:
        plan = results.read_grid(name)
    except RunDirError as error:
        damage = _first_line(error)
    planned = {run.run_id: run for run in plan.runs} if plan else {}
    folder = results.runs / name
    others = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in planned)
    runs = [_load_run(results.run_dir(run_id, name), name, planned.get(run_id)) for run_id in [*planned, *others]]
    return Grid(name, plan, runs, damage)


def _load_run(run_dir: RunDir, grid: str, planned: PlannedRun | None) -> Run:
    progress, record, completed = read_progress(run_dir), None, None
    if run_dir.path.is_dir():
        try:
            if not run_dir.config_file.exists():
                raise RunDirError(f"{run_dir.path}: holds no {run_dir.config_file.name}")
            config, record, result = run_dir.read_config(), run_dir.read_record(), run_dir.read_result()
            if result and record is None:
                raise RunDirError(f"{run_dir.path}: is completed, but {run_dir.record_file.name} is missing")
            if result and record:
                parameters = planned.parameters if planned else {}
                completed = CompletedRun(grid, run_dir.path.name, run_dir, parameters, config, record, result)
        except (RunDirError, OSError) as error:
            line = _first_line(error)
            progress = replace(progress, damage=line if str(run_dir.path) in line else f"{run_dir.path}: {line}")
    # Without what else it wrote a result is of no use here.
    progress = replace(progress, completed=completed is not None)
    return Run(grid, run_dir.path.name, judge(progress), progress.damage, record, completed, planned)


def _first_line(error: Exception) -> str:
    """The line that names the file; pydantic's further lines are for those who mend it."""
    return str(error).splitlines()[0]
