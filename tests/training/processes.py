"""The real training process: how it is started, watched, and asked for what came out."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sentiment.files import sha256_of
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.checkpoint import read_weights, weights_sha256
from tests.limits import limit
from tests.processes import Forked, start_python


@dataclass(frozen=True)
class RunFile:
    path: Path
    run_id: str
    prepared: Results

    def share_corpus_with(self, results: Path) -> None:
        shutil.copytree(self.prepared.root / "data", results / "data")

    def run_dir(self, results: Path) -> RunDir:
        return Results(results).run_dir(self.run_id)


def start(config: Path, results: Path) -> Forked:
    return start_python("-m", "sentiment", "train", config, "--results", results)


def digest(run_dir: RunDir) -> list[str]:
    """The SHA-256 of the best weights, the last weights and the metric log."""
    weights = [weights_sha256(read_weights(file)) for file in (run_dir.best_weights, run_dir.last_weights)]
    return [*weights, sha256_of(run_dir.metrics_file)]


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> bool:
    deadline = time.monotonic() + limit()
    while process.poll() is None:
        if condition():
            return True
        if time.monotonic() > deadline:
            process.kill()
            output, _ = process.communicate()
            raise AssertionError(f"nothing happened for {limit():.0f} s; it said:\n{output}")
        time.sleep(0.0005)
    return False
