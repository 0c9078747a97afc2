"""Which model to use: the best by its mean over seeds, which others are not shown to be worse, and the cheapest."""

from dataclasses import dataclass
from statistics import fmean
from typing import get_args

from report import statistics
from report.compare.answers import accuracy_of, compared, metrics_of, spread_between
from report.compare.datasets import Configuration, Dataset
from report.compare.usage import Usage, usage_of
from report.read.load import CompletedRun
from report.statistics import Difference, Estimate
from sentiment.runs.records import Recommendation


@dataclass(frozen=True)
class Rival:
    """Another configuration beside the recommended one, on the test tweets that both have."""

    configuration: Configuration
    gap: Difference
    """Accuracy of the recommended one's net less that of the rival's, corrected for all pairs of configurations."""

    @property
    def is_worse(self) -> bool:
        """Whether it is shown to be worse than the recommended one."""
        return self.gap.value > 0 and self.gap.is_shown


@dataclass(frozen=True)
class Cost:
    """What a configuration takes, a run at a time."""

    seconds: float
    """From start to end, preparation included."""
    usage: Usage
    """Of all its seeds together."""
    tweets_per_second: float
    """That it trains on."""


@dataclass(frozen=True)
class Advice:
    """What to use, chosen on validation tweets alone; and how sure that is, measured on test tweets.

    Headline, tiles, figure, leaderboard and command are all written from it.
    """

    configuration: Configuration
    """The best mean F1 over its seeds on validation tweets."""
    predicts: Recommendation
    """Which of its net, its linear baseline and the mean of both is most accurate on validation tweets, over seeds."""
    score: Estimate
    """Test accuracy of what predicts, for other seeds and other tweets."""
    above_baseline: Difference | None
    """Test accuracy of what predicts (of the net, where that is the baseline) less the linear baseline's; corrected for
    all configurations. None if predictions cannot be read."""
    rivals: list[Rival]
    """The best on validation tweets first."""
    cheapest: Configuration
    """Of those that are not shown to be worse, the one whose runs take the least time; the recommended one included."""

    @property
    def equals(self) -> list[Rival]:
        """Rivals that are not shown to be worse."""
        return [rival for rival in self.rivals if not rival.is_worse]

    @property
    def run(self) -> CompletedRun:
        """The one to use: the seed that does best on validation tweets."""
        return self.configuration.chosen

    @property
    def to_name(self) -> Recommendation | None:
        """What has to be asked of the run; None where it is what the run predicts with by itself."""
        return None if self.predicts == self.run.result.recommended else self.predicts

    @property
    def is_baseline(self) -> bool:
        """Whether the linear baseline is the answer."""
        return self.predicts == "baseline"


def advise(dataset: Dataset) -> Advice | None:
    """Compare the best configuration with all others; None if there is none but of random numbers."""
    best = dataset.best
    if best is None:
        return None
    usable = [one for one in dataset.configurations if not one.is_random]
    others = [one for one in usable if one is not best]
    spread = spread_between(one.runs for one in usable)
    pairs = (dataset.answers.pair([best.runs], [one.runs], spread) for one in others)
    gaps = compared(pairs, statistics.pairs_of(len(usable)))
    rivals = [Rival(one, gap) for one, gap in zip(others, gaps, strict=True) if gap]
    equal = [best, *(rival.configuration for rival in rivals if not rival.is_worse)]
    predicts = predictor_of(best)
    return Advice(
        configuration=best,
        predicts=predicts,
        score=score_of(best, dataset, predicts),
        above_baseline=_above_baseline(dataset, best, predicts),
        rivals=rivals,
        cheapest=min(equal, key=lambda one: cost_of(one).seconds),
    )


def predictor_of(one: Configuration) -> Recommendation:
    """What is most accurate on validation tweets over all seeds; of equally accurate ones what has the lower loss."""

    def score(model: Recommendation) -> tuple[float, float]:
        found = [metrics_of(run, model)["validation"] for run in one.runs]
        return fmean(each.accuracy for each in found), -fmean(each.loss for each in found)

    return max(get_args(Recommendation), key=score)


def _above_baseline(dataset: Dataset, one: Configuration, predicts: Recommendation) -> Difference | None:
    place = next(place for place, other in enumerate(dataset.configurations) if other is one)
    if predicts != "both":
        return dataset.against_baseline[place]
    usable = [other.runs for other in dataset.configurations if not other.is_random]
    pair = dataset.answers.with_baseline(one.runs, spread_between(usable, predicts), predicts)
    return compared([pair], len(usable))[0]


def score_of(one: Configuration, dataset: Dataset, model: Recommendation = "network") -> Estimate:
    """Test accuracy for other seeds and other tweets; of what can't be read the mean alone."""
    spread = spread_between((other.runs for other in dataset.configurations), model)
    pair = dataset.answers.with_baseline(one.runs, spread, model)
    if pair is None:
        return Estimate(fmean(accuracy_of(run, model) for run in one.runs), None, None, len(one.runs))
    return statistics.score_of(pair[0], pair[2])


def cost_of(one: Configuration) -> Cost:
    """What it took, on average over its seeds."""
    usage = usage_of(one.runs)
    seconds = sum(run.result.seconds_per_epoch for run in one.runs)
    tweets = sum(run.result.metrics["train"].n for run in one.runs)
    return Cost(usage.seconds / len(one.runs), usage, tweets / max(seconds, 1e-9))
