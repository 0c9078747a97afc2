"""Previews a submission on at most one page: its runs, tweets, what they can show, jobs and resources."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.grid_jobs import read_jobs
from jobs.grids.grid import ExpandedGrid, completed_elsewhere
from jobs.job_kinds import class_counts, missing_for
from jobs.launch.plan import Launch, group_runs, plan_slurm_jobs, runs_at_once
from jobs.slurm import directives
from jobs.slurm.resources import read_cluster
from jobs.status.grid_state import RunStatus, describe_stuck, read_grid_state
from jobs.submissions import Submission, new_submission
from sentiment.config import PARTS, RunConfig
from sentiment.console import plural
from sentiment.runs.code_version import running_code, running_id
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.statistics.power import power_of_grid, power_of_hypotheses

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
    jobs = read_jobs(results, plan.name)
    state = read_grid_state(results, plan, jobs)
    copied = completed_elsewhere(results, grid, running_code().training)
    configs = {config.run_id: config for config in grid.configs}
    rows = [row for row in state.to_submit if row.run_id not in copied]
    code = running_id()
    launch = Launch(group_runs(rows, configs, state.search, dict.fromkeys(configs, code), jobs), code)
    yield f"grid {plan.name}: {plan.description}"
    states = ", ".join(f"{number:,} {name}" for name, number in Counter(row.state for row in state.rows).most_common())
    line = f"{len(rows):,} of {len(state.rows):,} runs would be submitted ({states})"
    yield f"{line}; {len(copied)} are completed in other grids and would be copied" if copied else line
    yield from describe_stuck(results, plan.name, state.rows)
    yield from _data(grid, results)
    yield from _varied(plan)
    if verbose:
        yield from _runs(plan, state.rows)
    if not rows:
        return
    missing = missing_for(grid.configs, results)
    if missing:
        yield "missing inputs, needed before `submit`:"
        yield from _truncate(missing, "missing inputs")
    if state.search:
        yield state.search.describe(max(config.training.epochs for config in grid.configs))
    if cluster is None:
        number = min(runs_at_once(launch.configs, at_once), len(rows))
        yield f"on this machine: {plural(len(rows), 'run')}, at most {number} at a time"
        return
    planned = plan_slurm_jobs(launch, plan.name, results, read_cluster(cluster), jobs)
    yield from _describe_jobs(planned, results, plan.name, verbose)


def _describe_jobs(planned: Sequence[Submission], results: Results, grid: str, verbose: bool) -> Iterator[str]:
    minutes = sum(len(job.tasks) * job.resources.time_minutes for job in planned if job.job_kind.trains_runs)
    yield f"at most {minutes / 60:,.1f} hours of training until the time limits of all tasks"
    for job in planned:
        yield f"{job.kind}: {plural(len(job.tasks), 'task')}{job.goal}, {job.resources.describe()}"
        if verbose:
            for directive in directives(new_submission(results, grid, job, None)):
                yield f"  {directive}"


def _data(grid: ExpandedGrid, results: Results) -> Iterator[str]:
    """Yield for each source of tweets their number in each class, where they are prepared, and what runs on it show."""
    by_source: dict[str, list[RunConfig]] = defaultdict(list)
    for config in grid.configs:
        by_source[config.data.source].append(config)
    for source, configs in by_source.items():
        data = configs[0].data
        counts = class_counts(data, PARTS, results)
        if counts is None:
            yield f"tweets: {source}, not prepared yet, of the classes {', '.join(data.label_names)}"
        else:
            numbers = [f"{number:,} {name}" for name, number in zip(data.label_names, counts, strict=True)]
            yield f"tweets: {source}, {sum(counts):,} ({', '.join(numbers)})"
        yield from _power(grid.plan, configs, results)


def _power(plan: GridPlan, configs: Sequence[RunConfig], results: Results) -> Iterator[str]:
    """Yield which differences and hypotheses a grid's runs on the same tweets are likely to show."""
    seeds = {config.seed for config in configs}
    data = configs[0].data
    if len(seeds) == 1 < len(configs) and plan.method == "grid" and not (plan.halving or data.folds):
        yield (
            f"seed {min(seeds)} only: no difference can be told from that between two seeds; --set seed=[1,2,3] trains "
            "each configuration three times"
        )
    sizes = class_counts(data, PARTS if data.folds else ("test",), results)
    if power := power_of_grid(configs, plan.metric, sizes):
        yield power
    yield from power_of_hypotheses(plan, configs, sizes)


def _runs(plan: GridPlan, rows: Sequence[RunStatus]) -> Iterator[str]:
    for run, row in zip(plan.runs, rows, strict=True):
        yield f"  {row.run_id} {row.state} {' '.join(run.overrides()[1::2])}"


def _varied(plan: GridPlan) -> Iterator[str]:
    """Yield a line for each parameter that varies or that only some runs set, and one for what all share."""
    lines = []
    shared = [plan.base]
    for name, values in plan.parameter_values.items():
        listed = ", ".join(values[:_MAX_LISTED])
        if len(values) == 1 and all(name in run.parameters for run in plan.runs):
            shared.append(f"{name}={listed}")
        elif len(values) == 1:
            lines.append(f"  {name}: {listed} in some runs")
        elif len(values) <= _MAX_LISTED:
            lines.append(f"  {name}: {listed}")
        else:
            lines.append(f"  {name}: {listed} and {len(values) - _MAX_LISTED:,} more")
    yield from _truncate(lines, "parameters")
    yield f"  all runs: {', '.join(shared)}"


def _truncate(lines: Sequence[str], noun: str) -> Iterator[str]:
    yield from lines[:_MAX_LISTED]
    if len(lines) > _MAX_LISTED:
        yield f"  and {len(lines) - _MAX_LISTED:,} more {noun}"
