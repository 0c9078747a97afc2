"""Tests that wait rather than work: all of them play at the same time, on the same cluster."""

from collections.abc import Callable

import pytest

from tests.slurm.stage import Stage

Scenario = Callable[[Stage], None]
_OF_TEST = "scenario"


def scenario(play: Scenario) -> Callable[..., None]:
    """Make a test of what happens on a stage. It must not use fixtures: it runs in a thread beside the others."""

    @pytest.mark.slurm
    def test(played: Callable[[Scenario], None]) -> None:
        played(play)

    test.__name__, test.__doc__, test.__module__ = play.__name__, play.__doc__, play.__module__
    setattr(test, _OF_TEST, play)
    return test


def scenario_of(item: pytest.Item) -> Scenario | None:
    """What a collected test plays; None for one of another kind."""
    return getattr(getattr(item, "function", None), _OF_TEST, None)
