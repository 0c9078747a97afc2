"""What a submission would do and take, in at most a page, without doing it."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from jobs.grid_jobs import read_jobs
from jobs.grids.grid import ExpandedGrid, completed_elsewhere
from jobs.plan import WantedRun, plan_jobs, ranked_next, with_pauses
from jobs.policy import submit
from jobs.services import missing_for
from jobs.slurm.resources import read_cluster
from jobs.slurm.sbatch import directives
from jobs.status import describe_held, describe_unknown, read_grid_status
from jobs.submissions import new_submission
from sentiment.config import RunConfig
from sentiment.config_file import yaml_text
from sentiment.errors import RunDirError
from sentiment.runs.code_version import running_code
from sentiment.runs.records import GridPlan, Result
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import Rungs, read_rungs

_MOST = 8
"""Of the values and parameters that vary, and of what is missing."""


def show_plan(results: Results, grid: ExpandedGrid, cluster: Path, verbose: bool = False) -> Iterator[str]:
    """Lines to print. Nothing is written but the checksum of a table of tweets; no queue and no tweets are needed."""
    (jobs,) = read_jobs(results, [grid.plan.name])
    rows = read_grid_status(results, grid.plan, jobs).rows
    elsewhere, rungs = completed_elsewhere(results, grid), read_rungs(results, grid.plan)
    by_id = {row.run_id: row for row in rows}
    every = [WantedRun(by_id[config.run_id], config, running_code().id) for config in grid.configs]
    missing = [run for run in every if submit(run.row) == "submits" and run.row.run_id not in elsewhere]
    if rungs:
        missing = with_pauses([run for run in missing if not rungs.is_decided(run.row.run_id)], rungs)
    yield f"grid {grid.plan.name}: {grid.plan.description}"
    taken = f"; {len(elsewhere)} are completed in other grids and would be taken over" if elsewhere else ""
    told = ", ".join(f"{number:,} {state}" for state, number in Counter(row.state for row in rows).most_common())
    yield f"{len(missing):,} of {len(rows):,} runs would be submitted ({told}){taken}"
    yield from describe_held(grid.plan.name, rows)
    yield from describe_unknown(rows)
    yield from _varied(grid.plan)
    if verbose:
        parameters = {run.run_id: run.parameters for run in grid.plan.runs}
        for row in rows:
            values = (f"{name}={_text(value)}" for name, value in parameters.get(row.run_id, {}).items())
            yield f"  {row.run_id} {row.state} {' '.join(values)}"
    if not missing:
        return
    yield f"the first by itself: {shlex.join(grid.plan.command(grid.plan.runs[0]))}"
    if lacking := missing_for(grid.configs, results):
        yield "not here yet, so that `submit` would refuse:"
        yield from _few(lacking, "things")
    if rungs:
        yield _rungs_told(rungs, grid.configs)
    yield f"hours: {_hours([run.config for run in missing], results)}"
    candidates = ranked_next(every, rungs) if rungs else []
    for job in plan_jobs(missing, candidates, grid.plan, results, read_cluster(cluster), jobs):
        rung, number = "" if job.rung is None else f" of rung {job.rung}", len(job.tasks)
        yield f"{job.kind}{rung}: {number:,} task{'s' if number > 1 else ''}, {job.resources.describe()}"
        if verbose:
            yield from (f"  {line}" for line in directives(new_submission(results, grid.plan.name, job, None)))


def _varied(plan: GridPlan) -> Iterator[str]:
    """The values of each parameter that differs between runs or does something in some, and what all have in common."""
    values: dict[str, dict[str, None]] = defaultdict(dict)
    names = Counter(name for run in plan.runs for name in run.parameters)
    for run in plan.runs:
        for name, value in run.parameters.items():
            values[name][_text(value)] = None
    varied = {name: list(found) for name, found in values.items() if len(found) > 1 or names[name] < len(plan.runs)}
    lines = (
        f"  {name}: {', '.join(found[:_MOST])}{f' and {len(found) - _MOST:,} more' if len(found) > _MOST else ''}"
        for name, found in varied.items()
    )
    yield from _few([*lines], "parameters")
    common = (f"{name}={next(iter(found))}" for name, found in values.items() if name not in varied)
    yield f"  all runs: {', '.join([plan.base, *common])}"


def _few(lines: Sequence[str], what: str) -> Iterator[str]:
    yield from lines[:_MOST]
    if len(lines) > _MOST:
        yield f"  and {len(lines) - _MOST:,} more {what}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else yaml_text(value)


def _rungs_told(rungs: Rungs, configs: Sequence[RunConfig]) -> str:
    longest = max(config.training.epochs for config in configs)
    told = [
        f"{rungs.size(rung):,} to epoch {rungs.epochs(rung) or longest}{' (decided)' if rung < rungs.current else ''}"
        for rung in range(rungs.last + 1)
    ]
    return f"rungs: trials {', '.join(told)}, at most"


def _hours(configs: Sequence[RunConfig], results: Results) -> str:
    known: dict[object, list[float]] = defaultdict(list)
    for file in results.runs.glob("*/*/result.json"):
        run_dir = RunDir(file.parent)
        with suppress(RunDirError):
            if result := run_dir.read(Result):
                known[_likeness(run_dir.read_config())].append(result.seconds_trained)
    found = [fmean(known[like]) for like in map(_likeness, configs) if like in known]
    if not found:
        return "not known, since no run like these is completed here"
    return f"about {sum(found) / 3600:,.2g} for {len(found):,} of {len(configs):,}, by completed runs like them"


def _likeness(config: RunConfig) -> object:
    model, data = config.model, config.data
    size = model.kind, model.cell, model.hidden_size, model.layers, model.bidirectional, model.pooling
    return *size, config.training.batch_size, data.source, config.any_encoder.model if config.any_encoder else None
