"""All run directories, whatever state they are in: planned, running, failed, broken, completed."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.errors import RunDirError, UsageError
from sentiment.records import GridPlan, PlannedRun, Result, RunRecord
from sentiment.run_dir import Results, RunDir

State = Literal["completed", "running", "stopped", "interrupted", "failed", "missing", "broken"]

# An owner touches its lock every 10 s; clocks of a cluster's hosts may differ by a little more than nothing.
_ALIVE_SECONDS = 300.0

RANDOM_MARK = "random numbers"


@dataclass(frozen=True)
class Finished:
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
    state: State
    detail: str
    """Why it failed, stopped or cannot be read; empty otherwise."""
    record: RunRecord | None
    finished: Finished | None
    parameters: dict[str, Any]

    @property
    def title(self) -> str:
        """Its id, with a mark if its scores come from random numbers."""
        return self.finished.title if self.finished else self.run_id


@dataclass(frozen=True)
class Grid:
    """The runs of one folder, in the order of their plan, and the question that they answer."""

    name: str
    plan: GridPlan | None
    runs: list[Run]

    @property
    def finished(self) -> list[Finished]:
        """Its completed runs."""
        return [run.finished for run in self.runs if run.finished]


@dataclass(frozen=True)
class Study:
    """Everything that there is to report."""

    results: Results
    grids: list[Grid]
    problems: list[str] = field(default_factory=list)
    """What cannot be read, by name; the report goes on without it."""

    @property
    def runs(self) -> list[Run]:
        """Of all grids."""
        return [run for grid in self.grids for run in grid.runs]


def load_study(results: Results, names: list[str]) -> Study:
    """Read the runs of the grids `names`, or of all.

    Raises:
        UsageError: there is no such grid.
        RunDirError: there is nothing to report.
    """
    found = sorted(path.name for path in results.runs.iterdir() if path.is_dir()) if results.runs.is_dir() else []
    if unknown := [name for name in names if name not in found]:
        raise UsageError(f"--grid {unknown[0]}: {results.runs} has {', '.join(found) or 'no grid'}")
    study = Study(results, [])
    for name in names or found:
        grid = _load_grid(results, name, study.problems)
        if grid.runs:
            study.grids.append(grid)
    if not study.grids:
        problems = "".join(f"\n{problem}" for problem in study.problems)
        raise RunDirError(f"{results.runs}: holds no run to report yet; `make run` trains one{problems}")
    return study


def attempt_seconds(record: RunRecord) -> list[float]:
    """Duration of each attempt that wrote down its end."""
    from datetime import datetime

    return [
        (datetime.fromisoformat(attempt.end) - datetime.fromisoformat(attempt.start)).total_seconds()
        for attempt in record.attempts
        if attempt.end
    ]


def _load_grid(results: Results, name: str, problems: list[str]) -> Grid:
    try:
        plan = results.read_grid(name)
    except RunDirError as error:
        problems.append(str(error))
        plan = None
    planned = {run.run_id: run for run in plan.runs} if plan else {}
    folder = results.runs / name
    others = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in planned)
    runs = [_load_run(results.run_dir(run_id, name), name, planned.get(run_id)) for run_id in [*planned, *others]]
    problems += [run.detail for run in runs if run.state == "broken"]
    return Grid(name, plan, runs)


def _load_run(run_dir: RunDir, grid: str, planned: PlannedRun | None) -> Run:
    run_id = run_dir.path.name
    parameters = planned.parameters if planned else {}
    if not run_dir.path.is_dir():
        return Run(grid, run_id, "missing", "has not begun", None, None, parameters)
    record = None
    try:
        if not run_dir.config_file.exists():
            raise RunDirError(f"{run_dir.path}: holds no {run_dir.config_file.name}")
        config, record, result = run_dir.read_config(), run_dir.read_record(), run_dir.read_result()
        if result and record is None:
            raise RunDirError(f"{run_dir.path}: is completed, but {run_dir.record_file.name} is missing")
        if result and record:
            finished = Finished(grid, run_id, run_dir, parameters, config, record, result)
            return Run(grid, run_id, "completed", "", record, finished, parameters)
        state, detail = _state(run_dir, record)
    except (RunDirError, OSError) as error:
        return Run(grid, run_id, "broken", _one_line(error, run_dir.path), record, None, parameters)
    return Run(grid, run_id, state, detail, record, None, parameters)


def _state(run_dir: RunDir, record: RunRecord | None) -> tuple[State, str]:
    """Of a run without result, and why it is in that state."""
    if _is_alive(run_dir.lock_file):
        return "running", ""
    if failure := run_dir.read_failure():
        return "failed", f"{failure.error}: {failure.reason}"
    attempt = record.attempts[-1] if record and record.attempts else None
    if attempt is None:
        return "interrupted", "died before its first step"
    if attempt.reason == "failed":
        return "failed", attempt.detail or "without a message"
    if attempt.reason in ("signal", "deadline"):
        return "stopped", f"{attempt.reason}: {attempt.detail}" if attempt.detail else attempt.reason
    return "interrupted", f"its process on {attempt.host} died without a word"


def _is_alive(lock: Path) -> bool:
    try:
        found = lock.stat()
    except OSError:
        return False
    return found.st_size > 0 and time.time() - found.st_mtime < _ALIVE_SECONDS


def _one_line(error: Exception, path: Path) -> str:
    """The message's first line, which names the file; pydantic's further lines are for those who mend it."""
    line = str(error).splitlines()[0]
    return line if str(path) in line else f"{path}: {line}"
