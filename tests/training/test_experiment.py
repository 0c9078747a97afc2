"""A run from data to result: what it refuses, what it says, and what it leaves behind."""

from pathlib import Path

import pytest
import torch

from sentiment.errors import CheckpointError, ConfigError, MemoryExhaustedError, RunDirError
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training import experiment as experiment_module
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen, invented_tweets, small_config, write_tweets


def test_completed_run_is_not_taken_for_one_on_data_that_has_changed_since(tmp_path: Path) -> None:
    tweets = write_tweets(tmp_path / "tweets.csv", invented_tweets(900))
    run = Experiment(small_config(tweets, training__epochs=1), Results(tmp_path / "results"), RunDir(tmp_path / "run"))
    run.complete()
    write_tweets(tweets, invented_tweets(900, seed=1))
    with pytest.raises(RunDirError, match=r"was completed with other data than .*tweets\.csv now holds"):
        run.attempt()


def _with_vectors(experiment: MakeExperiment, folder: Path) -> tuple[Experiment, Path]:
    """A run that starts from vectors in a file."""
    vectors = folder / "vectors.txt"
    vectors.write_text("happy " + "0.1 " * 7 + "0.1\nsad " + "0.2 " * 7 + "0.2\n")
    return experiment(embedding__pretrained=str(vectors), training__epochs=2), vectors


def test_neither_a_completed_nor_a_stopped_run_is_taken_for_one_on_vectors_that_were_replaced(
    experiment: MakeExperiment, tmp_path: Path
) -> None:
    run, vectors = _with_vectors(experiment, tmp_path)
    former = vectors.read_text()
    assert run.attempt(StopWhen(lambda question: question == 5)) is not None
    vectors.write_text(former.replace("0.1", "0.3"))
    with pytest.raises(CheckpointError, match=r"the file of pretrained vectors of this run has changed since"):
        run.attempt()
    vectors.write_text(former)
    run.complete()
    run.attempt()
    assert run.said[-1] == "is completed already; nothing to train"
    vectors.write_text(former.replace("0.1", "0.3"))
    with pytest.raises(RunDirError, match=r"was completed with other vectors than .*vectors\.txt now holds"):
        run.attempt()


def test_stop_while_data_are_prepared_leaves_nothing_begun(tmp_path: Path) -> None:
    tweets = write_tweets(tmp_path / "tweets.csv", invented_tweets(900))
    run = Experiment(small_config(tweets, training__epochs=1), Results(tmp_path / "results"), RunDir(tmp_path / "run"))
    stopped = run.attempt(StopWhen(lambda question: True))
    assert stopped is not None
    assert not list((tmp_path / "results").rglob("manifest.json"))
    run.complete()


def test_full_gpu_is_told_and_written_down(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("sentiment.training.trainer.Trainer.train", no_memory)
    run = experiment()
    with pytest.raises(MemoryExhaustedError, match=r"a smaller training\.batch_size"):
        run.attempt()
    record = run.run_dir.read_record()
    assert record is not None
    assert record.attempts[-1].reason == "failed"


def test_baseline_of_a_handful_of_tweets_takes_words_that_occur_once(tmp_path: Path) -> None:
    lines = [(number % 2, f"one{number} two{number} three{number}") for number in range(60)]
    tweets = write_tweets(tmp_path / "tweets.csv", lines)
    changes = {"training__epochs": 1, "data__validation_fraction": 0.3, "data__test_fraction": 0.3}
    run = Experiment(small_config(tweets, **changes), Results(tmp_path / "results"), RunDir(tmp_path / "run"))
    run.complete()
    result = run.run_dir.read_result()
    assert result is not None
    assert result.baseline_settings["min_df"] == 1


@pytest.mark.parametrize("field", ["model__hidden_size", "embedding__size"])
def test_model_that_no_memory_holds_is_refused_with_its_bytes(
    experiment: MakeExperiment, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment_module, "available_ram", lambda: 10**8)
    run = experiment(**{field: 1_000_000})
    with pytest.raises(MemoryExhaustedError, match=r"the model has [\d,]+ weights, which take [\d,]+ bytes, and this"):
        run.attempt()
    with pytest.raises(ConfigError, match="less than or equal to 1000000"):
        experiment(**{field: 1_000_001})
