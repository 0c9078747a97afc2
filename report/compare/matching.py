"""Which runs differ in one setting and in nothing else, and which differ by their seed alone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from report.read import CompletedRun, Grid
from sentiment.config import ElmoConfig, EncoderConfig

# They say which tweets are tested, and with what luck, not what the model is.
_NO_QUESTIONS = {"seed", "data.folds", "data.fold"}
_OF_ELMO = tuple(f"elmo.{name}" for name in ElmoConfig.model_fields if name != "model")
_OF_ENCODER = tuple(f"encoder.{name}" for name in EncoderConfig.model_fields if name != "model")
Runs = list[CompletedRun]


def unused(run: CompletedRun) -> tuple[str, ...]:
    """How the names of settings begin that do nothing in a run."""
    absent = (*(() if run.config.elmo else _OF_ELMO), *(() if run.config.encoder else _OF_ENCODER))
    return (*run.config.unused_fields(), *absent)


def seeds_together(runs: Iterable[CompletedRun]) -> list[Runs]:
    """Runs that differ by their seed alone, together."""
    groups: dict[str, Runs] = defaultdict(list)
    for run in runs:
        groups[run.config.model_copy(update={"seed": 0}).fingerprint()].append(run)
    return list(groups.values())


def comparable(runs: Runs) -> Runs:
    """The runs without those whose ELMo vectors are random numbers, unless all are of that kind."""
    return [run for run in runs if not run.is_random] or runs


def varying(runs: Iterable[CompletedRun]) -> list[str]:
    """Names of the settings that differ between runs in which they do something, in the order of the schema."""
    used = [(run.settings, unused(run)) for run in runs]
    names = dict.fromkeys(name for settings, _ in used for name in settings if name not in _NO_QUESTIONS)
    return [name for name in names if len({one.get(name) for one, without in used if not name.startswith(without)}) > 1]


def matched_runs(runs: Sequence[CompletedRun], parameter: str, first: Any, second: Any) -> list[tuple[Runs, Runs]]:
    """The runs with one value of a parameter, and those with another that differ in nothing else but their seeds.

    Settings that do nothing with one of the values can't be equal on both sides: runs that differ in those are taken
    together.

    Args:
        parameter: its dotted name.
    """
    sides = [[run for run in runs if run.settings.get(parameter) == value] for value in (first, second)]
    ignored = set.union(*(_unused_by_all(side) for side in sides))
    firsts, seconds = (_by_others(side, parameter, ignored) for side in sides)
    return [(of_first, seconds[others]) for others, of_first in firsts.items() if others in seconds]


def _by_others(runs: Runs, parameter: str, ignored: set[str]) -> dict[Any, Runs]:
    """Runs by their other settings but the seed.

    Args:
        ignored: how the names of settings begin that are no part of the key; nor are those that do nothing in a run.
    """
    found: dict[Any, Runs] = defaultdict(list)
    for run in runs:
        without = (*ignored, *unused(run))
        others = [one for one in run.settings.items() if one[0] not in (parameter, "seed")]
        found[frozenset(one for one in others if not one[0].startswith(without))].append(run)
    return found


def _unused_by_all(runs: Runs) -> set[str]:
    return set.intersection(*({*unused(run)} for run in runs)) if runs else set()


def is_search(grid: Grid) -> bool:
    """Whether its runs are trials of a search, which differ in everything at once."""
    return grid.plan is not None and (grid.plan.method in ("random", "bayes") or bool(grid.rungs))
