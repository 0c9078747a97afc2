"""Grids without Slurm: real processes that are stopped, killed and fail; completed runs are never run again."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.here import gpus_here
from jobs.tasks.worker import SideBySide
from sentiment.runs.records import GridPlan, RunRecord
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import read_rungs
from sentiment.training.stop import StopRequest
from tests.jobs.grid_files import write_base, write_grid
from tests.processes import Forked, run_command
from tests.small_runs import Experiment, digest_of, invented_tweets, write_tweets
from tests.training.processes import wait_until

pytestmark = pytest.mark.slow
LONG = {"training.epochs": 400, "training.early_stopping.patience": 400}


@dataclass
class Here:
    """A grid and its results, as the command line sees them."""

    grid: Path
    results: Results
    environ: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "jobs", *arguments, "--results", str(self.results.root)]

    def run(self, *options: str) -> tuple[int, list[str]]:
        """Run the grid; the exit code and what was printed."""
        command = self.command("submit", str(self.grid), "--local", *options)
        done = run_command(command, env=self.environ)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout.splitlines()

    def jobs(self, *arguments: str) -> tuple[int, list[str]]:
        """Another command; its exit code and what was printed."""
        done = run_command(self.command(*arguments), env=self.environ)
        assert done.stderr == "", done.stderr
        return done.returncode, done.stdout.splitlines()

    def start(self, *options: str) -> Forked:
        command = self.command("submit", str(self.grid), "--local", *options)
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return Forked(command, text=True, env=self.environ, **streams)

    def states(self) -> tuple[int, list[str]]:
        """The exit code of `status`, and the states of all runs in their order."""
        done = run_command(self.command("status", "--json"), env=self.environ)
        (grid,) = json.loads(done.stdout)
        return done.returncode, [row["state"] for row in grid["rows"]]

    @property
    def plan(self) -> GridPlan:
        plan = self.results.read_grid(self.grid.stem)
        assert plan is not None
        return plan

    def run_dirs(self) -> list[RunDir]:
        """Of the planned runs, in their order."""
        return [self.results.run_dir(run.run_id, self.plan.name) for run in self.plan.runs]

    def trains(self, number: int) -> bool:
        """Whether this run has begun to save."""
        file = self.results.grid_file(self.grid.stem)
        return file.exists() and any(self.run_dirs()[number].checkpoints.glob("*.ckpt"))


MakeHere = Callable[[dict[str, Any]], Here]


def grid_here(folder: Path, tweets: Path, parameters: dict[str, Any], **changes: Any) -> Here:
    """A grid on this machine, without any Slurm, in a folder of its own."""
    grid = write_grid(write_base(folder / "configs", tweets), parameters, **changes)
    foreign = ("SLURM_", "CUDA_VISIBLE")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return Here(grid, Results(folder / "results"), environ | {"PATH": str(folder), "OMP_NUM_THREADS": "1"})


@pytest.fixture
def here(tmp_path: Path, tweets_file: Path) -> MakeHere:
    """A grid on this machine, without any Slurm."""

    return lambda parameters: grid_here(tmp_path, tweets_file, parameters)


def trainers(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that train runs: children of the task's process."""
    return [trainer for task in _children(process.pid) for trainer in _children(task)]


def _children(parent: int) -> Iterator[int]:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            yield int(file.parent.name)


def test_grid_runs_once_and_failures_do_not_hold_up_others(here: MakeHere, tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "broken.csv", [])
    grid = here({"data.source": [str(table), str(tmp_path / "good.csv")], "seed": [1, 2]})
    write_tweets(tmp_path / "good.csv", invented_tweets(300, seed=5))
    code, lines = grid.run("--at-once", "2")
    assert code == 1
    assert lines[0] == "4 of 4 runs to do"
    assert len(lines) == 7
    assert lines[-2:] == [
        f"report: {grid.results.report / 'report.html'}",
        "next: `sentiment rerun some --local` repeats what failed",
    ]
    assert grid.results.report.joinpath("report.html").exists()
    failed = [line for line in lines if "FAILED" in line]
    assert len(failed) == 2
    assert all("DataError" in line and "broken.csv" in line for line in failed)
    assert sum("COMPLETED in" in line and "validation/accuracy 0." in line for line in lines) == 2
    assert grid.states() == (1, ["FAILED", "FAILED", "COMPLETED", "COMPLETED"])

    before = [run_dir.result_file.stat().st_mtime_ns for run_dir in grid.run_dirs()[2:]]
    write_tweets(table, invented_tweets(300, seed=6))
    rerun = grid.command("rerun", "--only", "failed", "--local", "--at-once", "2")
    done = run_command(rerun, env=grid.environ)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "2 of 4 runs to do")
    assert grid.states() == (0, ["COMPLETED"] * 4)
    assert [run_dir.result_file.stat().st_mtime_ns for run_dir in grid.run_dirs()[2:]] == before
    assert grid.run() == (0, ["nothing to do"])


def test_stopped_grid_saves_and_goes_on_to_the_same_weights(
    here: MakeHere, shared_results: Results, tmp_path: Path
) -> None:
    grid = here({"seed": [1, 2], "training.epochs": 20, "training.early_stopping.patience": 20})
    process = grid.start()
    assert wait_until(lambda: grid.trains(0), process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 3, output
    assert "Traceback" not in output
    assert grid.states() == (1, ["CANCELLED", "PLANNED"])
    first, _ = grid.run_dirs()
    record = first.read(RunRecord)
    assert record is not None
    assert record.attempts[-1].reason == "signal"

    code, lines = grid.run()
    assert (code, lines[0]) == (0, "2 of 2 runs to do")
    record = first.read(RunRecord)
    assert record is not None
    assert record.attempts[-1].first_step == record.attempts[-2].last_step
    unbroken = Experiment(first.read_config(), shared_results, RunDir(tmp_path / "unbroken"))
    assert digest_of(first) == unbroken.complete()


def test_killed_run_is_tried_again_and_the_others_go_on(
    here: MakeHere, shared_results: Results, tmp_path: Path
) -> None:
    grid = here({"seed": [1, 2], "training.epochs": 20, "training.early_stopping.patience": 20})
    process = grid.start("--at-once", "1")
    assert wait_until(lambda: grid.trains(0), process)
    os.kill(trainers(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "FAILED: KilledError: its process was killed, as for want of memory" in output
    assert "has not ended, and is tried again: OUT_OF_MEMORY" in output
    assert grid.states() == (0, ["COMPLETED", "COMPLETED"])
    killed, _ = grid.run_dirs()
    unbroken = Experiment(killed.read_config(), shared_results, RunDir(tmp_path / "unbroken"))
    assert digest_of(killed) == unbroken.complete()


def test_runs_whose_starter_was_killed_save_and_stop_and_can_go_on_at_once(here: MakeHere) -> None:
    grid = here({"seed": [1]} | LONG)
    process = grid.start()
    assert wait_until(lambda: grid.trains(0), process)
    descriptor = os.pidfd_open(trainers(process)[0])
    process.kill()
    process.communicate()
    assert select.select([descriptor], [], [], 120)[0]
    os.close(descriptor)
    (run_dir,) = grid.run_dirs()
    record = run_dir.read(RunRecord)
    assert record is not None
    assert (record.attempts[-1].reason, record.attempts[-1].detail) == ("signal", "SIGHUP")
    assert grid.states() == (1, ["LOST"])
    again = Forked(
        grid.command("rerun", "--local"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=grid.environ
    )
    assert wait_until(lambda: _attempts(run_dir) == 2, again)
    again.terminate()
    again.communicate(timeout=120)
    assert again.returncode == 3


def test_grid_is_cancelled_from_another_shell_and_stays_so_until_it_is_submitted_again(here: MakeHere) -> None:
    grid = here({"seed": [1, 2, 3]} | LONG)
    process = grid.start("--at-once", "2")
    assert wait_until(lambda: grid.trains(0) and grid.trains(1), process)
    assert grid.states() == (3, ["RUNNING", "RUNNING", "PENDING"])
    assert grid.run() == (0, ["nothing to do"])  # it is left to the command that runs it
    assert grid.jobs("cancel", "some") == (0, ["grid some: 3 runs cancelled"])
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 3, output
    assert "report" not in output
    assert grid.states() == (1, ["CANCELLED"] * 3)
    assert [_attempts(run_dir) for run_dir in grid.run_dirs()] == [1, 1, 0]
    assert grid.jobs("rerun", "--local") == (0, ["nothing to do"])
    again = grid.start("--at-once", "2")
    assert wait_until(lambda: [_attempts(run_dir) for run_dir in grid.run_dirs()] == [2, 2, 0], again)
    again.terminate()
    again.communicate(timeout=120)


def _attempts(run_dir: RunDir) -> int:
    record = run_dir.read(RunRecord)
    return len(record.attempts) if record else 0


def test_gpus_are_dealt_out_to_runs_at_the_same_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")

    def work(name: str) -> int:
        (tmp_path / name).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        return 0

    processes = SideBySide(4, StopRequest(), set)
    for name, device in (("a", "auto"), ("b", "cuda"), ("c", "auto"), ("d", "cuda:1")):
        processes.begin(name, partial(work, name), device)
    while processes.number:
        processes.collect()
    assert [(tmp_path / name).read_text() for name in "abcd"] == ["4", "6", "4", "4,6"]


def test_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7f")
    assert gpus_here() == ["2", "GPU-7f"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus_here() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_here() == []
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 0\necho 1\n")
    command.chmod(0o755)
    assert gpus_here() == ["0", "1"]


# Four trials: rung 0 to epoch 1, and two of them to their end, which is epoch 3.
PARAMETERS: dict[str, Any] = {
    "training.learning_rate": [0.0001, 0.002, 0.02, 0.04],
    "training.epochs": 3,
    "training.early_stopping.patience": 9,
}
HALVING = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 3}}


def _decided(grid: Here) -> list[tuple[list[str], list[float | None], int]]:
    """The order of the trials, their values, and how many went on."""
    rungs = read_rungs(grid.results, grid.plan)
    assert rungs is not None
    return [
        ([trial.run_id for trial in one.trials], [trial.value for trial in one.trials], one.promoted)
        for one in rungs.rankings
    ]


def _epochs(grid: Here) -> list[int]:
    """How many epochs were trained of each run."""
    return [sum(row["kind"] == "epoch" for row in one.read_metrics()) for one in grid.run_dirs()]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, tweets_file: Path) -> Here:
    """A search that nothing happened to."""
    grid = grid_here(tmp_path_factory.mktemp("calm"), tweets_file, PARAMETERS, **HALVING)
    code, lines = grid.run("--at-once", "2")
    assert code == 0, lines
    assert lines[0] == "4 of 4 runs to do"
    assert sum("PAUSED after epoch 1 in " in line and "validation/accuracy 0." in line for line in lines) == 4
    assert "rung 0: of 4 trials 2 go on" in "\n".join(lines)
    assert sum("COMPLETED" in line for line in lines) == 2
    return grid


def test_best_go_on_and_the_others_are_pruned_and_can_be_continued_by_name(
    calm: Here, shared_results: Results, tmp_path: Path
) -> None:
    def whole(run_dir: RunDir) -> Any:
        return Experiment(run_dir.read_config(), shared_results, RunDir(tmp_path / run_dir.path.name)).complete()

    assert sorted(_epochs(calm)) == [1, 1, 3, 3]
    ((order, values, promoted),) = decided = _decided(calm)
    assert (promoted, values) == (2, sorted(values, key=lambda value: -(value or 0)))
    winner, loser = (calm.results.run_dir(order[place], "some") for place in (0, -1))
    assert digest_of(winner) == whole(winner)
    code, states = calm.states()
    assert (code, sorted(states)) == (0, ["COMPLETED"] * 2 + ["PRUNED"] * 2)
    assert calm.run() == (0, ["nothing to do"])
    assert calm.jobs("rerun", "--local") == (0, ["nothing to do"])

    code, lines = calm.jobs("rerun", loser.path.name, "--local")
    assert (code, lines[0]) == (0, "1 of 4 runs to do")
    assert digest_of(loser) == whole(loser)
    assert sorted(calm.states()[1]) == ["COMPLETED"] * 3 + ["PRUNED"]
    assert _decided(calm) == decided


def test_trial_that_fails_ranks_last_and_comes_too_late_when_it_is_rerun(tmp_path: Path, tweets_file: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("no vectors\n")
    changes = {"training.learning_rate": 0.02, "seed": [1, 2], "embedding.pretrained": [None, str(vectors)]}
    search = grid_here(tmp_path, tweets_file, PARAMETERS | changes, **HALVING)
    code, lines = search.run("--at-once", "2")
    assert code == 1, lines
    ((_, values, promoted),) = decided = _decided(search)
    assert (values[2:], promoted) == ([None, None], 2)
    assert sorted(search.states()[1]) == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    code, lines = search.run()
    assert lines[0].startswith("2 of 4 runs missed the ranking of their rung")
    assert lines[1:] == ["nothing to do"]
    vectors.write_text("1 8\nlovely" + " 0.1" * 8 + "\n")
    code, lines = search.jobs("rerun", "--local", "--at-once", "2")
    assert (code, lines[0]) == (0, "2 of 4 runs to do")
    assert sorted(search.states()[1]) == ["COMPLETED", "COMPLETED", "PRUNED", "PRUNED"]
    assert _decided(search) == decided
