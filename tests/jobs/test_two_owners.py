"""A process that was suspended, and only seemed to be dead, writes nothing when it wakes up behind its successor."""

import fcntl
import os
import shutil
import socket
from collections import Counter
from pathlib import Path

import pytest

from jobs.slurm.resources import Resources
from jobs.submissions import Submission
from jobs.tasks.attempt import Outcome, attempt_run
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.stop import Stop, StopRequest
from tests.jobs.submitted import GRID
from tests.small_runs import digest_of, small_config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locks", "moment", "number"),
    [("local", "a step", 20), ("local", "step-", 3), ("local", "result.json", 1), ("shared", "metrics.jsonl", 2)],
)
def test_process_that_wakes_up_behind_its_successor_writes_nothing_and_ends_well(
    tweets_file: Path,
    shared_results: Results,
    results: Results,
    trained: RunDir,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    locks: str,
    moment: str,
    number: int,
) -> None:
    """It sleeps between two steps, or in the instant before a file gets its name; `local` locks reach no other host."""
    shutil.copytree(shared_results.root / "data", results.root / "data")
    config = small_config(tweets_file, tracking__wandb="disabled")
    run_dir, replace, seen = results.run_dir(config.run_id, GRID), Path.replace, Counter[str]()
    written: dict[Path, bytes] = {}

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run_dir.path.rglob("*") if path.is_file()}

    def live(host: str, life: str, stop: StopRequest) -> Outcome:
        monkeypatch.setenv("SLURM_RESTART_COUNT", life)
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        return attempt_run(config, run_dir, stop, Submission(kind="train", tasks=[[]], resources=Resources()))

    def sleep_at(happens: str) -> None:
        seen[moment] += happens.startswith(moment)
        if seen[moment] == number and not seen["sleeps"]:
            seen["sleeps"] += 1
            assert live("b", "1", StopRequest()) is Outcome.COMPLETED
            written.update(files())

    class Sleeping(StopRequest):
        def reason(self) -> Stop | None:
            sleep_at("a step")
            return None

    monkeypatch.setattr(Path, "replace", lambda self, target: (sleep_at(target.name), replace(self, target))[1])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    if locks == "local":
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert live("a", "0", Sleeping()) is Outcome.COMPLETED
    told = f"superseded by process {os.getpid()} on host b (job 7); nothing more is written here"
    assert told in capsys.readouterr().out
    assert files() == written
    assert digest_of(run_dir) == digest_of(trained)
