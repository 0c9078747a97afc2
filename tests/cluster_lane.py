"""How xdist deals out the tests: what takes long first, so that all workers end together.

All tests of a lane run in one process, which makes what they share once: the Slurm cluster, the page in the browser,
the study whose files are damaged, what a file's fixtures make.
"""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.processes import FORKING, server

LANES = ("tests/slurm/", "tests/browser/", "tests/damage/")
# Their tests share nothing and take long.
ONE_BY_ONE = ("tests/jobs/", "tests/relations/", "tests/oracle/")
# Whole studies, commands and reports, whose parts are tested in the fast lane.
ALL_SLOW = (
    *("tests/relations/", "tests/oracle/"),
    *("tests/jobs/test_commands.py", "tests/answers/test_evaluate.py"),
    *("tests/report/test_ranking.py", "tests/report/test_runs.py"),
)


class _Scheduling(LoadScopeScheduling):
    """Each lane and each file as a whole, some tests by themselves; what takes longest comes first."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ONE_BY_ONE):
            return nodeid
        return next((lane for lane in LANES if nodeid.startswith(lane)), nodeid.partition("::")[0])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(ALL_SLOW):
            item.add_marker("slow")
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    lanes = [number for number, lane in enumerate(LANES) if item.nodeid.startswith(lane)]
    return lanes[0] if lanes else len(LANES) + (item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Start the server of processes, from which the workers are forked as well: it imports torch once for all."""
    server()
    os.environ["PYTHONPATH"] = os.pathsep.join([FORKING, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # by the number of tests
    return _Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process for each core, and one for the lane, which waits for Slurm most of the time."""
    has_lane = "not slurm" not in config.option.markexpr
    return len(os.sched_getaffinity(0)) + has_lane
