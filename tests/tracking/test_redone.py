"""Rows that are computed again after a kill: sent once if they are equal, never mixed with the earlier ones if not."""

import os
import signal
from typing import Any

import pytest

from jobs.sync import upload_runs
from sentiment.runs.run_dir import RunDir
from tests.tracking.conftest import MakeReplayed
from tests.tracking.replayed_run import ReplayedRun
from tests.tracking.server import StoredRun, StubServer
from tests.tracking.tracked_run import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

SENT = 8
SAVED = 3


@pytest.fixture
def killed(begin: MakeReplayed, server: StubServer) -> ReplayedRun:
    """A run that was killed when W&B had rows that are newer than the checkpoint from which it resumes."""
    replayed = begin(tracking__wandb="online")
    replayed.log(0)
    with replayed.mirrored():
        replayed.log(SENT)
        wait_until(lambda: server.runs and len(only(server).history) == SENT)
        os.kill(replayed.copying_process, signal.SIGKILL)
    assert replayed.said == []
    replayed.log(SAVED)
    return replayed


def only(server: StubServer) -> StoredRun:
    """The only run on the server."""
    (stored,) = server.runs.values()
    return stored


def test_rows_that_are_redone_with_the_same_digits_are_sent_once(
    killed: ReplayedRun, server: StubServer, trained: RunDir
) -> None:
    with killed.mirrored():
        killed.log(len(killed.lines))
        killed.complete_like(trained)
    assert killed.said == []
    assert only(server).rows == killed.rows


def test_other_digits_are_told_and_leave_the_run_at_wandb_as_it_is(
    killed: ReplayedRun, server: StubServer, trained: RunDir
) -> None:
    sent = only(server).rows
    killed.redo_with_other_digits(SAVED)
    with killed.mirrored():
        killed.log(SAVED + 1)
        wait_until(lambda: killed.said)
        killed.log(len(killed.lines))
        killed.complete_like(trained)
    (told,) = killed.told
    assert f"from row {SAVED} on" in told
    assert only(server).rows == sent
    asked = server.requests
    code, output = killed.sync()
    assert (code, server.requests) == (1, asked)
    assert f"from row {SAVED} on, and W&B takes none back" in output
    assert only(server).rows == sent


def test_run_that_ends_with_fewer_rows_than_wandb_has_is_refused(killed: ReplayedRun, trained: RunDir) -> None:
    killed.log(SENT - 1)
    assert killed.sync()[0] == 0  # it may still compute the last one again
    killed.complete_like(trained)
    code, output = killed.sync()
    assert code == 1
    assert f"from row {SENT - 1} on" in output


def test_run_that_completes_while_sync_reads_its_log_is_uploaded(
    killed: ReplayedRun, server: StubServer, trained: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last rows and its result appear when its log has just been read."""
    read = RunDir.read_metrics

    def read_just_before_the_end(run_dir: RunDir) -> list[dict[str, Any]]:
        rows = read(run_dir)
        killed.log(len(killed.lines))
        killed.complete_like(trained)
        return rows

    monkeypatch.setattr(RunDir, "read_metrics", read_just_before_the_end)
    (upload,) = upload_runs([killed.run_dir], limit_seconds=PATIENCE_SECONDS)
    assert not upload.failed, upload.message
    assert only(server).rows == killed.rows
