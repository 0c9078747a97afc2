"""Runs outside of grids: `status`, `cancel` and `logs` know them too."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jobs.__main__ import app
from sentiment.config_file import load_config
from sentiment.install_paths import ROOT
from sentiment.runs.run_dir import Results, RunDir


@pytest.fixture
def single(trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A completed run in results of its own, where there is no Slurm."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    run_dir = Results(tmp_path).run_dir(trained.read_config().run_id)
    shutil.copytree(trained.path, run_dir.path)
    return run_dir


def _jobs(results: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--results", str(results)])


def test_status_shows_single_runs_with_state_and_score(single: RunDir, tmp_path: Path) -> None:
    result = single.read_result()
    assert result is not None
    for arguments in (["status"], ["status", "single"]):
        done = _jobs(tmp_path, *arguments)
        assert done.exit_code == 0, done.output
        assert "grid single: 1 COMPLETED" in done.output
        assert f"{result.metrics['validation'].f1:.3f}" in done.output
    (one,) = json.loads(_jobs(tmp_path, "status", "--json").output)
    assert (one["name"], one["rows"][0]["state"]) == ("single", "COMPLETED")
    single.result_file.unlink()
    assert _jobs(tmp_path, "status").exit_code == 1  # was completed, but its result is missing


def test_cancel_tells_the_process_that_trains_to_save_and_end(tmp_path: Path) -> None:
    config = load_config(ROOT / "configs" / "runs" / "smoke.yaml")
    run_dir = Results(tmp_path).run_dir(config.run_id)
    run_dir.create(config)
    script = (
        "import signal, sys, time; from pathlib import Path; from sentiment.runs.attempts import ProcessLock\n"
        "def end(*_): sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "with ProcessLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(run_dir.lock_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert "1 RUNNING" in _jobs(tmp_path, "status").output
        done = _jobs(tmp_path, "cancel", config.run_id)
        assert process.wait(timeout=30) == 7
    assert f"process {process.pid} was told to save and end" in done.output.replace("\n", " ")
    assert "no process trains it" in _jobs(tmp_path, "cancel", config.run_id).output


def test_logs_say_where_a_single_run_prints(single: RunDir, tmp_path: Path) -> None:
    done = _jobs(tmp_path, "status", "--log", single.path.name)
    assert done.exit_code == 2
    assert "is a run outside of grids, which prints where it was started" in done.output
    unknown = _jobs(tmp_path, "cancel", single.path.name, "nothing")
    assert (unknown.exit_code, "nothing: neither a grid nor a run" in unknown.output) == (2, True)


def test_submitting_without_slurm_says_how_to_do_it_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = _jobs(tmp_path, "submit", "smoke")
    assert done.exit_code == 4
    assert "sentiment submit smoke --local" in done.output
