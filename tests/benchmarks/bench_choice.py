"""How often the intervals of `evaluate --labelled` hold the truth.

Run with `python -m tests.benchmarks.bench_choice [--draws N]`. In each world, two to six predictors differ on some of
many made-up tweets. A table is a random sample of these, and as many of its tweets are labelled as of a sheet. The
truth is that of all tweets, for which a predictor is chosen. The functions are those of the command.
"""

import argparse
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.statistics.families import estimated
from sentiment.statistics.stratified import StratifiedSample

TWEETS = (300, 3_000, 100_000)
DIFFERING = (0.02, 0.1, 0.3, 0.6)
LABELS = (30, 100, 200, 500)
SHARES: tuple[tuple[float, ...], ...] = ((0.5, 0.5), (0.85, 0.15), (0.3, 0.5, 0.2), (0.8, 0.1, 0.1))
ESTIMATES = ("accuracy", "difference of accuracies", "difference of macro recalls")
_ACCURACY_WHERE_ALIKE = 0.75
_ALL = 200_000  # tweets of a world


class World(NamedTuple):
    """A table of tweets with the labels of several predictors."""

    tweets: int
    differing: float  # the share of tweets on which the predictors may differ
    labels: int
    shares: tuple[float, ...]  # of the classes

    @property
    def predictors(self) -> int:
        return 2 + self.labels // 50 % 5

    def draw(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The class of each of the world's tweets, (n,), and the predictions, (predictors, n)."""
        n = _ALL
        classes = len(self.shares)
        truth = rng.choice(classes, n, p=self.shares)
        guess = rng.integers(0, classes, n)
        alike = np.where(rng.random(n) < _ACCURACY_WHERE_ALIKE, truth, guess)
        predicted = np.tile(alike, (self.predictors, 1))
        differing = np.flatnonzero(rng.random(n) < self.differing)
        for of_predictor in predicted:
            skill = rng.uniform(0.35, 0.6)
            is_right = rng.random(len(differing)) < skill
            of_predictor[differing] = np.where(is_right, truth[differing], rng.integers(0, classes, len(differing)))
        return truth, predicted


def measured(world: World, draws: int, seed: int = 1) -> dict[str, float]:
    """How often the interval of each estimate holds the truth; one that is refused in most draws is left out."""
    rng = np.random.default_rng([seed, *map(ord, repr(world))])
    truth, predicted = world.draw(rng)
    strata = np.where((predicted != predicted[0]).any(axis=0), 0, 1)
    right = predicted[:2] == truth
    gaps = right[0].astype(float) - right[1]
    true_recall = np.mean([gaps[truth == label].mean() for label in np.unique(truth)])
    true_values = dict(zip(ESTIMATES, (right[0].mean(), gaps.mean(), true_recall), strict=True))
    covered: dict[str, list[bool]] = {name: [] for name in ESTIMATES}
    for _ in range(draws):
        table = rng.integers(0, _ALL, world.tweets)
        first = table[strata[table] == 0]
        second = table[strata[table] == 1]
        of_second = max(world.labels // 4, world.labels - len(first))
        rows = np.concatenate([first[: world.labels - of_second], second[:of_second]])
        sample = StratifiedSample(truth[rows], strata[rows], (len(first), len(second)))
        estimates = {
            "accuracy": sample.accuracy(right[0, rows]),
            "difference of accuracies": estimated(sample.accuracy_difference(right[0, rows], right[1, rows])),
        }
        has_all_classes = len(np.unique(truth[rows])) == len(world.shares)
        if has_all_classes and not sample.classes_with_few_labels():
            estimates["difference of macro recalls"] = estimated(
                sample.recall_difference(right[0, rows], right[1, rows])
            )
        for name, estimate in estimates.items():
            covered[name].append(estimate.low <= true_values[name] <= estimate.high)
    return {name: float(np.mean(holds)) for name, holds in covered.items() if len(holds) > draws / 2}


def worlds() -> list[World]:
    """All worlds; no table is smaller than its sample."""
    return [World(*settings) for settings in product(TWEETS, DIFFERING, LABELS, SHARES) if settings[2] <= settings[0]]


def main() -> None:
    """Print the coverage of each estimate: smallest, mean, largest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1_000)
    draws = parser.parse_args().draws
    coverage: dict[str, list[float]] = {name: [] for name in ESTIMATES}
    for world in worlds():
        for name, share in measured(world, draws).items():
            coverage[name].append(share)
    print("estimate | worlds | coverage: smallest, mean, largest | worlds within .93 to .97")
    for name, shares in coverage.items():
        values = np.array(shares)
        good = np.mean((values >= 0.93) & (values <= 0.97))
        print(f"{name} | {len(values)} | {values.min():.3f}, {values.mean():.3f}, {values.max():.3f} | {good:.0%}")


if __name__ == "__main__":
    main()
