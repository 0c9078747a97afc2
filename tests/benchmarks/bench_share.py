"""How often the intervals of `sentiment share` hold the true share, and how wide they are.

Run with `python -m tests.benchmarks.bench_share [--draws N]`. Each world is a file of made-up tweets with a share of a
class, a model's probabilities for them, and many random samples to label. The functions are those of the command; the
samples stand on an axis between tweets and classes.
"""

import argparse
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from sentiment.statistics.shares import (
    Array,
    Shares,
    labelled_shares,
    labels_alone,
    log_odds,
    recalibrate,
)

TWEETS = 4_000
LABELS = (50, 200, 1_000)
SHARES = (0.02, 0.1, 0.3, 0.5, 0.8, 0.98)
CLASSES = (2, 3)
BATCH = 250
# By model: how well it tells classes apart, the log-odds by which it prefers the last class, its confidence.
MODELS = {
    "good": (1.8, 0.0, 1.0),
    "useless": (0.0, 0.0, 1.0),
    "biased": (1.2, 2.0, 1.0),
    "overconfident": (1.2, 0.0, 5.0),
}


class World(NamedTuple):
    """A file of tweets, of which some are labelled."""

    model: str
    share: float  # of the last class
    classes: int
    labels: int

    def tweets(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Array]:
        """The class of each tweet, (n,), and the model's probabilities, (n, classes)."""
        others = np.arange(1, self.classes)
        shares = [*(1 - self.share) * others / others.sum(), self.share]
        truth = rng.permutation(np.repeat(np.arange(self.classes), np.round(np.array(shares) * TWEETS).astype(int)))
        skill, bias, confidence = MODELS[self.model]
        evidence = skill**2 * np.eye(self.classes)[truth] + skill * rng.normal(size=(len(truth), self.classes))
        if skill == 0:
            evidence = rng.normal(size=evidence.shape)
        evidence[:, -1] += bias
        return truth, softmax(confidence * (evidence + np.log(shares)), axis=1)


def draw(
    world: World, truth: npt.NDArray[np.int64], probabilities: Array, draws: int, rng: np.random.Generator
) -> tuple[Shares, Shares]:
    """The shares by labels alone, and by labels and predictions, of shape (draws, classes), from random samples."""
    tweets = len(truth)
    rows = np.stack([rng.choice(tweets, world.labels, replace=False) for _ in range(draws)], axis=1)
    outcomes = np.eye(world.classes)[truth[rows]]
    odds = log_odds(probabilities)
    fit = recalibrate(outcomes, odds[rows])
    mean_predicted = fit.probabilities(odds[:, None]).mean(axis=0)
    predicted = fit.probabilities(odds[rows])
    nothing = np.zeros_like(mean_predicted)
    alone = labelled_shares(outcomes, nothing, nothing, tweets)
    return alone, labelled_shares(outcomes, predicted, mean_predicted, tweets)


class Quality(NamedTuple):
    """Of a world, by class."""

    coverage: Array
    coverage_alone: Array
    width: Array  # the mean width, as a multiple of that with labels alone
    worth: Array  # as a multiple of the number of labels


def measured(world: World, draws: int, seed: int = 1) -> Quality:
    """What `draws` random samples say of a world; of two classes, the same holds for both, and one is kept."""
    rng = np.random.default_rng([seed, *map(ord, repr(world))])
    truth, probabilities = world.tweets(rng)
    shares = np.bincount(truth, minlength=world.classes) / len(truth)
    parts = [draw(world, truth, probabilities, BATCH, rng) for _ in range(draws // BATCH)]
    alone, together = (
        Shares(*map(np.concatenate, zip(*estimates, strict=True))) for estimates in zip(*parts, strict=True)
    )
    width = (together.high - together.low).mean(axis=0) / (alone.high - alone.low).mean(axis=0)
    worth = labels_alone(len(truth), together.unit).mean(axis=0) / world.labels
    quality = Quality(covers(together, shares), covers(alone, shares), width, worth)
    return quality if world.classes > 2 else Quality(*(of_class[1:] for of_class in quality))


def covers(estimate: Shares, shares: Array) -> Array:
    """How often the interval of each class holds its share."""
    return ((estimate.low <= shares) & (shares <= estimate.high)).mean(axis=0)


def main() -> None:
    """Print coverage and width by model and number of classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2_000)
    draws = parser.parse_args().draws
    print("model | coverage | of labels alone | width: mean, worst | a label is worth")
    for model in MODELS:
        worlds = [World(model, *settings) for settings in product(SHARES, CLASSES, LABELS)]
        qualities = [measured(world, draws) for world in worlds]
        coverage, alone, width, worth = map(np.concatenate, zip(*qualities, strict=True))
        print(f"{model} | {spread(coverage)} | {spread(alone)} | {width.mean():.2f}, {width.max():.3f}", end=" | ")
        print(f"{worth.min():.2f}-{worth.max():.2f}", flush=True)


def spread(values: Array) -> str:
    """The smallest value, the mean and the largest one."""
    return f"{values.min():.3f}, {values.mean():.3f}, {values.max():.3f}"


if __name__ == "__main__":
    main()
