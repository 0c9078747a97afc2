"""Limits on the number of jobs: what fits is submitted and stays, and the same command submits the rest later."""

import time
from collections.abc import Iterator

import pytest

from jobs.slurm.submissions import read_submissions
from tests.slurm.accounting import cluster_with_accounting
from tests.slurm.cluster import Cluster
from tests.slurm.scenario import scenario
from tests.slurm.stage import Prepared, Stage
from tests.slurm.trivial import write_trivial_cluster

# sbatch by itself would try for two minutes where slurmctld has too many jobs.
_MOST_SECONDS = 60.0


def _fill(stage: Stage) -> list[int]:
    """Submit again and again until nothing remains; how many runs each command submitted."""
    numbers = []
    for _ in range(60):
        begin = time.monotonic()
        output = stage.submit(expect=None)
        assert time.monotonic() - begin < _MOST_SECONDS, output
        numbers.append(int(output.partition(" of ")[0]) if " runs submitted" in output else 0)
        if "remain" not in output and "no room" not in output:
            return numbers
        stage.wait(lambda: len(stage.cluster.run("squeue", "-h", "-t", "all").stdout.splitlines()) < 10, "room")
    raise AssertionError(f"{sum(numbers)} runs in {len(numbers)} commands: {numbers}")


@scenario
def test_grid_larger_than_slurms_number_of_jobs_is_completed_in_parts(stage: Stage) -> None:
    settings = {"MaxJobCount": "20", "MinJobAge": "2", "MaxArraySize": "8"}
    with Cluster(stage.cluster.root.with_name("slurm-few-jobs"), settings) as stage.cluster:
        write_trivial_cluster(stage)
        stage.write_grid(seed=list(range(40)))
        assert "room for 19 of 41 tasks now (MaxJobCount 20, of which 0 are taken)" in stage.submit("--dry-run")
        output = stage.submit(expect=3)
        assert "runs remain, for want of room: MaxJobCount 20" in output
        assert "the same command submits them" in output
        assert "18 of 40 runs submitted" in output
        assert "report job" in output  # there was room for it
        numbers = [18, *_fill(stage)]
        assert sum(numbers) == 40
        stage.wait(lambda: set(stage.states().values()) == {"COMPLETED"}, "all results")
        given = [run for folder in read_submissions(stage.results) for task in folder.submission.tasks for run in task]
        assert len(given) == len({*given}) == 40


@scenario
def test_grid_larger_than_slurms_number_of_jobs_fills_itself_up_after_one_command(stage: Stage) -> None:
    settings = {"MaxJobCount": "20", "MinJobAge": "2", "MaxArraySize": "8"}
    with Cluster(stage.cluster.root.with_name("slurm-filling"), settings) as stage.cluster:
        write_trivial_cluster(stage, report={"setup": []})
        stage.write_grid(seed=list(range(40)))
        output = stage.submit("--keep-filling", expect=3)
        assert "18 of 40 runs submitted" in output
        assert "the job that ends the grid submits them when jobs have ended" in output
        stage.write("base.yaml", {"seed": 77})  # what is submitted later is what was asked for
        stage.wait(lambda: set(stage.states().values()) == {"COMPLETED"}, "all results")
        given = [run for folder in read_submissions(stage.results) for task in folder.submission.tasks for run in task]
        assert len(given) == len({*given}) == 40
        last = read_submissions(stage.results)[-1]
        assert last.submission.job_kind.final
        assert last.read_all_configs() == []


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
        ("add", "qos", "few", "set", "MaxSubmitJobsPerUser=5"),
        ("modify", "user", "root", "set", "qos=normal,few", "MaxSubmitJobs=9"),
        ("modify", "account", "acc", "set", "GrpSubmitJobs=12"),
    )
    with cluster_with_accounting(cluster.root.with_name("slurm-strict"), strict, orders) as second:
        yield second


@pytest.mark.slurm
def test_limits_of_accounts_and_qos_are_named_before_and_after(
    few_jobs_for_each: Cluster, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = Stage(few_jobs_for_each, tmp_path_factory.mktemp("few") / "stage", prepared)
    limits = {"acc": "MaxSubmitJobs of account acc 9", "few": "MaxSubmitJobsPU of QOS few 5"}
    write_trivial_cluster(stage, account="acc", sbatch={"hold": True})
    stage.write_grid(seed=list(range(30)))
    doctor = stage.run("doctor", "--cluster", "cluster.yaml", expect=None)
    assert f"{limits['acc']}  " in doctor
    assert "GrpSubmitJobs of account acc 12  " in doctor
    output = stage.submit(expect=3)
    assert "8 of 30 runs submitted" in output
    assert f"22 runs remain, for want of room: {limits['acc']}, of which 0 are taken" in output
    assert "report job" in output  # there was room for it
    full = stage.submit(expect=3)
    assert f"error: no room for any run: {limits['acc']}, of which 9 are taken" in full
    stage.run("cancel", stage.name)
    stage.wait(lambda: stage.cluster.run("squeue", "-h").stdout == "", "an empty queue")
    write_trivial_cluster(stage, account="root", qos="few", sbatch={"hold": True})
    assert f"{limits['few']}  " in stage.run("doctor", "--cluster", "cluster.yaml", expect=None)
    assert f"for want of room: {limits['few']}, of which 0 are taken" in stage.submit(expect=3)
