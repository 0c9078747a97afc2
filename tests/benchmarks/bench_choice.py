"""How often the intervals of `evaluate --labelled` hold the truth.

Run with `python -m tests.benchmarks.bench_choice [--draws N]`. Each world is a table of made-up tweets, on some of
which two to six predictors differ, and of which many samples are drawn in the order of a sheet. The functions are those
of the command.
"""

import argparse
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.labelling.sheet import Drawing
from sentiment.statistics.stratified import StratifiedSample

TWEETS = (300, 3_000, 100_000)
DIFFERING = (0.02, 0.1, 0.3, 0.6)
LABELS = (30, 100, 200, 500)
SHARES: tuple[tuple[float, ...], ...] = ((0.5, 0.5), (0.85, 0.15), (0.3, 0.5, 0.2), (0.8, 0.1, 0.1))
ESTIMATES = ("accuracy", "difference of accuracies", "difference of macro recalls")
_ACCURACY_WHERE_ALIKE = 0.75
_TOLERANCE = 1e-9


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
        """The class of each tweet, (n,), and the predictions, (predictors, n)."""
        n = self.tweets
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
    strata = np.where((predicted != predicted[0]).any(axis=0), 0, 1).astype(np.int8)
    drawing = Drawing("choice", [str(number) for number in range(world.tweets)], strata)
    of_second = int(strata[drawing.order[: world.labels]].sum())
    first, second = np.flatnonzero(strata == 0), np.flatnonzero(strata == 1)
    sizes = (len(first), len(second))
    right = predicted[:2] == truth
    gaps = right[0].astype(float) - right[1]
    true_recall = np.mean([gaps[truth == label].mean() for label in np.unique(truth)])
    true_values = dict(zip(ESTIMATES, (right[0].mean(), gaps.mean(), true_recall), strict=True))
    covered: dict[str, list[bool]] = {name: [] for name in ESTIMATES}
    for _ in range(draws):
        rows = np.concatenate(
            [rng.choice(first, world.labels - of_second, replace=False), rng.choice(second, of_second, replace=False)]
        )
        sample = StratifiedSample(truth[rows], strata[rows], sizes)
        estimates = {
            "accuracy": sample.accuracy(right[0, rows]),
            "difference of accuracies": sample.accuracy_difference(right[0, rows], right[1, rows]),
        }
        has_all_classes = len(np.unique(truth[rows])) == len(world.shares)
        if has_all_classes and not sample.classes_with_few_labels():
            estimates["difference of macro recalls"] = sample.recall_difference(right[0, rows], right[1, rows])
        for name, estimate in estimates.items():
            is_above = estimate.low <= true_values[name] + _TOLERANCE
            covered[name].append(is_above and true_values[name] <= estimate.high + _TOLERANCE)
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
    print("estimate | worlds | coverage: smallest, mean, largest | worlds within .93 to .97 or always exact")
    for name, shares in coverage.items():
        values = np.array(shares)
        good = np.mean((values >= 0.93) & (values <= 0.97) | (values == 1))
        print(f"{name} | {len(values)} | {values.min():.3f}, {values.mean():.3f}, {values.max():.3f} | {good:.0%}")


if __name__ == "__main__":
    main()
