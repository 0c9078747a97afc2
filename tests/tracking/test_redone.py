"""Rows that a run redoes after a kill: sent once if they are the same, and never mixed with others if they are not."""

import os
import signal
from typing import Any

import pytest

from jobs.sync import upload_runs
from sentiment.run_dir import RunDir
from tests.tracking.conftest import MakeLife
from tests.tracking.life import Life
from tests.tracking.server import StoredRun, StubServer
from tests.tracking.tracked_run import GRID, PATIENCE_SECONDS, wait_until

SENT = 8
SAVED = 3


@pytest.fixture
def killed(begin: MakeLife, server: StubServer) -> Life:
    """A run that was killed after W&B had some rows of it, and goes on from a checkpoint before them."""
    life = begin(tracking__wandb="online")
    life.log(0)
    with life.mirrored():
        life.log(SENT)
        wait_until(lambda: server.runs and len(only(server).history) == SENT)
        os.kill(life.copying_process, signal.SIGKILL)
    assert life.said == []
    life.log(SAVED)
    return life


def only(server: StubServer) -> StoredRun:
    """The one run that the server has."""
    (stored,) = server.runs.values()
    return stored


def test_rows_that_are_redone_with_the_same_digits_are_sent_once(
    killed: Life, server: StubServer, trained: RunDir
) -> None:
    with killed.mirrored():
        killed.log(len(killed.lines))
        killed.complete_like(trained)
    assert killed.said == []
    assert only(server).rows[:-1] == killed.rows


def test_other_digits_are_told_and_sync_replaces_the_run_at_wandb_on_request(
    killed: Life, server: StubServer, trained: RunDir
) -> None:
    (old,) = server.runs
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
    assert f"`python -m jobs sync {killed.run_dir.path.name} --replace`" in output
    code, output = killed.sync("--replace")
    assert code == 0, output
    assert server.deleted == {old}
    assert only(server).rows[:-1] == killed.rows
    assert only(server).exit_code == 0
    code, output = killed.sync(GRID, "--replace")  # which is for runs that need it
    assert (code, server.deleted) == (0, {old})
    assert "nothing new" in output


def test_run_that_ends_earlier_than_before_is_not_what_wandb_has(killed: Life, trained: RunDir) -> None:
    killed.log(SENT - 1)
    assert killed.sync()[0] == 0  # it may still redo the last one
    killed.complete_like(trained)
    code, output = killed.sync()
    assert code == 1
    assert f"from row {SENT - 1} on" in output


def test_run_that_completes_while_sync_looks_is_as_good_as_any(
    killed: Life, server: StubServer, trained: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last rows and its result appear when its log has just been read."""
    read = RunDir.read_metrics

    def read_just_before_the_end(run_dir: RunDir) -> list[dict[str, Any]]:
        rows = read(run_dir)
        killed.log(len(killed.lines))
        killed.complete_like(trained)
        return rows

    monkeypatch.setattr(RunDir, "read_metrics", read_just_before_the_end)
    (upload,) = upload_runs([killed.run_dir], replace=False, limit_seconds=PATIENCE_SECONDS)
    assert not upload.failed, upload.message
    assert only(server).rows[:-1] == killed.rows


def test_replacement_that_is_interrupted_is_made_good_by_the_next_sync(killed: Life, server: StubServer) -> None:
    killed.redo_with_other_digits(SAVED)
    killed.log(SENT + 1)
    server.status = 500
    assert killed.sync("--replace", "--timeout", "4")[0] == 1
    server.status = None
    server.stream_status = 403  # the old run can be deleted, and the new one gets no rows
    assert killed.sync("--replace", "--timeout", "30")[0] == 1
    server.stream_status = None
    code, output = killed.sync()
    assert code == 0, output
    assert only(server).rows == killed.rows


def test_run_that_was_deleted_at_wandb_can_be_replaced_as_well(killed: Life, server: StubServer) -> None:
    server.deleted = {*server.runs}
    server.runs.clear()
    killed.redo_with_other_digits(SAVED)
    killed.log(SENT + 1)
    code, output = killed.sync("--replace")
    assert code == 0, output
    assert only(server).rows == killed.rows
