"""What runs have printed is found by the run's name, and can be followed while it is written."""

import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs import status
from jobs.__main__ import app
from jobs.grids.grid import load_grid
from jobs.status import visible
from jobs.submissions import read_submissions
from jobs.tasks.attempt import record_failure
from sentiment.errors import DataError
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import write_grid
from tests.jobs.submitted import submitted
from tests.training.processes import wait_until


@pytest.fixture
def plan(base: Path, results: Results) -> GridPlan:
    """A grid of two runs, none of which has begun."""
    grid = load_grid(write_grid(base, {"seed": [1, 2]}), results)
    results.write_grid(grid.plan)
    return grid.plan


def _begins(run_id: str, process: int) -> str:
    return f"run {run_id}, process {process} on h\n"


def _write_log(results: Results, run_id: str, text: str) -> Path:
    log = results.slurm / "some" / f"{run_id}.log"
    if folders := [one for one in read_submissions(results, "some") if one.submission.here]:
        log = folders[-1].run_log(run_id)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a") as file:
        file.write(text)
    return log


def _logs(results: Results, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, and what is said besides."""
    done = CliRunner().invoke(app, ["status", "--log", *arguments, "--results", str(results.root)])
    return done.exit_code, done.stdout, done.stderr


def test_run_is_shown_by_its_name_with_or_without_its_grid(results: Results, plan: GridPlan) -> None:
    run_id = plan.runs[0].run_id
    text = f"{_begins(run_id, 7)}loss 2\n{_begins(run_id, 8)}loss 1\n"
    log = _write_log(results, run_id, text)
    assert _logs(results, run_id) == (0, text, f"==> {log} <==\n")
    assert _logs(results, f"some/{run_id}") == (0, text, f"==> {log} <==\n")


def test_what_has_no_log_and_what_does_not_exist_is_said_in_a_line(results: Results, plan: GridPlan) -> None:
    run_id = plan.runs[0].run_id
    assert _logs(results, run_id) == (2, "", f"error: {run_id}: has no log yet; it is PLANNED\n")
    code, _, said = _logs(results, "nothing")
    assert (code, said) == (2, f"error: nothing: neither a grid nor a run in {results.runs}; grids here: some\n")
    code, _, said = _logs(results, "some")
    assert said.startswith(
        "error: some: is a grid; name one of its runs (`sentiment status some` shows them), or some/data"
    )
    assert _logs(results, "some/report")[2] == "error: report: has no log yet; it is not in the queue\n"
    _write_log(results, "report", "written\n")
    assert _logs(results, "some/report")[:2] == (0, "written\n")


def test_run_of_several_grids_is_asked_back(results: Results, plan: GridPlan) -> None:
    results.write_grid(plan.model_copy(update={"name": "other"}))
    run_id = plan.runs[0].run_id
    assert f"is a run of several grids; write other/{run_id} or some/{run_id}" in _logs(results, run_id)[2]


def _follow(results: Results, run_id: str, tmp_path: Path, **streams: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "jobs", "status", "--log", run_id, "--watch", "--results", str(results.root)]
    return subprocess.Popen(command, env=os.environ | {"PATH": str(tmp_path)}, **streams)


def test_log_is_followed_from_before_it_exists_until_the_run_has_ended(
    results: Results, plan: GridPlan, tmp_path: Path
) -> None:
    run_id = plan.runs[0].run_id
    folder = submitted(results, "train", "here1", [run_id], grid="some", here=True)
    seen = tmp_path / "seen"
    with open(seen, "wb") as output:
        with ProcessLock(folder.lock_file):
            process = _follow(results, run_id, tmp_path, stdout=output.fileno(), stderr=subprocess.PIPE)
            log = _write_log(results, run_id, _begins(run_id, 7))
            assert wait_until(lambda: seen.read_bytes().endswith(b"on h\n"), process)
            _write_log(results, run_id, "loss 1 \x1b[31m\n")
            assert wait_until(lambda: b"loss 1" in seen.read_bytes(), process)
            record_failure(results.run_dir(run_id, "some"), DataError("no tweets"))
        _, said = process.communicate(timeout=60)
    assert seen.read_text() == f"{_begins(run_id, 7)}loss 1 \x1b[31m\n"
    assert said.decode() == f"==> {log} <==\n{run_id}: FAILED DataError: no tweets\n"
    assert process.returncode == 1


def test_tasks_that_print_in_turn_are_shown_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a job that computes ELMo's vectors in several tasks."""
    files = [tmp_path / "0.out", tmp_path / "1.out"]
    turns = iter(range(4))

    @dataclass
    class Turns:
        name: str = "some/cache"
        turn: int = 0

        def state(self) -> tuple[str, bool]:
            self.turn = next(turns)
            return "RUNNING", self.turn < 3

        def newest(self) -> Path:
            file = files[self.turn % 2]
            with open(file, "a") as log:
                log.write(f"line {self.turn}\n")
            return file

    monkeypatch.setattr(status, "_ASK_SECONDS", 0.0)
    monkeypatch.setattr(status, "_POLL_SECONDS", 0.0)
    said: list[str] = []
    status.show_log(Turns(), True, said.append)
    assert capfd.readouterr().out == "line 0\nline 1\nline 2\nline 3\n"
    assert len(said) == 5  # the file at each turn, and the end


def test_terminal_is_sent_no_control_characters(results: Results, plan: GridPlan, tmp_path: Path) -> None:
    run_id = plan.runs[0].run_id
    _write_log(results, run_id, f"{_begins(run_id, 7)}evil \x1b]0;title\x07\x9b2J naïve 😀\n")
    ours, theirs = pty.openpty()
    process = _follow(results, run_id, tmp_path, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    assert process.wait(timeout=60) == 1
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert "evil ⟨U+001B⟩]0;title⟨U+0007⟩⟨U+009B⟩2J naïve 😀" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("10 %\r20 %\r\n", "10 %\n20 %\n"), ("a\u202eb", "a⟨U+202E⟩b"), ("\x00\x7f", "⟨U+0000⟩⟨U+007F⟩")],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown
