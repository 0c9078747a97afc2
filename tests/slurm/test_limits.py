"""Limits on the number of jobs: a grid is submitted as a whole, or refused with what fits."""

from collections.abc import Iterator

import pytest

from jobs.submissions import read_submissions
from tests.slurm.accounting import cluster_with_accounting
from tests.slurm.cluster import Cluster
from tests.slurm.scenario import scenario
from tests.slurm.stage import Prepared, Stage
from tests.slurm.trivial import write_trivial_cluster


@scenario
def test_refused_report_undoes_no_training_and_is_made_up_for(stage: Stage) -> None:
    write_trivial_cluster(stage, report={"partition": "nowhere"})
    stage.write_grid(seed=[1, 2])
    output = stage.submit(expect=1)
    assert "2 of 2 runs submitted" in output
    assert "training goes on, but its report was refused: sbatch: " in output
    assert "invalid partition" in output
    stage.wait(lambda: set(stage.states().values()) == {"COMPLETED"}, "both results")
    write_trivial_cluster(stage)
    assert "0 of 2 runs submitted\n  report job" in stage.submit()


@pytest.fixture
def few_jobs_for_each(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster whose accounts allow few jobs."""
    strict = {"AccountingStorageEnforce": "associations,limits,qos"}
    orders = (
        ("add", "account", "acc"),
        ("add", "user", "root", "account=acc"),
        ("modify", "user", "root", "set", "MaxSubmitJobs=9"),
    )
    with cluster_with_accounting(cluster.root.with_name("slurm-strict"), strict, orders) as second:
        yield second


@pytest.mark.slurm
def test_grid_that_is_larger_than_a_limit_is_refused_as_a_whole_and_told_what_fits(
    few_jobs_for_each: Cluster, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = Stage(few_jobs_for_each, tmp_path_factory.mktemp("few") / "stage", prepared)
    write_trivial_cluster(stage, account="acc", sbatch={"hold": True})
    stage.write_grid(seed=list(range(30)))
    refused = stage.submit(expect=3)
    assert "AssocMaxSubmitJobLimit" in refused
    assert refused.rstrip().endswith("`tasks: N` in the cluster's file does with N tasks what takes 30 here")
    assert read_submissions(stage.results) == []
    assert stage.results.read_grid(stage.name) is None  # nothing is planned yet, so the file may be changed
    stage.write_grid(seed=list(range(20)))
    write_trivial_cluster(stage, account="acc", tasks=4, sbatch={"hold": True})
    assert "20 of 20 runs submitted" in stage.submit()
