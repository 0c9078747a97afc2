"""A run from data to result: what it refuses, what it says, and what it leaves behind."""

from pathlib import Path

import pytest
import torch

from sentiment.console import silent
from sentiment.errors import CheckpointError, ConfigError, MemoryExhaustedError, RunDirError
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import prepare_data
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen, invented_tweets, small_config, write_tweets


def test_neither_a_completed_nor_a_stopped_run_is_taken_for_one_on_tweets_or_vectors_that_were_replaced(
    experiment: MakeExperiment, tmp_path: Path
) -> None:
    tweets, others = (
        write_tweets(tmp_path / f"{name}.csv", invented_tweets(400, seed)) for seed, name in enumerate("ab")
    )
    vectors, turned = tmp_path / "vectors.txt", tmp_path / "turned.txt"
    vectors.write_text("happy " + "0.1 " * 7 + "0.1\nsad " + "0.2 " * 7 + "0.2\n")
    turned.write_text(vectors.read_text().replace("0.1", "0.3"))
    run = experiment(data__source=str(tweets), embedding__pretrained=str(vectors), training__epochs=2)
    prepare_data(run.config, run.results, silent)
    assert run.attempt(StopWhen(lambda question: question == 5)) is not None
    for error, of_tweets, of_vectors in (
        (
            CheckpointError,
            "the data of this run has changed .*move .* away",
            "the file of pretrained vectors of this run",
        ),
        (RunDirError, r"with other data than .*a\.csv now holds", r"with other vectors than .*vectors\.txt now holds"),
    ):
        for file, other, message in ((tweets, others, of_tweets), (vectors, turned, of_vectors)):
            former = file.read_bytes()
            file.write_bytes(other.read_bytes())
            with pytest.raises(error, match=message):
                run.attempt()
            file.write_bytes(former)
        run.complete()
    tweets.unlink()
    vectors.unlink()
    run.complete()  # which needs neither any more
    assert run.said[-1] == "is completed already; nothing to train"


def test_stop_while_data_are_prepared_leaves_nothing_begun(tmp_path: Path) -> None:
    tweets = write_tweets(tmp_path / "tweets.csv", invented_tweets(900))
    run = Experiment(small_config(tweets, training__epochs=1), Results(tmp_path / "results"), RunDir(tmp_path / "run"))
    stopped = run.attempt(StopWhen(lambda question: True))
    assert stopped is not None
    assert not list((tmp_path / "results").rglob("manifest.json"))
    run.complete()


def test_a_second_ctrl_c_is_written_down(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sentiment.training.trainer.Trainer.train", interrupted)
    run = experiment()
    with pytest.raises(KeyboardInterrupt):
        run.attempt()
    assert (run.record.attempts[-1].reason, run.record.attempts[-1].detail) == ("signal", "SIGINT, at once")


def test_full_gpu_is_told_and_written_down(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("sentiment.training.trainer.Trainer.train", no_memory)
    run = experiment()
    with pytest.raises(MemoryExhaustedError, match=r"a smaller training\.batch_size"):
        run.attempt()
    record = run.record
    assert record.attempts[-1].reason == "failed"


def test_baseline_of_a_handful_of_tweets_takes_words_that_occur_once(tmp_path: Path) -> None:
    lines = [(number % 2, f"one{number} two{number} three{number}") for number in range(60)]
    tweets = write_tweets(tmp_path / "tweets.csv", lines)
    changes = {"training__epochs": 1, "data__validation_fraction": 0.3, "data__test_fraction": 0.3}
    run = Experiment(small_config(tweets, **changes), Results(tmp_path / "results"), RunDir(tmp_path / "run"))
    run.complete()
    result = run.result
    assert result.baseline_settings["min_df"] == 1


@pytest.mark.parametrize("field", ["model__hidden_size", "embedding__size"])
def test_model_that_no_memory_holds_is_refused_with_its_bytes(
    experiment: MakeExperiment, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sysconf", lambda _name: 10**4)
    run = experiment(**{field: 1_000_000})
    with pytest.raises(MemoryExhaustedError, match=r"the model has [\d,]+ weights, which take [\d,]+ bytes, and this"):
        run.attempt()
    with pytest.raises(ConfigError, match="less than or equal to 1000000"):
        experiment(**{field: 1_000_001})
