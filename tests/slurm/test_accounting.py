"""Where a site keeps accounts, they say what became of jobs that the queue has forgotten; elsewhere nobody does."""

from collections.abc import Iterator

import pytest

from jobs.slurm.grid_jobs import GridJobs
from jobs.slurm.submissions import read_submissions
from jobs.status import read_grid_status, read_plan
from tests.slurm.accounting import cluster_with_accounting
from tests.slurm.cluster import Cluster
from tests.slurm.stage import Prepared, Stage

pytestmark = pytest.mark.slurm


@pytest.fixture
def keeping_accounts(cluster: Cluster) -> Iterator[Cluster]:
    """A second cluster, with slurmdbd."""
    with cluster_with_accounting(cluster.root.with_name("slurm-accounts")) as second:
        yield second


def _state_once_forgotten(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a run whose job was cancelled by hand, when squeue no longer shows it and its log was cleared away."""
    stage.write_grid(seed=[1], training__epochs=[100_000])
    stage.submit()
    (run,) = stage.runs
    run.wait_for_step(10)
    stage.cluster.run("scancel", run.job)
    stage.wait(lambda: stage.states() == {run.run_id: "CANCELLED"}, "the end")
    folder, _ = run.task
    for log in folder.logs.glob("*.out"):
        log.unlink()
    monkeypatch.setenv("SLURM_CONF", stage.cluster.environ["SLURM_CONF"])
    plan, submissions = read_plan(stage.results, stage.name), read_submissions(stage.results)

    def state() -> str:
        return read_grid_status(stage.results, plan, GridJobs(submissions, [])).rows[0].state

    if "AccountingStorageType" in stage.cluster.settings:  # which hears of it a moment later
        stage.wait(lambda: state() not in ("LOST", "PENDING"), "the account")
    return state()


def test_without_accounts_a_forgotten_job_is_lost(
    cluster: Cluster, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(cluster, tmp_path_factory.mktemp("forgotten") / "stage", prepared)
    assert _state_once_forgotten(stage, monkeypatch) == "LOST"


def test_with_accounts_its_state_is_known(
    keeping_accounts: Cluster,
    prepared: Prepared,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(keeping_accounts, tmp_path_factory.mktemp("accounted") / "stage", prepared)
    assert _state_once_forgotten(stage, monkeypatch) == "CANCELLED"
