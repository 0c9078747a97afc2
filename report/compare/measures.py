"""What is compared beside scores: how fast networks learn, and how much they overfit."""

from collections.abc import Iterable, Sequence

import numpy as np

from report.compare.matching import Runs, seeds_together
from report.designs import NO_SEEDS, Design, NotComparableError, Seeds, Side, Values, pooled_variance
from report.evaluated import CompletedRun, EvaluatedRun, Reader
from report.statistics import Difference
from sentiment.runs.predictions import PartPredictions

# The runs of the configurations on one side.
Configurations = Sequence[Runs]


class OverfittingGaps:
    """The overfitting gap of each run at its best epoch: training accuracy minus validation accuracy.

    Cross-validated runs have none, since their folds have other validation tweets.
    """

    def __init__(self, runs: Iterable[EvaluatedRun], reader: Reader) -> None:
        single = [run for run in runs if not run.is_cross_validated]
        self._validation = reader.read_each(single, lambda run: run.fold_runs[0].predictions("validation"))
        self.runs: Runs = [run for run in single if run.run_id in self._validation]
        self.by_run = {run.run_id: _gap_by_tweet(run.fold_runs[0], self._validation[run.run_id]) for run in self.runs}

    def are_comparable(self, runs: Sequence[EvaluatedRun]) -> bool:
        """Whether all these runs were validated on the same tweets."""
        first: PartPredictions = self._validation[runs[0].run_id]
        return all(self._validation[run.run_id].has_tweets_of(first) for run in runs)


def _gap_by_tweet(run: CompletedRun, validation: PartPredictions) -> Values:
    """Training accuracy minus correctness of each validation tweet: the mean is the overfitting gap."""
    return np.asarray(run.result.overfit.train_accuracy - validation.right("network"), np.float64)


def best_epochs(runs: Iterable[EvaluatedRun]) -> dict[str, Values]:
    """The best epoch of each run, by run id: an array of one number."""
    return {run.run_id: np.array([float(run.best_epoch)]) for run in runs}


def over_seeds(runs: Iterable[EvaluatedRun], values: dict[str, Values]) -> Seeds:
    """How a value that each run has for each tweet, or once, is compared; these runs tell the variance between seeds.

    Raises:
        NotComparableError: no configuration has several seeds.
    """
    means = [[float(values[run.run_id].mean()) for run in seeds] for seeds in seeds_together(runs)]
    variance = pooled_variance(means)
    if variance is None:
        raise NotComparableError(NO_SEEDS)
    return Seeds(variance)


def value_difference(
    design: Design, firsts: Configurations, seconds: Configurations, values: dict[str, Values]
) -> Difference:
    """The uncorrected difference of a value that each run has for each tweet, or once.

    Raises:
        NotComparableError: the configurations are not those of the design.
    """
    sides = []
    for configurations in (firsts, seconds):
        of_runs = [np.stack([values[run.run_id] for run in runs]) for runs in configurations]
        sides.append(Side(of_runs, are_shares=False))
    return design.difference(*sides)
