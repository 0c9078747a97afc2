"""How often the report claims a difference, in invented worlds with one and without.

`python -m tests.benchmarks.bench_claims [--worlds N]` prints in how many percent of the worlds each kind of claim is
made, or with `--only QUESTION` each kind of that question of the report; with `--seeds`, of claims about configurations
with few seeds, of which none is better.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from tests.benchmarks import few_seeds
from tests.benchmarks.claims import QUESTIONS, World, rates
from tests.benchmarks.few_seeds import Family, Spreads

# Configurations and seeds.
SHAPES = ((2, (3,)), (6, (2,)), (6, (3,)), (6, (5,)), (12, (2,)), (12, (3,)), (48, (3,)))
_SPREADS: tuple[Spreads, ...] = ("equal", "hetero", "wild")


def print_seeds(worlds: int) -> None:
    """The rates of false claims by configurations, seeds, tweets, and how seeds spread."""
    families = [Family(*shape, spreads=spreads) for shape in SHAPES for spreads in _SPREADS]
    families += [Family(6, (3,), tweets, spreads) for tweets in (300, 5_000) for spreads in _SPREADS]
    families += [Family(6, (3,), classes=(800, 100, 100), spreads=spreads) for spreads in _SPREADS]
    families += [Family(6, (3,), accuracy=0.97), Family(6, (3,), accuracy=0.97, spreads="wild")]
    families += [Family(6, seeds, spreads=spreads) for seeds in ((2, 4), (1, 3)) for spreads in _SPREADS[::2]]
    families += [Family(6, (3,), spreads="none")]
    families += [Family(configurations, (3,), spreads="two wild") for configurations in (6, 12)]
    families += [Family(6, (3,), classes=(160, 40, few)) for few in (1, 2, 3, 5, 10, 50)]
    for family in families:
        _print(family, few_seeds.rates(family, worlds))
    for tweets, spread in product((300, 1_000, 5_000), (0.0, 0.01, 0.03)):
        drawn = Family(8, (1,), tweets, of_configurations=spread)
        _print(drawn, few_seeds.rates(drawn, worlds, are_drawn=True))


def _print(world: Family | World, shares: dict[str, float]) -> None:
    print(world, *(f"{100 * share:9.1f} %  {kind}" for kind, share in shares.items()), sep="\n", flush=True)


def print_rates(worlds: int, questions: Sequence[str] = QUESTIONS) -> None:
    """The rates of each kind of claim, in worlds without a difference and then in some with one."""
    sizes = (400, 4000)
    shapes = ((2, 2), (10, 2), (6, 3), (3, 5))
    sorts = [World(*shape, *of) for *of, shape in product(sizes, (0.0, 0.01, 0.02), shapes)]
    three_classes = World(4, 3, 400, 0.01, classes=(0.8, 0.1, 0.1))
    sorts += [replace(three_classes, tweets=tweets) for tweets in sizes]
    sorts += [World(4, seeds, tweets, 0.01, 0.06) for tweets in sizes for seeds in (2, 3, 5)]
    for world in sorts:
        _print(world, rates(world, worlds, questions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--seeds", action="store_true", help="of configurations with few seeds")
    kinds.add_argument("--only", choices=QUESTIONS, help="a single question of the report")
    options = parser.parse_args()
    if options.seeds:
        print_seeds(options.worlds)
    else:
        print_rates(options.worlds, [options.only] if options.only else QUESTIONS)


if __name__ == "__main__":
    main()
