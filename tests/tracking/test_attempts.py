"""Several attempts of a run without a network: wandb's newest folder holds each row once, whatever ended an attempt."""

import os
import signal
import sys

import pytest

from sentiment.runs.run_dir import RunDir
from tests.tracking.conftest import MakeReplayed
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import ReplayedRun, wait_until, wandb_service

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


def test_copying_process_that_cannot_be_started_is_told(replayed: ReplayedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with replayed.mirrored():
        pass
    (told,) = replayed.told
    assert "'/nowhere/python'; training is not affected" in told


def test_rows_that_are_computed_again_after_a_kill_are_sent_once(
    begin: MakeReplayed, server: StubServer, trained: RunDir
) -> None:
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
