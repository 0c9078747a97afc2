"""Verdicts on stated hypotheses: shown, shown to be false, or open.

A hypothesis says that the difference of its two sides lies in a region: above 0, below 0, or within a margin. It is
shown if the interval of the difference lies in the region, and shown to be false if it lies outside; each of the two is
wrong in at most 5 % of the cases. The interval leaves out 5 % at either end (Schuirmann 1987: two one-sided tests),
divided for the hypotheses that were stated together, and by the number of pairs that the best configurations were
selected from. Equality is shown to be false by the interval that leaves out half as much, since it has two outsides.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Literal

import numpy as np

from report.compare.answers import Answers, Group
from report.compare.datasets import (
    Configuration,
    competing,
    configurations_of,
    design_of,
    design_of_pairs,
    group_by_tweets,
)
from report.compare.matching import Runs, is_search, match, seeds_together, unused
from report.evaluated import Reader
from report.read import Grid, Study
from sentiment.answers.table import Kind
from sentiment.runs.hypotheses import BestOf, Hypothesis, is_among
from sentiment.statistics.designs import (
    NO_SEEDS,
    Design,
    Drawn,
    Matched,
    NotComparableError,
    Seeds,
    Side,
    TwoModels,
    Values,
)
from sentiment.statistics.estimate import Difference, StudentEvidence
from sentiment.statistics.families import correct_for_multiple_tests
from sentiment.statistics.seeds import seed_spread

Outcome = Literal["shown", "shown to be false", "open"]
_OTHER_TWEETS = "the two sides were not tested on the same tweets"


@dataclass(frozen=True)
class Verdict:
    """What the runs of a grid say about a hypothesis.

    Attributes:
        is_late: whether a run of the grid had a result or a score when it was stated.
        outcome: by the interval of the difference.
        difference: the first side minus the second, with the interval that would show the hypothesis and the adjusted
            p-value of the nearer outcome; None if the sides cannot be compared.
        problem: why they cannot; else empty.
        n_runs: the numbers of runs on both sides.
        pairs: from how many pairs of configurations the two sides were selected.
    """

    grid: Grid
    hypothesis: Hypothesis
    is_late: bool
    outcome: Outcome = "open"
    difference: Difference | None = None
    problem: str = ""
    n_runs: tuple[int, int] = (0, 0)
    pairs: int = 1

    @property
    def could_show(self) -> float | None:
        """The smallest margin within which the same runs would show it; without a margin, the smallest difference."""
        difference = self.difference
        if difference is None or difference.low is None or difference.high is None:
            return None
        low, high = self.hypothesis.region
        if self.hypothesis.within:
            below = -difference.low if math.isfinite(low) else 0.0
            above = difference.high if math.isfinite(high) else 0.0
            return max(below, above)
        return difference.value - difference.low if low == 0 else difference.high - difference.value


def judge(study: Study, answers: Answers) -> list[Verdict]:
    """The verdicts on all hypotheses, by grid.

    The hypotheses that a grid stated in time are corrected together, and those that were added later on their own.
    """
    verdicts: list[Verdict] = []
    for grid in study.grids:
        hypotheses = grid.plan.hypotheses if grid.plan else []
        for is_late in (False, True):
            stated = [each.hypothesis for each in hypotheses if bool(each.results) == is_late]
            verdicts += _corrected([_compared(each, is_late, grid, study, answers) for each in stated])
    return verdicts


@dataclass(frozen=True)
class Replication:
    """A published study whose findings grids repeat.

    Attributes:
        data: the name of its tweets.
        other_tweets: those of the grids, where they are others.
    """

    data: str
    source: str
    other_tweets: list[str]


def replicated(study: Study) -> list[Replication]:
    """The published studies that the grids repeat."""
    tweets: dict[tuple[str, str], set[str]] = {}
    for grid in study.grids:
        published = grid.plan.replicates if grid.plan else None
        if published:
            sources = tweets.setdefault((published.data, published.source), set())
            sources.update(PurePath(run.config.data.source).name for run in grid.completed)
    return [Replication(data, source, sorted(others - {data})) for (data, source), others in tweets.items()]


@dataclass(frozen=True)
class _Sides:
    """The configurations on both sides of a hypothesis, and how they are compared.

    Attributes:
        pairs: from how many pairs of configurations the two were selected.
    """

    firsts: Sequence[Runs]
    seconds: Sequence[Runs]
    design: Design
    pairs: int = 1
    second_kind: Kind = "network"


def _compared(hypothesis: Hypothesis, is_late: bool, grid: Grid, study: Study, answers: Answers) -> Verdict:
    verdict = Verdict(grid, hypothesis, is_late)
    answers = answers.with_metric(grid.metric)
    try:
        sides = _sides(hypothesis, grid, study, answers)
        difference = _difference(hypothesis, sides, answers, study.reader)
    except NotComparableError as error:
        return replace(verdict, problem=str(error))
    n_runs = sum(map(len, sides.firsts)), sum(map(len, sides.seconds))
    return replace(verdict, difference=difference, n_runs=n_runs, pairs=sides.pairs)


def _corrected(family: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with the intervals that decide, see `sentiment.statistics.families.correct_for_multiple_tests`."""
    tested: dict[str, float] = {}
    for verdict in family:
        evidence = verdict.difference.evidence if verdict.difference else None
        if isinstance(evidence, StudentEvidence) and evidence.test:
            p = _p_of_nearer_outcome(evidence, verdict.hypothesis.region)
            tested[verdict.hypothesis.claim] = min(verdict.pairs * p, 1.0)
    adjusted, level = correct_for_multiple_tests([*tested.values()])
    q_values = dict(zip(tested, adjusted, strict=True))
    return [decided(verdict, 1 - level, q_values) for verdict in family]


def decided(verdict: Verdict, alpha: float, q_values: Mapping[str, float]) -> Verdict:
    """The verdict by the interval that leaves out `alpha` at either end, divided by the number of pairs."""
    if verdict.difference is None:
        return verdict
    region = verdict.hypothesis.region
    low, high = region
    end = alpha / verdict.pairs
    level = 1 - 2 * end
    evidence = verdict.difference.evidence
    difference = verdict.difference.with_interval(evidence.interval(level, ends=1), level)
    outer = evidence.interval(1 - 2 * end / _outsides(region), ends=_outsides(region))
    outcome: Outcome = "open"
    if difference.low is not None and difference.high is not None and outer:
        if low < difference.low and difference.high < high:
            outcome = "shown"
        elif outer[1] < low or outer[0] > high:
            outcome = "shown to be false"
    q = q_values.get(verdict.hypothesis.claim)
    problem = "" if q is not None else "nothing varies between these runs, so that no interval is known"
    return replace(verdict, outcome=outcome, difference=replace(difference, q=q), problem=problem)


def _outsides(region: tuple[float, float]) -> int:
    """How many of a region's two ends are bounds beyond which the hypothesis is false."""
    return sum(map(math.isfinite, region))


def _p_of_nearer_outcome(evidence: StudentEvidence, region: tuple[float, float]) -> float:
    """The p-value of the nearer one of the two outcomes, shown and shown to be false."""
    low, high = region
    outsides = _outsides(region)
    beyond_low = evidence.value - low
    beyond_high = high - evidence.value
    distances = [distance for distance in (beyond_low, beyond_high) if math.isfinite(distance)]
    inside = max(evidence.p_beyond(distance) for distance in distances)
    outside = min(evidence.p_beyond(-distance, outsides) for distance in distances)
    return min(inside, outsides * outside)


def _sides(hypothesis: Hypothesis, grid: Grid, study: Study, answers: Answers) -> _Sides:
    """The two sides of a hypothesis.

    Raises:
        NotComparableError: there are no such runs, or the runs cannot tell.
    """
    if isinstance(hypothesis.other, BestOf):
        return _best_configurations(hypothesis, hypothesis.other, grid, study, answers)
    if grid.rungs:
        raise NotComparableError("the search gave up most trials early, and those that are left are no random sample")
    runs = _runs(grid, answers)
    firsts = _with_values(runs, hypothesis.setting, hypothesis.values)
    seconds = _with_values(runs, hypothesis.setting, hypothesis.other)
    if not firsts or not seconds:
        raise NotComparableError("a side has no completed run")
    if is_search(grid):
        trials = seeds_together(firsts)
        other_trials = seeds_together(seconds)
        if len(trials) < 2 or len(other_trials) < 2:
            raise NotComparableError("a side has one trial alone")
        return _Sides(trials, other_trials, Drawn())
    pairs = []
    for ours, theirs in match(firsts, seconds, [hypothesis.setting]):
        if (_values(ours, hypothesis), _values(theirs, hypothesis)) == hypothesis.sides:
            pairs.append((ours, theirs))
    if not pairs:
        raise NotComparableError("no runs with all of these values differ in this setting alone")
    return _matched(pairs, runs, answers)


def _runs(grid: Grid, answers: Answers) -> Runs:
    """The completed runs of a grid, which must be on the same tweets. Raises NotComparableError."""
    runs = answers.readable(grid.completed)
    if not runs:
        raise NotComparableError("a side has no completed run")
    if len(group_by_tweets(runs)) > 1:
        raise NotComparableError("the runs of a grid were tested on several data sets")
    return runs


def _with_values(runs: Runs, setting: str, values: Iterable[object]) -> Runs:
    known = list(values)
    return [run for run in runs if not setting.startswith(unused(run)) and is_among(run.settings.get(setting), known)]


def _values(runs: Runs, hypothesis: Hypothesis) -> frozenset[object]:
    return frozenset(run.settings.get(hypothesis.setting) for run in runs)


def _matched(pairs: Sequence[tuple[Runs, Runs]], runs: Runs, answers: Answers) -> _Sides:
    """Over seeds; over the matched pairs of configurations where no configuration has several seeds."""
    design = design_of_pairs(seeds_together(runs), "network", answers.metric, len(pairs))
    if isinstance(design, TwoModels):
        raise NotComparableError(NO_SEEDS)
    if isinstance(design, Matched):
        return _Sides([ours for ours, _ in pairs], [theirs for _, theirs in pairs], design)
    firsts = [seeds for ours, _ in pairs for seeds in seeds_together(ours)]
    seconds = [seeds for _, theirs in pairs for seeds in seeds_together(theirs)]
    return _Sides(firsts, seconds, design)


def _best_configurations(hypothesis: Hypothesis, other: BestOf, grid: Grid, study: Study, answers: Answers) -> _Sides:
    ours = _candidates(grid, answers, hypothesis)
    best = ours[0].runs
    if other.model:
        design = design_of((configuration.runs for configuration in ours), "network", answers.metric)
        sides = _Sides([best], [best[:1]], design, _tried(grid, ours), other.model)
    else:
        grids = {known.name: known for known in study.grids}
        if other.grid not in grids:
            raise NotComparableError(f"grid {other.grid} is not in this report")
        theirs = _candidates(grids[other.grid], answers)
        others = theirs[0].runs
        if {run.run_id for run in best} & {run.run_id for run in others}:
            raise NotComparableError("both sides are the same runs")
        if len(group_by_tweets([*best, *others])) > 1:
            raise NotComparableError(_OTHER_TWEETS)
        design = design_of((configuration.runs for configuration in (*ours, *theirs)), "network", answers.metric)
        pairs = _tried(grid, ours) * _tried(grids[other.grid], theirs)
        sides = _Sides([best], [others], design, pairs)
    if isinstance(sides.design, TwoModels):
        raise NotComparableError(NO_SEEDS)
    return sides


def _candidates(grid: Grid, answers: Answers, hypothesis: Hypothesis | None = None) -> list[Configuration]:
    """The configurations of which one is the best of a grid, of those with the values of a hypothesis: that first.

    They are those of whose networks one would be recommended.
    """
    runs = _runs(grid, answers)
    if hypothesis and hypothesis.setting:
        runs = _with_values(runs, hypothesis.setting, hypothesis.values)
    if not runs:
        raise NotComparableError("a side has no completed run")
    return competing(configurations_of(runs, grid.metric))


def _tried(grid: Grid, candidates: Sequence[Configuration]) -> int:
    """From how many configurations the best one was selected: of a search in rungs, from all trials."""
    return len(grid.runs) if grid.rungs else len(candidates)


def _difference(hypothesis: Hypothesis, sides: _Sides, answers: Answers, reader: Reader) -> Difference:
    """The uncorrected difference of the two sides in the measure of the hypothesis.

    Raises:
        NotComparableError: they cannot be compared.
    """
    if hypothesis.measure == "score":
        first = Group(sides.firsts, "network")
        second = Group(sides.seconds, sides.second_kind)
        difference = answers.difference(sides.design, first, second)
        if difference is None:
            raise NotComparableError(_OTHER_TWEETS)
        return difference
    return _difference_of_values(hypothesis, sides, reader)


def _difference_of_values(hypothesis: Hypothesis, sides: _Sides, reader: Reader) -> Difference:
    """The difference of a value that each run has once, or for each tweet.

    Raises:
        NotComparableError: the sides cannot be compared.
    """
    runs = [run for configuration in (*sides.firsts, *sides.seconds) for run in configuration]
    if any(run.is_cross_validated for run in runs):
        raise NotComparableError("epochs and overfitting are not compared over folds")
    values = {run.run_id: np.array([run.best_epoch]) for run in runs}
    if hypothesis.measure == "overfitting":
        values = _overfitting_gaps(runs, reader)
    design = sides.design
    if not isinstance(design, Drawn | Matched):
        spread = seed_spread([values[run.run_id].mean() for run in seeds] for seeds in seeds_together(runs))
        if spread is None:
            raise NotComparableError(NO_SEEDS)
        design = Seeds(spread)
    compared = []
    for configurations in (sides.firsts, sides.seconds):
        of_runs = [np.stack([values[run.run_id] for run in seeds]) for seeds in configurations]
        compared.append(Side(of_runs, are_shares=False))
    return design.difference(*compared)


def _overfitting_gaps(runs: Runs, reader: Reader) -> dict[str, Values]:
    """By run, its training accuracy at its best epoch minus whether it has each validation tweet right.

    Raises:
        NotComparableError: the runs were not validated on the same tweets, or predictions cannot be read.
    """
    validation = reader.read_each(runs, lambda run: run.fold_runs[0].predictions("validation"))
    gaps = {}
    for run in runs:
        part = validation.get(run.run_id)
        if part is None or not part.has_tweets_of(validation[runs[0].run_id]):
            raise NotComparableError("the two sides were not validated on the same tweets")
        gap = run.fold_runs[0].result.overfit.train_accuracy - part.right("network")
        gaps[run.run_id] = np.asarray(gap, np.float64)
    return gaps
