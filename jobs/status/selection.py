"""Which grids and runs a command means, those outside of grids too, and the configurations of runs."""

import os
import signal
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from jobs.policy import Queued, judge
from jobs.slurm.grid_jobs import Place
from jobs.status.grid_status import GridStatus, planned_grids, read_plan, read_status, run_status
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Say
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.attempts import live_owner
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import SINGLE, Results, RunDir
from sentiment.runs.state import read_progress


def find_targets(targets: Sequence[str], results: Results) -> list[tuple[GridPlan, set[str]]]:
    """Plans of the grids meant (all, if none is named) and the ids of the runs meant; no ids mean all of the grid.

    Raises:
        UsageError: a name is neither a grid nor a run.
    """
    plans = [read_plan(results, name) for name in planned_grids(results)]
    refuse_unknown(
        targets, {name for plan in plans for name in (plan.name, *(run.run_id for run in plan.runs))}, results
    )
    found: list[tuple[GridPlan, set[str]]] = []
    for plan in plans:
        runs = {run.run_id for run in plan.runs} & {*targets}
        if not targets or plan.name in targets:
            found.append((plan, set()))
        elif runs:
            found.append((plan, runs))
    return found


def refuse_unknown(targets: Sequence[str], known: Collection[str], results: Results) -> None:
    """Check names that a user gave.

    Raises:
        UsageError: one is neither a grid nor a run.
    """
    if unknown := {*targets} - {*known}:
        grids = sorted({folder.name for folder in results.runs.glob("*/")} - {SINGLE})
        here = f"grids here: {', '.join(grids)}" if grids else "there are no grids yet"
        raise UsageError(f"{', '.join(sorted(unknown))}: neither a grid nor a run in {results.runs}; {here}")


def is_meant(grid: str, run_id: str, targets: Sequence[str]) -> bool:
    """Whether names of grids or run ids include a run; without names all runs are meant."""
    return not targets or grid in targets or run_id in targets


def run_configs(
    results: Results, plan: GridPlan, run_ids: Iterable[str], places: Mapping[str, Place]
) -> dict[str, RunConfig]:
    """The configurations of runs, by run id: as last submitted to Slurm, else as begun, else as the plan says.

    Args:
        places: the tasks that runs were last given to.

    Raises:
        ConfigError: a run was never submitted nor begun, and the plan's base file is missing or invalid.
        RunDirError: so it was, and the base file and the plan's parameters have since become another run; or a file
            of the submission or the run cannot be read.
    """
    wanted = list(run_ids)
    found: dict[str, RunConfig] = {}
    for folder, task in {places[run_id] for run_id in wanted if run_id in places}:
        found.update(zip(folder.tasks[task], folder.read_configs(task), strict=True))
    planned = {run.run_id: run.parameters for run in plan.runs}
    for run_id in wanted:
        if run_id not in found:
            run_dir = results.run_dir(run_id, plan.name)
            begun = run_dir.config_file.exists()
            config = run_dir.read_config() if begun else _planned_config(plan, run_id, planned[run_id])
            if config.run_id != run_id:
                raise RunDirError(f"{run_dir.config_file}: is of run {config.run_id}; bring back this run's own file")
            found[run_id] = config
    return {run_id: found[run_id] for run_id in wanted}


def _planned_config(plan: GridPlan, run_id: str, parameters: Mapping[str, object]) -> RunConfig:
    config = resolve(read_yaml(Path(plan.base)), parameters, plan.base)
    if config.run_id != run_id:
        raise RunDirError(
            f"{run_id} of grid {plan.name}: was never begun, and {plan.base} with the run's parameters has become "
            f"another run, {config.run_id}; `python -m jobs submit {plan.name}` says what has changed"
        )
    return config


# What their scores are read by; such runs are no grid, and nothing of this is ever written.
_PLAN = GridPlan(
    name=SINGLE,
    description="runs outside of grids",
    method="grid",
    metric="validation/f1",
    goal="maximize",
    base="",
    parameters={},
    runs=[],
)


def single_runs(results: Results, names: Sequence[str] = ()) -> list[RunDir]:
    """The directories of the runs outside of grids, in the order of their names; of all if none is named."""
    files = sorted((results.runs / SINGLE).glob("*/config.json"))
    return [RunDir(file.parent) for file in files if not names or file.parent.name in names]


def read_all(results: Results, names: Sequence[str]) -> list[GridStatus]:
    """The state of grids, and last of the runs outside of them; of all if none is named.

    Raises:
        UsageError: there is no grid of a name.
        SlurmError: there is a Slurm, but it does not answer.
    """
    grids = [name for name in names if name != SINGLE]
    found = read_status(results, grids) if grids or not names else []
    alone = read_single(results) if not names or SINGLE in names else None
    return [*found, alone] if alone else found


def read_single(results: Results) -> GridStatus | None:
    """The states of the runs outside of grids; None if there are none."""
    rows = []
    for run_dir in single_runs(results):
        progress = read_progress(run_dir, _PLAN)
        rows.append(run_status(SINGLE, run_dir.path.name, progress, judge(progress, Queued())))
    return GridStatus(SINGLE, _PLAN.metric, rows, {}) if rows else None


def cancel_single(run_dir: RunDir, say: Say) -> None:
    """Tell the process that trains a run to save and end, if one does.

    Raises:
        UsageError: the process is on another host, or a task of Slurm.
    """
    name, owner = run_dir.path.name, live_owner(run_dir.lock_file)
    if owner is None:
        say(f"run {name}: no process trains it")
        return
    if owner.job:
        raise UsageError(f"run {name}: is trained by {owner}; `scancel {owner.job}` ends it")
    if owner.host != socket.gethostname():
        raise UsageError(f"run {name}: is trained by {owner}; give this command there")
    os.kill(owner.pid, signal.SIGTERM)
    say(f"run {name}: process {owner.pid} was told to save and end; the command that trains it goes on later")
