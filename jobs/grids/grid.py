"""Loads grid files: expands them into runs, validates them, and keeps the runs that are already planned unchanged.

Completed runs of other grids are copied if their inputs (tweets, vectors, models) are unchanged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from shutil import copytree
from typing import Any

from jobs.grids.expand import Base, ExpandedRun, expand, file_bases, planned_base, run_bases
from jobs.grids.sweep_file import BaseRuns, Choices, GridFile, SweepFile, listed_values
from jobs.job_kinds import missing_for
from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.console import Say
from sentiment.errors import ConfigError, FormatError, RunDirError, SentimentError
from sentiment.files import make_folder_once
from sentiment.runs.hypotheses import StatedHypothesis, mistakes_of
from sentiment.runs.records import Addition, GridPlan, PlannedRun, RunRecord, StartsFrom
from sentiment.runs.run_dir import Results, RunDir


@dataclass(frozen=True)
class ExpandedGrid:
    """The plan of a grid, with the configurations of its runs, in the plan's order.

    Attributes:
        former: the stored plan that it extends.
    """

    plan: GridPlan
    configs: list[RunConfig]
    former: GridPlan | None = None


_HALVING = "early_terminate"
_MARGIN = "within"


@dataclass(frozen=True)
class GridRequest:
    """A grid that a command is asked for, with the overrides of `--set`, which replace values of its file.

    Attributes:
        overrides: values of fields by dotted name; `early_terminate`; or `within`, the margin of all hypotheses that
            have one in points.
        guesses: what was guessed of its table, which nobody gave, likewise.
        stated: hypotheses that it has stated while it was not planned.
    """

    file: GridFile
    overrides: dict[str, Any] = field(default_factory=dict)
    guesses: dict[str, Any] = field(default_factory=dict)
    stated: list[StatedHypothesis] = field(default_factory=list)

    @cached_property
    def sweep(self) -> SweepFile:
        values = dict(self.file.values)
        if _HALVING in self.overrides:
            values[_HALVING] = self.overrides[_HALVING]
        if _MARGIN in self.overrides:
            values["controller"] = _with_margin(values.get("controller", {}), self.overrides[_MARGIN])
        return GridFile(path=self.file.path, values=values, run_files=self.file.run_files).sweep

    def asks_for_same(self, other: "GridRequest") -> bool:
        return (self.file, self.overrides, self.guesses) == (other.file, other.overrides, other.guesses)

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def base(self) -> BaseRuns | None:
        """The runs of another grid that it starts from."""
        return self.file.sweep.controller.base

    def hypotheses(self, now: str) -> list[StatedHypothesis]:
        """What it has stated before, and its hypotheses about values that it has with these overrides, now."""
        listed = listed_values(self.space())
        stated = []
        for hypothesis in self.sweep.controller.hypotheses:
            if restricted := hypothesis.restricted(listed):
                stated.append(StatedHypothesis(hypothesis=restricted, stated_at=now))
        return kept_hypotheses(self.stated, stated, self.file.path)

    def space(self) -> dict[str, Choices]:
        space = self.file.sweep.space()
        for name, value in (self.overrides | self.guesses).items():
            if name in (_HALVING, _MARGIN):
                continue
            values = value if isinstance(value, list) else [value]
            if not values:
                raise ConfigError(f"{name}=[]: without a value the grid has no runs; give one value or a list of them")
            space[name] = Choices(values)
        return space


def _with_margin(controller: dict[str, Any], margin: Any) -> dict[str, Any]:
    """The section `controller` of a grid's file with another margin of the hypotheses that have one in points."""
    hypotheses = []
    for hypothesis in controller.get("hypotheses", []):
        has_points = "within" in hypothesis and hypothesis.get("measure") != "epochs"
        hypotheses.append(hypothesis | {"within": margin} if has_points else hypothesis)
    return controller | {"hypotheses": hypotheses}


_OF_A_TABLE = ("data.source", "data.columns.", "data.labels", "data.language")


def with_table(request: GridRequest, options: dict[str, Any], say: Say) -> GridRequest:
    """A request for runs on the table that a command names; its columns and classes are guessed, as `train` does.

    Nothing is guessed of tables whose paths the grid varies, or if it starts from runs of another grid, whose tweets
    it reads.

    Args:
        options: fields of the section `data` by dotted name.
        say: prints what was guessed.
    """
    from sentiment.data.guess_columns import resolve_with_guesses

    if request.base:
        return request
    fields = {name: choices.values for name, choices in request.space().items() if name.startswith(_OF_A_TABLE)}
    fixed = {name: values[0] for name, values in fields.items() if len(values) == 1} | options
    base = str(request.file.sweep.base_file)
    values = request.file.run_files[base]
    guesses: dict[str, Any] = {}
    reads_one_table = "data.source" in fixed or "data.source" not in fields  # else the grid varies it
    if reads_one_table:
        _, guessed = resolve_with_guesses(values, dotted(values), fixed, base)
        if guessed and (options or guessed.changes):
            for line in guessed.messages():
                say(line)
            guesses = guessed.changes
    return GridRequest(request.file, request.overrides | options, guesses)


def expand_grid(
    request: GridRequest, results: Results, starts_from: StartsFrom | None = None, *, check_inputs: bool = True
) -> ExpandedGrid:
    """Expand a grid; nothing is written. Runs of a stored plan keep their index; new runs are appended.

    Args:
        starts_from: the runs of another grid that it starts from; None if it starts from files.
        check_inputs: whether the inputs of all runs must exist.

    Raises:
        ConfigError: the message lists all errors.
    """
    planned = read_readable_plan(results, request.name)
    bases = run_bases(request.file, starts_from, results) if starts_from else file_bases(request.file)
    grid, errors = _expand(request, bases, starts_from)
    if planned and not errors:
        grid = _append_to_plan(planned, grid, request.file.path, results)
    elif grid.plan.hypotheses:
        grid = replace(grid, plan=_with_results(grid.plan, results))
    _check(request, grid.configs, errors, results if check_inputs else None)
    return grid


def read_readable_plan(results: Results, name: str) -> GridPlan | None:
    """The stored plan of a grid; None if there is none, or a damaged one, in whose place `submit` puts a new one."""
    try:
        return results.read_grid(name)
    except FormatError:
        raise
    except RunDirError:
        return None


def most_runs(request: GridRequest, candidates: ExpandedGrid, results: Results | None) -> ExpandedGrid:
    """The runs that a grid may have that starts from runs of another one: as if it started from each of them.

    Args:
        candidates: the runs of that grid.
        results: where the inputs of the runs must exist; None if they need not.

    Raises:
        ConfigError: the message lists all errors.
    """
    parameters = [run.parameters for run in candidates.plan.runs]
    bases = [
        planned_base(request.file, f"grid {candidates.plan.name}", config, differences)
        for config, differences in zip(candidates.configs, parameters, strict=True)
    ]
    grid, errors = _expand(request, bases, None)
    _check(request, grid.configs, errors, results)
    return grid


def _expand(
    request: GridRequest, bases: Sequence[Base], starts_from: StartsFrom | None
) -> tuple[ExpandedGrid, list[str]]:
    """The grid, and the errors of combinations that are invalid; without bases it has no runs."""
    sweep = request.sweep
    runs: list[ExpandedRun] = []
    errors: list[str] = []
    if bases:
        runs, errors = expand(bases, request.space(), sweep.run_cap, sweep.controller.seed or 0)
    planned = [
        PlannedRun(index=index, run_id=config.run_id, parameters=parameters)
        for index, (parameters, config) in enumerate(runs)
    ]
    halving = None
    if sweep.early_terminate and runs:
        halving = sweep.early_terminate.halving(max(config.training.epochs for _, config in runs))
    errors += sweep.mistakes_in(request.space())
    errors += mistakes_of(sweep.name, sweep.controller.hypotheses, listed_values(sweep.space()))
    now = datetime.now(UTC).isoformat()  # to the microsecond: the report shows grids in the order of planning
    plan = GridPlan(
        name=sweep.name,
        planned_at=now,
        description=sweep.description,
        method=sweep.method,
        metric=sweep.metric.name,
        goal=sweep.metric.goal,
        base=str(sweep.base_file),
        runs=planned,
        halving=halving,
        starts_from=starts_from,
        hypotheses=[] if errors else request.hypotheses(now),
        replicates=sweep.controller.replicates,
    )
    return ExpandedGrid(plan, [config for _, config in runs]), errors


def _check(request: GridRequest, configs: Sequence[RunConfig], errors: Sequence[str], results: Results | None) -> None:
    """Raise ConfigError if there are errors, or if inputs of the runs are missing in `results`."""
    missing = missing_for(configs, results) if results else []
    if errors or missing:
        lines = "\n".join(f"  {line}" for line in (*errors, *missing))
        raise ConfigError(f"grid {request.name!r} cannot be run:\n{lines}")


def _append_to_plan(planned: GridPlan, grid: ExpandedGrid, path: str, results: Results) -> ExpandedGrid:
    """Keep the planned runs and their indexes, and append the new runs."""
    expanded = {config.run_id: config for config in grid.configs}
    if removed := [run for run in planned.runs if run.run_id not in expanded]:
        raise ConfigError(_explain_change(planned, removed, grid.plan, path, results))
    if (planned.metric, planned.goal) != (grid.plan.metric, grid.plan.goal):
        raise ConfigError(
            f"{path}: the metric was {planned.metric} ({planned.goal}) when the grid was planned, and is "
            f"{grid.plan.metric} ({grid.plan.goal}). {_ways_out(planned, 'A planned grid keeps its metric.', results)}"
        )
    is_ranked = results.ranking_file(planned.name, 0).exists()
    if is_ranked and (planned.halving != grid.plan.halving or len(grid.plan.runs) > len(planned.runs)):
        raise ConfigError(
            f"{path}: early_terminate or the number of trials ({len(planned.runs)}, now {len(grid.plan.runs)}) changed"
            f" after trials were ranked ({results.ranking_file(planned.name, 0)}); rankings cannot be changed. Undo "
            "the change, or save the new search as a grid file with a name of its own"
        )
    new_runs = {run.run_id: run for run in grid.plan.runs}
    # Parameters are taken from the new plan, because the base file may differ.
    kept = [new_runs.pop(run.run_id) for run in planned.runs]
    runs = [run.model_copy(update={"index": index}) for index, run in enumerate([*kept, *new_runs.values()])]
    hypotheses = kept_hypotheses(planned.hypotheses, grid.plan.hypotheses, path)
    former = {"planned_at": planned.planned_at, "code": planned.code, "additions": planned.additions}
    plan = grid.plan.model_copy(update={"runs": runs, "hypotheses": hypotheses, **former})
    if new_runs or hypotheses != planned.hypotheses:
        plan = _with_results(plan, results, planned)
    return ExpandedGrid(plan, [expanded[run.run_id] for run in runs], planned)


def kept_hypotheses(
    stated: Sequence[StatedHypothesis], now: Iterable[StatedHypothesis], path: str
) -> list[StatedHypothesis]:
    """What was stated, which stays about the values that it was stated of, and what is new.

    Raises:
        ConfigError: something was stated otherwise.
    """
    kept = {each.hypothesis.claim: each for each in stated}
    for each in now:
        claim = each.hypothesis.claim
        known = kept.setdefault(claim, each).hypothesis
        if known.statement != each.hypothesis.statement or not known.is_nested(each.hypothesis):
            raise ConfigError(f"{path}: hypothesis {claim!r} was stated otherwise; give the new one a claim of its own")
    return [*kept.values()]


def _with_results(plan: GridPlan, results: Results, planned: GridPlan | None = None) -> GridPlan:
    """The plan, in which new hypotheses and added runs know how many runs have results now.

    Args:
        planned: the former plan; None for a new one.
    """
    number = count_results(results, [run.run_id for run in plan.runs])
    former = planned.hypotheses if planned else []
    hypotheses = [stated if stated in former else with_results(stated, number) for stated in plan.hypotheses]
    additions = plan.additions
    if planned and number and len(plan.runs) > len(planned.runs):
        additions = [*additions, Addition(first=len(planned.runs), results=number)]
    return plan.model_copy(update={"hypotheses": hypotheses, "additions": additions})


def with_results(stated: StatedHypothesis, number: int) -> StatedHypothesis:
    """The hypothesis, which was stated when so many runs had results; if that is known, as it was."""
    return stated if stated.results is not None else stated.model_copy(update={"results": number})


def count_results(results: Results, run_ids: Iterable[str]) -> int:
    """How many runs have a result, or the score of an epoch, in whatever grid, removed ones too, however damaged."""
    wanted = {*run_ids}
    patterns = [(results.runs, "*/*"), (results.removed, "*/runs/*")]
    names = ("result.json", "metrics.jsonl")
    folders = {file.parent for root, runs in patterns for name in names for file in root.glob(f"{runs}/{name}")}
    run_dirs = [RunDir(folder) for folder in folders if folder.name in wanted]
    return len({run_dir.path.name for run_dir in run_dirs if run_dir.completed or run_dir.count_epochs()})


def _ways_out(planned: GridPlan, rule: str, results: Results) -> str:
    return (
        f"{rule} Undo the change; or save the new question as a grid file with its own name; or start over after "
        f"`{results.command('cancel', planned.name, '--remove')}`."
    )


def _explain_change(planned: GridPlan, removed: list[PlannedRun], plan: GridPlan, path: str, results: Results) -> str:
    old = planned.parameter_values
    new = plan.parameter_values
    of_base = "that of the base run"
    changes = [
        f"  {name}: was {old.get(name, of_base)}, is {new.get(name, of_base)}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    if planned.starts_from and plan.starts_from and planned.starts_from.run_ids != plan.starts_from.run_ids:
        before, now = (" ".join(origin.run_ids) for origin in (planned.starts_from, plan.starts_from))
        changes.append(f"  the runs of grid {plan.starts_from.grid} that it starts from: were {before}, are {now}")
    cause = (
        "\n".join(changes) or f"  no parameter, but {plan.base}, a default of this program, or the sampling of trials"
    )
    file = results.grid_file(planned.name)
    # Other values of a search are drawn instead of the planned ones.
    more = "more trials may be added by run_cap" if plan.method == "random" else "more values may be added"
    return (
        f"{path}: no longer contains {len(removed)} of the {len(planned.runs)} runs that are planned in {file}, such "
        f"as {removed[0].run_id}. What has changed:\n{cause}\n"
        f"{_ways_out(planned, f'A planned grid keeps its runs ({more}).', results)}"
    )


def completed_elsewhere(results: Results, grid: ExpandedGrid, code: str) -> dict[str, RunDir]:
    """Runs completed in another grid with the current inputs and code, and not started in this one; by run id.

    Args:
        code: the SHA-256 of the code that trains.
    """
    completed = {file.parent.name: RunDir(file.parent) for file in results.runs.glob("*/*/result.json")}
    reusable = [
        (config, completed[config.run_id])
        for config in grid.configs
        if config.run_id in completed and not results.run_dir(config.run_id, grid.plan.name).path.exists()
    ]
    reused = {}
    for run_dir, is_current in _check_inputs(results, reusable):
        record = run_dir.read(RunRecord) if is_current else None
        if record and {attempt.code for attempt in record.attempts} == {code}:
            reused[run_dir.path.name] = run_dir
    return reused


def trained_on_old_inputs(results: Results, grid: ExpandedGrid) -> list[str]:
    """The ids of this grid's completed runs whose inputs (tweets, vectors, models) have changed since."""
    run_dirs = [(config, results.run_dir(config.run_id, grid.plan.name)) for config in grid.configs]
    completed = [(config, run_dir) for config, run_dir in run_dirs if run_dir.completed]
    return [run_dir.path.name for run_dir, current in _check_inputs(results, completed) if current is False]


def _check_inputs(results: Results, runs: Iterable[tuple[RunConfig, RunDir]]) -> Iterator[tuple[RunDir, bool | None]]:
    """Yield completed runs with whether their configuration and inputs are the current ones; None if it is unknown."""
    from sentiment.data.corpus import source_fingerprint
    from sentiment.encoders.inputs import current_inputs, recorded_inputs
    from sentiment.encoders.pretrained import find_model

    fingerprint = cache(lambda data: source_fingerprint(data, results))
    for config, run_dir in runs:
        is_current = None
        with suppress(SentimentError):
            record = run_dir.read(RunRecord)
            if record:
                files = find_model(config, results) if record.encoder else None
                present = current_inputs(config, results, fingerprint(config.data), files)
                is_current = recorded_inputs(run_dir.read_config(), record) == present
        yield run_dir, is_current


def copy_completed(results: Results, name: str, completed: Mapping[str, RunDir]) -> None:
    """Copy the runs of `completed_elsewhere` into a grid, each atomically; the caller must hold its lock."""
    for run_id, source in completed.items():
        target = results.run_dir(run_id, name).path
        make_folder_once(target, partial(copytree, source.path, dirs_exist_ok=True))
