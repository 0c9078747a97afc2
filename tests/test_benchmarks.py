"""Benchmarks without real tweets: each says at once what it measures, and on which processor."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from sentiment.training.trainer import hardware_kind
from tests.benchmarks import bench_data


@pytest.fixture(autouse=True)
def _no_real_tweets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_data, "SHARED", tmp_path / "nowhere")


@pytest.mark.parametrize("step", [1, 2, 3, 10])
def test_made_up_tweets_have_both_labels_whichever_of_them_are_taken(step: int) -> None:
    tweets, what = bench_data.some_tweets(400)
    assert {label for label, _ in tweets[::step]} == {"0", "1"}
    assert what == "400 tweets made up by a Zipf law"


def test_what_needs_real_tweets_says_so_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["models", "--tweets", str(tmp_path / "nowhere"), "--results", str(tmp_path / "r")]
    )
    import_module("tests.benchmarks.bench_models").main()
    assert "models: no real tweets at" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()


@pytest.mark.more
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("training", "--batches 1 --repeats 1"),
        ("data", "--tweets 300"),
    ],
)
def test_benchmark_runs_at_its_smallest_size_and_names_the_processor(
    name: str, options: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, *options.split()])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        import_module(f"tests.benchmarks.bench_{name}").main()
    finally:
        torch.set_num_threads(threads)
    first, *others = capsys.readouterr().out.splitlines()
    assert hardware_kind(torch.device("cpu")) in first
    assert len(others) >= 3
