"""What to use: the best configuration by its mean over seeds, what of it predicts, how sure that is, what it costs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from statistics import fmean
from typing import get_args

from report import statistics
from report.compare.datasets import Configuration, Dataset, Elsewhere, Matcher, compared, spread_between
from report.read import CompletedRun, Run, read_each, read_scores
from report.statistics import Difference, Estimate
from sentiment.runs.records import Attempt, ModelChoice, Result, RunRecord


@dataclass(frozen=True)
class Rival:
    """Another configuration: the test accuracy of the recommended one's net less its own, corrected for all pairs."""

    configuration: Configuration
    gap: Difference

    @property
    def is_worse(self) -> bool:
        return self.gap.value > 0 and self.gap.is_shown


@dataclass(frozen=True)
class Recommended:
    """What to use; headline, tiles, figure, star, row and command are all written from it.

    Attributes:
        configuration: the best mean F1 over its seeds on validation tweets.
        chosen: which of its net, its linear baseline and the mean of both is most accurate on validation tweets.
        predicts: what to use: that, if its gain over the linear baseline is shown on test tweets; else the baseline,
            which is cheaper.
        score: test accuracy of what predicts, for other seeds and other tweets.
        gain: test accuracy of what was chosen (of the net, where that is the baseline) less the linear baseline's,
            corrected for all configurations; None if predictions cannot be read.
        rivals: the other configurations, the best on validation tweets first.
        cheapest: of those that are not shown to be worse, the one whose runs take the least time; itself included.
        added: what was put beside the runs from elsewhere, compared with what predicts.
    """

    configuration: Configuration
    chosen: ModelChoice
    predicts: ModelChoice
    score: Estimate
    gain: Difference | None
    rivals: list[Rival]
    cheapest: Configuration
    added: list[Elsewhere]

    @property
    def equals(self) -> list[Rival]:
        return [rival for rival in self.rivals if not rival.is_worse]

    @property
    def run(self) -> CompletedRun:
        """The one to use: the seed that does best on validation tweets."""
        return self.configuration.best_seed


def recommend(dataset: Dataset) -> Recommended | None:
    """Compare the best configuration with all that compete with it; None if there are none but random numbers."""
    best = dataset.best
    if best is None:
        return None
    others = [one for one in dataset.competing if one is not best]
    chosen = _predictor_of(best)
    gain = _gain(dataset, best, chosen)
    predicts = chosen if gain is None or (gain.is_shown and gain.value > 0) else "baseline"
    runs, answers = [one.runs for one in dataset.competing], dataset.answers.beside(dataset.added)
    spread, spread_added = spread_between(runs), spread_between(runs, predicts)
    pairs = chain(
        (answers.pair([best.runs], [one.runs], spread) for one in others),
        (answers.pair([best.runs], [[one]], spread_added, predicts, "baseline") for one in dataset.added),
    )
    gaps = compared(pairs, math.comb(len(runs) + len(dataset.added), 2))
    rivals = [Rival(one, gap) for one, gap in zip(others, gaps, strict=False) if gap]
    equal = [best, *(rival.configuration for rival in rivals if not rival.is_worse)]
    added = zip(dataset.added, gaps[len(others) :], strict=True)
    return Recommended(
        configuration=best,
        chosen=chosen,
        predicts=predicts,
        score=score_of(best, dataset, predicts),
        gain=gain,
        rivals=rivals,
        cheapest=min(equal, key=seconds_of),
        added=[replace(one, gap=gap, is_chosen=_is_chosen(one, dataset, predicts)) for one, gap in added],
    )


def _is_chosen(one: Elsewhere, dataset: Dataset, predicts: ModelChoice) -> bool:
    if one.validation is None or one.added.annotator or dataset.best is None:
        return False
    found, _ = read_each([dataset.best.best_seed], lambda run: read_scores(run, "validation"))
    for scores in found.values():
        # Not the matcher of answers, which finds test tweets.
        if common := Matcher(dataset.answers.matcher.results).common(scores, one.validation):
            theirs, mine = scores.right(predicts)[common[0]], one.validation.right("baseline")[common[1]]
            return bool(mine.sum() > theirs.sum())
    return False


def _predictor_of(one: Configuration) -> ModelChoice:
    """What is most accurate on validation tweets over all seeds; of equally accurate ones what has the lower loss."""

    def score(model: ModelChoice) -> tuple[float, float]:
        found = [run.measured("validation", model) for run in one.runs]
        return fmean(each.accuracy for each in found), -fmean(each.loss for each in found)

    return max(get_args(ModelChoice), key=score)


def _gain(dataset: Dataset, one: Configuration, chosen: ModelChoice) -> Difference | None:
    if chosen != "both":
        return dataset.against_baseline[dataset.configurations.index(one)]
    usable = [other.runs for other in dataset.configurations if not other.is_random]
    pair = dataset.answers.with_baseline(one.runs, spread_between(usable, chosen), chosen)
    return compared([pair], len(usable))[0]


def score_of(one: Configuration, dataset: Dataset, model: ModelChoice = "network") -> Estimate:
    """Test accuracy for other seeds and other tweets; of what can't be read the mean alone."""
    spread = spread_between((other.runs for other in dataset.configurations), model)
    pair = dataset.answers.with_baseline(one.runs, spread, model)
    if pair is None:
        return Estimate(fmean(run.measured("test", model).accuracy for run in one.runs), None, None, len(one.runs))
    return statistics.score_of(pair[0], pair[2])


def seconds_of(one: Configuration) -> float:
    """What a run of it took from start to end, preparation included, on average over its seeds."""
    return usage_of(one.runs).seconds / len(one.runs)


@dataclass(frozen=True)
class Usage:
    """What all attempts of some runs took together from start to end, preparation included, on whatever device."""

    attempts: int
    seconds: float
    gpu_hours: float
    cpu_hours: float


def usage_of(runs: Iterable[Run | CompletedRun]) -> Usage:
    """What `runs` took together.

    Where no attempt of a completed run has an end, or all took less than the second that the records resolve, the
    seconds that it trained count instead, on the device of its last attempt.
    """
    written = [(run.record, run.result) for run in runs if run.record]
    seconds = {"gpu": 0.0, "cpu": 0.0}
    for attempt, duration in (one for record, result in written for one in _durations(record, result)):
        seconds["cpu" if attempt.device == "cpu" else "gpu"] += duration
    return Usage(
        attempts=sum(len(record.attempts) for record, _ in written),
        seconds=sum(seconds.values()),
        gpu_hours=seconds["gpu"] / 3600,
        cpu_hours=seconds["cpu"] / 3600,
    )


def _durations(record: RunRecord, result: Result | None) -> list[tuple[Attempt, float]]:
    found = [
        (attempt, (datetime.fromisoformat(attempt.end) - datetime.fromisoformat(attempt.start)).total_seconds())
        for attempt in record.attempts
        if attempt.end
    ]
    if result and record.attempts and not any(seconds for _, seconds in found):
        return [(record.attempts[-1], result.seconds_trained)]
    return found
