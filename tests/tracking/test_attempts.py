"""Several attempts of a run without a network: wandb's newest folder holds each row once, whatever ended an attempt."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment.runs.run_dir import Results, RunDir
from tests.tracking.conftest import MakeReplayed
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import ReplayedRun, TrackedRun, wait_until, wandb_service
from tests.training.processes import train_command

pytestmark = pytest.mark.slow


def test_third_attempt_of_a_run_leaves_each_row_once_and_sync_uploads_the_same(
    replayed: ReplayedRun, server: StubServer, trained: RunDir
) -> None:
    rows = len(trained.read_metrics())
    replayed.log(0)
    with replayed.mirrored():
        replayed.log(5)
        replayed.wait_for_copy(1)
        os.kill(replayed.copying_process, signal.SIGKILL)  # as when a node fails
    assert replayed.said == []
    replayed.log(3)  # the checkpoint that the second attempt resumes from
    with replayed.mirrored():
        replayed.log(8)
        replayed.wait_for_copy(2)
        os.kill(wandb_service(replayed.copying_process), signal.SIGTERM)  # as at a preemption
        replayed.log(9)
        wait_until(lambda: not replayed.copying_processes)
    assert len(replayed.said) == 1
    replayed.log(7)
    with replayed.mirrored():
        replayed.log(rows)
        replayed.complete_like(trained)
    assert len(replayed.said) == 1
    assert len(replayed.offline_files) == 3
    assert replayed.offline_rows == replayed.rows
    code, output = replayed.sync()
    assert code == 0, output
    (stored,) = server.runs.values()
    assert stored.rows == replayed.rows


def test_training_that_is_killed_loses_no_row_that_it_had_logged(small_run_file: Path, shared_results: Results) -> None:
    changes = ["training.epochs=500", "training.early_stopping.patience=null", "training.log_every=20"]
    overrides = [f"--set={change}" for change in [*changes, "tracking.wandb=offline"]]
    others = _copied(shared_results)
    training = subprocess.Popen(
        [*train_command(small_run_file, shared_results.root), *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with training:
        wait_until(lambda: training.poll() is not None or any(map(_has_rows, _copied(shared_results) - others)))
        training.kill()
    (run_dir,) = map(RunDir, _copied(shared_results) - others)
    killed = TrackedRun(run_dir.read_config(), shared_results, run_dir)
    wait_until(lambda: not killed.copying_processes)
    assert killed.offline_rows == killed.rows
    assert len(killed.offline_rows) > 0


def _copied(results: Results) -> set[Path]:
    """The directories of runs that have begun to be copied."""
    return {file.parents[1] for file in results.runs.glob("*/*/wandb/offline-run-*")}


def _has_rows(run_dir: Path) -> bool:
    log = run_dir / "metrics.jsonl"
    return log.exists() and log.stat().st_size > 0


def test_copying_process_that_cannot_be_started_is_told(replayed: ReplayedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with replayed.mirrored():
        pass
    (told,) = replayed.told
    assert "'/nowhere/python'; training is not affected" in told


def test_rows_that_are_computed_again_after_a_kill_are_sent_once(
    begin: MakeReplayed, server: StubServer, trained: RunDir
) -> None:
    """W&B has rows that are newer than the checkpoint from which the run resumes."""
    replayed = begin(tracking__wandb="online")
    replayed.log(0)
    with replayed.mirrored():
        replayed.log(8)
        wait_until(lambda: server.runs and len(next(iter(server.runs.values())).history) == 8)
        os.kill(replayed.copying_process, signal.SIGKILL)
    replayed.log(3)
    with replayed.mirrored():
        replayed.log(len(replayed.lines))
        replayed.complete_like(trained)
    assert replayed.said == []
    (stored,) = server.runs.values()
    assert stored.rows == replayed.rows
