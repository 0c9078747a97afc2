"""Expands the values of parameters into the runs of a grid, in a stable order."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.grids.sweep_file import MOST_RUNS, Choices, GridFile, draw
from sentiment.config import OPERATIONAL_FIELDS, EncoderConfig, RunConfig
from sentiment.config_file import dotted, resolve
from sentiment.errors import ConfigError
from sentiment.runs.records import StartsFrom
from sentiment.runs.run_dir import Results


@dataclass(frozen=True)
class Base:
    """A base configuration, to which the parameters of a grid are applied.

    Attributes:
        origin: the file that it comes from.
        values: its fields, by section.
        file_values: the fields of the file that the grid's `command` names; equal to `values` unless the base is a run
            of another grid.
        parameters: if the base is a run of another grid, the run's parameters in that grid; else empty.
        absent_sections: of a grid of several files, the sections `elmo.` and `encoder.` that this file lacks: their
            parameters are dropped for it, so that a grid can compare files with and without an encoder.
    """

    origin: str
    values: dict[str, Any]
    file_values: dict[str, Any]
    parameters: dict[str, Any]
    absent_sections: tuple[str, ...] = ()


def file_bases(file: GridFile) -> list[Base]:
    """The run files that a grid starts from."""
    controller = file.sweep.controller
    file_values = file.run_files[str(file.sweep.base_file)]
    bases = []
    for name in dict.fromkeys([str(file.sweep.base_file), *controller.files]):
        values = file.run_files[name]
        missing = [f"{section}." for section in ("elmo", "encoder") if section not in values]
        bases.append(Base(name, values, file_values, {}, tuple(missing) if controller.files else ()))
    return bases


def run_bases(file: GridFile, starts_from: StartsFrom, results: Results) -> list[Base]:
    """The configurations of the chosen runs of another grid."""
    plan = results.read_grid(starts_from.grid)
    parameters = {run.run_id: run.parameters for run in plan.runs} if plan else {}
    bases = []
    for run_id in starts_from.run_ids:
        run_dir = results.run_dir(run_id, starts_from.grid)
        config = run_dir.read_config()
        bases.append(planned_base(file, str(run_dir.config_file), config, parameters[run_id]))
    return bases


def planned_base(file: GridFile, origin: str, config: RunConfig, parameters: dict[str, Any]) -> Base:
    """A run of another grid as a base configuration."""
    values = config.model_dump(mode="json")
    return Base(origin, values, file.run_files[str(file.sweep.base_file)], parameters)


# Give up after this many draws in a row that repeat earlier runs.
_MAX_REPEATS = 1_000
# The fields that a run has as soon as it names an encoder; such a field is no difference from a file without one.
_ENCODER_DEFAULTS = dotted({"encoder": EncoderConfig().model_dump(mode="json", exclude={"model", "use"})})

# Stands for the base configuration among the parameters; it sorts before all names of fields.
_BASE = ""


ExpandedRun = tuple[dict[str, Any], RunConfig]
"""A configuration, after the fields, by dotted name, in which it differs from the file in the grid's `command`."""


def expand(
    bases: Sequence[Base], space: Mapping[str, Choices], trials: int | None = None, seed: int = 0
) -> tuple[list[ExpandedRun], list[str]]:
    """Apply every combination of values, or `trials` randomly drawn ones, to the bases.

    Parameters without effect in a run (attention's without attention) are dropped, and identical runs are merged, so
    that a grid may compare a feature with its absence.

    Returns:
        All runs, each once, and the errors of invalid combinations.

    Raises:
        ConfigError: fewer than `trials` different runs were found.
    """
    with_base: dict[str, Choices] = {_BASE: Choices(range(len(bases))), **space}
    runs: dict[str, ExpandedRun] = {}
    errors: dict[str, list[dict[str, Any]]] = defaultdict(list)
    tried = 0
    failed = 0
    repeats = 0
    for combination in _random_combinations(with_base, seed) if trials else _all_combinations(with_base):
        if trials and len(runs) + failed == trials:
            break
        if trials and repeats > _MAX_REPEATS:
            raise ConfigError(
                f"run_cap = {trials}: only {len(runs) + failed:,} different runs were found; the last "
                f"{_MAX_REPEATS:,} draws repeat them; lower run_cap"
            )
        tried += 1
        repeats += 1
        base = bases[combination.pop(_BASE)]
        try:
            parameters, config = _apply(base, combination)
        except ConfigError as error:
            failed += 1
            repeats = 0
            for line in str(error).splitlines():
                errors[line].append(combination)
            continue
        if config.run_id not in runs:
            runs[config.run_id] = (parameters, config)
            repeats = 0
    return list(runs.values()), [_describe_error(line, combinations, tried) for line, combinations in errors.items()]


def _apply(base: Base, combination: dict[str, Any]) -> ExpandedRun:
    combination = {name: value for name, value in combination.items() if not name.startswith(base.absent_sections)}
    config = resolve(base.values, combination, base.origin)
    parameters = effective(base.parameters | combination, config)
    if base.file_values is not base.values:  # add the fields in which the other grid's run differs from the file
        run_fields = _identifying_fields(config)
        file_fields = _identifying_fields(resolve(base.file_values, parameters, base.origin))
        known = _ENCODER_DEFAULTS | file_fields
        parameters |= {name: value for name, value in run_fields.items() if name not in known or known[name] != value}
    return parameters, config


def _identifying_fields(config: RunConfig) -> dict[str, Any]:
    return dotted(config.model_dump(mode="json", exclude=set(OPERATIONAL_FIELDS)))


def effective(parameters: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """The parameters that have an effect in a run."""
    unused = config.unused_fields()
    return {name: value for name, value in parameters.items() if not name.startswith(unused)}


def _random_combinations(space: Mapping[str, Choices], seed: int) -> Iterator[dict[str, Any]]:
    """An endless stream of random combinations, one for each index; there may be duplicates."""
    for index in itertools.count():
        yield {name: draw(space[name], seed, name, index) for name in sorted(space)}


def _all_combinations(space: Mapping[str, Choices]) -> Iterator[dict[str, Any]]:
    lists = {name: space[name].values for name in sorted(space)}
    if math.prod(map(len, lists.values())) > MOST_RUNS:
        largest = max(lists, key=lambda name: len(lists[name]))
        raise ConfigError(
            f"the grid has more than {MOST_RUNS:,} combinations; {largest} alone has {len(lists[largest]):,} values"
        )
    return (dict(zip(lists, combination, strict=True)) for combination in itertools.product(*lists.values()))


def _describe_error(line: str, combinations: list[dict[str, Any]], tried: int) -> str:
    if len(combinations) == tried:
        return line
    example = ", ".join(f"{name}={value}" for name, value in combinations[0].items())
    return f"{line} [in {len(combinations)} of {tried} runs, first with {example}]"
