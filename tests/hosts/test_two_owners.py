"""A run whose process was suspended, or only seemed to be dead, is trained by one process at a time all the same."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sentiment.config_file import load_config
from sentiment.runs.records import Failure, RunRecord
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
from tests.hosts.hosts import Hosts
from tests.limits import limit
from tests.processes import Forked
from tests.small_runs import Digest, digest_of
from tests.training.conftest import run_file as run_file
from tests.training.processes import RunFile

GRID = "grid"

# Trains a run of a grid as a task does. It pauses once: between two steps, or when a file is about to get its name.
TRAIN = """
import sys
from pathlib import Path
from jobs.tasks import attempt
from sentiment.config import TrackingConfig
from sentiment.config_file import load_config
from sentiment.runs.run_dir import Results
from sentiment.training.stop import StopRequest

config, results, moment = load_config(Path(sys.argv[1])), Results(Path(sys.argv[2])), sys.argv[3]
config = config.model_copy(update={"tracking": TrackingConfig(wandb="disabled")})
to_go = [60]

def pause(here):
    to_go[0] -= here
    if here and to_go[0] == 0:
        print("paused")
        sys.stdin.readline()

class Pausing(StopRequest):
    def reason(self):
        pause(moment == "a step")
        return super().reason()

def pausing_replace(self, target):
    pause(target.name.startswith(moment))
    return replace(self, target)

if moment not in ("a step", "never"):
    to_go = [{"step-": 12, "metrics.jsonl": 2}.get(moment, 1)]
replace, Path.replace = Path.replace, pausing_replace
with Pausing() as stop:
    sys.exit(attempt.attempt_run(config, results.run_dir(config.run_id, "grid"), stop))
"""


@dataclass(frozen=True)
class Stage:
    """A run, and processes on several hosts that train it."""

    hosts: Hosts
    run_file: RunFile
    results: Results

    @property
    def run_dir(self) -> RunDir:
        return self.results.run_dir(self.run_file.run_id, GRID)

    def start(self, host: str, pause_at: str = "never", restarts: int = 0) -> Forked:
        environ = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(restarts)}
        arguments = (str(self.run_file.path), str(self.results.root), pause_at)
        return self.hosts.start(host, TRAIN, *arguments, environ=environ)

    @contextmanager
    def paused(self, host: str, pause_at: str) -> Iterator[Forked]:
        """A process that has come so far, and waits for a word to go on."""
        process = self.start(host, pause_at)
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line == "paused\n":
                break
        else:
            raise AssertionError("".join(said))
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def uninterrupted(run_file: RunFile, tmp_path_factory: pytest.TempPathFactory) -> Digest:
    """What comes out if nothing happens."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    run_file.share_corpus_with(folder)
    config, results = load_config(run_file.path), Results(folder)
    run_dir = results.run_dir(config.run_id)
    assert run_experiment(RunContext(config, results, run_dir)) is None
    return digest_of(run_dir)


def _end(process: Forked, word: str = "") -> str:
    output, _ = process.communicate(word, timeout=limit())
    return f"{output}exit {process.returncode}\n"


@pytest.fixture
def stage(run_file: RunFile, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    """Prepared tweets, and a run that has not begun."""
    run_file.share_corpus_with(tmp_path)
    return Stage(Hosts(tmp_path, request.param), run_file, Results(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "moment"),
    [("local", "a step"), ("local", "step-"), ("local", "result.json"), ("shared", "metrics.jsonl")],
    indirect=["stage"],
)
def test_suspended_process_that_wakes_up_behind_its_successor_writes_nothing_and_ends_well(
    stage: Stage, moment: str, uninterrupted: Digest
) -> None:
    with stage.paused("a", moment) as first:
        first.send_signal(signal.SIGSTOP)
        second = stage.start("b", restarts=1)
        said = _end(second)
        assert said.endswith(f"{stage.run_file.run_id} is completed\nexit 0\n")
        written = {path: path.read_bytes() for path in stage.run_dir.path.rglob("*") if path.is_file()}
        first.send_signal(signal.SIGCONT)
        said = _end(first, "go on\n")
    assert f"superseded by process {second.pid} on host b (Slurm job 7); nothing more is written here" in said
    assert said.endswith("exit 0\n")
    assert "Traceback" not in said
    assert {path: path.read_bytes() for path in stage.run_dir.path.rglob("*") if path.is_file()} == written
    record = stage.run_dir.read(RunRecord)
    assert record is not None
    assert [(attempt.host, attempt.reason) for attempt in record.attempts] == [("a", None), ("b", "completed")]
    assert digest_of(stage.run_dir) == uninterrupted
    assert stage.run_dir.read(Failure) is None
