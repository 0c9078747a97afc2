"""Several grids at once, such as a whole study: which are submitted now, and which wait for runs of another grid."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from jobs.bases import expand_when_ready, state_of
from jobs.grid_jobs import read_jobs
from jobs.grids.grid import ExpandedGrid, GridRequest, count_results, most_runs, with_results, with_table
from jobs.grids.sweep_file import BaseRuns, read_grid_file
from jobs.job_kinds import missing_for
from jobs.requested import planned_configs, read_request, read_waiting
from jobs.status.grid_state import read_grid_status
from sentiment.config import Section
from sentiment.config_file import describe_mistakes, read_yaml, yaml_text
from sentiment.console import Say
from sentiment.errors import ConfigError, RunDirError, UnfinishedBaseError, UsageError
from sentiment.files import config_path, shipped_file
from sentiment.runs.hypotheses import BestOf
from sentiment.runs.run_dir import Results


class StudyFile(Section):
    """A file in `configs/studies`: grids that are submitted together, each with the fields that it changes.

    Attributes:
        grids: by the name of a grid, its changes: a field's value, or a list of values, by dotted name; or
            `early_terminate`, or `within`, the margin of its hypotheses.
        optional: the grids that are left out if their inputs are missing.
    """

    description: str
    grids: dict[str, dict[str, Any]]
    optional: list[str] = Field(default_factory=list)


def read_study(
    path: Path, overrides: dict[str, Any], table: dict[str, Any], results: Results, say: Say
) -> list[GridRequest]:
    """Read a study and the files of its grids, without optional ones whose inputs are missing.

    Args:
        overrides: changes of all its grids.
        table: the options of `with_table`, for all its grids.
    """
    try:
        study = StudyFile.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(describe_mistakes(error, StudyFile, str(path))) from None
    requests = []
    for name, changes in study.grids.items():
        request = with_table(GridRequest(read_grid_file(_grid_path(name)), changes | overrides), table, say)
        missing = []
        if name in study.optional:
            missing = missing_for(expand_when_ready(results, request, check_inputs=False).configs, results)
        if missing:
            say(f"grid {name} is left out: {'; '.join(missing)}")
        else:
            requests.append(request)
    return requests


class PlannedGrid(NamedTuple):
    """What becomes of a grid that a command is asked for.

    Attributes:
        grid: its runs; None as long as it waits.
        at_most: it with all runs that it may have: if it waits, as if it started from each run of the other grid.
    """

    request: GridRequest
    grid: ExpandedGrid | None
    at_most: ExpandedGrid


def plan_study(results: Results, requests: Sequence[GridRequest], check_inputs: bool = True) -> dict[str, PlannedGrid]:
    """Plan grids, bases before the grids that start from them, by name; nothing is written.

    Raises:
        ConfigError: the message lists all errors of a grid, also of one that will wait.
        UsageError: a grid starts from runs of an unknown one, or has a hypothesis about one; two wait for each other;
            one is named twice.
    """
    study: dict[str, PlannedGrid] = {}
    ordered = [_stating(results, request) for request in _bases_first(results, requests)]
    _check_compared_grids(results, requests)
    for request in ordered:
        grid = _expand_if_ready(results, request, study, check_inputs)
        most = grid
        if most is None:
            most = most_runs(request, _candidates(results, request, study), results if check_inputs else None)
            request = _stated_now(results, request, most)
        study[request.name] = PlannedGrid(request, grid, most)
    return study


def _check_compared_grids(results: Results, requests: Sequence[GridRequest]) -> None:
    """Raise UsageError for a hypothesis about another grid that exists nowhere, as after a misspelling."""
    for request in requests:
        for hypothesis in request.sweep.controller.hypotheses:
            if not isinstance(hypothesis.other, BestOf) or not hypothesis.other.grid:
                continue
            name = hypothesis.other.grid
            if any(other.name == name for other in requests) or results.read_grid(name):
                continue
            files = [Path(request.file.path).with_name(f"{name}.yaml"), _grid_path(name)]
            if not any(shipped_file(file).exists() for file in files):
                raise UsageError(
                    f"grid {request.name!r}: the hypothesis {hypothesis.claim!r} compares with grid {name!r}, of which "
                    f"there is neither a plan in {results.runs} nor a file {files[0]}"
                )


def _grid_path(name: str) -> Path:
    return config_path(Path(name), "grids")


def _bases_first(results: Results, requests: Sequence[GridRequest]) -> list[GridRequest]:
    by_name = {request.name: request for request in requests}
    if len(by_name) < len(requests):
        raise UsageError(f"a grid is named twice: {' '.join(request.name for request in requests)}")
    bases: dict[str, set[str]] = {}
    left = [*by_name]
    while left:  # also grids that wait and are not asked for
        name = left.pop(0)
        base = by_name[name].base if name in by_name else _base_waited_for(results, name)
        bases[name] = {base.grid} if base else set()
        left += bases[name] - bases.keys()
    try:
        return [by_name[name] for name in TopologicalSorter(bases).static_order() if name in by_name]
    except CycleError as error:
        raise UsageError(f"grids wait for each other: {' -> '.join(error.args[1])}") from None


def _base_waited_for(results: Results, name: str) -> BaseRuns | None:
    with suppress(RunDirError):
        if waiting := read_waiting(results, name):
            return waiting.request.base
    return None


def _expand_if_ready(
    results: Results, request: GridRequest, study: Mapping[str, PlannedGrid], check_inputs: bool
) -> ExpandedGrid | None:
    """The expanded grid; None if it waits.

    A base that the command submits too may still get results by that; of another one, runs that failed are left out.
    """
    base = study.get(request.base.grid) if request.base else None
    plan = base.at_most.plan if base else None
    if plan and (plan != results.read_grid(plan.name) or state_of(results, plan).to_submit):
        return None
    try:
        return expand_when_ready(results, request, check_inputs=check_inputs, without_failed=plan is None)
    except UnfinishedBaseError:
        return None


def goes_on(results: Results, name: str) -> bool:
    """Whether Slurm goes on with a grid by itself, or with the one that it waits for."""
    if waiting := read_waiting(results, name):
        return not waiting.local and goes_on(results, waiting.base)
    plan = results.read_grid(name)
    if plan is None:
        return False
    view = read_grid_status(results, plan, read_jobs(results, name))
    return view.may_go_on and not view.is_local


def _stating(results: Results, request: GridRequest) -> GridRequest:
    """The request with what the grid has stated while it waited."""
    with suppress(RunDirError):
        if known := read_request(results, request.name):
            return replace(request, stated=known.request.stated)
    return request


def _stated_now(results: Results, request: GridRequest, most: ExpandedGrid) -> GridRequest:
    """The request of a grid that waits, with its hypotheses, and how many runs that it may have have results now."""
    hypotheses = request.hypotheses(datetime.now(UTC).isoformat())
    if not hypotheses:
        return request
    number = count_results(results, [config.run_id for config in most.configs])
    return replace(request, stated=[with_results(each, number) for each in hypotheses])


def _candidates(results: Results, request: GridRequest, study: Mapping[str, PlannedGrid]) -> ExpandedGrid:
    """All runs of the grid that a waiting one starts from, as far as they are known."""
    name = request.base.grid if request.base else ""
    if name in study:
        return study[name].at_most
    if waiting := read_waiting(results, name):
        return plan_study(results, [waiting.request], check_inputs=False)[name].at_most
    plan = results.read_grid(name)
    if plan is None:
        raise UsageError(f"grid {request.name!r} starts from runs of grid {name!r}, which has no plan")
    configs = planned_configs(results, plan, [run.run_id for run in plan.runs])
    return ExpandedGrid(plan, [*configs.values()])


def describe_waiting(planned: PlannedGrid) -> Iterator[str]:
    """The lines of a dry run about a grid that waits."""
    request, _, most = planned
    base = request.base
    if base is None:
        return
    yield f"grid {request.name}: {most.plan.description}"
    yield f"at most {len(most.plan.runs):,} runs; it would wait for grid {base.grid} (runs: {base.runs})"
    for name, choices in sorted(request.space().items()):
        if choices.values:
            yield f"  {name}: {', '.join(map(yaml_text, choices.values))}"
