"""Runs that W&B's real client copies to a stand-in for its server."""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sentiment.runs.run_dir import Results, RunDir
from sentiment.training import tracking
from tests.serving import serving
from tests.small_runs import small_config
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import GRID, PATIENCE_SECONDS, ReplayedRun, TrackedRun, copying_processes

MakeRun = Callable[..., TrackedRun]
MakeReplayed = Callable[..., ReplayedRun]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def server(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubServer]:
    """The only server that wandb knows here. Processes that a test leaves behind are killed."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "SLURM_"))]:
        monkeypatch.delenv(name)
    for name in ("SECONDS_AFTER_COMPLETION", "SECONDS_AFTER_STOP"):
        monkeypatch.setattr(tracking, name, PATIENCE_SECONDS)  # other tests may leave W&B little processor time
    with serving(StubServer()) as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(home))
        yield running
        for pid in copying_processes(tmp_path):
            with contextlib.suppress(ProcessLookupError):  # it may end just now
                os.kill(pid, signal.SIGKILL)
        while tracking._DETACHED:
            with tracking._DETACHED.pop():  # which waits for its end
                pass


@pytest.fixture
def run(tweets_file: Path, shared_results: Results, tmp_path: Path) -> MakeRun:

    def make(**changes: Any) -> TrackedRun:
        config = small_config(tweets_file, **{"tracking__wandb": "offline", **changes})
        return TrackedRun(config, shared_results, Results(tmp_path / "results").run_dir(config.run_id, GRID))

    return make


@pytest.fixture
def completed(run: MakeRun, trained: RunDir) -> MakeRun:

    def make(**changes: Any) -> TrackedRun:
        made = run(**changes)
        shutil.copytree(trained.path, made.run_dir.path)
        made.run_dir.config_file.unlink()
        made.run_dir.create(made.config)
        return made

    return make


@pytest.fixture
def begin(run: MakeRun, trained: RunDir) -> MakeReplayed:

    def make(**changes: Any) -> ReplayedRun:
        planned = run(**changes)
        planned.run_dir.create(planned.config)
        shutil.copy(trained.record_file, planned.run_dir.record_file)
        lines = trained.metrics_file.read_text().splitlines(keepends=True)
        return ReplayedRun(planned.config, planned.results, planned.run_dir, lines=lines)

    return make
