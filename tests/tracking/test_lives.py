"""Several lives of one run without a network: its rows stand in W&B's files once each, whatever ended a life."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from sentiment.data.corpus import prepare_corpus
from sentiment.models.linear import linear_floor
from sentiment.run_dir import Results, RunDir
from sentiment.training.tracking_mirror import mirrored
from tests.small_runs import limited_file_size
from tests.tracking.conftest import (
    MakeRun,
    copying_processes,
    logged_rows,
    offline_files,
    offline_rows,
    sync,
    wait_until,
    wandb_lines,
    wandb_service,
    without_clock,
)
from tests.tracking.server import StubServer
from tests.training.processes import train_command


class Life:
    """A training of which only the log is real: its rows appear when the test says so."""

    def __init__(self, run_dir: RunDir, lines: list[str]) -> None:
        self.run_dir = run_dir
        self._lines = lines
        self.said: list[str] = []

    def log(self, rows: int) -> None:
        """The log has this many rows now; fewer than before is what going on from a checkpoint does."""
        self.run_dir.metrics_file.write_text("".join(self._lines[:rows]))

    def wait_for_copy(self, number: int) -> None:
        """Until the first rows stand in so many files."""
        wait_until(lambda: sum(b"loss" in file.read_bytes() for file in offline_files(self.run_dir)) == number)

    def copying_process(self) -> int:
        """The one that copies at this moment."""
        (pid,) = copying_processes(self.run_dir.path)
        return pid


@pytest.fixture
def life(run: MakeRun, trained: RunDir) -> Life:
    """Of a run that has not begun yet."""
    planned = run()
    planned.run_dir.create(planned.config)
    shutil.copy(trained.record_file, planned.run_dir.record_file)
    lines = trained.metrics_file.read_text().splitlines(keepends=True)
    return Life(planned.run_dir, lines)


def test_three_lives_of_a_run_leave_each_row_once_and_sync_uploads_the_same(
    life: Life, server: StubServer, trained: RunDir
) -> None:
    rows = len(trained.read_metrics())
    tracking = life.run_dir.read_config().tracking
    life.log(0)
    with mirrored(life.run_dir, tracking, life.said.append):
        life.log(5)
        life.wait_for_copy(1)
        os.kill(life.copying_process(), signal.SIGKILL)  # as all processes of a node that fails
    assert life.said == []
    life.log(3)  # the checkpoint that the second life goes on from
    with mirrored(life.run_dir, tracking, life.said.append):
        life.log(8)
        life.wait_for_copy(2)
        os.kill(wandb_service(life.copying_process()), signal.SIGTERM)  # as at a preemption
        life.log(9)
        wait_until(lambda: life.said)
    assert len(life.said) == 1
    life.log(7)
    with mirrored(life.run_dir, tracking, life.said.append):
        life.log(rows)
        for name in ("predictions_file", "result_file"):
            shutil.copy(getattr(trained, name), getattr(life.run_dir, name))
    assert len(life.said) == 1
    assert len(offline_files(life.run_dir)) == 3
    assert offline_rows(life.run_dir)[:-1] == logged_rows(trained)
    code, output = sync(life.run_dir)
    assert code == 0, output
    (stored,) = server.runs.values()
    assert without_clock(stored.history)[:-1] == logged_rows(trained)


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
    (killed,) = [RunDir(file.parents[1]) for file in shared_results.runs.glob("*/*/wandb/offline-run-*")]
    wait_until(lambda: not copying_processes(killed.path))
    assert offline_rows(killed) == logged_rows(killed)
    assert len(offline_rows(killed)) > 0


def test_life_after_one_that_was_killed_at_once_begins_at_the_first_row(life: Life) -> None:
    for number in range(2):
        life.log(4)
        with mirrored(life.run_dir, life.run_dir.read_config().tracking, life.said.append):
            pass
        if number == 0:
            (file,) = offline_files(life.run_dir)
            file.write_bytes(file.read_bytes()[:7])  # no more than the header, as on an early kill
    assert offline_rows(life.run_dir) == logged_rows(life.run_dir)


def test_disk_that_is_full_is_told_once_and_sync_uploads_what_wandb_lost(run: MakeRun, server: StubServer) -> None:
    unlucky = run(training__log_every=1)
    unlucky.run_dir.create(unlucky.config)
    linear_floor(prepare_corpus(unlucky.config.data, unlucky.results))  # both need room, and are then there
    with limited_file_size(15_000):
        unlucky.complete()
    assert len(wandb_lines(unlucky)) == 1
    assert len(offline_rows(unlucky.run_dir)) < len(unlucky.run_dir.read_metrics())
    code, output = sync(unlucky.run_dir)
    assert code == 0, output
    (stored,) = server.runs.values()
    assert without_clock(stored.history)[:-1] == logged_rows(unlucky.run_dir)
