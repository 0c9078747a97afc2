"""Whether the differences that a grid is told to show are shown by the report's test with the probability told.

`python -m tests.benchmarks.bench_power [--worlds N]` prints for many grids the smallest difference told before any run,
and in how many percent of N invented studies with exactly this difference `sentiment.statistics` shows it.
"""

import argparse
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.statistics import ALPHA
from sentiment.statistics.designs import Seeds, Side
from sentiment.statistics.families import corrected
from sentiment.statistics.power import USUAL_SPREAD, PlannedComparison, best_and_another
from sentiment.statistics.seeds import seed_spread

Flags = npt.NDArray[np.bool_]

RARE = (0.8, 0.1, 0.1)
# Tweets that each seed has right or wrong by chance, tweets that all have right, and those on which two configurations
# differ whatever the seed.
_OF_CHANCE, _RIGHT, _DIFFERING = 0.16, 0.8, 0.02


def sizes_of(tweets: int, shares: tuple[float, ...] = (1.0,)) -> tuple[int, ...]:
    return tuple(round(tweets * share) for share in shares)


PAIRS = [best_and_another(2, seeds, (tweets,)) for seeds in (2, 3, 5) for tweets in (300, 1_000, 5_000)]
FAMILIES = [
    best_and_another(6, *of) for of in ((2, (1_000,)), (3, (1_000,)), (3, (5_000,)), (5, (1_000,)), (5, (5_000,)))
]
RARE_CLASSES = [best_and_another(2, seeds, sizes_of(n, RARE)) for seeds, n in ((3, 1_000), (5, 1_000), (5, 300))]
OTHERS = [
    best_and_another(*of)
    for of in (
        (2, 4, (1_000,)),
        (2, 6, (5_000,)),
        (3, 3, (1_000,)),
        (4, 2, (1_000,)),
        (4, 6, (1_000,)),
        (6, 6, (300,)),
        (12, 3, (1_000,)),
        (2, 3, sizes_of(5_000, RARE)),
        (2, 6, sizes_of(3_000, (0.16, 0.48, 0.36))),
        (6, 3, sizes_of(2_000, RARE)),
        (6, 5, sizes_of(5_000, (0.2,) * 5)),
        (1, 3, (1_000,)),
    )
]
GRIDS = [*PAIRS, *FAMILIES, *RARE_CLASSES, *OTHERS]


def stated(sides: tuple[int, int], seeds: int, tweets: int, hypotheses: int) -> PlannedComparison:
    """A one-sided hypothesis of several about all configurations of a grid."""
    return PlannedComparison(sides, seeds, sum(sides), (tweets,), 2 * ALPHA / hypotheses, 2 * ALPHA)


STATED = [
    stated(*of)
    for of in (
        ((1, 1), 3, 1_000, 1),
        ((1, 1), 5, 300, 1),
        ((1, 1), 3, 5_000, 4),
        ((2, 2), 3, 1_000, 4),
        ((3, 3), 3, 1_000, 4),
        ((3, 3), 5, 1_200, 2),
        ((6, 6), 2, 1_000, 4),
        ((6, 6), 2, 1_000, 17),
        ((6, 6), 3, 1_000, 4),
        ((6, 6), 3, 5_000, 1),
    )
]


def drawn_answers(grid: PlannedComparison, difference: float, rng: np.random.Generator) -> tuple[list[Flags], Flags]:
    """The answers of each configuration, of which those of the first side are better, and those of the baseline."""
    n = sum(grid.sizes)
    place = rng.random(n)
    by_chance = place < _OF_CHANCE
    right = place < _RIGHT
    answers = []
    for number in range(grid.configurations):
        luck = rng.normal(0, USUAL_SPREAD, (grid.seeds, 1))
        chance = rng.random((grid.seeds, n)) < 0.5 + luck / _OF_CHANCE
        own = np.where(rng.random(n) < _DIFFERING, rng.random(n) < 0.5, right)
        if number < grid.sides[0]:
            own = own | (rng.random(n) < difference / (1 - _RIGHT))
        answers.append(np.where(by_chance, chance, own))
    return answers, np.where(by_chance, rng.random(n) < 0.5, right)


def shown(grid: PlannedComparison, difference: float, worlds: int, seed: int = 1) -> float:
    """In which share of studies a difference is shown; mean over the rivals of the best configuration."""
    rng = np.random.default_rng(seed)
    is_stated = grid.gate > ALPHA
    labels = np.repeat(np.arange(len(grid.sizes)), grid.sizes)
    strata: dict[str, Any] = {"classes": labels} if len(grid.sizes) > 1 else {}
    claims = []
    for _ in range(worlds):
        answers, right = drawn_answers(grid, difference, rng)
        sides = [Side([flags], **strata) for flags in answers]
        spread = seed_spread([side.seed_scores(side.configurations[0]).tolist() for side in sides])
        assert spread is not None
        design = Seeds(spread)
        if is_stated:
            first, second = (Side(part, **strata) for part in (answers[: grid.sides[0]], answers[grid.sides[0] :]))
            interval = design.difference(first, second).interval(1 - grid.alpha, ends=1)
            claims.append(interval is not None and interval[0] > 0)
            continue
        rivals = sides[1:] or [Side([right[None]], has_seeds=False, **strata)]
        found = corrected([design.difference(sides[0], rival) for rival in rivals], comb(len(sides), 2))
        claims += [claim.is_better for claim in found]
    return float(np.mean(claims))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1_000)
    options = parser.parse_args()
    print(
        "configurations a side, in the grid, seeds, alpha | test tweets, by class for recall | told, points | shown, %"
    )
    for grid in (*GRIDS, *STATED):
        told = grid.smallest_difference()
        power = "-" if told is None else f"{100 * shown(grid, told, options.worlds // grid.configurations):.0f}"
        points = "none" if told is None else f"{100 * told:.1f}"
        layout = f"{grid.sides}, {grid.configurations}, {grid.seeds}, {grid.alpha:.4f}"
        print(f"{layout} | {', '.join(map(str, grid.sizes))} | {points} | {power}", flush=True)


if __name__ == "__main__":
    main()
