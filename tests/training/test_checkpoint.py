"""Checkpoints: an invalid one is refused, and the newest valid one is resumed from."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentiment.errors import CheckpointError
from sentiment.runs.run_dir import RunDir
from sentiment.training.checkpoint import (
    TrainerState,
    read_checkpoint,
    save_checkpoint,
    valid_checkpoints,
    write_checkpoint,
)
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen, digest_of

STATE: dict[str, Any] = {"step": 7, "model": {"weight": torch.arange(12.0)}, "log": ["a\n"], "best": float("-inf")}

in_one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "it's a.ckpt"
    write_checkpoint(path, STATE)
    return path


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
@in_one_file
def test_checkpoint_with_a_flipped_bit_anywhere_is_refused(checkpoint: Path, place: int, bit: int) -> None:
    whole = checkpoint.read_bytes()
    altered = bytearray(whole)
    altered[place % len(whole)] ^= 1 << bit
    checkpoint.write_bytes(altered)
    try:
        with pytest.raises(CheckpointError):
            read_checkpoint(checkpoint)
    finally:
        checkpoint.write_bytes(whole)


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path, target = tmp_path / "evil.ckpt", tmp_path / "made by the attacker"
    write_checkpoint(path, {"model": _Malicious(target)})
    with pytest.raises(CheckpointError, match="cannot be decoded"):
        read_checkpoint(path)
    assert not target.exists()


def _state(step: int) -> TrainerState:
    state = TrainerState(identity={}, code={}, threads=1, hardware=["cpu"], loss_sum=torch.zeros(()))
    return state.model_copy(update={"step": step, "model": {"weight": torch.zeros(2)}})


def test_newest_two_are_kept_and_displace_damaged_ones_but_not_themselves(tmp_path: Path) -> None:
    """Those behind them come from a past that is redone now: were they kept, the new ones would be deleted."""
    run_dir = RunDir(tmp_path)
    run_dir.checkpoints.mkdir()
    for step in (190, 200):
        (run_dir.checkpoints / f"step-{step:010d}.ckpt").write_bytes(b"torn")
    damaged: list[str] = []
    assert [*valid_checkpoints(run_dir, damaged.append)] == []
    assert len(damaged) == 2
    for step in (9, 10, 100, 101):
        save_checkpoint(run_dir, _state(step))
        newest = next(valid_checkpoints(run_dir, damaged.append))
        assert (newest.step, len(damaged)) == (step, 2)
    assert {path.name for path in run_dir.checkpoints.iterdir()} == {"step-0000000100.ckpt", "step-0000000101.ckpt"}


def _stopped(run: Experiment, question: int = 20) -> list[Path]:
    """Train until then; the checkpoints that are there, newest last."""
    assert run.attempt(StopWhen(lambda asked: asked == question)) is not None
    paths = sorted(run.run_dir.checkpoints.glob("step-*.ckpt"))
    assert len(paths) == 2
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [1, 2])
def test_run_goes_on_before_damaged_checkpoints(experiment: MakeExperiment, trained: RunDir, damaged: int) -> None:
    run = experiment()
    older, newest = _stopped(run)
    for path in (newest, older)[:damaged]:
        os.truncate(path, path.stat().st_size // 2)
    log = run.run_dir.metrics_file
    log.unlink() if damaged == 1 else log.write_bytes(log.read_bytes() * 2)
    assert run.complete() == digest_of(trained)
    told = [line for line in run.said if "resuming from" in line]
    assert len(told) == damaged
    assert newest.name in told[0]
    step = int(older.stem.removeprefix("step-"))
    assert any(line.startswith(f"resuming after step {step} ") for line in run.said) is (damaged == 1)


def test_completed_run_keeps_no_checkpoint_to_resume_from(experiment: MakeExperiment) -> None:
    run = experiment(training__epochs=2)
    newest = _stopped(run)[-1]
    content = newest.read_bytes()
    for _ in range(2):
        run.complete()
        assert sorted(path.name for path in run.run_dir.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]
        newest.write_bytes(content)  # as if the process had been killed before it could delete this one


def test_checkpoint_of_another_configuration_is_refused(experiment: MakeExperiment) -> None:
    run, other = experiment(), experiment(seed=5)
    older, newest = _stopped(other)
    older.unlink()
    _stopped(run, 9)
    newest.replace(run.run_dir.checkpoints / newest.name)
    with pytest.raises(CheckpointError, match="config of this run changed"):
        run.complete()
