"""Grids without Slurm: real processes that are stopped, killed and fail; completed runs are never run again."""

import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.launch.local_runner import visible_gpus
from jobs.tasks.worker import ProcessPool
from sentiment.processes import runs_on_gpu
from sentiment.runs.records import Attempt, RunRecord
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.stop import StopRequest
from tests.jobs.grid_files import write_base, write_grid
from tests.limits import limit
from tests.processes import Forked, server
from tests.small_runs import Experiment, digest_of, invented_tweets, write_tweets
from tests.training.processes import wait_until

pytestmark = pytest.mark.slow
FORKING = Path(__file__).parents[1] / "forking"
LONG = {"training.epochs": 400, "training.early_stopping.patience": 400}


@dataclass
class LocalGrid:
    """A grid and its results, as the command line sees them."""

    grid: Path
    results: Results
    environ: dict[str, str]

    def jobs(self, *arguments: str) -> tuple[int, list[str]]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=limit(300))
        assert "Traceback" not in output, output
        return process.returncode, output.splitlines()

    def run(self, *options: str) -> tuple[int, list[str]]:
        return self.jobs("submit", str(self.grid), "--local", *options)

    def start(self, *arguments: str) -> Forked:
        folder = [] if "--results" in arguments else ["--results", str(self.results.root)]
        command = [sys.executable, "-m", "jobs", *arguments, *folder]
        environ = self.environ | ({"PYTHONPATH": str(FORKING)} if "--local" in arguments else {})
        return Forked(command, text=True, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def states(self) -> tuple[int, list[str]]:
        code, lines = self.jobs("status", "--json")
        (grid,) = json.loads("\n".join(lines))
        return code, [row["state"] for row in grid["rows"]]

    def run_dirs(self) -> list[RunDir]:
        plan = self.results.read_grid(self.grid.stem)
        return [self.results.run_dir(run.run_id, plan.name) for run in plan.runs] if plan else []

    def trains(self, number: int) -> bool:
        return bool(self.run_dirs()) and any(self.run_dirs()[number].checkpoints.glob("*.ckpt"))


def grid_here(folder: Path, tweets: Path, parameters: dict[str, Any], **changes: Any) -> LocalGrid:
    """A grid on this machine, without any Slurm, in a folder of its own."""
    grid = write_grid(write_base(folder / "configs", tweets), parameters, **changes)
    foreign = ("SLURM_", "CUDA_VISIBLE")
    server()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return LocalGrid(grid, Results(folder / "results"), environ | {"PATH": str(folder), "OMP_NUM_THREADS": "1"})


def test_grid_runs_once_and_failures_do_not_hold_up_others(tmp_path: Path, tweets_file: Path) -> None:
    table = write_tweets(tmp_path / "broken.csv", [])
    good = write_tweets(tmp_path / "good.csv", invented_tweets(120, seed=5))
    grid = grid_here(tmp_path, tweets_file, {"data.source": [str(table), str(good)], "seed": [1, 2]})
    code, lines = grid.run("--at-once", "2")
    assert (code, lines[0], len(lines)) == (1, "running 4 of 4 runs", 7)
    assert "`sentiment rerun some --local --results" in lines[-1]
    assert (grid.results.report / "report.html").exists()
    assert sum("FAILED" in line and "DataError" in line and "broken.csv" in line for line in lines) == 2
    assert sum("COMPLETED in" in line and "validation/accuracy 0." in line for line in lines) == 2
    assert grid.states() == (1, ["FAILED", "FAILED", "COMPLETED", "COMPLETED"])
    before = [run_dir.result_file.stat().st_mtime_ns for run_dir in grid.run_dirs()[2:]]
    write_tweets(table, invented_tweets(120, seed=6))
    shutil.rmtree(grid.results.report)
    grid.results.report.write_text("in the way")
    code, lines = grid.jobs("rerun", "--local", "--at-once", "2")
    assert (code, lines[0], sum("report: FAILED" in line for line in lines)) == (1, "running 2 of 4 runs", 1)
    assert grid.states() == (0, ["COMPLETED"] * 4)
    assert [run_dir.result_file.stat().st_mtime_ns for run_dir in grid.run_dirs()[2:]] == before
    assert grid.run() == (0, ["nothing to run"])


def test_killed_run_and_stopped_grid_end_equally(tmp_path: Path, tweets_file: Path, shared_results: Results) -> None:
    shutil.copytree(shared_results.root / "data", tmp_path / "results" / "data")
    epochs = {"training.epochs": 20, "training.early_stopping.patience": 20}
    grid = grid_here(tmp_path, tweets_file, {"seed": [1, 2]} | epochs)
    process = grid.start("submit", str(grid.grid), "--local", "--at-once", "1")
    assert wait_until(lambda: grid.trains(0), process)
    run = _attempts(grid.run_dirs()[0])[-1].pid
    os.kill(run, signal.SIGSTOP)  # it would be completed before a slow command had passed the signal on
    process.send_signal(signal.SIGINT)
    assert wait_until(lambda: "ShdPnd:\t0000000000000000" not in Path(f"/proc/{run}/status").read_text(), process)
    os.kill(run, signal.SIGCONT)
    output, _ = process.communicate(timeout=limit(120))
    assert (process.returncode, "Traceback" in output) == (3, False), output
    assert grid.states() == (3, ["STOPPED", "PLANNED"])
    (command,) = re.findall("stopped; to go on: `sentiment (.*)`", output.splitlines()[-1])
    again = grid.start(*shlex.split(command))
    assert wait_until(lambda: grid.trains(1), again)
    os.kill(_attempts(grid.run_dirs()[1])[-1].pid, signal.SIGKILL)
    output, _ = again.communicate(timeout=limit(120))
    assert again.returncode == 0, output
    assert "is retried after OUT_OF_MEMORY" in output
    assert grid.states() == (0, ["COMPLETED", "COMPLETED"])
    for run_dir in grid.run_dirs():
        unbroken = Experiment(run_dir.read_config(), shared_results, RunDir(tmp_path / run_dir.path.name))
        assert digest_of(run_dir) == unbroken.complete()


def test_runs_whose_starter_was_killed_go_on_and_are_cancelled_elsewhere(
    tmp_path: Path, tweets_file: Path, shared_results: Results
) -> None:
    shutil.copytree(shared_results.root / "data", tmp_path / "results" / "data")
    grid = grid_here(tmp_path, tweets_file, {"seed": [1, 2, 3]} | LONG)
    process = grid.start("submit", str(grid.grid), "--local", "--at-once", "2")
    assert wait_until(lambda: grid.trains(0) and grid.trains(1), process)
    assert grid.states() == (3, ["RUNNING", "RUNNING", "PENDING"])
    code, lines = grid.run()  # it is left to the command that runs it
    assert (code, lines[0], "another process trains runs of it" in lines[-1]) == (3, "nothing to run", True)
    begun = grid.run_dirs()[:2]
    descriptors = [os.pidfd_open(_attempts(run_dir)[-1].pid) for run_dir in begun]
    process.kill()
    process.communicate()
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], limit(120))[0]
        os.close(descriptor)
    ends = [_attempts(run_dir)[-1] for run_dir in begun]
    assert [(attempt.reason, attempt.detail) for attempt in ends] == [("signal", "SIGHUP")] * 2
    assert grid.states() == (1, ["LOST", "LOST", "PLANNED"])
    again = grid.start("rerun", "--local", "--at-once", "2")
    assert wait_until(lambda: [len(_attempts(run_dir)) for run_dir in begun] == [2, 2], again)
    assert grid.jobs("cancel", "some") == (0, ["grid some: 3 runs cancelled"])
    output, _ = again.communicate(timeout=limit(120))
    assert (again.returncode, "report" in output) == (3, False), output
    assert grid.states() == (1, ["CANCELLED", "CANCELLED", "CANCELLED"])
    code, lines = grid.jobs("rerun", "--local")
    assert "3 cancelled runs left out" in lines[0]
    assert (code, lines[1], "` goes on with 3 runs" in lines[-1]) == (3, "nothing to run", True)


def _attempts(run_dir: RunDir) -> list[Attempt]:
    record = run_dir.read(RunRecord)
    return record.attempts if record else []


@pytest.mark.parametrize(
    ("gpus", "dealt"),
    [
        ("4,6", ["4, 2 runs", "6, 2 runs", "4, 2 runs", "4,6, 2 runs"]),
        ("4,6,7", ["4, 2 runs", "6, 2 runs", "7, 2 runs", "4,6,7, 2 runs"]),
        ("4", ["4, 4 runs"] * 4),
        ("", [", 4 runs"] * 4),
    ],
)
def test_gpus_are_dealt_out_to_runs_at_the_same_time_which_know_how_many_share_one(
    gpus: str, dealt: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)

    def work(name: str) -> int:
        (tmp_path / name).write_text(f"{os.environ['CUDA_VISIBLE_DEVICES']}, {runs_on_gpu()} runs")
        return 0

    processes = ProcessPool(4, StopRequest(), set)
    for name, device in (("a", "auto"), ("b", "cuda"), ("c", "auto"), ("d", "cuda:1")):
        processes.start(name, partial(work, name), device)
    while processes.running:
        processes.collect()
    assert [(tmp_path / name).read_text() for name in "abcd"] == dealt


def test_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7f")
    assert visible_gpus() == ["2", "GPU-7f"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 0\necho 1\n")
    command.chmod(0o755)
    assert visible_gpus() == ["0", "1"]
