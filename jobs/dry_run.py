"""What a submission would do and take, in at most a page, without doing it."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from jobs.grids.grid import ExpandedGrid
from jobs.grids.requirements import missing_for
from jobs.grids.reuse import completed_elsewhere
from jobs.plan import LaterRungs, WantedRun, later_rungs, plan_jobs, with_pauses
from jobs.policy import submit
from jobs.slurm.grid_jobs import read_jobs
from jobs.slurm.resources import read_cluster
from jobs.slurm.sbatch import describe, directives
from jobs.slurm.submissions import Submission
from jobs.status import RunStatus, describe_held, describe_unknown, read_grid_status
from sentiment.config import RunConfig
from sentiment.config_file import yaml_text
from sentiment.errors import RunDirError
from sentiment.runs.code_version import running_code
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.rungs import Rungs, read_rungs

_HOUR = 3600.0
_MOST_VALUES = 8
_MOST_LINES = 8
"""Of what varies, and of what is missing."""


def show_plan(results: Results, grid: ExpandedGrid, cluster: Path, verbose: bool = False) -> Iterator[str]:
    """Lines to print. Nothing is written but the checksum of a table of tweets; no Slurm and no tweets are needed.

    Args:
        verbose: also every run, and what sbatch would be told.

    Raises:
        ConfigError: the cluster's file is wrong.
        SentimentError: tweets or models that are here are damaged.
    """
    (jobs,) = read_jobs(results, [grid.plan.name])
    rows = read_grid_status(results, grid.plan, jobs).rows
    elsewhere = completed_elsewhere(results, grid)
    missing, later = _wanted(results, grid, rows, {*elsewhere})
    yield f"grid {grid.plan.name}: {grid.plan.description}"
    taken = f"; {len(elsewhere)} are completed in other grids and would be taken over" if elsewhere else ""
    states = Counter(row.state for row in rows)
    told = ", ".join(f"{number:,} {state}" for state, number in states.most_common())
    yield f"{len(missing):,} of {len(rows):,} runs would be submitted ({told}){taken}"
    yield from describe_held(grid.plan.name, rows)
    yield from describe_unknown(rows)
    yield from _shortened(_varied(grid.plan), "parameters")
    if verbose:
        parameters = {run.run_id: run.parameters for run in grid.plan.runs}
        yield from (f"  {row.run_id} {row.state} {_listed(parameters.get(row.run_id, {}))}" for row in rows)
    if missing:
        yield f"the first by itself: {shlex.join(grid.plan.command(grid.plan.runs[0]))}"
    lacking = missing_for(grid.configs, results) if missing else []
    if lacking:
        yield "not here yet, so that `submit` would refuse:"
        yield from _shortened(lacking, "things")
    if rungs := read_rungs(results, grid.plan):
        yield from _show_rungs(rungs, grid.configs)
    if missing:
        yield f"hours: {_hours([run.config for run in missing], results)}"
        for job in plan_jobs(missing, results, read_cluster(cluster), grid.plan.name, jobs, later):
            yield from _show_job(results, grid.plan.name, job, verbose)


def _wanted(
    results: Results, grid: ExpandedGrid, rows: Sequence[RunStatus], elsewhere: set[str]
) -> tuple[list[WantedRun], LaterRungs | None]:
    """The runs that would be submitted, and what follows them."""
    by_id = {row.run_id: row for row in rows}
    every = [WantedRun(by_id[config.run_id], config, running_code().id) for config in grid.configs]
    missing = [run for run in every if submit(run.row) == "submits" and run.row.run_id not in elsewhere]
    rungs = read_rungs(results, grid.plan)
    if rungs is None:
        return missing, None
    missing = with_pauses([run for run in missing if not rungs.is_decided(run.row.run_id)], rungs)
    return missing, later_rungs(rungs, every)


def _varied(plan: GridPlan) -> list[str]:
    """The values of each parameter that differs between runs, and what all runs have in common."""
    values: dict[str, dict[str, None]] = defaultdict(dict)
    for run in plan.runs:
        for name, value in run.parameters.items():
            values[name][_text(value)] = None
    common = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    lines = []
    for name, found in values.items():
        if name not in common:
            few, more = list(found)[:_MOST_VALUES], len(found) - _MOST_VALUES
            lines.append(f"  {name}: {', '.join(few)}" + (f" and {more:,} more" if more > 0 else ""))
    return [*lines, f"  all runs: {', '.join([plan.base, *(f'{name}={value}' for name, value in common.items())])}"]


def _shortened(lines: Sequence[str], what: str) -> Iterator[str]:
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"  and {len(lines) - _MOST_LINES:,} more {what}"


def _listed(parameters: dict[str, Any]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in parameters.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else yaml_text(value)


def _show_rungs(rungs: Rungs, configs: Sequence[RunConfig]) -> Iterator[str]:
    """What all rungs take at most: trials that end by themselves take less."""
    longest = max(config.training.epochs for config in configs)
    told, spent, before = [], 0, 0
    for rung in range(rungs.last + 1):
        to_epoch, trials = rungs.epochs(rung) or longest, rungs.size(rung)
        told.append(f"{trials:,} to epoch {to_epoch}" + (" (decided)" if rung < rungs.current else ""))
        spent, before = spent + trials * (to_epoch - before), to_epoch
    full = sum(config.training.epochs for config in configs)
    yield f"rungs: trials {', '.join(told)}; {spent:,} of the {full:,} epochs of all trials to their end"


def _show_job(results: Results, grid: str, job: Submission, verbose: bool) -> Iterator[str]:
    rung = "" if job.rung is None else f" of rung {job.rung}"
    number = len(job.tasks)
    yield f"{job.kind}{rung}: {number:,} task{'s' if number > 1 else ''}, {job.resources.describe()}"
    if verbose:
        yield from (f"  {line}" for line in directives(describe(results, grid, job, None)))


def _hours(configs: Sequence[RunConfig], results: Results) -> str:
    """By the mean of completed runs of the same size on the same tweets; on a GPU, if there are any such."""
    known: dict[object, list[tuple[str, float]]] = defaultdict(list)
    for config, device, seconds in _completed(results):
        known[_likeness(config)].append((device, seconds))
    found, devices = [], set[str]()
    for config in configs:
        like = known.get(_likeness(config), [])
        like = [one for one in like if one[0] != "cpu"] or like
        if like:
            found.append(fmean(seconds for _, seconds in like))
            devices.update(device for device, _ in like)
    if not found:
        return "not known, since no run like these is completed here"
    others = f"; of the other {len(configs) - len(found):,} runs not known" if len(found) < len(configs) else ""
    runs = f"{len(found):,} run{'s' if len(found) > 1 else ''}"
    told = f"by completed ones like them on {', '.join(sorted(devices))}"
    return f"about {sum(found) / _HOUR:,.2g} for {runs}, {told}{others}"


def _completed(results: Results) -> Iterable[tuple[RunConfig, str, float]]:
    """Configuration, device and seconds of all completed runs of all grids; those that cannot be read are left out."""
    for file in results.runs.glob("*/*/result.json"):
        run_dir = RunDir(file.parent)
        try:
            config, record, result = run_dir.read_config(), run_dir.read_record(), run_dir.read_result()
        except RunDirError:
            continue
        if record and result and record.attempts:
            yield config, record.attempts[-1].device, result.seconds_trained


def _likeness(config: RunConfig) -> object:
    """What a run's time depends on most."""
    model, data = config.model, config.data
    size = model.kind, model.cell, model.hidden_size, model.layers, model.bidirectional, model.pooling
    return *size, config.training.batch_size, data.source, data.max_rows, config.frozen.model if config.frozen else None
