"""From the possible values of parameters to the runs of a grid, in an order that never changes."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from jobs.grids.sweep_file import MOST_RUNS, Choices, Distribution, SweepFile, draw
from sentiment.config import OPERATIONAL_SECTIONS, EncoderConfig, RunConfig
from sentiment.config_file import dotted, read_yaml, resolve
from sentiment.errors import ConfigError, DivergedError, UsageError
from sentiment.runs.records import Failure, GridPlan, PlannedRun, Result
from sentiment.runs.run_dir import Results
from sentiment.runs.state import read_rungs

# Errors that follow from the configuration alone, so that every attempt meets them. All others may go away without
# changing the run: with more memory or time, on another node, after a file was put back.
_IN_THE_CONFIGURATION = {DivergedError.__name__}

Finished = tuple[PlannedRun, Result]


@dataclass(frozen=True)
class Base:
    """A configuration that a grid's parameters are laid over.

    Attributes:
        origin: the file that it comes from.
        values: by section.
        file_values: those of the file in the grid's `command`; the same, unless the base is a run of another grid.
        parameters: of a run of another grid: its parameters there.
    """

    origin: str
    values: dict[str, Any]
    file_values: dict[str, Any]
    parameters: dict[str, Any]


def find_bases(sweep: SweepFile, results: Results) -> tuple[list[Base], list[str]]:
    """The base runs, or the runs of a finished grid that take their place; and a line for each that was left out.

    A run whose every attempt fails by its own configuration does not keep its grid unfinished, and is left out; of the
    best also those that differ from it in the seed alone, since a mean over the other seeds would be biased.
    """
    wanted, file_values = sweep.controller.base, read_yaml(sweep.base_file)
    if wanted is None:
        others = [Base(file, read_yaml(Path(file)), file_values, {}) for file in sweep.controller.files]
        return [Base(str(sweep.base_file), file_values, file_values, {}), *others], []
    what = f"grid {sweep.name!r} starts from runs of grid {wanted.grid!r}"
    plan = results.read_grid(wanted.grid)
    if plan is None:
        raise UsageError(
            f"{what}, which was never run with these results ({results.grid_file(wanted.grid)} is missing); run that "
            "one first"
        )
    finished, failed = _ended(what, plan, results)
    of_grid = f"of grid {plan.name}"
    left_out = [
        f"{run.run_id} {of_grid}, which fails whenever it is run: {one.error}: {one.reason}" for run, one in failed
    ]
    if wanted.runs == "overfitting":
        chosen = [run for run, result in finished if result.overfit.overfits]
    else:
        unsound = {_apart_from_seed(run) for run, _ in failed}
        partners = [run.run_id for run, _ in finished if _apart_from_seed(run) in unsound]
        left_out += [f"{run_id} {of_grid}: with another seed it fails whenever it is run" for run_id in partners]
        finished = [one for one in finished if one[0].run_id not in partners]
        chosen = _best(finished, sweep)[: wanted.count]
    if len(chosen) < wanted.count:
        kind = f"overfit: none of its {len(plan.runs)} does"
        if wanted.runs == "best":
            kind = f"do not overfit with any seed: wanted are {wanted.count} configurations, there are {len(chosen)}"
        raise UsageError("\n".join([f"{what} that {kind}", *(f"left out: {line}" for line in left_out)]))
    bases = []
    for run in chosen:
        run_dir = results.run_dir(run.run_id, plan.name)
        values = run_dir.read_config().model_dump(mode="json")
        bases.append(Base(str(run_dir.config_file), values, file_values, run.parameters))
    return bases, left_out


def _ended(what: str, plan: GridPlan, results: Results) -> tuple[list[Finished], list[tuple[PlannedRun, Failure]]]:
    """Runs with a result, and those that will never have one; those that a search has left behind are neither."""
    finished: list[Finished] = []
    failed, unfinished, rungs = [], [], read_rungs(results, plan)
    for run in plan.runs:
        run_dir = results.run_dir(run.run_id, plan.name)
        if result := run_dir.read(Result):
            finished.append((run, result))
        elif (failure := run_dir.read(Failure)) and failure.error in _IN_THE_CONFIGURATION:
            failed.append((run, failure))
        elif rungs is None or not rungs.is_decided(run.run_id):
            unfinished.append(run.run_id)
    if unfinished:
        few = ", ".join(unfinished[:3]) + (", …" if len(unfinished) > 3 else "")
        raise UsageError(
            f"{what}, which is not finished: {len(unfinished)} of {len(plan.runs)} runs have no result yet ({few}); "
            f"see `sentiment status {plan.name}`"
        )
    return finished, failed


def _best(finished: Sequence[Finished], sweep: SweepFile) -> list[PlannedRun]:
    """The first run of each configuration that never overfits, the best by the mean over seeds first."""
    seeds: dict[str, list[Finished]] = {}
    for one in finished:
        seeds.setdefault(_apart_from_seed(one[0]), []).append(one)
    sound = [runs for runs in seeds.values() if not any(result.overfit.overfits for _, result in runs)]
    sound.sort(key=lambda runs: fmean(sweep.metric.of(result.metrics) for _, result in runs), reverse=True)
    return [runs[0][0] for runs in sound]


def _apart_from_seed(run: PlannedRun) -> str:
    return json.dumps({key: value for key, value in run.parameters.items() if key != "seed"}, sort_keys=True)


# A draw may give a run that an earlier one gave; after so many of these in a row no others are looked for.
_MOST_REPEATS = 1_000
# Need not be told where only the encoder's name makes it one.
_OF_AN_ENCODER = dotted({"encoder": EncoderConfig().model_dump(mode="json", exclude={"model", "use"})})

# Sorts before all names of fields.
_BASE = ""


ExpandedRun = tuple[dict[str, Any], RunConfig]
"""What distinguishes a configuration from the file in the grid's `command`, by dotted name; and the configuration."""


def expand(
    bases: Sequence[Base], space: Mapping[str, Choices], trials: int | None = None, seed: int = 0
) -> tuple[list[ExpandedRun], list[str]]:
    """Lay each combination of values over each base, or as many combinations as are drawn.

    Parameters that do nothing in a run (attention's without attention) are left out, and runs that are then equal are
    one run, so that a grid may compare a feature with its absence.

    Returns:
        All runs, each once, and what is wrong with combinations that make no valid run.
    """
    every: dict[str, Choices] = {_BASE: range(len(bases)), **space}
    runs: dict[str, ExpandedRun] = {}
    refused: dict[str, list[dict[str, Any]]] = {}
    asked = failed = repeats = 0
    for combination in _sampled(every, seed) if trials else _all(every):
        if trials and len(runs) + failed == trials:
            break
        if trials and repeats > _MOST_REPEATS:
            raise ConfigError(
                f"run_cap = {trials}: only {len(runs) + failed:,} different runs were found; the last "
                f"{_MOST_REPEATS:,} draws repeat them"
            )
        asked, repeats = asked + 1, repeats + 1
        base = bases[combination.pop(_BASE)]
        try:
            run = _run(base, combination)
        except ConfigError as error:
            failed, repeats = failed + 1, 0
            for line in str(error).splitlines():
                refused.setdefault(line, []).append(combination)
            continue
        if run[1].run_id not in runs:
            runs[run[1].run_id], repeats = run, 0
    return list(runs.values()), [_describe(line, those, asked) for line, those in refused.items()]


def _run(base: Base, combination: dict[str, Any]) -> ExpandedRun:
    config = resolve(base.values, combination, base.origin)
    parameters = effective(base.parameters | combination, config)
    if base.file_values is not base.values:  # in which fields it differs from the file that the grid names
        ours, theirs = map(_identity, (config, resolve(base.file_values, parameters, base.origin)))
        known = _OF_AN_ENCODER | theirs
        parameters |= {name: value for name, value in ours.items() if name not in known or known[name] != value}
    return parameters, config


def _identity(config: RunConfig) -> dict[str, Any]:
    return dotted(config.model_dump(mode="json", exclude=set(OPERATIONAL_SECTIONS)))


def effective(parameters: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """The parameters without those that do nothing in a run."""
    unused = config.unused_fields()
    return {name: value for name, value in parameters.items() if not name.startswith(unused)}


def _sampled(space: Mapping[str, Choices], seed: int) -> Iterator[dict[str, Any]]:
    """A combination for each index, in which each parameter has a draw of its own; some may be equal."""
    for index in itertools.count():
        yield {name: draw(space[name], seed, name, index) for name in sorted(space)}


def _all(space: Mapping[str, Choices]) -> Iterator[dict[str, Any]]:
    lists = {name: space[name] for name in sorted(space)}
    values = [choices for choices in lists.values() if not isinstance(choices, Distribution)]
    sizes = {name: len(one) for name, one in zip(lists, values, strict=True)}
    if math.prod(sizes.values()) > MOST_RUNS:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:5]
        named = " x ".join(f"{sizes[name]:,} of {name}" for name in largest if sizes[name] > 1)
        raise ConfigError(f"the grid has more than {MOST_RUNS:,} combinations: {named}, and so on")
    return (dict(zip(lists, combination, strict=True)) for combination in itertools.product(*values))


def _describe(line: str, combinations: list[dict[str, Any]], asked: int) -> str:
    if len(combinations) == asked:
        return line
    example = ", ".join(f"{name}={value}" for name, value in combinations[0].items())
    return f"{line} [in {len(combinations)} of {asked} runs, first with {example}]"
