"""From the possible values of parameters to the runs of a grid, in an order that never changes."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from jobs.grids.sweep_file import MOST_RUNS, BaseRuns, Distribution, Metric, SweepFile, uniform_number
from sentiment.config import OPERATIONAL_SECTIONS, RunConfig
from sentiment.config_file import dotted, read_yaml, resolve
from sentiment.errors import ConfigError, DivergedError, UsageError
from sentiment.runs.records import Failure, GridPlan, PlannedRun, Result
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.rungs import read_rungs

# Errors that follow from the configuration alone, so that every attempt meets them. All others may go away without
# changing the run: with more memory or time, on another node, after a file was put back.
_IN_THE_CONFIGURATION = {DivergedError.__name__}


Finished = tuple[PlannedRun, Result]
Failed = tuple[PlannedRun, Failure]


@dataclass(frozen=True)
class Base:
    """A configuration that a grid's parameters are laid over."""

    origin: str
    """The file that it comes from."""
    values: dict[str, Any]
    """By section."""
    file_values: dict[str, Any]
    """Those of the file in the grid's `command`; the same, unless the base is a run of another grid."""
    parameters: dict[str, Any]
    """Of a run of another grid: its parameters there."""


@dataclass(frozen=True)
class Bases:
    """What a grid's parameters are laid over."""

    chosen: list[Base]
    left_out: list[str]
    """A line for each run of the other grid that could not be considered, and why."""


def find_bases(sweep: SweepFile, results: Results) -> Bases:
    """The base run, or the runs of a finished grid that take its place.

    A run whose every attempt fails by its own configuration does not keep its grid unfinished, and is left out.

    Raises:
        ConfigError: the file in the grid's `command` is missing or is no YAML.
        UsageError: the other grid is not planned or not finished, or none of its runs is wanted.
        RunDirError: a run of the other grid cannot be read.
    """
    wanted, file_values = sweep.controller.base, read_yaml(sweep.base_file)
    if wanted is None:
        return Bases([Base(str(sweep.base_file), file_values, file_values, {})], [])
    plan = results.read_grid(wanted.grid)
    if plan is None:
        raise UsageError(
            f"grid {sweep.name!r} starts from runs of grid {wanted.grid!r}, which was never run with these results "
            f"({results.grid_file(wanted.grid)} is missing); run that one first"
        )
    finished, failed = _ended(sweep.name, plan, results)
    left_out = [
        f"{run.run_id} of grid {plan.name}, which fails whenever it is run: {failure.error}: {failure.reason}"
        for run, failure in failed
    ]
    try:
        if wanted.runs == "overfitting":
            chosen = _overfitting(sweep.name, plan, finished)
        else:
            finished, partners = _without_partners(finished, [run for run, _ in failed])
            left_out += [
                f"{run.run_id} of grid {plan.name}: with another seed it fails whenever it is run" for run in partners
            ]
            chosen = _best(sweep.name, plan, finished, sweep.metric, wanted)
    except UsageError as error:
        raise UsageError("\n".join([str(error), *(f"left out: {line}" for line in left_out)])) from None
    run_dirs = (results.run_dir(run.run_id, plan.name) for run in chosen)
    return Bases([_base(run_dir, run, file_values) for run_dir, run in zip(run_dirs, chosen, strict=True)], left_out)


def _base(run_dir: RunDir, run: PlannedRun, file_values: dict[str, Any]) -> Base:
    values = run_dir.read_config().model_dump(mode="json")
    return Base(str(run_dir.config_file), values, file_values, run.parameters)


def _ended(name: str, plan: GridPlan, results: Results) -> tuple[list[Finished], list[Failed]]:
    """Runs with a result, and those that will never have one; those that a search has left behind are neither.

    Raises:
        UsageError: other runs may still get a result.
    """
    finished: list[Finished] = []
    failed: list[Failed] = []
    unfinished = []
    rungs = read_rungs(results, plan)
    for run in plan.runs:
        run_dir = results.run_dir(run.run_id, plan.name)
        if result := run_dir.read_result():
            finished.append((run, result))
        elif (failure := run_dir.read_failure()) and failure.error in _IN_THE_CONFIGURATION:
            failed.append((run, failure))
        elif rungs is None or not rungs.is_decided(run.run_id):
            unfinished.append(run.run_id)
    if unfinished:
        few = ", ".join(unfinished[:3]) + (", …" if len(unfinished) > 3 else "")
        raise UsageError(
            f"grid {name!r} starts from runs of grid {plan.name!r}, which is not finished: {len(unfinished)} of "
            f"{len(plan.runs)} runs have no result yet ({few}); see `python -m jobs status {plan.name}`"
        )
    return finished, failed


def _overfitting(name: str, plan: GridPlan, finished: Iterable[Finished]) -> list[PlannedRun]:
    chosen = [run for run, result in finished if result.overfit.overfits]
    if not chosen:
        raise UsageError(
            f"grid {name!r} starts from runs of grid {plan.name!r} that overfit: none of its {len(plan.runs)} does"
        )
    return chosen


def _without_partners(
    finished: Iterable[Finished], failed: Iterable[PlannedRun]
) -> tuple[list[Finished], list[PlannedRun]]:
    """Separate runs whose configuration failed with another seed: a mean over the other seeds would be biased."""
    unsound = {_apart_from_seed(run) for run in failed}
    kept: list[Finished] = []
    partners = []
    for run, result in finished:
        if _apart_from_seed(run) in unsound:
            partners.append(run)
        else:
            kept.append((run, result))
    return kept, partners


def _best(
    name: str, plan: GridPlan, finished: Iterable[Finished], metric: Metric, wanted: BaseRuns
) -> list[PlannedRun]:
    """The first run of each of the best configurations, which stands for all of its seeds."""
    seeds: dict[str, list[Finished]] = {}
    for run, result in finished:
        seeds.setdefault(_apart_from_seed(run), []).append((run, result))
    sound = [runs for runs in seeds.values() if not any(result.overfit.overfits for _, result in runs)]
    if len(sound) < wanted.count:
        every = {_apart_from_seed(run) for run in plan.runs}
        raise UsageError(
            f"grid {name!r} starts from the best {wanted.count} of grid {plan.name!r} that do not overfit, but only "
            f"{len(sound)} of its {len(every)} configurations do not overfit with any seed"
        )
    by_mean = sorted(sound, key=lambda runs: fmean(metric.of(result.metrics) for _, result in runs), reverse=True)
    return [runs[0][0] for runs in by_mean[: wanted.count]]


def _apart_from_seed(run: PlannedRun) -> str:
    return json.dumps({key: value for key, value in run.parameters.items() if key != "seed"}, sort_keys=True)


# The order in which scikit-learn draws depends on the share of all combinations that it is asked for; above 99 % they
# come in their own order. It is therefore always asked for the same share, and the first trials of it are taken: so a
# larger number of trials continues a smaller one.
_SHARE = 0.98
_MOST_COMBINATIONS = 1_000_000
# A draw may give a run that an earlier one gave; after so many of these in a row no others are looked for.
_MOST_REPEATS = 1_000
_MOST_NAMED = 5
_MOST_WRITTEN = 10**15

# Sorts before all names of fields.
_BASE = ""


Choices = Sequence[Any] | Distribution
"""The values that a parameter may take."""


@dataclass(frozen=True)
class Draw:
    """How trials of a random search are chosen."""

    seed: int
    trials: int


@dataclass(frozen=True)
class _Alike:
    """Values that are drawn alike, beside distributions."""

    values: Sequence[Any]

    def draw(self, seed: int, parameter: str, index: int) -> Any:
        return self.values[int(uniform_number(seed, parameter, index) * len(self.values))]


@dataclass(frozen=True)
class ExpandedRun:
    """A configuration, and what distinguishes it from the file in the grid's `command`."""

    parameters: dict[str, Any]
    """By dotted name."""
    config: RunConfig


@dataclass(frozen=True)
class Expansion:
    """All runs, each once, and what is wrong with combinations that make no valid run."""

    runs: list[ExpandedRun]
    mistakes: list[str]


def expand(bases: Sequence[Base], space: Mapping[str, Choices], draw: Draw | None = None) -> Expansion:
    """Lay each combination of values over each base, or as many combinations as are drawn.

    Parameters that do nothing in a run (attention's without attention) are left out, and runs that are then equal are
    one run, so that a grid may compare a feature with its absence.

    Args:
        space: values by dotted name; distributions only with `draw`.

    Raises:
        ConfigError: there are too many combinations, or fewer different runs than are to be drawn.
    """
    combinations = _combinations({_BASE: range(len(bases)), **space}, draw)
    runs: dict[str, ExpandedRun] = {}
    refused: dict[str, list[dict[str, Any]]] = {}
    asked = failed = new = 0
    for combination in combinations:
        if draw and len(runs) + failed == draw.trials:
            break
        if draw and asked - new > _MOST_REPEATS:
            raise ConfigError(
                f"run_cap = {draw.trials}: only {len(runs) + failed:,} different runs were found; the last "
                f"{_MOST_REPEATS:,} draws repeat them"
            )
        asked += 1
        base = bases[combination.pop(_BASE)]
        try:
            config = resolve(base.values, combination, base.origin)
        except ConfigError as error:
            failed += 1
            new = asked
            for line in str(error).splitlines():
                refused.setdefault(line, []).append(combination)
            continue
        parameters = _effective(base.parameters | combination, config)
        if base.file_values is not base.values:
            parameters |= _differences(config, resolve(base.file_values, parameters, base.origin))
        if config.run_id not in runs:
            runs[config.run_id] = ExpandedRun(parameters, config)
            new = asked
    mistakes = [_describe(line, combinations, asked) for line, combinations in refused.items()]
    return Expansion(list(runs.values()), mistakes)


def _combinations(space: Mapping[str, Choices], draw: Draw | None) -> Iterator[dict[str, Any]]:
    lists = {name: values for name, values in space.items() if not isinstance(values, Distribution)}
    if draw and len(lists) < len(space):
        return _sampled(space, draw)
    return _drawn(lists, draw) if draw else _every(lists)


def _sampled(space: Mapping[str, Choices], draw: Draw) -> Iterator[dict[str, Any]]:
    """A combination for each index, in which each parameter has a draw of its own; some may be equal."""
    every = {name: space[name] for name in sorted(space)}
    drawn = {name: one if isinstance(one, Distribution) else _Alike(one) for name, one in every.items()}
    for index in itertools.count():
        yield {name: values.draw(draw.seed, name, index) for name, values in drawn.items()}


def _every(space: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """All combinations, the last name varying fastest."""
    size = math.prod(len(values) for values in space.values())
    if size > MOST_RUNS:
        largest = sorted(space, key=lambda name: -len(space[name]))
        sizes = " x ".join(f"{len(space[name]):,} of {name}" for name in largest[:_MOST_NAMED] if len(space[name]) > 1)
        more = " x ..." if len(space) > _MOST_NAMED else ""
        told = f"{size:,}" if size <= _MOST_WRITTEN else "more than 10^15"
        raise ConfigError(f"the grid has {told} combinations ({sizes}{more}), and {MOST_RUNS:,} are the most")
    names = sorted(space)
    for values in itertools.product(*(space[name] for name in names)):
        yield dict(zip(names, values, strict=True))


def _drawn(space: Mapping[str, Sequence[Any]], draw: Draw) -> Iterator[dict[str, Any]]:
    """Most combinations, in random order and without repeats."""
    from sklearn.model_selection import ParameterSampler  # takes seconds, and other grids do without

    size = math.prod(len(values) for values in space.values())
    if not draw.trials <= _SHARE * size <= _MOST_COMBINATIONS:
        raise ConfigError(
            f"run_cap = {draw.trials}: are to be drawn from {size:,} combinations of values; valid are up to "
            f"{_MOST_COMBINATIONS:,} combinations and {_SHARE:.0%} of them as run_cap (method grid runs all)"
        )
    lists = {name: list(values) for name, values in space.items()}
    for combination in ParameterSampler(lists, n_iter=int(_SHARE * size), random_state=draw.seed):
        yield dict(sorted(combination.items()))


def _effective(parameters: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    unused = config.unused_fields()
    return {name: value for name, value in parameters.items() if not name.startswith(unused)}


def _differences(config: RunConfig, other: RunConfig) -> dict[str, Any]:
    """The fields of a run's identity in which it differs from another, with its own values, by dotted name."""
    operational = set(OPERATIONAL_SECTIONS)
    ours, theirs = (dotted(one.model_dump(mode="json", exclude=operational)) for one in (config, other))
    return {name: value for name, value in ours.items() if name not in theirs or theirs[name] != value}


def _describe(line: str, combinations: list[dict[str, Any]], asked: int) -> str:
    """A mistake, and in how many runs it is unless it is in all."""
    if len(combinations) == asked:
        return line
    example = ", ".join(f"{name}={value}" for name, value in combinations[0].items())
    return f"{line} [in {len(combinations)} of {asked} runs, first with {example}]"
