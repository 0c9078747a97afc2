"""Hosts, once for each reach of the kernel's locks."""

from pathlib import Path

import pytest

from tests.hosts.hosts import REACHES, Hosts, build_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes a process believe that it is on another host."""
    return build_library(tmp_path_factory.mktemp("preloaded"))


@pytest.fixture(params=REACHES)
def hosts(library: Path, request: pytest.FixtureRequest) -> Hosts:
    """Hosts that share a file system."""
    return Hosts(library, request.param)
