"""Which runs differ in one setting and in nothing else, and which differ by their seed alone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from report.read.load import CompletedRun, Grid

_NO_QUESTIONS = {"seed", "data.folds", "data.fold"}


@dataclass(frozen=True)
class Matched:
    """The runs that differ in one parameter, and in nothing else but their seeds."""

    first: list[CompletedRun]
    second: list[CompletedRun]


def seeds_together(runs: Iterable[CompletedRun]) -> list[list[CompletedRun]]:
    """Runs that differ by their seed alone, together."""
    groups: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        groups[run.config.model_copy(update={"seed": 0}).fingerprint()].append(run)
    return list(groups.values())


def comparable(runs: list[CompletedRun]) -> list[CompletedRun]:
    """The runs without those whose ELMo vectors are random numbers, unless all are of that kind."""
    return [run for run in runs if not run.is_random] or runs


def varying(runs: Iterable[CompletedRun]) -> list[str]:
    """Names of the settings that differ between runs in which they do something, in the order of the schema.

    The seed is none, and neither are folds: they say which tweets are tested, not what the model is.
    """
    used = [(run.settings, run.config.unused_fields()) for run in runs]
    names = dict.fromkeys(name for settings, _ in used for name in settings if name not in _NO_QUESTIONS)
    return [
        name
        for name in names
        if len({settings.get(name) for settings, unused in used if not name.startswith(unused)}) > 1
    ]


def matched_runs(runs: Sequence[CompletedRun], parameter: str, first: Any, second: Any) -> list[Matched]:
    """The runs with one value of a parameter, and those with another that differ in nothing else but their seeds.

    Settings that do nothing with one of the values can't be equal on both sides: runs that differ in those are taken
    together.

    Args:
        parameter: its dotted name.
    """
    sides = [[run for run in runs if run.settings.get(parameter) == value] for value in (first, second)]
    ignored = set.union(*(_unused_by_all(side) for side in sides))
    firsts, seconds = (_by_others(side, parameter, ignored) for side in sides)
    return [Matched(of_first, seconds[others]) for others, of_first in firsts.items() if others in seconds]


def _by_others(runs: list[CompletedRun], parameter: str, ignored: set[str]) -> dict[Any, list[CompletedRun]]:
    """Runs by their other settings but the seed.

    Args:
        ignored: how the names of settings begin that are no part of the key; nor are those that do nothing in a run.
    """
    found: dict[Any, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        unused = (*ignored, *run.config.unused_fields())
        others = [one for one in run.settings.items() if one[0] not in (parameter, "seed")]
        found[frozenset(one for one in others if not one[0].startswith(unused))].append(run)
    return found


def _unused_by_all(runs: list[CompletedRun]) -> set[str]:
    return set.intersection(*(set(run.config.unused_fields()) for run in runs)) if runs else set()


def varied(grid: Grid) -> set[str]:
    """Names of the settings that a grid plans to vary, or that differ between its completed runs."""
    planned = grid.plan.parameters if grid.plan else {}
    return {*(name for name, values in planned.items() if len(values) > 1), *varying(grid.completed)}


def is_search(grid: Grid) -> bool:
    """Whether its runs are trials of a search, which differ in everything at once."""
    return grid.plan is not None and (grid.plan.method in ("random", "bayes") or bool(grid.rungs))
