"""A run whose process was suspended, or only seemed to be dead, is trained by one process at a time all the same."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sentiment.config import RunConfig
from sentiment.config_file import load_config
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results, RunDir
from tests.limits import limit
from tests.processes import Forked, start_python
from tests.small_runs import Experiment, digest_of
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
    """A run, and processes on several hosts that train it; flock reaches all ("shared"), or those on one ("local")."""

    config: RunConfig
    run_file: Path
    results: Results
    reach: str

    @property
    def run_dir(self) -> RunDir:
        return self.results.run_dir(self.config.run_id, GRID)

    def start(self, host: str, pause_at: str = "never", restarts: int = 0) -> Forked:
        pretended = {"HOST_NAME": host, "HOST_LOCKS": self.reach, "HOST_FOLDER": str(self.results.root)}
        environ = os.environ | pretended | {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(restarts)}
        begin = f"import runpy; runpy.run_path({str(Path(__file__).with_name('pretended.py'))!r})\n"
        arguments = (str(self.run_file), str(self.results.root), pause_at)
        return start_python("-u", "-c", begin + TRAIN, *arguments, environ=environ, stdin=subprocess.PIPE)

    @contextmanager
    def paused(self, host: str, pause_at: str) -> Iterator[Forked]:
        """A process that has come so far, and waits for a word to go on."""
        process = self.start(host, pause_at)
        assert process.stdout is not None
        said = [process.stdout.readline()]
        while said[-1] not in ("paused\n", ""):
            said.append(process.stdout.readline())
        try:
            assert said[-1], said
            yield process
        finally:
            process.kill()
            process.communicate()

    def written(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.run_dir.path.rglob("*") if path.is_file()}


def _end(process: Forked, word: str = "") -> str:
    output, _ = process.communicate(word, timeout=limit())
    return f"{output}exit {process.returncode}\n"


@pytest.fixture
def stage(run_file: RunFile, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    """Prepared tweets, and a run that has not begun."""
    run_file.share_corpus_with(tmp_path)
    return Stage(load_config(run_file.path), run_file.path, Results(tmp_path), request.param)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "moment"),
    [("local", "a step"), ("local", "step-"), ("local", "result.json"), ("shared", "metrics.jsonl")],
    indirect=["stage"],
)
def test_suspended_process_that_wakes_up_behind_its_successor_writes_nothing_and_ends_well(
    stage: Stage, moment: str
) -> None:
    with stage.paused("a", moment) as first:  # in the instant before a file gets its name, say
        first.send_signal(signal.SIGSTOP)
        second = stage.start("b", restarts=1)
        assert _end(second).endswith(f"{stage.config.run_id} is completed\nexit 0\n")
        written = stage.written()
        first.send_signal(signal.SIGCONT)
        said = _end(first, "go on\n")
    assert f"superseded by process {second.pid} on host b (Slurm job 7); nothing more is written here" in said
    assert (said.endswith("exit 0\n"), "Traceback" in said) == (True, False)
    assert stage.written() == written
    record = stage.run_dir.read(RunRecord)
    assert record is not None
    assert [(attempt.host, attempt.reason) for attempt in record.attempts] == [("a", None), ("b", "completed")]
    uninterrupted = Experiment(stage.config, stage.results, stage.results.run_dir(stage.config.run_id))
    assert digest_of(stage.run_dir) == uninterrupted.complete()
