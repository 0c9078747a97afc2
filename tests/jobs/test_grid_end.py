"""When a grid has ended, somebody is told; what becomes of that changes nothing."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.grids.grid import load_grid
from jobs.slurm.resources import read_cluster
from jobs.tasks.attempt import record_failure
from jobs.tasks.grid_end import GridEnd
from sentiment.errors import ConfigError, DataError
from sentiment.runs.run_dir import Results
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.grid_files import write_grid, write_yaml
from tests.jobs.submitted import submitted

# A command that writes down what it finds in its environment.
WRITES = """
import json, os, sys
json.dump({name: value for name, value in os.environ.items() if name.startswith("GRID_")}, open(sys.argv[1], "w"))
"""

MakeEnd = Callable[..., GridEnd]


@pytest.fixture
def said() -> list[str]:
    """What was said."""
    return []


@pytest.fixture
def end(base: Path, results: Results, said: list[str], slurm: FakeSlurm) -> MakeEnd:
    """The end of a grid of three runs, of which one failed and one was cancelled."""
    grid = load_grid(write_grid(base, {"seed": [1, 2, 3]}), results)
    results.write_grid(grid.plan)
    failed, cancelled, _ = (run.run_id for run in grid.plan.runs)
    record_failure(results.run_dir(failed, "some"), DataError("no tweets"))
    submitted(results, "train", "7", [cancelled], grid="some").cancel([0])
    return lambda *notify: GridEnd(results, grid.plan, notify, None, said.append)


def test_command_finds_the_counts_in_its_environment(
    end: MakeEnd, results: Results, tmp_path: Path, said: list[str]
) -> None:
    awkward = tmp_path / "it's $HOME; `here`.json"
    end(sys.executable, "-c", WRITES, str(awkward)).tell(results.report / "report.html")
    assert json.loads(awkward.read_text()) == {
        "GRID_NAME": "some",
        "GRID_RUNS": "3",
        "GRID_COMPLETED": "0",
        "GRID_FAILED": "1",
        "GRID_PRUNED": "0",
        "GRID_CANCELLED": "1",
        "GRID_RESULTS": str(results.root),
        "GRID_REPORT": str(results.report / "report.html"),
    }
    assert said[0].endswith(": done")


def test_command_that_fails_or_is_not_there_is_said(end: MakeEnd, tmp_path: Path, said: list[str]) -> None:
    end(sys.executable, "-c", "raise SystemExit(7)").tell(None)
    end("no-such-command").tell(None)
    end(str(tmp_path)).tell(None)
    assert said[0].endswith("ended with 7")
    assert said[1].startswith("notify: no-such-command: cannot be run: [Errno 2] No such file or directory")
    assert "cannot be run: [Errno 13] Permission denied" in said[2]


@pytest.mark.slow
def test_command_that_hangs_is_killed_with_all_that_it_started(end: MakeEnd, tmp_path: Path, said: list[str]) -> None:
    pid = tmp_path / "pid"
    script = "sleep 600 & echo $! > $0; wait"
    end("sh", "-c", script, str(pid)).tell(None, seconds=2.0)
    assert said[0].endswith("was killed because it had not ended after 2 s")
    end_of_patience = time.monotonic() + 20
    while "sleep" in _name_of(pid.read_text().strip()):
        assert time.monotonic() < end_of_patience


def _name_of(pid: str) -> str:
    """The command of a live process; empty for one that is gone, or only waits to be collected."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return "" if fields.rpartition(")")[2].split()[0] == "Z" else fields


@pytest.mark.slow
def test_local_grid_tells_somebody_when_it_has_ended(base: Path, results: Results, tmp_path: Path) -> None:
    grid = write_grid(base, {"seed": [1], "training.epochs": [1]})
    seen = tmp_path / "seen.json"
    cluster = write_yaml(tmp_path / "cluster.yaml", {"notify": [sys.executable, "-c", WRITES, str(seen)]})
    arguments = ["submit", str(grid), "--local", "--cluster", str(cluster), "--results", str(results.root)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told = json.loads(seen.read_text())
    assert (told["GRID_COMPLETED"], told["GRID_FAILED"]) == ("1", "0")
    assert Path(told["GRID_REPORT"]).exists()
    assert done.stdout.splitlines()[-1].endswith(": done")


def test_command_must_be_a_list_of_words(tmp_path: Path) -> None:
    cluster = write_yaml(tmp_path / "cluster.yaml", {"notify": "mail -s done me@example.org"})
    with pytest.raises(ConfigError, match=r"is run without a shell: write its words as a list, as in \[mail, -s,"):
        read_cluster(cluster)
