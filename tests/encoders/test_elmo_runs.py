"""Runs that read ELMo's vectors: exact to resume, the same from memory and disk, and refused where they must be."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sentiment.console import Console, silent
from sentiment.encoders.cache import VectorCache
from sentiment.errors import EncoderError
from sentiment.runs.run_dir import Results
from sentiment.training import encoding
from sentiment.training.experiment import run_encoding
from sentiment.training.stop import StopRequest
from tests.conftest import MakeExperiment
from tests.encoders.tweets import Model
from tests.small_runs import Experiment, StopWhen, run_in, small_config, write_tweets

FEW: dict[str, Any] = {"data__train_rows": 200, "training__epochs": 2, "training__batch_size": 20}
ELMO = FEW | {"data__text__lowercase": False}


@pytest.fixture
def elmo_run(experiment: MakeExperiment, tiny: Model) -> MakeExperiment:
    return lambda **changes: experiment(elmo__model=str(tiny.options.parent), **(ELMO | changes))


def _own_results(tweets_file: Path, root: Path, model: str, **changes: Any) -> Experiment:
    return run_in(root, small_config(tweets_file, elmo__model=model, **(ELMO | changes)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"elmo__layers": "top", "elmo__combine": "alone", "elmo__dropout": 0.2},
        pytest.param({"elmo__backend": "allennlp"}, marks=pytest.mark.more),
    ],
    ids=["mix beside", "top alone", "allennlp"],
)
def test_resumed_run_equals_an_uninterrupted_one(elmo_run: MakeExperiment, changes: dict[str, Any]) -> None:
    expected = elmo_run(**changes).complete()
    cut = elmo_run(**changes)
    for stop in (StopWhen(lambda asked: asked >= 10), StopWhen(_in_validation()), StopWhen(lambda asked: asked >= 10)):
        assert cut.attempt(stop) is not None
    assert cut.complete() == expected


def _in_validation() -> Callable[[int], bool]:
    """Between the two parts of an evaluation: training tweets were scored, and have left their state."""
    evaluations = itertools.count(1)
    return lambda asked: torch.is_inference_mode_enabled() and next(evaluations) == 2


@pytest.mark.parametrize("lowercase", [True, False])
def test_small_letters_for_elmo_are_told(elmo_run: MakeExperiment, lowercase: bool) -> None:
    """It knows words in their own case, and configurations that do not say otherwise make all letters small."""
    run = elmo_run(data__text__lowercase=lowercase)
    assert run.attempt(
        StopWhen(lambda _: any("ELMo" in line for line in run.said) or run.run_dir.metrics_file.exists())
    )
    assert any("data.text.lowercase=false" in line for line in run.said) is lowercase


@pytest.mark.slow
def test_run_is_the_same_from_memory_and_from_disk(elmo_run: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    from_disk = elmo_run(training__learning_rate=0.05)
    expected = from_disk.complete()
    assert any("are read from disk" in line for line in from_disk.said)
    assert from_disk.result.encoder == from_disk.record.encoder.model_copy(update={"cache": None})
    assert sum(from_disk.result.mixture) == pytest.approx(1)
    assert from_disk.result.mixture != pytest.approx([1 / 3] * 3, abs=1e-4)
    moved = elmo_run(training__learning_rate=0.05)
    moved.attempt(StopWhen(lambda asked: asked >= 20))
    monkeypatch.setattr(encoding, "choose_storage", lambda needed, device: "GPU memory")  # the CPU stands in for it
    assert moved.complete() == expected
    assert any("are read from GPU memory" in line for line in moved.said)


def test_missing_weights_are_refused_before_anything_is_made(tweets_file: Path, tmp_path: Path) -> None:
    run = _own_results(tweets_file, tmp_path, "small")
    with pytest.raises(EncoderError, match=r"'small' is not here: .* `sentiment prepare elmo small --results"):
        run.attempt()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_runs_encode_once_for_all_of_them(
    tweets_file: Path, tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(tiny.options.parent)
    runs = [_own_results(tweets_file, tmp_path, model, elmo__layers=layers) for layers in ("first", "mix", "top")]
    unusable = _own_results(write_tweets(tmp_path / "bad.csv", []), tmp_path, model)
    said: list[str] = []
    console = Console(said.append, silent)
    assert run_encoding([run.config for run in (unusable, *runs)], Results(tmp_path), StopRequest(), console) is None
    failing, complete = said
    assert "bad.csv will fail: " in failing
    assert "vectors of token, first, top are complete" in complete
    monkeypatch.setattr(VectorCache, "fill", lambda *_: pytest.fail("encoded again"))
    for run in runs:
        run.complete()
        assert (run.result.mixture is None) == (run.config.elmo.layers != "mix")
