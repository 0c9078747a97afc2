"""Commands under a Slurm whose programs fail in every way: no run gets two tasks, none is called lost.

python -m pytest tests/jobs/test_faults.py -k matrix -s     # prints the matrix
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.plan import CodeChoice
from jobs.slurm import commands
from jobs.status import read_plan, read_status
from jobs.submissions import read_submissions
from sentiment.runs.run_dir import Results
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.grid_files import write_grid, write_yaml

PROGRAMS = ("squeue", "sbatch", "scontrol", "scancel")
COMMANDS = ("status", "rerun", "submit", "cancel")

# What a program does before it answers, or to its answer.
FAILURES = {
    "exit 1": "echo 'error: no' >&2; exit 1",
    "away": "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
    "KILL": "kill -9 $$",
    "TERM": "kill -15 $$",
    "KILL after": "alter='cat; kill -9 $$'",
    "exit 1 after": "alter='cat'; answer \"$@\"; exit 1",
    "empty": "alter='cat >/dev/null'",
    "late": "exec sleep 30",
    "half a line": "alter='head -c -4'",
    "other columns": "echo 'JOBID PARTITION NAME USER'; echo '101 main grid root'; exit 0",
    "bytes": r"printf '\377\376\000\201\n'; exit 0",
    "a warning first": "echo 'warning: maintenance from Monday'",
    "odd names": r"printf '@900@N/A@RUNNING@None@0:10@N/A@N/A@n1@a|b\n101|0|FAILED@\n' >> jobs",
}
HARMLESS = {"a warning first", "odd names"}
_NOTHING_TO_ALTER = {"scancel": {"empty", "half a line", "other columns", "bytes"}}  # its answer is its exit code


TRUTH = ("PENDING", "PENDING", "FAILED", "TIMEOUT")


@dataclass
class Scene:
    """A grid of four runs: one runs, one waits, one failed, and one ran out of time."""

    results: Results
    slurm: FakeSlurm
    grid: Path
    snapshot: Path

    def call(self, command: str) -> tuple[int, list[str]]:
        """A command's exit code, and its lines."""
        more: list[str] = {"submit": [str(self.grid)], "cancel": ["some"]}.get(command, [])
        cluster = [] if command in ("status", "cancel") else ["--cluster", str(self.grid.with_name("cluster.yaml"))]
        done = CliRunner().invoke(app, [command, *more, *cluster, "--results", str(self.results.root)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output.splitlines()

    @property
    def states(self) -> list[str]:
        """What `status` says."""
        (grid,) = read_status(self.results)
        return [row.state for row in grid.rows]

    @property
    def tasks(self) -> list[int]:
        """How many tasks each run has that wait or run."""
        found, plan = self.slurm.tasks(self.results), read_plan(self.results, "some")
        return [found.get(run.run_id, 0) for run in plan.runs]

    def restore(self) -> None:
        """As at the beginning."""
        for folder in (self.results.root, self.slurm.folder):
            shutil.rmtree(folder)
            shutil.copytree(self.snapshot / folder.name, folder)


@pytest.fixture
def scene(slurm: FakeSlurm, results: Results, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(CodeChoice, "present", "a copy of the code")
    grid = write_grid(base, {"seed": [1, 2, 3, 4]})
    write_yaml(grid.with_name("cluster.yaml"), {"defaults": {"gpus": 0}})
    scene = Scene(results, slurm, grid, tmp_path / "snapshot")
    assert scene.call("submit")[0] == 0
    training = next(one for one in read_submissions(results) if one.submission.job_kind.trains_runs)
    jobs = slurm.folder / "jobs"
    text = jobs.read_text().replace(f"@{training.job_id}@0@PENDING@", f"@{training.job_id}@0@RUNNING@")
    text = text.replace(f"@{training.job_id}@2@PENDING@", f"@{training.job_id}@2@FAILED@")
    jobs.write_text(text.replace(f"@{training.job_id}@3@PENDING@", f"@{training.job_id}@3@TIMEOUT@"))
    (slurm.folder / "orders").unlink()
    for folder in (results.root, slurm.folder):
        shutil.copytree(folder, scene.snapshot / folder.name)
    return scene


def _called_by(scene: Scene, command: str) -> list[str]:
    scene.call(command)
    called = {order.split()[0] for order in scene.slurm.orders}
    scene.restore()
    return [program for program in PROGRAMS if program in called]


def _play(scene: Scene, command: str, program: str, failure: str) -> str:
    """A command under a failure, and once more when Slurm answers again; what became of it, for the matrix."""
    scene.slurm.fail(program, FAILURES[failure])
    with patch.object(commands, "_SECONDS", 1.0 if failure == "late" else commands._SECONDS):
        code, lines = scene.call(command)
        states = scene.states
    case = (command, program, failure, code, lines, states, scene.tasks)
    assert "LOST" not in states, case
    assert max(scene.tasks) <= 1, case
    named = [line for line in lines if f"{program}: " in line]
    if command == "status":
        assert code == 3, case
        assert states == list(TRUTH) if failure in HARMLESS else "UNKNOWN" in states, case
        assert all(state in ("UNKNOWN", true) for state, true in zip(states, TRUTH, strict=True)), case
    elif failure in HARMLESS:
        assert code == 0, case
    elif code:
        assert len(named) == 1, case
    else:  # sbatch had accepted the job
        assert program == "sbatch", case
    scene.slurm.heal()
    assert "LOST" not in scene.states, case
    assert command == "status" or scene.call(command)[0] == 0, case
    expected = {"status": [1, 1, 0, 0], "cancel": [0, 0, 0, 0]}.get(command, [1, 1, 1, 1])
    assert scene.tasks == expected, case
    return ("UNKNOWN" if "UNKNOWN" in states else "done") if command == "status" else f"{'refused' if code else 'done'}"


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_matrix_of_commands_and_faults_has_no_lost_and_no_doubled_run(scene: Scene, command: str) -> None:
    assert scene.states == list(TRUTH)
    assert scene.tasks == [1, 1, 0, 0]
    table = []
    for program in _called_by(scene, command):
        for failure in FAILURES:
            if failure not in _NOTHING_TO_ALTER.get(program, ()):
                table.append(f"{command:8}{program:10}{failure:18}{_play(scene, command, program, failure)}")
                scene.restore()
    print("", *table, sep="\n")
