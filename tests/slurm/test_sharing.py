"""Several clusters on one folder of results: one has its jobs, and no other takes them for lost."""

from tests.slurm.cluster import Cluster
from tests.slurm.scenario import scenario
from tests.slurm.stage import SHORT, Stage


def _queue(cluster: Cluster) -> int:
    return len(cluster.run("squeue", "-h", "-r").stdout.splitlines())


@scenario
def test_what_one_cluster_was_given_is_unknown_on_another_and_stays_there(stage: Stage) -> None:
    stage.write_cluster(sbatch={"hold": True})
    stage.write_grid(seed=[1, 2], **SHORT)
    root = stage.cluster.root
    one, two = (Cluster(root.with_name(f"slurm-{name}"), {"ClusterName": name}) for name in ("one", "two"))
    with one as first, two as second:
        stage.cluster = first
        stage.submit()
        stage.cluster = second
        assert {(row["state"], row["reason"]) for row in stage.rows()} == {
            ("UNKNOWN", "submitted by root on cluster one; ask there")
        }
        for command in (("submit", "grid.yaml"), ("rerun", "--only", "lost")):
            said = stage.run(*command, "--cluster", "cluster.yaml", expect=2)
            assert "these are the jobs of root on cluster one, not of root on two" in said
        stage.run("cancel", stage.name, expect=2)
        assert (_queue(first), _queue(second)) == (3, 0)
        stage.cluster = first
        assert "2 runs cancelled" in stage.run("cancel", stage.name)
