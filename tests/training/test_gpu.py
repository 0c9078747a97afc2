"""Training on a CUDA GPU: exact to resume, and mixed precision that learns."""

from typing import Any

import pytest
import torch

from sentiment.predicting.stored import open_run, open_stored
from sentiment.runs.records import StepRow
from tests.conftest import MakeExperiment
from tests.small_runs import MODELS, complete_with_stops, invented_tweets

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")]


@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
def test_run_stopped_on_a_gpu_equals_a_whole_one(experiment: MakeExperiment, changes: dict[str, Any]) -> None:
    expected = experiment(**changes, runtime__device="cuda").complete()
    digest, stops = complete_with_stops(experiment(**changes, runtime__device="cuda"), every=6)
    assert digest == expected
    assert stops >= 6


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_and_resumes_exactly(experiment: MakeExperiment, precision: str) -> None:
    changes = {"runtime__device": "cuda", "training__precision": precision, "model__pooling": "attention"}
    changes |= {"training__epochs": 6}
    uninterrupted = experiment(**changes)
    expected = uninterrupted.complete()
    result = uninterrupted.result
    assert result.metrics["train"].accuracy > 0.7
    assert complete_with_stops(experiment(**changes), every=20)[0] == expected


def test_gpu_predicts_as_the_cpu_does(experiment: MakeExperiment) -> None:
    run = experiment(runtime__device="cpu")
    run.complete()
    texts = [text for _, text in invented_tweets(300, seed=5)]
    gpu, cpu = (
        open_run(run.run_dir.path).model("network", device=torch.device(name)).classify(texts).probabilities
        for name in ("cuda", "cpu")
    )
    assert gpu == pytest.approx(cpu, abs=1e-4)
    said = open_stored(run.run_dir.path).model("network").classify_texts(texts).probabilities
    assert said == pytest.approx(gpu, abs=1e-6)


def test_gpu_and_cpu_learn_alike(experiment: MakeExperiment) -> None:
    plain = {"model__dropout": 0.0, "embedding__token_dropout": 0.0, "training__log_every": 1, "training__epochs": 1}
    curves = []
    for device in ("cpu", "cuda"):
        run = experiment(**plain, runtime__device=device)
        run.complete()
        curves.append([row.loss for row in run.run_dir.read_metrics() if isinstance(row, StepRow)])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
