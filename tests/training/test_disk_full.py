"""A full disk: what was saved stays good, the message names the file, and the run goes on once there is room."""

from pathlib import Path
from typing import Any

import pytest

from sentiment.errors import RunDirError
from sentiment.runs.run_dir import RunDir
from sentiment.training.checkpoint import MetricLog, read_checkpoint
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen, limited_file_size

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


def test_without_room_for_checkpoints_nothing_is_lost_and_nothing_claimed(experiment: MakeExperiment) -> None:
    expected = experiment(**LARGE).complete()
    run = _stopped(experiment)
    before = _checkpoint_steps(run)
    with limited_file_size(ROOM), pytest.raises(RunDirError, match=r"at step \d+ could not be saved: .*ckpt'"):
        run.attempt(StopWhen(lambda asked: asked == 3))
    with limited_file_size(ROOM), pytest.raises(OSError, match=r"File too large: '.*/best.ckpt'"):
        run.attempt()
    assert any("the checkpoint at step 24 could not be saved" in line and "step-" in line for line in run.said)
    assert _checkpoint_steps(run) == before
    assert not run.run_dir.completed
    record = run.record
    assert record.attempts[-1].reason == "failed"
    assert run.complete() == expected


def test_metric_log_catches_up_when_there_is_room_again(tmp_path: Path) -> None:
    said: list[str] = []
    log = MetricLog(RunDir(tmp_path), said.append)
    log.add({"row": 1})
    with limited_file_size(15):
        log.add({"row": 2})
        log.flush()
        log.flush()
        with pytest.raises(OSError, match=r"metrics\.jsonl"):
            log.write()
    assert len(said) == 1
    assert "metrics.jsonl: cannot be written" in said[0]
    assert (tmp_path / "metrics.jsonl").read_text() == '{"row": 1}\n'
    log.flush()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"row": 1}\n{"row": 2}\n'


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
