"""Previews a submission on at most one page: its runs, jobs, resources and estimated hours."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean

from jobs.grid_jobs import read_jobs
from jobs.grids.grid import ExpandedGrid, completed_elsewhere
from jobs.job_kinds import class_counts, missing_for
from jobs.launch.plan import Launch, RunRequest, plan_slurm_jobs, request_runs, runs_at_once
from jobs.slurm import directives
from jobs.slurm.resources import read_cluster
from jobs.status.grid_state import RunStatus, describe_held, describe_unknown, read_grid_state
from jobs.submissions import Submission, new_submission
from sentiment.config import PARTS, RunConfig
from sentiment.console import plural
from sentiment.errors import RunDirError
from sentiment.runs.code_version import running_code
from sentiment.runs.power import power_of_grid, power_of_hypotheses
from sentiment.runs.records import GridPlan, Result
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.rungs import Rungs

_MAX_LISTED = 8
"""Largest number of values, parameters or missing inputs that are listed."""


def show_plan(
    results: Results, grid: ExpandedGrid, cluster: Path | None, at_once: int | None = None, verbose: bool = False
) -> Iterator[str]:
    """Yield the lines to print.

    Nothing is written but the cached checksum of a table of tweets; neither Slurm nor the tweets are needed.

    Args:
        cluster: the cluster file; None for a grid that is to run on this machine.
        at_once: the number of runs at a time on this machine; None means `runs_at_once`.
    """
    plan = grid.plan
    (jobs,) = read_jobs(results, [plan.name])
    state = read_grid_state(results, plan, jobs)
    rows = state.rows
    completed_in_other_grids = completed_elsewhere(results, grid)
    configs = {config.run_id: config for config in grid.configs}
    rows_to_submit = [row for row in state.to_submit if row.run_id not in completed_in_other_grids]
    to_submit = request_runs(rows_to_submit, configs, state.rungs, dict.fromkeys(configs, running_code().id))
    yield f"grid {plan.name}: {plan.description}"
    states = ", ".join(f"{number:,} {state}" for state, number in Counter(row.state for row in rows).most_common())
    line = f"{len(to_submit):,} of {len(rows):,} runs would be submitted ({states})"
    if completed_in_other_grids:
        line += f"; {len(completed_in_other_grids)} are completed in other grids and would be copied"
    yield line
    yield from describe_held(results, plan.name, rows)
    yield from describe_unknown(rows)
    yield from _data(grid, results)
    yield from _varied(plan)
    if verbose:
        yield from _runs(plan, rows)
    if not to_submit:
        return
    missing = missing_for(grid.configs, results)
    if missing:
        yield "missing inputs (`submit` would end with an error):"
        yield from _truncate(missing, "missing inputs")
    if state.rungs:
        yield _describe_rungs(state.rungs, grid.configs)
    yield from _power(grid, results)
    launch = Launch(to_submit, running_code().id)
    planned = plan_slurm_jobs(launch, plan.name, results, read_cluster(cluster), jobs) if cluster else []
    yield f"estimated hours: {_hours(to_submit, state.rungs, results) or _limits(plan, planned, results)}"
    if cluster is None:
        number = min(runs_at_once([request.config for request in to_submit], at_once), len(to_submit))
        yield f"on this machine: {plural(len(to_submit), 'run')}, at most {number} at a time"
    for job in planned:
        yield _describe_job(job)
        if verbose:
            for directive in directives(new_submission(results, plan.name, job, None)):
                yield f"  {directive}"


def _data(grid: ExpandedGrid, results: Results) -> Iterator[str]:
    """Yield a line for each source of tweets, with their number in each class where they are prepared."""
    for data in {config.data.source: config.data for config in grid.configs}.values():
        counts = class_counts(data, PARTS, results)
        if counts is None:
            yield f"tweets: {data.source}, not prepared yet, of the classes {', '.join(data.label_names)}"
        else:
            numbers = [f"{number:,} {name}" for name, number in zip(data.label_names, counts, strict=True)]
            yield f"tweets: {data.source}, {sum(counts):,} ({', '.join(numbers)})"


def _power(grid: ExpandedGrid, results: Results) -> Iterator[str]:
    """Yield which differences and hypotheses the grid is likely to show."""
    seeds = {config.seed for config in grid.configs}
    if len(seeds) == 1 < len(grid.configs) and grid.plan.method == "grid" and not grid.plan.halving:
        yield (
            f"seed {min(seeds)} only: no difference can be told from that between two seeds; --set seed=[1,2,3] trains "
            "each configuration three times"
        )
    data = grid.configs[0].data
    sizes = class_counts(data, PARTS if data.folds else ("test",), results)
    if power := power_of_grid(grid.configs, grid.plan.metric, sizes):
        yield power
    yield from power_of_hypotheses(grid.plan, grid.configs, sizes)


def _describe_job(job: Submission) -> str:
    rung = "" if job.rung is None else f" of rung {job.rung}"
    tasks = "1 task" if len(job.tasks) == 1 else f"{len(job.tasks):,} tasks"
    return f"{job.kind}{rung}: {tasks}, {job.resources.describe()}"


def _runs(plan: GridPlan, rows: Sequence[RunStatus]) -> Iterator[str]:
    for run, row in zip(plan.runs, rows, strict=True):
        yield f"  {row.run_id} {row.state} {' '.join(run.overrides()[1::2])}"


def _varied(plan: GridPlan) -> Iterator[str]:
    """Yield a line for each parameter that varies, one for what only some runs set, and one for what all share."""
    lines = []
    shared = [plan.base]
    set_by_some = []
    for name, values in plan.parameter_values.items():
        listed = ", ".join(values[:_MAX_LISTED])
        if len(values) == 1 and all(name in run.parameters for run in plan.runs):
            shared.append(f"{name}={listed}")
        elif len(values) == 1:
            set_by_some.append(f"{name}={listed}")
        elif len(values) <= _MAX_LISTED:
            lines.append(f"  {name}: {listed}")
        else:
            lines.append(f"  {name}: {listed} and {len(values) - _MAX_LISTED:,} more")
    yield from _truncate(lines, "parameters")
    if set_by_some:
        yield f"  some runs: {', '.join(set_by_some)}"
    yield f"  all runs: {', '.join(shared)}"


def _truncate(lines: Sequence[str], noun: str) -> Iterator[str]:
    yield from lines[:_MAX_LISTED]
    if len(lines) > _MAX_LISTED:
        yield f"  and {len(lines) - _MAX_LISTED:,} more {noun}"


def _describe_rungs(rungs: Rungs, configs: Sequence[RunConfig]) -> str:
    max_epochs = max(config.training.epochs for config in configs)
    parts = [
        f"{rungs.size(rung):,} trials to epoch {rungs.epochs(rung) or max_epochs}" for rung in range(rungs.last + 1)
    ]
    return f"rungs (at most): {', '.join(parts)}; rungs ranked so far: {rungs.current}"


def _hours(requests: Sequence[RunRequest], rungs: Rungs | None, results: Results) -> str:
    """At most how many hours the requested runs train, with the later rungs of their search, if no run stops early.

    Returns:
        An empty text if that is not known.
    """
    seconds_per_epoch = _seconds_per_epoch(results)
    known = [request for request in requests if _cost_key(request.config) in seconds_per_epoch]
    if not known:
        return ""
    rates = [seconds_per_epoch[_cost_key(request.config)] for request in known]
    last_epochs = [request.epochs or request.config.training.epochs for request in known]
    epochs = [last - (request.row.epoch or 0) for last, request in zip(last_epochs, known, strict=True)]
    seconds = sum(rate * number for rate, number in zip(rates, epochs, strict=True))
    if rungs:
        max_epochs = max(request.config.training.epochs for request in requests)
        seconds += fmean(rates) * _later_epochs(rungs, max_epochs) * len(known) / len(requests)
    return (
        f"at most {seconds / 3600:,.2g} for {len(known):,} of {len(requests):,} runs, from completed runs with the "
        "same model size, data and batch size"
    )


def _limits(plan: GridPlan, jobs: Sequence[Submission], results: Results) -> str:
    """The time limits of all tasks, and a command that trains a run of the grid, from which the hours are known."""
    first = shlex.join(["sentiment", "train", plan.base, *plan.runs[0].overrides(), *results.options])
    minutes = sum(len(job.tasks) * job.resources.time_minutes for job in jobs if job.job_kind.trains_runs)
    limits = f"at most {minutes / 60:,.1f} until the time limits of all tasks; " if jobs else ""
    return f"{limits}no comparable run is completed here. Train one first: {first}"


def _seconds_per_epoch(results: Results) -> dict[object, float]:
    """The mean of the completed runs, by `_cost_key`."""
    seconds: dict[object, list[float]] = defaultdict(list)
    for file in results.runs.glob("*/*/result.json"):
        run_dir = RunDir(file.parent)
        with suppress(RunDirError):
            if result := run_dir.read(Result):
                seconds[_cost_key(run_dir.read_config())].append(result.seconds_trained / result.epochs)
    return {key: fmean(values) for key, values in seconds.items()}


def _later_epochs(rungs: Rungs, max_epochs: int) -> int:
    """The largest number of epochs that the rungs after the current one train."""
    total = 0
    for rung in rungs.later:
        total += rungs.size(rung) * ((rungs.epochs(rung) or max_epochs) - (rungs.epochs(rung - 1) or 0))
    return total


def _cost_key(config: RunConfig) -> tuple[str, int, str, int | None]:
    """Return what an epoch's cost depends on most: the model and its size, the batch size, and the data."""
    name, _, _seed = config.title.rpartition("-s")
    return name, config.training.batch_size, config.data.source, config.data.train_rows
