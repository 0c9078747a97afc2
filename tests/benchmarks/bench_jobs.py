"""Grids on a real Slurm with fake nodes: how fast they are submitted and watched, and what cuts of all kinds cost.

    python -m tests.benchmarks.bench_jobs [speed] [startup] [rungs] [short] [cuts] [table] [accidents]

`table` and `accidents` are the work on which other tools were compared: 8 runs of an LSTM with dropout, about 50 ms a
step, a checkpoint every 200 steps, limits shorter than the run.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sentiment.config_file import resolve
from sentiment.runs.records import GridPlan, PlannedRun
from sentiment.runs.run_dir import Results
from tests.slurm.cluster import NODES, Cluster, what_is_missing
from tests.slurm.stage import BASE, Prepared, Stage, StagedRun

# About 50 ms a step on one thread, 650 steps.
PEERS_WORK: dict[str, Any] = {
    "model__hidden_size": [128],
    "training__batch_size": [64],
    "training__epochs": [50],
    "runtime__checkpoint__every_steps": [200],
}
RUNS = 8
CUTS = 20
SHORT_RUNS = 200


def main(arguments: list[str]) -> None:
    """Run the parts that are named, or all."""
    if missing := what_is_missing():
        raise SystemExit(missing)
    parts: dict[str, Callable[[Cluster, Path], None]] = {
        "speed": speed,
        "startup": startup,
        "rungs": rungs,
        "short": short,
        "cuts": cuts,
        "table": table,
        "accidents": accidents,
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
    """From Slurm's start of a task to the first step, and what takes how long."""
    stage = Stage(cluster, folder / "startup", _prepared(folder))
    stage.write_grid(seed=[1])
    seconds = []
    for _ in range(5):
        stage.submit()
        (run,) = stage.runs
        _spin(lambda run=run: run.state == "RUNNING")
        start = time.monotonic()
        _spin(lambda run=run: run.step >= 1)
        seconds.append(time.monotonic() - start)
        stage.run("cancel", stage.name)
        _spin(lambda: cluster.run("squeue", "-h").stdout == "")
        shutil.rmtree(run.dir.path)
    print(f"Slurm's start to the first step: {statistics.median(seconds):.1f} s (median of {len(seconds)})")
    parts = [sys.executable, "-m", "tests.benchmarks.startup_parts", str(stage.results.root)]
    for _ in range(2):  # the first warms the disk's cache
        done = subprocess.run(parts, check=True, capture_output=True, text=True)
    print(done.stdout, end="")


def rungs(cluster: Cluster, folder: Path) -> None:
    """From the end of a rung's last trial to the first step in the next rung: ranking, Slurm, and a task's start."""
    stage = Stage(cluster, folder / "rungs", _prepared(folder))
    stage.more = {"early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 2}}
    seconds = []
    for number in range(5):
        stage.name = f"search{number}"
        stage.write_grid(training__learning_rate=[0.002, 0.004], training__epochs=[4], seed=[number])
        stage.submit()
        trials = stage.runs
        _spin(lambda trials=trials: all(run.attempts and run.attempts[0].end for run in trials))
        start = time.monotonic()
        _spin(lambda trials=trials: any(_goes_on(run) for run in trials))
        seconds.append(time.monotonic() - start)
        stage.wait(lambda: cluster.run("squeue", "-h", "-t", "running,completing").stdout == "", "the ends")
    print(f"end of a rung to the first step of the next: {statistics.median(seconds):.1f} s (median of {len(seconds)})")


def _goes_on(run: StagedRun) -> bool:
    return len(run.attempts) == 2 and run.step > run.attempts[1].first_step


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


def cuts(cluster: Cluster, folder: Path) -> None:
    """One run that is warned 20 times, and one that is killed without warning as often."""
    for name, cut in (("warned", _warn), ("killed", _kill)):
        stage = Stage(cluster, folder / name, _prepared(folder))
        stage.write_grid(seed=[1], training__epochs=[100])
        stage.submit()
        (run,) = stage.runs
        redone, seconds = 0, []
        for number in range(CUTS):
            run.wait_for_attempt(number + 1)
            run.wait_for_step(run.attempts[-1].first_step + 50)
            start = time.monotonic()
            reached = cut(run)
            seconds.append(time.monotonic() - start)
            run.wait_for_attempt(number + 2)
            redone += reached - run.attempts[-1].first_step
        stage.wait_completed([run])
        print(
            f"{name} {CUTS} times: {redone} of {_steps(run)} steps redone ({redone / _steps(run):.1%}), {_same([run])}"
        )
        if cut is _warn:
            print(f"from the signal to requeued: {statistics.median(seconds):.2f} s (median)", flush=True)


def table(cluster: Cluster, folder: Path) -> None:
    """The rows of the comparison."""
    stage = Stage(cluster, folder / "table", _prepared(folder))
    stage.write_cluster(time_minutes=1, parallelism=2, attempts_without_progress=10)
    stage.write_grid(seed=list(range(RUNS)), **PEERS_WORK)
    with _timed(f"submit {RUNS} runs"):
        stage.submit()
    stage.wait_completed(stage.runs, seconds=1800)
    cut = [attempt.last_step - later.first_step for run in stage.runs for attempt, later in _pairs(run)]
    print(f"time limit: {len(cut)} cuts, {max(cut)} steps redone at most, {_same(stage.runs)}", flush=True)
    assert "nothing to submit" in stage.submit()
    print("same command again: nothing is run")


def accidents(cluster: Cluster, folder: Path) -> None:
    """The same work, one run for each accident, side by side."""
    prepared = _prepared(folder)

    def play(name: str) -> str:
        happens = HAPPENINGS[name]
        stage = Stage(cluster, folder / name.replace(" ", "-"), prepared)
        stage.write_cluster(partition="mortal" if happens is _let_node_die else "main")
        stage.write_grid(seed=[0], **PEERS_WORK)
        stage.submit()
        (run,) = stage.runs
        run.wait_for_step(300)
        reached = happens(run)
        stage.wait_completed([run])
        return f"{name}: {reached - run.attempts[1].first_step} of {_steps(run)} steps redone, {_same([run])}"

    with ThreadPoolExecutor() as pool:
        for line in pool.map(play, HAPPENINGS):
            print(line, flush=True)


def _warn(run: StagedRun) -> int:
    """A signal as before the end of the time; the step that was reached."""
    number = len(run.attempts)
    run.send("USR2")
    run.stage.wait(lambda: run.state == "PENDING", "the requeue")
    return run.attempts[number - 1].last_step or 0


def _requeue(run: StagedRun) -> int:
    run.stage.cluster.run("scontrol", "requeue", run.job)
    run.stage.wait(lambda: run.attempts[0].end is not None, "the end")
    return run.attempts[0].last_step or 0


def _kill(run: StagedRun) -> int:
    run.kill()
    run.stage.wait(lambda: run.state == "FAILED", "the end")
    reached = run.step
    run.stage.rerun("--failed")
    return reached


def _let_node_die(run: StagedRun) -> int:
    run.stage.cluster.kill_node(run.node)
    return run.step


def _tear(run: StagedRun) -> int:
    """The run is killed, and the newest of its two checkpoints loses its second half."""
    run.wait_for_step(450)
    run.kill()
    run.stage.wait(lambda: run.state == "FAILED", "the end")
    newest = max(run.dir.checkpoints.glob("step-*.ckpt"))
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    reached = run.step
    run.stage.rerun("--failed")
    return reached


HAPPENINGS: dict[str, Callable[[StagedRun], int]] = {
    "scontrol requeue": _requeue,
    "kill -9, then rerun": _kill,
    "node failure": _let_node_die,
    "torn newest checkpoint": _tear,
}


def _pairs(run: StagedRun) -> Iterator[tuple[Any, Any]]:
    """Each attempt with the one after it."""
    return zip(run.attempts, run.attempts[1:], strict=False)


def _steps(run: StagedRun) -> int:
    result = run.dir.read_result()
    return result.steps if result else 0


def _same(runs: Sequence[StagedRun]) -> str:
    same = sum(run.matches_uninterrupted() for run in runs)
    return f"same weights and metric log as uninterrupted: {same} of {len(runs)}"


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
