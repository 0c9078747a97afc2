"""What each parameter of a grid does: means with the others averaged out, and differences between matched runs."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from report import statistics
from report.read.load import CompletedRun
from report.statistics import Difference, Estimate

Measure = Callable[[CompletedRun], float]


def test_accuracy(run: CompletedRun) -> float:
    """The score by which settings are compared."""
    return run.result.metrics["test"].accuracy


def seconds_per_epoch(run: CompletedRun) -> float:
    """The time by which settings are compared."""
    return run.result.seconds_per_epoch


def overfitting_gap(run: CompletedRun) -> float:
    """Training accuracy less validation accuracy at the best epoch."""
    return run.result.overfit.gap


@dataclass(frozen=True)
class Level:
    """One value of a parameter, all others averaged out."""

    value: Any
    is_random: bool
    """Whether all runs with it read random numbers in place of ELMo."""
    score: Estimate
    """Test accuracy, with Student's interval over runs."""
    seconds: float
    """Mean per epoch."""


@dataclass(frozen=True)
class Contrast:
    """The best value against another, over pairs of runs that differ in nothing else."""

    best: Level
    other: Level
    score: Difference
    """Test accuracy with the best value less that with the other."""
    time_ratio: Difference
    """Seconds per epoch, best by other (geometric mean)."""
    q: float | None = None
    """p-value of the score, adjusted for the number of contrasts within the grid."""


@dataclass(frozen=True)
class Effect:
    """What one parameter does."""

    parameter: str
    """Its dotted name."""
    levels: list[Level]
    contrasts: list[Contrast]


_NO_QUESTIONS = {"seed", "data.folds", "data.fold"}


def effects_of(runs: list[CompletedRun]) -> list[Effect]:
    """The effect of every setting that varies among `runs`; those on random numbers are left out."""
    runs = comparable(runs)
    found = [_effect(runs, parameter) for parameter in varying(runs)]
    scores, q_values = statistics.corrected([contrast.score for effect in found for contrast in effect.contrasts])
    both = iter(zip(scores, q_values, strict=True))
    return [replace(effect, contrasts=[_corrected(one, *next(both)) for one in effect.contrasts]) for effect in found]


def _corrected(contrast: Contrast, score: Difference, q: float | None) -> Contrast:
    return replace(contrast, score=score, q=q)


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


def matched_differences(
    runs: list[CompletedRun], parameter: str, first: Any, second: Any, measure: Measure
) -> list[float]:
    """`measure` with one value of a parameter less `measure` with another, over runs that differ in nothing else.

    Settings that do nothing with one of the values can't be equal on both sides: over those the mean is taken.

    Args:
        parameter: its dotted name.
        first: the value whose measure counts positively.
        second: the value whose measure is subtracted.

    Returns:
        One difference for each pair.
    """
    sides = [[run for run in runs if run.settings.get(parameter) == value] for value in (first, second)]
    ignored = set.union(*(_unused_by_all(side) for side in sides))
    firsts, seconds = (_means_by_others(side, parameter, ignored, measure) for side in sides)
    return [value - seconds[others] for others, value in firsts.items() if others in seconds]


def _means_by_others(runs: list[CompletedRun], parameter: str, ignored: set[str], measure: Measure) -> dict[Any, float]:
    """Mean measure of the runs by their other settings.

    Args:
        ignored: how the names of settings begin that are no part of the key; nor are those that do nothing in a run.
    """
    found: dict[Any, list[float]] = defaultdict(list)
    for run in runs:
        unused = (*ignored, *run.config.unused_fields())
        others = [one for one in run.settings.items() if one[0] != parameter and not one[0].startswith(unused)]
        found[frozenset(others)].append(measure(run))
    return {others: sum(values) / len(values) for others, values in found.items()}


def _unused_by_all(runs: list[CompletedRun]) -> set[str]:
    return set.intersection(*(set(run.config.unused_fields()) for run in runs)) if runs else set()


def _effect(runs: list[CompletedRun], parameter: str) -> Effect:
    groups: dict[Any, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        if not parameter.startswith(run.config.unused_fields()):
            groups[run.settings.get(parameter)].append(run)
    levels = [_level(value, groups[value]) for value in sorted(groups, key=_order)]
    best = max(levels, key=lambda level: level.score.value)
    contrasts = [_contrast(runs, parameter, best, other) for other in levels if other is not best]
    return Effect(parameter, levels, [contrast for contrast in contrasts if contrast is not None])


def _order(value: Any) -> tuple[int, float, str]:
    is_number = isinstance(value, int | float)
    return (0 if value is None else 1 if is_number else 2, float(value) if is_number else 0.0, str(value))


def _level(value: Any, runs: list[CompletedRun]) -> Level:
    seconds = sum(seconds_per_epoch(run) for run in runs) / len(runs)
    score = statistics.mean_share([test_accuracy(run) for run in runs])
    return Level(value, all(run.is_random for run in runs), score, seconds)


def _contrast(runs: list[CompletedRun], parameter: str, best: Level, other: Level) -> Contrast | None:
    scores = matched_differences(runs, parameter, best.value, other.value, test_accuracy)
    if not scores:
        return None
    logs = matched_differences(
        runs, parameter, best.value, other.value, lambda run: math.log(max(seconds_per_epoch(run), 1e-9))
    )
    return Contrast(best, other, statistics.paired_difference(scores, 1.0), _exponential(statistics.mean(logs)))


def _exponential(estimate: Estimate) -> Difference:
    bounds = [None if bound is None else math.exp(bound) for bound in (estimate.low, estimate.high)]
    return Difference(math.exp(estimate.value), bounds[0], bounds[1], estimate.n)
