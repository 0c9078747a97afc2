"""How often the report claims a difference, in invented worlds with one and without.

`python -m tests.benchmarks.bench_claims [--worlds N]` prints in how many percent of the worlds each kind of claim is
made; with `--folds`, of claims about cross-validated runs without a difference; with `--hypotheses`, of verdicts on
hypotheses whose margin is exactly the true difference; with `--spreads`, how often a
configuration is called different from its baseline though it is not, where seeds of one configuration differ more or
less than those of others.
"""

import argparse
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from sentiment.statistics.designs import Seeds, Side
from sentiment.statistics.estimate import corrected
from sentiment.statistics.families import ALPHA
from sentiment.statistics.seeds import seed_spread
from tests.report.simulation import World, draw_luck, draw_right, edge_rates, fold_rates, rates

# The standard deviation between seeds, and how many times as large it is for the first configuration.
DEVIATIONS = ((0.0, 1.0), (0.01, 0.25), (0.01, 1.0), (0.01, 4.0))


def spread_rates(world: World, worlds: int, seed: int = 1) -> tuple[float, float]:
    """In how many worlds any configuration is called different from the baseline; the first, if it alone counted."""
    rng = np.random.default_rng(seed)
    shown = np.zeros(2)
    for _ in range(worlds):
        right, baseline, _ = draw_right(draw_luck(world, world.configurations, world.seeds, rng), world, rng)
        classes = rng.choice(len(world.classes), world.tweets, p=world.classes)
        strata: dict[str, Any] = {"classes": classes} if len(world.classes) > 1 else {}
        sides = [Side([answers], **strata) for answers in right]
        spread = seed_spread([side.seed_scores(side.configurations[0]).tolist() for side in sides])
        linear = Side([baseline[None]], has_seeds=False, **strata)
        assert spread is not None
        claims = corrected([Seeds(spread).difference(side, linear) for side in sides])
        shown += any(claim.is_significant for claim in claims), (claims[0].p or 1.0) < ALPHA
    return tuple((shown / worlds).tolist())


def print_spreads(worlds: int) -> None:
    """The rates of false claims by spread, and how often a gain of two points is seen."""
    for classes in ((1.0,), (0.8, 0.1, 0.1)):
        print(f"{len(classes)} classes; % of worlds with a false claim; on the first, if it alone counted: mean, most")
        for deviation, spread in DEVIATIONS:
            shapes = product((1, 2, 6), (2, 3, 4, 6))
            alike = [World(*shape, 1000, deviation, spread=spread, classes=classes) for shape in shapes]
            shares = np.array([spread_rates(world, worlds) for world in alike])
            text = " | ".join(f"{100 * rate:.1f}" for of_kind in shares.T for rate in (of_kind.mean(), of_kind.max()))
            print(f"deviation {deviation}, first times {spread} | {text}", flush=True)
    for seeds in (2, 3, 5):
        _, seen = spread_rates(World(1, seeds, 1000, 0.01, 0.02), worlds)
        print(f"{seeds} seeds of one configuration: a gain of 2 points is seen in {100 * seen:.0f} %")


def print_rates(worlds: int) -> None:
    """The rates of each kind of claim, in worlds without a difference and then in some with one."""
    sizes = (400, 4000)
    shapes = ((2, 2), (10, 2), (6, 3), (3, 5))
    sorts = [World(*shape, *of) for *of, shape in product(sizes, (0.0, 0.01, 0.02), shapes)]
    three_classes = World(4, 3, 400, 0.01, classes=(0.8, 0.1, 0.1))
    sorts += [replace(three_classes, tweets=tweets) for tweets in sizes]
    sorts += [World(4, seeds, tweets, 0.01, 0.06) for tweets in sizes for seeds in (2, 3, 5)]
    for world in sorts:
        print(world, *(f"{100 * share:9.1f} %  {kind}" for kind, share in rates(world, worlds).items()), sep="\n")


def print_folds(worlds: int) -> None:
    """The rates of claims about cross-validated runs in worlds without a difference."""
    for shape, folds, of_training_sets in product(((1, 1, 1000), (1, 5, 5000), (2, 3, 1000)), (3, 5, 10), (0.0, 0.01)):
        world = World(*shape, 0.005, folds=folds, of_training_sets=of_training_sets)
        print(world, *(f"{100 * share:9.1f} %  {kind}" for kind, share in fold_rates(world, worlds).items()), sep="\n")


def print_hypotheses(worlds: int) -> None:
    """The rates of decisions at the edge of a margin, and how often two equal or different cells are told to be so."""
    for seeds, tweets in product((2, 3, 4, 6), (400, 4000)):
        world = World(2, seeds, tweets, 0.01, gain=0.04)
        shares = edge_rates(world, worlds)
        print(world, *(f"{100 * share:9.1f} %  {kind}" for kind, share in shares.items()), sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    kinds = parser.add_mutually_exclusive_group()
    for kind, print_kind in (
        ("--spreads", print_spreads),
        ("--folds", print_folds),
        ("--hypotheses", print_hypotheses),
    ):
        kinds.add_argument(kind, dest="print", action="store_const", const=print_kind, default=print_rates)
    options = parser.parse_args()
    options.print(options.worlds)


if __name__ == "__main__":
    main()
