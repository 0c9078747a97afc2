"""A full disk: what was saved stays good, the message names the file, and the run goes on once there is room."""

import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sentiment.errors import RunDirError
from sentiment.runs.code_version import freeze_code
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.checkpoint import MetricLog, read_checkpoint
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen, limited_file_size
from tests.training.processes import RunFile, train_command

# Checkpoints are larger than this, all other files are smaller.
ROOM = 20_000
LARGE: dict[str, Any] = {"embedding__size": 64, "training__log_every": 50}


def _stopped(experiment: MakeExperiment) -> Experiment:
    run = experiment(**LARGE)
    assert run.attempt(StopWhen(lambda asked: asked == 20)) is not None
    for path in run.run_dir.checkpoints.iterdir():
        assert path.stat().st_size > ROOM
    return run


def _checkpoint_steps(run: Experiment) -> list[int]:
    return [int(read_checkpoint(path)["step"]) for path in sorted(run.run_dir.checkpoints.glob("step-*.ckpt"))]


def test_training_goes_on_without_room_for_checkpoints_but_is_not_completed(experiment: MakeExperiment) -> None:
    expected = experiment(**LARGE).complete()
    run = _stopped(experiment)
    before = _checkpoint_steps(run)
    with limited_file_size(ROOM), pytest.raises(OSError, match=r"File too large: '.*/best.ckpt'"):
        run.attempt()
    assert any("the checkpoint at step 24 could not be saved" in line and "step-" in line for line in run.said)
    assert _checkpoint_steps(run) == before
    assert not run.run_dir.completed
    record = run.run_dir.read_record()
    assert record is not None
    assert record.attempts[-1].reason == "failed"
    assert run.complete() == expected


def test_stop_without_room_for_the_last_checkpoint_does_not_claim_that_all_is_saved(experiment: MakeExperiment) -> None:
    expected = experiment(**LARGE).complete()
    run = _stopped(experiment)
    before = _checkpoint_steps(run)
    with limited_file_size(ROOM), pytest.raises(RunDirError, match=r"at step \d+ could not be saved: .*ckpt'"):
        run.attempt(StopWhen(lambda asked: asked == 3))
    assert _checkpoint_steps(run) == before
    assert run.complete() == expected


def test_metric_log_catches_up_when_there_is_room_again(tmp_path: Path) -> None:
    said: list[str] = []
    log = MetricLog(RunDir(tmp_path), said.append)
    log.restore([])
    log.add({"row": 1})
    with limited_file_size(15):
        log.add({"row": 2})
        log.add({"row": 3})
        with pytest.raises(OSError, match=r"metrics\.jsonl"):
            log.sync()
    assert len(said) == 1
    assert "metrics.jsonl: cannot be written" in said[0]
    log.add({"row": 4})
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(f'{{"row": {n}}}\n' for n in (1, 2, 3, 4))


def test_result_is_not_written_beside_an_incomplete_metric_log(experiment: MakeExperiment) -> None:
    """Otherwise its hash and its epochs would be those of half a log."""
    run = experiment(**LARGE)
    log = run.run_dir.metrics_file

    class NoRoomAtTheEnd(StopWhen):
        def reason(self) -> None:
            if log.exists() and log.stat().st_size and not log.parent.joinpath("moved").exists():
                log.rename(log.parent / "moved")
                log.mkdir()  # nothing can be appended to it or put in its place

    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        run.attempt(NoRoomAtTheEnd(lambda asked: False))
    assert not run.run_dir.completed
    log.rmdir()
    assert run.complete() == experiment(**LARGE).complete()


@pytest.mark.slow
def test_full_disk_is_one_message_on_the_command_line(run_file: RunFile, tmp_path: Path) -> None:
    changes = ("--set", "embedding.size=64", "--set", "training.epochs=1", "--set", "training.log_every=50")
    results = tmp_path / "results"
    command = [*train_command(run_file.path, results), *changes]
    run_file.share_corpus_with(results)
    freeze_code(Results(results))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: [Errno 27] File too large: '")
    assert "best.ckpt" in done.stderr
    assert "could not be saved" in done.stdout
