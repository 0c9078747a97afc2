"""What all tests share: invented tweets, a small run on them, no network, and the option `--no-skips`."""

import signal
import socket
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from sentiment.console import silent
from sentiment.runs.run_dir import Results, RunDir
from tests.cluster_lane import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.cluster_lane import pytest_xdist_auto_num_workers as pytest_xdist_auto_num_workers
from tests.cluster_lane import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from tests.cluster_lane import pytest_xdist_setupnodes as pytest_xdist_setupnodes
from tests.jobs.grid_files import write_base
from tests.no_skips import pytest_addoption as pytest_addoption
from tests.no_skips import pytest_sessionfinish as pytest_sessionfinish
from tests.small_runs import TWEETS, Experiment, invented_tweets, small_config, write_tweets

# How long an example takes depends on what else the machine does. The same examples each time, so that a test judges a
# change by what it changes.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

# Where a shell started the tests in the background, Ctrl+C would be ignored by every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

MakeExperiment = Callable[..., Experiment]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What needs Slurm or a browser is not even imported where the expression leaves it out."""
    return f"not {collection_path.name} " in f"{config.option.markexpr} " or None


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"tests are offline, but {address} was to be reached")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


@pytest.fixture(scope="session")
def tweets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tweets(tmp_path_factory.mktemp("tweets") / "invented.csv", invented_tweets(TWEETS))


@pytest.fixture(scope="session")
def small_run_file(tweets_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("configs"), tweets_file)


@pytest.fixture(scope="session")
def shared_results(tweets_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Where the corpus and its baselines are prepared once for all tests in this process."""
    from sentiment.training.preparation import prepare_data  # which imports torch

    results = Results(tmp_path_factory.mktemp("results"))
    prepare_data(small_config(tweets_file), results, silent)
    return results


@pytest.fixture
def experiment(tweets_file: Path, shared_results: Results, tmp_path: Path) -> MakeExperiment:
    """Makes a small run with the changes that it is given, in a new directory at each call."""
    places = (RunDir(tmp_path / f"run {number}") for number in count(1))
    return lambda **changes: Experiment(small_config(tweets_file, **changes), shared_results, next(places))


@pytest.fixture(scope="session")
def trained(tweets_file: Path, shared_results: Results, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A completed small run; not to be changed."""
    finished = Experiment(small_config(tweets_file), shared_results, RunDir(tmp_path_factory.mktemp("trained") / "run"))
    finished.complete()
    return finished.run_dir


@pytest.fixture(scope="session")
def trained_with_attention(
    tweets_file: Path, shared_results: Results, tmp_path_factory: pytest.TempPathFactory
) -> RunDir:
    config = small_config(tweets_file, model__pooling="attention", training__epochs=2)
    finished = Experiment(config, shared_results, RunDir(tmp_path_factory.mktemp("trained") / "attention"))
    finished.complete()
    return finished.run_dir
