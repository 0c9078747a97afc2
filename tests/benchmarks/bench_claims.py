"""How often the report claims a difference, in invented worlds with one and without.

`python -m tests.benchmarks.bench_claims [--worlds N]` prints in how many percent of the worlds each kind of claim is
made, or with `--only QUESTION` each kind of that question of the report; with `--seeds`, of claims about configurations
with few seeds, of which none is better; with `--folds`, about cross-validated runs without a difference; with
`--hypotheses`, of verdicts on hypotheses whose margin is exactly the true difference.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product

from tests.benchmarks import few_seeds
from tests.benchmarks.claims import QUESTIONS, World, edge_rates, fold_rates, rates
from tests.benchmarks.few_seeds import Family, Spreads

# Configurations and seeds.
SHAPES = ((2, (3,)), (6, (2,)), (6, (3,)), (6, (5,)), (12, (2,)), (12, (3,)), (48, (3,)))
_SPREADS: tuple[Spreads, ...] = ("equal", "hetero", "wild", "two wild")


def print_seeds(worlds: int) -> None:
    """The rates of false claims by configurations, seeds, tweets, and how seeds spread."""
    families = [Family(*shape, spreads=spreads) for shape in SHAPES for spreads in _SPREADS[:3]]
    families += [Family(6, (3,), tweets, spreads) for tweets in (300, 5_000) for spreads in _SPREADS[:3]]
    families += [Family(6, (3,), classes=(800, 100, 100), spreads=spreads) for spreads in _SPREADS[:3]]
    families += [Family(6, (3,), accuracy=0.97), Family(6, (3,), accuracy=0.97, spreads="wild")]
    families += [
        Family(6, (2, 4)),
        Family(6, (2, 4), spreads="wild"),
        Family(6, (1, 3)),
        Family(6, (1, 3), spreads="wild"),
        Family(6, (3,), spreads="none"),
    ]
    families += [Family(configurations, (3,), spreads="two wild") for configurations in (6, 12)]
    for family in families:
        print(
            family,
            *(f"{100 * rate:9.1f} %  {kind}" for kind, rate in few_seeds.rates(family, worlds).items()),
            sep="\n",
        )
    for few in (1, 2, 3, 5, 10, 50):
        family = Family(6, (3,), classes=(160, 40, few))
        print(
            family,
            *(f"{100 * rate:9.1f} %  {kind}" for kind, rate in few_seeds.rates(family, worlds).items()),
            sep="\n",
        )
    for tweets, spread in product((300, 1_000, 5_000), (0.0, 0.01, 0.03)):
        drawn = Family(8, (1,), tweets, of_configurations=spread)
        shares = few_seeds.rates(drawn, worlds, are_drawn=True)
        print(drawn, *(f"{100 * rate:9.1f} %  {kind}" for kind, rate in shares.items()), sep="\n", flush=True)


def print_rates(worlds: int, questions: Sequence[str] = QUESTIONS) -> None:
    """The rates of each kind of claim, in worlds without a difference and then in some with one."""
    sizes = (400, 4000)
    shapes = ((2, 2), (10, 2), (6, 3), (3, 5))
    sorts = [World(*shape, *of) for *of, shape in product(sizes, (0.0, 0.01, 0.02), shapes)]
    three_classes = World(4, 3, 400, 0.01, classes=(0.8, 0.1, 0.1))
    sorts += [replace(three_classes, tweets=tweets) for tweets in sizes]
    sorts += [World(4, seeds, tweets, 0.01, 0.06) for tweets in sizes for seeds in (2, 3, 5)]
    for world in sorts:
        print(
            world,
            *(f"{100 * share:9.1f} %  {kind}" for kind, share in rates(world, worlds, questions).items()),
            sep="\n",
            flush=True,
        )


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
        ("--seeds", print_seeds),
        ("--folds", print_folds),
        ("--hypotheses", print_hypotheses),
    ):
        kinds.add_argument(kind, dest="print", action="store_const", const=print_kind)
    kinds.add_argument("--only", choices=QUESTIONS, help="a single question of the report")
    options = parser.parse_args()
    questions = [options.only] if options.only else QUESTIONS
    show = options.print or partial(print_rates, questions=questions)
    show(options.worlds)


if __name__ == "__main__":
    main()
