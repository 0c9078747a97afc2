"""Where a scenario plays: a results folder of its own, grids of real trainings, and the commands that a user types.

Scenarios wait rather than work: all of them play at the same time, on the same cluster.
"""

import json
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jobs.grid_jobs import GridJobs
from jobs.status.grid_state import RunStatus, read_status
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.config import RunConfig
from sentiment.runs.records import Attempt, RunRecord
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext, StopRequest
from tests.jobs.grid_files import write_grid, write_yaml
from tests.limits import limit
from tests.processes import FORKING, Forked, start_python
from tests.slurm.cluster import Cluster, build_local_locks, processes
from tests.small_runs import Digest, digest_of

_NEVER: dict[str, None] = {"patience": None}
# Some seconds on one thread, with a row in the metric log at each step, by which moments are found.
BASE: dict[str, Any] = {
    "data": {"source": "sample"},
    "embedding": {"size": 16},
    "model": {"hidden_size": 16, "dropout": 0.1},
    "training": {"batch_size": 64, "learning_rate": 0.005, "epochs": 40, "log_every": 1, "early_stopping": _NEVER},
    "tracking": {"wandb": "disabled"},
    "runtime": {"device": "cpu", "threads": 1, "checkpoint": {"every_steps": 40}},
}
ENDLESS = {"training__epochs": [100_000]}
SHORT = {"training__epochs": [2]}
DIVERGES = 10**38  # as a learning rate

_FORKING = f"export PYTHONPATH={FORKING}:$PYTHONPATH"
_RESOURCES = {"partition": "main", "time_minutes": 10, "memory_gb": 1.5, "gpus": 1, "cpus": 1}


Scenario = Callable[["Stage"], None]
_OF_TEST = "scenario"


def scenario(play: Scenario) -> Callable[..., None]:
    """Make a test of what happens on a stage. It must not use fixtures: it runs in a thread beside the others."""

    @pytest.mark.slurm
    def test(played: Callable[[Scenario], None]) -> None:
        played(play)

    test.__name__, test.__doc__, test.__module__ = play.__name__, play.__doc__, play.__module__
    setattr(test, _OF_TEST, play)
    return test


def scenario_of(item: pytest.Item) -> Scenario | None:
    """What a collected test plays; None for one of another kind."""
    return getattr(getattr(item, "function", None), _OF_TEST, None)


@dataclass
class Stage:
    """Its folder is empty but for prepared tweets."""

    cluster: Cluster
    folder: Path
    prepared: "Prepared"
    name: str = "grid"
    # Whether report jobs run, which takes long beside other scenarios; else they are held.
    reports: bool = False
    # What is in the shell besides.
    environ: dict[str, str] = field(default_factory=dict)
    # Whether tasks are forked, which saves most of their work. One that is measured must be real.
    forked: bool = True
    # Whether locks of files do not pass between nodes (nor to this machine); then tasks are not forked.
    local_locks: bool = False
    # Further keys of the grid's file.
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        shutil.copytree(self.prepared.results.root / "data", self.results.root / "data")
        self.write_cluster()

    @property
    def results(self) -> Results:
        return Results(self.folder / "results")

    def write_cluster(self, **changes: Any) -> None:
        report: dict[str, Any] = {"gpus": 0, "cpus": 1, "memory_gb": 1.0, "time_minutes": 10}
        report |= {} if self.reports else {"sbatch": {"hold": True}}
        if self.local_locks:
            library = build_local_locks(self.folder)
            if library is None:
                pytest.skip("not installed: a C compiler (Debian: gcc libc6-dev)")
            changes["setup"] = [f"export LD_PRELOAD={library}"]
        elif self.forked:
            changes["setup"] = [_FORKING]
        write_yaml(self.folder / "cluster.yaml", {"defaults": _RESOURCES | changes, "report": report})

    def write_grid(self, **parameters: Sequence[Any]) -> None:
        values = {name.replace("__", "."): [*values] for name, values in parameters.items()}
        write_grid(write_yaml(self.folder / "base.yaml", BASE), values, self.name, **self.more)

    def run(self, *arguments: str, expect: int | None = 0) -> str:
        done = self.start(*arguments)
        output, _ = done.communicate(timeout=limit())
        assert expect is None or done.returncode == expect, f"{arguments} ended with {done.returncode}:\n{output}"
        return output

    def start(self, *arguments: str) -> Forked:
        words = ("-m", "jobs", *arguments, "--results", self.results.root)
        return start_python(*words, environ=self.cluster.environ | self.environ, cwd=self.folder)

    def submit(self, *arguments: str, expect: int | None = 0) -> str:
        return self.run("submit", f"{self.name}.yaml", "--cluster", "cluster.yaml", *arguments, expect=expect)

    def cancel(self, *names: str) -> str:
        """Repeated while a final job has the grid, as the command says."""
        output = ""

        def is_done() -> bool:
            nonlocal output
            output = self.run("cancel", *(names or [self.name]), expect=None)
            return "repeat the command in a minute" not in output

        self.wait(is_done, f"the turn to cancel {names or self.name}")
        assert "cancelled" in output, output
        assert "UNKNOWN" not in output, output
        return output

    def rerun(self, *arguments: str) -> str:
        return self.run("rerun", *arguments, "--cluster", "cluster.yaml")

    def states(self) -> dict[str, str]:
        return {row.run_id: row.state for row in self.rows()}

    def rows(self) -> list[RunStatus]:
        """What `status` shows; read in this process, since many ask for it again and again."""
        (grid,) = read_status(self.results, [self.name])
        return grid.rows

    def told_states(self) -> set[str]:
        """The states that the command tells, which finds other programs of Slurm than this process."""
        (grid,) = json.loads(self.run("status", self.name, "--json", expect=None))
        return {row["state"] for row in grid["rows"]}

    @property
    def runs(self) -> list["StagedRun"]:
        plan = self.results.read_grid(self.name)
        assert plan is not None
        return [StagedRun(self, self.results.run_dir(run.run_id, self.name)) for run in plan.runs]

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 300.0, pause: float = 0.1) -> None:
        self.cluster.wait(condition, what, seconds, pause)

    def wait_for_states(self, *states: str) -> None:
        self.wait(lambda: {*self.states().values()} == {*states}, f"{states} in {self.folder}")

    def wait_completed(self, runs: Sequence["StagedRun"]) -> None:
        def completed() -> bool:
            return all(run.dir.completed and run.attempts[-1].reason == "completed" for run in runs)

        self.wait(completed, f"results in {self.folder}")


@dataclass(frozen=True)
class StagedRun:
    """A run of a grid on a stage."""

    stage: Stage
    dir: RunDir

    @property
    def run_id(self) -> str:
        return self.dir.path.name

    @property
    def task(self) -> tuple[SubmissionDir, int]:
        """That has it or, until it has begun, begins with it."""
        jobs, attempts = GridJobs(read_submissions(self.stage.results, self.stage.name), ()), self.attempts
        task = jobs.task_of(self.run_id, attempts[-1] if attempts else None)
        assert task is not None
        return task

    @property
    def job(self) -> str:
        folder, task = self.task
        return folder.task_address(task)

    @property
    def log(self) -> str:
        folder, task = self.task
        file = folder.log_file(task)
        return file.read_text() if file else ""

    @property
    def step(self) -> int:
        rows = self.dir.read_metrics()
        return rows[-1].step if rows else 0

    @property
    def attempts(self) -> list[Attempt]:
        record = self.dir.read(RunRecord)
        return record.attempts if record else []

    def asked(self, what: str) -> str:
        """What squeue says of its task, by squeue's letter; nothing if it has forgotten it."""
        squeue = ("squeue", "-h", "-t", "all", "-o", what, "-j", self.job)
        return self.stage.cluster.run(*squeue, check=False).stdout.strip()

    def wait_for_step(self, step: int) -> None:
        self.stage.wait(lambda: self.step >= step, f"step {step} of {self.dir.path}", pause=0.002)  # it goes on

    def wait_for_attempt(self, number: int) -> None:
        self.stage.wait(lambda: len(self.attempts) >= number, f"attempt {number} of {self.dir.path}")

    def send(self, name: str) -> None:
        # A task that obeys at once has ended before scancel is told of it, which scancel calls a failure.
        self.stage.cluster.run("scancel", f"--signal={name}", self.job, check=False)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal its process, past Slurm; by default as the kernel does for want of memory: no handler, no word."""
        array, _, task = self.job.partition("_")
        environ = {"SLURM_CONF": self.stage.cluster.environ["SLURM_CONF"]}
        environ |= {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": task}
        for process in processes():
            if process.name.startswith("python") and environ.items() <= process.environ.items():
                process.signal(number)

    def matches_uninterrupted(self) -> bool:
        return digest_of(self.dir) == self.stage.prepared.digest(self.dir.read_config())


@dataclass
class Prepared:
    """Prepared tweets, and what comes out of uninterrupted runs; made when first asked for."""

    results: Results
    _digests: dict[str, Digest] = field(default_factory=dict)
    _lock: ClassVar[threading.Lock] = threading.Lock()  # torch's threads and random numbers are the process's own

    def digest(self, config: RunConfig) -> Digest:
        """Of an uninterrupted run."""
        with self._lock:
            if config.run_id not in self._digests:
                run_dir = self.results.run_dir(config.run_id)
                assert run_experiment(RunContext(config, self.results, run_dir)) is None
                self._digests[config.run_id] = digest_of(run_dir)
            return self._digests[config.run_id]

    def loss(self, config: RunConfig, epochs: int) -> float:
        """Of validation, after so many epochs of an uninterrupted run, which need not go further."""
        run_dir, stop = self.results.run_dir(config.run_id), StopRequest()
        with self._lock:
            if config.run_id not in self._digests:
                run_dir, stop.pause_after = self.results.run_dir(config.run_id, f"to-{epochs}"), epochs
                if not run_dir.path.exists():
                    run_experiment(RunContext(config, self.results, run_dir, stop))
        row = next(row for row in run_dir.read_epochs()[0] if row.epoch == epochs)
        return row.validation.loss
