"""A grid file becomes runs: expanded, checked as a whole, and unchanged once they are planned."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.grids.expand import Bases, Choices, Draw, ExpandedRun, Expansion, expand, find_bases
from jobs.grids.requirements import missing_for
from jobs.grids.rounds import grow, write_space
from jobs.grids.sweep_file import Distribution, SweepFile, read_sweep
from sentiment.config import DataConfig, RunConfig
from sentiment.config_file import parse_override, read_yaml, resolve
from sentiment.errors import ConfigError, SentimentError
from sentiment.runs.records import GridPlan, Halving, PlannedRun, Rounds, RunRecord
from sentiment.runs.run_dir import Results, RunDir

if TYPE_CHECKING:
    from sentiment.elmo.models import ElmoFinder


@dataclass(frozen=True)
class ExpandedGrid:
    """A question, and the runs that answer it."""

    plan: GridPlan
    configs: list[RunConfig]
    """Of the plan's runs, in their order."""
    left_out: list[str]
    """Runs of the grid that it starts from which could not be considered, and why."""


def load_grid(path: Path, results: Results, overrides: Sequence[str] = ()) -> ExpandedGrid:
    """Expand a grid file, and check that all of its runs can be run here.

    Nothing is written: the caller that starts the runs writes the plan first (`results.write_grid`), and from then on
    its runs keep their index. A file that has grown adds runs after them.

    Args:
        overrides: such as `data.source=vader`, for all runs; they narrow a parameter of the file to one value.

    Raises:
        ConfigError: the file or any of its runs is invalid, needs what is not here, or the file does not contain all
            planned runs any more; all mistakes in one message.
        UsageError: it starts from runs of another grid, which is not finished.
        RunDirError: the plan cannot be read.
    """
    grid, mistakes = _expand(path, results, overrides)
    if lacking := [*mistakes, *missing_for(grid.configs, results)]:
        raise ConfigError(f"grid {grid.plan.name!r} cannot be run:\n" + "\n".join(f"  {line}" for line in lacking))
    return grid


def expand_grid(path: Path, results: Results, overrides: Sequence[str] = ()) -> ExpandedGrid:
    """The same, whether or not tweets and ELMo models are here."""
    grid, mistakes = _expand(path, results, overrides)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return grid


def _expand(path: Path, results: Results, overrides: Sequence[str]) -> tuple[ExpandedGrid, list[str]]:
    sweep = read_sweep(path)
    space: dict[str, Choices] = {**sweep.space(), **{name: [value] for name, value in map(parse_override, overrides)}}
    bases = find_bases(sweep, results)
    trials = sweep.controller.per_round or sweep.run_cap
    expansion = expand(bases.chosen, space, Draw(sweep.controller.seed or 0, trials) if trials else None)
    grid = _grid(sweep, bases, space, expansion)
    planned = None if expansion.mistakes else results.read_grid(sweep.name)
    if planned and planned.rounds and grid.plan.rounds:
        return _next_rounds(planned, grid, path, results), []
    return (_continue(planned, grid, path, results) if planned else grid), expansion.mistakes


def _grid(sweep: SweepFile, bases: Bases, space: Mapping[str, Choices], expansion: Expansion) -> ExpandedGrid:
    plan = GridPlan(
        name=sweep.name,
        description=sweep.description,
        method=sweep.method,
        metric=sweep.metric.name,
        goal=sweep.metric.goal,
        base=str(sweep.base_file),
        parameters=_values_in(expansion.runs) | {name: _listed(values) for name, values in space.items()},
        runs=[_planned(index, run) for index, run in enumerate(expansion.runs)],
        halving=_halving(sweep, expansion),
        rounds=_rounds(sweep, space),
    )
    return ExpandedGrid(plan, [run.config for run in expansion.runs], bases.left_out)


def _halving(sweep: SweepFile, expansion: Expansion) -> Halving | None:
    epochs = [run.config.training.epochs for run in expansion.runs]
    return sweep.early_terminate.halving(max(epochs)) if sweep.early_terminate and epochs else None


def _rounds(sweep: SweepFile, space: Mapping[str, Choices]) -> Rounds | None:
    controller = sweep.controller
    if not controller.rounds or not controller.per_round:
        return None
    seed = controller.seed or 0
    return Rounds(rounds=controller.rounds, per_round=controller.per_round, seed=seed, space=write_space(space))


def _next_rounds(planned: GridPlan, grid: ExpandedGrid, path: Path, results: Results) -> ExpandedGrid:
    """The rounds that are planned, and the next one if these have ended; there may be more rounds than before.

    Raises:
        ConfigError: what trials are suggested from has changed.
    """
    was, now = planned.rounds, grid.plan.rounds
    first = [run.run_id for run in grid.plan.runs]
    if (
        was is None
        or now is None
        or was.model_copy(update={"rounds": now.rounds}) != now
        or first != [run.run_id for run in planned.runs[: len(first)]]
    ):
        raise ConfigError(
            f"{path}: parameters, seed, per_round or {grid.plan.base} changed since the first round was planned in "
            f"{results.grid_file(planned.name)}. Undo the change, or give the new search a file and name of its own"
        )
    plan = grid.plan.model_copy(update={"runs": planned.runs})
    values = read_yaml(Path(plan.base))
    configs = [resolve(values, run.parameters, plan.base) for run in plan.runs]
    plan, new = grow(plan, results) or (plan, [])
    return ExpandedGrid(plan, [*configs, *new], grid.left_out)


def _planned(index: int, run: ExpandedRun) -> PlannedRun:
    return PlannedRun(index=index, run_id=run.config.run_id, parameters=run.parameters)


def _listed(values: Choices) -> list[Any]:
    """The values as a plan names them; a distribution is one text."""
    return [str(values)] if isinstance(values, Distribution) else list(values)


def _values_in(runs: Sequence[ExpandedRun]) -> dict[str, list[Any]]:
    """The values of each parameter; those that come from runs of another grid are as much a choice as the file's."""
    found: dict[str, list[Any]] = {}
    for run in runs:
        for name, value in run.parameters.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return found


def _continue(planned: GridPlan, grid: ExpandedGrid, path: Path, results: Results) -> ExpandedGrid:
    """Put the planned runs first, as they were numbered, and the new ones after them.

    Raises:
        ConfigError: planned runs are not among those of the file.
    """
    expanded = {config.run_id: config for config in grid.configs}
    if lost := [run for run in planned.runs if run.run_id not in expanded]:
        raise ConfigError(_explain_change(planned, lost, grid.plan, path, results))
    if results.ranking_file(planned.name, 0).exists():
        _refuse_other_search(planned, grid.plan, path, results)
    now = {run.run_id: run for run in grid.plan.runs}
    # Parameters are those of now, since the base file may be another one than that of an earlier plan.
    kept = [now.pop(run.run_id) for run in planned.runs]
    new = now.values()
    runs = [run.model_copy(update={"index": index}) for index, run in enumerate([*kept, *new])]
    return replace(
        grid,
        plan=grid.plan.model_copy(update={"runs": runs}),
        configs=[expanded[run.run_id] for run in runs],
    )


def _refuse_other_search(planned: GridPlan, now: GridPlan, path: Path, results: Results) -> None:
    """A ranking rests on the trials and the rungs that there were.

    Raises:
        ConfigError: there are others now.
    """
    changes = []
    if planned.halving != now.halving:
        changes.append("early_terminate")
    if len(now.runs) > len(planned.runs):
        changes.append(f"the number of its trials ({len(planned.runs)}, now {len(now.runs)})")
    if changes:
        raise ConfigError(
            f"{path}: {' and '.join(changes)} changed, but {results.ranking_file(planned.name, 0)} is written, and "
            "what was decided stays decided. Undo the change, or give the new search a file and name of its own"
        )


def _explain_change(planned: GridPlan, lost: list[PlannedRun], now: GridPlan, path: Path, results: Results) -> str:
    names = sorted({*planned.parameters, *now.parameters})
    changes = [
        f"  {name}: was {_values(planned, name)}, is {_values(now, name)}"
        for name in names
        if _values(planned, name) != _values(now, name)
    ]
    if planned.base != now.base:
        changes.append(f"  the base run: was {planned.base}, is {now.base}")
    if not changes:
        changes.append(f"  no parameter, but {now.base}, a default of this program, or how trials are drawn")
    folder = results.grid_file(planned.name).parent
    return (
        f"{path}: no longer contains {len(lost)} of the {len(planned.runs)} runs that are planned in "
        f"{results.grid_file(planned.name)}, such as {lost[0].run_id}. What has changed:\n" + "\n".join(changes) + "\n"
        f"A planned grid keeps its runs (more values may be added). Undo the change; or give the new question a file "
        f"and name of its own; or move {folder} away to begin anew."
    )


def _values(plan: GridPlan, name: str) -> str:
    return str(plan.parameters[name]) if name in plan.parameters else "that of the base run"


def completed_elsewhere(results: Results, grid: ExpandedGrid) -> dict[str, RunDir]:
    """Runs that have no directory in this grid and are completed in another, on what is here now; by run id."""
    name, found = grid.plan.name, {file.parent.name: file.parent for file in results.runs.glob("*/*/result.json")}
    origin = _Origin(results)
    return {
        config.run_id: RunDir(found[config.run_id])
        for config in grid.configs
        if config.run_id in found
        and not results.run_dir(config.run_id, name).path.exists()
        and origin.is_that_of(RunDir(found[config.run_id]), config)
    }


def trained_on_others(results: Results, grid: ExpandedGrid) -> list[str]:
    """Ids of this grid's completed runs that were trained on other files than those which are here now."""
    origin = _Origin(results)
    run_dirs = [(config, results.run_dir(config.run_id, grid.plan.name)) for config in grid.configs]
    return [config.run_id for config, run_dir in run_dirs if run_dir.completed and origin.has_changed(run_dir, config)]


class _Origin:
    """What the tweets, vectors and ELMo models that configurations name are now; each is looked at once."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._data = cache(self._fingerprint_of_data)

    @cached_property
    def _models(self) -> "ElmoFinder":
        from sentiment.elmo.models import ElmoFinder

        return ElmoFinder(self._results)

    def is_that_of(self, run_dir: RunDir, config: RunConfig) -> bool:
        """Whether a completed run asks this question, and was trained on what it names now; False if unknown."""
        try:
            record = run_dir.read_record()
            asked = run_dir.read_config().fingerprint()
            return record is not None and asked == config.fingerprint() and self._is_same(record, config)
        except SentimentError:
            return False

    def has_changed(self, run_dir: RunDir, config: RunConfig) -> bool:
        """Whether a completed run was certainly trained on something else; False if unknown, as without its files."""
        try:
            record = run_dir.read_record()
            return record is not None and not self._is_same(record, config, without_model=True)
        except SentimentError:
            return False

    def _is_same(self, record: RunRecord, config: RunConfig, without_model: bool = False) -> bool:
        from sentiment.data.sources import source_sha256
        from sentiment.data.word_vectors import pretrained_file, vectors_fingerprint

        if record.data_fingerprint != self._data(config.data):
            return False
        if record.elmo:
            model = self._models.of(config)
            if model is None:
                return without_model
            if record.elmo.fingerprint != model.fingerprint:
                return False
        if named := vectors_fingerprint(config, self._results):
            return record.vectors_fingerprint == named
        file = pretrained_file(config, self._results)
        return record.pretrained_sha256 == (source_sha256(file) if file else None)

    def _fingerprint_of_data(self, data: DataConfig) -> str:
        from sentiment.data.corpus.corpus import corpus_fingerprint

        return corpus_fingerprint(data, self._results)


def reuse_completed(results: Results, grid: ExpandedGrid) -> None:
    """Copy such runs into this grid, each as a whole or not at all; the caller must hold the grid's lock.

    Raises:
        OSError: the disk refuses it.
    """
    for leftover in results.grid_file(grid.plan.name).parent.glob(".*.tmp/"):  # of a copy that was killed
        shutil.rmtree(leftover)
    for run_id, source in completed_elsewhere(results, grid).items():
        target = results.run_dir(run_id, grid.plan.name).path
        made = target.with_name(f".{run_id}.{os.getpid()}.tmp")
        try:
            shutil.copytree(source.path, made)
            made.rename(target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
