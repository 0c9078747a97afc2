"""The command `pretrain`, killed again and again at whatever moment: what it leaves is what nothing interrupted."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment.files import sha256_of
from sentiment.runs.pretrained import PretrainedDir, pretrained_dirs
from sentiment.runs.run_dir import Results
from tests.data.made_up import tweets, write_table

CHANGES = ("elmo.model=pretrained/tiny", "pretraining.epochs=12", "pretraining.min_count=1", "pretraining.batch_size=8")
MACHINE = ("pretraining.log_every=1", "runtime.device=cpu", "runtime.threads=1", "runtime.checkpoint.every_steps=5")
KILLS = 4


def _command(table: Path, results: Results) -> list[str]:
    options = [word for change in (*CHANGES, *MACHINE, f"data.source={table}") for word in ("--set", change)]
    run = table.parent / "run.yaml"
    run.write_text("description: a test\n")
    return [sys.executable, "-m", "sentiment", "pretrain", str(run), "--results", str(results.root), *options]


def _rows(results: Results) -> int:
    return sum(len(run_dir.read_metrics()) for run_dir in pretrained_dirs(results))


def _digests(results: Results) -> tuple[PretrainedDir, list[str]]:
    (model,) = pretrained_dirs(results)
    return model, [sha256_of(file) for file in (model.weights_file, model.options_file, model.metrics_file)]


@pytest.mark.slow
def test_a_model_whose_training_is_killed_again_and_again_gets_the_same_bits(tmp_path: Path) -> None:
    table = write_table(tmp_path / "tweets.csv", tweets(150))
    killed, whole = Results(tmp_path / "killed"), Results(tmp_path / "whole")
    for _ in range(KILLS):
        before = _rows(killed)
        with subprocess.Popen(_command(table, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while _rows(killed) < before + 13 and process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.01)
            process.kill()
    for results in (killed, whole):
        subprocess.run(_command(table, results), check=True, capture_output=True)
    (model, digests), (_, wanted) = _digests(killed), _digests(whole)
    assert digests == wanted
    record = model.read_record()
    assert record is not None
    assert [attempt.reason for attempt in record.attempts] == [None] * KILLS + ["completed"]
