"""Verdicts on stated hypotheses: shown, shown to be false, or open.

A hypothesis says that the difference of its two sides lies in a region: above 0, below 0, or within a margin. It is
shown if the interval of the difference lies in the region, and shown to be false if it lies outside; each of the two is
an error in at most 5 % of the cases. The interval leaves out 5 % at either end (Schuirmann 1987: two one-sided tests),
divided for the hypotheses that were stated together, and by the number of pairs that the best configurations were
selected from.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from report.compare.answers import Answers, Group
from report.compare.datasets import Configuration, configurations_of, design_of
from report.compare.matching import Runs, comparable, is_search, match, seeds_together, unused
from report.compare.measures import Configurations, OverfittingGaps, best_epochs, value_design, value_difference
from report.designs import Design, Drawn, Matched, NotComparableError, TwoModels
from report.evaluated import Reader
from report.read import Grid, Study
from report.statistics import Difference, VarianceEvidence
from sentiment.paired import correct_for_multiple_tests
from sentiment.runs.hypotheses import BestOf, Hypothesis, StatedHypothesis
from sentiment.runs.predictions import Kind
from sentiment.runs.records import GridPlan

Outcome = Literal["shown", "shown to be false", "open"]


@dataclass(frozen=True)
class Verdict:
    """What the runs of a grid say about a hypothesis.

    Attributes:
        is_late: whether it was stated after the first run of the grid had ended.
        difference: the first side minus the second, with the interval that decides and the adjusted p-value of the
            outcome; None if the sides cannot be compared.
        problem: why they cannot; else empty.
        n_runs: the numbers of runs on both sides.
    """

    grid: Grid
    hypothesis: Hypothesis
    is_late: bool
    difference: Difference | None = None
    problem: str = ""
    n_runs: tuple[int, int] = (0, 0)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of the difference; None if they are unknown."""
        difference = self.difference
        if difference is None or difference.low is None or difference.high is None:
            return None
        return difference.low, difference.high

    @property
    def outcome(self) -> Outcome:
        if self.interval is None:
            return "open"
        low, high = self.hypothesis.region
        if low < self.interval[0] and self.interval[1] < high:
            return "shown"
        is_outside = self.interval[1] < low or self.interval[0] > high
        return "shown to be false" if is_outside else "open"

    @property
    def could_show(self) -> float | None:
        """The smallest margin within which the same runs would show it; without a margin, the smallest difference."""
        if self.difference is None or self.interval is None:
            return None
        low, high = self.hypothesis.region
        if self.hypothesis.within:
            below = -self.interval[0] if math.isfinite(low) else 0.0
            above = self.interval[1] if math.isfinite(high) else 0.0
            return max(below, above)
        return self.difference.value - self.interval[0] if low == 0 else self.interval[1] - self.difference.value


def judge(study: Study, answers: Answers) -> list[Verdict]:
    """The verdicts on all hypotheses, by grid in the order in which the grids were planned.

    The hypotheses that a grid stated in time are corrected together, and those that were added later on their own.
    """
    plans = [(grid.plan, grid) for grid in study.grids if grid.plan]
    verdicts: list[Verdict] = []
    for plan, grid in sorted(plans, key=lambda planned: (planned[0].planned_at, planned[0].name)):
        for is_late in (False, True):
            stated = [each for each in plan.hypotheses if _is_late(each, plan, grid) == is_late]
            verdicts += _corrected([_compared(each.hypothesis, is_late, grid, study, answers) for each in stated])
    return verdicts


def _is_late(stated: StatedHypothesis, plan: GridPlan, grid: Grid) -> bool:
    """Whether a run of the grid had ended before.

    Runs that had ended before the grid was planned were copied from another one: they count if there are no others.
    """
    ends = []
    for run in grid.runs:
        if run.completed:
            ends += [attempt.end for attempt in run.completed.record.attempts if attempt.end]
    own = [end for end in ends if end > plan.planned_at]
    return bool(ends) and (not own or stated.stated_at > min(own))


@dataclass(frozen=True)
class _Sides:
    """The configurations on both sides of a hypothesis, and how they are compared.

    Attributes:
        pairs: from how many pairs of configurations the two were selected.
    """

    firsts: Configurations
    seconds: Configurations
    design: Design
    pairs: int = 1
    second_kind: Kind = "network"


# A verdict that is not corrected yet, and from how many pairs of configurations its sides were selected.
_Uncorrected = tuple[Verdict, int]


def _compared(hypothesis: Hypothesis, is_late: bool, grid: Grid, study: Study, answers: Answers) -> _Uncorrected:
    verdict = Verdict(grid, hypothesis, is_late)
    answers = answers.with_metric(grid.metric)
    try:
        sides = _sides(hypothesis, grid, study, answers)
        difference = _difference(hypothesis, sides, answers, study.reader)
    except NotComparableError as error:
        return replace(verdict, problem=str(error)), 1
    n_firsts = sum(map(len, sides.firsts))
    n_seconds = sum(map(len, sides.seconds))
    return replace(verdict, difference=difference, n_runs=(n_firsts, n_seconds)), sides.pairs


def _corrected(family: Sequence[_Uncorrected]) -> list[Verdict]:
    """The verdicts with the intervals that decide, see `sentiment.paired.correct_for_multiple_tests`."""
    tested: list[tuple[VarianceEvidence, float]] = []
    for verdict, pairs in family:
        evidence = verdict.difference.evidence if verdict.difference else None
        if isinstance(evidence, VarianceEvidence) and evidence.is_known:
            p = _p_of_outcome(evidence, verdict.hypothesis.region)
            tested.append((evidence, min(pairs * p, 1.0)))
    adjusted, level = correct_for_multiple_tests([p for _, p in tested])
    q_values = {id(evidence): q for (evidence, _), q in zip(tested, adjusted, strict=True)}
    corrected = []
    for verdict, pairs in family:
        difference = verdict.difference
        if difference:
            decides = difference.with_level(1 - 2 * (1 - level) / pairs)
            difference = replace(decides, q=q_values.get(id(difference.evidence)))
        corrected.append(replace(verdict, difference=difference))
    return corrected


def _p_of_outcome(evidence: VarianceEvidence, region: tuple[float, float]) -> float:
    """The smaller one of the p-values with which the difference lies in the region, and outside."""
    low, high = region
    inside = []
    outside = []
    if math.isfinite(low):
        p = evidence.p_above(low)
        inside.append(p)
        outside.append(1 - p)
    if math.isfinite(high):
        p = evidence.p_above(high)
        inside.append(1 - p)
        outside.append(p)
    return min(max(inside), *outside)


def _sides(hypothesis: Hypothesis, grid: Grid, study: Study, answers: Answers) -> _Sides:
    """The two sides of a hypothesis.

    Raises:
        NotComparableError: there are no such runs, or the runs cannot tell.
    """
    if isinstance(hypothesis.other, BestOf):
        return _best_configurations(hypothesis, hypothesis.other, grid, study, answers)
    if grid.rungs:
        raise NotComparableError("the search gave up most trials early, and those that are left are no random sample")
    runs = comparable(answers.readable(grid.completed))
    firsts = _with_values(runs, hypothesis.setting, hypothesis.values)
    seconds = _with_values(runs, hypothesis.setting, hypothesis.other)
    if not firsts or not seconds:
        raise NotComparableError("a side has no completed run")
    if is_search(grid):
        if min(len(seeds_together(firsts)), len(seeds_together(seconds))) < 2:
            raise NotComparableError("a side has one trial alone")
        return _Sides(seeds_together(firsts), seeds_together(seconds), Drawn())
    complete = _values(firsts, hypothesis), _values(seconds, hypothesis)
    pairs = []
    for ours, theirs in match(firsts, seconds, [hypothesis.setting]):
        if (_values(ours, hypothesis), _values(theirs, hypothesis)) == complete:
            pairs.append((ours, theirs))
    if not pairs:
        raise NotComparableError("no runs differ in this setting alone")
    return _matched(pairs, runs, answers)


def _with_values(runs: Runs, setting: str, values: Iterable[object]) -> Runs:
    known = list(values)
    return [run for run in runs if not setting.startswith(unused(run)) and run.settings.get(setting) in known]


def _values(runs: Runs, hypothesis: Hypothesis) -> set[object]:
    return {run.settings.get(hypothesis.setting) for run in runs}


def _matched(pairs: Sequence[tuple[Runs, Runs]], runs: Runs, answers: Answers) -> _Sides:
    """Over seeds; over the matched pairs of configurations where no configuration has several seeds."""
    design = design_of(seeds_together(runs), "network", answers.metric)
    if isinstance(design, TwoModels) and len(pairs) > 1:
        return _Sides([ours for ours, _ in pairs], [theirs for _, theirs in pairs], Matched())
    firsts = [seeds for ours, _ in pairs for seeds in seeds_together(ours)]
    seconds = [seeds for _, theirs in pairs for seeds in seeds_together(theirs)]
    return _Sides(firsts, seconds, design)


def _best_configurations(hypothesis: Hypothesis, other: BestOf, grid: Grid, study: Study, answers: Answers) -> _Sides:
    ours = _configurations(grid, answers, hypothesis)
    best = [*ours[0].runs]
    if other.model:
        design = design_of((configuration.runs for configuration in ours), "network", answers.metric)
        return _Sides([best], [best[:1]], design, _tried(grid, ours), other.model)
    grids = {known.name: known for known in study.grids}
    if other.grid not in grids:
        raise NotComparableError(f"grid {other.grid} is not in this report")
    theirs = _configurations(grids[other.grid], answers)
    design = design_of((configuration.runs for configuration in (*ours, *theirs)), "network", answers.metric)
    return _Sides([best], [[*theirs[0].runs]], design, _tried(grid, ours) * _tried(grids[other.grid], theirs))


def _configurations(grid: Grid, answers: Answers, hypothesis: Hypothesis | None = None) -> list[Configuration]:
    """The configurations of a grid, those with the values of a hypothesis, the best on validation tweets first."""
    runs = comparable(answers.readable(grid.completed))
    if hypothesis and hypothesis.setting:
        runs = _with_values(runs, hypothesis.setting, hypothesis.values)
    if not runs:
        raise NotComparableError("a side has no completed run")
    return configurations_of(runs)


def _tried(grid: Grid, completed: Sequence[Configuration]) -> int:
    """From how many configurations the best one was selected: of a search in rungs, from all trials."""
    return len(grid.runs) if grid.rungs else len(completed)


def _difference(hypothesis: Hypothesis, sides: _Sides, answers: Answers, reader: Reader) -> Difference:
    """The uncorrected difference of the two sides in the measure of the hypothesis.

    Raises:
        NotComparableError: they cannot be compared, or the difference would be that of two trained models.
    """
    if hypothesis.measure == "score":
        first = Group(sides.firsts, "network")
        second = Group(sides.seconds, sides.second_kind)
        difference = answers.difference(sides.design, first, second)
        if difference is None:
            raise NotComparableError("the two sides were not tested on the same tweets")
    else:
        difference = _difference_of_values(hypothesis, sides, reader)
    if difference.is_conditional:
        raise NotComparableError("there is one run on each side, and nothing is known of other seeds")
    return difference


def _difference_of_values(hypothesis: Hypothesis, sides: _Sides, reader: Reader) -> Difference:
    runs = [run for configuration in (*sides.firsts, *sides.seconds) for run in configuration]
    values = best_epochs(runs)
    if hypothesis.measure == "overfitting":
        gaps = OverfittingGaps(runs, reader)
        if len(gaps.runs) < len(runs) or not gaps.are_comparable(runs):
            raise NotComparableError("the two sides were not validated on the same tweets")
        values = gaps.by_run
    is_over_configurations = isinstance(sides.design, Drawn | Matched)
    design = sides.design if is_over_configurations else value_design(runs, values, pairs=1)
    return value_difference(design, sides.firsts, sides.seconds, values)
