"""A full disk: what was saved stays good, the message names the file, and the run goes on once there is room."""

from typing import Any

import pytest

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


def test_without_room_for_checkpoints_nothing_is_lost_and_nothing_claimed(experiment: MakeExperiment) -> None:
    expected = experiment(**LARGE).complete()
    run = _stopped(experiment)
    before = {path.name: path.read_bytes() for path in run.run_dir.checkpoints.iterdir()}
    for stop in (StopWhen(lambda asked: asked == 3), None):
        with limited_file_size(ROOM), pytest.raises(OSError, match=r"File too large: '.*/step-.*\.ckpt'"):
            run.attempt(stop)
        assert run.record.attempts[-1].reason == "failed"
    assert {path.name: path.read_bytes() for path in run.run_dir.checkpoints.iterdir()} == before
    assert not run.run_dir.completed
    assert run.complete() == expected


def test_result_is_not_written_beside_an_incomplete_metric_log(experiment: MakeExperiment) -> None:
    """Otherwise its hash and its epochs would be those of half a log."""
    run = experiment(**LARGE)
    log = run.run_dir.metrics_file

    def block(asked: int) -> bool:
        if asked == 20:
            log.unlink()
            log.mkdir()  # nothing can be put in its place
        return False

    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        run.attempt(StopWhen(block))
    assert not run.run_dir.completed
    log.rmdir()
    assert run.complete() == experiment(**LARGE).complete()
