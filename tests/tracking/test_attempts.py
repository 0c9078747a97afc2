"""Several attempts of a run without a network: wandb's newest folder holds each row once, whatever ended an attempt."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment.console import silent
from sentiment.models import baseline as fitting
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.preparing import prepare_data
from tests.small_runs import limited_file_size
from tests.tracking.conftest import MakeRun
from tests.tracking.replayed_run import ReplayedRun
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import TrackedRun, wait_until, wandb_service
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
        wait_until(lambda: replayed.said)
    assert len(replayed.said) == 1
    replayed.log(7)
    replayed.redo_with_other_digits(7)
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
    training = subprocess.Popen(
        [*train_command(small_run_file, shared_results.root), *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with training:
        wait_until(lambda: training.poll() is not None or any(shared_results.runs.glob("*/*/wandb/offline-run-*")))
        training.kill()
    (run_dir,) = [RunDir(file.parents[1]) for file in shared_results.runs.glob("*/*/wandb/offline-run-*")]
    killed = TrackedRun(run_dir.read_config(), shared_results, run_dir)
    wait_until(lambda: not killed.copying_processes)
    assert killed.offline_rows == killed.rows
    assert len(killed.offline_rows) > 0


def test_copying_process_that_cannot_be_started_is_told(replayed: ReplayedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with replayed.mirrored():
        pass
    (told,) = replayed.told
    assert "'/nowhere/python'; training is not affected" in told


def test_attempt_after_one_that_was_killed_at_once_copies_all_rows(replayed: ReplayedRun) -> None:
    for number in range(2):
        replayed.log(4)
        with replayed.mirrored():
            pass
        if number == 0:
            (file,) = replayed.offline_files
            file.write_bytes(file.read_bytes()[:7])  # the header alone, as after an early kill
    assert replayed.offline_rows == replayed.rows


def test_disk_that_is_full_is_told_once_and_sync_uploads_what_wandb_lost(
    run: MakeRun, server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "_MOST_FEATURES", 100)  # so that the baseline's file is small
    unlucky = run(training__log_every=1, data__test_fraction=0.21)  # whose tweets no other test prepares
    unlucky.run_dir.create(unlucky.config)
    # Which need more room than the limit leaves.
    prepare_data(unlucky.config, unlucky.results, silent)
    with limited_file_size(18_000):
        unlucky.complete()
    assert len(unlucky.told) == 1
    assert unlucky.offline_rows == []
    code, output = unlucky.sync()
    assert code == 0, output
    (stored,) = server.runs.values()
    assert stored.rows == unlucky.rows


def test_disk_that_fills_up_is_told_since_wandb_itself_loses_rows_without_a_word(replayed: ReplayedRun) -> None:
    replayed.log(0)
    with replayed.mirrored():
        replayed.log(5)
        replayed.wait_for_copy(1)
        room = {
            wandb_service(replayed.copying_process): replayed.offline_files[0].stat().st_size + 500,
            replayed.copying_process: 100_000,
        }
        for pid, size in room.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        replayed.log(len(replayed.lines))
    (told,) = replayed.told
    assert f"{replayed.run_dir.wandb_dir}: cannot be written: [Errno 27] File too large" in told
    assert 0 < len(replayed.offline_rows) < len(replayed.rows)
