"""Grouping and matching of runs: the seeds of a configuration, and runs that differ in one setting."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from report.evaluated import EvaluatedRun
from report.read import Grid
from sentiment.config import ElmoConfig, EncoderConfig

Runs = list[EvaluatedRun]

# Settings that choose the test tweets or the random seed, and are not properties of the model.
_NOT_COMPARED = {"seed", "data.folds", "data.fold"}
# The settings that have no effect in a run without ELMo, or without another encoder; `model` says that there is none.
_OF_ELMO = [f"elmo.{name}" for name in ElmoConfig.model_fields if name != "model"]
_OF_ENCODER = [f"encoder.{name}" for name in EncoderConfig.model_fields if name != "model"]


def unused(run: EvaluatedRun) -> tuple[str, ...]:
    """Name prefixes of the settings without effect in a run."""
    of_elmo = [] if run.config.elmo else _OF_ELMO
    of_encoder = [] if run.config.encoder else _OF_ENCODER
    return (*run.config.unused_fields(), *of_elmo, *of_encoder)


def seeds_together(runs: Iterable[EvaluatedRun]) -> list[Runs]:
    """Runs by configuration: those of a group differ only in their seeds, and were trained on the same tweets."""
    groups: dict[Any, Runs] = defaultdict(list)
    for run in runs:
        settings = run.settings | {"seed": None}
        groups[frozenset(settings.items()), *run.corpora].append(run)
    return list(groups.values())


def varying(runs: Iterable[EvaluatedRun]) -> list[str]:
    """The settings that vary among the runs in which they have an effect, in the order of the schema."""
    with_prefixes = [(run.settings, unused(run)) for run in runs]
    names = dict.fromkeys(name for settings, _ in with_prefixes for name in settings if name not in _NOT_COMPARED)
    varied = []
    for name in names:
        values = {settings.get(name) for settings, prefixes in with_prefixes if not name.startswith(prefixes)}
        if len(values) > 1:
            varied.append(name)
    return varied


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the settings that differ, the seed apart; a setting that is missing is None."""
    names = dict.fromkeys(name for run_settings in settings for name in run_settings if name != "seed")
    return [name for name in names if len({str(run_settings.get(name)) for run_settings in settings}) > 1]


def match(firsts: Runs, seconds: Runs, parameters: Collection[str]) -> list[tuple[Runs, Runs]]:
    """Match runs that are equal in all settings but the seed and `parameters`.

    Settings without effect on one of the two sides cannot be equal on both, and are ignored.
    """
    ignored = _unused_in_all(firsts) | _unused_in_all(seconds)
    first_groups = _by_remaining_settings(firsts, parameters, ignored)
    second_groups = _by_remaining_settings(seconds, parameters, ignored)
    return [(group, second_groups[key]) for key, group in first_groups.items() if key in second_groups]


def _unused_in_all(runs: Runs) -> set[str]:
    return set.intersection(*(set(unused(run)) for run in runs)) if runs else set()


def _by_remaining_settings(runs: Runs, parameters: Collection[str], ignored: set[str]) -> dict[Any, Runs]:
    groups: dict[Any, Runs] = defaultdict(list)
    compares_data = any(name.startswith("data.") for name in parameters)
    for run in runs:
        prefixes = (*ignored, *unused(run))
        remaining = [
            (name, value)
            for name, value in run.settings.items()
            if name != "seed" and name not in parameters and not name.startswith(prefixes)
        ]
        # Runs with the same data settings have the same data, unless a table was edited between them.
        data = run.table if compares_data else "".join(run.corpora)
        groups[frozenset(remaining), data].append(run)
    return groups


def is_search(grid: Grid) -> bool:
    """Whether the grid is a random search, or one in rungs, whose trials differ in all parameters at once."""
    return grid.plan is not None and (grid.plan.method == "random" or bool(grid.rungs))
