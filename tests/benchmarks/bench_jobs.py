"""Grids on a real Slurm with fake nodes: how fast they are submitted, watched, started and worked off.

    python -m tests.benchmarks.bench_jobs [speed] [scale] [startup] [short]

A task starts as at a site, as a Python that imports torch. What accidents cost is measured by `bench_faults`.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from jobs.submissions import SubmissionDir, read_submissions
from jobs.tasks.worker import Worker
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from sentiment.training.stop import StopRequest
from tests.benchmarks.timing import spent
from tests.jobs.submitted import a_plan
from tests.slurm.cluster import NODES, Cluster, what_is_missing
from tests.slurm.stage import BASE, Prepared, Stage

SHORT_RUNS = 40


def main(arguments: list[str]) -> None:
    """Run the parts that are named, or all."""
    if missing := what_is_missing():
        raise SystemExit(missing)
    parts: dict[str, Callable[[Stage], None]] = {"speed": speed, "scale": scale, "startup": startup, "short": short}
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "slurm") as cluster:
        prepared = Prepared(Results(Path(folder) / "prepared"))
        prepared.digest(resolve(BASE, {"training.epochs": 1}, "the base run"))
        for name in arguments or parts:
            print(f"\n{name}", flush=True)
            parts[name](Stage(cluster, Path(folder) / name, prepared, forked=False))


def speed(stage: Stage) -> None:
    """Submitting 1,000 runs, and the state of 10,000."""
    stage.write_grid(seed=list(range(1000)))
    for node in NODES:  # nothing is to start
        stage.cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=benchmark")
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
        stage.cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    for completed, killed in ((10_000, 0), (0, 10_000), (9_000, 1_000)):
        stage.name = f"many-{completed}"
        _write_runs(stage, completed, killed)
        with _timed(f"status of {completed:,} completed and {killed:,} killed runs"):
            stage.run("status", stage.name, expect=None)


def scale(stage: Stage) -> None:
    """Processor seconds of commands on grids of 300 and 10,000 runs, and of a task that looks for a run to train."""
    for node in NODES:  # nothing is to start
        stage.cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=benchmark")
    stage.write_cluster(tasks=50)
    for count in (300, 10_000):
        stage.name = f"scale-{count}"
        stage.write_grid(seed=list(range(count)))
        for command in (["submit"], ["status"], ["cancel"], ["submit"]):
            print(f"{' '.join(command)}, {count:,} runs: {spent(partial(_command, stage, command))}", flush=True)
        folder = [
            folder for folder in read_submissions(stage.results, stage.name) if folder.submission.kind == "train"
        ][-1]
        for run_id in folder.run_ids[:-1]:
            run_dir = stage.results.run_dir(run_id, stage.name)
            run_dir.path.mkdir()
            run_dir.result_file.touch()
        task = Worker(SubmissionDir(folder.path), 0, StopRequest())
        print(f"a task finds the only free one of {count:,} runs: {spent(partial(next, task.free_runs()))}", flush=True)
    for node in NODES:
        stage.cluster.run("scontrol", "update", f"nodename={node}", "state=resume")


def _command(stage: Stage, words: list[str]) -> None:
    name = stage.name if words[0] != "submit" else str(stage.folder / f"{stage.name}.yaml")
    more = ["--cluster", str(stage.folder / "cluster.yaml")] if words[0] in ("submit", "rerun") else []
    command = [
        sys.executable,
        "-m",
        "sentiment",
        words[0],
        name,
        *words[1:],
        *more,
        "--results",
        str(stage.results.root),
    ]
    subprocess.run(command, env=stage.cluster.environ, stdout=subprocess.DEVNULL, check=words[0] != "status")


def _write_runs(stage: Stage, completed: int, killed: int) -> None:
    """Copies of a completed run and of one that was killed, as one grid."""
    plan = a_plan((f"run-s{seed}" for seed in range(completed + killed)), name=stage.name)
    (original,) = stage.prepared.results.runs.glob("single/*/config.json")
    for run in plan.runs:
        copy = stage.results.run_dir(run.run_id, plan.name).path
        copy.mkdir(parents=True)
        for name in ("config.json", "run.json", "metrics.jsonl", *(["result.json"] if run.index < completed else [])):
            shutil.copyfile(original.with_name(name), copy / name)
    stage.results.write_grid(plan)


def startup(stage: Stage) -> None:
    """From Slurm's start of a task to the first step."""
    stage.write_grid(seed=[1])
    seconds = []
    for _ in range(5):
        stage.submit()
        (run,) = stage.runs
        run.stage.wait(lambda run=run: run.asked("%T") == "RUNNING", "a start")
        start = time.monotonic()
        run.wait_for_step(1)
        seconds.append(time.monotonic() - start)
        stage.run("cancel", stage.name)
        stage.wait(lambda run=run: run.asked("%T") not in ("RUNNING", "COMPLETING"), "the end")
        shutil.rmtree(run.dir.path)
    print(f"Slurm's start to the first step: {statistics.median(seconds):.1f} s (median of {len(seconds)})")


def short(stage: Stage) -> None:
    """Runs of an epoch, four tasks at a time, with four runs each or one; tasks that run also take those of others."""
    for tasks in (SHORT_RUNS // 4, SHORT_RUNS):
        stage.name = f"in-{tasks}-tasks"
        stage.write_cluster(tasks=tasks, parallelism=4)
        stage.write_grid(seed=[1000 * tasks + run for run in range(SHORT_RUNS)], training__epochs=[1])
        stage.submit()
        with _timed(f"{SHORT_RUNS} runs of an epoch in {tasks} tasks"):
            stage.wait(lambda: all(run.dir.completed for run in stage.runs), "all results", 3600)
        stage.run("cancel", stage.name)
        stage.wait(lambda: stage.cluster.run("squeue", "-h", "-t", "running,completing").stdout == "", "the ends")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.2f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
