"""Which model to use: the best by its mean over seeds, which others cannot be told apart from it, and the cheapest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from report import statistics
from report.analysis.comparison.datasets import Answered, Configuration, Dataset
from report.analysis.measures.common_tweets import Matcher
from report.analysis.measures.usage import Usage, usage_of
from report.read.load import CompletedRun
from report.statistics import Difference, Estimate, Values
from sentiment.run_dir import Results


@dataclass(frozen=True)
class Rival:
    """Another configuration beside the recommended one, on the test tweets that both have."""

    configuration: Configuration
    gap: Difference
    """Accuracy of the recommended one less the rival's, over seeds and tweets; corrected for all rivals."""
    q: float | None

    @property
    def is_worse(self) -> bool:
        """Whether it is shown to be worse than the recommended one."""
        return self.gap.value > 0 and statistics.is_shown(self.gap, self.q)


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
    """Which configuration to use, and how sure that is."""

    configuration: Configuration
    """The best mean F1 over its seeds on validation tweets."""
    score: Estimate
    """Test accuracy, mean over seeds with Student's interval; of one seed Wilson's over tweets."""
    above_baseline: Difference | None
    """Test accuracy less the linear baseline's, over seeds and tweets; None if predictions cannot be read."""
    rivals: list[Rival]
    """The best on validation tweets first."""
    cheapest: Configuration
    """Of those that cannot be told apart, the one whose runs take the least time; the recommended one included."""

    @property
    def equals(self) -> list[Rival]:
        """Rivals that are not shown to be worse."""
        return [rival for rival in self.rivals if not rival.is_worse]

    @property
    def run(self) -> CompletedRun:
        """The one to use: the seed that does best on validation tweets."""
        return self.configuration.chosen

    @property
    def is_baseline(self) -> bool:
        """Whether the linear baseline is the answer, since the best net is shown to be worse."""
        gap = self.above_baseline
        return gap is not None and statistics.is_shown(gap) and gap.value < 0


def advise(dataset: Dataset, results: Results) -> Advice | None:
    """Compare the best configuration with all others; None if there is none but of random numbers."""
    best = dataset.best
    if best is None:
        return None
    others = [one for one in dataset.configurations if one is not best and not one.is_random]
    matcher = Matcher(results)
    compared = [(one, gap) for one in others if (gap := _gap(best, one, dataset, matcher))]
    gaps, q_values = statistics.corrected([gap for _, gap in compared])
    rivals = [Rival(one, gap, q) for (one, _), gap, q in zip(compared, gaps, q_values, strict=True)]
    equal = [best, *(rival.configuration for rival in rivals if not rival.is_worse)]
    return Advice(
        configuration=best,
        score=score_of(best),
        above_baseline=_above_baseline(best, dataset),
        rivals=rivals,
        cheapest=min(equal, key=lambda one: cost_of(one).seconds),
    )


def score_of(one: Configuration) -> Estimate:
    """Test accuracy over seeds; of one seed over tweets."""
    if len(one.runs) == 1:
        return statistics.measured_accuracy(one.runs[0].result.metrics["test"])
    return statistics.mean_share(one.values("test", "accuracy"))


def cost_of(one: Configuration) -> Cost:
    """What it took, on average over its seeds."""
    usage = usage_of(one.runs)
    seconds = sum(run.result.seconds_per_epoch for run in one.runs)
    tweets = sum(run.result.metrics["train"].n for run in one.runs)
    return Cost(usage.seconds / len(one.runs), usage, tweets / max(seconds, 1e-9))


def _answered(one: Configuration, dataset: Dataset) -> list[Answered]:
    """Of its seeds on the same tweets; those of the first readable one's corpus."""
    found = [dataset.comparisons[run.run_id].answered for run in one.runs if run.run_id in dataset.comparisons]
    return [answered for answered in found if answered.corpus == found[0].corpus]


def _matrix(answers: Sequence[Answered]) -> Values:
    return np.stack([one.right for one in answers]).astype(np.float64)


def _above_baseline(one: Configuration, dataset: Dataset) -> Difference | None:
    answers = _answered(one, dataset)
    if not answers:
        return None
    return statistics.crossed_difference(_matrix(answers), answers[0].baseline[None].astype(np.float64))


def _gap(best: Configuration, other: Configuration, dataset: Dataset, matcher: Matcher) -> Difference | None:
    """None if predictions cannot be read, or the tweets cannot be matched."""
    of_best, of_other = _answered(best, dataset), _answered(other, dataset)
    common = matcher.common(of_best[0], of_other[0]) if of_best and of_other else None
    if common is None or common.n < 2:
        return None
    return statistics.crossed_difference(_matrix(of_best)[:, common.first], _matrix(of_other)[:, common.second])
