"""The task of classifying tweets: what each tweet counts in the loss."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sentiment.config_file import resolve
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.vocabulary import Vocabulary
from sentiment.inference.models import load_network
from sentiment.models.classifier import build_classifier
from sentiment.runs.run_dir import Results
from sentiment.training.task import ClassifierTask
from tests.conftest import MakeExperiment
from tests.small_runs import SMALL_RUN


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
    texts = pq.read_table(prepare_corpus(run.config.data, run.results).path / "tweets.parquet")["text"].to_numpy()
    predictions = pq.read_table(run.run_dir.predictions_file).to_pandas().head(50)
    predictor = load_network(run.run_dir)
    said = [predictor.read_texts([text]).probabilities[0] for text in texts[predictions["row"]]]
    np.testing.assert_allclose(said, predictions["score"], atol=1e-5)


def test_loss_is_to_the_bit_the_plain_one_where_all_weights_are_alike(corpus: Corpus) -> None:
    task = _task(corpus, np.full(len(corpus.labels), 3))
    batch = task.batches(0)[0]
    assert batch.weights is not None
    plain = replace(batch, weights=None)
    assert torch.equal(task.loss(batch)[0], task.loss(plain)[0])
