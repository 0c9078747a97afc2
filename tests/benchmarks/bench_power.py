"""Whether the differences that a grid is told to show are shown by the report's test with the probability told.

`python -m tests.benchmarks.bench_power [--worlds N]` prints for many grids the smallest difference told before any run,
and in how many percent of N invented studies with exactly this difference `report.statistics` shows it.
"""

import argparse

import numpy as np
import numpy.typing as npt

from report.designs import Seeds, Side, pooled_variance
from report.statistics import corrected
from sentiment.runs.power import Assumptions, smallest_shown

Flags = npt.NDArray[np.bool_]

RARE = (0.8, 0.1, 0.1)


def _sizes(tweets: int, shares: tuple[float, ...] = (1.0,)) -> tuple[int, ...]:
    return tuple(round(tweets * share) for share in shares)


PAIRS = [Assumptions(2, seeds, (tweets,)) for seeds in (2, 3, 5) for tweets in (300, 1_000, 5_000)]
FAMILIES = [Assumptions(6, *of) for of in ((2, (1_000,)), (3, (1_000,)), (3, (5_000,)), (5, (1_000,)), (5, (5_000,)))]
RARE_CLASSES = [
    Assumptions(2, *of) for of in ((3, _sizes(1_000, RARE)), (5, _sizes(1_000, RARE)), (5, _sizes(300, RARE)))
]
OTHERS = [
    Assumptions(2, 4, (1_000,)),
    Assumptions(2, 6, (5_000,)),
    Assumptions(3, 3, (1_000,)),
    Assumptions(4, 2, (1_000,)),
    Assumptions(4, 6, (1_000,)),
    Assumptions(6, 6, (300,)),
    Assumptions(2, 3, _sizes(5_000, RARE)),
    Assumptions(2, 6, _sizes(3_000, (0.16, 0.48, 0.36))),
    Assumptions(6, 3, _sizes(2_000, RARE)),
    Assumptions(6, 5, _sizes(5_000, (0.2,) * 5)),
    Assumptions(1, 3, (1_000,)),
    Assumptions(2, 3, (1_000,), spread=0.005, disagreement=0.2),
]
DESIGNS = [*PAIRS, *FAMILIES, *RARE_CLASSES, *OTHERS]


def drawn_side(right: Flags, design: Assumptions, classes: npt.NDArray[np.int64], rng: np.random.Generator) -> Side:
    """The seeds of a configuration: each has as many more or fewer tweets of each class right as its luck decides."""
    seeds = []
    for luck in rng.normal(0, design.spread, design.seeds):
        answers = right.copy()
        for label in range(len(design.sizes)):
            changeable = np.flatnonzero((classes == label) & (right == (luck < 0)))
            changed = rng.choice(
                changeable, min(round(abs(luck) * design.sizes[label]), len(changeable)), replace=False
            )
            answers[changed] = luck > 0
        seeds.append(answers)
    return Side([np.array(seeds)], classes=classes if len(design.sizes) > 1 else None)


def shown(design: Assumptions, difference: float, worlds: int, seed: int = 1) -> float:
    """In which share of studies the best configuration is shown to be better than another one, mean over the others."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(design.sizes)), design.sizes)
    only_other = max(design.disagreement - difference, 0.0) / 2
    claims = []
    for _ in range(worlds):
        best = rng.random(len(classes)) < 0.5
        drawn = rng.random((max(design.configurations - 1, 1), len(classes)))
        others = np.where(best, drawn > 2 * (only_other + difference), drawn < 2 * only_other)
        sides = [drawn_side(right, design, classes, rng) for right in (best, *others)]
        if design.configurations == 1:
            sides[1] = Side([others], has_seeds=False, classes=sides[0].classes)
        seeded = [side for side in sides if side.has_seeds]
        spread = pooled_variance([side.seed_scores(side.configurations[0]).tolist() for side in seeded])
        assert spread is not None
        differences = corrected([Seeds(spread).difference(sides[0], side) for side in sides[1:]], design.hypotheses)
        claims += [claim.is_better for claim in differences]
    return float(np.mean(claims))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1_000)
    options = parser.parse_args()
    print("configurations, hypotheses, seeds | test tweets, of classes if recall is averaged | told, points | shown, %")
    for design in DESIGNS:
        told = smallest_shown(design)
        power = "-" if told is None else f"{100 * shown(design, told, options.worlds):.0f}"
        points = "none" if told is None else f"{100 * told:.1f}"
        grid = f"{design.configurations}, {design.hypotheses}, {design.seeds}"
        print(f"{grid} | {', '.join(map(str, design.sizes))} | {points} | {power}", flush=True)


if __name__ == "__main__":
    main()
