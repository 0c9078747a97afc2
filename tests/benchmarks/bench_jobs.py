"""Grids on a real Slurm with fake nodes: how fast they are submitted, watched, started and worked off.

    python -m tests.benchmarks.bench_jobs [speed] [startup] [short]

What accidents of all kinds cost is measured by `bench_faults`.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sentiment.config_file import resolve
from sentiment.runs.records import GridPlan, PlannedRun
from sentiment.runs.run_dir import Results
from tests.slurm.cluster import NODES, Cluster, what_is_missing
from tests.slurm.stage import BASE, Prepared, Stage

SHORT_RUNS = 200


def main(arguments: list[str]) -> None:
    """Run the parts that are named, or all."""
    if missing := what_is_missing():
        raise SystemExit(missing)
    parts: dict[str, Callable[[Cluster, Path], None]] = {
        "speed": speed,
        "startup": startup,
        "short": short,
    }
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "slurm") as cluster:
        for name in arguments or parts:
            print(f"\n{name}", flush=True)
            parts[name](cluster, Path(folder))


def speed(cluster: Cluster, folder: Path) -> None:
    """Submitting 1,000 runs, and the state of 10,000."""
    stage = Stage(cluster, folder / "speed", _prepared(folder))
    stage.write_grid(seed=list(range(1000)))
    for node in NODES:  # nothing is to start
        cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=benchmark")
    with _timed("submit 1,000 runs, dry"):
        stage.submit("--dry-run")
    with _timed("submit 1,000 runs"):
        stage.submit()
    with _timed("submit them again, which does nothing"):
        stage.submit()
    with _timed("status of 1,000 waiting runs"):
        stage.run("status", expect=3)
    with _timed("cancel 1,000 runs"):
        stage.run("cancel", stage.name)
    for node in NODES:
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    for completed, killed in ((10_000, 0), (0, 10_000), (9_000, 1_000)):
        many = _many_runs(stage, folder / f"many-{completed}", completed, killed)
        with _timed(f"status of {completed:,} completed and {killed:,} killed runs"):
            command = [sys.executable, "-m", "jobs", "status", "--results", str(many.root)]
            subprocess.run(command, env=cluster.environ, capture_output=True)


def startup(cluster: Cluster, folder: Path) -> None:
    """From Slurm's start of a task to the first step."""
    stage = Stage(cluster, folder / "startup", _prepared(folder))
    stage.write_grid(seed=[1])
    seconds = []
    for _ in range(5):
        stage.submit()
        (run,) = stage.runs
        _spin(lambda run=run: run.asked("%T") == "RUNNING")
        start = time.monotonic()
        _spin(lambda run=run: run.step >= 1)
        seconds.append(time.monotonic() - start)
        stage.run("cancel", stage.name)
        _spin(lambda: cluster.run("squeue", "-h").stdout == "")
        shutil.rmtree(run.dir.path)
    print(f"Slurm's start to the first step: {statistics.median(seconds):.1f} s (median of {len(seconds)})")


def short(cluster: Cluster, folder: Path) -> None:
    """Runs of an epoch: four tasks that work them off together, against four at a time with a task for each."""
    for name, resources in (("in 4 tasks", {"tasks": 4}), ("in a task each, 4 at a time", {"parallelism": 4})):
        stage = Stage(cluster, folder / name.replace(" ", "-").replace(",", ""), _prepared(folder))
        stage.write_cluster(**resources)
        stage.write_grid(seed=list(range(SHORT_RUNS)), training__epochs=[1])
        stage.submit()
        with _timed(f"{SHORT_RUNS} runs of an epoch {name}"):
            stage.wait(lambda stage=stage: all(run.dir.completed for run in stage.runs), "all results", 3600)
        stage.wait(lambda: cluster.run("squeue", "-h", "-t", "running,completing").stdout == "", "the ends")
        stage.run("cancel", stage.name)


def _prepared(folder: Path) -> Prepared:
    """Tweets, prepared once for all parts."""
    prepared = Prepared(Results(folder / "prepared"))
    prepared.digest(resolve(BASE, {"training.epochs": 1}, "the base run"))
    return prepared


def _many_runs(stage: Stage, root: Path, completed: int, killed: int) -> Results:
    """Copies of a completed run and of one that was killed, as one grid."""
    results = Results(root)
    parameters = {"seed": list(range(completed + killed))}
    runs = [PlannedRun(index=seed, run_id=f"run-s{seed}", parameters={"seed": seed}) for seed in parameters["seed"]]
    config = resolve(BASE, {"training.epochs": 2}, "the base run")
    stage.prepared.digest(config)
    original = stage.prepared.results.run_dir(config.run_id).path
    for run in runs:
        copy = results.run_dir(run.run_id, "many").path
        names = ["config.json", "run.json", "metrics.jsonl", *(["result.json"] if run.index < completed else ["lock"])]
        copy.mkdir(parents=True)
        for name in names:
            shutil.copyfile(original / name, copy / name)
    plan = GridPlan(
        name="many",
        description="",
        method="grid",
        metric="validation/f1",
        goal="maximize",
        base="base.yaml",
        parameters=parameters,
        runs=runs,
    )
    results.write_grid(plan)
    return results


@contextmanager
def _timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.2f} s", flush=True)


def _spin(condition: Callable[[], bool]) -> None:
    """Wait with as little delay as can be."""
    while not condition():
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1:])
