"""A lottery of faults: short real runs on a real Slurm, struck by faults drawn at random, and rerun as a user would.

    python -m tests.benchmarks.bench_faults [SEED] [FAULTS] [--runs N] [--epochs N] [--whole-nodes]

At the end every run must have the weights and the metric log of an undisturbed one, and must have been completed once.
Ends with 1 if any has not. It ends before all faults have struck if all runs are completed: a slow machine, on which
commands take long beside training, needs more epochs for as many faults.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sentiment.config_file import resolve
from sentiment.files import ROOT
from sentiment.runs.run_dir import Results
from tests.slurm.cluster import Cluster, what_is_missing
from tests.slurm.stage import BASE, Prepared, Stage, StagedRun

SEED = 1
FAULTS = 100
RUNS = 8
EPOCHS = 100

# About 25 ms a step on a free core, 13 steps an epoch; saved every 50.
WORK = {"model__hidden_size": [64], "runtime__checkpoint__every_steps": [50]}
_GROWTH = (1, 40)


@dataclass
class Lottery:
    """Strikes runs of one grid, and keeps count of what it did."""

    stage: Stage
    rng: random.Random
    clone: Path
    """The code that the grid's commands are started from."""
    tally: Counter[str] = field(default_factory=Counter)

    def play(self, faults: int) -> None:
        """Strike until so many faults have hit a run that was training, or all runs are completed."""
        while self.tally.total() < faults and (open_runs := [run for run in self.stage.runs if not run.dir.completed]):
            run = self.rng.choice(open_runs)
            if self._trains(run):
                name = self.rng.choice(list(HAPPENINGS))
                HAPPENINGS[name](self, run)
                self.tally[name] += 1
                print(f"{self.tally.total():4} {name}: {run.run_id} at step {run.step}", flush=True)
            self._care()

    def finish(self) -> None:
        """What a user does until all runs are completed."""

        def completed() -> bool:
            self._care()
            return all(run.dir.completed for run in self.stage.runs)

        self.stage.wait(completed, "all results", 1800)

    def _trains(self, run: StagedRun) -> bool:
        """Wait until the run gets some steps further; False if it waits in the queue, or ends."""
        if run.asked("%T") != "RUNNING":
            return False
        wanted = run.step + self.rng.randint(*_GROWTH)
        while run.step < wanted and run.asked("%T") == "RUNNING":
            time.sleep(0.05)
        return run.asked("%T") == "RUNNING" and not run.dir.completed

    def _care(self) -> None:
        """Give the commands that `status` asks for."""
        states = set(self.stage.states().values())
        if states & {"CANCELLED", "STOPPED"}:
            self.stage.submit()
        elif states & {"FAILED", "LOST", "NODE_FAIL", "TIMEOUT", "OUT_OF_MEMORY", "HELD"}:
            self.stage.rerun()


def _scontrol(run: StagedRun, *order: str) -> None:
    run.stage.cluster.run("scontrol", *order, check=False)


def _tear(lottery: Lottery, run: StagedRun) -> None:
    """The run is killed, and a random part of its newest checkpoint is gone."""
    run.kill()
    run.stage.wait(lambda: run.asked("%T") != "RUNNING", "the end")
    if files := list(run.dir.checkpoints.glob("step-*.ckpt")):
        newest = max(files)
        newest.write_bytes(newest.read_bytes()[: lottery.rng.randrange(newest.stat().st_size)])


def _let_node_die(lottery: Lottery, run: StagedRun) -> None:
    if node := run.asked("%N"):
        run.stage.cluster.kill_node(node)
        run.stage.wait(lambda: "down" in run.stage.cluster.node_states()[node], "Slurm to notice", 120)
        run.stage.cluster.start_node(node)


def _suspend(lottery: Lottery, run: StagedRun) -> None:
    _scontrol(run, "suspend", run.job)
    time.sleep(lottery.rng.uniform(0, 3))
    _scontrol(run, "resume", run.job)


def _restart_controller(_lottery: Lottery, run: StagedRun) -> None:
    run.stage.cluster.stop_controller()
    run.stage.cluster.start_controller()


def _kill_submitter(lottery: Lottery, run: StagedRun) -> None:
    """The run is killed, and so is the command that would submit it again, at a random moment."""
    run.kill()
    run.stage.wait(lambda: run.asked("%T") != "RUNNING", "the end")
    process = run.stage.start("rerun", "--cluster", "cluster.yaml")
    time.sleep(lottery.rng.uniform(0, 2))
    process.kill()
    process.communicate()


def _edit(lottery: Lottery, _run: StagedRun) -> None:
    """The clone is edited while its grid is queued and runs: from now on its loss is another one."""
    trainer = lottery.clone / "sentiment" / "training" / "task.py"
    trainer.write_text(trainer.read_text().replace("binary_cross_entropy_with_logits(", "mse_loss(") + "\n")


HAPPENINGS: dict[str, Callable[[Lottery, StagedRun], None]] = {
    "warned of its end (USR2)": lambda _, run: run.send("USR2"),
    "scontrol requeue": lambda _, run: _scontrol(run, "requeue", run.job),
    "kill -9": lambda _, run: run.kill(),
    "kill -9 and a torn checkpoint": _tear,
    "node dies": _let_node_die,
    "suspended and resumed": _suspend,
    "slurmctld restarted": _restart_controller,
    "cancelled and submitted again": lambda _, run: run.stage.run("cancel", run.run_id, expect=None),
    "kill -9, and of the rerun as well": _kill_submitter,
    "clone edited": _edit,
}


def main(arguments: list[str]) -> None:
    """Play with a seed, and print the tally."""
    if missing := what_is_missing():
        raise SystemExit(missing)
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "slurm") as cluster:
        stage = _stage(cluster, Path(folder), asked.runs, asked.epochs)
        if asked.whole_nodes:
            stage.write_cluster(partition="whole", cpus=2)
        lottery = Lottery(stage, random.Random(asked.seed), stage.folder / "clone")
        stage.submit()
        start = time.monotonic()
        lottery.play(asked.faults)
        lottery.finish()
        for name, number in lottery.tally.most_common():
            print(f"{number:4} {name}")
        same = [run.matches_uninterrupted() for run in stage.runs]
        once = [[attempt.reason for attempt in run.attempts].count("completed") == 1 for run in stage.runs]
        attempts = sum(len(run.attempts) for run in stage.runs)
        print(
            f"seed {asked.seed}: {lottery.tally.total()} faults in {time.monotonic() - start:.0f} s, "
            f"{attempts} attempts; of {asked.runs} runs {sum(same)} have the weights and the metric log of undisturbed "
            f"ones, {sum(once)} were completed once"
        )
    if not all(same) or not all(once):
        raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?", default=SEED)
    parser.add_argument("faults", type=int, nargs="?", default=FAULTS, help=f"at most, by default {FAULTS}")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--whole-nodes", action="store_true", help="on nodes that Slurm gives to one task at a time")
    return parser


def _stage(cluster: Cluster, folder: Path, runs: int, epochs: int) -> Stage:
    """A grid whose commands are started from a clone that may be edited."""
    prepared = Prepared(Results(folder / "prepared"))
    prepared.digest(resolve(BASE, {"training.epochs": 1}, "the base run"))
    stage = Stage(cluster, folder / "stage", prepared)
    for package in ("sentiment", "jobs", "report"):
        shutil.copytree(ROOT / package, stage.folder / "clone" / package)
    stage.environ = {"PYTHONPATH": str(stage.folder / "clone"), "PYTHONSAFEPATH": "1"}
    stage.write_grid(seed=list(range(runs)), training__epochs=[epochs], **WORK)
    return stage


if __name__ == "__main__":
    main(sys.argv[1:])
