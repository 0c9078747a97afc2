"""`sentiment sync`: its output and exit code, in whatever state W&B is."""

import shutil
import signal

import pytest

from sentiment.runs.halving import read_search
from sentiment.runs.records import Halving
from sentiment.training.tracking import mirror_to_wandb, wandb_run_of
from tests.jobs.submitted import a_plan, write_epochs
from tests.limits import wait_for
from tests.tracking.conftest import MakeRun
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import GRID, TrackedRun

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(completed: MakeRun) -> TrackedRun:
    return completed(tracking__wandb="auto")


@pytest.mark.parametrize("fault", ["status", pytest.param("stream_status", marks=pytest.mark.more)])
def test_refusals_and_lost_rows_fail_until_a_later_sync(waiting: TrackedRun, server: StubServer, fault: str) -> None:
    setattr(server, fault, 403)
    code, output = waiting.sync(GRID, "--timeout", "30" if fault == "stream_status" else "4")
    assert code == 1
    assert output.startswith(f"{GRID}/{waiting.config.run_id}: FAILED: ")
    setattr(server, fault, None)
    assert waiting.sync(GRID)[0] == 0
    (stored,) = server.runs.values()
    assert stored.rows == waiting.rows


def test_server_without_answer_is_given_up_and_others_get_their_turn(waiting: TrackedRun, server: StubServer) -> None:
    other = waiting.run_dir.results.run_dir("other", "shapes")
    shutil.copytree(waiting.run_dir.path, other.path)
    server.hangs.set()
    code, output = waiting.sync(GRID, "other", "--timeout", "2")
    assert code == 1
    assert output.splitlines() == [
        f"{name}: FAILED: timed out after 2 s; is W&B reachable?"
        for name in (f"{GRID}/{waiting.config.run_id}", "shapes/other")
    ]


def test_run_that_uploads_itself_is_left_alone(waiting: TrackedRun, completed: MakeRun, server: StubServer) -> None:
    online = completed(tracking__wandb="online", seed=2)
    waiting.run_dir.result_file.unlink()
    with mirror_to_wandb(online.run_dir, online.config.tracking, online.said.append):
        wait_for((online.run_dir.wandb_dir / "lock-000001").exists, "W&B")
        code, output = online.sync(GRID)
    assert code == 0, output
    assert "already copies to W&B" in output
    assert online.said == []
    uploaded, itself = (server.runs[wandb_run_of(one.run_dir).id] for one in (waiting, online))
    assert (uploaded.rows, uploaded.exit_code, uploaded.preempting) == (waiting.rows, 1, True)
    assert itself.rows == online.rows


def test_sync_uploads_what_is_new_while_a_run_trains_and_later(waiting: TrackedRun, server: StubServer) -> None:
    result = waiting.run_dir.result_file.rename(waiting.run_dir.path / "later")
    log = waiting.run_dir.metrics_file
    lines = log.read_text().splitlines(keepends=True)
    whole_log = log.rename(waiting.run_dir.path / "whole.jsonl")
    log.write_text("".join(lines[:4]))
    name = f"{GRID}/{waiting.config.run_id}"
    assert waiting.sync(GRID) == (0, f"{name}: 4 rows at W&B, 4 of them new\n")
    assert waiting.sync(GRID) == (0, f"{name}: nothing new, 4 rows at W&B\n")
    whole_log.replace(log)
    assert waiting.sync(GRID) == (0, f"{name}: {len(lines)} rows at W&B, {len(lines) - 4} of them new\n")
    result.rename(waiting.run_dir.result_file)
    assert waiting.sync(GRID) == (0, f"{name}: {len(lines)} rows at W&B, 0 of them new\n")
    (stored,) = server.runs.values()
    assert stored.rows == waiting.rows


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_upload_ends_with_its_command_however_that_is_stopped(
    waiting: TrackedRun, server: StubServer, number: signal.Signals, code: int
) -> None:
    server.hangs.set()
    with waiting.start_sync(GRID) as uploading:
        wait_for(lambda: waiting.copying_processes, "W&B")
        uploading.send_signal(number)
        output, _ = uploading.communicate()
    assert (uploading.returncode, output) == (code, "")
    wait_for(lambda: not waiting.copying_processes, "the upload's end", seconds=30)  # W&B gives up after 90


def test_run_pruned_after_its_upload_is_finished_at_wandb_once(waiting: TrackedRun, server: StubServer) -> None:
    run_dir, record = waiting.run_dir, waiting.record
    run_dir.result_file.unlink()
    paused = record.attempts[-1].model_copy(update={"reason": "paused"})
    run_dir.write_record(record.model_copy(update={"attempts": [paused]}))
    halving = Halving(epochs=[waiting.rows[-1]["epoch"]], eta=2)
    run_dir.results.write_grid(a_plan(["o", run_dir.path.name], name=GRID, halving=halving))
    assert waiting.sync(GRID)[0] == 0
    (stored,) = server.runs.values()
    assert (stored.exit_code, stored.preempting) == (1, True)

    better = run_dir.results.run_dir("o", GRID)
    better.path.mkdir()
    write_epochs(better, halving.epochs[0] * [1.0], "macro_f1")
    read_search(run_dir.results, run_dir.results.read_grid(GRID)).rank_current()
    assert waiting.sync(run_dir.path.name)[0] == 0
    (stored,) = server.runs.values()
    assert (stored.exit_code, stored.rows) == (0, waiting.rows)
    assert "nothing new" in waiting.sync(run_dir.path.name)[1]
