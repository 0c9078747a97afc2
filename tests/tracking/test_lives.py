"""Several lives of one run without a network: its rows stand in W&B's files once each, whatever ended a life."""

import os
import resource
import signal
import subprocess
from pathlib import Path

from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.models.baseline import linear_baseline
from sentiment.run_dir import Results, RunDir
from tests.small_runs import limited_file_size
from tests.tracking.conftest import MakeRun
from tests.tracking.life import Life
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import TrackedRun, wait_until, wandb_service
from tests.training.processes import train_command


def test_three_lives_of_a_run_leave_each_row_once_and_sync_uploads_the_same(
    life: Life, server: StubServer, trained: RunDir
) -> None:
    rows = len(trained.read_metrics())
    life.log(0)
    with life.mirrored():
        life.log(5)
        life.wait_for_copy(1)
        os.kill(life.copying_process, signal.SIGKILL)  # as all processes of a node that fails
    assert life.said == []
    life.log(3)  # the checkpoint that the second life goes on from
    with life.mirrored():
        life.log(8)
        life.wait_for_copy(2)
        os.kill(wandb_service(life.copying_process), signal.SIGTERM)  # as at a preemption
        life.log(9)
        wait_until(lambda: life.said)
    assert len(life.said) == 1
    life.log(7)
    life.redo_with_other_digits(7)
    with life.mirrored():
        life.log(rows)
        life.complete_like(trained)
    assert len(life.said) == 1
    assert len(life.offline_files) == 3
    assert life.offline_rows[:-1] == life.rows
    code, output = life.sync()
    assert code == 0, output
    (stored,) = server.runs.values()
    assert stored.rows[:-1] == life.rows


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


def test_life_after_one_that_was_killed_at_once_begins_at_the_first_row(life: Life) -> None:
    for number in range(2):
        life.log(4)
        with life.mirrored():
            pass
        if number == 0:
            (file,) = life.offline_files
            file.write_bytes(file.read_bytes()[:7])  # no more than the header, as on an early kill
    assert life.offline_rows == life.rows


def test_disk_that_is_full_is_told_once_and_sync_uploads_what_wandb_lost(run: MakeRun, server: StubServer) -> None:
    unlucky = run(training__log_every=1)
    unlucky.run_dir.create(unlucky.config)
    linear_baseline(prepare_corpus(unlucky.config.data, unlucky.results))  # both need room, and are then there
    with limited_file_size(15_000):
        unlucky.complete()
    assert len(unlucky.told) == 1
    assert unlucky.offline_rows == []
    code, output = unlucky.sync()
    assert code == 0, output
    (stored,) = server.runs.values()
    assert stored.rows[:-1] == unlucky.rows


def test_disk_that_fills_up_is_told_since_wandb_itself_loses_rows_without_a_word(life: Life) -> None:
    life.log(0)
    with life.mirrored():
        life.log(5)
        life.wait_for_copy(1)
        room = {
            wandb_service(life.copying_process): life.offline_files[0].stat().st_size + 500,
            life.copying_process: 100_000,
        }
        for pid, size in room.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        life.log(len(life.lines))
    (told,) = life.told
    assert f"{life.run_dir.wandb_dir}: cannot be written: [Errno 27] File too large" in told
    assert 0 < len(life.offline_rows) < len(life.rows)
