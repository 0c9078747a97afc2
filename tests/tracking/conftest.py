"""Runs that are copied to W&B: its real client, and a stand-in for its server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sentiment.run_dir import Results, RunDir
from sentiment.training import tracking_mirror
from sentiment.training.tracking_rows import flat
from tests.small_runs import Experiment, small_config
from tests.tracking.server import StubServer, serving

GRID = "colours"
PATIENCE_SECONDS = 60.0

MakeRun = Callable[..., Experiment]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's home directory, where nothing should appear."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def server(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubServer]:
    """The only server that wandb knows here; processes that a test leaves behind are ended."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "SLURM_"))]:
        monkeypatch.delenv(name)
    for name in ("_SECONDS_AFTER_COMPLETION", "_SECONDS_AFTER_STOP"):
        monkeypatch.setattr(tracking_mirror, name, PATIENCE_SECONDS)  # other tests may leave few cores to W&B
    with serving() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        monkeypatch.setenv("HOME", str(home))
        yield running
        for pid in copying_processes(tmp_path):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def run(tweets_file: Path, shared_results: Results, tmp_path: Path) -> MakeRun:
    """Makes a small run of a grid, in `results` unless another folder is named; offline unless told otherwise."""

    def make(results: str = "results", **changes: Any) -> Experiment:
        config = small_config(tweets_file, **{"tracking__wandb": "offline", **changes})
        return Experiment(config, shared_results, Results(tmp_path / results).run_dir(config.run_id, GRID))

    return make


def wandb_lines(run: Experiment) -> list[str]:
    """What was said about W&B."""
    return [line for line in run.said if line.startswith("W&B: ")]


def logged_rows(run_dir: RunDir) -> list[dict[str, Any]]:
    """The metric log as W&B should have it."""
    return [flat(row) | {"_step": number} for number, row in enumerate(run_dir.read_metrics())]


def without_clock(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """W&B's rows without what it adds to them."""
    return [{name: value for name, value in row.items() if name not in ("_runtime", "_timestamp")} for row in rows]


def offline_rows(run_dir: RunDir) -> list[dict[str, Any]]:
    """All rows in the files of all attempts, in order, as wandb's own tool reads them."""
    return without_clock([row for file in offline_files(run_dir) for row in _history(file)])


def offline_files(run_dir: RunDir) -> list[Path]:
    """One for each attempt."""
    return sorted(run_dir.wandb_dir.glob("offline-run-*/run-*.wandb"), key=lambda file: file.parent.name)


def _history(file: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", str(file), "--json"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return [record["history"]["item"] for record in map(json.loads, lines) if record["type"] == "history"]


def sync(run_dir: RunDir, *arguments: str) -> tuple[int, str]:
    """`python -m jobs sync` for all runs in these results; exit code and all that it printed."""
    command = [sys.executable, "-m", "jobs", "sync", "--results", str(run_dir.results.root), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def copying_processes(place: Path) -> list[int]:
    """Ids of the processes that copy runs in a folder to W&B."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue  # has ended meanwhile
            if b"tracking_process" in command and str(place).encode() in command:
                found.append(int(folder.name))
    return found


def wandb_service(pid: int) -> int:
    """Id of the wandb-core that a copying process has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (service,) = [child for child in children if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return int(service)


def wait_until(condition: Callable[[], Any]) -> None:
    """Until it comes true; W&B's processes need a second or so for anything."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
