"""What submitting a grid would do: its runs, what they differ in, what they cost, and what Slurm would be asked."""

import shlex
import shutil
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from jobs.code_choice import WantedRun
from jobs.grids.grid import ExpandedGrid
from jobs.grids.requirements import missing_for, training_tweets
from jobs.grids.reuse import completed_elsewhere
from jobs.later_rungs import LaterRungs, later_rungs, with_pauses
from jobs.planning.costs import Basis, estimate, read_completed, show_search, show_vectors, told_time
from jobs.policy import submit
from jobs.slurm.chain import describe
from jobs.slurm.grid_jobs import read_jobs
from jobs.slurm.launcher import plan_jobs
from jobs.slurm.sbatch import directives
from jobs.status.grid_status import RunStatus, describe_held, describe_unknown, read_grid_status
from sentiment.config import RunConfig
from sentiment.config_file import yaml_text
from sentiment.runs.code_version import running_code
from sentiment.runs.records import PlannedRun
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import read_rungs

_GIGABYTE = 1e9
_WORTH_A_RANGE = 1.1
_MEASURED: Sequence[Basis] = ("runs of the same size", "runs on the same tweets", "runs on other tweets")
_RANGES: dict[Basis, str] = {
    "runs on the same tweets": "the range: sizes not trained here take as long as the others, or in proportion to "
    "their work",
    "runs on other tweets": "the range: in proportion to the number of training tweets, for as many epochs or for all",
}


def show_plan(results: Results, grid: ExpandedGrid, cluster: Path) -> Iterator[str]:
    """Lines to print. Nothing is written but the checksum of a table of tweets; no Slurm and no tweets are needed.

    Raises:
        ConfigError: the cluster's file is wrong.
        SentimentError: tweets or ELMo's vectors that are here are damaged.
    """
    (jobs,) = read_jobs(results, [grid.plan.name])
    rows = read_grid_status(results, grid.plan, jobs).rows
    elsewhere = completed_elsewhere(results, grid)
    missing, later = _wanted(results, grid, rows, elsewhere)
    yield f"grid {grid.plan.name}: {grid.plan.description}"
    yield from _show_runs(grid, rows)
    if elsewhere:
        yield f"{len(elsewhere)} of {len(rows)} runs are completed in other grids and would be taken over"
    yield from describe_held(grid.plan.name, rows)
    yield from describe_unknown(rows)
    yield f"{len(missing)} of {len(rows)} runs would be submitted"
    yield from show_search(results, grid)
    if missing:
        configs = [run.config for run in missing]
        if not grid.plan.halving:
            yield from _show_costs(configs, results)
        lacking = missing_for(grid.configs, results)
        if lacking:
            yield "not here yet, so that `submit` would refuse, and their size and preparation are not counted:"
            yield from (f"  {line}" for line in lacking)
        else:
            yield from show_vectors(grid, configs, results)
        planned = plan_jobs(missing, results, cluster, grid.plan.name, jobs, later)
        for job in planned:
            name = job.kind if job.rung is None else f"{job.kind} of rung {job.rung}"
            yield f"\n{name}: {len(job.tasks)} task{'s' if len(job.tasks) > 1 else ''}, {job.resources.describe()}"
            yield from (f"  {line}" for line in directives(describe(results, grid.plan.name, job, None)))


def _wanted(
    results: Results, grid: ExpandedGrid, rows: Sequence[RunStatus], elsewhere: Container[str]
) -> tuple[list[WantedRun], LaterRungs | None]:
    """The runs that would be submitted, and what follows them.

    Args:
        elsewhere: ids of runs that would be taken over from other grids.
    """
    every = [WantedRun(row, config, running_code().id) for row, config in _paired(grid, rows)]
    missing = [run for run in every if submit(run.row) == "submits" and run.row.run_id not in elsewhere]
    rungs = read_rungs(results, grid.plan)
    if rungs is None:
        return missing, None
    missing = with_pauses([run for run in missing if not rungs.is_decided(run.row.run_id)], rungs)
    return missing, later_rungs(rungs, every)


def _paired(grid: ExpandedGrid, rows: Sequence[RunStatus]) -> Iterator[tuple[RunStatus, RunConfig]]:
    by_id = {row.run_id: row for row in rows}
    return ((by_id[run.run_id], config) for run, config in zip(grid.plan.runs, grid.configs, strict=True))


def _show_runs(grid: ExpandedGrid, rows: Sequence[RunStatus]) -> Iterator[str]:
    """What all runs have in common, a line for each with what it differs in, and how the first is run by itself."""
    runs = grid.plan.runs
    names = list(dict.fromkeys(name for run in runs for name in run.parameters))
    values = {name: [_text(run, name) for run in runs] for name in names}
    common = [name for name in names if len(set(values[name])) == 1 and len(runs) > 1]
    different = [name for name in names if name not in common]
    shared = "".join(f", {name}={values[name][0]}" for name in common)
    yield f"all runs: {grid.plan.base}{shared}"
    states = {row.run_id: row.state for row in rows}
    table = [["", "run", "state", *different]]
    for position, run in enumerate(runs):
        differences = [values[name][position] for name in different]
        table.append([str(run.index), run.run_id, states[run.run_id], *differences])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    yield f"the first by itself: {shlex.join(grid.plan.command(runs[0]))}"


def _show_costs(configs: Sequence[RunConfig], results: Results) -> Iterator[str]:
    costs = estimate(configs, read_completed(results), training_tweets(results))
    free = f"{shutil.disk_usage(_existing(results.root)).free / _GIGABYTE:,.0f} GB of disk are free"
    if costs.bases:
        kind = "" if "cpu" in costs.devices else "GPU-"
        yield f"costs: about {told_time(costs.seconds, kind)}{_range(costs.least, costs.most, kind)}"
        yield f"  on disk {costs.bytes / _GIGABYTE:.2g} GB; {free}"
        told = [f"{what} for {costs.bases[what]} of {len(configs)} runs" for what in _MEASURED if costs.bases[what]]
        yield f"  by completed runs on {', '.join(costs.devices)}: {', '.join(told)}"
        yield from (f"  {line}" for what, line in _RANGES.items() if costs.bases[what])
    if unknown := len(configs) - costs.bases.total():
        yield f"costs of {unknown} of {len(configs)} runs: unknown, {_why_unknown(configs, results)}; {free}"


def _why_unknown(configs: Sequence[RunConfig], results: Results) -> str:
    tweets = training_tweets(results)
    if any(tweets(config) is None for config in configs):
        return "since the number of their tweets can't be known before they are here and prepared"
    return "since no run like these is completed here"


def _range(least: float, most: float, kind: str) -> str:
    return f" (from {told_time(least, kind)} to {told_time(most, kind)})" if most > least * _WORTH_A_RANGE else ""


def _text(run: PlannedRun, name: str) -> str:
    value = run.parameters.get(name, "-")
    return value if isinstance(value, str) else yaml_text(value)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above that exists."""
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.exists())
