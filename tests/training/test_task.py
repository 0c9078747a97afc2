"""What is trained: the metrics of a classifier against worked examples and formulas, and what each tweet counts."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sentiment.config_file import resolve
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.vocabulary import Vocabulary
from sentiment.inference.stored import open_model
from sentiment.metrics import measure
from sentiment.models.classifier import build_classifier
from sentiment.runs.run_dir import Results
from sentiment.training.task import ClassifierTask, judge_overfit
from tests.conftest import MakeExperiment
from tests.small_runs import SMALL_RUN


def test_scores_of_a_small_example_are_those_worked_out_by_hand() -> None:
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    probabilities = np.array([0.9, 0.8, 0.5, 0.4, 0.6, 0.1, 0.2, 0.3, 0.4, 0.49])
    metrics = measure(labels, probabilities)
    # at least 0.5: four, of which three are positive; one positive is missed
    assert metrics.n == 10
    assert metrics.accuracy == 0.8
    assert metrics.precision == 0.75
    assert metrics.recall == 0.75
    assert metrics.f1 == pytest.approx(0.75)
    right = [0.9, 0.8, 0.5, 0.4, 1 - 0.6, 1 - 0.1, 1 - 0.2, 1 - 0.3, 1 - 0.4, 1 - 0.49]
    assert metrics.loss == pytest.approx(-sum(map(math.log, right)) / 10)
    wrong = measure(np.array([1, 0, 1]), np.array([0.0, 1.0, 0.0]))  # and sure of it
    assert (wrong.accuracy, wrong.precision, wrong.recall, wrong.f1, wrong.accuracy_low) == (0, 0, 0, 0, 0)
    assert math.isfinite(wrong.loss)
    assert measure(np.array([0, 0]), np.array([0.1, 0.2])).f1 == 0


def test_interval_is_wilsons() -> None:
    metrics = measure(np.array([1] * 8 + [0] * 2), np.full(10, 0.9))
    z, n, p = 1.959963984540054, 10, 0.8
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert metrics.accuracy_low == pytest.approx(middle - half)
    assert metrics.accuracy_high == pytest.approx(middle + half)


def test_overfit_is_a_gap_larger_than_allowed() -> None:
    assert not judge_overfit(0.54, 0.5).overfits
    verdict = judge_overfit(0.90, 0.80)
    assert verdict.overfits
    assert verdict.gap == pytest.approx(0.1)
    assert verdict.rule == "training accuracy exceeds validation accuracy by more than 0.05 at the best epoch"
    assert not judge_overfit(0.70, 0.80).overfits


@pytest.fixture(scope="module")
def corpus(tweets_file: Path, shared_results: Results) -> Corpus:
    return prepare_corpus(resolve({}, {"data.source": str(tweets_file)}, "a test").data, shared_results)


def _task(corpus: Corpus, weights: np.ndarray) -> ClassifierTask:
    config = resolve(SMALL_RUN, {}, "a test")
    corpus = replace(corpus, weights=weights.astype(np.float32))
    vocabulary = Vocabulary.build(corpus, config.data.vocabulary)
    torch.manual_seed(0)
    model = build_classifier(config, len(vocabulary)).eval()
    return ClassifierTask(config, model, corpus, vocabulary, None, torch.device("cpu"))


def test_loss_weighs_tweets_so_that_the_mean_weight_of_the_training_part_is_one(corpus: Corpus) -> None:
    weights = np.where(np.arange(len(corpus.labels)) % 3, 1.0, 12.0)
    task = _task(corpus, weights)
    batch = task.batches(0)[0]
    probabilities = torch.sigmoid(task.model(batch).logits.detach()).double().numpy()
    rows = batch.rows.numpy()
    of_label = np.where(corpus.labels[rows] == 1, probabilities, 1 - probabilities)
    expected = (-np.log(of_label) * weights[rows]).mean() / weights[corpus.rows("train")].mean()
    assert len({*weights[rows]}) == 2
    assert task.loss(batch)[0].item() == pytest.approx(expected, rel=1e-5)


def test_network_that_reads_polarity_predicts_in_use_as_in_its_run(experiment: MakeExperiment) -> None:
    run = experiment(embedding__polarity=True, training__epochs=1)
    run.complete()
    corpus = prepare_corpus(run.config.data, run.results)
    texts = pq.read_table(corpus.path / "tweets.parquet")["text"].to_pylist()
    text_of = dict(zip(corpus.keys.tolist(), texts, strict=True))
    predictions = pq.read_table(run.run_dir.predictions_file).to_pandas().head(50)
    predictor = open_model(run.run_dir.path, "network")
    said = [predictor.classify_texts([text]).probabilities[0] for text in predictions["tweet"].map(text_of)]
    np.testing.assert_allclose(said, predictions["network_positive"], atol=1e-5)


def test_loss_is_to_the_bit_the_plain_one_where_all_weights_are_alike(corpus: Corpus) -> None:
    task = _task(corpus, np.full(len(corpus.labels), 3))
    batch = task.batches(0)[0]
    assert batch.weights is not None
    plain = replace(batch, weights=None)
    assert torch.equal(task.loss(batch)[0], task.loss(plain)[0])
