"""Invented families of configurations with few seeds, compared as the report compares them.

Each world says how seeds spread and how many tweets there are; no configuration is truly better than another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from sentiment.statistics import ALPHA
from sentiment.statistics.designs import Drawn, Matched, Seeds, Side
from sentiment.statistics.families import Evidence, corrected
from sentiment.statistics.seeds import seed_spread

Floats = npt.NDArray[np.float32]
Spreads = Literal["equal", "hetero", "wild", "two wild", "none"]

# Of the variance of an answer, as a probit: the tweet's part, that of a configuration on a tweet; the rest is chance of
# a seed on a tweet. Two models differ on 12 % of the tweets if they have 80 % right.
_OF_TWEET = 0.85
_OF_CONFIGURATION = 0.05
# By the seed's spread: a score's standard deviation between seeds, as a fraction of 1.
_DEVIATION = 0.01
_STATED = 4


@dataclass(frozen=True)
class Family:
    """A grid of configurations of which none is better.

    Attributes:
        seeds: of each configuration; several numbers are taken in turn.
        spreads: `equal`; `hetero`: from a quarter to four times as much; `wild`: one configuration, or two, spread four
            times as much; `none`: seeds do not vary.
        classes: the number of tweets of each class if macro recall is compared; else empty.
    """

    configurations: int
    seeds: tuple[int, ...]
    tweets: int = 1_000
    spreads: Spreads = "equal"
    accuracy: float = 0.8
    classes: tuple[int, ...] = ()
    of_configurations: float = 0.0
    """Standard deviation of a drawn configuration's accuracy, for `drawn` and `matched`."""

    def deviations(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Of each configuration's seeds."""
        factors = np.ones(self.configurations)
        if self.spreads == "hetero":
            factors = 4 ** rng.uniform(-1, 1, self.configurations)
        if self.spreads == "none":
            factors *= 0
        if self.spreads in ("wild", "two wild"):
            factors[: 1 + (self.spreads == "two wild")] = 4
        return _DEVIATION * factors

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        return np.repeat(np.arange(len(self.classes)), self.classes) if self.classes else None

    @property
    def n(self) -> int:
        return sum(self.classes) or self.tweets

    def draw(self, rng: np.random.Generator) -> tuple[list[Side], Side]:
        """The configurations, and a baseline without seeds."""
        threshold = norm.ppf(1 - self.accuracy)
        density = norm.pdf(threshold)
        tweet = _normal(rng, self.n) * _OF_TWEET**0.5
        baseline = tweet + _normal(rng, self.n) * (1 - _OF_TWEET) ** 0.5 > threshold
        sides = []
        for number, deviation in enumerate(self.deviations(rng)):
            seeds = self.seeds[number % len(self.seeds)]
            own = (
                tweet + _normal(rng, self.n) * _OF_CONFIGURATION**0.5 + rng.normal() * self.of_configurations / density
            )
            chance = _normal(rng, seeds, self.n) * (1 - _OF_TWEET - _OF_CONFIGURATION) ** 0.5
            luck = rng.normal(size=(seeds, 1)).astype(np.float32) * (deviation / density)
            sides.append(Side([own + chance + luck > threshold], classes=self.labels))
        return sides, Side([baseline[None]], has_seeds=False, classes=self.labels)


def _normal(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.standard_normal(shape, np.float32)


def claims(family: Family, rng: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """Which claims are made, all of them wrong."""
    sides, baseline = family.draw(rng)
    scores = [side.seed_scores(side.configurations[0]).tolist() for side in sides]
    spread = seed_spread(scores)
    assert spread is not None
    design = Seeds(spread)
    against = corrected([design.difference(side, baseline) for side in sides])
    yield "baseline", any(one.is_significant for one in against)
    yield "first alone", (against[0].p or 1) < ALPHA
    if len(sides) < 2:
        return
    best = sides[int(np.argmax([np.mean(of_seeds) for of_seeds in scores]))]  # by luck that lasts on test tweets
    others = [design.difference(best, side) for side in sides if side is not best]
    yield "best", any(one.is_significant for one in corrected(others, comb(len(sides), 2)))
    half = len(sides) // 2
    if half > 1:
        yield from _stated("half, half", design, sides[:half], sides[half:])
        yield from _stated("one, others", design, sides[:1], sides[1:])


def _stated(name: str, design: Seeds, firsts: list[Side], seconds: list[Side]) -> Iterator[tuple[str, bool]]:
    """Whether either of two one-sided claims is made, alone, and in a family of four."""
    evidence = design.difference(_group(firsts), _group(seconds))
    p = [evidence.p_beyond(sign * evidence.value) for sign in (1, -1)]
    yield f"{name}, alone", min(p) < ALPHA
    yield f"{name}, of four", min(p) < ALPHA / _STATED


def _group(sides: list[Side]) -> Side:
    return Side([side.configurations[0] for side in sides], classes=sides[0].classes)


def drawn_claims(family: Family, rng: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """Of configurations that are drawn at random, with one seed each."""
    sides, _ = family.draw(rng)
    half = len(sides) // 2
    firsts, seconds = _group(sides[:half]), _group(sides[half : 2 * half])
    yield "drawn", _is_wrong(Drawn().difference(firsts, seconds))
    yield "matched", _is_wrong(Matched().difference(firsts, seconds))


def _is_wrong(difference: Evidence) -> bool:
    return difference.p is not None and difference.p < ALPHA


def rates(family: Family, families: int, seed: int = 1, *, are_drawn: bool = False) -> dict[str, float]:
    """In which share of so many families each claim is made."""
    rng = np.random.default_rng(seed)
    made: dict[str, int] = {}
    of_family = drawn_claims if are_drawn else claims
    for _ in range(families):
        for kind, is_made in of_family(family, rng):
            made[kind] = made.get(kind, 0) + is_made
    return {kind: number / families for kind, number in made.items()}
