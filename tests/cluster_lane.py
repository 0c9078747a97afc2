"""Under xdist all tests on the Slurm cluster run in one process, which has one cluster, beside all other tests."""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.processes import server

_LANE = "tests/slurm/"


class _Scheduling(LoadScopeScheduling):
    """Every test by itself, but the lane as a whole; it comes first, since it takes longest."""

    def _split_scope(self, nodeid: str) -> str:
        return _LANE if nodeid.startswith(_LANE) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Start the server of processes before the workers, so that they have the same one."""
    server()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Replace the one that deals out tests one by one."""
    return _Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process for each core, and one for the lane, which waits for Slurm most of the time."""
    has_lane = "not slurm" not in config.option.markexpr
    return len(os.sched_getaffinity(0)) + has_lane
