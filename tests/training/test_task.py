"""What is trained: the metrics of a classifier against worked examples and formulas, and what each tweet counts."""

import math
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from sentiment.config_file import resolve
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.vocabulary import Vocabulary
from sentiment.models.classifier import build_classifier
from sentiment.runs.run_dir import Results
from sentiment.statistics.metrics import measure, with_first_class
from sentiment.training.task import ClassifierTask, judge_overfit
from tests.small_runs import SMALL_RUN


def test_probability_of_a_half_is_the_second_class_and_sure_errors_have_a_finite_loss() -> None:
    assert measure(np.array([1, 0, 0]), with_first_class(np.array([[0.5], [0.5], [0.49]]))).recall == [0.5, 1]
    wrong = measure(np.array([1, 0, 1]), np.eye(2)[[0, 1, 0]])  # and sure of it
    assert (wrong.accuracy, wrong.macro_precision, wrong.macro_recall, wrong.macro_f1) == (0, 0, 0, 0)
    wilson = binomtest(0, wrong.n).proportion_ci(method="wilson")
    assert (wrong.accuracy_low, wrong.accuracy_high) == pytest.approx((wilson.low, wilson.high))
    assert math.isfinite(wrong.loss)


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_scikit_learn(classes: int) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(classes, size=500)
    probabilities = generator.dirichlet([1] * classes, 500) + np.eye(classes)[labels]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    metrics = measure(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    by_class = precision_recall_fscore_support(labels, predicted)
    np.testing.assert_allclose([metrics.precision, metrics.recall, metrics.f1, metrics.sizes], by_class)
    assert metrics.n == 500
    assert metrics.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert metrics.macro_recall == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert metrics.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert metrics.loss == pytest.approx(log_loss(labels, probabilities))


def test_equal_scores_are_equal_to_the_last_bit() -> None:
    sizes = (13, 12)
    labels = np.repeat([0, 1], sizes)
    computed: dict[Fraction, set[float]] = defaultdict(set)
    for right in product(range(sizes[0] + 1), range(sizes[1] + 1)):
        answers = np.concatenate([np.arange(sizes[0]) >= right[0], np.arange(sizes[1]) < right[1]]).astype(int)
        answered = np.bincount(answers, minlength=2).tolist()
        f1 = [Fraction(2 * right[label], sizes[label] + answered[label]) for label in (0, 1)]
        computed[sum(f1) / 2].add(measure(labels, np.eye(2)[answers]).macro_f1)
    assert len(computed) < 14 * 13
    assert {len(scores) for scores in computed.values()} == {1}


def test_class_without_tweets_counts_in_no_mean() -> None:
    probabilities = np.eye(3)[[0, 0, 1, 2]]
    metrics = measure(np.array([0, 0, 2, 2]), probabilities)
    assert metrics.sizes == [2, 0, 2]
    assert metrics.macro_recall == 0.75


def test_overfit_is_a_gap_larger_than_allowed() -> None:
    verdict = judge_overfit(0.90, 0.80)
    assert (verdict.overfits, verdict.gap) == (True, pytest.approx(0.1))
    assert verdict.rule == "training accuracy exceeds validation accuracy by more than 0.05 at the best epoch"
    assert not judge_overfit(0.54, 0.5).overfits
    assert not judge_overfit(0.70, 0.80).overfits
    assert not judge_overfit(0.90, 0.85).overfits


@pytest.fixture(scope="module")
def corpus(tweets_file: Path, shared_results: Results) -> Corpus:
    return prepare_corpus(resolve({}, {"data.source": str(tweets_file)}, "a test").data, shared_results)


def _task(corpus: Corpus, classes: int, weights: np.ndarray) -> tuple[ClassifierTask, np.ndarray]:
    """What is trained on a corpus with as many classes, and its labels."""
    labels = corpus.labels if classes == 2 else (np.arange(len(corpus.labels)) % 4 % classes).astype(np.int8)
    config = resolve(SMALL_RUN, {"data.labels": [f"class {number}" for number in range(classes)]}, "a test")
    corpus = replace(corpus, labels=labels, weights=weights.astype(np.float32))
    vocabulary = Vocabulary.build(corpus, config.data.vocabulary)
    torch.manual_seed(0)
    model = build_classifier(config, len(vocabulary)).eval()
    return ClassifierTask(config, model, corpus, vocabulary, None, torch.device("cpu")), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_loss_is_the_weighted_cross_entropy(corpus: Corpus, classes: int) -> None:
    weights = np.where(np.arange(len(corpus.labels)) % 3, 1.0, 12.0)
    task, labels = _task(corpus, classes, weights)
    batch = task.batches(0)[0]
    rows = batch.rows.numpy()
    logits = task.model(batch).logits.detach().double()
    if classes == 2:
        logits = torch.nn.functional.pad(logits, (1, 0))  # the first class has a logit of 0
    of_label = torch.softmax(logits, dim=1).numpy()[np.arange(len(rows)), labels[rows]]
    expected = (-np.log(of_label) * weights[rows]).mean() / weights[corpus.rows("train")].mean()
    assert len({*weights[rows]}) == 2
    assert task.loss(batch)[0].item() == pytest.approx(expected, rel=1e-5)


def test_loss_is_to_the_bit_the_plain_one_where_all_weights_are_alike(corpus: Corpus) -> None:
    task, _ = _task(corpus, 2, np.full(len(corpus.labels), 3))
    batch = task.batches(0)[0]
    assert batch.weights is not None
    assert torch.equal(task.loss(batch)[0], task.loss(replace(batch, weights=None))[0])
