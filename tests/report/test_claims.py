"""Where nothing differs at most one world in twenty makes a claim of a kind; clear differences are found."""

from statistics import fmean

import pytest

from tests.benchmarks.claims import World, edge_rates, fold_rates, rates

pytestmark = pytest.mark.more

WORLDS = 25
# Few seeds and many, that differ much and not at all, of few configurations and many; by macro recall of three classes.
ALIKE = (
    World(2, 2, 400, 0.02),
    World(6, 2, 1000, 0.02),
    World(3, 3, 1000, 0.01, classes=(0.8, 0.1, 0.1)),
    World(4, 5, 400, 0.0),
)
# A share of 5 % is exceeded by chance in one of a thousand simulations of so many worlds.
MOST = 0.05 + 3.1 * (0.05 * 0.95 / (WORLDS * len(ALIKE))) ** 0.5


def test_worlds_without_a_difference_make_no_more_claims_than_the_level_allows() -> None:
    found = [rates(world, WORLDS) for world in ALIKE]
    together = {kind: fmean(one[kind] for one in found) for kind in found[0]}
    assert {kind: share for kind, share in together.items() if share > MOST} == {}
    assert len(together) == 16


@pytest.mark.parametrize("seeds", [2, 4])
def test_margin_that_is_the_true_difference_is_decided_no_more_often_than_the_level_allows(seeds: int) -> None:
    found = edge_rates(World(2, seeds, 1000, 0.01, gain=0.04), 150)
    most = 0.05 + 3.1 * (0.05 * 0.95 / 150) ** 0.5
    assert {kind: share for kind, share in found.items() if share > most} == {}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("question", "world", "kinds"),
    [("labels", World(10, 2, 1000, 0.02), 2), ("settings, one seed", World(8, 1, 1000, 0.02), 1)],
)
def test_many_values_with_few_runs_each_make_no_more_claims_than_the_level_allows(
    question: str, world: World, kinds: int
) -> None:
    found = rates(world, 60, [question])
    assert max(found.values()) <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5
    assert len(found) == kinds


# Cross-validated runs whose training sets differ by as much as a point or two, with one seed and several.
FOLDED = (
    World(1, 1, 1000, 0.005),
    World(1, 5, 5000, 0.005),
    World(2, 3, 1000, 0.005),
    World(1, 2, 600, 0.005, folds=3, of_training_sets=0.02),
)


def test_training_sets_of_folds_make_no_more_claims_than_the_level_allows_on_their_own_tweets_and_others() -> None:
    found = [fold_rates(world, WORLDS) for world in FOLDED]
    together = {kind: fmean(one[kind] for one in found) for kind in found[0]}
    assert {kind: share for kind, share in together.items() if share > MOST} == {}
    assert len(together) == 2


def test_clear_differences_are_found_with_several_seeds() -> None:
    found = rates(World(4, 5, 2000, 0.005, gain=0.08), 8)
    of_the_first = {
        "headline: recommended against the baseline",
        "headline and leaderboard: others of the kind are better or worse",
        "leaderboard: a kind is better or worse",
        "a setting: beats, loses to",
        "ELMo: gain",
    }
    assert {kind: found[kind] for kind in of_the_first if found[kind] < 0.9} == {}
