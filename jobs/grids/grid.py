"""A grid file becomes runs: expanded, checked as a whole, and unchanged once they are planned.

Those that are completed in another grid are taken over, if they were trained on what is here now.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from jobs.grids.expand import ExpandedRun, expand, find_bases
from jobs.grids.rounds import grow, write_space
from jobs.grids.sweep_file import Choices, Distribution, SweepFile, read_sweep
from jobs.services import missing_for
from sentiment.config import RunConfig
from sentiment.config_file import parse_override, read_yaml, resolve
from sentiment.errors import ConfigError, SentimentError
from sentiment.runs.records import GridPlan, PlannedRun, Rounds, RunRecord
from sentiment.runs.run_dir import Results, RunDir


@dataclass(frozen=True)
class ExpandedGrid:
    """A question, and the runs that answer it.

    Attributes:
        configs: of the plan's runs, in their order.
        left_out: runs of the grid that it starts from which could not be considered, and why.
    """

    plan: GridPlan
    configs: list[RunConfig]
    left_out: list[str]


def load_grid(path: Path, results: Results, overrides: Sequence[str] = ()) -> ExpandedGrid:
    """Expand a grid file, and check that all of its runs can be run here; a ConfigError has all mistakes.

    Nothing is written: the caller that starts the runs writes the plan first (`results.write_grid`), and from then on
    its runs keep their index. A file that has grown adds runs after them.

    Args:
        overrides: such as `data.source=vader`, for all runs; they narrow a parameter of the file to one value.
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
    bases, left_out = find_bases(sweep, results)
    trials = sweep.controller.per_round or sweep.run_cap
    runs, mistakes = expand(bases, space, trials, sweep.controller.seed or 0)
    grid = ExpandedGrid(_plan(sweep, space, runs), [config for _, config in runs], left_out)
    planned = None if mistakes else results.read_grid(sweep.name)
    if planned and planned.rounds and grid.plan.rounds:
        return _next_rounds(planned, grid, path, results), []
    return (_continue(planned, grid, path, results) if planned else grid), mistakes


def _plan(sweep: SweepFile, space: Mapping[str, Choices], runs: Sequence[ExpandedRun]) -> GridPlan:
    controller, epochs = sweep.controller, [config.training.epochs for _, config in runs]
    rounds = None
    if controller.rounds and controller.per_round:
        rounds = Rounds(
            rounds=controller.rounds,
            per_round=controller.per_round,
            seed=controller.seed or 0,
            space=write_space(space),
        )
    found: dict[str, list[Any]] = {}  # values that come from runs of another grid are as much a choice as the file's
    for parameters, _ in runs:
        for name, value in parameters.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
    listed = {name: [str(one)] if isinstance(one, Distribution) else list(one) for name, one in space.items()}
    return GridPlan(
        name=sweep.name,
        description=sweep.description,
        method=sweep.method,
        metric=sweep.metric.name,
        goal=sweep.metric.goal,
        base=str(sweep.base_file),
        parameters=found | listed,
        runs=[
            PlannedRun(index=index, run_id=config.run_id, parameters=parameters)
            for index, (parameters, config) in enumerate(runs)
        ],
        halving=sweep.early_terminate.halving(max(epochs)) if sweep.early_terminate and epochs else None,
        rounds=rounds,
    )


def _next_rounds(planned: GridPlan, grid: ExpandedGrid, path: Path, results: Results) -> ExpandedGrid:
    """The rounds that are planned, and the next one if these have ended; there may be more rounds than before."""
    was, now = planned.rounds, grid.plan.rounds
    first = [run.run_id for run in grid.plan.runs]
    same = was and now and was.model_copy(update={"rounds": now.rounds}) == now
    if not same or first != [run.run_id for run in planned.runs[: len(first)]]:
        raise ConfigError(
            f"{path}: parameters, seed, per_round or {grid.plan.base} changed since the first round was planned in "
            f"{results.grid_file(planned.name)}. Undo the change, or give the new search a file and name of its own"
        )
    plan = grid.plan.model_copy(update={"runs": planned.runs})
    values = read_yaml(Path(plan.base))
    configs = [resolve(values, run.parameters, plan.base) for run in plan.runs]
    plan, new = grow(plan, results) or (plan, [])
    return ExpandedGrid(plan, [*configs, *new], grid.left_out)


def _continue(planned: GridPlan, grid: ExpandedGrid, path: Path, results: Results) -> ExpandedGrid:
    """Put the planned runs first, as they were numbered, and the new ones after them."""
    expanded = {config.run_id: config for config in grid.configs}
    if lost := [run for run in planned.runs if run.run_id not in expanded]:
        raise ConfigError(_explain_change(planned, lost, grid.plan, path, results))
    others = planned.halving != grid.plan.halving or len(grid.plan.runs) > len(planned.runs)
    if others and results.ranking_file(planned.name, 0).exists():
        raise ConfigError(
            f"{path}: early_terminate or the number of trials ({len(planned.runs)}, now {len(grid.plan.runs)}) changed"
            f", but {results.ranking_file(planned.name, 0)} is written; what was decided stays decided. Undo the "
            "change, or give the new search a file and name of its own"
        )
    now = {run.run_id: run for run in grid.plan.runs}
    # Parameters are those of now, since the base file may be another one than that of an earlier plan.
    kept = [now.pop(run.run_id) for run in planned.runs]
    runs = [run.model_copy(update={"index": index}) for index, run in enumerate([*kept, *now.values()])]
    configs = [expanded[run.run_id] for run in runs]
    return replace(grid, plan=grid.plan.model_copy(update={"runs": runs}), configs=configs)


def _explain_change(planned: GridPlan, lost: list[PlannedRun], now: GridPlan, path: Path, results: Results) -> str:
    was, there = ({"the base run": one.base, **one.parameters} for one in (planned, now))
    changes = [
        f"  {name}: was {was.get(name, 'that of the base run')}, is {there.get(name, 'that of the base run')}"
        for name in sorted({*was, *there})
        if was.get(name) != there.get(name)
    ]
    changes = changes or [f"  no parameter, but {now.base}, a default of this program, or how trials are drawn"]
    folder = results.grid_file(planned.name).parent
    return (
        f"{path}: no longer contains {len(lost)} of the {len(planned.runs)} runs that are planned in "
        f"{results.grid_file(planned.name)}, such as {lost[0].run_id}. What has changed:\n" + "\n".join(changes) + "\n"
        f"A planned grid keeps its runs (more values may be added). Undo the change; or give the new question a file "
        f"and name of its own; or move {folder} away to begin anew."
    )


def completed_elsewhere(results: Results, grid: ExpandedGrid) -> dict[str, RunDir]:
    """Runs that have no directory in this grid and are completed in another, on what is here now; by run id."""
    there = {file.parent.name: RunDir(file.parent) for file in results.runs.glob("*/*/result.json")}
    begun = (results.run_dir(config.run_id, grid.plan.name).path.exists() for config in grid.configs)
    found = [
        (one, there[one.run_id])
        for one, here in zip(grid.configs, begun, strict=True)
        if one.run_id in there and not here
    ]
    return {run_dir.path.name: run_dir for run_dir, current in _compare(results, found) if current}


def trained_on_others(results: Results, grid: ExpandedGrid) -> list[str]:
    """Ids of this grid's completed runs that were trained on other files than those which are here now."""
    found = [(config, results.run_dir(config.run_id, grid.plan.name)) for config in grid.configs]
    completed = [one for one in found if one[1].completed]
    return [run_dir.path.name for run_dir, current in _compare(results, completed) if current is False]


def _compare(results: Results, runs: Iterable[tuple[RunConfig, RunDir]]) -> Iterator[tuple[RunDir, bool | None]]:
    """Whether completed runs ask just this, of the tweets, vectors and models that are here now; None: nobody knows."""
    from sentiment.data.corpus import corpus_fingerprint
    from sentiment.data.sources import cached_sha256
    from sentiment.data.vocabulary import pretrained_file, vectors_fingerprint
    from sentiment.encoders.pretrained import find_model

    fingerprint = cache(lambda data: corpus_fingerprint(data, results))
    for config, run_dir in runs:
        try:
            record, asked = run_dir.read(RunRecord), run_dir.read_config().fingerprint()
            model = find_model(config, results) if record and record.encoder else None
            if record is None or (record.encoder and model is None):
                yield run_dir, None
                continue
            file, learned = pretrained_file(config, results), vectors_fingerprint(config, results)
            had = record.data_fingerprint, record.vectors_sha256, record.encoder and record.encoder.fingerprint, asked
            vectors = learned or (cached_sha256(file) if file else None)
            now = fingerprint(config.data), vectors, model and model.fingerprint, config.fingerprint()
            yield run_dir, had == now
        except SentimentError:
            yield run_dir, None


def reuse_completed(results: Results, grid: ExpandedGrid) -> None:
    """Copy such runs into this grid, each as a whole or not at all; the caller must hold the grid's lock."""
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
