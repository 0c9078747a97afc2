"""The base runs of a grid: a file, or runs of another grid that is finished."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from jobs.grids.sweep_file import BaseRuns, Metric, SweepFile
from sentiment.config_file import read_yaml
from sentiment.errors import DivergedError, UsageError
from sentiment.runs.records import Failure, GridPlan, PlannedRun, Result
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.rungs import read_rungs

# Errors that follow from the configuration alone, so that every attempt meets them. All others may go away without
# changing the run: with more memory or time, on another node, after a file was put back.
_IN_THE_CONFIGURATION = {DivergedError.__name__}


Finished = tuple[PlannedRun, Result]
Failed = tuple[PlannedRun, Failure]


@dataclass(frozen=True)
class Base:
    """A configuration that a grid's parameters are laid over."""

    origin: str
    """The file that it comes from."""
    values: dict[str, Any]
    """By section."""
    file_values: dict[str, Any]
    """Those of the file in the grid's `command`; the same, unless the base is a run of another grid."""
    parameters: dict[str, Any]
    """Of a run of another grid: its parameters there."""


@dataclass(frozen=True)
class Bases:
    """What a grid's parameters are laid over."""

    chosen: list[Base]
    left_out: list[str]
    """A line for each run of the other grid that could not be considered, and why."""


def find_bases(sweep: SweepFile, results: Results) -> Bases:
    """The base run, or the runs of a finished grid that take its place.

    A run whose every attempt fails by its own configuration does not keep its grid unfinished, and is left out.

    Raises:
        ConfigError: the file in the grid's `command` is missing or is no YAML.
        UsageError: the other grid is not planned or not finished, or none of its runs is wanted.
        RunDirError: a run of the other grid cannot be read.
    """
    wanted, file_values = sweep.controller.base, read_yaml(sweep.base_file)
    if wanted is None:
        return Bases([Base(str(sweep.base_file), file_values, file_values, {})], [])
    plan = results.read_grid(wanted.grid)
    if plan is None:
        raise UsageError(
            f"grid {sweep.name!r} starts from runs of grid {wanted.grid!r}, which was never run with these results "
            f"({results.grid_file(wanted.grid)} is missing); run that one first"
        )
    finished, failed = _ended(sweep.name, plan, results)
    left_out = [
        f"{run.run_id} of grid {plan.name}, which fails whenever it is run: {failure.error}: {failure.reason}"
        for run, failure in failed
    ]
    try:
        if wanted.runs == "overfitting":
            chosen = _overfitting(sweep.name, plan, finished)
        else:
            finished, partners = _without_partners(finished, [run for run, _ in failed])
            left_out += [
                f"{run.run_id} of grid {plan.name}: with another seed it fails whenever it is run" for run in partners
            ]
            chosen = _best(sweep.name, plan, finished, sweep.metric, wanted)
    except UsageError as error:
        raise UsageError("\n".join([str(error), *(f"left out: {line}" for line in left_out)])) from None
    run_dirs = (results.run_dir(run.run_id, plan.name) for run in chosen)
    return Bases([_base(run_dir, run, file_values) for run_dir, run in zip(run_dirs, chosen, strict=True)], left_out)


def _base(run_dir: RunDir, run: PlannedRun, file_values: dict[str, Any]) -> Base:
    values = run_dir.read_config().model_dump(mode="json")
    return Base(str(run_dir.config_file), values, file_values, run.parameters)


def _ended(name: str, plan: GridPlan, results: Results) -> tuple[list[Finished], list[Failed]]:
    """Runs with a result, and those that will never have one; those that a search has left behind are neither.

    Raises:
        UsageError: other runs may still get a result.
    """
    finished: list[Finished] = []
    failed: list[Failed] = []
    unfinished = []
    rungs = read_rungs(results, plan)
    for run in plan.runs:
        run_dir = results.run_dir(run.run_id, plan.name)
        if result := run_dir.read_result():
            finished.append((run, result))
        elif (failure := run_dir.read_failure()) and failure.error in _IN_THE_CONFIGURATION:
            failed.append((run, failure))
        elif rungs is None or not rungs.is_decided(run.run_id):
            unfinished.append(run.run_id)
    if unfinished:
        few = ", ".join(unfinished[:3]) + (", …" if len(unfinished) > 3 else "")
        raise UsageError(
            f"grid {name!r} starts from runs of grid {plan.name!r}, which is not finished: {len(unfinished)} of "
            f"{len(plan.runs)} runs have no result yet ({few}); see `python -m jobs status {plan.name}`"
        )
    return finished, failed


def _overfitting(name: str, plan: GridPlan, finished: Iterable[Finished]) -> list[PlannedRun]:
    chosen = [run for run, result in finished if result.overfit.overfits]
    if not chosen:
        raise UsageError(
            f"grid {name!r} starts from runs of grid {plan.name!r} that overfit: none of its {len(plan.runs)} does"
        )
    return chosen


def _without_partners(
    finished: Iterable[Finished], failed: Iterable[PlannedRun]
) -> tuple[list[Finished], list[PlannedRun]]:
    """Separate runs whose configuration failed with another seed: a mean over the other seeds would be biased."""
    unsound = {_apart_from_seed(run) for run in failed}
    kept: list[Finished] = []
    partners = []
    for run, result in finished:
        if _apart_from_seed(run) in unsound:
            partners.append(run)
        else:
            kept.append((run, result))
    return kept, partners


def _best(
    name: str, plan: GridPlan, finished: Iterable[Finished], metric: Metric, wanted: BaseRuns
) -> list[PlannedRun]:
    """The first run of each of the best configurations, which stands for all of its seeds."""
    seeds: dict[str, list[Finished]] = {}
    for run, result in finished:
        seeds.setdefault(_apart_from_seed(run), []).append((run, result))
    sound = [runs for runs in seeds.values() if not any(result.overfit.overfits for _, result in runs)]
    if len(sound) < wanted.count:
        every = {_apart_from_seed(run) for run in plan.runs}
        raise UsageError(
            f"grid {name!r} starts from the best {wanted.count} of grid {plan.name!r} that do not overfit, but only "
            f"{len(sound)} of its {len(every)} configurations do not overfit with any seed"
        )
    by_mean = sorted(sound, key=lambda runs: fmean(metric.of(result.metrics) for _, result in runs), reverse=True)
    return [runs[0][0] for runs in by_mean[: wanted.count]]


def _apart_from_seed(run: PlannedRun) -> str:
    return json.dumps({key: value for key, value in run.parameters.items() if key != "seed"}, sort_keys=True)
