"""The recommendation: the best configuration, which of its models to use, its uncertainty and its training time."""

import math
from dataclasses import dataclass, replace
from statistics import fmean
from typing import get_args

import numpy as np

from report import statistics
from report.compare.cost import cost_per_run
from report.compare.datasets import Configuration, Dataset, Elsewhere, compared
from report.read import CompletedRun, read_each, read_scores
from report.statistics import Difference, Estimate
from sentiment.runs.records import ModelChoice


@dataclass(frozen=True)
class Rival:
    """Another configuration; `gap` is the test accuracy of the recommended network minus that of its own."""

    configuration: Configuration
    gap: Difference

    @property
    def is_worse(self) -> bool:
        return self.gap.value > 0 and self.gap.is_shown


@dataclass(frozen=True)
class Recommended:
    """The recommendation; every statement of the first screen is derived from it.

    Attributes:
        configuration: the candidate with the best mean validation F1.
        chosen: which of its network, its linear baseline and their ensemble is most accurate on validation tweets.
        predicts: the model to use: `chosen` if its gain over the linear baseline is significant on test tweets, else
            the baseline, which is cheaper.
        score: the test accuracy of that model.
        gain: the test accuracy of `chosen` (of the network, if that is the baseline) minus the linear baseline's; None
            without predictions.
        rivals: the other eligible configurations, the best on validation tweets first.
        cheapest: the fastest of those that are not significantly worse, including the recommended one.
        added: the added predictors, compared with the model to use.
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
    def external_winner(self) -> Elsewhere | None:
        """The external predictor to use instead of a trained model; None if none is better.

        It is ahead on the validation set and significantly better on the test set; of several, the most accurate there.
        """
        better = [predictor for predictor in self.added if predictor.is_better]
        return max(better, key=lambda predictor: predictor.accuracy.value, default=None)

    @property
    def run(self) -> CompletedRun:
        """The run with the best validation F1."""
        return self.configuration.best_seed


def recommend(dataset: Dataset) -> Recommended | None:
    """Compare the best configuration with all eligible ones and added predictors; None if all ELMo is random."""
    best = dataset.best
    if best is None:
        return None
    chosen = _best_model_on_validation(best)
    gain = _gain(dataset, best, chosen)
    predicts = chosen if gain is None or (gain.is_shown and gain.value > 0) else "baseline"
    rivals = _rivals(dataset, best)
    not_worse = [best, *(rival.configuration for rival in rivals if not rival.is_worse)]
    return Recommended(
        configuration=best,
        chosen=chosen,
        predicts=predicts,
        score=score_of(best, dataset, predicts),
        gain=gain,
        rivals=rivals,
        cheapest=min(not_worse, key=cost_per_run),
        added=_compared_added(dataset, best, predicts),
    )


def _rivals(dataset: Dataset, best: Configuration) -> list[Rival]:
    """The other eligible configurations that can be compared.

    The best one was selected of the candidates, so all pairs of these are a family. Configurations with a single seed,
    beside candidates with several, are a second family: they change nothing about the candidates.
    """
    candidates = [each for each in dataset.candidates if each is not best]
    others = [each for each in dataset.competing if each not in dataset.candidates]
    gaps: dict[Configuration, Difference | None] = {}
    for family, size in (
        (candidates, math.comb(len(dataset.candidates), 2)),
        (others, len(dataset.candidates) * len(others)),
    ):
        spread = dataset.spread_for(best)
        pairs = (dataset.answers.pair([best.runs], [each.runs], spread) for each in family)
        gaps |= dict(zip(family, compared(pairs, size), strict=True))
    rivals = []
    for configuration in dataset.competing:
        gap = gaps.get(configuration)
        if gap is not None:
            rivals.append(Rival(configuration, gap))
    return rivals


def _compared_added(dataset: Dataset, best: Configuration, predicts: ModelChoice) -> list[Elsewhere]:
    """The added predictors, compared with the model to use; they are one family, with all candidates for that."""
    answers = dataset.answers.including({each.run_id: each.test for each in dataset.added})
    spread = dataset.spread_for(best, predicts)
    pairs = (answers.pair([best.runs], [[each]], spread, predicts, "baseline") for each in dataset.added)
    gaps = compared(pairs, len(dataset.candidates) * len(dataset.added))
    return [
        replace(each, gap=gap, is_chosen=_beats_on_validation(each, best, predicts))
        for each, gap in zip(dataset.added, gaps, strict=True)
    ]


def _beats_on_validation(added: Elsewhere, best: Configuration, predicts: ModelChoice) -> bool:
    """Whether an added predictor that is no person is more accurate on the validation tweets that both have."""
    if added.validation is None or added.added.annotator:
        return False
    by_run, _ = read_each([best.best_seed], lambda run: read_scores(run, "validation"))
    for scores in by_run.values():
        _, ours, theirs = np.intersect1d(scores.tweets, added.validation.tweets, return_indices=True)
        n_right = scores.right(predicts)[ours].sum()
        return bool(added.validation.right("baseline")[theirs].sum() > n_right)
    return False


def _best_model_on_validation(configuration: Configuration) -> ModelChoice:
    """The model with the best mean validation accuracy over all seeds; ties are broken by the lower loss."""

    def score(model: ModelChoice) -> tuple[float, float]:
        metrics = [run.measured("validation", model) for run in configuration.runs]
        return fmean(of_run.accuracy for of_run in metrics), -fmean(of_run.loss for of_run in metrics)

    return max(get_args(ModelChoice), key=score)


def _gain(dataset: Dataset, best: Configuration, chosen: ModelChoice) -> Difference | None:
    """The gain of the ensemble over the baseline, else that of the network; corrected for all candidates."""
    if chosen != "both":
        return dataset.against_baseline[dataset.configurations.index(best)]
    pair = dataset.answers.with_baseline(best.runs, dataset.spread_for(best, chosen), chosen)
    return compared([pair], len(dataset.candidates))[0]


def score_of(configuration: Configuration, dataset: Dataset, model: ModelChoice = "network") -> Estimate:
    """Test accuracy with its confidence interval; without predictions the mean only."""
    pair = dataset.answers.with_baseline(configuration.runs, dataset.spread_for(configuration, model), model)
    if pair is None:
        accuracies = [run.measured("test", model).accuracy for run in configuration.runs]
        return Estimate(fmean(accuracies), None, None, len(accuracies))
    side, _, spread = pair
    return statistics.score_of(side, spread)
