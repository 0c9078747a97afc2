"""What the runs of a grid start from: a file, or runs of another grid that is finished."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from jobs.sweep_file import BaseRuns, Metric, SweepFile
from sentiment.config_file import read_yaml
from sentiment.errors import UsageError
from sentiment.records import GridPlan, PlannedRun, Result
from sentiment.run_dir import Results

Finished = tuple[PlannedRun, Result]


@dataclass(frozen=True)
class Base:
    """A configuration that a grid's parameters are laid over."""

    origin: str
    """The file that it comes from."""
    values: dict[str, Any]
    """By section."""
    parameters: dict[str, Any]
    """What distinguishes a run of another grid from the file that all of its runs start from."""


def find_bases(sweep: SweepFile, results: Results) -> list[Base]:
    """The base run, or the runs of a finished grid that take its place.

    Raises:
        ConfigError: the base run's file is missing or is no YAML.
        UsageError: the other grid is not planned or not finished, or none of its runs is wanted.
    """
    wanted = sweep.controller.base
    if wanted is None:
        return [Base(str(sweep.base_file), read_yaml(sweep.base_file), {})]
    plan = results.read_grid(wanted.grid)
    if plan is None:
        raise UsageError(
            f"grid {sweep.name!r} starts from runs of grid {wanted.grid!r}, which was never run with these results "
            f"({results.grid_file(wanted.grid)} is missing); run that one first"
        )
    finished = _finished(sweep.name, plan, results)
    if wanted.runs == "overfitting":
        chosen = _overfitting(sweep.name, plan, finished)
    else:
        chosen = _best(sweep.name, plan, finished, sweep.metric, wanted)
    bases = []
    for run in chosen:
        run_dir = results.run_dir(run.run_id, plan.name)
        values = run_dir.read_config().model_dump(mode="json")
        bases.append(Base(str(run_dir.config_file), values, run.parameters))
    return bases


def _finished(name: str, plan: GridPlan, results: Results) -> list[Finished]:
    pairs = [(run, results.run_dir(run.run_id, plan.name).read_result()) for run in plan.runs]
    if unfinished := [run.run_id for run, result in pairs if result is None]:
        few = ", ".join(unfinished[:3]) + (", …" if len(unfinished) > 3 else "")
        raise UsageError(
            f"grid {name!r} starts from runs of grid {plan.name!r}, which is not finished: {len(unfinished)} of "
            f"{len(pairs)} runs have no result yet ({few}); see `python -m jobs status {plan.name}`"
        )
    return [(run, result) for run, result in pairs if result is not None]


def _overfitting(name: str, plan: GridPlan, finished: Iterable[Finished]) -> list[PlannedRun]:
    chosen = [run for run, result in finished if result.overfit.overfits]
    if not chosen:
        raise UsageError(
            f"grid {name!r} is about runs of grid {plan.name!r} that overfit: none of its {len(plan.runs)} does"
        )
    return chosen


def _best(
    name: str, plan: GridPlan, finished: Iterable[Finished], metric: Metric, wanted: BaseRuns
) -> list[PlannedRun]:
    """The first run of each of the best configurations, which stands for all of its seeds."""
    seeds: dict[str, list[Finished]] = {}
    for run, result in finished:
        apart_from_seed = {key: value for key, value in run.parameters.items() if key != "seed"}
        seeds.setdefault(json.dumps(apart_from_seed, sort_keys=True), []).append((run, result))
    sound = [runs for runs in seeds.values() if not any(result.overfit.overfits for _, result in runs)]
    if len(sound) < wanted.count:
        raise UsageError(
            f"grid {name!r} starts from the best {wanted.count} of grid {plan.name!r} that do not overfit, but only "
            f"{len(sound)} of its {len(seeds)} configurations do not overfit with any seed"
        )
    by_mean = sorted(sound, key=lambda runs: fmean(metric.of(result.metrics) for _, result in runs), reverse=True)
    return [runs[0][0] for runs in by_mean[: wanted.count]]
