"""From the possible values of parameters to the runs of a grid, in an order that never changes."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.grids.base_runs import Base
from jobs.grids.distributions import Distribution, uniform_number
from jobs.grids.sweep_file import MOST_RUNS
from sentiment.config import OPERATIONAL_SECTIONS, RunConfig
from sentiment.config_file import dotted, resolve
from sentiment.errors import ConfigError

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
