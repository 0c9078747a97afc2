"""A Slurm of shell scripts, whose commands fail in any way that a test wants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.status.grid_state import read_status
from jobs.status.names import read_plan
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.runs.run_dir import Results, RunDir
from tests.commands import invoke
from tests.jobs.grid_files import write_grid, write_yaml

# Fields of a job are separated by this in the file; squeue is told how to separate them.
_MARK = "@"
_HEADER = "@ARRAY_JOB_ID@ARRAY_TASK_ID@STATE@REASON@NAME@"

# Each program logs its order, fails if the test says so, and else answers; `alter` is what becomes of the answer.
_PROGRAM = """#!/bin/sh
cd '{folder}' || exit 99
file=; for word; do file=$word; done
echo "{name} $*" >> orders
alter=cat
answer() {{
{answer}
}}
[ -e 'fail-{name}' ] && . './fail-{name}'
answer "$@" > answer.$$
code=$?
eval "$alter" < answer.$$ && exit $code
"""

_ANSWERS = {
    "squeue": """
for word; do case $word in --format=*) mark=${word#--format=}; mark=${mark%%%*};; esac; done
sed "s/@/$mark/g" header jobs""",
    "sbatch": """
name=$(sed -n 's/^#SBATCH --job-name=//p' "$file"); last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$file")
number=$(($(cat number) + 1)); echo $number > number
for task in $([ -n "$last" ] && seq 0 "$last" || echo N/A); do
    echo "@$number@$task@PENDING@None@$name@" >> jobs
done
echo "Submitted batch job $number" """,
    "scontrol": """
case $* in
    "show config") echo 'ClusterName = test';;
    "--oneliner show job")
        sed -n "s/^@\\([^@]*\\)@[^@]*@\\([A-Z_]*\\)@.*@\\([^@]*\\)@$/JobId=\\1 JobName=\\3 JobState=\\2/p" jobs |
            grep . && return
        echo 'No jobs in the system';;
    "--oneliner show job "*)
        sed -n "s/^@$4@[^@]*@\\([A-Z_]*\\)@.*@\\([^@]*\\)@$/JobId=$4 JobName=\\2 JobState=\\1/p" jobs | grep . && return
        echo 'slurm_load_jobs error: Invalid job id specified' >&2; return 1;;
esac""",
    "scancel": """
for job; do sed -i "s/^@${job%_*}@\\(${job#*_}\\|[^@]*\\)@[A-Z]*@/@${job%_*}@\\1@CANCELLED@/" jobs; done""",
    "sinfo": "echo 'main*|16384|4:00:00'",
}


@dataclass(frozen=True)
class FakeSlurm:
    """The folder of the programs, which is on the PATH; the results of its user, and the file of their base run."""

    folder: Path
    results: Results
    base: Path

    def add(self, name: str, job_id: str, task: int | None, state: str, reason: str = "None") -> None:
        fields = (job_id, "N/A" if task is None else str(task), state, reason, name)
        with open(self.folder / "jobs", "a", encoding="utf-8") as jobs:
            jobs.write(_MARK + "".join(field + _MARK for field in fields) + "\n")

    def change(self, former: str, new: str) -> None:
        """Change a part of the lines of jobs, such as `@PENDING@`."""
        jobs = self.folder / "jobs"
        jobs.write_text(jobs.read_text(encoding="utf-8").replace(former, new), encoding="utf-8")

    def set_task(self, number: int, state: str, reason: str = "None") -> None:
        """Give a task that trains another state."""
        job = self.training.job_id
        self.change(f"@{job}@{number}@PENDING@None@", f"@{job}@{number}@{state}@{reason}@")

    def forget(self) -> None:
        (self.folder / "jobs").write_text("", encoding="utf-8")

    def fail(self, program: str, how: str) -> None:
        """Let a program do something before it answers, in the language of the shell."""
        (self.folder / f"fail-{program}").write_text(how + "\n", encoding="utf-8")

    def heal(self) -> None:
        for file in self.folder.glob("fail-*"):
            file.unlink()

    def call(self, command: str, *arguments: object) -> tuple[int, str]:
        """The exit code and the output of a command, whose hints must name the results folder."""
        if command in ("submit", "rerun"):
            resources = {"defaults": {"gpus": 0, "memory_gb": 12}}
            arguments += ("--cluster", write_yaml(self.base.with_name("cluster.yaml"), resources))
        done = invoke(command, *arguments, "--results", self.results.root)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        commands = re.findall("`(sentiment [^`]*)`", " ".join(done.output.split()))
        assert all(command.endswith(f" --results {self.results.root}") for command in commands)
        return done.exit_code, done.output

    def told(self, exit_code: int, command: str, *arguments: object) -> str:
        """The output of a command that ends with this exit code."""
        code, output = self.call(command, *arguments)
        assert code == exit_code, output
        return output

    def write_grid(self, parameters: Mapping[str, Any], **changes: Any) -> Path:
        return write_grid(self.base, parameters, **changes)

    def submit(self, parameters: Mapping[str, Any], **changes: Any) -> Path:
        """Write a grid file and submit it."""
        grid = self.write_grid(parameters, **changes)
        assert self.call("submit", grid)[0] == 0
        return grid

    @property
    def orders(self) -> list[str]:
        file = self.folder / "orders"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    @property
    def states(self) -> list[str]:
        """The states of the runs of the only grid."""
        (grid,) = read_status(self.results)
        return [row.state for row in grid.rows]

    @property
    def training(self) -> SubmissionDir:
        """The first job that trains runs."""
        return next(folder for folder in read_submissions(self.results) if folder.run_ids)

    @property
    def runs(self) -> list[RunDir]:
        """The runs of the only grid."""
        plan = read_plan(self.results, "some")
        return [self.results.run_dir(run.run_id, "some") for run in plan.runs]

    @property
    def tasks(self) -> dict[str, int]:
        """How many tasks of the queue each run has that wait or run."""
        folders = {folder.name: folder for folder in read_submissions(self.results)}
        found: dict[str, int] = {}
        for line in (self.folder / "jobs").read_text(encoding="utf-8", errors="replace").splitlines():
            _, *fields = line.split(_MARK)
            if len(fields) == 6 and fields[4] in folders and fields[2] in ("PENDING", "RUNNING"):
                for run_id in folders[fields[4]].tasks[int(fields[1]) if fields[1].isdecimal() else 0]:
                    found[run_id] = found.get(run_id, 0) + 1
        return found


@pytest.fixture
def slurm(tmp_path: Path, results: Results, base: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, answer in _ANSWERS.items():
        program = folder / name
        program.write_text(_PROGRAM.format(folder=folder, name=name, answer=answer), encoding="utf-8")
        program.chmod(0o755)
    for name, content in (("header", f"{_HEADER}\n"), ("jobs", ""), ("number", "100")):
        (folder / name).write_text(content, encoding="utf-8")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("jobs.slurm.commands._RESTART_SECONDS", 0.0)
    for module in ("advance", "backends"):  # no task starts
        monkeypatch.setattr(f"jobs.launch.{module}.freeze_code", lambda _results: "a snapshot")
    return FakeSlurm(folder, results, base)
