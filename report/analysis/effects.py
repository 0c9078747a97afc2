"""What each parameter of a grid does: means with the others averaged out, and differences between matched runs."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from report.analysis import statistics
from report.analysis.statistics import Difference, Estimate
from report.read.load import RANDOM_MARK, CompletedRun
from report.render import wording

Measure = Callable[[CompletedRun], float]


def test_accuracy(run: CompletedRun) -> float:
    """The score by which settings are compared."""
    return run.result.metrics["test"].accuracy


def seconds_per_epoch(run: CompletedRun) -> float:
    """The time by which settings are compared."""
    return run.result.seconds_per_epoch


def overfitting_gap(run: CompletedRun) -> float:
    """Training less validation accuracy at the best epoch."""
    return run.result.overfit.gap


@dataclass(frozen=True)
class Level:
    """One value of a parameter, all others averaged out."""

    value: Any
    shown: str
    """The value in words, with a mark if all its runs read random numbers."""
    name: str
    """With the parameter's name, where that is needed."""
    score: Estimate
    seconds: float
    """Per epoch."""


@dataclass(frozen=True)
class Contrast:
    """The best value against another, over pairs of runs that differ in nothing else."""

    best: Level
    other: Level
    score: Difference
    time_ratio: Difference
    """Seconds per epoch, best by other (geometric mean)."""
    q: float | None = None
    """p-value of the score, adjusted for the number of contrasts within the grid."""


@dataclass(frozen=True)
class Effect:
    """One parameter."""

    parameter: str
    levels: list[Level]
    contrasts: list[Contrast]

    @property
    def name(self) -> str:
        """As a reader calls it."""
        return wording.parameter_name(self.parameter)


def effects_of(runs: list[CompletedRun]) -> list[Effect]:
    """Of every parameter that varies among `runs`, apart from the seed and from runs on random numbers."""
    runs = comparable(runs)
    found = [_effect(runs, parameter) for parameter in varying(runs)]
    contrasts = [contrast for effect in found for contrast in effect.contrasts]
    tested = [contrast for contrast in contrasts if contrast.score.p is not None]
    adjusted = statistics.false_discovery_control([contrast.score.p or 0.0 for contrast in tested])
    q_values = {id(contrast): q for contrast, q in zip(tested, adjusted, strict=True)}
    return [
        Effect(
            effect.parameter,
            effect.levels,
            [Contrast(c.best, c.other, c.score, c.time_ratio, q_values.get(id(c))) for c in effect.contrasts],
        )
        for effect in found
    ]


def comparable(runs: list[CompletedRun]) -> list[CompletedRun]:
    """Without those whose ELMo vectors are random numbers, unless all are."""
    return [run for run in runs if not run.is_random] or runs


def varying(runs: list[CompletedRun]) -> list[str]:
    """Names of the settings that differ between runs in which they do something, in the order of the schema."""
    used = [(run.settings, run.config.unused_fields()) for run in runs]
    names = dict.fromkeys(name for settings, _ in used for name in settings if name != "seed")
    return [
        name
        for name in names
        if len({settings.get(name) for settings, unused in used if not name.startswith(unused)}) > 1
    ]


def matched_differences(
    runs: list[CompletedRun], parameter: str, first: Any, second: Any, measure: Measure
) -> list[float]:
    """`measure` with the first value less `measure` with the second, over runs that differ in nothing else.

    Settings that do nothing with one of the values can't be equal: over those the mean is taken.
    """
    sides = [[run for run in runs if run.settings.get(parameter) == value] for value in (first, second)]
    ignored = set.union(*(_unused_by_all(side) for side in sides))
    firsts, seconds = (_means_by_others(side, parameter, ignored, measure) for side in sides)
    return [value - seconds[others] for others, value in firsts.items() if others in seconds]


def _means_by_others(runs: list[CompletedRun], parameter: str, ignored: set[str], measure: Measure) -> dict[Any, float]:
    """Of runs by their other settings, without those that begin like one of `ignored` or do nothing in the run."""
    found: dict[Any, list[float]] = defaultdict(list)
    for run in runs:
        unused = (*ignored, *run.config.unused_fields())
        found[
            frozenset(one for one in run.settings.items() if one[0] != parameter and not one[0].startswith(unused))
        ].append(measure(run))
    return {others: sum(values) / len(values) for others, values in found.items()}


def _unused_by_all(runs: list[CompletedRun]) -> set[str]:
    return set.intersection(*(set(run.config.unused_fields()) for run in runs)) if runs else set()


def _effect(runs: list[CompletedRun], parameter: str) -> Effect:
    groups: dict[Any, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        if not parameter.startswith(run.config.unused_fields()):
            groups[run.settings.get(parameter)].append(run)
    levels = [_level(parameter, value, groups[value]) for value in sorted(groups, key=_order)]
    best = max(levels, key=lambda level: level.score.value)
    contrasts = [_contrast(runs, parameter, best, other) for other in levels if other is not best]
    return Effect(parameter, levels, [contrast for contrast in contrasts if contrast is not None])


def _order(value: Any) -> tuple[int, float, str]:
    is_number = isinstance(value, int | float)
    return (0 if value is None else 1 if is_number else 2, float(value) if is_number else 0.0, str(value))


def _level(parameter: str, value: Any, runs: list[CompletedRun]) -> Level:
    seconds = sum(seconds_per_epoch(run) for run in runs) / len(runs)
    score = statistics.mean([test_accuracy(run) for run in runs])
    mark = f" [{RANDOM_MARK}]" if all(run.is_random for run in runs) else ""
    shown, name = wording.parameter_value(parameter, value), wording.setting(parameter, value)
    return Level(value, shown + mark, name + mark, score, seconds)


def _contrast(runs: list[CompletedRun], parameter: str, best: Level, other: Level) -> Contrast | None:
    scores = matched_differences(runs, parameter, best.value, other.value, test_accuracy)
    if not scores:
        return None
    logs = matched_differences(
        runs, parameter, best.value, other.value, lambda run: math.log(max(seconds_per_epoch(run), 1e-9))
    )
    return Contrast(best, other, statistics.paired_difference(scores), _exponential(statistics.mean(logs)))


def _exponential(estimate: Estimate) -> Difference:
    bounds = [None if bound is None else math.exp(bound) for bound in (estimate.low, estimate.high)]
    return Difference(math.exp(estimate.value), bounds[0], bounds[1], estimate.n)


def sentence(effect: Effect) -> str:
    """What a parameter does, in words and with its uncertainty."""
    if not effect.contrasts:
        return f"{wording.capital(effect.name)}: no two runs differ in it alone, so its effect can't be singled out."
    best = effect.contrasts[0].best.name
    groups: dict[str, list[Contrast]] = defaultdict(list)
    for contrast in effect.contrasts:
        groups[_verdict(contrast)].append(contrast)
    clauses = []
    for verdict in (_BEATS, _EQUALS, _UNSURE):
        if others := groups[verdict]:
            listed = wording.listing([f"{one.other.name} ({_gap(one)})" for one in others])
            clauses.append(verdict.format(listed))
    return f"{wording.capital(best)} {' and '.join(clauses)}."


_BEATS = "beats {}"
_EQUALS = "can't be told apart from {}"
_UNSURE = "is ahead of {}, with nothing to judge the uncertainty by"


def _verdict(contrast: Contrast) -> str:
    if contrast.score.p is None:
        return _UNSURE if contrast.score.value else _EQUALS
    return _BEATS if statistics.is_shown(contrast.score, contrast.q) else _EQUALS


def _gap(contrast: Contrast) -> str:
    adjusted = "" if contrast.q is None else f", {wording.p_phrase(contrast.q, 'adjusted p')}"
    return f"{difference(contrast.score)}{adjusted}, {wording.plural(contrast.score.n, 'matched pair')}"


def difference(gap: Difference) -> str:
    """+0.1 \u00b1 0.3 points."""
    half = gap.half_width
    spread = "" if half is None else f" \u00b1 {100 * half:.1f}"
    return f"{wording.points(gap.value)}{spread} points"
