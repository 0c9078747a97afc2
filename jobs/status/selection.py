"""Which grids and runs a command means, and the configurations of runs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from jobs.slurm.grid_jobs import Place
from jobs.status.grid_status import planned_grids, read_plan
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.errors import RunDirError, UsageError
from sentiment.records import GridPlan
from sentiment.run_dir import SINGLE, Results


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
