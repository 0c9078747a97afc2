"""A node that only seems to be dead: Slurm starts its task elsewhere, and one process trains the run all the same."""

import signal

from tests.hosts.hosts import build_library
from tests.slurm.cluster import Cluster
from tests.slurm.processes import Process, processes
from tests.slurm.scenario import scenario
from tests.slurm.stage import Stage, StagedRun


def _write(stage: Stage, partition: str, reach: str) -> None:
    """Jobs whose processes believe to be on different hosts, between which locks pass or not."""
    library = build_library(stage.folder)
    host = f"LD_PRELOAD={library} HOST_NAME=$SLURMD_NODENAME HOST_LOCKS={reach} HOST_FOLDER={stage.folder}"
    stage.write_cluster(partition=partition, setup=[f"export {host}"])
    stage.write_grid(seed=[1], training__epochs=[300])  # it works for moments only until the second process comes


def _wait_for_the_others(runs: list[StagedRun], nodes: list[str], first: list[Process]) -> None:
    """Let the first processes work for moments only, in which they give signs of life, until the second ones come."""

    def came() -> bool:
        for process in first:
            process.signal(signal.SIGCONT)
        lives = [
            f"on host {node} (Slurm job {run.job}) already trains this run"
            for run, node in zip(runs, nodes, strict=True)
        ]
        found = [life in run.log and run.state == "RUNNING" for run, life in zip(runs, lives, strict=True)]
        for process in first:
            process.signal(signal.SIGSTOP)
        return all(found)

    try:
        runs[0].stage.wait(came, "the second processes")
    finally:
        for process in first:
            process.signal(signal.SIGCONT)


@scenario
def test_run_whose_node_only_seems_dead_is_left_to_the_process_that_lives(stage: Stage) -> None:
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
        for node in nodes:
            stage.cluster.lose_node(node)
        _wait_for_the_others(runs, nodes, first)
        stage.wait_completed(runs)
        for run in runs:
            # Slurm forgets a job some minutes after its end, in which a slow machine may still train the other run.
            stage.wait(lambda run=run: run.state in ("COMPLETED", ""), "the second task's end")
            assert [attempt.reason for attempt in run.attempts] == ["completed"]
            assert run.matches_uninterrupted()
