"""How xdist deals out the tests: what takes long first, so that all workers end together.

All tests of a lane run in one process, which makes what they share once: the Slurm cluster, the page in the browser,
the study whose files are damaged.
"""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.processes import server

_LANES = ("tests/slurm/", "tests/browser/", "tests/damage/")


class _Scheduling(LoadScopeScheduling):
    """Every test by itself, but each lane as a whole; lanes come first, since they take longest."""

    def _split_scope(self, nodeid: str) -> str:
        return next((lane for lane in _LANES if nodeid.startswith(lane)), nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Start the server of processes before the workers, so that they have the same one."""
    server()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process for each core, and one for the lane, which waits for Slurm most of the time."""
    has_lane = "not slurm" not in config.option.markexpr
    return len(os.sched_getaffinity(0)) + has_lane
