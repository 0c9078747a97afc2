"""One cluster for all scenarios, which begin together and play side by side."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.slurm.cluster import Cluster, what_is_missing
from tests.slurm.stage import BASE, Prepared, Scenario, Stage, scenario_of

# Most of a scenario is waiting for Slurm; more of them at once would only make trainings slow.
_AT_ONCE = 6


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster, which this process finds as well; no test changes its settings."""
    if missing := what_is_missing():
        pytest.skip(missing)
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its daemons end in any case
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", cluster.environ["SLURM_CONF"])
        yield cluster
    signal.signal(signal.SIGTERM, former)


@pytest.fixture(scope="package")
def played(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Scenario], None]]:
    """Waits for a scenario's end; the first call starts all that were collected."""
    folder = tmp_path_factory.mktemp("stages")
    prepared = Prepared(Results(tmp_path_factory.mktemp("prepared")))
    prepared.digest(resolve(BASE, {"training.epochs": 2}, "the base run"))
    scenarios = [one for item in request.session.items if (one := scenario_of(item)) is not None]
    modules = ("search", "failures", "survival", "submitting")  # the longest ones first
    scenarios.sort(key=lambda scenario: modules.index(scenario.__module__.rpartition("_")[2]))
    with ThreadPoolExecutor(_AT_ONCE) as pool:

        def play(scenario: Scenario) -> None:
            scenario(Stage(cluster, folder / scenario.__name__, prepared))

        futures: dict[Scenario, Future[Any]] = {one: pool.submit(play, one) for one in scenarios}
        yield lambda scenario: futures[scenario].result()
        pool.shutdown(cancel_futures=True)
