"""`python -m jobs sync`: what it says and how it ends, with W&B in all states."""

import shutil

import pytest

from sentiment.training.tracking_mirror import mirrored
from tests.tracking.conftest import MakeRun
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import GRID, TrackedRun, wait_until


@pytest.fixture
def waiting(completed: MakeRun) -> TrackedRun:
    """A completed run of which W&B has nothing; it is not tracked unless it is named."""
    return completed(tracking__wandb="auto")


@pytest.mark.parametrize("status", [401, 500])
def test_refusal_is_a_failure_and_a_later_sync_makes_it_good(
    waiting: TrackedRun, server: StubServer, status: int
) -> None:
    server.status = status
    code, output = waiting.sync(GRID, "--timeout", "4")
    assert code == 1
    assert output.startswith(f"{GRID}/{waiting.config.run_id}: FAILED: ")
    server.status = None
    assert waiting.sync(GRID)[0] == 0
    (stored,) = server.runs.values()
    assert stored.rows[:-1] == waiting.rows


def test_server_without_an_answer_is_given_up_and_the_other_runs_get_their_turn(
    waiting: TrackedRun, server: StubServer
) -> None:
    other = waiting.run_dir.results.run_dir("other", "shapes")
    shutil.copytree(waiting.run_dir.path, other.path)
    server.hangs.set()
    code, output = waiting.sync(GRID, "other", "--timeout", "2")
    assert code == 1
    assert output.splitlines() == [
        f"{name}: FAILED: no end after 2 s; is W&B within reach?"
        for name in (f"{GRID}/{waiting.config.run_id}", "shapes/other")
    ]


def test_rows_that_wandb_drops_without_a_word_are_missed(waiting: TrackedRun, server: StubServer) -> None:
    server.stream_status = 403
    code, output = waiting.sync(waiting.config.run_id, "--timeout", "30")
    assert code == 1
    assert "FAILED: " in output
    server.stream_status = None
    assert waiting.sync(waiting.config.run_id)[0] == 0
    (stored,) = server.runs.values()
    assert stored.rows[:-1] == waiting.rows


def test_run_that_uploads_itself_is_left_alone_and_one_in_its_middle_is_uploaded_as_far_as_it_is(
    waiting: TrackedRun, completed: MakeRun, server: StubServer
) -> None:
    online = completed(tracking__wandb="online", seed=2)
    waiting.run_dir.result_file.unlink()
    with mirrored(online.run_dir, online.config.tracking, online.said.append):
        wait_until((online.run_dir.wandb_dir / "lock").exists)
        code, output = online.sync(GRID)
    assert code == 0, output
    assert "copies to W&B and is alive" in output
    assert online.said == []
    uploaded = next(stored for name, stored in server.runs.items() if name.startswith(waiting.config.run_id))
    assert uploaded.rows == waiting.rows
    assert (uploaded.exit_code, uploaded.preempting) == (1, True)
    itself = next(stored for name, stored in server.runs.items() if name.startswith(online.config.run_id))
    assert itself.rows[:-1] == online.rows


def test_unknown_name_is_a_mistake_of_the_command_line(waiting: TrackedRun) -> None:
    code, output = waiting.sync("colors")
    assert code == 2
    assert f"colors: neither a grid nor a run in {waiting.run_dir.results.runs}; grids: {GRID}" in output


def test_run_with_tracking_disabled_is_not_uploaded_even_when_it_is_named(run: MakeRun, server: StubServer) -> None:
    private = run(tracking__wandb="disabled")
    private.run_dir.create(private.config)
    code, output = private.sync(GRID)
    assert (code, server.requests) == (0, 0)
    assert "tracking.wandb is disabled" in output


def test_report_is_uploaded_on_request(waiting: TrackedRun, server: StubServer) -> None:
    report = waiting.run_dir.results.report
    (report / "figures").mkdir(parents=True)
    for name in ("report.html", "report.md", "figures/curve.svg"):
        (report / name).write_text(f"this is {name}")
    code, output = waiting.sync(GRID, "--report", "--timeout", "60")
    assert code == 0, output
    assert "report: 3 files at W&B" in output
    assert {content for content in server.files.values() if content.startswith(b"this is")} == {
        f"this is {name}".encode() for name in ("report.html", "report.md", "figures/curve.svg")
    }


def test_report_without_one_is_a_mistake(waiting: TrackedRun) -> None:
    code, output = waiting.sync(GRID, "--report")
    assert code == 2
    assert "no report" in output
