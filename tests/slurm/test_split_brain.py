"""A node that only seems to be dead: Slurm starts its task elsewhere, and two processes have the same run."""

from tests.hosts.hosts import build_library
from tests.slurm.cluster import Cluster
from tests.slurm.processes import processes
from tests.slurm.scenario import scenario
from tests.slurm.stage import Stage


def _write(stage: Stage, partition: str, reach: str) -> None:
    """Jobs whose processes believe to be on different hosts, between which locks pass or not."""
    library = build_library(stage.folder)
    host = f"LD_PRELOAD={library} HOST_NAME=$SLURMD_NODENAME HOST_LOCKS={reach} HOST_FOLDER={stage.folder}"
    stage.write_cluster(partition=partition, setup=[f"export {host}"])
    stage.write_grid(seed=[1], training__epochs=[300])


@scenario
def test_run_whose_node_only_seems_dead_is_taken_over_and_the_former_process_writes_nothing_more(stage: Stage) -> None:
    """Whether the file system passes locks between hosts or not."""
    with Cluster(stage.cluster.root.with_name("slurm-split")) as stage.cluster:
        stages = [stage, stage.beside("second")]
        for one, partition, reach in zip(stages, ("mortal", "doomed"), ("local", "shared"), strict=True):
            _write(one, partition, reach)
            one.submit()
        runs = [run for one in stages for run in one.runs]
        for run in runs:
            run.wait_for_step(40)
        nodes = [run.node for run in runs]
        first = [one for one in processes() if one.environ.get("HOST_NAME") in nodes and one.name.startswith("python")]
        assert first
        for node in nodes:
            stage.cluster.lose_node(node)
        stage.wait_completed(runs)
        for run in runs:
            completed = [attempt.host for attempt in run.attempts if attempt.reason == "completed"]
            assert len(completed) == 1
            assert completed[0] not in nodes
            assert run.matches_uninterrupted()
        stage.wait(lambda: not any(one.alive for one in first), "the end of the former processes")
