"""Verdicts on stated hypotheses: shown, shown to be false, or open; see `sentiment.statistics.regions`."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from report.compare.answers import OTHER_TWEETS, Answers, Group
from report.compare.claims import Claim, matched_claim
from report.compare.datasets import Configuration, competing, configurations_of, design_of, group_by_tweets
from report.compare.matching import Runs, is_search, match, seeds_together, unused
from report.evaluated import EvaluatedRun, Reader
from report.read import Grid, Study
from sentiment.runs.hypotheses import BestOf, Hypothesis, is_among
from sentiment.statistics.designs import (
    NO_SEEDS,
    Drawn,
    Matched,
    NotComparableError,
    Seeds,
    Side,
    TwoModels,
    Values,
)
from sentiment.statistics.estimate import Estimate, StudentEvidence
from sentiment.statistics.regions import Outcome, RegionClaim, decide
from sentiment.statistics.seeds import seed_spread

_NOTHING_VARIES = "nothing varies between these runs, so that no interval is known"


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
    """

    grid: Grid
    hypothesis: Hypothesis
    is_late: bool
    outcome: Outcome = "open"
    difference: Estimate | None = None
    problem: str = ""
    n_runs: tuple[int, int] = (0, 0)

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
        stated = grid.plan.hypotheses if grid.plan else []
        for is_late in (False, True):
            family = [Verdict(grid, each.hypothesis, is_late) for each in stated if bool(each.results) == is_late]
            verdicts += _decided(family, study, answers.with_metric(grid.metric))
    return verdicts


def _decided(family: Sequence[Verdict], study: Study, answers: Answers) -> list[Verdict]:
    regions: dict[str, RegionClaim] = {}
    verdicts: dict[str, Verdict] = {}
    for verdict in family:
        hypothesis = verdict.hypothesis
        try:
            claim = _claim(hypothesis, verdict.grid, study, answers)
            evidence = _evidence(hypothesis, claim, answers, study.reader)
        except NotComparableError as error:
            verdicts[hypothesis.claim] = replace(verdict, problem=str(error))
            continue
        regions[hypothesis.claim] = RegionClaim(evidence, *hypothesis.region, claim.selected)
        n_runs = sum(map(len, claim.first.configurations)), sum(map(len, claim.second.configurations))
        verdicts[hypothesis.claim] = replace(verdict, n_runs=n_runs)
    for name, (outcome, difference) in decide(regions).items():
        problem = _NOTHING_VARIES if difference.low is None else ""
        verdicts[name] = replace(verdicts[name], outcome=outcome, difference=difference, problem=problem)
    return [*verdicts.values()]


def _claim(hypothesis: Hypothesis, grid: Grid, study: Study, answers: Answers) -> Claim:
    """The two sides of a hypothesis, and how they are compared.

    Raises:
        NotComparableError: there are no such runs, or the runs cannot tell.
    """
    affected = [run for run in grid.completed if not hypothesis.setting.startswith(unused(run))]
    if hypothesis.setting and affected:
        hypothesis = hypothesis.as_configured(affected[0].config)
    if isinstance(hypothesis.other, BestOf):
        claim = _of_best_configurations(hypothesis, hypothesis.other, grid, study, answers)
    else:
        claim = _of_values(hypothesis, hypothesis.other, grid, answers)
    if isinstance(claim.design, TwoModels):
        raise NotComparableError(NO_SEEDS)
    return claim


def _of_values(hypothesis: Hypothesis, other: Sequence[object], grid: Grid, answers: Answers) -> Claim:
    """Runs with some values of a setting against those with others."""
    if grid.rungs:
        raise NotComparableError("the search gave up most trials early, and those that are left are no random sample")
    runs = _runs(grid, answers)
    firsts = _with_values(runs, hypothesis.setting, hypothesis.values)
    seconds = _with_values(runs, hypothesis.setting, other)
    if not firsts or not seconds:
        raise NotComparableError("a side has no completed run")
    if is_search(grid):
        trials = seeds_together(firsts)
        other_trials = seeds_together(seconds)
        if len(trials) < 2 or len(other_trials) < 2:
            raise NotComparableError("a side has one trial alone")
        return Claim(Group(trials, "network"), Group(other_trials, "network"), Drawn())
    pairs = []
    for ours, theirs in match(firsts, seconds, [hypothesis.setting]):
        if (_values(ours, hypothesis), _values(theirs, hypothesis)) == hypothesis.sides:
            pairs.append((ours, theirs))
    if not pairs:
        raise NotComparableError("no runs with all of these values differ in this setting alone")
    return matched_claim(pairs, seeds_together(runs), "network", answers.metric)


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


def _of_best_configurations(hypothesis: Hypothesis, other: BestOf, grid: Grid, study: Study, answers: Answers) -> Claim:
    """The best configuration of a grid against that of another grid, or against its own baseline."""
    ours = _candidates(grid, answers, hypothesis)
    best = ours[0].runs
    first = Group([best], "network")
    if other.model:
        design = design_of((configuration.runs for configuration in ours), "network", answers.metric)
        return Claim(first, Group([best[:1]], other.model), design, (_tried(grid, ours), 1))
    grids = {known.name: known for known in study.grids}
    if other.grid not in grids:
        raise NotComparableError(f"grid {other.grid} is not in this report")
    theirs = _candidates(grids[other.grid], answers)
    others = theirs[0].runs
    if {run.run_id for run in best} & {run.run_id for run in others}:
        raise NotComparableError("both sides are the same runs")
    if len(group_by_tweets([*best, *others])) > 1:
        raise NotComparableError(OTHER_TWEETS)
    design = design_of((configuration.runs for configuration in (*ours, *theirs)), "network", answers.metric)
    selected = _tried(grid, ours), _tried(grids[other.grid], theirs)
    if hypothesis.measure != "score":  # the luck by which each was selected may change it in either direction
        selected = math.prod(selected), math.prod(selected)
    return Claim(first, Group([others], "network"), design, selected)


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


def _evidence(hypothesis: Hypothesis, claim: Claim, answers: Answers, reader: Reader) -> StudentEvidence:
    """What is known of the difference of the two sides in the measure of the hypothesis.

    Raises:
        NotComparableError: they cannot be compared.
    """
    if hypothesis.measure != "score":
        return _evidence_of_values(hypothesis, claim, reader)
    evidence = answers.difference(claim.design, claim.first, claim.second)
    if not isinstance(evidence, StudentEvidence):  # two trained models are refused before
        raise NotComparableError(OTHER_TWEETS)
    return evidence


def _evidence_of_values(hypothesis: Hypothesis, claim: Claim, reader: Reader) -> StudentEvidence:
    """What is known of the difference of a value that each run has once, or for each tweet.

    Raises:
        NotComparableError: the sides cannot be compared.
    """
    groups = (claim.first, claim.second)
    runs = [run for group in groups for seeds in group.configurations for run in seeds if isinstance(run, EvaluatedRun)]
    if any(run.is_cross_validated for run in runs):
        raise NotComparableError("epochs and overfitting of cross-validated runs are not compared")
    values = {run.run_id: np.array([run.best_epoch]) for run in runs}
    if hypothesis.measure == "overfitting":
        values = _overfitting_gaps(runs, reader)
    design: Drawn | Matched | Seeds
    if isinstance(claim.design, Drawn | Matched):
        design = claim.design
    else:
        spread = seed_spread([values[run.run_id].mean() for run in seeds] for seeds in seeds_together(runs))
        if spread is None:
            raise NotComparableError(NO_SEEDS)
        design = Seeds(spread)
    sides = []
    for group in groups:
        of_runs = [np.stack([values[run.run_id] for run in seeds]) for seeds in group.configurations]
        sides.append(Side(of_runs, are_shares=False))
    return design.difference(sides[0], sides[1])


def _overfitting_gaps(runs: Runs, reader: Reader) -> dict[str, Values]:
    """By run, its training accuracy at its best epoch minus whether it has each validation tweet right.

    Raises:
        NotComparableError: the runs were not validated on the same tweets, or predictions cannot be read.
    """
    validation = reader.read_each(runs, lambda run: run.trained[0].predictions("validation"))
    gaps = {}
    for run in runs:
        part = validation.get(run.run_id)
        if part is None or not part.has_tweets_of(validation[runs[0].run_id]):
            raise NotComparableError("the two sides were not validated on the same tweets")
        gap = run.trained[0].result.overfit.train_accuracy - part.right("network")
        gaps[run.run_id] = np.asarray(gap, np.float64)
    return gaps
